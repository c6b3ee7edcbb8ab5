//! What each version can do, each line with its evidence.

use gateway_modules_core::{
    capability::{
        Capabilities, CapabilityName, Evidence, Granularity,
        names::{gateway_api as api, project},
    },
    intent::policies::PolicyKind,
    module::ModuleVersion,
};
use serde_json::{Map, Value};

use crate::parameters::Parameters;
use Granularity::{Backend, Gateway, Rule};

/// The conformance report and the version it was made with.
const REPORT: (&str, &str) = ("v1.6/traefik-traefik/experimental-v3.7.10-default-report.yaml", "3.7.10");
/// The list from which the controller writes `GatewayClass.status.supportedFeatures`.
const FEATURES: &str = "pkg/provider/kubernetes/gateway/features.go";

/// Features of 3.7 and of 3.6. No report of 3.6 is at hand, so it gets what the controller has published since 3.2.
const SINCE_3_6: &[CapabilityName] = &[
    api::GATEWAY,
    api::HTTP_ROUTE,
    api::GRPC_ROUTE,
    api::REFERENCE_GRANT,
    api::GATEWAY_PORT_8080,
    api::HTTP_ROUTE_BACKEND_PROTOCOL_H2C,
    api::HTTP_ROUTE_BACKEND_PROTOCOL_WEB_SOCKET,
    api::HTTP_ROUTE_DESTINATION_PORT_MATCHING,
    api::HTTP_ROUTE_HOST_REWRITE,
    api::HTTP_ROUTE_METHOD_MATCHING,
    api::HTTP_ROUTE_PATH_REDIRECT,
    api::HTTP_ROUTE_PATH_REWRITE,
    api::HTTP_ROUTE_PORT_REDIRECT,
    api::HTTP_ROUTE_QUERY_PARAM_MATCHING,
    api::HTTP_ROUTE_RESPONSE_HEADER_MODIFICATION,
    api::HTTP_ROUTE_SCHEME_REDIRECT,
    project::LISTENER_HTTP,
    project::LISTENER_HTTPS,
    project::GRPC_HEADER_MATCHING,
    project::GRPC_METHOD_MATCHING,
];

/// In the report of 3.7.10 besides. CORS, mirroring, timeouts and retry are in its list of unsupported features.
const SINCE_3_7: &[CapabilityName] = &[
    api::TLS_ROUTE,
    api::TLS_ROUTE_MODE_MIXED,
    api::TLS_ROUTE_MODE_TERMINATE,
    api::BACKEND_TLS_POLICY,
    api::HTTP_ROUTE_303_REDIRECT_STATUS_CODE,
    api::HTTP_ROUTE_307_REDIRECT_STATUS_CODE,
    api::HTTP_ROUTE_308_REDIRECT_STATUS_CODE,
    api::HTTP_ROUTE_BACKEND_REQUEST_HEADER_MODIFICATION,
    api::HTTP_ROUTE_NAMED_ROUTE_RULE,
    api::HTTP_ROUTE_PARENT_REF_PORT,
    project::LISTENER_TLS,
    // The provisional test GRPCRouteNamedRule.
    project::GRPC_NAMED_ROUTE_RULE,
];

/// Kinds that are standard fields.
const STANDARD_POLICIES: &[(PolicyKind, Granularity)] = &[
    (PolicyKind::HeaderModification, Rule),
    (PolicyKind::UrlRewrite, Rule),
    (PolicyKind::Redirect, Rule),
    (PolicyKind::TrafficSplit, Rule),
];

