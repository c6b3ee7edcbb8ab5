//! Policy mapping: one policy object per kind and route target or Service, and the `NginxProxy` of the Gateway.

mod draft;
mod observability;
mod overlap;
mod refused;
mod resilience;
mod security;
mod traffic;

use gateway_modules_core::{
    intent::EndpointType,
    module::{Context, GatewayScope, Mapping, PolicyTarget, RouteScope, Scope},
};

use self::draft::Draft;

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
        Scope::Route(route) => map_route(job, route, &mut mapping),
        Scope::Backend(backend) => resilience::backend(job, backend, &mut mapping),
        Scope::Gateway(gateway) => map_gateway(job, gateway, &mut mapping),
        _ => {}
    }
    refused::the_rest(job, &mut mapping);
    mapping
}

fn map_route(job: Job<'_>, route: &RouteScope<'_>, mapping: &mut Mapping) {
    if !route.route.kind.is_http() && route.route.kind != EndpointType::Grpc {
        return;
    }
    traffic::body_size_limit(job, route, mapping);
    resilience::timeout(job, route, mapping);
    resilience::rate_limit(job, route, mapping);
    security::basic_auth(job, route, mapping);
    observability::tracing(job, route, mapping);
}

fn map_gateway(job: Job<'_>, scope: &GatewayScope<'_>, mapping: &mut Mapping) {
    if scope.gateway.existing.is_some() {
        // Its NginxProxy is not ours, and holds for everything on it, also for routes that are not of this intent.
        for kind in &job.target.remaining {
            if let Some(field) = job.target.policies.field(*kind) {
                let reason = "it would hold for all routes of the existing Gateway, also for those of others";
                mapping.unsupported(field.clone(), reason, &["a Gateway that this plane manages"]);
            }
        }
        return;
    }
    observability::access_log(job, scope, mapping);
}
