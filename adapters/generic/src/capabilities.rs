//! What every conformant implementation can do, and what the operator may claim on top.

use gateway_modules_core::{
    capability::{
        Capabilities, CapabilityName, Evidence, Granularity,
        names::{gateway_api as api, project},
    },
    intent::policies::PolicyKind,
};
use serde_json::{Map, Value};

/// What Gateway API marks "Support: Core" in its standard channel, and where it says so.
const CORE: &[(CapabilityName, Granularity, &str)] = &[
    (api::GATEWAY, Granularity::Gateway, "api-types/gateway"),
    (api::HTTP_ROUTE, Granularity::Rule, "api-types/httproute"),
    (api::REFERENCE_GRANT, Granularity::Backend, "api-types/referencegrant"),
    (project::LISTENER_HTTP, Granularity::Listener, "reference/spec Listener.protocol"),
    (project::LISTENER_HTTPS, Granularity::Listener, "reference/spec Listener.protocol"),
];

/// Kinds whose common form is core: request headers, redirects of the host with 301 and 302, weights.
const CORE_POLICIES: &[(PolicyKind, &str)] = &[
    (PolicyKind::HeaderModification, "reference/spec HTTPRouteFilter.requestHeaderModifier"),
    (PolicyKind::Redirect, "reference/spec HTTPRouteFilter.requestRedirect"),
    (PolicyKind::TrafficSplit, "reference/spec BackendRef.weight"),
];

/// Names with which a claim would promise safety: what keeps Gateways apart, and policies, which need a mechanism anyway.
const NO_CLAIM: &[&str] = &["policy/", "gateway/"];

/// What every conformant implementation can do. Extended features come from the live class or from claims.
pub(crate) fn declared() -> Capabilities {
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
    capabilities
}

/// Whether a name may be claimed: a feature of Gateway API or a field of it, and none that a security policy rests on.
pub(crate) fn may_be_claimed(name: &str) -> bool {
    let known = api::ALL.iter().chain(project::ALL).any(|known| known.as_str() == name);
    known && !is_security(name) && !NO_CLAIM.iter().any(|prefix| name.starts_with(prefix))
}

/// Features by which TLS to backends and client certificates are enforced.
fn is_security(name: &str) -> bool {
    name.starts_with("BackendTLSPolicy") || name.starts_with("GatewayFrontendClientCertificate")
}

/// What the operator claims. What may not be claimed is refused by `provision`, and is no capability here.
pub(crate) fn claimed(parameters: &Map<String, Value>) -> Capabilities {
    let mut capabilities = Capabilities::new();
    for name in parameters.get("capabilities").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        if may_be_claimed(name) {
            let name = CapabilityName::from(name.to_owned());
            let evidence = Evidence::operator("gateway.parameters.capabilities");
            capabilities.declare(name.clone(), Granularity::of_feature(&name), evidence);
        }
    }
    capabilities
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_extended_is_declared() {
        let capabilities = declared();
        for extended in [api::HTTP_ROUTE_CORS, api::HTTP_ROUTE_PATH_REWRITE, api::GRPC_ROUTE, api::TLS_ROUTE] {
            assert!(!capabilities.has(&extended), "{extended}");
        }
        assert!(!capabilities.has(&project::GATEWAY_ISOLATION_ADDRESS));
    }

    #[test]
    fn claims_add_features_and_no_safety() {
        let claims = [
            "HTTPRouteCORS",
            "BackendTLSPolicy",
            "GatewayFrontendClientCertificateValidation",
            "gateway/isolation/address",
            "gateway/exposure/cluster",
            "policy/jwt",
            "NoSuchFeature",
        ];
        let Value::Object(parameters) = json!({ "capabilities": claims }) else { unreachable!() };
        let names: Vec<_> = claimed(&parameters).names().into_iter().map(|name| name.to_string()).collect();
        assert_eq!(names, ["HTTPRouteCORS"]);
    }
}