/// Kinds that are the vendor's own: kind, place in the CRDs, parts that not every gateway has. All are bound to rules: a
/// Middleware by a filter, a `TraefikService` in place of the rule's backends.
const VENDOR_POLICIES: &[(PolicyKind, &str, &[&str])] = &[
    (PolicyKind::UrlRewrite, "Middleware .spec.replacePathRegex", &["regex"]),
    (PolicyKind::Mirror, "TraefikService .spec.mirroring", &["percent"]),
    (PolicyKind::Cors, "Middleware .spec.headers.accessControlAllowOriginList", &["wildcard-origins", "credentials"]),
    (PolicyKind::Compression, "Middleware .spec.compress", &["gzip", "brotli", "zstd", "min-size", "content-types"]),
    (PolicyKind::BodySizeLimit, "Middleware .spec.buffering.maxRequestBodyBytes", &[]),
    (PolicyKind::Timeout, "ServersTransport .spec.forwardingTimeouts.responseHeaderTimeout", &["backend-request"]),
    (PolicyKind::Retry, "Middleware .spec.retry", &["connection-errors"]),
    (PolicyKind::CircuitBreaking, "Middleware .spec.inFlightReq", &["max-connections", "max-requests"]),
    (PolicyKind::ConnectionLimit, "Middleware .spec.inFlightReq", &[]),
    (PolicyKind::OutlierDetection, "TraefikService .spec.weighted.services[].passiveHealthCheck", &[]),
    (
        PolicyKind::LoadBalancing,
        "TraefikService .spec.weighted.services[].strategy",
        &["round-robin", "least-request", "hash/client-ip"],
    ),
    (PolicyKind::SessionAffinity, "TraefikService .spec.weighted.services[].sticky.cookie", &["cookie"]),
    (PolicyKind::RateLimitLocal, "Middleware .spec.rateLimit", &["burst", "key/client-ip", "key/header"]),
    (PolicyKind::RateLimitGlobal, "Middleware .spec.rateLimit.redis", &["service/redis"]),
    (PolicyKind::BasicAuth, "Middleware .spec.basicAuth", &["realm"]),
    (PolicyKind::ExternalAuthorization, "Middleware .spec.forwardAuth", &["http", "body"]),
    (PolicyKind::IpAccess, "Middleware .spec.ipAllowList", &["allow"]),
];

/// What the vendor's documentation says besides: capability, granularity, place.
const DOCUMENTED: &[(CapabilityName, Granularity, &str)] = &[
    // A router takes requests of its listener's entry point only (`httproute.go`, Router.EntryPoints). This module refuses
    // two Gateways on one entry point, and an internal one on an entry point that is not declared `exposure: Cluster`.
    (project::GATEWAY_ISOLATION_PORT, Gateway, "pkg/provider/kubernetes/gateway/httproute.go"),
    (project::GATEWAY_EXPOSURE_CLUSTER, Gateway, "chart values ports.<name>.expose, service.additionalServices"),
    (project::PATH_REGULAR_EXPRESSION, Rule, "pkg/provider/kubernetes/gateway/httproute.go buildPathRule"),
    (project::HEADER_REGULAR_EXPRESSION, Rule, "pkg/provider/kubernetes/gateway/httproute.go buildHeaderRules"),
    (project::QUERY_REGULAR_EXPRESSION, Rule, "pkg/provider/kubernetes/gateway/httproute.go buildQueryParamRules"),
    (project::GRPC_HEADER_REGULAR_EXPRESSION, Rule, "pkg/provider/kubernetes/gateway/grpcroute.go"),
];

/// Capabilities of a version, by the nearest older line that is known. `TCPRoute` is none of them: 3.7 watches `v1alpha2`,
/// behind a flag, and no report covers it; `UDPRoute` it does not have.
pub(crate) fn declared(version: &ModuleVersion) -> Capabilities {
    match version.line() {
        line if line >= (3, 7) => table(true),
        line if line >= (3, 6) => table(false),
        _ => Capabilities::new(),
    }
}

