//! One case per policy kind, or per part of it that not every gateway has: what an intent says, and the requests that show it.

use futures::{FutureExt, future::BoxFuture};
use gateway_modules_core::{capability::CapabilityName, intent::policies::PolicyKind};
use serde_json::{Value, json};

use super::{
    access, limits,
    observability::{self, LogLine},
    protocols, resilience,
    scene::{Scene, Shown},
    tokens, transformation,
};
use crate::lab::certificates;

/// A case.
pub(super) struct Case {
    pub(super) kind: PolicyKind,
    /// Which of the kind's forms the intent has.
    pub(super) form: &'static str,
    /// The part of the kind that it is about, where not every gateway has it.
    part: Option<&'static str>,
    /// What is laid over the usual endpoint.
    pub(super) endpoint: fn() -> Value,
    /// The requests at a host, by the names of the differences that were accepted; what they have shown, for the table.
    pub(super) show: for<'a> fn(&'a Scene, &'a str, &'a [String]) -> BoxFuture<'a, Shown>,
}

impl Case {
    pub(super) fn name(&self) -> String {
        format!("{}, {}", self.kind, self.form)
    }

    /// What it shows: its kind, or the part of it.
    pub(super) fn capability(&self) -> CapabilityName {
        self.part.map_or_else(|| CapabilityName::policy(self.kind), |part| CapabilityName::policy_part(self.kind, part))
    }
}

fn accepts(accepted: &[String], difference: &str) -> bool {
    accepted.iter().any(|name| name == difference)
}

