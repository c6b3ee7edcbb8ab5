//! `gwm compare -f PATH`.

use std::collections::{BTreeMap, BTreeSet};

use gateway_modules::{ComparedCell, ComparedRow};
use serde_json::json;

use crate::{
    Run,
    input::IntentArgs,
    output::{self, Format},
};

/// Compares what all modules make of the same intent, per endpoint and policy.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gwm compare -f examples/intents/policies\n  gwm compare -f . -o json")]
pub(crate) struct Args {
    #[command(flatten)]
    intent: IntentArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> Run {
    let intent = args.intent.load()?;
    let registry = gateway_modules::registry()?;
    let comparison = gateway_modules::compare(&intent, &registry, &args.intent.crds())?;
    if args.output != Format::Table {
        let rows: Vec<_> = comparison.rows.iter().map(json).collect();
        return output::data(&rows, args.output);
    }
    let mut header = vec!["FOR", "ASKS"];
    header.extend(comparison.modules.iter().map(String::as_str));
    let (plain, telling): (Vec<_>, Vec<_>) = comparison.rows.iter().partition(|row| is_plain(row));
    let rows = telling.iter().map(|row| {
        let mut cells = vec![row.place.clone(), asks(row).to_owned()];
        let verdict = |module| row.modules.get(module).map_or("", ComparedCell::verdict).to_owned();
        cells.extend(comparison.modules.iter().map(verdict));
        cells
    });
    output::print(&output::wide_table(&header, rows));
    if !plain.is_empty() {
        output::print("What else these documents ask for is exact on every module.");
    }
    let reasons: BTreeSet<String> = comparison
        .rows
        .iter()
        .flat_map(|row| &row.modules)
        .flat_map(|(module, cell)| cell.reasons.iter().map(move |reason| format!("{module}: {reason}")))
        .collect();
    for reason in reasons {
        output::print(&reason);
    }
    Ok(())
}

fn asks(row: &ComparedRow) -> &'static str {
    row.policy.map_or("endpoint", |kind| kind.name())
}

/// An endpoint or plane itself that every module gives as asked: nothing to look at.
fn is_plain(row: &ComparedRow) -> bool {
    row.policy.is_none() && row.modules.values().all(|cell| cell.verdict() == "exact")
}

fn json(row: &ComparedRow) -> serde_json::Value {
    let cell = |cell: &ComparedCell| {
        json!({
            "verdict": cell.verdict(),
            "exact": cell.exact,
            "approximate": cell.approximate,
            "refused": cell.refused,
            "reasons": cell.reasons,
        })
    };
    let modules: BTreeMap<_, _> = row.modules.iter().map(|(name, made)| (name, cell(made))).collect();
    json!({"place": row.place, "asks": asks(row), "modules": modules})
}
