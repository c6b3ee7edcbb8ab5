//! `BackendTrafficPolicy.spec.rateLimit`: counted by each proxy for itself, or by the installation's Redis for all.

use gateway_modules_core::{
    intent::{
        FieldRef,
        policies::{PolicyKind, RateLimitKey, RateLimitService},
    },
    module::{Difference, Requirement, RouteScope},
    types::Duration,
};
use serde_json::{Value, json};

use super::{Draft, Job};
use crate::parameters::{self, RateLimitBackend};

pub(crate) fn route(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    local(job, scope, draft);
    global(job, scope, draft);
}

/// The CRD's unit of a period.
fn unit(per: Duration, field: &FieldRef, draft: &mut Draft) -> Option<&'static str> {
    let unit = match per.as_millis() {
        1000 => "Second",
        60_000 => "Minute",
        3_600_000 => "Hour",
        86_400_000 => "Day",
        _ => {
            let reason = "Envoy Gateway counts per second, minute, hour or day";
            draft.unsupported(field.child("per"), reason, &["1s", "1m", "1h", "24h"]);
            return None;
        }
    };
    Some(unit)
}

/// Envoy Gateway leaves limits out where Envoy answers by itself (`internal/xds/translator/local_ratelimit.go` and
/// `ratelimit.go`, `patchRoute`). `true` after a refusal.
fn answers_itself(scope: &RouteScope<'_>, field: &FieldRef, draft: &mut Draft) -> bool {
    let found =
        scope.rules.iter().find(|rule| rule.policies.redirect().is_some() || rule.policies.direct_response().is_some());
    if let Some(rule) = found {
        let reason = format!("rule {} redirects or answers directly, and Envoy Gateway limits no such rule", rule.name);
        draft.unsupported(field.clone(), reason, &["the limit on the other rules only"]);
    }
    found.is_some()
}

/// A rule for each way in which a request can belong to a bucket.
fn rules(key: &RateLimitKey, limit: &Value, nobody: Option<Value>) -> Vec<Value> {
    let rule = |selector: Value| json!({ "clientSelectors": [selector], "limit": limit });
    match key {
        RateLimitKey::Endpoint {} => vec![json!({ "limit": limit })],
        // An address is in one of the two.
        RateLimitKey::ClientIp {} => ["0.0.0.0/0", "::/0"]
            .map(|block| rule(json!({ "sourceCIDR": { "type": "Distinct", "value": block } })))
            .to_vec(),
        RateLimitKey::Header(name) => {
            let by_value = rule(json!({ "headers": [{ "type": "Distinct", "name": name.as_str() }] }));
            // All requests without the header share a bucket.
            let without = nobody.map_or_else(|| json!({ "limit": limit }), rule);
            vec![by_value, without]
        }
    }
}

fn pointers(scope: &str, rules: &[Value], leaf: &str) -> Vec<String> {
    (0..rules.len()).map(|index| format!("/rateLimit/{scope}/rules/{index}/{leaf}")).collect()
}

/// The field of the CRD holds both, and their order is that of the two functions here.
fn hold(kind: PolicyKind, draft: &mut Draft, name: &str, value: Value) {
    let mut spec = draft.spec.get("rateLimit").cloned().unwrap_or_else(|| json!({}));
    spec[name] = value;
    draft.hold(kind, "rateLimit", spec);
}

fn local(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    let kind = PolicyKind::RateLimitLocal;
    let Some(policy) = job.target.policies.rate_limit().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if answers_itself(scope, field, draft) {
        return;
    }
    let Some(unit) = unit(value.per, field, draft) else { return };
    if value.burst.is_some_and(|burst| burst != value.requests) {
        // CRD: a limit has requests and unit, and its bucket holds as many tokens as requests.
        let reason = "a limit of BackendTrafficPolicy has no burst besides its requests";
        draft.unsupported(field.child("burst"), reason, &["no burst", "module kgateway"]);
        return;
    }
    let limit = json!({ "requests": value.requests, "unit": unit });
    let rules = rules(&value.key, &limit, None);
    let requests = pointers("local", &rules, "limit/requests");
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    // The limit stands in each Envoy route, and there is one per listener, host and match.
    let matches: usize = scope.rules.iter().map(|rule| rule.matches.len().max(1)).sum();
    let buckets = matches * scope.route.hostnames.len().max(1) * scope.route.listeners.len().max(1);
    if buckets > 1 {
        let text = format!("each host, listener and match has a bucket of its own, here {buckets}");
        let difference = Difference { name: "rate-limit-local/per-route".to_owned(), text, stricter: false };
        draft.approximate(field.child("requests"), difference, &requests);
    } else {
        draft.exact(field.child("requests"), &requests);
    }
    let units = pointers("local", &rules, "limit/unit");
    draft.exact(field.child("per"), &units.iter().map(String::as_str).collect::<Vec<_>>());
    if value.burst.is_some() {
        draft.exact(field.child("burst"), &requests);
    }
    if value.key != RateLimitKey::default() {
        // Envoy's `LocalRateLimit.max_dynamic_descriptors`, which Envoy Gateway does not set.
        let difference = Difference {
            name: "rate-limit-local/twenty-keys".to_owned(),
            text:
                "a proxy remembers the 20 keys that it has seen last; a key that it has forgotten starts with a full \
                   bucket"
                    .to_owned(),
            stricter: false,
        };
        draft.approximate(field.child("key"), difference, &["/rateLimit/local/rules/0/clientSelectors/0"]);
    }
    hold(kind, draft, "local", json!({ "rules": rules }));
}

