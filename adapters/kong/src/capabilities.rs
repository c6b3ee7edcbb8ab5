//! What each version can do, each line with its evidence.

use gateway_modules_core::{
    capability::{
        Capabilities, CapabilityName, Evidence, Granularity,
        names::{gateway_api as api, project},
    },
    intent::policies::PolicyKind,
    module::ModuleVersion,
};

use crate::{Parameters, Router};
use Granularity::{Backend, Gateway, Rule};

const REPORT_2_2: Evidence =
    Evidence::report("v1.5/kong-operator/experimental-v2.2.0-traditional_compatible-report.yaml", "2.2.0");
const REPORT_2_3: Evidence = Evidence::report(
    "v1.6/kong-operator/experimental-v2.3.0-rc.3-traditional_compatible-standard-report.yaml",
    "2.3.0-rc.3",
);
const REPORT_2_3_EXPRESSIONS: Evidence =
    Evidence::report("v1.6/kong-operator/experimental-v2.3.0-rc.3-expressions-standard-report.yaml", "2.3.0-rc.3");

/// In the reports of 2.2.0 and of 2.3.0-rc.3, with the router `traditional_compatible`.
///
/// `GRPCRoute` is left out: its profile is partial, and Kong is told the protocol of a backend by an annotation of its own,
/// not by `appProtocol` (both reports say no to `HTTPRouteBackendProtocolH2C`).
const REPORTED: &[CapabilityName] = &[
    api::GATEWAY,
    api::HTTP_ROUTE,
    api::TLS_ROUTE,
    api::TLS_ROUTE_MODE_TERMINATE,
    api::REFERENCE_GRANT,
    api::GATEWAY_INFRASTRUCTURE_PROPAGATION,
    api::GATEWAY_PORT_8080,
    api::HTTP_ROUTE_HOST_REWRITE,
    api::HTTP_ROUTE_PATH_REWRITE,
    api::HTTP_ROUTE_RESPONSE_HEADER_MODIFICATION,
    project::LISTENER_HTTP,
    project::LISTENER_HTTPS,
    project::LISTENER_TLS,
];

/// In the report of 2.3.0-rc.3 only; that of 2.2.0 says no, or has no such profile.
const REPORTED_SINCE_2_3: &[CapabilityName] = &[
    api::GATEWAY_ADDRESS_EMPTY,
    api::HTTP_ROUTE_BACKEND_TIMEOUT,
    api::TCP_ROUTE,
    api::UDP_ROUTE,
    project::LISTENER_TCP,
    project::LISTENER_UDP,
];

/// Kinds that are standard fields, shown by the reports.
const STANDARD_POLICIES: &[PolicyKind] =
    &[PolicyKind::HeaderModification, PolicyKind::UrlRewrite, PolicyKind::TrafficSplit];

/// Kinds that are the vendor's own: kind, granularity, place, parts that not every gateway has.
const VENDOR_POLICIES: &[(PolicyKind, Granularity, &str, &[&str])] = &[
    (PolicyKind::Redirect, Rule, "plugin redirect, kong/plugins/redirect/schema.lua", &[]),
    (PolicyKind::DirectResponse, Rule, "plugin request-termination, schema.lua", &["body", "content-type"]),
    (PolicyKind::Cors, Rule, "plugin cors, schema.lua", &[]),
    (PolicyKind::BodySizeLimit, Rule, "plugin request-size-limiting, schema.lua", &[]),
    (PolicyKind::RateLimitLocal, Rule, "plugin rate-limiting, schema.lua", &["key/client-ip", "key/header"]),
    (PolicyKind::RateLimitGlobal, Rule, "plugin rate-limiting, schema.lua", &["service/redis"]),
    (PolicyKind::IpAccess, Rule, "plugin ip-restriction, schema.lua", &["allow", "deny"]),
    (PolicyKind::AccessLog, Rule, "plugin file-log, schema.lua", &["json"]),
    (PolicyKind::Timeout, Backend, "Service annotations konghq.com/{connect,read,write}-timeout", &[]),
    (PolicyKind::Retry, Backend, "Service annotation konghq.com/retries", &["connection-errors"]),
    (
        PolicyKind::LoadBalancing,
        Backend,
        "KongUpstreamPolicy .spec.algorithm",
        &["round-robin", "least-request", "hash/header", "hash/cookie", "hash/client-ip"],
    ),
    (PolicyKind::SessionAffinity, Backend, "KongUpstreamPolicy .spec.stickySessions", &["cookie", "client-ip"]),
    (PolicyKind::HealthCheck, Backend, "KongUpstreamPolicy .spec.healthchecks.active", &["http"]),
    (PolicyKind::OutlierDetection, Backend, "KongUpstreamPolicy .spec.healthchecks.passive", &[]),
];

