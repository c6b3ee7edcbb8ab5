//! What each version can do, each line with its evidence.

use gateway_modules_core::{
    capability::{
        Capabilities, CapabilityName, Evidence, Granularity,
        names::{gateway_api as api, project},
    },
    intent::policies::PolicyKind,
    module::ModuleVersion,
};

use Granularity::{Backend, Gateway, Route, Rule};

/// What the vendor wrote about one minor line.
struct Line {
    /// The conformance report and the version it was made with.
    report: (&'static str, &'static str),
    /// The version that the documentation and the CRDs are of.
    reference: &'static str,
    number: (u64, u64),
}

/// No report was made with 2.5: what the one of 2.3.0 shows is still there, what it denies is not claimed.
const V2_5: Line = Line {
    report: ("v1.4/nginx-nginx-gateway-fabric/experimental-2.3.0-default-report.yaml", "2.3.0"),
    reference: "2.5",
    number: (2, 5),
};
const V2_6: Line = Line {
    report: ("v1.5/nginx-nginx-gateway-fabric/experimental-2.6.0-default-report.yaml", "2.6.0"),
    reference: "2.6.7",
    number: (2, 6),
};
const V2_7: Line = Line {
    report: ("v1.6/nginx-nginx-gateway-fabric/experimental-2.7.0-pre-release-default-report.yaml", "2.7.0-pre-release"),
    reference: "main e55bfe3",
    number: (2, 7),
};

/// In all reports, besides the core of the profiles.
const REPORTED: &[CapabilityName] = &[
    api::GATEWAY,
    api::HTTP_ROUTE,
    api::GRPC_ROUTE,
    api::REFERENCE_GRANT,
    api::GATEWAY_ADDRESS_EMPTY,
    api::GATEWAY_HTTP_LISTENER_ISOLATION,
    api::GATEWAY_INFRASTRUCTURE_PROPAGATION,
    api::GATEWAY_PORT_8080,
    api::GATEWAY_STATIC_ADDRESSES,
    api::HTTP_ROUTE_BACKEND_PROTOCOL_WEB_SOCKET,
    api::HTTP_ROUTE_DESTINATION_PORT_MATCHING,
    api::HTTP_ROUTE_HOST_REWRITE,
    api::HTTP_ROUTE_METHOD_MATCHING,
    api::HTTP_ROUTE_PARENT_REF_PORT,
    api::HTTP_ROUTE_PATH_REDIRECT,
    api::HTTP_ROUTE_PATH_REWRITE,
    api::HTTP_ROUTE_PORT_REDIRECT,
    api::HTTP_ROUTE_QUERY_PARAM_MATCHING,
    api::HTTP_ROUTE_REQUEST_MIRROR,
    api::HTTP_ROUTE_REQUEST_MULTIPLE_MIRRORS,
    api::HTTP_ROUTE_REQUEST_PERCENTAGE_MIRROR,
    api::HTTP_ROUTE_RESPONSE_HEADER_MODIFICATION,
    api::HTTP_ROUTE_SCHEME_REDIRECT,
    // Core of the profiles GATEWAY-HTTP and GATEWAY-GRPC.
    project::LISTENER_HTTP,
    project::LISTENER_HTTPS,
    project::GRPC_HEADER_MATCHING,
    project::GRPC_METHOD_MATCHING,
];

/// In the reports of 2.6.0 and 2.7.0-pre-release; TLSRoute is in the standard channel since Gateway API 1.5.
const REPORTED_SINCE_2_6: &[CapabilityName] = &[
    api::TLS_ROUTE,
    project::LISTENER_TLS,
    api::LISTENER_SET,
    api::BACKEND_TLS_POLICY,
    api::GATEWAY_BACKEND_CLIENT_CERTIFICATE,
    api::GATEWAY_FRONTEND_CLIENT_CERTIFICATE_VALIDATION,
    api::GATEWAY_FRONTEND_CLIENT_CERTIFICATE_VALIDATION_INSECURE_FALLBACK,
    api::GATEWAY_HTTPS_LISTENER_DETECT_MISDIRECTED_REQUESTS,
    api::HTTP_ROUTE_303_REDIRECT_STATUS_CODE,
    api::HTTP_ROUTE_307_REDIRECT_STATUS_CODE,
    api::HTTP_ROUTE_308_REDIRECT_STATUS_CODE,
    api::HTTP_ROUTE_CORS,
];

