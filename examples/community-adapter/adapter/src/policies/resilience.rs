//! `BackendTrafficPolicy`: time limits, retries, faults, limits towards backends, health.

use std::collections::BTreeSet;

use gateway_modules_core::{
    intent::{
        EndpointType, FieldRef,
        policies::{HealthProbe, PolicyKind},
    },
    module::{Difference, RouteScope},
    resolve::RuleTopology,
    types::{Duration, Percent, StatusCode},
};
use serde_json::{Map, Value, json};

use super::{Draft, Job};

/// CRD: longest path of a health check.
const MAX_PATH: usize = 1024;

pub(crate) fn route(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    timeouts(job, draft);
    retry(job, scope, draft);
    fault_injection(job, draft);
    limits(job, scope, draft);
    health(job, scope, draft);
}

/// Whether a duration is at least so long; refuses it if not.
fn lasts(draft: &mut Draft, field: &FieldRef, duration: Duration, millis: u64) -> bool {
    let lasts = duration.as_millis() >= millis;
    if !lasts {
        let least = Duration::from_millis(millis);
        draft.unsupported(field.clone(), format!("Envoy takes {least} or longer"), &[least.to_string().as_str()]);
    }
    lasts
}

/// Core realises timeouts by the standard field; this is for `GRPCRoute`, which has none.
fn timeouts(job: Job<'_>, draft: &mut Draft) {
    let kind = PolicyKind::Timeout;
    let Some(policy) = job.target.policies.timeouts().filter(|_| job.target.must_map(kind)) else { return };
    if let Some(request) = policy.value.request {
        draft.hold(kind, "timeout", json!({ "http": { "requestTimeout": request.to_string() } }));
        draft.exact(policy.field.child("request"), &["/timeout/http/requestTimeout"]);
    }
    if policy.value.backend_request.is_some() {
        let reason = "GRPCRoute has no standard field for one try, and BackendTrafficPolicy has one for retries only";
        draft.unsupported(policy.field.child("backendRequest"), reason, &["timeouts.request"]);
    }
}

/// Not the standard `rules[].retry`: Envoy Gateway drops `timeouts.backendRequest` beside it unless a backoff is written
/// (`internal/gatewayapi/route.go`, `processRouteRetry`).
fn retry(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    let kind = PolicyKind::Retry;
    let Some(policy) = job.target.policies.retry().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    // Core has realised the timeouts, so they may differ between the rules of this target.
    let limited = |rule: &&RuleTopology| rule.policies.timeouts().is_some_and(|it| it.value.backend_request.is_some());
    if scope.rules.iter().any(limited) {
        // `processRouteTimeout`: without `rules[].retry` the standard backendRequest is the limit of the whole route.
        draft.unsupported(
            field.clone(),
            "Envoy Gateway takes timeouts.backendRequest as the limit of all tries together",
            &["timeouts.request alone"],
        );
        return;
    }
    let mut triggers = vec!["connect-failure", "refused-stream"];
    let mut retry_on = json!({});
    if !value.codes.is_empty() {
        triggers.push("retriable-status-codes");
        retry_on["httpStatusCodes"] = value.codes.iter().map(|code| StatusCode::get(*code)).collect();
    }
    retry_on["triggers"] = json!(triggers);
    let mut spec = json!({ "numRetries": value.attempts, "retryOn": retry_on });
    draft.exact(field.child("attempts"), &["/retry/numRetries"]);
    if let Some(backoff) = value.backoff
        && lasts(draft, &field.child("backoff"), backoff, 1)
    {
        spec["perRetry"] = json!({ "backOff": { "baseInterval": backoff.to_string() } });
        draft.exact(field.child("backoff"), &["/retry/perRetry/backOff/baseInterval"]);
    }
    if !value.codes.is_empty() {
        draft.exact(field.child("codes"), &["/retry/retryOn/httpStatusCodes"]);
    }
    if value.budget.is_some() {
        let reason = "Envoy Gateway has no retry budget";
        draft.unsupported(field.child("budget"), reason, &["circuitBreaking.maxRetries", "module istio"]);
    }
    draft.hold(kind, "retry", spec);
}

