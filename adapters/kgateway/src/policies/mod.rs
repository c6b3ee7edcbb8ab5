//! Policy mapping: one `TrafficPolicy` per route target, one `BackendConfigPolicy` per Service, one `ListenerPolicy` per
//! Gateway, each with the whole effective set, because kgateway merges policies of one kind field by field.

mod cel;
mod draft;
mod observability;
mod reference;
mod resilience;
mod security;
mod traffic;

use gateway_modules_core::{
    intent::EndpointType,
    module::{Context, GatewayScope, Mapping, PolicyTarget, RouteScope, Scope},
};

use self::draft::Draft;
use crate::resources::{
    BACKEND_CONFIG_POLICY, BackendConfigPolicySpec, GATEWAY_API, LISTENER_POLICY, ListenerPolicySpec, TRAFFIC_POLICY,
    TargetRef, TrafficPolicySpec,
};

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
    let mut mapping = match &target.scope {
        Scope::Route(route) => map_route(job, route),
        Scope::Backend(backend) => {
            let mut draft = Draft::new(BackendConfigPolicySpec::default());
            resilience::backend(job, backend, &mut draft);
            let refs = vec![TargetRef {
                group: String::new(),
                kind: "Service".to_owned(),
                name: backend.service.clone(),
                section_name: None,
            }];
            let name = job.name(&["backend"]);
            draft.finish(&BACKEND_CONFIG_POLICY, &backend.namespace, &name, &refs, |spec, refs| {
                spec.target_refs = Some(refs);
            })
        }
        Scope::Gateway(gateway) => map_gateway(job, gateway),
        _ => Mapping::new(),
    };
    refuse_the_rest(job, &mut mapping);
    mapping
}

fn map_route(job: Job<'_>, route: &RouteScope<'_>) -> Mapping {
    let mut draft = Draft::new(TrafficPolicySpec::default());
    let kind = route.route.kind;
    if kind.is_http() || kind == EndpointType::Grpc {
        traffic::route(job, route, &mut draft);
        resilience::route(job, route, &mut draft);
        security::route(job, route, &mut draft);
    }
    let refs: Vec<TargetRef> = route
        .target_refs()
        .into_iter()
        .map(|reference| TargetRef {
            group: reference.group,
            kind: reference.kind,
            name: reference.name,
            section_name: reference.section_name,
        })
        .collect();
    let name = job.name(&["traffic"]);
    draft.finish(&TRAFFIC_POLICY, &route.route.namespace, &name, &refs, |spec, refs| spec.target_refs = Some(refs))
}

fn map_gateway(job: Job<'_>, scope: &GatewayScope<'_>) -> Mapping {
    let mut draft = Draft::new(ListenerPolicySpec::default());
    if scope.gateway.existing.is_some() {
        // A ListenerPolicy holds for everything on the Gateway, also for routes that are not of this intent.
        for kind in &job.target.remaining {
            if let Some(field) = job.target.policies.field(*kind) {
                let reason = "it would hold for all routes of the existing Gateway, also for those of others";
                draft.unsupported(field.clone(), reason, &["a Gateway that this plane manages"]);
            }
        }
    } else {
        security::gateway(job, scope, &mut draft);
        observability::gateway(job, scope, &mut draft);
    }
    let refs = vec![TargetRef {
        group: GATEWAY_API.to_owned(),
        kind: "Gateway".to_owned(),
        name: scope.gateway.name.clone(),
        section_name: scope.listener.clone(),
    }];
    let name = job.name(&["listener"]);
    draft.finish(&LISTENER_POLICY, scope.gateway_namespace, &name, &refs, |spec, refs| spec.target_refs = Some(refs))
}

/// A kind that nothing above has looked at is refused with a reason, never dropped.
fn refuse_the_rest(job: Job<'_>, mapping: &mut Mapping) {
    for (kind, field) in job.target.unanswered(mapping) {
        let (reason, alternatives): (String, &[&str]) = match &job.target.scope {
            Scope::Route(route) => {
                let endpoint = route.route.kind;
                if endpoint.is_http() || endpoint == EndpointType::Grpc {
                    (format!("kgateway has no {kind} besides the standard fields, which this route cannot use"), &[])
                } else {
                    let what = endpoint.as_str();
                    let reason =
                        format!("kgateway attaches policies to HTTPRoute and GRPCRoute, not to {what} endpoints");
                    (reason, &["an endpoint of type HTTP or GRPC"])
                }
            }
            Scope::Backend(_) => (format!("kgateway has no {kind} for a Service"), &[]),
            _ => (format!("kgateway has no {kind} for a Gateway"), &[]),
        };
        mapping.unsupported(field, reason, alternatives);
    }
}
