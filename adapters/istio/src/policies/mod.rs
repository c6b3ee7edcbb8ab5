//! Policy mapping: the standing policies of a Gateway (made by the provisioning), one `DestinationRule` per Service, one
//! `Telemetry` per Gateway.

pub(crate) mod client_certificate;
mod observability;
pub(crate) mod providers;
mod resilience;
mod security;

use gateway_modules_core::{
    intent::EndpointType,
    module::{Context, GatewayScope, Mapping, PolicyTarget, Scope},
};

use crate::parameters;

/// What the mapping of one kind needs to know.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) target: &'a PolicyTarget<'a>,
    pub(crate) cx: &'a Context<'a>,
}

impl Job<'_> {
    /// A name for an object of this target.
    pub(crate) fn name(&self, suffix: &[&str]) -> String {
        self.target.name(self.cx, suffix)
    }
}

pub(crate) fn map(target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
    let job = Job { target, cx };
    let mut mapping = Mapping::new();
    match &target.scope {
        Scope::Route(route) => security::route(job, route, &mut mapping),
        Scope::Backend(backend) => resilience::backend(job, backend, &mut mapping),
        Scope::Gateway(gateway) => map_gateway(job, gateway, &mut mapping),
        _ => {}
    }
    refuse_the_rest(job, &mut mapping);
    mapping
}

fn map_gateway(job: Job<'_>, scope: &GatewayScope<'_>, mapping: &mut Mapping) {
    if scope.gateway.existing.is_some() {
        for kind in &job.target.remaining {
            if let Some(field) = job.target.policies.field(*kind) {
                let reason = "it would hold for all routes of the existing Gateway, also for those of others";
                mapping.unsupported(field.clone(), reason, &["a Gateway that this plane manages"]);
            }
        }
        return;
    }
    // Provisioning has refused parameters that cannot be read.
    let Ok(parameters) = parameters::read(job.cx.plane) else { return };
    client_certificate::map(job, scope, &parameters, mapping);
    observability::gateway(job, scope, &parameters, mapping);
}

/// A kind that nothing above has looked at is refused with a reason, never dropped.
fn refuse_the_rest(job: Job<'_>, mapping: &mut Mapping) {
    for (kind, field) in job.target.unanswered(mapping) {
        let (reason, alternatives): (String, &[&str]) = match &job.target.scope {
            Scope::Route(route) if !route.route.kind.is_http() && route.route.kind != EndpointType::Grpc => {
                let what = route.route.kind.as_str();
                (
                    format!("Istio's policies know hosts and paths of HTTP, not of {what} endpoints"),
                    &["an endpoint of type HTTP or GRPC"],
                )
            }
            Scope::Route(_) => (
                format!("Istio has no {kind} besides the standard fields, which this route cannot use"),
                &["another module: `gwm compare` shows which have it"],
            ),
            Scope::Backend(_) => (format!("Istio has no {kind} for a Service"), &[]),
            _ => (format!("Istio has no {kind} for a Gateway"), &[]),
        };
        mapping.unsupported(field, reason, alternatives);
    }
}
