//! Resilience policies.

use gateway_modules_core::{
    intent::{
        FieldRef,
        policies::{HashKey, LoadBalancingAlgorithm, PolicyKind, RateLimitKey, SessionAffinity},
    },
    module::{BackendScope, Difference, Mapping, RouteScope},
    types::Duration,
};
use serde_json::{Value, json};

use super::{Draft, Job};
use crate::{
    nginx,
    resources::{PROXY_SETTINGS_POLICY, RATE_LIMIT_POLICY, UPSTREAM_SETTINGS_POLICY},
};

/// `proxy_read_timeout`, the only limit on a backend's answer that NGINX has.
pub(crate) fn timeout(job: Job<'_>, route: &RouteScope<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::Timeout;
    let Some(policy) = job.target.policies.timeouts().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let (name, limit) = match (value.request, value.backend_request) {
        (Some(_), Some(limit)) => {
            let reason = "NGINX has one read time-out, which backendRequest takes";
            mapping.unsupported(field.child("request"), reason, &["request alone", "backendRequest alone"]);
            ("backendRequest", limit)
        }
        (None, Some(limit)) => ("backendRequest", limit),
        (Some(limit), None) => ("request", limit),
        (None, None) => return,
    };
    let leaf = field.child(name);
    if limit.as_millis() == 0 {
        mapping.unsupported(leaf, "NGINX has no way to say no limit", &["9999h, the longest it takes"]);
        return;
    }
    let Some(text) = nginx::duration(limit) else {
        let reason = "NGINX Gateway Fabric takes at most four digits of ms, s, m or h";
        mapping.unsupported(leaf, reason, &[&format!("{}, the next longer", nginx::duration_above(limit))]);
        return;
    };
    let mut draft = Draft::new(kind, json!({ "timeout": { "read": text } }));
    let difference = Difference {
        name: "timeout/gap-between-reads".to_owned(),
        text: format!("{limit} is the longest gap between two reads from the backend, not the length of the request"),
        stricter: false,
    };
    draft.approximate(leaf, difference, &["/timeout/read"]);
    draft.on_routes(job, route, &PROXY_SETTINGS_POLICY, field, mapping);
}

/// Shared memory of a rate limit: about 160,000 buckets.
const ZONE: &str = "10m";
const RULE: &str = "/rateLimit/local/rules/0";

/// `limit_req` with `nodelay`: a leaky bucket in which `burst` requests may be ahead, which is a token bucket of one more.
/// Each policy has a zone of its own, so a constant key is one bucket for the whole target.
pub(crate) fn rate_limit(job: Job<'_>, route: &RouteScope<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::RateLimitLocal;
    let Some(policy) = job.target.policies.rate_limit().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let Some(rate) = rate(value.requests, value.per) else {
        refuse_rate(value.requests, value.per, field, mapping);
        return;
    };
    let Ok(burst) = i32::try_from(value.burst().saturating_sub(1)) else {
        mapping.unsupported(field.child("burst"), "NGINX Gateway Fabric takes at most 2147483647", &[]);
        return;
    };
    let key = match &value.key {
        RateLimitKey::Endpoint {} => "endpoint".to_owned(),
        RateLimitKey::ClientIp {} => "$binary_remote_addr".to_owned(),
        RateLimitKey::Header(header) => match nginx::header_variable(header.as_str()) {
            // The text before the variable: NGINX does not count requests whose key is empty.
            Some(variable) => format!("header:{variable}"),
            None => {
                let reason = "NGINX has no variable of its own for the header: only letters, digits and - in its name";
                mapping.unsupported(field.child("key"), reason, &["a header with such a name", "key clientIp"]);
                return;
            }
        },
    };
    if route.objects.len() > 16 {
        let reason = "a RateLimitPolicy holds 16 routes at most, and a second one would count for itself";
        mapping.unsupported(field.clone(), reason, &["fewer rules in the endpoint"]);
        return;
    }
    let spec = json!({
        "rateLimit": {
            "local": { "rules": [{ "rate": rate, "burst": burst, "noDelay": true, "key": key, "zoneSize": ZONE }] },
            "rejectCode": 429,
        },
    });
    let mut draft = Draft::new(kind, spec);
    draft.exact(field.child("requests"), &format!("{RULE}/rate"));
    draft.exact(field.child("per"), &format!("{RULE}/rate"));
    if value.burst.is_some() {
        draft.exact(field.child("burst"), &format!("{RULE}/burst"));
    }
    draft.exact(field.child("key"), &format!("{RULE}/key"));
    draft.on_routes(job, route, &RATE_LIMIT_POLICY, field, mapping);
}

