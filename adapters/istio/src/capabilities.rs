//! What each version can do, each line with its evidence. Istio publishes no `supportedFeatures`, so this table is all there is.

use gateway_modules_core::{
    capability::{
        Capabilities, CapabilityName, Evidence, Granularity,
        names::{gateway_api as api, project},
    },
    intent::policies::PolicyKind,
    module::ModuleVersion,
};

use Granularity::{Backend, Gateway, Rule};

/// The newest conformance report (Gateway API 1.5.1), made with 1.30.1. There is none of 1.31 yet.
const REPORT: (&str, &str) = ("v1.5/istio-istio/1.30.0-default-report.yaml", "1.30.1");

/// Core of the profiles and extended features of the report.
const REPORTED: &[CapabilityName] = &[
    api::GATEWAY,
    api::HTTP_ROUTE,
    api::GRPC_ROUTE,
    api::TLS_ROUTE,
    api::REFERENCE_GRANT,
    api::BACKEND_TLS_POLICY,
    api::BACKEND_TLS_POLICY_SAN_VALIDATION,
    api::GATEWAY_ADDRESS_EMPTY,
    api::GATEWAY_HTTP_LISTENER_ISOLATION,
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
    project::LISTENER_HTTP,
    project::LISTENER_HTTPS,
    project::LISTENER_TLS,
    project::GRPC_HEADER_MATCHING,
    project::GRPC_METHOD_MATCHING,
    // The provisional test GRPCRouteNamedRule.
    project::GRPC_NAMED_ROUTE_RULE,
];

/// In the code of 1.31, and in no report yet.
const SINCE_1_31: &[CapabilityName] = &[
    api::GATEWAY_FRONTEND_CLIENT_CERTIFICATE_VALIDATION,
    api::GATEWAY_FRONTEND_CLIENT_CERTIFICATE_VALIDATION_INSECURE_FALLBACK,
    api::LISTENER_SET,
    api::TCP_ROUTE,
    project::LISTENER_TCP,
];

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

/// Kinds that are the vendor's own: kind, granularity, place in the reference, parts that not every gateway has.
const VENDOR_POLICIES: &[(PolicyKind, Granularity, &str, &[&str])] = &[
    (
        PolicyKind::CircuitBreaking,
        Backend,
        "networking/destination-rule ConnectionPoolSettings",
        &["max-connections", "max-pending-requests", "max-requests", "max-retries"],
    ),
    (PolicyKind::OutlierDetection, Backend, "networking/destination-rule OutlierDetection", &[]),
    (PolicyKind::ConnectionLimit, Backend, "networking/destination-rule ConnectionPoolSettings.TCPSettings", &[]),
    (
        PolicyKind::LoadBalancing,
        Backend,
        "networking/destination-rule LoadBalancerSettings",
        &["round-robin", "least-request", "random", "hash/header", "hash/cookie", "hash/client-ip"],
    ),
    (
        PolicyKind::SessionAffinity,
        Backend,
        "networking/destination-rule LoadBalancerSettings.ConsistentHashLB",
        &["cookie", "client-ip"],
    ),
    (
        PolicyKind::Jwt,
        Rule,
        "security/request_authentication, security/authorization-policy",
        &["audiences", "jwks/remote", "claims-to-headers", "forward-token"],
    ),
    (PolicyKind::ClaimsAuthorization, Rule, "security/conditions request.auth.claims", &["nested", "list"]),
    (PolicyKind::IpAccess, Rule, "security/authorization-policy Source.remoteIpBlocks", &["allow", "deny"]),
    // Options: without a provider that the installation is said to have, the mapping refuses.
    (PolicyKind::ExternalAuthorization, Rule, "security/authorization-policy CUSTOM", &["http", "body"]),
    (PolicyKind::AccessLog, Gateway, "telemetry AccessLogging", &["text", "json", "fields"]),
    (PolicyKind::Tracing, Gateway, "telemetry Tracing", &["sampling"]),
];

/// What the vendor's documentation or code says besides: capability, granularity, place.
const DOCUMENTED: &[(CapabilityName, Granularity, &str)] = &[
    // Each Gateway has a Deployment and a Service of its own.
    (
        project::GATEWAY_ISOLATION_ADDRESS,
        Gateway,
        "istio.io tasks/traffic-management/ingress/gateway-api#automated-deployment",
    ),
    (project::GATEWAY_EXPOSURE_CLUSTER, Gateway, "annotation networking.istio.io/service-type"),
    (project::GATEWAY_PARAMETERS, Gateway, "istio.io tasks/traffic-management/ingress/gateway-api#resource-attachment"),
    (project::PATH_REGULAR_EXPRESSION, Rule, "pilot/pkg/config/kube/gateway/conversion.go"),
    (project::HEADER_REGULAR_EXPRESSION, Rule, "pilot/pkg/config/kube/gateway/conversion.go"),
    (project::QUERY_REGULAR_EXPRESSION, Rule, "pilot/pkg/config/kube/gateway/conversion.go"),
];

