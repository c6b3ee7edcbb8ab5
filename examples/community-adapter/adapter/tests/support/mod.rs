//! What tests of this adapter share.
#![allow(dead_code, clippy::expect_used, clippy::panic)] // each test uses some of it; helpers of tests

use std::path::PathBuf;

use serde_json::{Map, Value, json};

/// `supportedFeatures` of all profiles of the conformance report of 1.7.0.
pub const REPORTED: [&str; 25] = [
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GatewayAddressEmpty",
    "GatewayHTTPListenerIsolation",
    "GatewayPort8080",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
];

/// Parameters of an installation that has all that policies may need of it.
pub fn all_options() -> Map<String, Value> {
    let value = json!({ "rateLimit": { "service": "redis", "namespace": "shop", "port": 6379 } });
    value.as_object().cloned().unwrap_or_default()
}

/// A file or folder beside the tests.
pub fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}
