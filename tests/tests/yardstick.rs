//! The yardstick: what each gateway can do for each policy kind at a version, written down before the adapters were.
//!
//! `tests/yardstick/cells.csv` is the project's own table. A cell that differs from what the compiler does fails; a cell that
//! differs from the table that the project was given needs a decision record (`tests/yardstick/decisions.csv`).
//!
//! - `emit`: the common form compiles, with the standard channel, and no difference has to be accepted.
//! - `emit-exp`: the same, with the experimental channel's CRDs only.
//! - `approximate`: it compiles once a difference is accepted by name.
//! - `option`: it compiles with an option of the installation, which the release asks for or the module sets, and is refused
//!   without; a difference may have to be accepted besides.
//! - `refuse`: it is refused, with a reason.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use std::{collections::BTreeMap, fmt};

use gateway_modules::core::{
    channel::Channel,
    compile::Compiled,
    intent::policies::PolicyKind,
    module::{GatewayModule, Verdict},
};
use gateway_modules_testkit::{contract::Bench, samples};

mod support;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    // In the order in which the best of several forms counts.
    Refuse,
    Option,
    Approximate,
    EmitExp,
    Emit,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Emit => "emit",
            Self::EmitExp => "emit-exp",
            Self::Approximate => "approximate",
            Self::Option => "option",
            Self::Refuse => "refuse",
        })
    }
}

fn cell(text: &str) -> Cell {
    [Cell::Emit, Cell::EmitExp, Cell::Approximate, Cell::Option, Cell::Refuse]
        .into_iter()
        .find(|cell| cell.to_string() == text)
        .unwrap_or_else(|| panic!("{text:?} is no cell"))
}

/// Kind and column (`module version`) to cell.
type Table = BTreeMap<(String, String), Cell>;

fn rows(text: &str) -> Vec<Vec<String>> {
    text.lines().map(|line| line.split(',').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn own_table() -> Table {
    let rows = rows(include_str!("yardstick/cells.csv"));
    let (header, rows) = rows.split_first().expect("a header");
    let mut table = Table::new();
    for row in rows {
        assert_eq!(row.len(), header.len(), "{row:?}");
        for (column, text) in header.iter().zip(row).skip(1) {
            table.insert((row[0].clone(), column.clone()), cell(text));
        }
    }
    table
}

/// What the compiler says of a kind, and why.
fn measured(module: &dyn GatewayModule, version: &str, kind: PolicyKind, option: bool) -> (Cell, String) {
    let forms = samples::of(kind);
    let bare = |sample: &samples::Sample| {
        let bench = Bench::new(module, version, Channel::Standard, serde_json::Map::default());
        judge(&bench.compile_accepting(&sample.documents).expect("a valid sample").0, false).0
    };
    let mut found = forms.iter().map(|sample| {
        let on = |channel| {
            let parameters = if option { support::options(module.metadata().name) } else { serde_json::Map::default() };
            let bench = Bench::new(module, version, channel, parameters);
            judge(&bench.compile_accepting(&sample.documents).expect("a valid sample").0, option)
        };
        let (standard, reason) = on(Channel::Standard);
        if option && standard != Cell::Refuse && bare(sample) == Cell::Refuse {
            return (Cell::Option, reason);
        }
        if standard == Cell::Emit {
            return (standard, reason);
        }
        match on(Channel::Experimental) {
            // Where the standard channel has less, the experimental one counts only if it refuses there.
            (Cell::Emit, _) if standard == Cell::Refuse => (Cell::EmitExp, reason),
            _ => (standard, reason),
        }
    });
    let first = found.next().expect("a sample");
    found.fold(first, |best, other| if other.0 > best.0 { other } else { best })
}

fn judge(compiled: &Compiled, option: bool) -> (Cell, String) {
    let Some(release) = &compiled.release else {
        let reason = compiled.diagnostics.0.first().map(|diagnostic| diagnostic.message.clone());
        return (Cell::Refuse, reason.unwrap_or_default());
    };
    let differences: Vec<String> = compiled
        .report
        .entries
        .iter()
        .flat_map(|entry| &entry.outcomes)
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Approximate { differences } => Some(differences.iter().map(|difference| difference.name.clone())),
            _ => None,
        })
        .flatten()
        .collect();
    if !differences.is_empty() {
        return (Cell::Approximate, differences.join(", "));
    }
    // Some kinds are nothing without a service of the user's own (a rate-limit service): that is no option of the gateway,
    // so only a cell that is said to be an option is measured as one.
    if option && !release.requires.is_empty() {
        let settings: Vec<_> = release.requires.iter().map(|requirement| requirement.setting.clone()).collect();
        return (Cell::Option, settings.join(", "));
    }
    (Cell::Emit, String::new())
}