/// `rules[].retry`, in the code and in no report; the field is in the experimental channel.
const RETRY: &[CapabilityName] = &[api::HTTP_ROUTE_RETRY, api::HTTP_ROUTE_RETRY_CONNECTION_ERROR];

/// Capabilities of a version, by the nearest older line that is known; a line older than all known ones has no evidence.
pub(crate) fn declared(version: &ModuleVersion) -> Capabilities {
    match version.line() {
        line if line >= (1, 31) => table("1.31", true),
        line if line >= (1, 30) => table("1.30", false),
        _ => Capabilities::new(),
    }
}

fn table(line: &'static str, since_1_31: bool) -> Capabilities {
    let report = || Evidence::report(REPORT.0, REPORT.1);
    let reference = |place: &str| {
        let mut evidence = Evidence::documentation("istio.io docs/reference/config", line);
        evidence.source = format!("istio.io docs/reference/config: {place}").into();
        evidence
    };
    let code = |place: &str| {
        let mut evidence = reference(place);
        evidence.source = format!("istio/istio {place}").into();
        evidence
    };
    // A report is evidence for its own minor line only; of 1.31 the same holds by its documentation.
    let shown = || {
        if since_1_31 {
            let mut evidence = Evidence::documentation("istio.io", line);
            evidence.source = format!("istio.io docs; also {} of 1.30", REPORT.0).into();
            evidence
        } else {
            report()
        }
    };
    let mut capabilities = Capabilities::new();
    for name in REPORTED {
        capabilities.declare(name.clone(), Granularity::of_feature(name), shown());
    }
    for (kind, granularity) in STANDARD_POLICIES {
        capabilities.declare(CapabilityName::policy(*kind), *granularity, shown());
    }
    for (name, granularity, place) in DOCUMENTED {
        capabilities.declare(name.clone(), *granularity, code(place));
    }
    for (kind, granularity, place, parts) in VENDOR_POLICIES {
        capabilities.declare_policy(*kind, *granularity, parts, &reference(place));
    }
    for name in RETRY {
        capabilities.declare_experimental(name.clone(), Rule, code("pilot/pkg/config/kube/gateway/conversion.go"));
    }
    capabilities.declare_experimental(
        CapabilityName::policy(PolicyKind::Retry),
        Rule,
        code("pilot/pkg/config/kube/gateway/conversion.go"),
    );
    // An option on 1.30 (Gateway TLS option), the standard field since 1.31.
    capabilities.declare(
        CapabilityName::policy(PolicyKind::ClientCertificate),
        Gateway,
        code("TLS option gateway.istio.io/tls-terminate-mode"),
    );
    if since_1_31 {
        for name in SINCE_1_31 {
            capabilities.declare(
                name.clone(),
                Granularity::of_feature(name),
                code("pilot/pkg/config/kube/gateway (1.31.0-rc.0)"),
            );
        }
    }
    // Written by `cargo xtask lab test --write`.
    capabilities.tested(include_str!("tested.csv"), if since_1_31 { (1, 31) } else { (1, 30) });
    capabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Capabilities {
        declared(&ModuleVersion::new(version).expect("version"))
    }

    #[test]
    fn versions_get_the_nearest_older_line() {
        assert_eq!(of("1.40.1"), of("1.31"));
        assert_eq!(of("1.30.3"), of("1.30"));
        assert!(of("1.29").is_empty());
    }

    #[test]
    fn what_came_with_1_31_is_not_in_1_30() {
        for name in SINCE_1_31 {
            assert!(of("1.31").has(name) && !of("1.30").has(name), "{name}");
        }
    }

    #[test]
    fn what_needs_an_escape_hatch_is_not_declared() {
        for kind in [
            PolicyKind::RateLimitLocal,
            PolicyKind::RateLimitGlobal,
            PolicyKind::ApiKey,
            PolicyKind::BasicAuth,
            PolicyKind::Compression,
            PolicyKind::BodySizeLimit,
            PolicyKind::DirectResponse,
            PolicyKind::FaultInjection,
            PolicyKind::HealthCheck,
        ] {
            assert!(!of("1.31").has(&CapabilityName::policy(kind)), "{kind}");
        }
    }
}
