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