/// The rate in whole requests per second or minute (`^\d+r/[sm]$`).
fn rate(requests: u32, per: Duration) -> Option<String> {
    let millis = per.as_millis();
    if millis == 0 {
        return None;
    }
    [(1000_u64, "s"), (60_000, "m")].into_iter().find_map(|(period, unit)| {
        let scaled = u64::from(requests) * period;
        scaled.is_multiple_of(millis).then(|| format!("{}r/{unit}", scaled / millis))
    })
}

fn refuse_rate(requests: u32, per: Duration, field: &FieldRef, mapping: &mut Mapping) {
    let millis = per.as_millis().max(1);
    let lower = u64::from(requests) * 60_000 / millis;
    let nearest = if lower == 0 {
        "1 request per 1m, the least that NGINX takes".to_owned()
    } else {
        format!("{lower} or {} requests per 1m", lower + 1)
    };
    let reason = format!("NGINX counts whole requests per second or per minute, and {requests} per {per} is neither");
    for child in ["requests", "per"] {
        mapping.unsupported(field.child(child), reason.clone(), &[&nearest]);
    }
}

/// What chooses an endpoint of a Service.
struct Method {
    spec: Value,
}

impl Method {
    fn named(name: &str) -> Self {
        Self { spec: json!({ "loadBalancingMethod": name }) }
    }

    /// `hash … consistent` (ketama).
    fn hash(variable: &str) -> Self {
        Self { spec: json!({ "loadBalancingMethod": "hash consistent", "hashMethodKey": variable }) }
    }
}

pub(crate) fn backend(job: Job<'_>, backend: &BackendScope, mapping: &mut Mapping) {
    let balancing = job.target.policies.load_balancing().filter(|_| job.target.must_map(PolicyKind::LoadBalancing));
    let affinity = job.target.policies.session_affinity().filter(|_| job.target.must_map(PolicyKind::SessionAffinity));
    let draft = match (balancing, affinity) {
        (Some(balancing), Some(affinity)) => {
            let reason = "NGINX keeps clients on an endpoint by its load balancing, and a Service has one of them";
            mapping.unsupported(affinity.field.clone(), reason, &["sessionAffinity without loadBalancing"]);
            load_balancing(balancing.field, &balancing.value.algorithm, mapping)
        }
        (Some(balancing), None) => load_balancing(balancing.field, &balancing.value.algorithm, mapping),
        (None, Some(affinity)) => session_affinity(affinity.field, affinity.value, mapping),
        (None, None) => None,
    };
    if let Some(draft) = draft {
        draft.on_service(job, &backend.namespace, &backend.service, &UPSTREAM_SETTINGS_POLICY, mapping);
    }
}