/// What the vendor's documentation says besides: capability, granularity, place.
const DOCUMENTED: &[(CapabilityName, Granularity, &str)] = &[
    // Each Gateway has a DataPlane (Deployment and Service) of its own.
    (project::GATEWAY_ISOLATION_ADDRESS, Gateway, "controller/gateway/controller_reconciler_utils.go"),
    (
        project::GATEWAY_EXPOSURE_CLUSTER,
        Gateway,
        "GatewayConfiguration .spec.dataPlaneOptions.network.services.ingress.type",
    ),
    (project::GATEWAY_PARAMETERS, Gateway, "GatewayConfiguration v2beta1"),
];

/// Capabilities of a version with the router `traditional_compatible`, by the nearest older line that is known.
pub(crate) fn declared(version: &ModuleVersion) -> Capabilities {
    let mut capabilities = Capabilities::new();
    let line = version.line();
    if line < (2, 2) {
        // A line older than all known ones has no evidence.
        return capabilities;
    }
    let since_2_3 = line >= (2, 3);
    let (report, documented) = if since_2_3 { (REPORT_2_3, "2.3") } else { (REPORT_2_2, "2.2") };
    for name in REPORTED {
        capabilities.declare(name.clone(), Granularity::of_feature(name), report.clone());
    }
    if since_2_3 {
        for name in REPORTED_SINCE_2_3 {
            capabilities.declare(name.clone(), Granularity::of_feature(name), report.clone());
        }
    }
    for kind in STANDARD_POLICIES {
        capabilities.declare(CapabilityName::policy(*kind), Rule, report.clone());
    }
    for (name, granularity, place) in DOCUMENTED {
        capabilities.declare(name.clone(), *granularity, Evidence::documentation(place, documented));
    }
    for (kind, granularity, place, parts) in VENDOR_POLICIES {
        capabilities.declare_policy(*kind, *granularity, parts, &Evidence::documentation(place, documented));
    }
    capabilities
}

/// What the parameters of a plane add: this module itself sets the environment of the proxy that they stand for.
pub(crate) fn of_parameters(parameters: &Parameters) -> Capabilities {
    let mut capabilities = Capabilities::new();
    if parameters.router == Some(Router::Expressions) {
        for name in [api::HTTP_ROUTE_METHOD_MATCHING, api::HTTP_ROUTE_QUERY_PARAM_MATCHING] {
            capabilities.declare(name, Rule, REPORT_2_3_EXPRESSIONS);
        }
    }
    if parameters.tracing {
        let evidence =
            Evidence::documentation("plugin opentelemetry, schema.lua; KONG_TRACING_INSTRUMENTATIONS", "2.2");
        capabilities.declare(CapabilityName::policy(PolicyKind::Tracing), Rule, evidence.clone());
        capabilities.declare(CapabilityName::policy_part(PolicyKind::Tracing, "sampling"), Rule, evidence);
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
    fn versions_get_the_nearest_older_line() {
        assert_eq!(of("2.3.4"), of("2.3"));
        assert!(of("2.1").is_empty());
        assert!(!of("2.2").has(&api::HTTP_ROUTE_BACKEND_TIMEOUT) && of("2.3").has(&api::HTTP_ROUTE_BACKEND_TIMEOUT));
    }

    #[test]
    fn what_the_router_decides_is_no_capability_of_the_other() {
        let expressions = Parameters { router: Some(Router::Expressions), ..Parameters::default() };
        for name in [api::HTTP_ROUTE_METHOD_MATCHING, api::HTTP_ROUTE_QUERY_PARAM_MATCHING] {
            assert!(!of("2.3").has(&name) && of_parameters(&expressions).has(&name), "{name}");
        }
    }

    #[test]
    fn what_kong_cannot_enforce_is_not_declared() {
        use PolicyKind::{
            ApiKey, BackendTls, BasicAuth, ClaimsAuthorization, ClientCertificate, ExternalAuthorization, Jwt,
        };
        for kind in [ApiKey, BackendTls, BasicAuth, ClaimsAuthorization, ClientCertificate, ExternalAuthorization, Jwt]
        {
            assert!(!of("2.3").has(&CapabilityName::policy(kind)), "{kind}");
        }
    }
}
