//! Limits: how many requests, how many at a time, how large.

use gateway_modules_core::{
    intent::{
        EndpointType, FieldRef,
        policies::{PolicyKind, RateLimitKey, RateLimitService},
    },
    module::Difference,
    types::Duration,
};
use serde_json::{Value, json};

use super::{Work, work::looser};

/// More entries than `X-Forwarded-For` can have: the header would be two gigabytes long, and Traefik reads one megabyte.
///
/// Deeper than the header is, Traefik's key is the empty text (`pkg/ip/strategy.go`, DepthStrategy.GetIP), so this is one
/// bucket for all clients, which no client can leave.
const ONE_BUCKET: i32 = i32::MAX;

/// `sourceCriterion`: it is always written, since the default is the address of the client for rate limits, and the host for
/// requests in flight.
fn source(key: &RateLimitKey) -> Value {
    match key {
        RateLimitKey::Endpoint {} => json!({ "ipStrategy": { "depth": ONE_BUCKET } }),
        // Depth 0 is the address of the connection.
        RateLimitKey::ClientIp {} => json!({ "ipStrategy": { "depth": 0 } }),
        RateLimitKey::Header(name) => json!({ "requestHeaderName": name.as_str() }),
    }
}

/// Traefik computes `average` seconds in nanoseconds in 64 bits (`rate_limiter.go`), and its tokens come back one by one.
const MOST_REQUESTS: u32 = 1_000_000_000;

fn bucket(work: &mut Work<'_>, field: &FieldRef, requests: u32, burst: u32, per: Duration) -> Option<Value> {
    let mut whole = true;
    for (name, number) in [("requests", requests), ("burst", burst)] {
        if !(1..=MOST_REQUESTS).contains(&number) {
            work.unsupported(
                field.child(name),
                "Traefik is given 1 to 1000000000 requests",
                &["a number in that range"],
            );
            whole = false;
        }
    }
    if per.as_millis() == 0 {
        // `rate_limiter.go`: a period of zero is taken as one second.
        work.unsupported(field.child("per"), "Traefik takes no period of 0", &["1s"]);
        whole = false;
    }
    whole.then(|| json!({ "average": requests, "period": per.to_string(), "burst": burst }))
}

/// Traefik keeps a bucket for 2 s after the last request, or for one token's time and 1 s where that is longer
/// (`rate_limiter.go`, New: ttl; the same in memory and in Redis; seen with requests on 3.7.15). What has not come back by then comes back at once.
fn forgotten(kind: PolicyKind, requests: u32, burst: u32, per: Duration) -> Option<Difference> {
    let (rate, period) = (u128::from(requests) * 1000, u128::from(per.as_millis()));
    let seconds = if rate >= period { 2 } else { 1 + period / rate };
    let back = rate * seconds / period;
    (u128::from(burst) > back).then(|| {
        let text = format!(
            "Traefik forgets a bucket after {seconds} s without a request, so after such a pause all {burst} requests pass at \
             once, not the {back} whose tokens have come back"
        );
        looser(&format!("{kind}/forgotten-when-idle"), text)
    })
}

pub(super) fn rate_limit(work: &mut Work<'_>) {
    let kind = PolicyKind::RateLimitLocal;
    let target = work.target;
    let Some(policy) = target.policies.rate_limit().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let Some(mut spec) = bucket(work, field, value.requests, value.burst(), value.per) else { return };
    spec["sourceCriterion"] = source(&value.key);
    let object = work.middleware(kind, "rate-limit", json!({ "rateLimit": spec }));
    let mut differences: Vec<Difference> =
        forgotten(kind, value.requests, value.burst(), value.per).into_iter().collect();
    let routers = work.routers();
    if routers > 1 {
        let text = format!(
            "Traefik counts for each match of a rule and each listener, here {routers}, so up to {routers} times as many \
             requests pass"
        );
        differences.push(looser("rate-limit-local/bucket-per-match", text));
    }
    work.emitted(field.child("requests"), differences, object, "/rateLimit/average");
    work.exact(field.child("per"), object, "/rateLimit/period");
    if value.burst.is_some() {
        work.exact(field.child("burst"), object, "/rateLimit/burst");
    }
    if value.key != RateLimitKey::default() {
        work.exact(field.child("key"), object, "/rateLimit/sourceCriterion");
    }
}

/// Buckets in Redis, by the name of the Middleware and the key: shared by replicas and by routers.
pub(super) fn rate_limit_global(work: &mut Work<'_>) {
    let kind = PolicyKind::RateLimitGlobal;
    let target = work.target;
    let Some(policy) = target.policies.rate_limit_global().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let place = field.child("service").child("redis");
    let RateLimitService::Redis { service, namespace, port } = &value.service else {
        let alternatives = ["service.redis", "module kgateway for Envoy's protocol"];
        work.unsupported(field.clone(), "Traefik counts in Redis", &alternatives);
        return;
    };
    if value.fail_open {
        let reason = "Traefik answers 500 when Redis does not answer (rate_limiter.go, ServeHTTP)";
        work.unsupported(field.clone(), reason, &["no failOpen"]);
        return;
    }
    let namespace = namespace.as_ref().map(gateway_modules_core::types::DnsLabel::as_str);
    let Some(endpoint) = work.address(field, service.as_str(), namespace, port.get()) else { return };
    let Some(mut spec) = bucket(work, field, value.requests, value.requests, value.per) else { return };
    spec["sourceCriterion"] = source(&value.key);
    spec["redis"] = json!({ "endpoints": [endpoint] });
    let object = work.middleware(kind, "rate-limit-global", json!({ "rateLimit": spec }));
    let differences = forgotten(kind, value.requests, value.requests, value.per).into_iter().collect();
    work.emitted(field.child("requests"), differences, object, "/rateLimit/average");
    work.exact(field.child("per"), object, "/rateLimit/period");
    if value.key != RateLimitKey::default() {
        work.exact(field.child("key"), object, "/rateLimit/sourceCriterion");
    }
    for name in ["service", "port"] {
        work.exact(place.child(name), object, "/rateLimit/redis/endpoints/0");
    }
    if namespace.is_some() {
        work.exact(place.child("namespace"), object, "/rateLimit/redis/endpoints/0");
    }
}

