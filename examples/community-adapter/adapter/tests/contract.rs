//! The contract between core and this adapter.

use gateway_module_envoy_gateway::EnvoyGatewayAdapter;
use gateway_modules_testkit::contract::{self, Options};

/// With `GATEWAY_MODULES_SCHEMAS` naming a folder of CRDs, emitted objects are checked against them too.
#[test]
fn the_module_keeps_the_contract() {
    let schemas = std::env::var_os("GATEWAY_MODULES_SCHEMAS").map(Into::into);
    contract::run(&EnvoyGatewayAdapter::new(), &Options::new().schemas(schemas)).assert_passes();
}
