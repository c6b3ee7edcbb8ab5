//! The adapter contract, over every module that is compiled in.

use gateway_modules::core::intent::policies::PolicyKind;
use gateway_modules_testkit::contract::{self, Options};

mod support;

/// What requests through the module's real gateway have shown (docs/behaviour.json).
#[cfg(target_os = "linux")]
#[allow(clippy::expect_used)] // a helper of tests
fn shown(module: &str) -> Vec<PolicyKind> {
    use gateway_modules_testkit::behaviour::{BehaviourReport, RESULTS};
    let text = std::fs::read_to_string(support::repository(RESULTS)).expect("results");
    let reports: Vec<BehaviourReport> = serde_json::from_str(&text).expect("results of the behaviour suite");
    let shown: Vec<_> = reports.iter().filter(|one| one.module == module).flat_map(BehaviourReport::shown).collect();
    println!("{module}: {} kinds are shown", shown.len());
    shown
}

#[cfg(not(target_os = "linux"))]
fn shown(_: &str) -> Vec<PolicyKind> {
    Vec::new()
}

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
            let options = Options::new().schemas(schemas.clone()).parameters(support::options(name)).shown(shown(name));
            contract::run(module.as_ref(), &options)
        })
        .collect();
    for report in &reports {
        println!("{report}");
    }
    // The lab has run at least one gateway, and what it has shown is looked at.
    let looked = |report: &&contract::ContractReport| {
        report.check("shown is declared").is_some_and(|check| check.skipped.is_none() && check.cases > 10)
    };
    assert!(
        cfg!(not(target_os = "linux")) || reports.iter().any(|report| looked(&report)),
        "docs/behaviour.json shows nothing"
    );
    let failed: Vec<_> = reports.iter().filter(|report| !report.passes()).map(|report| &report.module).collect();
    assert!(failed.is_empty(), "{failed:?} fail, printed above");
}
