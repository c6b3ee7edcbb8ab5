//! Policy mapping: one `SecurityPolicy` and one `BackendTrafficPolicy` per route target, each with the whole effective set,
//! because Envoy Gateway takes one of each kind per target and lets the oldest win; one `ClientTrafficPolicy` and one
//! `EnvoyProxy` per Gateway.

mod authorization;
pub(crate) mod client;
mod draft;
mod external_authorization;
mod jwt;
mod load_balancing;
mod observability;
mod operators;
mod rate_limit;
mod reference;
mod resilience;
mod security;
mod traffic;

use gateway_modules_core::{
    intent::EndpointType,
    module::{Context, GatewayScope, Mapping, PolicyTarget, RouteScope, Scope},
};
use serde_json::{Value, json};

use self::draft::Draft;
use crate::resources::{BACKEND_TRAFFIC_POLICY, SECURITY_POLICY};

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

    /// Whether a plane allows that something in one namespace names a Service of another.
    pub(crate) fn allows(&self, from: &str, to: &str) -> bool {
        self.cx.plane.allows_reference(from, to)
    }
}

pub(crate) fn map(target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
    let job = Job { target, cx };
    let mut mapping = match &target.scope {
        Scope::Route(route) => map_route(job, route),
        Scope::Gateway(gateway) => map_gateway(job, gateway),
        _ => Mapping::new(),
    };
    refuse_the_rest(job, &mut mapping);
    mapping
}

fn map_route(job: Job<'_>, route: &RouteScope<'_>) -> Mapping {
    let kind = route.route.kind;
    if !kind.is_http() && kind != EndpointType::Grpc {
        return Mapping::new();
    }
    // A rule is named by `sectionName` (CRD: `targetRefs[].sectionName`).
    let reference = |reference: gateway_modules_core::module::RouteTargetRef| {
        let mut value = json!({ "group": reference.group, "kind": reference.kind, "name": reference.name });
        if let Some(section) = reference.section_name {
            value["sectionName"] = section.into();
        }
        value
    };
    let refs: Value = route.target_refs().into_iter().map(reference).collect();
    let namespace = route.route.namespace.as_str();

    let mut policy = Draft::default();
    security::route(job, route, &mut policy);
    let mut mapping = policy.finish(&SECURITY_POLICY, namespace, &job.name(&["security"]), &refs);

    let mut policy = Draft::after(mapping);
    resilience::route(job, route, &mut policy);
    load_balancing::route(job, &mut policy);
    rate_limit::route(job, route, &mut policy);
    traffic::policy(job, route, &mut policy);
    mapping = policy.finish(&BACKEND_TRAFFIC_POLICY, namespace, &job.name(&["traffic"]), &refs);

    traffic::filters(job, route, &mut mapping);
    mapping
}

fn map_gateway(job: Job<'_>, scope: &GatewayScope<'_>) -> Mapping {
    let mut mapping = Mapping::new();
    if scope.gateway.existing.is_some() {
        // Such an object holds for everything on the Gateway, also for routes that are not of this intent.
        for kind in &job.target.remaining {
            if let Some(field) = job.target.policies.field(*kind) {
                let reason = "it would hold for all routes of the existing Gateway, also for those of others";
                mapping.unsupported(field.clone(), reason, &["a Gateway that this plane manages"]);
            }
        }
    } else {
        client::certificate(job, scope, &mut mapping);
        observability::gateway(job, scope, &mut mapping);
    }
    mapping
}

/// A kind that nothing above has looked at is refused with a reason, never dropped.
fn refuse_the_rest(job: Job<'_>, mapping: &mut Mapping) {
    for (kind, field) in job.target.unanswered(mapping) {
        let (reason, alternatives): (String, &[&str]) = match &job.target.scope {
            Scope::Route(route) if route.route.kind.is_http() || route.route.kind == EndpointType::Grpc => {
                (format!("Envoy Gateway has no {kind} besides the standard fields, which this route cannot use"), &[])
            }
            Scope::Route(route) => {
                let what = route.route.kind.as_str();
                let reason =
                    format!("policies of Envoy Gateway hold for HTTPRoute and GRPCRoute, not for {what} endpoints");
                (reason, &["an endpoint of type HTTP or GRPC"])
            }
            _ => (format!("Envoy Gateway has no {kind} for this target"), &[]),
        };
        mapping.unsupported(field, reason, alternatives);
    }
}
