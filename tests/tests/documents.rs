//! Tables in the documents are what the code says. `GATEWAY_MODULES_UPDATE=1 cargo test -p gateway-modules-testkit --test
//! documents` writes them.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use std::{collections::BTreeMap, fs, path::Path};

use gateway_modules::{
    ComparedCell, InstalledCrds,
    core::{
        channel::Channel,
        intent::{GatewaySelection, Intent, load::load_paths, policies::PolicyKind},
        module::Registry,
    },
};
use gateway_modules_testkit::tables::{capability_table, with_capability_table};

mod support;

/// The file is as the code says, or is made so when asked for.
fn check(path: &Path, text: &str) {
    if std::env::var_os("GATEWAY_MODULES_UPDATE").is_some() {
        fs::write(path, text).expect("written");
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == text,
        "{} is stale: run `GATEWAY_MODULES_UPDATE=1 cargo test -p gateway-modules-testkit --test documents`",
        path.display()
    );
}

#[test]
fn capability_tables_of_the_adapters() {
    let registry = gateway_modules::registry().expect("registry");
    for (name, module) in registry.iter() {
        let path = support::repository(&format!("adapters/{name}/README.md"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let table = capability_table(module.as_ref(), &support::options(name)).expect("a table");
        let text = with_capability_table(&text, &table).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        check(&path, &text);
    }
}

/// What stands in a cell of the matrix.
fn verdicts(
    intent: &Intent,
    registry: &Registry,
    channel: Channel,
) -> BTreeMap<(String, PolicyKind), BTreeMap<String, String>> {
    let comparison = gateway_modules::compare(intent, registry, &InstalledCrds::assumed(channel)).expect("compared");
    let mut found: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for row in comparison.rows {
        let Some(kind) = row.policy else { continue };
        let cells = row.modules.iter().map(|(module, cell)| (module.clone(), ComparedCell::verdict(cell).to_owned()));
        found.entry((row.place, kind)).or_default().extend(cells);
    }
    found
}

#[test]
fn the_matrix_of_policies_and_gateways() {
    let registry = gateway_modules::registry().expect("registry");
    let intent = load_paths(&[support::repository("examples/intents/policies")]).expect("intent").intent;
    let plain = verdicts(&intent, &registry, Channel::Standard);
    // Each module with everything that an installation of it may have.
    let mut best: BTreeMap<(String, PolicyKind), BTreeMap<String, String>> = BTreeMap::new();
    for name in registry.names() {
        let mut equipped = intent.clone();
        for plane in &mut equipped.data_planes {
            let module = Some(name.parse().expect("a name"));
            let parameters = if name == "generic" { support::claims() } else { support::options(name) };
            plane.spec.gateway = GatewaySelection { module, parameters, ..Default::default() };
        }
        for (row, cells) in verdicts(&equipped, &registry, Channel::Experimental) {
            let cell = cells.get(name).cloned().expect("every module has a cell");
            best.entry(row).or_default().insert(name.to_owned(), cell);
        }
    }
    let kinds: std::collections::BTreeSet<_> = plain.keys().map(|(_, kind)| *kind).collect();
    let missing: Vec<_> = PolicyKind::ALL.iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty(), "examples/intents/policies has no endpoint with {missing:?}");

    let names = registry.names();
    let mut text = String::from(TITLE);
    text += &format!("| Example | Policy | {} |\n|---|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for ((place, kind), cells) in &plain {
        let example = place.trim_start_matches("shop/").trim_end_matches(" api");
        let cells: Vec<String> = names
            .iter()
            .map(|name| {
                let (plain, best) = (&cells[*name], &best[&(place.clone(), *kind)][*name]);
                if plain == best { plain.clone() } else { format!("{best} \\*") }
            })
            .collect();
        text += &format!(
            "| [{example}](../examples/intents/policies/{example}.yaml) | `{kind}` | {} |\n",
            cells.join(" | ")
        );
    }
    check(&support::repository("docs/policies.md"), &text);
}

const TITLE: &str = "# Policies and gateways

Made from the code: `GATEWAY_MODULES_UPDATE=1 cargo test -p gateway-modules-testkit --test documents`. The same table, with
the reasons, is what `gwm compare -f examples/intents/policies` prints.

- **exact**: the gateway does what the intent says.
- **approximate**: it does something near to it; the difference has a name, and the intent must accept it by that name.
- **refused**: it cannot, or not at this granularity; `gwm compare` says why and what would work.
- **\\***: only with an option of the installation (`gateway.parameters`) or with the CRDs of Gateway API's experimental channel;
  refused, or less exact, without. `gwm compare` names it.

What `generic` can do depends on what the live class publishes and on what the operator claims for it (`gateway.parameters`).

";

/// Results of the conformance suite that are of another version of a gateway or of the suite, or of another table than there is
/// now, are out of date.
#[cfg(target_os = "linux")]
#[test]
fn what_the_conformance_suite_has_shown() {
    use gateway_modules_testkit::{
        go::CONFORMANCE_VERSION,
        lab::{
            conformance::{self, ConformanceRun},
            gateways,
        },
    };
    let text = fs::read_to_string(support::repository(conformance::RESULTS)).expect("results");
    let runs: Vec<ConformanceRun> = serde_json::from_str(&text).expect("results");
    assert!(runs.iter().any(|run| run.module == "traefik"), "it was asked first");
    let registry = gateway_modules::registry().expect("modules");
    for run in &runs {
        let again = format!("run `cargo xtask lab conformance {} --write`", run.module);
        let gateway = gateways::find(&run.module).expect("a gateway of the lab");
        assert_eq!(run.version, gateway.version, "{again}");
        assert_eq!(run.gateway_api, CONFORMANCE_VERSION, "{again}");
        assert_eq!(run.limits, gateway.limits, "{again}");
        assert_eq!(run.differences(), Vec::<String>::new(), "{again}");
        let module = registry.get(&run.module).expect("a module");
        let declared: Vec<String> =
            conformance::declared(gateway, &*module).expect("a table").iter().map(ToString::to_string).collect();
        let mut told: Vec<&String> =
            run.features.iter().filter(|feature| feature.declared).map(|feature| &feature.name).collect();
        told.sort();
        assert_eq!(told, declared.iter().collect::<Vec<_>>(), "{again}");
    }
    for (path, text) in conformance::files(&runs).expect("files") {
        check(&support::repository(&path), &text);
    }
}

/// Results of the behaviour suite that name another version of a gateway, or not the cases that there are now, are out of
/// date; what is made of them is as they say.
#[cfg(target_os = "linux")]
#[test]
fn what_gateways_were_seen_to_do() {
    use gateway_modules_testkit::{
        behaviour::{self, BehaviourReport},
        lab::gateways,
    };
    const AGAIN: &str = "run `cargo xtask lab test --write`";
    let text = fs::read_to_string(support::repository(behaviour::RESULTS)).expect("results");
    let reports: Vec<BehaviourReport> = serde_json::from_str(&text).expect("results");
    let modules: Vec<&str> = reports.iter().map(|report| report.module.as_str()).collect();
    let there: Vec<&str> = gateways::ALL.iter().map(|gateway| gateway.module).collect();
    assert_eq!(modules, there, "{AGAIN}");
    for (report, gateway) in reports.iter().zip(gateways::ALL) {
        assert_eq!(report.version, gateway.version, "{}: {AGAIN}", report.module);
        match BehaviourReport::absent(gateway) {
            Some(absent) => assert_eq!(*report, absent, "{AGAIN}"),
            None => {
                let names: Vec<&str> = report.lines.iter().map(|line| line.name.as_str()).collect();
                assert_eq!(names, behaviour::names(), "{}: {AGAIN}", report.module);
                assert!(report.passes(), "{}: a failure is no result", report.module);
                assert_eq!(report.limits, gateway.limits, "{}: {AGAIN}", report.module);
            }
        }
    }
    for (path, text) in behaviour::files(&reports).expect("files") {
        check(&support::repository(&path), &text);
    }
}

/// What Cilium's operator was seen to write is of its pinned version and of the module as it is.
#[cfg(target_os = "linux")]
#[test]
fn what_an_operator_was_seen_to_write() {
    use gateway_modules_testkit::lab::translation::{self, MODULE, TranslationReport, VERSION};
    const AGAIN: &str = "run `cargo xtask lab translation cilium --write`";
    let text = fs::read_to_string(support::repository(translation::RESULTS)).expect("results");
    let report: TranslationReport = serde_json::from_str(&text).expect("results");
    assert_eq!((report.module.as_str(), report.version.as_str()), (MODULE, VERSION), "{AGAIN}");
    assert_eq!(report.limits, translation::limits(), "{AGAIN}");
    assert!(report.passes(), "a failure is no result");
    let module = gateway_modules::registry().expect("modules").get(MODULE).expect("a module");
    let told: Vec<_> =
        report.lines.iter().map(|line| (line.name.clone(), line.channel.clone(), line.declared)).collect();
    assert_eq!(told, translation::names(&*module).expect("valid samples"), "{AGAIN}");
    for (path, text) in translation::files(&report).expect("files") {
        check(&support::repository(&path), &text);
    }
}
