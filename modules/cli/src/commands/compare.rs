//! `gwm compare -f PATH`.

use std::collections::{BTreeMap, BTreeSet};

use gateway_modules::core::{
    compile::{Entry, Outcome},
    intent::policies::PolicyKind,
    module::Verdict,
};
use serde_json::json;

use crate::{
    Run,
    input::IntentArgs,
    output::{self, Format},
};

/// Compares what all modules make of the same intent, per endpoint and policy.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gwm compare -f examples/intents/shop\n  gwm compare -f . -o json")]
pub(crate) struct Args {
    #[command(flatten)]
    intent: IntentArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// One row: a place and what is asked for there.
type Row = (String, String);

pub(crate) fn run(args: &Args) -> Run {
    let intent = args.intent.load()?;
    let registry = gateway_modules::registry()?;
    let names = registry.names();
    let mut cells: BTreeMap<Row, BTreeMap<&str, Cell>> = BTreeMap::new();
    for name in &names {
        for plane in gateway_modules::compile_for(&intent, &registry, name, &args.intent.crds())? {
            for entry in &plane.compiled.report.entries {
                for outcome in &entry.outcomes {
                    let Some(row) = row(entry, outcome) else { continue };
                    cells.entry(row).or_default().entry(name).or_default().add(&outcome.verdict);
                }
            }
        }
    }
    if args.output != Format::Table {
        let rows: Vec<_> = cells
            .iter()
            .map(|((place, what), modules)| {
                let modules: BTreeMap<_, _> = modules.iter().map(|(name, cell)| (*name, cell.json())).collect();
                json!({"place": place, "asks": what, "modules": modules})
            })
            .collect();
        return output::data(&rows, args.output);
    }
    let mut header = vec!["FOR", "ASKS"];
    header.extend(names.iter().copied());
    let rows = cells.iter().map(|((place, what), modules)| {
        let mut row = vec![place.clone(), what.clone()];
        row.extend(names.iter().map(|name| modules.get(name).map(Cell::text).unwrap_or_default()));
        row
    });
    output::print(&output::wide_table(&header, rows));
    let reasons: BTreeSet<String> = cells
        .values()
        .flat_map(|modules| {
            modules.iter().flat_map(|(name, cell)| cell.reasons.iter().map(move |reason| format!("{name}: {reason}")))
        })
        .collect();
    for reason in reasons {
        output::print(&reason);
    }
    Ok(())
}

/// The place, and the policy kind or field.
fn row(entry: &Entry, outcome: &Outcome) -> Option<Row> {
    if matches!(outcome.verdict, Verdict::Decides { .. } | Verdict::Overridden { .. } | Verdict::Inactive { .. }) {
        return None;
    }
    let tokens: Vec<&str> = entry.field.pointer.split('/').collect();
    let policy = tokens
        .iter()
        .position(|token| *token == "policies")
        .and_then(|at| tokens.iter().skip(at + 1).find_map(|token| PolicyKind::from_field(token)));
    let what = match policy {
        Some(kind) => kind.name().to_owned(),
        None if tokens.contains(&"backends") => PolicyKind::TrafficSplit.name().to_owned(),
        None => "endpoint".to_owned(),
    };
    Some((outcome.place.clone(), what))
}

/// The worst verdict of a cell.
#[derive(Default)]
struct Cell {
    exact: usize,
    approximate: usize,
    refused: usize,
    reasons: BTreeSet<String>,
}

impl Cell {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Exact => self.exact += 1,
            Verdict::Approximate { differences } => {
                self.approximate += 1;
                self.reasons
                    .extend(differences.iter().map(|difference| format!("{}: {}", difference.name, difference.text)));
            }
            Verdict::Unsupported { reason, .. } => {
                self.refused += 1;
                self.reasons.insert(reason.clone());
            }
            _ => {}
        }
    }

    fn text(&self) -> String {
        match (self.refused, self.approximate) {
            (0, 0) => "exact".to_owned(),
            (0, _) => "approximate".to_owned(),
            _ => "refused".to_owned(),
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({"verdict": self.text(), "exact": self.exact, "approximate": self.approximate, "refused": self.refused, "reasons": self.reasons})
    }
}
