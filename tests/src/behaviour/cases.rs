//! One body per policy kind: what an intent says, and where the requests are that show it.

use gateway_modules_core::{capability::CapabilityName, intent::policies::PolicyKind};
use serde_json::{Value, json};

use super::{
    access, limits, observability, protocols, resilience,
    scene::{Scene, Shown},
    tokens, transformation,
};
use crate::lab::certificates;

/// A case: kind, form, and what is laid over the usual endpoint.
type Case = (PolicyKind, &'static str, fn() -> Value);

/// The cases; [`show`] has the requests of each.
pub(super) const CASES: &[Case] = &[
    (PolicyKind::HeaderModification, "set, add, remove", || {
        json!({"policies": {"headerModification": {
            "request": {"set": [{"name": "X-Tenant", "value": "shop"}], "add": [{"name": "X-Via", "value": "gateway"}], "remove": ["X-Debug"]},
            "response": {"set": [{"name": "X-Served", "value": "yes"}], "remove": ["X-Internal"]},
        }}})
    }),
    (PolicyKind::UrlRewrite, "prefix", || {
        json!({"rules": [{"name": "v1", "matches": [{"path": {"prefix": "/v1"}}]}],
            "policies": {"urlRewrite": {"path": {"replacePrefixMatch": "/v2"}}}})
    }),
    (PolicyKind::Redirect, "scheme", || json!({"policies": {"redirect": {"scheme": "https", "statusCode": 301}}})),
    (PolicyKind::DirectResponse, "body", || json!({"policies": {"directResponse": {"status": 410, "body": "gone"}}})),
    (
        PolicyKind::Mirror,
        "whole",
        || json!({"policies": {"mirror": {"backends": [{"service": "shadow", "port": 8080}]}}}),
    ),
    (
        PolicyKind::TrafficSplit,
        "1:3",
        || json!({"rules": [{"name": "all", "backends": [{"service": "api", "weight": 1}, {"service": "other", "weight": 3}]}]}),
    ),
    (PolicyKind::Cors, "one origin", || {
        json!({"policies": {"cors": {"allowOrigins": ["https://www.example.com"], "allowMethods": ["GET", "POST"],
            "allowHeaders": ["Content-Type"], "maxAge": "10m"}}})
    }),
    (PolicyKind::Compression, "gzip", || json!({"policies": {"compression": {"algorithms": ["Gzip"]}}})),
    (PolicyKind::BodySizeLimit, "1Ki", || json!({"policies": {"bodySizeLimit": {"max": "1Ki"}}})),
    (PolicyKind::Timeout, "one try", || json!({"policies": {"timeouts": {"backendRequest": "500ms"}}})),
    (PolicyKind::Retry, "503", || json!({"policies": {"retry": {"attempts": 2, "codes": [503]}}})),
    (PolicyKind::CircuitBreaking, "2 requests", || json!({"policies": {"circuitBreaking": {"maxRequests": 2}}})),
    (PolicyKind::ConnectionLimit, "2", || json!({"policies": {"connectionLimit": {"max": 2}}})),
    (
        PolicyKind::LoadBalancing,
        "round robin",
        || json!({"service": "many", "policies": {"loadBalancing": {"algorithm": {"roundRobin": {}}}}}),
    ),
    (
        PolicyKind::SessionAffinity,
        "cookie",
        || json!({"service": "many", "policies": {"sessionAffinity": {"cookie": {"name": "session"}}}}),
    ),
    (PolicyKind::RateLimitLocal, "5 in 10 s", || json!({"policies": {"rateLimit": {"requests": 5, "per": "10s"}}})),
    (
        PolicyKind::RateLimitLocal,
        "by client",
        || json!({"policies": {"rateLimit": {"requests": 5, "per": "10s", "key": {"clientIp": {}}}}}),
    ),
    (PolicyKind::BasicAuth, "users", || json!({"policies": {"basicAuth": {"credentials": {"name": "users"}}}})),
    (PolicyKind::ExternalAuthorization, "HTTP", || {
        json!({"policies": {"externalAuthorization": {"protocol": "HTTP", "service": "authorization", "port": 8080,
            "allowedHeaders": ["X-Token"], "backendHeaders": ["X-User"]}}})
    }),
    (PolicyKind::IpAccess, "allow", || json!({"policies": {"ipAccess": {"allow": ["198.51.100.10/31"]}}})),
    (PolicyKind::IpAccess, "deny", || json!({"policies": {"ipAccess": {"deny": ["198.51.100.10/31"]}}})),
    (PolicyKind::Jwt, "remote keys", || json!({"policies": {"jwt": tokens::policy("shop")}})),
    (PolicyKind::ClaimsAuthorization, "role", || {
        json!({"policies": {"jwt": tokens::policy("shop"),
            "claimsAuthorization": {"require": [{"claim": "role", "values": ["admin", "owner"]}]}}})
    }),
    (
        PolicyKind::ApiKey,
        "header",
        || json!({"policies": {"apiKey": {"location": {"header": "X-Api-Key"}, "credentials": {"name": "users"}}}}),
    ),
    (PolicyKind::BackendTls, "own authority", || {
        protocols::backend_tls(certificates::BACKEND, certificates::AUTHORITY)
    }),
    (
        PolicyKind::FaultInjection,
        "abort",
        || json!({"policies": {"faultInjection": {"abort": {"status": 503, "percent": 100}}}}),
    ),
    (PolicyKind::HealthCheck, "one of two pods", || {
        json!({"service": "many", "policies": {"healthCheck": {"probe": {"http": {"path": "/-/health"}},
            "interval": "1s", "timeout": "1s", "unhealthyThreshold": 3, "healthyThreshold": 1}}})
    }),
    (PolicyKind::OutlierDetection, "one of two pods", || {
        json!({"service": "many", "policies": {"outlierDetection": {"consecutive5xx": 3, "interval": "1s",
            "baseEjectionTime": "10s", "maxEjectionPercent": 50}}})
    }),
    (PolicyKind::RateLimitGlobal, "5 in 1 m in Redis", || {
        json!({"policies": {"rateLimitGlobal": {"requests": 5, "per": "1m", "key": {"header": "X-Client"},
            "service": {"redis": {"service": "redis", "port": 6379}}}}})
    }),
    (PolicyKind::ExternalAuthorization, "gRPC", || {
        json!({"policies": {"externalAuthorization": {"protocol": "GRPC", "service": "authorization", "port": 8080,
            "allowedHeaders": ["X-Token"]}}})
    }),
    (PolicyKind::Jwt, "rotated keys", || json!({"policies": {"jwt": tokens::policy("shop")}})),
    (PolicyKind::ClientCertificate, "one authority", || {
        json!({"listeners": [{"name": "http", "protocol": "HTTP", "port": 80, "redirectTo": "https"}, protocols::https()],
            "policies": {"clientCertificate": {"caCertificates": [certificates::CLIENTS]}}})
    }),
    (PolicyKind::AccessLog, "text", || json!({"policies": {"accessLog": {"format": {"text": {}}}}})),
    (
        PolicyKind::Tracing,
        "a quarter",
        || json!({"policies": {"tracing": {"service": "collector", "port": 4317, "sampling": observability::SAMPLING}}}),
    ),
];

/// What a case is about: its kind, or a part of the kind that not every gateway has.
pub(super) fn capability(kind: PolicyKind, form: &str) -> CapabilityName {
    let part = match (kind, form) {
        (PolicyKind::IpAccess, "deny") => "deny",
        (PolicyKind::IpAccess, _) => "allow",
        (PolicyKind::RateLimitGlobal, _) => "service/redis",
        (PolicyKind::RateLimitLocal, "by client") => "key/client-ip",
        (PolicyKind::ExternalAuthorization, "gRPC") => "grpc",
        (PolicyKind::ExternalAuthorization, _) => "http",
        (PolicyKind::Retry, _) => "codes",
        (PolicyKind::CircuitBreaking, _) => "max-requests",
        (PolicyKind::Compression, _) => "gzip",
        (PolicyKind::SessionAffinity, _) => "cookie",
        (PolicyKind::LoadBalancing, _) => "round-robin",
        (PolicyKind::FaultInjection, _) => "abort",
        (PolicyKind::ApiKey, _) => "location/header",
        (PolicyKind::HealthCheck, _) => "http",
        _ => return CapabilityName::policy(kind),
    };
    CapabilityName::policy_part(kind, part)
}

/// The requests for a kind; what they have shown, for the table.
pub(super) async fn show(scene: &Scene, kind: PolicyKind, form: &str, host: &str, accepted: &[String]) -> Shown {
    match (kind, form) {
        (PolicyKind::HeaderModification, _) => transformation::headers(scene, host).await,
        (PolicyKind::UrlRewrite, _) => transformation::rewrite(scene, host).await,
        (PolicyKind::Redirect, _) => transformation::redirect(scene, host).await,
        (PolicyKind::DirectResponse, _) => transformation::direct(scene, host).await,
        (PolicyKind::Mirror, _) => transformation::mirror(scene, host).await,
        (PolicyKind::TrafficSplit, _) => transformation::split(scene, host).await,
        (PolicyKind::Cors, _) => transformation::cors(scene, host).await,
        (PolicyKind::Compression, _) => transformation::compression(scene, host).await,
        (PolicyKind::BodySizeLimit, _) => transformation::body_size(scene, host).await,
        (PolicyKind::Timeout, _) => resilience::timeout(scene, host).await,
        (PolicyKind::Retry, _) => resilience::retry(scene, host).await,
        (PolicyKind::ConnectionLimit, _) if accepted.iter().any(|name| name == "connection-limit/waits") => {
            resilience::waits(scene, host).await
        }
        (PolicyKind::CircuitBreaking | PolicyKind::ConnectionLimit, _) => resilience::in_flight(scene, host).await,
        (PolicyKind::LoadBalancing, _) => resilience::round_robin(scene, host).await,
        (PolicyKind::SessionAffinity, _) => resilience::affinity(scene, host).await,
        (PolicyKind::RateLimitLocal, "by client") => limits::rate_by_client(scene, host).await,
        (PolicyKind::RateLimitLocal, _) => limits::rate(scene, host).await,
        (PolicyKind::BasicAuth, _) => access::basic(scene, host).await,
        (PolicyKind::ExternalAuthorization, _) => access::external(scene, host).await,
        (PolicyKind::IpAccess, form) => access::addresses(scene, host, form == "allow").await,
        (PolicyKind::BackendTls, _) => protocols::backend(scene, host).await,
        (PolicyKind::Jwt, "rotated keys") => tokens::rotated(scene, host).await,
        (PolicyKind::Jwt, _) => tokens::verified(scene, host).await,
        (PolicyKind::ClaimsAuthorization, _) => tokens::claims(scene, host).await,
        (PolicyKind::ApiKey, _) => access::keys(scene, host).await,
        (PolicyKind::FaultInjection, _) => transformation::aborted(scene, host).await,
        (PolicyKind::HealthCheck, _) => {
            let at_once = accepted.iter().any(|name| name == "health-check/bad-answer-at-once");
            resilience::unhealthy(scene, host, at_once).await
        }
        (PolicyKind::OutlierDetection, _) => resilience::outliers(scene, host).await,
        (PolicyKind::RateLimitGlobal, _) => limits::shared_rate(scene, host).await,
        (PolicyKind::ClientCertificate, _) => protocols::client_certificates(scene, host).await,
        (PolicyKind::AccessLog, _) => observability::access_log(scene, host).await,
        (PolicyKind::Tracing, _) => observability::tracing(scene, host).await,
        _ => Err("declared, and the suite has no requests that would show it".to_owned()),
    }
}
