//! What each version can do, each line with its evidence.

use gateway_modules_core::{
    capability::{
        Capabilities, CapabilityName, Evidence, Granularity,
        names::{gateway_api as api, project},
    },
    intent::policies::PolicyKind,
    module::ModuleVersion,
};

use Granularity::{Backend, Gateway, Rule};

/// What the vendor wrote about one minor line.
struct Line {
    /// The conformance report and the version it was made with.
    report: (&'static str, &'static str),
    /// The API reference, and the version it is of.
    reference: (&'static str, &'static str),
    /// Whether the line is 2.4 or newer.
    since_2_4: bool,
}

const V2_3: Line = Line {
    report: ("v1.5/kgateway/v2.3.7-report.yaml", "2.3.7"),
    reference: ("kgateway.dev docs/envoy/2.3.x/reference/api", "2.3"),
    since_2_4: false,
};
const V2_4: Line = Line {
    report: ("v1.6/kgateway/v2.4.0-rc.1-report.yaml", "2.4.0-rc.1"),
    reference: ("kgateway.dev docs/envoy/2.4.x/reference/api", "2.4"),
    since_2_4: true,
};

/// Extended features in the reports of 2.3.7 and of 2.4.0-rc.1, besides the core of all profiles.
const REPORTED: &[CapabilityName] = &[
    api::GATEWAY,
    api::HTTP_ROUTE,
    api::GRPC_ROUTE,
    api::TLS_ROUTE,
    api::REFERENCE_GRANT,
    api::LISTENER_SET,
    api::BACKEND_TLS_POLICY,
    api::GATEWAY_ADDRESS_EMPTY,
    api::GATEWAY_BACKEND_CLIENT_CERTIFICATE,
    api::GATEWAY_FRONTEND_CLIENT_CERTIFICATE_VALIDATION,
    api::GATEWAY_FRONTEND_CLIENT_CERTIFICATE_VALIDATION_INSECURE_FALLBACK,
    api::GATEWAY_INFRASTRUCTURE_PROPAGATION,
    api::GATEWAY_PORT_8080,
    api::GATEWAY_STATIC_ADDRESSES,
    api::HTTP_ROUTE_303_REDIRECT_STATUS_CODE,
    api::HTTP_ROUTE_307_REDIRECT_STATUS_CODE,
    api::HTTP_ROUTE_308_REDIRECT_STATUS_CODE,
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
    api::TLS_ROUTE_MODE_MIXED,
    api::TLS_ROUTE_MODE_TERMINATE,
    // Core of the profiles GATEWAY-HTTP, GATEWAY-TLS and GATEWAY-GRPC, and the provisional test GRPCRouteNamedRule.
    project::LISTENER_HTTP,
    project::LISTENER_HTTPS,
    project::LISTENER_TLS,
    project::GRPC_HEADER_MATCHING,
    project::GRPC_METHOD_MATCHING,
    project::GRPC_NAMED_ROUTE_RULE,
];

/// In the report of 2.4.0-rc.1 only. The report of 2.3.7 says no to the first two, and has no TCP profile.
const REPORTED_SINCE_2_4: &[CapabilityName] = &[
    api::BACKEND_TLS_POLICY_SAN_VALIDATION,
    api::GATEWAY_HTTP_LISTENER_ISOLATION,
    api::TCP_ROUTE,
    project::LISTENER_TCP,
];

/// In the report of 2.4.0-rc.1 too; `rules[].retry` is in the experimental channel. Gateway API 1.5 has no such feature name.
const REPORTED_SINCE_2_4_EXPERIMENTAL: &[CapabilityName] =
    &[api::HTTP_ROUTE_RETRY, api::HTTP_ROUTE_RETRY_BACKEND_TIMEOUT, api::HTTP_ROUTE_RETRY_CONNECTION_ERROR];

/// Kinds that are standard fields, shown by the reports.
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

