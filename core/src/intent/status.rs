//! What the controller says about a stored DataPlane or Component.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A condition, by the convention of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Resolved`, `Accepted`, `Programmed` or `Ready`; of a DataPlane also `Degraded`, `SwitchAvailable`,
    /// `Discovered`, `Drifted`, `Observed`, `VerdictsChanged` and `Installed`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub kind: String,
    /// `True`, `False` or `Unknown`; unknown is never healthy.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    /// The generation of the object that this is about.
    pub observed_generation: i64,
    /// When `status` changed last.
    #[schemars(length(max = 64))]
    pub last_transition_time: String,
    /// Why, as one word for programs.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// Why, for people.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// The module that serves a plane, and why it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChosenModule {
    /// Name.
    pub name: String,
    /// Version of the gateway that was compiled for.
    pub version: String,
    /// GatewayClass.
    pub class: String,
    /// Why this one.
    pub reason: String,
    /// What its version and capabilities were judged by, and where each was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub evidence: Vec<String>,
}

/// Number of leaves of the intent by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fidelity {
    /// Emitted with full meaning.
    pub exact: u32,
    /// Emitted with accepted differences.
    pub approximate: u32,
    /// Refused.
    pub unsupported: u32,
    /// Replaced by another layer.
    pub overridden: u32,
    /// Steers the compilation, or has no effect in this release.
    pub other: u32,
}

/// A Gateway of a plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayState {
    /// `namespace/name`.
    pub name: String,
    /// How it is.
    pub health: String,
    /// Addresses that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// Components of a plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentCount {
    /// Served as they are written.
    pub accepted: u32,
    /// Refused; the last form of theirs that was accepted is served, if there is one.
    pub refused: u32,
}

/// Status of a DataPlane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataPlaneStatus {
    /// The generation that this is about.
    pub observed_generation: i64,
    /// `Resolved`, `Accepted`, `Programmed` and `Ready`; `Degraded` (the chosen class is gone or not accepted) and
    /// `SwitchAvailable` (another gateway is installed, and nothing moves by itself); `Discovered` (all of it could be read);
    /// `Drifted` (somebody has changed by hand what was applied); `Observed` (a probe was refused where it must be).
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// The module that serves the plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<ChosenModule>,
    /// Id of the release that was applied last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// What became of the fields of the intents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fidelity: Option<Fidelity>,
    /// Components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<ComponentCount>,
    /// Gateways.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<GatewayState>,
}

/// An endpoint of a component on one plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointState {
    /// Name.
    pub name: String,
    /// Visibility.
    pub visibility: String,
    /// How it is, with the Gateways that it is on.
    pub health: String,
    /// Where it answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

/// A component on one plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaneState {
    /// Name of the DataPlane.
    pub name: String,
    /// Name of the module that serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// What became of the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fidelity: Option<Fidelity>,
    /// Endpoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointState>,
}

/// The last specification that every plane of the component has accepted. It is served while a newer one is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastAccepted {
    /// Its generation.
    pub generation: i64,
    /// The specification.
    #[schemars(schema_with = "free_object")]
    pub spec: Value,
}

fn free_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "additionalProperties": true })
}

/// Status of a Component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentStatus {
    /// The generation that this is about.
    pub observed_generation: i64,
    /// `Resolved`, `Accepted`, `Programmed` and `Ready`.
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// The planes that serve it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_planes: Vec<PlaneState>,
    /// The last specification that was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_accepted: Option<LastAccepted>,
}
