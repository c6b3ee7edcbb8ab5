//! One verdict per data plane, rolled up from what the controllers say. Pure: it is given what is live.

mod conditions;
mod evaluate;
mod urls;

use serde::Serialize;

pub(super) use self::evaluate::evaluate;
use crate::{compile::Promise, intent::policies::PolicyKind, object::ObjectKey, plan::Selection, resolve::Binding};

/// How something is. The order is that of a roll-up: the worst wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// Everything was accepted, resolved and programmed, for the generation that is there.
    Ready,
    /// The controller works on it.
    Progressing,
    /// The controller has said nothing, or not about this generation. Never healthy.
    Unknown,
    /// The controller has refused something.
    Degraded,
    /// A route is closed, because its security policies are not acknowledged.
    Blocked,
}

impl Health {
    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::Unknown => "Unknown",
            Self::Degraded => "Degraded",
            Self::Blocked => "Blocked",
        }
    }
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something is not ready, and the next step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// How bad it is.
    pub health: Health,
    /// The object, `Kind namespace/name`.
    pub object: String,
    /// What is wrong, in the controller's words where there are any.
    pub message: String,
    /// What to do.
    pub next: String,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Name.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// Number of routes that the controller has attached.
    pub attached_routes: u64,
}

/// A Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// The Gateway.
    pub object: ObjectKey,
    /// How it is, with its listeners.
    pub health: Health,
    /// Addresses that it has.
    pub addresses: Vec<String>,
    /// Listeners.
    pub listeners: Vec<ListenerStatus>,
}

/// A route at one of its parents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The parent, `namespace/name` with its listener.
    pub parent: String,
    /// How it is there.
    pub health: Health,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// The route.
    pub object: ObjectKey,
    /// How it is, over all parents.
    pub health: Health,
    /// Whether it stands in its closed form.
    pub closed: bool,
    /// Per parent.
    pub parents: Vec<ParentStatus>,
}

/// An object of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// The object.
    pub object: ObjectKey,
    /// How it is; absent when its controller writes no status for this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// What is promised about a security policy, and what is kept now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PromiseStatus {
    /// Where the policy is in force.
    pub binding: Binding,
    /// Kind.
    pub kind: PolicyKind,
    /// What an apply promises.
    pub promised: Promise,
    /// What is kept; absent when the policy is not in force and its route is closed or not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub achieved: Option<Promise>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// What it is; absent when the status was asked for without the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// Its route objects.
    pub routes: Vec<ObjectKey>,
    /// How it is, with the Gateways that it is on.
    pub health: Health,
    /// Where it answers.
    pub urls: Vec<String>,
}

/// How a data plane is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Status {
    /// Data plane.
    pub data_plane: String,
    /// The module that it was applied with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Release that was applied last, completely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The verdict.
    pub health: Health,
    /// Gateways.
    pub gateways: Vec<GatewayStatus>,
    /// Routes.
    pub routes: Vec<RouteStatus>,
    /// Objects of policies.
    pub policies: Vec<PolicyStatus>,
    /// Security policies; empty when the status was asked for without the release.
    pub promises: Vec<PromiseStatus>,
    /// Endpoints.
    pub endpoints: Vec<EndpointStatus>,
    /// Why it is not ready, the worst first.
    pub reasons: Vec<Reason>,
}
