//! Resilience policies.

use gateway_modules_core::{
    intent::{
        FieldRef,
        policies::{
            HashKey, HealthProbe, LoadBalancingAlgorithm, PolicyKind, RateLimitKey, RateLimitService, SessionAffinity,
        },
    },
    module::{BackendScope, Difference, Requirement, RouteScope},
    resolve::RuleTopology,
    types::Duration,
};
use serde_json::{Value, json};

use super::{Draft, Job, reference::ServiceReference};
use crate::resources::{
    BackendConfigPolicySpec, CircuitBreakers, FaultInjection, GATEWAY_EXTENSION, HealthCheck, LocalRateLimit,
    OutlierDetection, RateLimit, Retry, TokenBucket, TrafficPolicySpec, object,
};

pub(crate) fn route(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    timeouts(job, draft);
    retry(job, scope, draft);
    fault_injection(job, draft);
    rate_limit(job, scope, draft);
    rate_limit_global(job, scope, draft);
}

pub(crate) fn backend(job: Job<'_>, scope: &BackendScope, draft: &mut Draft<BackendConfigPolicySpec>) {
    circuit_breaking(job, draft);
    connection_limit(job, draft);
    outlier_detection(job, draft);
    health_check(job, scope, draft);
    load_balancing(job, draft);
    session_affinity(job, draft);
}

/// The CRDs write all counts as int32.
fn fits<S: serde::Serialize + Clone>(draft: &mut Draft<S>, field: FieldRef, number: u32, min: u32) -> bool {
    let fits = number >= min && i32::try_from(number).is_ok();
    if !fits {
        draft.unsupported(field, format!("kgateway takes {min} to 2147483647"), &["a number in that range"]);
    }
    fits
}

/// Whether a duration is at least so long; refuses it if not.
fn lasts<S: serde::Serialize + Clone>(draft: &mut Draft<S>, field: &FieldRef, duration: Duration, millis: u64) -> bool {
    let lasts = duration.as_millis() >= millis;
    if !lasts {
        let least = Duration::from_millis(millis);
        draft.unsupported(field.clone(), format!("kgateway takes {least} or longer"), &[least.to_string().as_str()]);
    }
    lasts
}

/// Core realises timeouts by the standard field; this is for `GRPCRoute`, which has none.
fn timeouts(job: Job<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let Some(policy) = job.target.policies.timeouts().filter(|_| job.target.must_map(PolicyKind::Timeout)) else {
        return;
    };
    if let Some(request) = policy.value.request {
        draft.spec.timeouts = Some(json!({ "request": request.to_string() }));
        draft.holds(PolicyKind::Timeout);
        draft.exact(policy.field.child("request"), &["/timeouts/request"]);
    }
    if policy.value.backend_request.is_some() {
        let reason = "TrafficPolicy limits the whole request only, and this route has no standard field for one try";
        draft.unsupported(policy.field.child("backendRequest"), reason, &["timeouts.request"]);
    }
}

fn retry(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::Retry;
    let Some(policy) = job.target.policies.retry().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    // Core has realised the timeouts, so they may differ between the rules of this target.
    let limited = |rule: &&RuleTopology| rule.policies.timeouts().is_some_and(|it| it.value.backend_request.is_some());
    let one_try = scope.rules.iter().any(limited);
    if one_try {
        // Without `rules[].retry` kgateway makes the standard backendRequest the limit of the whole route
        // (route translation of timeouts), so all tries together would get the time of one.
        draft.unsupported(
            field.clone(),
            "with the standard channel kgateway takes timeouts.backendRequest as the limit of all tries together",
            &["Gateway API's experimental channel", "timeouts.request alone"],
        );
        return;
    }
    if let Some(code) = value.codes.iter().find(|code| code.get() < 400) {
        let reason = format!("kgateway tries again after 400 to 599, not after {code}");
        draft.unsupported(field.child("codes"), reason, &["codes from 400"]);
        return;
    }
    let backoff = value.backoff.filter(|backoff| lasts(draft, &field.child("backoff"), *backoff, 1));
    draft.spec.retry = Some(Retry {
        attempts: Some(value.attempts),
        backoff_base_interval: backoff.map(|backoff| backoff.to_string()),
        // Connection errors always count; the codes come on top ("in addition to", CRD .spec.retry.statusCodes).
        retry_on: Some(vec!["connect-failure", "refused-stream"]),
        status_codes: (!value.codes.is_empty()).then(|| value.codes.iter().map(|code| code.get()).collect()),
    });
    draft.holds(kind);
    draft.exact(field.child("attempts"), &["/retry/attempts"]);
    if backoff.is_some() {
        draft.exact(field.child("backoff"), &["/retry/backoffBaseInterval"]);
    }
    if !value.codes.is_empty() {
        draft.exact(field.child("codes"), &["/retry/statusCodes"]);
    }
    if value.budget.is_some() {
        let reason = "kgateway has no retry budget";
        draft.unsupported(field.child("budget"), reason, &["circuitBreaking.maxRetries", "module istio"]);
    }
}

