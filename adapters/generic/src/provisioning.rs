//! The class that the plane names, and no promise that a standard field does not make.

use gateway_modules_core::{
    intent::{Exposure, FieldRef},
    module::{FieldOutcome, Provisioned, Refusal, Refusals, Verdict, read_parameters},
    object::{GroupVersionKind, Object},
    resolve::{DataPlaneTopology, GatewayTopology},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::capabilities;

const GATEWAY_CLASS: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "GatewayClass");

/// Parameters of this module (`gateway.parameters`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// Controller of the `GatewayClass`. Given: the class is made; absent: it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 253))]
    pub controller_name: Option<String>,
    /// Features of Gateway API that the gateway has on the operator's word, for example `HTTPRouteCORS`. They never carry a
    /// security policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub capabilities: Vec<String>,
}

pub(crate) fn provision(plane: &DataPlaneTopology) -> Result<Provisioned, Refusals> {
    let selection = FieldRef::new(plane.document.clone(), "/spec/gateway");
    let field = selection.child("parameters");
    let parameters: Parameters = read_parameters(plane, "generic")?;

    let mut refusals: Vec<Refusal> = plane.gateways.iter().filter_map(unproven).collect();
    for (index, name) in parameters.capabilities.iter().enumerate() {
        if !capabilities::may_be_claimed(name) {
            refusals.push(Refusal::new(
                field.child("capabilities").child(index),
                format!("{name:?} is no feature of Gateway API, or one that safety rests on and a claim cannot prove"),
                &["names of Gateway API's features that carry no security policy", "the module of the gateway itself"],
            ));
        }
    }
    let managed = plane.gateways.iter().any(|gateway| gateway.existing.is_none());
    let class = plane.gateway.class_name.as_ref().map(gateway_modules_core::types::DnsSubdomain::as_str);
    if class.is_none() && (managed || parameters.controller_name.is_some()) {
        refusals.push(Refusal::new(
            selection.child("className"),
            "this module knows no gateway by name, so the plane must say of which class its Gateways are",
            &["gateway.className", "gatewayRef in every visibility", "the module of the gateway itself"],
        ));
    }
    if !refusals.is_empty() {
        return Err(Refusals(refusals));
    }

    let mut provisioned = Provisioned::with_class(class.unwrap_or_default());
    let mut decided = |name: &str, what: &str| {
        let verdict = Verdict::Decides { what: what.to_owned() };
        provisioned.outcomes.push(FieldOutcome { field: field.child(name), verdict, citations: Vec::new() });
    };
    if !parameters.capabilities.is_empty() {
        decided("capabilities", "which standard fields may be used");
    }
    if parameters.controller_name.is_some() {
        // The class is no object of `Provisioned::objects`, so its bytes cannot be cited there.
        decided("controllerName", "the controller of the GatewayClass that is made (spec.controllerName)");
    }
    if let (Some(class), Some(controller)) = (class, &parameters.controller_name) {
        let class = Object::new(&GATEWAY_CLASS, None, class).with_spec(json!({ "controllerName": controller }));
        provisioned.class = Some(class);
    }
    Ok(provisioned)
}

/// Core refuses a Gateway of ours that must stay inside the cluster, for lack of `gateway/exposure/cluster`. Of an existing
/// one nothing standard proves it either, and who must not be reached from outside is a matter of safety, for which the
/// operator's word is not enough.
fn unproven(gateway: &GatewayTopology) -> Option<Refusal> {
    (gateway.exposure == Exposure::Cluster && gateway.existing.is_some()).then(|| {
        let reason = "no standard field of Gateway API shows that an existing Gateway cannot be reached from outside";
        let alternatives =
            ["the module of the gateway itself", "exposure Public, if the Gateway may be reached from outside"];
        Refusal::new(gateway.source.child("exposure"), reason, &alternatives)
    })
}
