//! What each version can do, each line with its evidence.

use gateway_modules_core::{
    capability::{
        Capabilities, CapabilityName, Evidence, Granularity,
        names::{gateway_api as api, project},
    },
    intent::policies::PolicyKind,
    module::ModuleVersion,
};

use Granularity::{Gateway, Rule};

const REPORT_1_19: Evidence =
    Evidence::report("v1.4.0/cilium/experimental-v1.19.0-pre.2-default-report.yaml", "1.19.0-pre.2");
const REPORT_1_20: Evidence = Evidence::report("v1.6/cilium/standard-v1.20.0-default-report.yaml", "1.20.0");
const REPORT_1_20_EXPERIMENTAL: Evidence =
    Evidence::report("v1.6/cilium/experimental-v1.20.0-default-report.yaml", "1.20.0");

/// In the reports of 1.19.0-pre.2 and of 1.20.0: the core of the profiles, and extended features.
const REPORTED: &[CapabilityName] = &[
    api::GATEWAY,
    api::HTTP_ROUTE,
    api::GRPC_ROUTE,
    api::TLS_ROUTE,
    api::REFERENCE_GRANT,
    api::GATEWAY_ADDRESS_EMPTY,
    api::GATEWAY_HTTP_LISTENER_ISOLATION,
    api::GATEWAY_INFRASTRUCTURE_PROPAGATION,
    api::GATEWAY_PORT_8080,
    api::GATEWAY_STATIC_ADDRESSES,
    api::HTTP_ROUTE_BACKEND_PROTOCOL_H2C,
    api::HTTP_ROUTE_BACKEND_PROTOCOL_WEB_SOCKET,
    api::HTTP_ROUTE_BACKEND_REQUEST_HEADER_MODIFICATION,
    api::HTTP_ROUTE_BACKEND_TIMEOUT,
    api::HTTP_ROUTE_DESTINATION_PORT_MATCHING,
    api::HTTP_ROUTE_HOST_REWRITE,
    api::HTTP_ROUTE_METHOD_MATCHING,
    api::HTTP_ROUTE_NAMED_ROUTE_RULE,
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
    project::LISTENER_TLS,
    project::GRPC_HEADER_MATCHING,
    project::GRPC_METHOD_MATCHING,
    project::GRPC_NAMED_ROUTE_RULE,
];

/// In the reports of 1.20.0 only; that of 1.19.0-pre.2 says no to CORS, or has no such feature or profile. `BackendTLSPolicy`
/// is in them too and not here: no route could be closed until its policy is in force (docs/decisions/0162).
const REPORTED_SINCE_1_20: &[CapabilityName] = &[
    api::HTTP_ROUTE_303_REDIRECT_STATUS_CODE,
    api::HTTP_ROUTE_307_REDIRECT_STATUS_CODE,
    api::HTTP_ROUTE_308_REDIRECT_STATUS_CODE,
    api::HTTP_ROUTE_CORS,
    api::LISTENER_SET,
    api::TCP_ROUTE,
    api::UDP_ROUTE,
    project::LISTENER_TCP,
    project::LISTENER_UDP,
];

/// In the experimental report of 1.20.0 only; the standard report says no. `HTTPRouteRetryBackendTimeout` is in it too and not
/// here: no test of the suite is about it, and the timeout of one try becomes that of all (docs/findings.md, 33).
const REPORTED_SINCE_1_20_EXPERIMENTAL: &[CapabilityName] =
    &[api::HTTP_ROUTE_RETRY, api::HTTP_ROUTE_RETRY_CONNECTION_ERROR];

/// The first release whose filter `ExternalAuth` is closed when its Service is missing or not granted: the patch releases before
/// it leave the filter out, and the route is open (docs/decisions/0161).
const AUTHORIZATION_FAILS_CLOSED: &str = "1.20.2";
const AUTHORIZATION: Evidence = Evidence::documentation(
    "cilium/cilium operator/pkg/model/ingestion/gateway.go (externalAuthInvalid)",
    AUTHORIZATION_FAILS_CLOSED,
);

/// Kinds that are standard fields, shown by the reports.
const STANDARD_POLICIES: &[PolicyKind] = &[
    PolicyKind::HeaderModification,
    PolicyKind::UrlRewrite,
    PolicyKind::Redirect,
    PolicyKind::Mirror,
    PolicyKind::TrafficSplit,
    PolicyKind::Timeout,
];

/// What the vendor's code says besides: capability, granularity, place.
const DOCUMENTED: &[(CapabilityName, Granularity, &str)] = &[
    // Each Gateway has a Service with an address of its own, and a CiliumEnvoyConfig that is bound to it.
    (
        project::GATEWAY_ISOLATION_ADDRESS,
        Gateway,
        "cilium/cilium operator/pkg/model/translation/gateway-api/translator.go",
    ),
    (project::PATH_REGULAR_EXPRESSION, Rule, "cilium/cilium operator/pkg/model/ingestion/gateway.go"),
    (project::HEADER_REGULAR_EXPRESSION, Rule, "cilium/cilium operator/pkg/model/ingestion/gateway.go"),
    (project::QUERY_REGULAR_EXPRESSION, Rule, "cilium/cilium operator/pkg/model/ingestion/gateway.go"),
    (project::GRPC_HEADER_REGULAR_EXPRESSION, Rule, "cilium/cilium operator/pkg/model/ingestion/gateway.go"),
];