fn load_balancing(field: &FieldRef, algorithm: &LoadBalancingAlgorithm, mapping: &mut Mapping) -> Option<Draft> {
    let at = field.child("algorithm");
    let (method, leaf) = match algorithm {
        LoadBalancingAlgorithm::RoundRobin {} => (Method::named("round_robin"), at),
        LoadBalancingAlgorithm::LeastRequest {} => (Method::named("random two least_conn"), at),
        LoadBalancingAlgorithm::Random {} => (Method::named("random"), at),
        LoadBalancingAlgorithm::ConsistentHash(key) => {
            let at = at.child("consistentHash");
            let (variable, leaf) = match key {
                HashKey::ClientIp {} => (Some("$remote_addr".to_owned()), at.child("clientIp")),
                HashKey::Header(name) => (nginx::header_variable(name.as_str()), at.child("header")),
                HashKey::Cookie(name) => (Some(format!("$cookie_{}", name.as_str())), at.child("cookie")),
            };
            let Some(variable) = variable.filter(|variable| is_hash_key(variable)) else {
                let reason = "NGINX Gateway Fabric takes a variable of small letters and _ only (hashMethodKey)";
                let alternatives = ["a header of letters and -", "a cookie of small letters and _", "clientIp"];
                mapping.unsupported(leaf, reason, &alternatives);
                return None;
            };
            let mut draft = Draft::new(PolicyKind::LoadBalancing, Method::hash(&variable).spec);
            draft.exact(leaf, "/hashMethodKey");
            return Some(draft);
        }
    };
    let mut draft = Draft::new(PolicyKind::LoadBalancing, method.spec);
    draft.exact(leaf, "/loadBalancingMethod");
    Some(draft)
}

/// `^\$[a-z_]+$`
fn is_hash_key(variable: &str) -> bool {
    variable.strip_prefix('$').is_some_and(|name| {
        !name.is_empty() && name.chars().all(|character| character.is_ascii_lowercase() || character == '_')
    })
}

/// NGINX open source keeps a client on an endpoint by its address only; cookies need NGINX Plus.
fn session_affinity(field: &FieldRef, value: &SessionAffinity, mapping: &mut Mapping) -> Option<Draft> {
    match value {
        SessionAffinity::ClientIp {} => {
            let mut draft = Draft::new(PolicyKind::SessionAffinity, Method::hash("$remote_addr").spec);
            let difference = Difference {
                name: "session-affinity/rehashed".to_owned(),
                text: "a consistent hash: some clients move to another endpoint when endpoints come or go".to_owned(),
                stricter: false,
            };
            draft.approximate(field.child("clientIp"), difference, &["/hashMethodKey"]);
            Some(draft)
        }
        SessionAffinity::Cookie { name: _, ttl } => {
            let cookie = field.child("cookie");
            if ttl.is_some() {
                let reason = "NGINX open source sets no cookie, so there is none to expire";
                mapping.unsupported(cookie.child("ttl"), reason, &["no ttl", "module kgateway"]);
            }
            let mut draft = Draft::new(PolicyKind::SessionAffinity, Method::named("ip_hash").spec);
            let difference = Difference {
                name: "session-affinity/by-client-address".to_owned(),
                text: "no cookie is set, whatever its name: clients are told apart by their address, of IPv4 its first three numbers, so those \
                       behind one address translation share an endpoint"
                    .to_owned(),
                stricter: false,
            };
            draft.approximate(cookie.child("name"), difference, &["/loadBalancingMethod"]);
            Some(draft)
        }
        SessionAffinity::Header { .. } => {
            let reason = "NGINX sets no header that keeps a client on an endpoint";
            mapping.unsupported(field.child("header"), reason, &["clientIp", "loadBalancing by consistentHash"]);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_whole_numbers_per_second_or_minute() {
        for (requests, millis, expected) in [
            (100, 60_000, Some("100r/m")),
            (10, 1000, Some("10r/s")),
            (120, 60_000, Some("2r/s")),
            (1, 100, Some("10r/s")),
            (3600, 3_600_000, Some("1r/s")),
            (60, 3_600_000, Some("1r/m")),
            (1000, 3_600_000, None),
            (1, 0, None),
        ] {
            assert_eq!(rate(requests, Duration::from_millis(millis)).as_deref(), expected, "{requests} per {millis}");
        }
    }
}