/// Kinds that are the vendor's own: kind, granularity, place in the API reference, parts that not every gateway has.
const VENDOR_POLICIES: &[(PolicyKind, Granularity, &str, &[&str])] = &[
    (PolicyKind::UrlRewrite, Rule, "TrafficPolicySpec.urlRewrite", &["regex"]),
    (PolicyKind::DirectResponse, Rule, "DirectResponseSpec", &["body"]),
    (PolicyKind::Compression, Rule, "TrafficPolicySpec.compression", &["gzip", "brotli", "zstd"]),
    (PolicyKind::BodySizeLimit, Rule, "TrafficPolicySpec.buffer", &[]),
    (PolicyKind::Retry, Rule, "TrafficPolicySpec.retry", &["backoff", "codes", "connection-errors"]),
    (
        PolicyKind::CircuitBreaking,
        Backend,
        "BackendConfigPolicySpec.circuitBreakers",
        &["max-connections", "max-pending-requests", "max-requests", "max-retries"],
    ),
    (PolicyKind::OutlierDetection, Backend, "BackendConfigPolicySpec.outlierDetection", &[]),
    (PolicyKind::HealthCheck, Backend, "BackendConfigPolicySpec.healthCheck", &["http", "grpc"]),
    (PolicyKind::ConnectionLimit, Backend, "BackendConfigPolicySpec.circuitBreakers", &[]),
    (
        PolicyKind::LoadBalancing,
        Backend,
        "BackendConfigPolicySpec.loadBalancer",
        &["round-robin", "least-request", "random", "hash/header", "hash/cookie", "hash/client-ip"],
    ),
    (PolicyKind::SessionAffinity, Backend, "BackendConfigPolicySpec.loadBalancer", &["cookie", "client-ip"]),
    (PolicyKind::RateLimitLocal, Rule, "TrafficPolicySpec.rateLimit.local", &["burst"]),
    (
        PolicyKind::RateLimitGlobal,
        Rule,
        "TrafficPolicySpec.rateLimit.global",
        &["key/client-ip", "key/header", "service/envoy", "fail-open"],
    ),
    (
        PolicyKind::Jwt,
        Rule,
        "TrafficPolicySpec.jwtAuth",
        &["audiences", "jwks/remote", "jwks/config-map", "claims-to-headers", "forward-token"],
    ),
    (
        PolicyKind::ApiKey,
        Rule,
        "TrafficPolicySpec.apiKeyAuth",
        &["location/header", "location/query-parameter", "location/cookie", "forward-key"],
    ),
    (PolicyKind::BasicAuth, Rule, "TrafficPolicySpec.basicAuth", &[]),
    (PolicyKind::ExternalAuthorization, Rule, "TrafficPolicySpec.extAuth", &["http", "grpc", "body"]),
    (PolicyKind::ClaimsAuthorization, Rule, "TrafficPolicySpec.rbac", &["nested", "list"]),
    // Gateway and not listener: a listener's authorities can be passed by where hosts of listeners overlap (GEP-3567).
    (PolicyKind::ClientCertificate, Gateway, "ListenerPolicySpec.default.clientCertificateValidation", &[]),
    (PolicyKind::AccessLog, Gateway, "ListenerPolicySpec.default.httpSettings.accessLog", &["text", "json", "fields"]),
    (PolicyKind::Tracing, Gateway, "ListenerPolicySpec.default.httpSettings.tracing", &["sampling"]),
];

/// The vendor's own kinds that 2.4 brought (facts/gateways.md §6, version-gated items).
const VENDOR_POLICIES_SINCE_2_4: &[(PolicyKind, Granularity, &str, &[&str])] = &[
    (PolicyKind::FaultInjection, Rule, "TrafficPolicySpec.faultInjection", &["delay", "abort"]),
    (PolicyKind::IpAccess, Rule, "TrafficPolicySpec.acl", &["allow", "deny"]),
];

