//! A request whose router is left out finds the next less specific one (seen with requests on 3.7.15: `/admin` with a
//! Middleware that is missing was answered 200 by the open router of `/`).
//!
//! Traefik leaves out a router while one of its Middlewares is missing, and that may be for as long as its two providers
//! need to agree (`providers.providersThrottleDuration`, 2 s by default). If another rule without the policy takes such
//! requests to the same Service, the policy could be passed by.

use gateway_modules_core::{
    intent::{Match, PathMatch, policies::PolicyKind},
    resolve::{RouteTopology, RuleTopology},
};

use super::Work;

/// Refuses security policies that a less specific rule would let pass by.
pub(super) fn check(work: &mut Work<'_>) {
    let kinds: Vec<PolicyKind> = work.target.remaining.iter().copied().filter(|kind| kind.is_security()).collect();
    for kind in kinds {
        let Some(field) = work.target.policies.field(kind).cloned() else { continue };
        let Some((route, rule)) = passing_by(work, kind) else { continue };
        let reason = format!(
            "rule {} of {} takes the same requests to the same Service without this {kind}, and Traefik falls back to it \
             while the Middleware is not loaded",
            rule.name, route.binding
        );
        let alternatives =
            ["the policy on the endpoint, for all rules", "a host or a Service of its own for what is protected"];
        work.unsupported(field, reason, &alternatives);
    }
}

/// A rule that could take over a request of the target without a policy of the kind.
fn passing_by<'a>(work: &Work<'a>, kind: PolicyKind) -> Option<(&'a RouteTopology, &'a RuleTopology)> {
    let own = work.scope.route;
    let field = work.target.policies.field(kind);
    let protected = &work.scope.rules;
    work.cx
        .plane
        .routes
        .iter()
        .filter(|route| route.binding.visibility == own.binding.visibility && share_host(route, own))
        .flat_map(|route| route.rules.iter().map(move |rule| (route, rule)))
        .find(|(_, rule)| {
            rule.policies.field(kind) != field
                && protected.iter().any(|other| share_backend(rule, other) && share_request(rule, other))
        })
}

fn share_host(first: &RouteTopology, second: &RouteTopology) -> bool {
    let any = first.hostnames.is_empty() || second.hostnames.is_empty();
    any || first.hostnames.iter().any(|(a, _)| second.hostnames.iter().any(|(b, _)| a.overlaps(b)))
}

fn share_backend(first: &RuleTopology, second: &RuleTopology) -> bool {
    first
        .backends
        .iter()
        .any(|a| second.backends.iter().any(|b| (&a.namespace, &a.service) == (&b.namespace, &b.service)))
}

/// Whether some request may fit both; says yes when in doubt.
fn share_request(first: &RuleTopology, second: &RuleTopology) -> bool {
    let any = first.matches.is_empty() || second.matches.is_empty();
    any || first.matches.iter().any(|(a, _)| second.matches.iter().any(|(b, _)| may_share(a, b)))
}

fn may_share(first: &Match, second: &Match) -> bool {
    let methods = match (&first.method, &second.method) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    let calls = match (&first.grpc, &second.grpc) {
        (Some(a), Some(b)) => {
            (a.service.is_none() || b.service.is_none() || a.service == b.service)
                && (a.method.is_none() || b.method.is_none() || a.method == b.method)
        }
        _ => true,
    };
    let paths = match (&first.path, &second.path) {
        (Some(PathMatch::Exact(a)), Some(PathMatch::Exact(b))) => a == b,
        (Some(PathMatch::Exact(path)), Some(PathMatch::Prefix(prefix)))
        | (Some(PathMatch::Prefix(prefix)), Some(PathMatch::Exact(path))) => is_below(path.as_str(), prefix.trimmed()),
        (Some(PathMatch::Prefix(a)), Some(PathMatch::Prefix(b))) => {
            is_below(a.trimmed(), b.trimmed()) || is_below(b.trimmed(), a.trimmed())
        }
        _ => true,
    };
    methods && calls && paths
}

fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use gateway_modules_core::types::HttpPath;

    use super::*;

    fn prefix(path: &str) -> Match {
        Match { path: Some(PathMatch::Prefix(HttpPath::new(path).expect("path"))), ..Match::default() }
    }

    #[test]
    fn prefixes_share_requests_by_segments() {
        assert!(may_share(&prefix("/"), &prefix("/admin")));
        assert!(may_share(&prefix("/admin/users"), &prefix("/admin/")));
        assert!(!may_share(&prefix("/admin"), &prefix("/administration")));
        assert!(!may_share(&prefix("/a"), &prefix("/b")));
        let exact =
            |path: &str| Match { path: Some(PathMatch::Exact(HttpPath::new(path).expect("path"))), ..Match::default() };
        assert!(may_share(&exact("/admin"), &prefix("/")) && !may_share(&exact("/x"), &prefix("/admin")));
        assert!(!may_share(&exact("/x"), &exact("/y")) && may_share(&Match::default(), &exact("/y")));
    }
}
