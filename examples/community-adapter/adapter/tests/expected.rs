//! Objects that were written by hand from the CRDs and the documentation of Envoy Gateway 1.7, compared with what is emitted.
//! See `expected/README.md`.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // helpers of a test

use gateway_module_envoy_gateway::EnvoyGatewayAdapter;
use gateway_modules_core::intent::policies::PolicyKind;
use gateway_modules_testkit::expected;

mod support;

#[test]
fn what_the_documentation_says_is_what_is_emitted() {
    let schemas = std::env::var_os("GATEWAY_MODULES_SCHEMAS").map(std::path::PathBuf::from);
    let schemas = expected::schemas(schemas.as_deref()).expect("CRDs");
    let report = expected::run(&EnvoyGatewayAdapter::new(), &support::file("expected"), &schemas).expect("cases");
    println!("{report}");
    report.assert_passes();
    // Those that core realises by standard fields have no object of the vendor.
    let standard = [
        PolicyKind::HeaderModification,
        PolicyKind::Redirect,
        PolicyKind::Mirror,
        PolicyKind::TrafficSplit,
        PolicyKind::Timeout,
        PolicyKind::BackendTls,
        PolicyKind::Cors,
    ];
    let missing: Vec<_> =
        PolicyKind::ALL.iter().filter(|kind| !report.kinds.contains(kind) && !standard.contains(kind)).collect();
    assert!(missing.is_empty(), "no expected object of {missing:?}");
}