/// What the vendor's documentation says besides: capability, granularity, place.
const DOCUMENTED: &[(CapabilityName, Granularity, &str)] = &[
    // Each Gateway has a Deployment and a Service of its own.
    (project::GATEWAY_ISOLATION_ADDRESS, Gateway, "pkg/kgateway/helm/envoy/templates"),
    (project::GATEWAY_EXPOSURE_CLUSTER, Gateway, "GatewayParametersSpec.kube.service.type"),
    (project::GATEWAY_PARAMETERS, Gateway, "GatewayParametersSpec"),
    (project::PATH_REGULAR_EXPRESSION, Rule, "traffic-management/match/path"),
    (project::HEADER_REGULAR_EXPRESSION, Rule, "traffic-management/match/header"),
    (project::QUERY_REGULAR_EXPRESSION, Rule, "traffic-management/match/query"),
];

/// Capabilities of a version, by the nearest older line that is known. `UDPRoute` is none of them: kgateway has no support.
pub(crate) fn declared(version: &ModuleVersion) -> Capabilities {
    // A line older than all known ones has no evidence.
    match version.line() {
        line if line >= (2, 4) => table(&V2_4),
        line if line >= (2, 3) => table(&V2_3),
        _ => Capabilities::new(),
    }
}

fn table(line: &Line) -> Capabilities {
    let report = || Evidence::report(line.report.0, line.report.1);
    let reference = |place: &str| {
        let mut evidence = Evidence::documentation(line.reference.0, line.reference.1);
        evidence.source = format!("{} {place}", line.reference.0).into();
        evidence
    };
    let mut capabilities = Capabilities::new();
    for name in REPORTED {
        capabilities.declare(name.clone(), Granularity::of_feature(name), report());
    }
    for (kind, granularity) in STANDARD_POLICIES {
        capabilities.declare(CapabilityName::policy(*kind), *granularity, report());
    }
    for (name, granularity, place) in DOCUMENTED {
        capabilities.declare(name.clone(), *granularity, reference(place));
    }
    let since: &[_] = if line.since_2_4 { VENDOR_POLICIES_SINCE_2_4 } else { &[] };
    for (kind, granularity, place, parts) in VENDOR_POLICIES.iter().chain(since) {
        capabilities.declare_policy(*kind, *granularity, parts, &reference(place));
    }
    if line.since_2_4 {
        for name in REPORTED_SINCE_2_4 {
            capabilities.declare(name.clone(), Granularity::of_feature(name), report());
        }
        for name in REPORTED_SINCE_2_4_EXPERIMENTAL {
            capabilities.declare_experimental(name.clone(), Rule, report());
        }
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
    fn every_kind_is_emitted_at_2_4() {
        let capabilities = of("2.4");
        for kind in PolicyKind::ALL {
            assert!(capabilities.has(&CapabilityName::policy(*kind)), "{kind}");
        }
        assert!(!capabilities.has(&api::UDP_ROUTE));
    }

    #[test]
    fn versions_get_the_nearest_older_line() {
        assert_eq!(of("2.9.1"), of("2.4"));
        assert_eq!(of("2.3.7"), of("2.3"));
        assert!(of("2.2").is_empty());
        let older = of("2.3");
        for missing in [PolicyKind::IpAccess, PolicyKind::FaultInjection] {
            assert!(!older.has(&CapabilityName::policy(missing)), "{missing}");
        }
        assert!(!older.has(&api::HTTP_ROUTE_RETRY) && !older.has(&api::TCP_ROUTE));
    }

    #[test]
    fn every_line_has_evidence_and_retry_fields_are_experimental() {
        let mut capabilities = of("2.4");
        assert!(capabilities.iter().all(|(_, capability)| !capability.evidence.is_empty()));
        capabilities.retain_standard_channel();
        assert!(!capabilities.has(&api::HTTP_ROUTE_RETRY));
        assert!(capabilities.has(&CapabilityName::policy(PolicyKind::Retry)));
    }
}
