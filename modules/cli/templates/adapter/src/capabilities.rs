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
    capabilities
}
