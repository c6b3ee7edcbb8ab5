//! Class, parameters and edits of the Gateways of a plane, and what this gateway cannot be given.

use gateway_modules_core::{
    intent::{Exposure, FieldRef},
    module::{Context, Provisioned, Refusal, Refusals},
    resolve::DataPlaneTopology,
};

pub(crate) fn provision(plane: &DataPlaneTopology, _: &Context<'_>) -> Result<Provisioned, Refusals> {
    let selection = FieldRef::new(plane.document.clone(), "/spec/gateway");
    let mut refusals: Vec<Refusal> = Vec::new();
    for name in plane.gateway.parameters.keys() {
        let reason = "this module takes no parameters";
        refusals.push(Refusal::new(selection.child("parameters").child(name.as_str()), reason, &["no parameters"]));
    }
    // Nothing may answer outside the cluster that must stay inside. Core refuses Gateways of ours for lack of
    // `gateway/exposure/cluster`; of a Gateway that exists already, nothing proves it.
    for gateway in plane.gateways.iter().filter(|gateway| gateway.existing.is_some()) {
        if gateway.exposure == Exposure::Cluster {
            let reason = "nothing proves that an existing Gateway cannot be reached from outside the cluster";
            let alternatives = ["exposure Public, if the Gateway may be reached from outside"];
            refusals.push(Refusal::new(gateway.source.child("exposure"), reason, &alternatives));
        }
    }
    if !refusals.is_empty() {
        return Err(Refusals(refusals));
    }
    let class = plane.gateway.class_name.as_ref().map_or("example-gateway", |name| name.as_str());
    Ok(Provisioned::with_class(class))
}
