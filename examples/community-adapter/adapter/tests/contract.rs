//! The contract between core and this adapter.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // helpers of a test

use gateway_module_envoy_gateway::EnvoyGatewayAdapter;
use gateway_modules_testkit::contract::{self, Options};

mod support;

/// With `GATEWAY_MODULES_SCHEMAS` naming a folder of CRDs, emitted objects are checked against them too. Envoy Gateway's class
/// publishes no features, so those of its conformance report stand for them.
#[test]
fn the_module_keeps_the_contract() {
    let schemas = std::env::var_os("GATEWAY_MODULES_SCHEMAS").map(Into::into);
    let options = Options::new().schemas(schemas).published(support::REPORTED);
    let report = contract::run(&EnvoyGatewayAdapter::new(), &options);
    println!("{report}");
    report.assert_passes();
}

/// The same with what an installation may have.
#[test]
fn the_module_keeps_the_contract_with_all_options() {
    let schemas = std::env::var_os("GATEWAY_MODULES_SCHEMAS").map(Into::into);
    let options = Options::new().schemas(schemas).parameters(support::all_options());
    contract::run(&EnvoyGatewayAdapter::new(), &options).assert_passes();
}