fn fault_injection(job: Job<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::FaultInjection;
    let Some(policy) = job.target.policies.fault_injection().filter(|_| job.target.must_map(kind)) else { return };
    let mut spec = FaultInjection::default();
    if let Some(delay) = &policy.value.delay {
        let field = policy.field.child("delay");
        if (1..=3_600_000).contains(&delay.duration.as_millis()) {
            spec.delay = Some(json!({ "fixedDelay": delay.duration.to_string(), "percentage": delay.percent.get() }));
            draft.exact(field.child("duration"), &["/faultInjection/delay/fixedDelay"]);
            draft.exact(field.child("percent"), &["/faultInjection/delay/percentage"]);
        } else {
            draft.unsupported(field.child("duration"), "kgateway takes 1ms to 1h", &["1h"]);
        }
    }
    if let Some(abort) = &policy.value.abort {
        let field = policy.field.child("abort");
        spec.abort = Some(json!({ "httpStatus": abort.status.get(), "percentage": abort.percent.get() }));
        draft.exact(field.child("status"), &["/faultInjection/abort/httpStatus"]);
        draft.exact(field.child("percent"), &["/faultInjection/abort/percentage"]);
    }
    if spec.delay.is_some() || spec.abort.is_some() {
        draft.spec.fault_injection = Some(spec);
        draft.holds(kind);
    }
}

fn rate_limit(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::RateLimitLocal;
    let Some(policy) = job.target.policies.rate_limit().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if value.key != RateLimitKey::default() {
        draft.unsupported(
            field.child("key"),
            "kgateway's local rate limit is one bucket for all clients",
            &["rateLimitGlobal with the same key", "no key", "module traefik"],
        );
    }
    let counts = fits(draft, field.child("requests"), value.requests, 1)
        & fits(draft, field.child("burst"), value.burst(), 1)
        & lasts(draft, &field.child("per"), value.per, 50);
    if !counts {
        return;
    }
    let bucket = TokenBucket {
        max_tokens: Some(value.burst()),
        tokens_per_fill: Some(value.requests),
        fill_interval: Some(value.per.to_string()),
    };
    let limit = draft.spec.rate_limit.get_or_insert_with(RateLimit::default);
    limit.local = Some(LocalRateLimit { token_bucket: Some(bucket) });
    draft.holds(kind);
    let requests = "/rateLimit/local/tokenBucket/tokensPerFill";
    match buckets(scope) {
        0 | 1 => draft.exact(field.child("requests"), &[requests]),
        buckets => {
            let difference = Difference {
                name: "rate-limit-local/bucket-per-match".to_owned(),
                text: format!(
                    "Envoy gives each host, listener and match a bucket of its own, here {buckets}, so up to {buckets} times \
                     as many requests pass"
                ),
                stricter: false,
            };
            draft.approximate(field.child("requests"), difference, &[requests]);
        }
    }
    draft.exact(field.child("per"), &["/rateLimit/local/tokenBucket/fillInterval"]);
    if value.burst.is_some() {
        draft.exact(field.child("burst"), &["/rateLimit/local/tokenBucket/maxTokens"]);
    }
}

/// Buckets that Envoy makes: the limit stands in the configuration of each Envoy route, and there is one of those per
/// listener, host and match (`trafficpolicy/local_rate_limit_plugin.go`, typed config per route).
fn buckets(scope: &RouteScope<'_>) -> usize {
    let matches: usize = scope.rules.iter().map(|rule| rule.matches.len().max(1)).sum();
    matches * scope.route.hostnames.len().max(1) * scope.route.listeners.len().max(1)
}