/// One limit of requests under way, for all clients.
fn in_flight(
    work: &mut Work<'_>,
    kind: PolicyKind,
    field: FieldRef,
    suffix: &str,
    limit: u32,
    difference: &str,
    what: &str,
) {
    if limit == 0 {
        work.unsupported(field, "Traefik takes a limit of 0 as none", &["1 or more"]);
        return;
    }
    let spec = json!({ "amount": limit, "sourceCriterion": source(&RateLimitKey::Endpoint {}) });
    let object = work.middleware(kind, suffix, json!({ "inFlightReq": spec }));
    let text = format!(
        "Traefik limits the requests under way through each match of a rule and each listener, not {what}; what is over is \
         answered with 429, not 503"
    );
    work.approximate(field, looser(difference, text), object, "/inFlightReq/amount");
}

pub(super) fn circuit_breaking(work: &mut Work<'_>) {
    let kind = PolicyKind::CircuitBreaking;
    let target = work.target;
    let Some(policy) = target.policies.circuit_breaking().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if let Some(limit) = value.max_requests {
        let what = "those of all routes to the Service";
        in_flight(
            work,
            kind,
            field.child("maxRequests"),
            "max-requests",
            limit,
            "circuit-breaking/in-flight-requests",
            what,
        );
    }
    if let Some(limit) = value.max_connections {
        let what = "connections to the Service, of which idle ones stay open besides";
        let difference = "circuit-breaking/requests-for-connections";
        in_flight(work, kind, field.child("maxConnections"), "max-connections", limit, difference, what);
    }
    if value.max_pending_requests.is_some() {
        // One connection per request under way, and an HTTP/2 connection for as many as the server takes (Go, net/http).
        let reason = "no request waits for a connection in Traefik, so there is never one too many";
        work.inactive(field.child("maxPendingRequests"), reason);
    }
    if value.max_retries.is_some() {
        let reason = "Traefik has no limit of retries under way";
        work.unsupported(field.child("maxRetries"), reason, &["retry.attempts", "module kgateway or istio"]);
    }
}

pub(super) fn connection_limit(work: &mut Work<'_>) {
    let kind = PolicyKind::ConnectionLimit;
    let target = work.target;
    let Some(policy) = target.policies.connection_limit().filter(|_| target.must_map(kind)) else { return };
    let what = "connections to the Service, of which idle ones stay open besides";
    let difference = "connection-limit/requests-for-connections";
    in_flight(work, kind, policy.field.child("max"), "connection-limit", policy.value.max, difference, what);
}

pub(super) fn body_size(work: &mut Work<'_>) {
    let kind = PolicyKind::BodySizeLimit;
    let target = work.target;
    let Some(policy) = target.policies.body_size_limit().filter(|_| target.must_map(kind)) else { return };
    let field = policy.field;
    let route = work.scope.route;
    // `buffering` holds a request back until its body is whole, which a stream never is.
    let streams = match route.kind {
        EndpointType::Http => None,
        EndpointType::GraphQL if route.subscriptions.is_none() => None,
        other => Some(other.as_str()),
    };
    if let Some(what) = streams {
        let reason = format!("Traefik buffers the body to measure it, and an endpoint of type {what} streams");
        let alternatives = ["no bodySizeLimit on this endpoint", "module nginx-gateway-fabric or kong"];
        work.unsupported(field.clone(), reason, &alternatives);
        return;
    }
    match i64::try_from(policy.value.max.as_bytes()).ok().filter(|bytes| *bytes > 0) {
        Some(bytes) => {
            let object = work.middleware(kind, "body-size", json!({ "buffering": { "maxRequestBodyBytes": bytes } }));
            work.exact(field.child("max"), object, "/buffering/maxRequestBodyBytes");
        }
        None => {
            // Zero is no limit (CRD).
            work.unsupported(field.child("max"), "Traefik takes 1 to 9223372036854775807 bytes", &["1Ki"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_that_refill_before_they_are_forgotten_are_exact() {
        let forgotten = |requests, burst, millis| {
            forgotten(PolicyKind::RateLimitLocal, requests, burst, Duration::from_millis(millis))
        };
        assert_eq!(forgotten(10, 10, 1000), None);
        assert_eq!(forgotten(10, 20, 1000), None);
        assert!(forgotten(10, 21, 1000).is_some_and(|it| it.text.contains("after 2 s") && !it.stricter));
        assert!(forgotten(100, 100, 60_000).is_some_and(|it| it.text.contains("not the 3 ")));
        assert_eq!(forgotten(1, 1, 60_000), None);
        assert!(forgotten(6, 6, 60_000).is_some_and(|it| it.text.contains("after 11 s")));
    }
}
