//! What each version can do, each line with its evidence: the conformance report of 1.7.0, the CRDs of 1.7, the source.

use gateway_modules_core::{
    capability::{
        Capabilities, CapabilityName, Evidence, Granularity,
        names::{gateway_api as api, project},
    },
    intent::policies::PolicyKind,
    module::ModuleVersion,
};
use serde_json::{Map, Value};

use Granularity::{Backend, Gateway, Rule};

/// The conformance report and the version it was made with.
const REPORT: (&str, &str) = ("v1.4/envoy-gateway/1.7.0-experimental.yaml", "1.7.0");

/// Extended features in the report of 1.7.0, besides the core of all profiles.
const REPORTED: &[CapabilityName] = &[
    api::GATEWAY,
    api::HTTP_ROUTE,
    api::GRPC_ROUTE,
    api::REFERENCE_GRANT,
    api::BACKEND_TLS_POLICY,
    api::BACKEND_TLS_POLICY_SAN_VALIDATION,
    api::GATEWAY_ADDRESS_EMPTY,
    api::GATEWAY_HTTP_LISTENER_ISOLATION,
    api::GATEWAY_PORT_8080,
    api::HTTP_ROUTE_BACKEND_PROTOCOL_H2C,
    api::HTTP_ROUTE_BACKEND_PROTOCOL_WEB_SOCKET,
    api::HTTP_ROUTE_BACKEND_REQUEST_HEADER_MODIFICATION,
    api::HTTP_ROUTE_BACKEND_TIMEOUT,
    api::HTTP_ROUTE_CORS,
    api::HTTP_ROUTE_DESTINATION_PORT_MATCHING,
    api::HTTP_ROUTE_HOST_REWRITE,
    api::HTTP_ROUTE_METHOD_MATCHING,
    api::HTTP_ROUTE_NAMED_ROUTE_RULE,
    api::HTTP_ROUTE_PARENT_REF_PORT,
    api::HTTP_ROUTE_PATH_REDIRECT,
    api::HTTP_ROUTE_PATH_REWRITE,
    api::HTTP_ROUTE_PORT_REDIRECT,
    api::HTTP_ROUTE_QUERY_PARAM_MATCHING,
    api::HTTP_ROUTE_REQUEST_MIRROR,
    api::HTTP_ROUTE_REQUEST_MULTIPLE_MIRRORS,
    api::HTTP_ROUTE_REQUEST_PERCENTAGE_MIRROR,
    api::HTTP_ROUTE_REQUEST_TIMEOUT,
    api::HTTP_ROUTE_RESPONSE_HEADER_MODIFICATION,
    api::HTTP_ROUTE_SCHEME_REDIRECT,
    // Core of the profiles GATEWAY-HTTP, GATEWAY-TLS and GATEWAY-GRPC, and the provisional test GRPCRouteNamedRule.
    project::LISTENER_HTTP,
    project::LISTENER_HTTPS,
    project::GRPC_HEADER_MATCHING,
    project::GRPC_METHOD_MATCHING,
    project::GRPC_NAMED_ROUTE_RULE,
];

/// In the report too. The controller watches `v1alpha3` (`internal/provider/kubernetes/controller.go`), which since Gateway API
/// 1.5 only the experimental channel serves: with the standard one it says "TLSRoute CRD not found" and goes on without.
const REPORTED_EXPERIMENTAL: &[CapabilityName] = &[api::TLS_ROUTE, project::LISTENER_TLS];

/// Kinds that are standard fields, shown by the report.
const STANDARD_POLICIES: &[(PolicyKind, Granularity)] = &[
    (PolicyKind::HeaderModification, Rule),
    (PolicyKind::UrlRewrite, Rule),
    (PolicyKind::Redirect, Rule),
    (PolicyKind::Mirror, Rule),
    (PolicyKind::TrafficSplit, Rule),
    (PolicyKind::Cors, Rule),
    (PolicyKind::Timeout, Rule),
    (PolicyKind::BackendTls, Backend),
];