/// kgateway sends descriptors, and the limits stand in the configuration of the rate-limit service. So that they are not
/// lost, each limit is a descriptor of its own, and what the service must hold for it is a requirement of the release.
fn rate_limit_global(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::RateLimitGlobal;
    let Some(policy) = job.target.policies.rate_limit_global().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let RateLimitService::Envoy { service, namespace, port, domain } = &value.service else {
        draft.unsupported(
            field.child("service"),
            "kgateway counts in a service of Envoy's rate-limit protocol",
            &["service.envoy", "module traefik or kong for Redis"],
        );
        return;
    };
    let unit = match value.per.as_millis() {
        1000 => "second",
        60_000 => "minute",
        3_600_000 => "hour",
        86_400_000 => "day",
        _ => {
            let reason = "a rate-limit service counts per second, minute, hour or day";
            draft.unsupported(field.child("per"), reason, &["1s", "1m", "1h", "24h"]);
            return;
        }
    };
    let own = scope.route.namespace.as_str();
    let reference = ServiceReference {
        from: &GATEWAY_EXTENSION,
        from_namespace: own,
        service: service.as_str(),
        namespace: namespace.as_ref().map_or(own, |namespace| namespace.as_str()),
        port: port.get(),
    };
    let place = field.child("service").child("envoy");
    let Some(backend) = reference.resolve(job, kind, &place.child("service"), &mut draft.mapping) else { return };

    let name = job.name(&["rate-limit"]);
    let extension = json!({
        "type": "RateLimit",
        "rateLimit": {
            "domain": domain.as_str(),
            "failOpen": value.fail_open,
            "grpcService": { "backendRef": backend },
        },
    });
    let extension = draft.mapping.object(object(&GATEWAY_EXTENSION, own, &name, &extension), vec![kind]);

    let limit = format!("{}/{unit}", value.requests);
    let endpoint = job.target.id.join("/");
    let mut entries = vec![
        json!({ "type": "Generic", "generic": { "key": "target", "value": endpoint } }),
        json!({ "type": "Generic", "generic": { "key": "limit", "value": limit } }),
    ];
    let key = match &value.key {
        RateLimitKey::Endpoint {} => None,
        RateLimitKey::ClientIp {} => {
            entries.push(json!({ "type": "RemoteAddress" }));
            Some("remote_address".to_owned())
        }
        RateLimitKey::Header(header) => {
            entries.push(json!({ "type": "Header", "header": header.as_str() }));
            Some(header.to_string())
        }
    };
    draft.spec.rate_limit.get_or_insert_with(RateLimit::default).global =
        Some(json!({ "extensionRef": { "name": name }, "descriptors": [{ "entries": entries }] }));
    draft.holds(kind);
    draft.mapping.requires.push(Requirement {
        setting: format!(
            "rate-limit service {service}, domain {domain}: descriptors target={endpoint}, limit={limit}{}",
            key.as_ref().map(|key| format!(", {key}")).unwrap_or_default()
        ),
        value: format!("rate_limit: {{ unit: {unit}, requests_per_unit: {} }}", value.requests),
        reason: "kgateway sends descriptors, and the limits stand in the service's own configuration".to_owned(),
    });

    let descriptor = "/rateLimit/global/descriptors/0/entries";
    draft.exact(field.child("requests"), &[&format!("{descriptor}/1/generic/value")]);
    draft.exact(field.child("per"), &[&format!("{descriptor}/1/generic/value")]);
    if key.is_some() {
        draft.exact(field.child("key"), &[&format!("{descriptor}/2")]);
    }
    draft.exact_in(field.child("failOpen"), extension.at("/spec/rateLimit/failOpen"));
    let backend = "/spec/rateLimit/grpcService/backendRef";
    draft.exact_in(place.child("service"), extension.at(format!("{backend}/name")));
    draft.exact_in(place.child("port"), extension.at(format!("{backend}/port")));
    draft.exact_in(place.child("domain"), extension.at("/spec/rateLimit/domain"));
    if namespace.is_some() {
        draft.exact_in(place.child("namespace"), extension.at(backend));
    }
}

fn circuit_breaking(job: Job<'_>, draft: &mut Draft<BackendConfigPolicySpec>) {
    let kind = PolicyKind::CircuitBreaking;
    let Some(policy) = job.target.policies.circuit_breaking().filter(|_| job.target.must_map(kind)) else { return };
    let value = policy.value;
    let mut spec = CircuitBreakers::default();
    let limits = [
        ("maxConnections", value.max_connections, &mut spec.max_connections),
        ("maxPendingRequests", value.max_pending_requests, &mut spec.max_pending_requests),
        ("maxRequests", value.max_requests, &mut spec.max_requests),
        ("maxRetries", value.max_retries, &mut spec.max_retries),
    ];
    let mut any = false;
    for (name, limit, slot) in limits {
        let Some(limit) = limit else { continue };
        if fits(draft, policy.field.child(name), limit, 1) {
            *slot = Some(limit);
            any = true;
            draft.exact(policy.field.child(name), &[&format!("/circuitBreakers/{name}")]);
        }
    }
    if any {
        draft.spec.circuit_breakers = Some(spec);
        draft.holds(kind);
    }
}

