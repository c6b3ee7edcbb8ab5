//! Rate limits, as plugins of the route.

use gateway_modules_core::{
    intent::{
        FieldRef,
        policies::{PolicyKind, RateLimitKey, RateLimitService},
    },
    types::Duration,
};
use serde_json::{Value, json};

use super::plugin::{Draft, difference};

pub(crate) fn route(draft: &mut Draft<'_>) {
    local(draft);
    global(draft);
}

/// The window of `rate-limiting` for a period.
fn window(draft: &mut Draft<'_>, field: &FieldRef, per: Duration) -> Option<&'static str> {
    match per.as_millis() {
        1000 => Some("second"),
        60_000 => Some("minute"),
        3_600_000 => Some("hour"),
        86_400_000 => Some("day"),
        _ => {
            let reason = "Kong counts in windows of a second, a minute, an hour or a day";
            draft.unsupported(field.clone(), reason, &["1s", "1m", "1h", "24h"]);
            None
        }
    }
}

/// `limit_by` and, for a header, its name. The plugin stands at the route, which is part of the counter's key: `service`
/// then means all clients.
fn limit_by(config: &mut Value, key: &RateLimitKey) {
    match key {
        RateLimitKey::Endpoint {} => config["limit_by"] = "service".into(),
        RateLimitKey::ClientIp {} => config["limit_by"] = "ip".into(),
        RateLimitKey::Header(name) => {
            config["limit_by"] = "header".into();
            config["header_name"] = name.as_str().into();
        }
    }
}

/// Differences that local and global limits share.
fn shared(draft: &Draft<'_>, kind: PolicyKind) -> Vec<gateway_modules_core::module::Difference> {
    let matches = draft.matches();
    if matches <= 1 {
        return Vec::new();
    }
    let text = format!("Kong counts each of its routes for itself, so up to {matches} times as many requests pass");
    vec![difference(&format!("{kind}/counter-per-match"), text)]
}

fn key(draft: &mut Draft<'_>, kind: PolicyKind, field: FieldRef, key: &RateLimitKey, plugin: super::plugin::Plugin) {
    match key {
        RateLimitKey::Endpoint {} => {}
        RateLimitKey::ClientIp {} => draft.exact(field, plugin, "/limit_by"),
        RateLimitKey::Header(name) => {
            let text = format!("requests without the header {name} are counted by their address");
            let differences = vec![difference(&format!("{kind}/without-header-by-address"), text)];
            draft.approximate(field, differences, plugin, "/header_name");
        }
    }
}

fn local(draft: &mut Draft<'_>) {
    let (kind, target) = (PolicyKind::RateLimitLocal, draft.job.target);
    let Some(policy) = target.policies.rate_limit().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if value.burst() != value.requests {
        let reason = "Kong counts in fixed windows and has no burst of another size";
        draft.unsupported(field.child("burst"), reason, &["no burst", "module kgateway or traefik"]);
        return;
    }
    let Some(window) = window(draft, &field.child("per"), value.per) else { return };
    let mut config = json!({ window: value.requests, "policy": "local", "fault_tolerant": true, "error_code": 429 });
    limit_by(&mut config, &value.key);
    let plugin = draft.plugin(kind, "rate-limiting", config);
    let text = format!(
        "Kong counts in windows that begin with each {window}, so up to {} requests can pass within one {window}",
        value.requests.saturating_mul(2)
    );
    let mut differences = vec![difference("rate-limit-local/fixed-window", text)];
    differences.extend(shared(draft, kind));
    let pointer = format!("/{window}");
    draft.approximate(field.child("requests"), differences, plugin, &pointer);
    draft.exact(field.child("per"), plugin, &pointer);
    if value.burst.is_some() {
        draft.exact(field.child("burst"), plugin, &pointer);
    }
    key(draft, kind, field.child("key"), &value.key, plugin);
}

fn global(draft: &mut Draft<'_>) {
    let (kind, target) = (PolicyKind::RateLimitGlobal, draft.job.target);
    let Some(policy) = target.policies.rate_limit_global().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if target.policies.rate_limit().is_some() {
        let reason = "Kong has one plugin rate-limiting for a route, and the local rate limit is it";
        draft.unsupported(field.clone(), reason, &["rateLimit alone", "rateLimitGlobal alone"]);
        return;
    }
    let RateLimitService::Redis { service, namespace, port } = &value.service else {
        let reason = "Kong counts in Redis";
        draft.unsupported(field.child("service"), reason, &["service.redis", "module kgateway"]);
        return;
    };
    let own = draft.scope.route.namespace.as_str();
    let other = namespace.as_ref().map_or(own, |namespace| namespace.as_str());
    let place = field.at("/service/redis");
    if !draft.job.cx.plane.allows_reference(own, other) {
        let reason = format!("the plane does not allow references from namespace {own} to namespace {other}");
        draft.unsupported(place.child("namespace"), reason, &["allowedReferences of the DataPlane"]);
        return;
    }
    let Some(window) = window(draft, &field.child("per"), value.per) else { return };
    let mut config = json!({
        window: value.requests,
        "policy": "redis",
        "redis": { "host": format!("{service}.{other}.svc"), "port": port.get() },
        "fault_tolerant": value.fail_open,
        "error_code": 429,
    });
    limit_by(&mut config, &value.key);
    let plugin = draft.plugin(kind, "rate-limiting", config);
    let pointer = format!("/{window}");
    let differences = shared(draft, kind);
    draft.approximate(field.child("requests"), differences, plugin, &pointer);
    draft.exact(field.child("per"), plugin, &pointer);
    draft.exact(field.child("failOpen"), plugin, "/fault_tolerant");
    draft.exact(place.child("service"), plugin, "/redis/host");
    draft.exact(place.child("port"), plugin, "/redis/port");
    if namespace.is_some() {
        draft.exact(place.child("namespace"), plugin, "/redis/host");
    }
    key(draft, kind, field.child("key"), &value.key, plugin);
}
