//! Resilience policies of a Service: one `DestinationRule`, since Istio takes one per host.

use gateway_modules_core::{
    intent::{
        FieldRef,
        policies::{HashKey, LoadBalancingAlgorithm, PolicyKind, SessionAffinity},
    },
    module::{BackendScope, Difference, Mapping},
    types::Duration,
};
use serde_json::{Map, Value, json};

use super::Job;
use crate::resources::{DESTINATION_RULE, object};

/// The rule in the making.
#[derive(Default)]
struct Draft {
    policy: Map<String, Value>,
    kinds: Vec<PolicyKind>,
    cites: Vec<(FieldRef, String, Option<Difference>)>,
}

impl Draft {
    /// A place below `trafficPolicy`, made where it is not there.
    fn set(&mut self, path: &[&str], value: Value) {
        let Some((last, above)) = path.split_last() else { return };
        let mut map = &mut self.policy;
        for name in above {
            let next = map.entry((*name).to_owned()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(next) = next else { return };
            map = next;
        }
        map.insert((*last).to_owned(), value);
    }

    fn exact(&mut self, field: FieldRef, pointer: impl Into<String>) {
        self.cites.push((field, pointer.into(), None));
    }
}

pub(super) fn backend(job: Job<'_>, scope: &BackendScope, mapping: &mut Mapping) {
    let mut draft = Draft::default();
    circuit_breaking(job, &mut draft, mapping);
    connection_limit(job, &mut draft, mapping);
    outlier_detection(job, &mut draft, mapping);
    load_balancing(job, &mut draft);
    session_affinity(job, &mut draft, mapping);
    if draft.kinds.is_empty() {
        return;
    }
    let host = format!("{}.{}.svc.cluster.local", scope.service, scope.namespace);
    let spec = json!({ "host": host, "trafficPolicy": draft.policy });
    let name = job.name(&["backend"]);
    let handle = mapping.object(object(&DESTINATION_RULE, &scope.namespace, &name, &spec), draft.kinds);
    for (field, pointer, difference) in draft.cites {
        let citation = handle.at(format!("/spec/trafficPolicy{pointer}"));
        match difference {
            Some(difference) => mapping.approximate(field, difference, [citation]),
            None => mapping.exact(field, [citation]),
        }
    }
}

/// The CRD writes counts as int32.
fn fits(mapping: &mut Mapping, field: FieldRef, number: u32) -> bool {
    let fits = number >= 1 && i32::try_from(number).is_ok();
    if !fits {
        mapping.unsupported(field, "Istio takes 1 to 2147483647", &["a number in that range"]);
    }
    fits
}

/// Durations of 1 ms or longer (CRD).
fn lasts(mapping: &mut Mapping, field: FieldRef, duration: Duration) -> bool {
    let lasts = duration.as_millis() >= 1;
    if !lasts {
        mapping.unsupported(field, "Istio takes 1ms or longer", &["1ms"]);
    }
    lasts
}

fn circuit_breaking(job: Job<'_>, draft: &mut Draft, mapping: &mut Mapping) {
    let kind = PolicyKind::CircuitBreaking;
    let Some(policy) = job.target.policies.circuit_breaking().filter(|_| job.target.must_map(kind)) else { return };
    let value = policy.value;
    let mut any = false;
    // "http2MaxRequests" holds for HTTP/1.1 too, and "http1MaxPendingRequests" for HTTP/2 (ConnectionPoolSettings).
    for (name, limit, place) in [
        ("maxConnections", value.max_connections, ["tcp", "maxConnections"]),
        ("maxPendingRequests", value.max_pending_requests, ["http", "http1MaxPendingRequests"]),
        ("maxRequests", value.max_requests, ["http", "http2MaxRequests"]),
        ("maxRetries", value.max_retries, ["http", "maxRetries"]),
    ] {
        let Some(limit) = limit else { continue };
        if fits(mapping, policy.field.child(name), limit) {
            draft.set(&["connectionPool", place[0], place[1]], limit.into());
            draft.exact(policy.field.child(name), format!("/connectionPool/{}/{}", place[0], place[1]));
            any = true;
        }
    }
    if any {
        draft.kinds.push(kind);
    }
}

/// The same field as `circuitBreaking.maxConnections`.
fn connection_limit(job: Job<'_>, draft: &mut Draft, mapping: &mut Mapping) {
    let kind = PolicyKind::ConnectionLimit;
    let Some(policy) = job.target.policies.connection_limit().filter(|_| job.target.must_map(kind)) else { return };
    let (field, max) = (policy.field.child("max"), policy.value.max);
    let breaker = job.target.policies.circuit_breaking().and_then(|breaker| breaker.value.max_connections);
    if let Some(other) = breaker.filter(|other| *other != max) {
        let reason = format!("circuitBreaking.maxConnections is the same limit, and it is {other}");
        mapping.unsupported(field, reason, &["one of the two"]);
    } else if fits(mapping, field.clone(), max) {
        draft.set(&["connectionPool", "tcp", "maxConnections"], max.into());
        // A limit of waiting requests would refuse those that wait for a connection to be opened, too.
        let waits = Difference {
            name: "connection-limit/waits".to_owned(),
            text: "a request for which no connection is free waits for one as long as its timeout lets it, instead of being \
                   answered with 503"
                .to_owned(),
            stricter: false,
        };
        draft.cites.push((field, "/connectionPool/tcp/maxConnections".to_owned(), Some(waits)));
        draft.kinds.push(kind);
    }
}

fn outlier_detection(job: Job<'_>, draft: &mut Draft, mapping: &mut Mapping) {
    let kind = PolicyKind::OutlierDetection;
    let Some(policy) = job.target.policies.outlier_detection().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    // The defaults of the policy are written out, so that another version's defaults change nothing.
    let interval = value.interval.unwrap_or(Duration::from_secs(10));
    let ejection = value.base_ejection_time.unwrap_or(Duration::from_secs(30));
    let percent = value.max_ejection_percent.map_or(10, gateway_modules_core::types::Percent::get);
    let valid = fits(mapping, field.child("consecutive5xx"), value.consecutive_5xx)
        & lasts(mapping, field.child("interval"), interval)
        & lasts(mapping, field.child("baseEjectionTime"), ejection);
    if !valid {
        return;
    }
    draft.set(
        &["outlierDetection"],
        json!({
            "consecutive5xxErrors": value.consecutive_5xx,
            "interval": interval.to_string(),
            "baseEjectionTime": ejection.to_string(),
            "maxEjectionPercent": percent,
        }),
    );
    draft.kinds.push(kind);
    draft.exact(field.child("consecutive5xx"), "/outlierDetection/consecutive5xxErrors");
    for (name, written) in [
        ("interval", value.interval.is_some()),
        ("baseEjectionTime", value.base_ejection_time.is_some()),
        ("maxEjectionPercent", value.max_ejection_percent.is_some()),
    ] {
        if written {
            draft.exact(field.child(name), format!("/outlierDetection/{name}"));
        }
    }
}

fn load_balancing(job: Job<'_>, draft: &mut Draft) {
    let kind = PolicyKind::LoadBalancing;
    let Some(policy) = job.target.policies.load_balancing().filter(|_| job.target.must_map(kind)) else { return };
    let hash = |key: Value| json!({ "consistentHash": key });
    let value = match &policy.value.algorithm {
        LoadBalancingAlgorithm::RoundRobin {} => json!({ "simple": "ROUND_ROBIN" }),
        LoadBalancingAlgorithm::LeastRequest {} => json!({ "simple": "LEAST_REQUEST" }),
        LoadBalancingAlgorithm::Random {} => json!({ "simple": "RANDOM" }),
        LoadBalancingAlgorithm::ConsistentHash(HashKey::Header(name)) => {
            hash(json!({ "httpHeaderName": name.as_str() }))
        }
        // Without a ttl the cookie that the client sends is hashed, and none is set.
        LoadBalancingAlgorithm::ConsistentHash(HashKey::Cookie(name)) => {
            hash(json!({ "httpCookie": { "name": name.as_str() } }))
        }
        LoadBalancingAlgorithm::ConsistentHash(HashKey::ClientIp {}) => hash(json!({ "useSourceIp": true })),
    };
    draft.set(&["loadBalancer"], value);
    draft.kinds.push(kind);
    draft.exact(policy.field.child("algorithm"), "/loadBalancer");
}

fn session_affinity(job: Job<'_>, draft: &mut Draft, mapping: &mut Mapping) {
    let kind = PolicyKind::SessionAffinity;
    let Some(policy) = job.target.policies.session_affinity().filter(|_| job.target.must_map(kind)) else { return };
    let field = policy.field;
    if draft.policy.contains_key("loadBalancer") {
        let reason = "Istio keeps a client on an endpoint by its load balancer, and loadBalancing has chosen another";
        mapping.unsupported(field.clone(), reason, &["no loadBalancing"]);
        return;
    }
    let (hash, place) = match policy.value {
        SessionAffinity::Cookie { name, ttl } => {
            if ttl.is_some_and(|ttl| ttl.as_millis() == 0) {
                // To Envoy a ttl of zero is a cookie of the browser session.
                let reason = "Istio has no cookie that lives no time";
                mapping.unsupported(field.child("cookie").child("ttl"), reason, &["no ttl"]);
                return;
            }
            let ttl = ttl.map_or_else(|| "0s".to_owned(), |ttl| ttl.to_string());
            (json!({ "httpCookie": { "name": name.as_str(), "path": "/", "ttl": ttl } }), "cookie")
        }
        SessionAffinity::ClientIp {} => (json!({ "useSourceIp": true }), "clientIp"),
        SessionAffinity::Header { .. } => {
            let reason = "Istio hashes a header that the client sends, and sets none";
            let alternatives = ["cookie", "loadBalancing.algorithm.consistentHash.header"];
            mapping.unsupported(field.child("header"), reason, &alternatives);
            return;
        }
    };
    draft.set(&["loadBalancer"], json!({ "consistentHash": hash }));
    draft.kinds.push(kind);
    let rehashed = Difference {
        name: "session-affinity/rehashed".to_owned(),
        text: "the endpoint is chosen by a consistent hash: when one of N endpoints comes or goes, about one in N clients \
               moves, also clients whose endpoint still lives"
            .to_owned(),
        stricter: false,
    };
    draft.cites.push((field.child(place), "/loadBalancer/consistentHash".to_owned(), Some(rehashed)));
}