/// In the report of 2.7.0-pre-release only.
const REPORTED_SINCE_2_7: &[CapabilityName] =
    &[api::HTTP_ROUTE_BACKEND_PROTOCOL_H2C, api::TLS_ROUTE_MODE_MIXED, api::TLS_ROUTE_MODE_TERMINATE];

/// Kinds that are standard fields, in all reports.
const STANDARD_POLICIES: &[(PolicyKind, Granularity)] = &[
    (PolicyKind::HeaderModification, Rule),
    (PolicyKind::UrlRewrite, Rule),
    (PolicyKind::Redirect, Rule),
    (PolicyKind::Mirror, Rule),
    (PolicyKind::TrafficSplit, Rule),
];

/// Kinds that are standard fields, in the reports since 2.6.
const STANDARD_POLICIES_SINCE_2_6: &[(PolicyKind, Granularity)] =
    &[(PolicyKind::Cors, Rule), (PolicyKind::BackendTls, Backend), (PolicyKind::ClientCertificate, Gateway)];

/// Kinds that are the vendor's own: kind, granularity, place in the CRDs, parts that not every gateway has. Policies have no
/// `sectionName`, so what they bind to is a route.
const VENDOR_POLICIES: &[(PolicyKind, Granularity, &str, &[&str])] = &[
    (PolicyKind::BodySizeLimit, Route, "ClientSettingsPolicy.spec.body.maxSize", &[]),
    (PolicyKind::Timeout, Route, "ProxySettingsPolicy.spec.timeout.read", &[]),
    (
        PolicyKind::RateLimitLocal,
        Route,
        "RateLimitPolicy.spec.rateLimit.local.rules",
        &["burst", "key/client-ip", "key/header"],
    ),
    (
        PolicyKind::LoadBalancing,
        Backend,
        "UpstreamSettingsPolicy.spec.loadBalancingMethod",
        &["round-robin", "least-request", "random", "hash/header", "hash/cookie", "hash/client-ip"],
    ),
    // No part `cookie`: the address stands for it, and what only a cookie has (its life) needs NGINX Plus.
    (PolicyKind::SessionAffinity, Backend, "UpstreamSettingsPolicy.spec.loadBalancingMethod", &["client-ip"]),
    (PolicyKind::BasicAuth, Rule, "AuthenticationFilter.spec.basic", &["realm"]),
    (PolicyKind::AccessLog, Gateway, "NginxProxy.spec.logging.accessLog", &["text", "json", "fields"]),
    (PolicyKind::Tracing, Route, "ObservabilityPolicy.spec.tracing, NginxProxy.spec.telemetry", &["sampling"]),
];

/// What the vendor's documentation says besides: capability, granularity, place.
const DOCUMENTED: &[(CapabilityName, Granularity, &str)] = &[
    // Each Gateway has a Deployment and a Service of its own.
    (project::GATEWAY_ISOLATION_ADDRESS, Gateway, "internal/controller/provisioner/objects.go"),
    (project::GATEWAY_EXPOSURE_CLUSTER, Gateway, "NginxProxy.spec.kubernetes.service.type"),
    (project::GATEWAY_PARAMETERS, Gateway, "NginxProxy"),
    (project::PATH_REGULAR_EXPRESSION, Rule, "overview/gateway-api-compatibility (path regex since 2.2)"),
    (project::HEADER_REGULAR_EXPRESSION, Rule, "internal/controller/state/graph/route_common.go validateHeaderMatch"),
];

/// Capabilities of a version, by the nearest older line that is known. Names of rules, `timeouts`, `retry`, filters of
/// backends and SANs of BackendTLSPolicy are none of them: the reports deny them.
pub(crate) fn declared(version: &ModuleVersion) -> Capabilities {
    match version.line() {
        line if line >= V2_7.number => table(&V2_7),
        line if line >= V2_6.number => table(&V2_6),
        line if line >= V2_5.number => table(&V2_5),
        // A line older than all known ones has no evidence.
        _ => Capabilities::new(),
    }
}