/// The cases, in their order.
pub(super) const CASES: &[Case] = &[
    Case {
        kind: PolicyKind::HeaderModification,
        form: "set, add, remove",
        part: None,
        endpoint: || {
            json!({"policies": {"headerModification": {
                "request": {"set": [{"name": "X-Tenant", "value": "shop"}], "add": [{"name": "X-Via", "value": "gateway"}], "remove": ["X-Debug"]},
                "response": {"set": [{"name": "X-Served", "value": "yes"}], "remove": ["X-Internal"]},
            }}})
        },
        show: |scene, host, _| transformation::headers(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::UrlRewrite,
        form: "prefix",
        part: None,
        endpoint: || {
            json!({"rules": [{"name": "v1", "matches": [{"path": {"prefix": "/v1"}}]}],
            "policies": {"urlRewrite": {"path": {"replacePrefixMatch": "/v2"}}}})
        },
        show: |scene, host, _| transformation::rewrite(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::Redirect,
        form: "scheme",
        part: None,
        endpoint: || json!({"policies": {"redirect": {"scheme": "https", "statusCode": 301}}}),
        show: |scene, host, _| transformation::redirect(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::DirectResponse,
        form: "body",
        part: None,
        endpoint: || json!({"policies": {"directResponse": {"status": 410, "body": "gone"}}}),
        show: |scene, host, _| transformation::direct(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::Mirror,
        form: "whole",
        part: None,
        endpoint: || json!({"policies": {"mirror": {"backends": [{"service": "shadow", "port": 8080}]}}}),
        show: |scene, host, _| transformation::mirror(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::TrafficSplit,
        form: "1:3",
        part: None,
        endpoint: || json!({"rules": [{"name": "all", "backends": [{"service": "api", "weight": 1}, {"service": "other", "weight": 3}]}]}),
        show: |scene, host, _| transformation::split(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::Cors,
        form: "one origin",
        part: None,
        endpoint: || {
            json!({"policies": {"cors": {"allowOrigins": ["https://www.example.com"], "allowMethods": ["GET", "POST"],
            "allowHeaders": ["Content-Type"], "maxAge": "10m"}}})
        },
        show: |scene, host, _| transformation::cors(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::Compression,
        form: "gzip",
        part: Some("gzip"),
        endpoint: || json!({"policies": {"compression": {"algorithms": ["Gzip"]}}}),
        show: |scene, host, _| transformation::compression(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::BodySizeLimit,
        form: "1Ki",
        part: None,
        endpoint: || json!({"policies": {"bodySizeLimit": {"max": "1Ki"}}}),
        show: |scene, host, _| transformation::body_size(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::Timeout,
        form: "one try",
        part: None,
        endpoint: || json!({"policies": {"timeouts": {"backendRequest": "500ms"}}}),
        show: |scene, host, _| resilience::timeout(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::Retry,
        form: "503",
        part: Some("codes"),
        endpoint: || json!({"policies": {"retry": {"attempts": 2, "codes": [503]}}}),
        show: |scene, host, _| resilience::retry(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::CircuitBreaking,
        form: "2 requests",
        part: Some("max-requests"),
        endpoint: || json!({"policies": {"circuitBreaking": {"maxRequests": 2}}}),
        show: |scene, host, _| resilience::in_flight(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::ConnectionLimit,
        form: "2",
        part: None,
        endpoint: || json!({"policies": {"connectionLimit": {"max": 2}}}),
        show: |scene, host, accepted| {
            if accepts(accepted, "connection-limit/waits") {
                resilience::waits(scene, host).boxed()
            } else {
                resilience::in_flight(scene, host).boxed()
            }
        },
    },
    Case {
        kind: PolicyKind::LoadBalancing,
        form: "round robin",
        part: Some("round-robin"),
        endpoint: || json!({"service": "many", "policies": {"loadBalancing": {"algorithm": {"roundRobin": {}}}}}),
        show: |scene, host, _| resilience::round_robin(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::SessionAffinity,
        form: "cookie",
        part: Some("cookie"),
        endpoint: || json!({"service": "many", "policies": {"sessionAffinity": {"cookie": {"name": "session"}}}}),
        show: |scene, host, _| resilience::affinity(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::RateLimitLocal,
        form: "5 in 10 s",
        part: None,
        endpoint: || json!({"policies": {"rateLimit": {"requests": 5, "per": "10s"}}}),
        show: |scene, host, _| limits::rate(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::RateLimitLocal,
        form: "by client",
        part: Some("key/client-ip"),
        endpoint: || json!({"policies": {"rateLimit": {"requests": 5, "per": "10s", "key": {"clientIp": {}}}}}),
        show: |scene, host, _| limits::rate_by_client(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::BasicAuth,
        form: "users",
        part: None,
        endpoint: || json!({"policies": {"basicAuth": {"credentials": {"name": "users"}}}}),
        show: |scene, host, _| access::basic(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::ExternalAuthorization,
        form: "HTTP",
        part: Some("http"),
        endpoint: || {
            json!({"policies": {"externalAuthorization": {"protocol": "HTTP", "service": "authorization", "port": 8080,
            "allowedHeaders": ["X-Token"], "backendHeaders": ["X-User"]}}})
        },
        show: |scene, host, _| access::external(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::IpAccess,
        form: "allow",
        part: Some("allow"),
        endpoint: || json!({"policies": {"ipAccess": {"allow": ["198.51.100.10/31"]}}}),
        show: |scene, host, _| access::addresses(scene, host, true).boxed(),
    },
    Case {
        kind: PolicyKind::IpAccess,
        form: "deny",
        part: Some("deny"),
        endpoint: || json!({"policies": {"ipAccess": {"deny": ["198.51.100.10/31"]}}}),
        show: |scene, host, _| access::addresses(scene, host, false).boxed(),
    },
    Case {
        kind: PolicyKind::Jwt,
        form: "remote keys",
        part: None,
        endpoint: || json!({"policies": {"jwt": tokens::policy("shop")}}),
        show: |scene, host, _| tokens::verified(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::ClaimsAuthorization,
        form: "role",
        part: None,
        endpoint: || {
            json!({"policies": {"jwt": tokens::policy("shop"),
            "claimsAuthorization": {"require": [{"claim": "role", "values": ["admin", "owner"]}]}}})
        },
        show: |scene, host, _| tokens::claims(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::ApiKey,
        form: "header",
        part: Some("location/header"),
        endpoint: || json!({"policies": {"apiKey": {"location": {"header": "X-Api-Key"}, "credentials": {"name": "users"}}}}),
        show: |scene, host, _| access::keys(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::BackendTls,
        form: "own authority",
        part: None,
        endpoint: || protocols::backend_tls(certificates::BACKEND, certificates::AUTHORITY),
        show: |scene, host, _| protocols::backend(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::FaultInjection,
        form: "abort",
        part: Some("abort"),
        endpoint: || json!({"policies": {"faultInjection": {"abort": {"status": 503, "percent": 100}}}}),
        show: |scene, host, _| transformation::aborted(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::HealthCheck,
        form: "one of two pods",
        part: Some("http"),
        endpoint: || {
            json!({"service": "many", "policies": {"healthCheck": {"probe": {"http": {"path": "/-/health"}},
            "interval": "1s", "timeout": "1s", "unhealthyThreshold": 3, "healthyThreshold": 1}}})
        },
        show: |scene, host, accepted| {
            resilience::unhealthy(scene, host, accepts(accepted, "health-check/bad-answer-at-once")).boxed()
        },
    },
    Case {
        kind: PolicyKind::OutlierDetection,
        form: "one of two pods",
        part: None,
        endpoint: || {
            json!({"service": "many", "policies": {"outlierDetection": {"consecutive5xx": 3, "interval": "1s",
            "baseEjectionTime": "10s", "maxEjectionPercent": 50}}})
        },
        show: |scene, host, _| resilience::outliers(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::RateLimitGlobal,
        form: "5 in 1 m in Redis",
        part: Some("service/redis"),
        endpoint: || {
            json!({"policies": {"rateLimitGlobal": {"requests": 5, "per": "1m", "key": {"header": "X-Client"},
            "service": {"redis": {"service": "redis", "port": 6379}}}}})
        },
        show: |scene, host, _| limits::shared_rate(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::ExternalAuthorization,
        form: "gRPC",
        part: Some("grpc"),
        endpoint: || {
            json!({"policies": {"externalAuthorization": {"protocol": "GRPC", "service": "authorization", "port": 8080,
            "allowedHeaders": ["X-Token"]}}})
        },
        show: |scene, host, _| access::external(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::Jwt,
        form: "rotated keys",
        part: None,
        endpoint: || json!({"policies": {"jwt": tokens::policy("shop")}}),
        show: |scene, host, _| tokens::rotated(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::ClientCertificate,
        form: "one authority",
        part: None,
        endpoint: || {
            json!({"listeners": [{"name": "http", "protocol": "HTTP", "port": 80, "redirectTo": "https"}, protocols::https()],
            "policies": {"clientCertificate": {"caCertificates": [certificates::CLIENTS]}}})
        },
        show: |scene, host, _| protocols::client_certificates(scene, host).boxed(),
    },
    Case {
        kind: PolicyKind::AccessLog,
        form: "text",
        part: Some("text"),
        endpoint: || json!({"policies": {"accessLog": {"format": {"text": {}}}}}),
        show: |scene, host, _| observability::access_log(scene, host, LogLine::Text).boxed(),
    },
    Case {
        kind: PolicyKind::AccessLog,
        form: "JSON",
        part: Some("json"),
        endpoint: || json!({"policies": {"accessLog": {"format": {"json": {}}}}}),
        show: |scene, host, _| observability::access_log(scene, host, LogLine::Json).boxed(),
    },
    Case {
        kind: PolicyKind::Tracing,
        form: "a quarter",
        part: None,
        endpoint: || json!({"policies": {"tracing": {"service": "collector", "port": 4317, "sampling": observability::SAMPLING}}}),
        show: |scene, host, _| observability::tracing(scene, host).boxed(),
    },
];