/// Capabilities of a version, by the nearest older line that is known.
pub(crate) fn declared(version: &ModuleVersion) -> Capabilities {
    let mut capabilities = Capabilities::new();
    let line = version.line();
    if line < (1, 19) {
        // A line older than all known ones has no evidence.
        return capabilities;
    }
    let since_1_20 = line >= (1, 20);
    let (report, documented) = if since_1_20 { (REPORT_1_20, "1.20") } else { (REPORT_1_19, "1.19") };
    for name in REPORTED {
        capabilities.declare(name.clone(), Granularity::of_feature(name), report.clone());
    }
    for kind in STANDARD_POLICIES {
        capabilities.declare(CapabilityName::policy(*kind), Rule, report.clone());
    }
    for (name, granularity, place) in DOCUMENTED {
        capabilities.declare(name.clone(), *granularity, Evidence::documentation(place, documented));
    }
    if since_1_20 {
        since_1_20_too(&mut capabilities);
    }
    if ModuleVersion::new(AUTHORIZATION_FAILS_CLOSED).is_ok_and(|first| *version >= first) {
        let names = [project::EXTERNAL_AUTH_FILTER, project::EXTERNAL_AUTH_GRPC];
        for name in names.into_iter().chain([CapabilityName::policy(PolicyKind::ExternalAuthorization)]) {
            capabilities.declare_experimental(name, Rule, AUTHORIZATION);
        }
    }
    capabilities
}

fn since_1_20_too(capabilities: &mut Capabilities) {
    for name in REPORTED_SINCE_1_20 {
        capabilities.declare(name.clone(), Granularity::of_feature(name), REPORT_1_20);
    }
    for name in REPORTED_SINCE_1_20_EXPERIMENTAL {
        capabilities.declare_experimental(name.clone(), Rule, REPORT_1_20_EXPERIMENTAL);
    }
    capabilities.declare_experimental(CapabilityName::policy(PolicyKind::Retry), Rule, REPORT_1_20_EXPERIMENTAL);
    capabilities.declare(CapabilityName::policy(PolicyKind::Cors), Rule, REPORT_1_20);
    // Of the class; this module gives each Gateway that logs a class of its own (docs/decisions/0021).
    let evidence =
        Evidence::documentation("CiliumGatewayClassConfig .spec.telemetry.accessLogs (CRD v2alpha1)", "1.20");
    let parts = ["text", "json", "fields", "endpoint/TLS"];
    capabilities.declare_policy(PolicyKind::AccessLog, Gateway, &parts, &evidence);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Capabilities {
        declared(&ModuleVersion::new(version).expect("version"))
    }

    #[test]
    fn versions_get_the_nearest_older_line() {
        assert_eq!(of("1.20.7"), of("1.20.2"));
        assert_eq!(of("1.20.1"), of("1.20"));
        assert!(of("1.18").is_empty());
        let older = of("1.19");
        for missing in [api::HTTP_ROUTE_CORS, api::TCP_ROUTE, api::HTTP_ROUTE_RETRY] {
            assert!(!older.has(&missing) && of("1.20").has(&missing), "{missing}");
        }
        assert!(!of("1.20").has(&api::HTTP_ROUTE_PARENT_REF_PORT) && !of("1.20").has(&api::TLS_ROUTE_MODE_TERMINATE));
    }

    /// Releases before 1.20.2 serve a route without the filter when its Service is missing, and "1.20" can be any of them.
    #[test]
    fn external_authorization_is_declared_where_it_fails_closed() {
        for version in ["1.19", "1.20", "1.20.0", "1.20.1"] {
            assert!(!of(version).has(&project::EXTERNAL_AUTH_FILTER), "{version}");
        }
        for version in ["1.20.2", "1.21"] {
            let mut declared = of(version);
            assert!(declared.has(&project::EXTERNAL_AUTH_FILTER), "{version}");
            declared.retain_standard_channel();
            assert!(!declared.has(&project::EXTERNAL_AUTH_FILTER), "{version}: a field of the experimental channel");
        }
    }

    /// A BackendTLSPolicy is looked at only where an open route names its Service.
    #[test]
    fn what_cannot_be_enforced_while_a_route_is_closed_is_not_declared() {
        for version in ["1.20", "1.20.2"] {
            assert!(!of(version).has(&api::BACKEND_TLS_POLICY), "{version}");
        }
    }

    #[test]
    fn nothing_keeps_a_gateway_inside_the_cluster() {
        assert!(!of("1.20").has(&project::GATEWAY_EXPOSURE_CLUSTER));
    }
}
