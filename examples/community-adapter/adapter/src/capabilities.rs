//! What each version can do, each line with its evidence.
//!
//! It starts with what Gateway API demands of every conformant implementation ("Support: Core"). Add a line when you can cite
//! a conformance report or a page of the vendor for it; the contract suite then wants to see it emitted.

use gateway_modules_core::{
    capability::{
        Capabilities, CapabilityName, Evidence, Granularity,
        names::{gateway_api as api, project},
    },
    intent::policies::PolicyKind,
    module::ModuleVersion,
};

/// Core features, and the place of the specification that says so.
const CORE: &[(CapabilityName, Granularity, &str)] = &[
    (api::GATEWAY, Granularity::Gateway, "api-types/gateway"),
    (api::HTTP_ROUTE, Granularity::Rule, "api-types/httproute"),
    (api::REFERENCE_GRANT, Granularity::Backend, "api-types/referencegrant"),
    (project::LISTENER_HTTP, Granularity::Listener, "reference/spec Listener.protocol"),
    (project::LISTENER_HTTPS, Granularity::Listener, "reference/spec Listener.protocol"),
];

/// Extended features in the conformance report of Envoy Gateway 1.7.0 (gateway-api conformance/reports/v1.4.0).
const REPORTED: &[CapabilityName] = &[
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
];

/// Standard kinds that those features carry.
const REPORTED_POLICIES: &[PolicyKind] =
    &[PolicyKind::UrlRewrite, PolicyKind::Mirror, PolicyKind::Cors, PolicyKind::Timeout];

/// Kinds of the vendor's own: kind, field of the CRD of 1.7, parts.
const VENDOR_POLICIES: &[(PolicyKind, &str, &[&str])] = &[
    (
        PolicyKind::ApiKey,
        "SecurityPolicy spec.apiKeyAuth",
        &["location/header", "location/query-parameter", "location/cookie", "forward-key"],
    ),
    (PolicyKind::BasicAuth, "SecurityPolicy spec.basicAuth", &[]),
    (PolicyKind::IpAccess, "SecurityPolicy spec.authorization", &["allow", "deny"]),
    (PolicyKind::RateLimitLocal, "BackendTrafficPolicy spec.rateLimit.local", &[]),
    (
        PolicyKind::CircuitBreaking,
        "BackendTrafficPolicy spec.circuitBreaker",
        &["max-connections", "max-pending-requests", "max-requests", "max-retries"],
    ),
];

/// Policy kinds whose common form is a core field.
const CORE_POLICIES: &[(PolicyKind, &str)] = &[
    (PolicyKind::HeaderModification, "reference/spec HTTPRouteFilter.requestHeaderModifier"),
    (PolicyKind::Redirect, "reference/spec HTTPRouteFilter.requestRedirect"),
    (PolicyKind::TrafficSplit, "reference/spec BackendRef.weight"),
];

/// Capabilities of a version: those of the nearest older line that is known. One line so far, so all have the same.
pub(crate) fn declared(_: &ModuleVersion) -> Capabilities {
    let evidence = |place: &str| {
        let mut evidence = Evidence::documentation("gateway-api", "1.6.1");
        evidence.source = format!("gateway-api {place}, Support: Core").into();
        evidence
    };
    let mut capabilities = Capabilities::new();
    for (name, granularity, place) in CORE {
        capabilities.declare(name.clone(), *granularity, evidence(place));
    }
    for (kind, place) in CORE_POLICIES {
        capabilities.declare(CapabilityName::policy(*kind), Granularity::Rule, evidence(place));
    }
    let report = || Evidence::report("v1.4/envoy-gateway/1.7.0-experimental.yaml", "1.7.0");
    for name in REPORTED {
        capabilities.declare(name.clone(), Granularity::Rule, report());
    }
    for kind in REPORTED_POLICIES {
        capabilities.declare(CapabilityName::policy(*kind), Granularity::Rule, report());
    }
    for (kind, place, parts) in VENDOR_POLICIES {
        let evidence = || {
            let mut evidence = Evidence::documentation("gateway.envoyproxy.io", "1.7");
            evidence.source = format!("gateway.envoyproxy.io {place}").into();
            evidence
        };
        capabilities.declare(CapabilityName::policy(*kind), Granularity::Rule, evidence());
        for part in *parts {
            capabilities.declare(CapabilityName::policy_part(*kind, part), Granularity::Rule, evidence());
        }
    }
    capabilities
}