/// Kinds that are the vendor's own: kind, granularity, place in the CRDs, parts that not every gateway has.
const VENDOR_POLICIES: &[(PolicyKind, Granularity, &str, &[&str])] = &[
    (PolicyKind::UrlRewrite, Rule, "HTTPRouteFilter spec.urlRewrite", &["regex"]),
    (PolicyKind::DirectResponse, Rule, "HTTPRouteFilter spec.directResponse", &["body", "content-type"]),
    (PolicyKind::Compression, Rule, "BackendTrafficPolicy spec.compressor", &["gzip", "brotli", "zstd", "min-size"]),
    (PolicyKind::BodySizeLimit, Rule, "BackendTrafficPolicy spec.requestBuffer", &[]),
    (PolicyKind::Retry, Rule, "BackendTrafficPolicy spec.retry", &["backoff", "codes", "connection-errors"]),
    (
        PolicyKind::CircuitBreaking,
        Rule,
        "BackendTrafficPolicy spec.circuitBreaker",
        &["max-connections", "max-pending-requests", "max-requests", "max-retries"],
    ),
    (PolicyKind::OutlierDetection, Rule, "BackendTrafficPolicy spec.healthCheck.passive", &[]),
    (PolicyKind::HealthCheck, Rule, "BackendTrafficPolicy spec.healthCheck.active", &["http", "grpc"]),
    (PolicyKind::ConnectionLimit, Rule, "BackendTrafficPolicy spec.circuitBreaker.maxConnections", &[]),
    (
        PolicyKind::LoadBalancing,
        Rule,
        "BackendTrafficPolicy spec.loadBalancer",
        &["round-robin", "least-request", "random", "hash/header", "hash/cookie", "hash/client-ip"],
    ),
    (
        PolicyKind::SessionAffinity,
        Rule,
        "BackendTrafficPolicy spec.loadBalancer.consistentHash",
        &["cookie", "client-ip"],
    ),
    (PolicyKind::FaultInjection, Rule, "BackendTrafficPolicy spec.faultInjection", &["delay", "abort"]),
    (PolicyKind::RateLimitLocal, Rule, "BackendTrafficPolicy spec.rateLimit.local", &["key/client-ip", "key/header"]),
    (
        PolicyKind::Jwt,
        Rule,
        "SecurityPolicy spec.jwt",
        &["audiences", "jwks/remote", "jwks/config-map", "claims-to-headers", "forward-token"],
    ),
    (
        PolicyKind::ApiKey,
        Rule,
        "SecurityPolicy spec.apiKeyAuth",
        &["location/header", "location/query-parameter", "location/cookie", "forward-key"],
    ),
    (PolicyKind::BasicAuth, Rule, "SecurityPolicy spec.basicAuth", &[]),
    (PolicyKind::ExternalAuthorization, Rule, "SecurityPolicy spec.extAuth", &["http", "grpc", "body"]),
    (PolicyKind::ClaimsAuthorization, Rule, "SecurityPolicy spec.authorization", &["nested", "list"]),
    (PolicyKind::IpAccess, Rule, "SecurityPolicy spec.authorization", &["allow", "deny"]),
    // Gateway and not listener: a listener's authorities can be passed by where hosts of listeners overlap (GEP-3567).
    (PolicyKind::ClientCertificate, Gateway, "ClientTrafficPolicy spec.tls.clientValidation", &[]),
    (PolicyKind::AccessLog, Gateway, "EnvoyProxy spec.telemetry.accessLog", &["text", "json", "fields"]),
    (PolicyKind::Tracing, Gateway, "EnvoyProxy spec.telemetry.tracing", &["sampling"]),
];

/// What the operator claims by `gateway.parameters.rateLimit`.
const RATE_LIMIT_PARTS: &[&str] = &["service/redis"];

/// What the source says besides: capability, granularity, place.
const DOCUMENTED: &[(CapabilityName, Granularity, &str)] = &[
    // Each Gateway has a Deployment and a Service of its own.
    (project::GATEWAY_ISOLATION_ADDRESS, Gateway, "internal/infrastructure/kubernetes/proxy/resource_provider.go"),
    (project::GATEWAY_EXPOSURE_CLUSTER, Gateway, "EnvoyProxy spec.provider.kubernetes.envoyService.type"),
    (project::GATEWAY_PARAMETERS, Gateway, "EnvoyProxy"),
    (project::PATH_REGULAR_EXPRESSION, Rule, "internal/gatewayapi/route.go, HTTPRoute matches"),
    (project::HEADER_REGULAR_EXPRESSION, Rule, "internal/gatewayapi/route.go, HTTPRoute matches"),
    (project::QUERY_REGULAR_EXPRESSION, Rule, "internal/gatewayapi/route.go, HTTPRoute matches"),
];

fn documentation(place: &str) -> Evidence {
    let mut evidence = Evidence::documentation("gateway.envoyproxy.io", "1.7");
    evidence.source = format!("gateway.envoyproxy.io 1.7 {place}").into();
    evidence
}

/// Capabilities of a version, by the nearest older line that is known.
pub(crate) fn declared(version: &ModuleVersion) -> Capabilities {
    let mut capabilities = Capabilities::new();
    if version.line() < (1, 7) {
        // A line older than all known ones has no evidence.
        return capabilities;
    }
    let report = || Evidence::report(REPORT.0, REPORT.1);
    for name in REPORTED {
        capabilities.declare(name.clone(), Granularity::of_feature(name), report());
    }
    for name in REPORTED_EXPERIMENTAL {
        capabilities.declare_experimental(name.clone(), Granularity::of_feature(name), report());
    }
    for (kind, granularity) in STANDARD_POLICIES {
        capabilities.declare(CapabilityName::policy(*kind), *granularity, report());
    }
    for (name, granularity, place) in DOCUMENTED {
        capabilities.declare(name.clone(), *granularity, documentation(place));
    }
    for (kind, granularity, place, parts) in VENDOR_POLICIES {
        capabilities.declare_policy(*kind, *granularity, parts, &documentation(place));
    }
    // What requests have shown (BEHAVIOUR.md).
    capabilities.tested(include_str!("tested.csv"), (1, 7));
    capabilities
}

/// Global rate limits, where the installation has a Redis.
pub(crate) fn claimed(parameters: &Map<String, Value>) -> Capabilities {
    let mut capabilities = Capabilities::new();
    if parameters.contains_key("rateLimit") {
        let evidence = Evidence::operator("gateway.parameters.rateLimit");
        capabilities.declare_policy(PolicyKind::RateLimitGlobal, Rule, RATE_LIMIT_PARTS, &evidence);
    }
    capabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Capabilities {
        declared(&ModuleVersion::new(version).expect("version"))
    }

    #[test]
    fn every_kind_but_the_option_is_declared() {
        let capabilities = of("1.7");
        for kind in PolicyKind::ALL {
            assert_eq!(
                capabilities.has(&CapabilityName::policy(*kind)),
                *kind != PolicyKind::RateLimitGlobal,
                "{kind}"
            );
        }
    }

    #[test]
    fn versions_get_the_nearest_older_line() {
        assert_eq!(of("1.9.1"), of("1.7"));
        assert!(of("1.6").is_empty());
    }
}