/// Counted by the installation's own rate-limit service in its Redis, which only the installation can name.
fn global(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    let kind = PolicyKind::RateLimitGlobal;
    let Some(policy) = job.target.policies.rate_limit_global().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if answers_itself(scope, field, draft) {
        return;
    }
    let RateLimitService::Redis { service, namespace, port } = &value.service else {
        draft.unsupported(
            field.child("service"),
            "Envoy Gateway counts with a service of its own, in a Redis",
            &["service.redis", "module kgateway for a service of Envoy's protocol"],
        );
        return;
    };
    let own = scope.route.namespace.as_str();
    let wanted = RateLimitBackend {
        service: service.as_str().to_owned(),
        namespace: namespace.as_ref().map_or(own, |it| it.as_str()).to_owned(),
        port: port.get(),
        fail_open: value.fail_open,
    };
    // Provisioning has refused parameters that cannot be read.
    let installed = parameters::of(job.cx.plane).unwrap_or_default().rate_limit;
    if installed.as_ref() != Some(&wanted) {
        let has = installed
            .as_ref()
            .map_or_else(|| "none".to_owned(), |it| format!("{} (failOpen {})", it.url(), it.fail_open));
        draft.unsupported(
            field.child("service"),
            format!(
                "Envoy Gateway counts in the Redis of its installation, which by the parameters is {has}, and not {} (failOpen {})",
                wanted.url(),
                wanted.fail_open
            ),
            &["gateway.parameters.rateLimit with the same service and failOpen", "rateLimit, which each proxy counts"],
        );
        return;
    }
    let Some(unit) = unit(value.per, field, draft) else { return };
    let limit = json!({ "requests": value.requests, "unit": unit });
    let without = match &value.key {
        RateLimitKey::Header(name) => Some(json!({
            "headers": [{ "type": "RegularExpression", "name": name.as_str(), "value": ".*", "invert": true }]
        })),
        _ => None,
    };
    let mut rules = rules(&value.key, &limit, without);
    for rule in &mut rules {
        // One counter for all rules and matches of the endpoint (CRD, `rules[].shared`).
        rule["shared"] = true.into();
    }
    let cite = |draft: &mut Draft, field: FieldRef, leaf: &str| {
        let pointers = pointers("global", &rules, leaf);
        draft.exact(field, &pointers.iter().map(String::as_str).collect::<Vec<_>>());
    };
    cite(draft, field.child("requests"), "limit/requests");
    cite(draft, field.child("per"), "limit/unit");
    if value.key != RateLimitKey::default() {
        draft.exact(field.child("key"), &["/rateLimit/global/rules/0/clientSelectors/0"]);
    }
    // The installation holds service and failOpen: another value is another installation, and refused above.
    draft.exact(field.child("service"), &["/rateLimit/global"]);
    draft.exact(field.child("failOpen"), &["/rateLimit/global"]);
    draft.mapping.requires.extend(requirements(&wanted));
    hold(kind, draft, "global", json!({ "rules": rules }));
}

/// Values of the chart `gateway-helm` (API EnvoyGateway, `rateLimit`).
fn requirements(backend: &RateLimitBackend) -> [Requirement; 3] {
    let require = |setting: &str, value: String, reason: &str| Requirement {
        setting: format!("config.envoyGateway.rateLimit.{setting}"),
        value,
        reason: reason.to_owned(),
    };
    [
        require("backend.type", "Redis".to_owned(), "global rate limits are counted in Redis"),
        require("backend.redis.url", backend.url(), "global rate limits are counted there"),
        require("failClosed", (!backend.fail_open).to_string(), "what happens to requests when nothing counts"),
    ]
}