/// The same field of Envoy as `circuitBreaking.maxConnections`, in the same object of the Service.
fn connection_limit(job: Job<'_>, draft: &mut Draft<BackendConfigPolicySpec>) {
    let kind = PolicyKind::ConnectionLimit;
    let Some(policy) = job.target.policies.connection_limit().filter(|_| job.target.must_map(kind)) else { return };
    let field = policy.field.child("max");
    if !fits(draft, field.clone(), policy.value.max, 1) {
        return;
    }
    let spec = draft.spec.circuit_breakers.get_or_insert_with(CircuitBreakers::default);
    match spec.max_connections {
        Some(other) if other != policy.value.max => {
            let reason = format!("circuitBreaking.maxConnections is the same limit, and it is {other}");
            draft.unsupported(field, reason, &["one of the two"]);
        }
        _ => {
            spec.max_connections = Some(policy.value.max);
            draft.holds(kind);
            let waits = Difference::requests_wait_for_a_connection();
            draft.approximate(field, waits, &["/circuitBreakers/maxConnections"]);
        }
    }
}

fn outlier_detection(job: Job<'_>, draft: &mut Draft<BackendConfigPolicySpec>) {
    let kind = PolicyKind::OutlierDetection;
    let Some(policy) = job.target.policies.outlier_detection().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if !fits(draft, field.child("consecutive5xx"), value.consecutive_5xx, 1) {
        return;
    }
    // The defaults of the policy are written out, so that another version's defaults change nothing.
    let interval = value.interval.unwrap_or(Duration::from_secs(10));
    let ejection = value.base_ejection_time.unwrap_or(Duration::from_secs(30));
    if !(lasts(draft, &field.child("interval"), interval, 1)
        & lasts(draft, &field.child("baseEjectionTime"), ejection, 1))
    {
        return;
    }
    draft.spec.outlier_detection = Some(OutlierDetection {
        consecutive5xx: Some(value.consecutive_5xx),
        interval: Some(interval.to_string()),
        base_ejection_time: Some(ejection.to_string()),
        max_ejection_percent: Some(value.max_ejection_percent.map_or(10, gateway_modules_core::types::Percent::get)),
    });
    draft.holds(kind);
    draft.exact(field.child("consecutive5xx"), &["/outlierDetection/consecutive5xx"]);
    if value.interval.is_some() {
        draft.exact(field.child("interval"), &["/outlierDetection/interval"]);
    }
    if value.base_ejection_time.is_some() {
        draft.exact(field.child("baseEjectionTime"), &["/outlierDetection/baseEjectionTime"]);
    }
    if value.max_ejection_percent.is_some() {
        draft.exact(field.child("maxEjectionPercent"), &["/outlierDetection/maxEjectionPercent"]);
    }
}

fn health_check(job: Job<'_>, scope: &BackendScope, draft: &mut Draft<BackendConfigPolicySpec>) {
    let kind = PolicyKind::HealthCheck;
    let Some(policy) = job.target.policies.health_check().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let (healthy, unhealthy) = (value.healthy_threshold.unwrap_or(1), value.unhealthy_threshold.unwrap_or(3));
    let valid = fits(draft, field.child("healthyThreshold"), healthy, 1)
        & fits(draft, field.child("unhealthyThreshold"), unhealthy, 1)
        & lasts(draft, &field.child("interval"), value.interval, 1)
        & lasts(draft, &field.child("timeout"), value.timeout, 1);
    if !valid {
        return;
    }
    let mut spec = HealthCheck {
        interval: Some(value.interval.to_string()),
        timeout: Some(value.timeout.to_string()),
        healthy_threshold: Some(healthy),
        unhealthy_threshold: Some(unhealthy),
        ..HealthCheck::default()
    };
    let probe = field.child("probe");
    match &value.probe {
        HealthProbe::Http { path } => {
            spec.http = Some(json!({ "path": path.as_str() }));
            checked(draft, probe.child("http").child("path"), unhealthy, "/healthCheck/http/path");
        }
        HealthProbe::Grpc { service } => {
            if !scope.grpc {
                // Envoy speaks HTTP/2 to this Service only when it is told to, and the health protocol is gRPC.
                let reason = "no endpoint of type GRPC is behind this Service, so kgateway does not speak HTTP/2 to it";
                draft.unsupported(probe, reason, &["probe.http"]);
                return;
            }
            let mut grpc = json!({});
            if let Some(service) = service {
                grpc["serviceName"] = service.as_str().into();
            }
            spec.grpc = Some(grpc);
            checked(draft, probe.child("grpc"), unhealthy, "/healthCheck/grpc");
        }
    }
    draft.spec.health_check = Some(spec);
    draft.holds(kind);
    draft.exact(field.child("interval"), &["/healthCheck/interval"]);
    draft.exact(field.child("timeout"), &["/healthCheck/timeout"]);
    if value.healthy_threshold.is_some() {
        draft.exact(field.child("healthyThreshold"), &["/healthCheck/healthyThreshold"]);
    }
    if value.unhealthy_threshold.is_some() {
        checked(draft, field.child("unhealthyThreshold"), unhealthy, "/healthCheck/unhealthyThreshold");
    }
}