fn fault_injection(job: Job<'_>, draft: &mut Draft) {
    let kind = PolicyKind::FaultInjection;
    let Some(policy) = job.target.policies.fault_injection().filter(|_| job.target.must_map(kind)) else { return };
    let mut spec = Map::new();
    if let Some(delay) = &policy.value.delay {
        let field = policy.field.child("delay");
        if lasts(draft, &field.child("duration"), delay.duration, 1) {
            let value = json!({ "fixedDelay": delay.duration.to_string(), "percentage": delay.percent.get() });
            spec.insert("delay".to_owned(), value);
            draft.exact(field.child("duration"), &["/faultInjection/delay/fixedDelay"]);
            draft.exact(field.child("percent"), &["/faultInjection/delay/percentage"]);
        }
    }
    if let Some(abort) = &policy.value.abort {
        let field = policy.field.child("abort");
        let value = json!({ "httpStatus": abort.status.get(), "percentage": abort.percent.get() });
        spec.insert("abort".to_owned(), value);
        draft.exact(field.child("status"), &["/faultInjection/abort/httpStatus"]);
        draft.exact(field.child("percent"), &["/faultInjection/abort/percentage"]);
    }
    if !spec.is_empty() {
        draft.hold(kind, "faultInjection", Value::Object(spec));
    }
}

/// "connections … to the referenced backend defined within a xRoute rule" (CRD, `circuitBreaker`): of each rule, and of all
/// its backends together.
fn limits(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    let mut spec = Map::new();
    let mut kinds = Vec::new();
    let breaking = PolicyKind::CircuitBreaking;
    if let Some(policy) = job.target.policies.circuit_breaking().filter(|_| job.target.must_map(breaking)) {
        let value = policy.value;
        for (ours, theirs, limit) in [
            ("maxConnections", "maxConnections", value.max_connections),
            ("maxPendingRequests", "maxPendingRequests", value.max_pending_requests),
            ("maxRequests", "maxParallelRequests", value.max_requests),
            ("maxRetries", "maxParallelRetries", value.max_retries),
        ] {
            let Some(limit) = limit else { continue };
            spec.insert(theirs.to_owned(), limit.into());
            cite_limit(job, scope, breaking, policy.field.child(ours), theirs, draft);
        }
        if !spec.is_empty() {
            kinds.push(breaking);
        }
    }
    let connections = PolicyKind::ConnectionLimit;
    if let Some(policy) = job.target.policies.connection_limit().filter(|_| job.target.must_map(connections)) {
        let (field, max) = (policy.field.child("max"), policy.value.max);
        match spec.get("maxConnections") {
            Some(other) if *other != json!(max) => {
                let reason = format!("circuitBreaking.maxConnections is the same limit, and it is {other}");
                draft.unsupported(field, reason, &["one of the two"]);
            }
            _ => {
                spec.insert("maxConnections".to_owned(), max.into());
                kinds.push(connections);
                cite_limit(job, scope, connections, field, "maxConnections", draft);
            }
        }
    }
    for kind in kinds {
        draft.hold(kind, "circuitBreaker", Value::Object(spec.clone()));
    }
}

fn cite_limit(
    job: Job<'_>,
    scope: &RouteScope<'_>,
    kind: PolicyKind,
    field: FieldRef,
    theirs: &str,
    draft: &mut Draft,
) {
    let pointer = format!("/circuitBreaker/{theirs}");
    let services = |rule: &RuleTopology| -> BTreeSet<(String, String)> {
        rule.backends.iter().map(|backend| (backend.namespace.clone(), backend.service.clone())).collect()
    };
    let own: BTreeSet<_> = scope.rules.iter().flat_map(|rule| services(rule)).collect();
    let routes = job.cx.plane.routes_on(scope.gateway);
    let rules = routes.flat_map(|route| &route.rules).filter(|rule| !services(rule).is_disjoint(&own)).count();
    let together = scope.rules.iter().any(|rule| services(rule).len() > 1);
    let mut differences = Vec::new();
    if rules > 1 || together {
        differences.push(Difference {
            name: format!("{}/per-rule", kind.name()),
            text: format!(
                "each rule has a limit of its own, for all its backends together; here {rules} rules go to the Services of \
                 this policy"
            ),
            stricter: false,
        });
    }
    if kind == PolicyKind::ConnectionLimit {
        differences.push(Difference::requests_wait_for_a_connection());
    }
    draft.differing(field, differences, &[&pointer]);
}

/// Both kinds of health checks are one field of the CRD.
fn health(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    let mut spec = Map::new();
    let mut kinds = Vec::new();
    if let Some(passive) = outlier_detection(job, draft) {
        spec.insert("passive".to_owned(), passive);
        kinds.push(PolicyKind::OutlierDetection);
    }
    if let Some(active) = health_check(job, scope, draft) {
        spec.insert("active".to_owned(), active);
        kinds.push(PolicyKind::HealthCheck);
    }
    for kind in kinds {
        draft.hold(kind, "healthCheck", Value::Object(spec.clone()));
    }
}

