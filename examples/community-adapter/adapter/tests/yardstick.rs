//! The yardstick: what Envoy Gateway 1.7 can do for each policy kind, written down by hand (`yardstick/cells.csv`, in the words
//! of the project's own table), against what the compiler does with the common form of the kind.
//!
//! - `emit`: it compiles with the standard channel, and no difference has to be accepted;
//! - `approximate`: it compiles once a difference is accepted by name;
//! - `option`: it compiles with an option of the installation, which the release asks for, and is refused without;
//! - `refuse`: it is refused.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use std::collections::BTreeSet;

use gateway_module_envoy_gateway::EnvoyGatewayAdapter;
use gateway_modules_core::{channel::Channel, compile::Compiled, intent::policies::PolicyKind, module::Verdict};
use gateway_modules_testkit::{contract::Bench, samples};
use serde_json::Map;

mod support;

/// The cell and the names that stand beside it.
fn cell(compiled: &Compiled, option: bool) -> (&'static str, BTreeSet<String>) {
    let Some(release) = &compiled.release else { return ("refuse", BTreeSet::new()) };
    let outcomes = compiled.report.entries.iter().flat_map(|entry| &entry.outcomes);
    let differences: BTreeSet<String> = outcomes
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Approximate { differences } => Some(differences),
            _ => None,
        })
        .flatten()
        .map(|difference| difference.name.clone())
        .collect();
    if !differences.is_empty() {
        return ("approximate", differences);
    }
    let settings: BTreeSet<String> = release.requires.iter().map(|requirement| requirement.setting.clone()).collect();
    if option && !settings.is_empty() { ("option", settings) } else { ("emit", BTreeSet::new()) }
}

/// Refused, approximate, with an option, emitted: the best of the common forms of a kind counts.
fn rank(cell: &str) -> usize {
    ["refuse", "option", "approximate", "emit"].iter().position(|known| *known == cell).expect("a known cell")
}

fn measured(kind: PolicyKind, option: bool) -> (&'static str, BTreeSet<String>) {
    let module = EnvoyGatewayAdapter::new();
    let parameters = if option { support::all_options() } else { Map::new() };
    let bench = Bench::new(&module, "1.7", Channel::Standard, parameters);
    let forms = samples::of(kind);
    let cells = forms.iter().map(|sample| {
        let (compiled, _) = bench.compile_accepting(&sample.documents).expect("a valid sample");
        cell(&compiled, option)
    });
    cells.max_by_key(|(cell, _)| rank(cell)).expect("a sample")
}

#[test]
fn the_compiler_does_what_the_table_says() {
    let table = include_str!("yardstick/cells.csv");
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let mut wrong = Vec::new();
    for row in &rows {
        let [name, wanted, beside] = row.as_slice() else { panic!("{row:?} is no row") };
        let kind = *PolicyKind::ALL.iter().find(|kind| kind.name() == *name).expect("a kind of the catalogue");
        let option = *wanted == "option";
        let (found, names) = measured(kind, option);
        if found != *wanted || (!beside.is_empty() && !names.contains(*beside)) {
            wrong.push(format!("{name} is {found} {names:?}, and the table says {wanted} {beside}"));
        }
        if option && measured(kind, false).0 != "refuse" {
            wrong.push(format!("{name} is not refused without the option"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let named: BTreeSet<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(named, PolicyKind::ALL.iter().map(|kind| kind.name()).collect(), "every kind once");
    assert_eq!(rows.len(), named.len(), "every kind once");
}