fn table(line: &Line) -> Capabilities {
    let report = || Evidence::report(line.report.0, line.report.1);
    let reference = |place: &'static str| Evidence::documentation(place, line.reference);
    let (since_2_6, since_2_7) = (line.number >= V2_6.number, line.number >= V2_7.number);
    let mut capabilities = Capabilities::new();
    let lists = [(REPORTED, true), (REPORTED_SINCE_2_6, since_2_6), (REPORTED_SINCE_2_7, since_2_7)];
    for name in lists.into_iter().filter(|(_, there)| *there).flat_map(|(names, _)| names) {
        capabilities.declare(name.clone(), Granularity::of_feature(name), report());
    }
    let standard = [(STANDARD_POLICIES, true), (STANDARD_POLICIES_SINCE_2_6, since_2_6)];
    for (kind, granularity) in standard.into_iter().filter(|(_, there)| *there).flat_map(|(kinds, _)| kinds) {
        capabilities.declare(CapabilityName::policy(*kind), *granularity, report());
    }
    for (name, granularity, place) in DOCUMENTED {
        capabilities.declare(name.clone(), *granularity, reference(place));
    }
    for (kind, granularity, place, parts) in VENDOR_POLICIES {
        capabilities.declare_policy(*kind, *granularity, parts, &reference(place));
    }
    layer_4(&mut capabilities, line, since_2_6, since_2_7);
    capabilities
}

/// TCP and UDP are behind the flag for experimental features, which needs the CRDs of the experimental channel.
fn layer_4(capabilities: &mut Capabilities, line: &Line, since_2_6: bool, since_2_7: bool) {
    let report = || Evidence::report(line.report.0, line.report.1);
    let documented = || Evidence::documentation("CHANGELOG.md 2.4.0, pull request 4518", "2.4.0");
    for name in [api::TCP_ROUTE, project::LISTENER_TCP] {
        let evidence = if since_2_7 { report() } else { documented() };
        capabilities.declare_experimental(name.clone(), Granularity::of_feature(&name), evidence);
    }
    for name in [api::UDP_ROUTE, project::LISTENER_UDP] {
        let evidence = if since_2_6 { report() } else { documented() };
        capabilities.declare_experimental(name.clone(), Granularity::of_feature(&name), evidence);
    }
    if !since_2_6 {
        // Core of the profile GATEWAY-TLS of 2.3.0, made with Gateway API 1.4, where TLSRoute is experimental.
        for name in [api::TLS_ROUTE, project::LISTENER_TLS] {
            capabilities.declare_experimental(name.clone(), Granularity::of_feature(&name), report());
        }
        // The report of 2.3.0 has no such feature; the policy is documented, and in the standard channel since 1.4.
        let documented = || Evidence::documentation("CHANGELOG.md 2.3.0, pull request 4166", "2.3.0");
        capabilities.declare(api::BACKEND_TLS_POLICY, Backend, documented());
        capabilities.declare(CapabilityName::policy(PolicyKind::BackendTls), Backend, documented());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Capabilities {
        declared(&ModuleVersion::new(version).expect("version"))
    }

    #[test]
    fn versions_get_the_nearest_older_line() {
        assert_eq!(of("2.6.7"), of("2.6"));
        assert_eq!(of("2.9"), of("2.7"));
        assert!(of("2.4").is_empty());
        assert!(!of("2.5").has(&api::HTTP_ROUTE_CORS) && of("2.6").has(&api::HTTP_ROUTE_CORS));
        assert!(!of("2.6").has(&api::TLS_ROUTE_MODE_TERMINATE) && of("2.7").has(&api::TLS_ROUTE_MODE_TERMINATE));
    }

    #[test]
    fn what_the_reports_deny_is_not_claimed() {
        for version in ["2.5", "2.6", "2.7"] {
            let capabilities = of(version);
            assert!(capabilities.iter().all(|(_, capability)| !capability.evidence.is_empty()));
            for name in [
                api::HTTP_ROUTE_NAMED_ROUTE_RULE,
                api::HTTP_ROUTE_REQUEST_TIMEOUT,
                api::HTTP_ROUTE_BACKEND_TIMEOUT,
                api::HTTP_ROUTE_RETRY,
                api::HTTP_ROUTE_BACKEND_REQUEST_HEADER_MODIFICATION,
                api::BACKEND_TLS_POLICY_SAN_VALIDATION,
            ] {
                assert!(!capabilities.has(&name), "{version} {}", name.as_str());
            }
        }
    }

    #[test]
    fn tcp_and_udp_are_experimental() {
        let mut capabilities = of("2.6");
        assert!(capabilities.has(&api::TCP_ROUTE) && capabilities.has(&api::UDP_ROUTE));
        capabilities.retain_standard_channel();
        assert!(!capabilities.has(&api::TCP_ROUTE) && !capabilities.has(&api::UDP_ROUTE));
    }
}