#[test]
fn the_compiler_does_what_the_table_says() {
    let registry = gateway_modules::registry().expect("no duplicates");
    let mut failures = Vec::new();
    let mut counts: BTreeMap<String, BTreeMap<Cell, usize>> = BTreeMap::new();
    for ((kind, column), wanted) in own_table() {
        let (name, version) = column.split_once(' ').expect("module and version");
        // Modules that are not compiled in are measured when they are.
        let Ok(module) = registry.get(name) else { continue };
        let kind = *PolicyKind::ALL.iter().find(|known| known.name() == kind).expect("a kind of the catalogue");
        let (found, reason) = measured(module.as_ref(), version, kind, wanted == Cell::Option);
        *counts.entry(column.clone()).or_default().entry(found).or_default() += 1;
        if found != wanted {
            failures.push(format!("{column}: {kind} is {found}, and the table says {wanted} ({reason})"));
        }
    }
    for (column, cells) in counts {
        let cells: Vec<String> = cells.iter().rev().map(|(cell, count)| format!("{count} {cell}")).collect();
        println!("{column}: {}", cells.join(", "));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_table_has_every_kind_once_and_the_default_version_of_every_module() {
    let table = own_table();
    let kinds: std::collections::BTreeSet<_> = table.keys().map(|(kind, _)| kind.clone()).collect();
    let catalogue = PolicyKind::ALL.iter().map(|kind| kind.name().to_owned()).collect();
    assert_eq!(kinds, catalogue);
    for (name, module) in gateway_modules::registry().expect("no duplicates").iter() {
        // `generic` is whatever the cluster says it is.
        let column = format!("{name} {}", module.metadata().default_version);
        let there = table.keys().any(|(_, known)| *known == column);
        assert!(there || name == "generic", "no column {column:?} in tests/yardstick/cells.csv");
    }
}

/// The table that the project was given says the same, but for cells with a decision record.
#[test]
fn the_table_is_the_one_that_the_project_was_given() {
    let Some(path) = support::needed("GATEWAY_MODULES_EXPECTATIONS", "expectations.yaml") else { return };
    let text = std::fs::read_to_string(path).expect("readable");
    let given: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
    let decisions = rows(include_str!("yardstick/decisions.csv"));
    let table = own_table();
    let mut differ = Vec::new();
    for (kind, cells) in given["policies"].as_object().expect("policies") {
        for (module, text) in given["columns"].as_array().expect("columns").iter().zip(cells.as_array().expect("cells"))
        {
            let module = module.as_str().expect("name");
            // "2.2, open source": the version is before the comma.
            let version = given["versions"][module].as_str().expect("version").split(',').next().unwrap_or_default();
            let own = table.get(&(kind.clone(), format!("{module} {version}")));
            let wanted = cell(text.as_str().expect("text"));
            let decision = decisions.iter().skip(1).find(|row| row[0] == *kind && row[1] == module);
            match (own == Some(&wanted), decision) {
                (true, None) => {}
                (true, Some(_)) => {
                    differ.push(format!("{module}: {kind} has a decision record and is as it was given"));
                }
                (false, Some(decision)) => {
                    let record = support::repository(&decision[2]);
                    assert!(record.is_file(), "{} does not exist", decision[2]);
                    println!("{module}: {kind} is {own:?} and not {wanted}, by {}", decision[2]);
                }
                (false, None) => differ.push(format!("{module}: {kind} is {own:?}, and was given as {wanted}")),
            }
        }
    }
    assert!(differ.is_empty(), "a cell that differs needs a decision record: {}", differ.join("; "));
}
