//! The adapter contract, over every module that is compiled in.

use gateway_modules_testkit::contract::{self, Options};

mod support;

#[test]
fn a_gateway_that_is_claimed_to_do_everything_keeps_the_contract() {
    let registry = gateway_modules::registry().expect("no duplicates");
    let generic = registry.get("generic").expect("compiled in");
    contract::run(generic.as_ref(), &Options::new().schemas(support::schemas()).parameters(support::claims()))
        .assert_passes();
}

#[test]
fn every_module_keeps_the_contract() {
    let schemas = support::schemas();
    let registry = gateway_modules::registry().expect("no duplicates");
    let reports: Vec<_> = registry
        .iter()
        .map(|(name, module)| {
            let options = Options::new().schemas(schemas.clone()).parameters(support::options(name));
            contract::run(module.as_ref(), &options)
        })
        .collect();
    for report in &reports {
        println!("{report}");
    }
    let failed: Vec<_> = reports.iter().filter(|report| !report.passes()).map(|report| &report.module).collect();
    assert!(failed.is_empty(), "{failed:?} fail, printed above");
}
