//! `BackendTrafficPolicy`: local rate limits, circuit breaking.

use gateway_modules_core::{
    intent::policies::{PolicyKind, RateLimitKey},
    module::{Difference, Mapping, PolicyTarget, RouteScope},
};
use serde_json::{Map, Value, json};

use super::Draft;

pub(super) fn map(target: &PolicyTarget<'_>, route: &RouteScope<'_>, mapping: &mut Mapping) -> Draft {
    let mut draft = Draft::default();
    rate_limit(target, route, mapping, &mut draft);
    circuit_breaking(target, &mut draft);
    draft
}

fn rate_limit(target: &PolicyTarget<'_>, route: &RouteScope<'_>, mapping: &mut Mapping, draft: &mut Draft) {
    let kind = PolicyKind::RateLimitLocal;
    let Some(policy) = target.policies.rate_limit().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let unit = match value.per.as_millis() {
        1000 => "Second",
        60_000 => "Minute",
        3_600_000 => "Hour",
        86_400_000 => "Day",
        _ => {
            let reason = "Envoy Gateway counts per second, minute, hour or day";
            mapping.unsupported(field.child("per"), reason, &["1s", "1m", "1h", "24h"]);
            return;
        }
    };
    if value.key != RateLimitKey::default() {
        let reason = "this adapter counts per endpoint only";
        mapping.unsupported(field.child("key"), reason, &["no key", "rateLimitGlobal on another module"]);
        return;
    }
    if value.burst.is_some_and(|burst| burst != value.requests) {
        // CRD: a limit has requests and unit, and its bucket holds as many tokens as requests.
        let reason = "a limit of BackendTrafficPolicy has no burst besides its requests";
        mapping.unsupported(field.child("burst"), reason, &["no burst", "module kgateway"]);
        return;
    }
    let limit = json!({ "requests": value.requests, "unit": unit });
    draft.hold(kind, "rateLimit", json!({ "type": "Local", "local": { "rules": [{ "limit": limit }] } }));
    // The limit stands in each Envoy route, and there is one per listener, host and match.
    let matches: usize = route.rules.iter().map(|rule| rule.matches.len().max(1)).sum();
    let buckets = matches * route.route.hostnames.len().max(1) * route.route.listeners.len().max(1);
    let requests = "/rateLimit/local/rules/0/limit/requests";
    if buckets > 1 {
        let text = format!("each host, listener and match has a bucket of its own, here {buckets}");
        let difference = Difference { name: "rate-limit-local/per-route".to_owned(), text, stricter: false };
        draft.approximate(field.child("requests"), requests, difference);
    } else {
        draft.exact(field.child("requests"), requests);
    }
    draft.exact(field.child("per"), "/rateLimit/local/rules/0/limit/unit");
    if value.burst.is_some() {
        draft.exact(field.child("burst"), requests);
    }
}

/// "connections … to the referenced backend defined within a xRoute rule" (CRD, circuitBreaker): of each rule, not of the Service.
fn circuit_breaking(target: &PolicyTarget<'_>, draft: &mut Draft) {
    let kind = PolicyKind::CircuitBreaking;
    let Some(policy) = target.policies.circuit_breaking().filter(|_| target.must_map(kind)) else { return };
    let value = policy.value;
    let mut spec = Map::new();
    let limits = [
        ("maxConnections", "maxConnections", value.max_connections),
        ("maxPendingRequests", "maxPendingRequests", value.max_pending_requests),
        ("maxRequests", "maxParallelRequests", value.max_requests),
        ("maxRetries", "maxParallelRetries", value.max_retries),
    ];
    for (ours, theirs, limit) in limits {
        let Some(limit) = limit else { continue };
        spec.insert(theirs.to_owned(), limit.into());
        let difference = Difference {
            name: "circuit-breaking/per-rule".to_owned(),
            text: "each rule has limits of its own towards the Service, so their sum may be under way".to_owned(),
            stricter: false,
        };
        draft.approximate(policy.field.child(ours), &format!("/circuitBreaker/{theirs}"), difference);
    }
    if !spec.is_empty() {
        draft.hold(kind, "circuitBreaker", Value::Object(spec));
    }
}
