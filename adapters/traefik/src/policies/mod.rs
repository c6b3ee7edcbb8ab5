//! Policy mapping: one `Middleware` per policy, which a filter of every rule meant refers to; one `TraefikService` in place
//! of the backends of a rule.

mod backends;
mod fall_through;
mod limits;
mod observability;
mod security;
mod traffic;
mod work;

use gateway_modules_core::module::{Context, Mapping, PolicyTarget, RouteScope, Scope};

use self::work::Work;

pub(crate) fn map(target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
    match &target.scope {
        Scope::Route(scope) => {
            let mut work = Work::new(target, cx, scope);
            route(&mut work, scope);
            work.finish()
        }
        Scope::Gateway(scope) => observability::gateway(target, scope, cx),
        _ => Mapping::new(),
    }
}

/// In the order in which filters of one kind stand; core sorts kinds by the request path.
fn route(work: &mut Work<'_>, scope: &RouteScope<'_>) {
    if !scope.route.kind.is_http() && scope.route.kind != gateway_modules_core::intent::EndpointType::Grpc {
        let what = scope.route.kind.as_str();
        for kind in &work.target.remaining {
            if let Some(field) = work.target.policies.field(*kind).cloned() {
                let reason = format!("Traefik takes filters on HTTPRoute and GRPCRoute, not on {what} endpoints");
                work.unsupported(field, reason, &["an endpoint of type HTTP or GRPC"]);
            }
        }
        return;
    }
    security::ip_access(work);
    security::basic_auth(work);
    security::external_authorization(work);
    traffic::cors(work);
    traffic::compression(work);
    traffic::url_rewrite(work);
    traffic::retry(work);
    limits::rate_limit(work);
    limits::rate_limit_global(work);
    limits::circuit_breaking(work);
    limits::connection_limit(work);
    limits::body_size(work);
    backends::map(work);
    fall_through::check(work);
    refuse_the_rest(work);
}

/// A kind that nothing above has looked at is refused with a reason, never dropped.
fn refuse_the_rest(work: &mut Work<'_>) {
    for (kind, field) in work.target.unanswered(&work.mapping) {
        let reason = format!("Traefik has no {kind} besides the standard fields, which this route cannot use");
        work.unsupported(field, reason, &["an endpoint of type HTTP"]);
    }
}
