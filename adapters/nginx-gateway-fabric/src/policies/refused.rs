//! What NGINX Gateway Fabric does not have, and what would work instead.

use gateway_modules_core::{
    intent::{EndpointType, policies::PolicyKind},
    module::{Mapping, Scope},
};

use super::Job;

/// A kind that nothing has looked at is refused with a reason, never dropped.
pub(super) fn the_rest(job: Job<'_>, mapping: &mut Mapping) {
    for (kind, field) in job.target.unanswered(mapping) {
        let (reason, alternatives) = reason(job, kind);
        mapping.unsupported(field, reason, alternatives);
    }
}

fn reason(job: Job<'_>, kind: PolicyKind) -> (String, &'static [&'static str]) {
    if let Scope::Route(route) = &job.target.scope {
        let endpoint = route.route.kind;
        if !endpoint.is_http() && endpoint != EndpointType::Grpc {
            let what = endpoint.as_str();
            let reason = format!(
                "NGINX Gateway Fabric attaches policies to HTTPRoute and GRPCRoute, not to routes of {what} endpoints"
            );
            return (reason, &["an endpoint of type HTTP or GRPC"]);
        }
    }
    let reason =
        format!("NGINX Gateway Fabric has no {kind} besides the standard fields, which this target cannot use");
    (reason, &["another module: `gwm compare` shows which have it"])
}