/// A field on which it depends after how many bad answers an endpoint is out.
fn checked(draft: &mut Draft<BackendConfigPolicySpec>, field: FieldRef, threshold: u32, pointer: &str) {
    if threshold > 1 {
        draft.approximate(field, Difference::a_bad_answer_counts_at_once(), &[pointer]);
    } else {
        draft.exact(field, &[pointer]);
    }
}

fn ring_hash(policy: &Value) -> Value {
    json!({ "ringHash": { "hashPolicies": [policy] } })
}

fn load_balancing(job: Job<'_>, draft: &mut Draft<BackendConfigPolicySpec>) {
    let kind = PolicyKind::LoadBalancing;
    let Some(policy) = job.target.policies.load_balancing().filter(|_| job.target.must_map(kind)) else { return };
    let spec = match &policy.value.algorithm {
        LoadBalancingAlgorithm::RoundRobin {} => json!({ "roundRobin": {} }),
        LoadBalancingAlgorithm::LeastRequest {} => json!({ "leastRequest": {} }),
        LoadBalancingAlgorithm::Random {} => json!({ "random": {} }),
        LoadBalancingAlgorithm::ConsistentHash(HashKey::Header(name)) => {
            ring_hash(&json!({ "header": { "name": name.as_str() } }))
        }
        // Without a ttl Envoy hashes the cookie that the client sends and sets none.
        LoadBalancingAlgorithm::ConsistentHash(HashKey::Cookie(name)) => {
            ring_hash(&json!({ "cookie": { "name": name.as_str() } }))
        }
        LoadBalancingAlgorithm::ConsistentHash(HashKey::ClientIp {}) => ring_hash(&json!({ "sourceIP": {} })),
    };
    draft.spec.load_balancer = Some(spec);
    draft.holds(kind);
    draft.exact(policy.field.child("algorithm"), &["/loadBalancer"]);
}

fn session_affinity(job: Job<'_>, draft: &mut Draft<BackendConfigPolicySpec>) {
    let kind = PolicyKind::SessionAffinity;
    let Some(policy) = job.target.policies.session_affinity().filter(|_| job.target.must_map(kind)) else { return };
    let field = policy.field;
    if draft.spec.load_balancer.is_some() {
        let reason =
            "kgateway keeps a client on an endpoint by its load balancer, and loadBalancing has chosen another";
        draft.unsupported(field.clone(), reason, &["no loadBalancing"]);
        return;
    }
    let (hash, place) = match policy.value {
        SessionAffinity::Cookie { name, ttl } => {
            if ttl.is_some_and(|ttl| ttl.as_millis() == 0) {
                // To Envoy a ttl of zero is a cookie of the browser session.
                let reason = "kgateway has no cookie that lives no time";
                draft.unsupported(field.child("cookie").child("ttl"), reason, &["no ttl"]);
                return;
            }
            let ttl = ttl.map_or_else(|| "0s".to_owned(), |ttl| ttl.to_string());
            (json!({ "cookie": { "name": name.as_str(), "path": "/", "ttl": ttl } }), "cookie")
        }
        SessionAffinity::ClientIp {} => (json!({ "sourceIP": {} }), "clientIp"),
        SessionAffinity::Header { .. } => {
            let reason = "kgateway hashes a header that the client sends, and sets none";
            draft.unsupported(
                field.child("header"),
                reason,
                &["cookie", "loadBalancing.algorithm.consistentHash.header"],
            );
            return;
        }
    };
    draft.spec.load_balancer = Some(ring_hash(&hash));
    draft.holds(kind);
    draft.approximate(field.child(place), rehashed(), &["/loadBalancer/ringHash/hashPolicies/0"]);
}

fn rehashed() -> Difference {
    Difference {
        name: "session-affinity/rehashed".to_owned(),
        text: "the endpoint is chosen by a consistent hash: when one of N endpoints comes or goes, about one in N clients \
               moves, also clients whose endpoint still lives"
            .to_owned(),
        stricter: false,
    }
}
