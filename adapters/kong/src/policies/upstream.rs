//! `KongUpstreamPolicy`: one for a Service, named by the Service's annotation, with its whole set.

use gateway_modules_core::{
    intent::{
        FieldRef,
        policies::{HashKey, HealthProbe, LoadBalancingAlgorithm, PolicyKind, SessionAffinity},
    },
    module::{BackendScope, Difference, Mapping, Requirement},
    object::Object,
    types::Duration,
};
use serde_json::{Value, json};

use super::{
    Job,
    plugin::difference,
    service::{annotate, approximate},
};
use crate::resources::KONG_UPSTREAM_POLICY;

/// A field, its difference, and where it is in the policy's spec.
struct Pending(FieldRef, Option<Difference>, &'static str);

/// The policy in the making.
struct Draft<'a> {
    mapping: &'a mut Mapping,
    spec: Value,
    kinds: Vec<PolicyKind>,
    pending: Vec<Pending>,
}

impl Draft<'_> {
    fn exact(&mut self, field: FieldRef, pointer: &'static str) {
        self.pending.push(Pending(field, None, pointer));
    }

    fn approximate(&mut self, field: FieldRef, difference: Difference, pointer: &'static str) {
        self.pending.push(Pending(field, Some(difference), pointer));
    }

    fn unsupported(&mut self, field: FieldRef, reason: &str, alternatives: &[&str]) {
        self.mapping.unsupported(field, reason, alternatives);
    }
}

pub(super) fn map(job: Job<'_>, scope: &BackendScope, mapping: &mut Mapping) {
    let mut draft = Draft { mapping, spec: json!({}), kinds: Vec::new(), pending: Vec::new() };
    load_balancing(job, &mut draft);
    session_affinity(job, &mut draft);
    health_check(job, &mut draft);
    outlier_detection(job, &mut draft);
    let Draft { mapping, spec, kinds, pending } = draft;
    let Some(first) = pending.first().map(|Pending(field, _, _)| field.clone()) else { return };
    let name = job.name("upstream");
    let object = Object::new(&KONG_UPSTREAM_POLICY, Some(&scope.namespace), &name).with_spec(spec);
    let handle = mapping.object(object, kinds);
    let reason = "Kong finds the policy of a Service by it";
    annotate(mapping, scope, "konghq.com/upstream-policy", name, reason, &first);
    for Pending(field, difference, pointer) in pending {
        let citations = vec![handle.at(format!("/spec{pointer}"))];
        match difference {
            Some(difference) => approximate(mapping, field, difference, citations),
            None => mapping.exact(field, citations),
        }
    }
}

fn load_balancing(job: Job<'_>, draft: &mut Draft<'_>) {
    let kind = PolicyKind::LoadBalancing;
    let Some(policy) = job.target.policies.load_balancing().filter(|_| job.target.must_map(kind)) else { return };
    let field = policy.field.child("algorithm");
    let algorithm = match &policy.value.algorithm {
        LoadBalancingAlgorithm::RoundRobin {} => "round-robin",
        LoadBalancingAlgorithm::LeastRequest {} => "least-connections",
        LoadBalancingAlgorithm::Random {} => {
            draft.unsupported(field, "Kong does not choose at random", &["roundRobin", "module kgateway"]);
            return;
        }
        LoadBalancingAlgorithm::ConsistentHash(key) => {
            draft.spec["hashOn"] = match key {
                HashKey::Header(name) => json!({ "header": name.as_str() }),
                HashKey::Cookie(name) => json!({ "cookie": name.as_str(), "cookiePath": "/" }),
                HashKey::ClientIp {} => json!({ "input": "ip" }),
            };
            "consistent-hashing"
        }
    };
    draft.spec["algorithm"] = algorithm.into();
    draft.kinds.push(kind);
    match &policy.value.algorithm {
        LoadBalancingAlgorithm::ConsistentHash(HashKey::Cookie(_)) => {
            let text = "Kong gives the cookie to a client that sends none";
            draft.approximate(field, difference("load-balancing/sets-cookie", text), "/hashOn/cookie");
        }
        LoadBalancingAlgorithm::ConsistentHash(HashKey::Header(_)) => draft.exact(field, "/hashOn/header"),
        LoadBalancingAlgorithm::ConsistentHash(HashKey::ClientIp {}) => draft.exact(field, "/hashOn/input"),
        _ => draft.exact(field, "/algorithm"),
    }
}