fn outlier_detection(job: Job<'_>, draft: &mut Draft) -> Option<Value> {
    let kind = PolicyKind::OutlierDetection;
    let policy = job.target.policies.outlier_detection().filter(|_| job.target.must_map(kind))?;
    let (field, value) = (policy.field, policy.value);
    // The defaults of the policy are written out: those of the CRD are others (interval 3 s).
    let interval = value.interval.unwrap_or(Duration::from_secs(10));
    let ejection = value.base_ejection_time.unwrap_or(Duration::from_secs(30));
    if !(lasts(draft, &field.child("interval"), interval, 1)
        & lasts(draft, &field.child("baseEjectionTime"), ejection, 1))
    {
        return None;
    }
    let place = "/healthCheck/passive";
    draft.exact(field.child("consecutive5xx"), &[&format!("{place}/consecutive5XxErrors")]);
    for (name, written) in [
        ("interval", value.interval.is_some()),
        ("baseEjectionTime", value.base_ejection_time.is_some()),
        ("maxEjectionPercent", value.max_ejection_percent.is_some()),
    ] {
        if written {
            draft.exact(field.child(name), &[&format!("{place}/{name}")]);
        }
    }
    Some(json!({
        "consecutive5XxErrors": value.consecutive_5xx,
        "interval": interval.to_string(),
        "baseEjectionTime": ejection.to_string(),
        "maxEjectionPercent": value.max_ejection_percent.map_or(10, Percent::get),
    }))
}

fn health_check(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) -> Option<Value> {
    let kind = PolicyKind::HealthCheck;
    let policy = job.target.policies.health_check().filter(|_| job.target.must_map(kind))?;
    let (field, value) = (policy.field, policy.value);
    if !(lasts(draft, &field.child("interval"), value.interval, 1)
        & lasts(draft, &field.child("timeout"), value.timeout, 1))
    {
        return None;
    }
    let place = "/healthCheck/active";
    let unhealthy = value.unhealthy_threshold.unwrap_or(3);
    let probe = field.child("probe");
    let mut spec = json!({
        "interval": value.interval.to_string(),
        "timeout": value.timeout.to_string(),
        "healthyThreshold": value.healthy_threshold.unwrap_or(1),
        "unhealthyThreshold": unhealthy,
    });
    match &value.probe {
        HealthProbe::Http { path } => {
            if path.as_str().len() > MAX_PATH {
                let reason = "Envoy Gateway takes a path of 1024 characters at most";
                draft.unsupported(probe.child("http").child("path"), reason, &["a shorter path"]);
                return None;
            }
            spec["type"] = "HTTP".into();
            spec["http"] = json!({ "path": path.as_str(), "expectedStatuses": [200] });
            checked(draft, probe.child("http").child("path"), unhealthy, &format!("{place}/http/path"));
        }
        HealthProbe::Grpc { service } => {
            if scope.route.kind != EndpointType::Grpc {
                // Envoy speaks HTTP/2 to the backends of a GRPCRoute, and the health protocol is gRPC.
                let reason = "the endpoint is not of type GRPC, so Envoy does not speak HTTP/2 to its backends";
                draft.unsupported(probe, reason, &["probe.http"]);
                return None;
            }
            let service = service.as_ref().map_or_else(|| json!({}), |service| json!({ "service": service.as_str() }));
            spec["type"] = "GRPC".into();
            spec["grpc"] = service;
            checked(draft, probe.child("grpc"), unhealthy, &format!("{place}/grpc"));
        }
    }
    draft.exact(field.child("interval"), &[&format!("{place}/interval")]);
    draft.exact(field.child("timeout"), &[&format!("{place}/timeout")]);
    if value.healthy_threshold.is_some() {
        draft.exact(field.child("healthyThreshold"), &[&format!("{place}/healthyThreshold")]);
    }
    if value.unhealthy_threshold.is_some() {
        checked(draft, field.child("unhealthyThreshold"), unhealthy, &format!("{place}/unhealthyThreshold"));
    }
    Some(spec)
}

/// A field on which it depends after how many bad answers an endpoint is out.
fn checked(draft: &mut Draft, field: FieldRef, threshold: u32, pointer: &str) {
    if threshold > 1 {
        draft.approximate(field, Difference::a_bad_answer_counts_at_once(), &[pointer]);
    } else {
        draft.exact(field, &[pointer]);
    }
}
