//! Objects that were written by hand from the vendors' documentation (`adapters/<module>/tests/expected`), compared with what the
//! compiler emits.

use gateway_modules_testkit::expected;

mod support;

#[test]
fn what_the_documentation_says_is_what_is_emitted() {
    let registry = gateway_modules::registry().expect("no duplicates");
    let schemas = expected::schemas(support::schemas().as_deref()).expect("CRDs");
    let mut failures = Vec::new();
    for (name, module) in registry.iter().filter(|(name, _)| *name != "generic") {
        let folder = support::repository(&format!("adapters/{name}/tests/expected"));
        let report = expected::run(module.as_ref(), &folder, &schemas).unwrap_or_else(|error| panic!("{error}"));
        println!(
            "{name}: {} cases emitted and {} refused, of {} policy kinds",
            report.emitted,
            report.refused,
            report.kinds.len()
        );
        assert!(report.emitted > 0, "{name} has no objects from its vendor's documentation");
        failures.extend(report.failures.iter().map(|failure| format!("{name} {failure}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