fn session_affinity(job: Job<'_>, draft: &mut Draft<'_>) {
    let kind = PolicyKind::SessionAffinity;
    let Some(policy) = job.target.policies.session_affinity().filter(|_| job.target.must_map(kind)) else { return };
    let field = policy.field;
    if draft.spec.get("algorithm").is_some() {
        let reason = "Kong has one algorithm for a Service, and loadBalancing names another";
        draft.unsupported(field.clone(), reason, &["sessionAffinity without loadBalancing"]);
        return;
    }
    match policy.value {
        SessionAffinity::Cookie { name, ttl } => {
            if ttl.is_some() {
                let text = "Kong's cookie lives until the browser closes";
                let difference = difference("session-affinity/session-cookie", text);
                draft.approximate(field.at("/cookie/ttl"), difference, "/stickySessions/cookie");
            }
            draft.spec["algorithm"] = "sticky-sessions".into();
            draft.spec["hashOn"] = json!({ "input": "none" });
            draft.spec["stickySessions"] = json!({ "cookie": name.as_str(), "cookiePath": "/" });
            draft.mapping.requires.push(Requirement {
                setting: "Kong Gateway, image of the DataPlane".to_owned(),
                value: "3.11 or newer".to_owned(),
                reason: "older ones have no algorithm sticky-sessions (kongstate.go, KongStickySessionsCutoff)"
                    .to_owned(),
            });
            draft.exact(field.at("/cookie/name"), "/stickySessions/cookie");
        }
        SessionAffinity::ClientIp {} => {
            draft.spec["algorithm"] = "consistent-hashing".into();
            draft.spec["hashOn"] = json!({ "input": "ip" });
            let text = "when endpoints come or go, some clients move to another although theirs lives";
            draft.approximate(field.child("clientIp"), difference("session-affinity/rehashed", text), "/hashOn/input");
        }
        SessionAffinity::Header { .. } => {
            let reason = "Kong sets no header that keeps a client on an endpoint";
            draft.unsupported(field.child("header"), reason, &["cookie"]);
            return;
        }
    }
    draft.kinds.push(kind);
}

/// Whole seconds, as Kong counts; refuses others.
fn seconds(draft: &mut Draft<'_>, field: &FieldRef, duration: Duration) -> Option<u64> {
    let seconds = duration.as_whole_secs().filter(|seconds| (1..=65_535).contains(seconds));
    if seconds.is_none() {
        draft.unsupported(field.clone(), "Kong takes 1 to 65535 whole seconds", &["1s"]);
    }
    seconds
}

/// A count that Kong takes, 1 to 255; refuses others.
fn count(draft: &mut Draft<'_>, field: &FieldRef, count: u32) -> bool {
    let fits = (1..=255).contains(&count);
    if !fits {
        draft.unsupported(field.clone(), "Kong counts to 255", &["a number from 1 to 255"]);
    }
    fits
}

fn health_check(job: Job<'_>, draft: &mut Draft<'_>) {
    let kind = PolicyKind::HealthCheck;
    let Some(policy) = job.target.policies.health_check().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let HealthProbe::Http { path } = &value.probe else {
        let reason = "Kong does not speak the gRPC health protocol";
        draft.unsupported(field.child("probe"), reason, &["probe.http", "module kgateway"]);
        return;
    };
    let (healthy, unhealthy) = (value.healthy_threshold.unwrap_or(1), value.unhealthy_threshold.unwrap_or(3));
    let fits = count(draft, &field.child("healthyThreshold"), healthy)
        & count(draft, &field.child("unhealthyThreshold"), unhealthy);
    let interval = seconds(draft, &field.child("interval"), value.interval);
    let timeout = seconds(draft, &field.child("timeout"), value.timeout);
    let (Some(interval), Some(timeout), true) = (interval, timeout, fits) else { return };
    // A status in neither list says nothing to Kong; here only 200 is good.
    let bad: Vec<u16> = (201..=599).collect();
    draft.spec["healthchecks"]["active"] = json!({
        "type": "http",
        "httpPath": path.as_str(),
        "timeout": timeout,
        "healthy": { "interval": interval, "successes": healthy, "httpStatuses": [200] },
        "unhealthy": {
            "interval": interval,
            "httpFailures": unhealthy,
            "tcpFailures": unhealthy,
            "timeouts": unhealthy,
            "httpStatuses": bad,
        },
    });
    draft.kinds.push(kind);
    draft.exact(field.at("/probe/http/path"), "/healthchecks/active/httpPath");
    draft.exact(field.child("interval"), "/healthchecks/active/unhealthy/interval");
    draft.exact(field.child("timeout"), "/healthchecks/active/timeout");
    if value.healthy_threshold.is_some() {
        draft.exact(field.child("healthyThreshold"), "/healthchecks/active/healthy/successes");
    }
    if value.unhealthy_threshold.is_some() {
        draft.exact(field.child("unhealthyThreshold"), "/healthchecks/active/unhealthy/httpFailures");
    }
}

fn outlier_detection(job: Job<'_>, draft: &mut Draft<'_>) {
    let kind = PolicyKind::OutlierDetection;
    let Some(policy) = job.target.policies.outlier_detection().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let failures = field.child("consecutive5xx");
    if !count(draft, &failures, value.consecutive_5xx) {
        return;
    }
    let bad: Vec<u16> = (500..=599).collect();
    draft.spec["healthchecks"]["passive"] =
        json!({ "type": "http", "unhealthy": { "httpFailures": value.consecutive_5xx, "httpStatuses": bad } });
    draft.kinds.push(kind);
    let text = "an endpoint that is taken out comes back by an active health check (`healthCheck`) or by hand only, and \
                all endpoints may be out at a time";
    let pointer = "/healthchecks/passive/unhealthy/httpFailures";
    draft.approximate(failures, difference("outlier-detection/stays-out", text), pointer);
    let others = [
        ("interval", value.interval.is_some(), "without-interval", "Kong looks at each answer, not at intervals"),
        ("baseEjectionTime", value.base_ejection_time.is_some(), "stays-out", text),
        (
            "maxEjectionPercent",
            value.max_ejection_percent.is_some(),
            "any-share",
            "Kong takes out any share of the endpoints",
        ),
    ];
    for (name, _, what, text) in others.into_iter().filter(|(_, written, _, _)| *written) {
        draft.approximate(field.child(name), difference(&format!("outlier-detection/{what}"), text), pointer);
    }
}