fn table(since_3_7: bool) -> Capabilities {
    let line = if since_3_7 { "3.7" } else { "3.6" };
    let standard =
        || if since_3_7 { Evidence::report(REPORT.0, REPORT.1) } else { Evidence::documentation(FEATURES, line) };
    let documented = |place: &str| {
        let mut evidence = Evidence::documentation(FEATURES, line);
        evidence.source = place.to_owned().into();
        evidence
    };
    let mut capabilities = Capabilities::new();
    for name in SINCE_3_6.iter().chain(if since_3_7 { SINCE_3_7 } else { &[] }) {
        capabilities.declare(name.clone(), Granularity::of_feature(name), standard());
    }
    for (kind, granularity) in STANDARD_POLICIES {
        capabilities.declare(CapabilityName::policy(*kind), *granularity, standard());
    }
    for (name, granularity, place) in DOCUMENTED {
        capabilities.declare(name.clone(), *granularity, documented(place));
    }
    for (kind, place, parts) in VENDOR_POLICIES {
        capabilities.declare_policy(*kind, Rule, parts, &documented(place));
    }
    if since_3_7 {
        capabilities.declare(CapabilityName::policy(PolicyKind::BackendTls), Backend, standard());
        for part in ["codes", "backoff"] {
            let part = CapabilityName::policy_part(PolicyKind::Retry, part);
            capabilities.declare(part, Rule, documented("Middleware .spec.retry.status"));
        }
    }
    // Written by `cargo xtask lab test --write`.
    capabilities.tested(include_str!("tested.csv"), if since_3_7 { (3, 7) } else { (3, 6) });
    capabilities
}

/// What the operator says that the installation has.
pub(crate) fn claimed(parameters: &Map<String, Value>) -> Capabilities {
    let mut capabilities = Capabilities::new();
    // Parameters that cannot be read are refused by the provisioning.
    let Ok(parameters) = Parameters::read(parameters) else { return capabilities };
    let options: [(_, _, _, &[&str]); 2] = [
        (PolicyKind::AccessLog, parameters.access_log, "gateway.parameters.accessLog", &["text", "json"]),
        (PolicyKind::Tracing, parameters.tracing, "gateway.parameters.tracing", &["sampling"]),
    ];
    for (kind, _, source, parts) in options.into_iter().filter(|(_, on, ..)| *on) {
        capabilities.declare_policy(kind, Gateway, parts, &Evidence::operator(source));
    }
    capabilities
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(version: &str) -> Capabilities {
        declared(&ModuleVersion::new(version).expect("version"))
    }

    #[test]
    fn what_the_report_denies_is_not_there() {
        let capabilities = of("3.7.10");
        for denied in [
            api::HTTP_ROUTE_CORS,
            api::HTTP_ROUTE_REQUEST_MIRROR,
            api::HTTP_ROUTE_REQUEST_TIMEOUT,
            api::HTTP_ROUTE_BACKEND_TIMEOUT,
            api::HTTP_ROUTE_RETRY,
            api::BACKEND_TLS_POLICY_SAN_VALIDATION,
            api::GATEWAY_HTTP_LISTENER_ISOLATION,
            api::GATEWAY_INFRASTRUCTURE_PROPAGATION,
            api::GATEWAY_STATIC_ADDRESSES,
            api::TCP_ROUTE,
            api::UDP_ROUTE,
        ] {
            assert!(!capabilities.has(&denied), "{denied}");
        }
    }

    #[test]
    fn what_open_source_traefik_lacks_is_not_there() {
        let capabilities = of("3.7");
        let lacking: Vec<_> = PolicyKind::ALL
            .iter()
            .filter(|kind| !capabilities.has(&CapabilityName::policy(**kind)))
            .map(|kind| kind.name())
            .collect();
        let expected = [
            "direct-response",
            "active-health-check",
            "fault-injection",
            "jwt",
            "api-key",
            "claims-authorization",
            "client-certificate",
            "access-log",
            "tracing",
        ];
        assert_eq!(lacking, expected);
    }

    #[test]
    fn versions_get_the_nearest_older_line() {
        assert_eq!(of("3.9.1"), of("3.7"));
        assert_eq!(of("3.6.2"), of("3.6"));
        assert!(of("3.5").is_empty() && of("2.11").is_empty());
        let older = of("3.6");
        assert!(!older.has(&api::BACKEND_TLS_POLICY) && !older.has(&api::TLS_ROUTE));
        assert!(!older.has(&CapabilityName::policy(PolicyKind::BackendTls)));
    }

    #[test]
    fn options_are_claims_of_the_operator() {
        let claims = |value: Value| claimed(value.as_object().expect("mapping"));
        assert!(claims(json!({})).is_empty());
        let some = claims(json!({ "accessLog": true }));
        let names: Vec<String> = some.names().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["policy/access-log", "policy/access-log/json", "policy/access-log/text"]);
        assert!(claims(json!({ "nonsense": true })).is_empty());
    }
}
