//! Determinism and totality.

use std::collections::BTreeSet;

use super::super::{Bench, CheckReport, observe};
use crate::samples;

fn text(bench: &Bench<'_>, intent: &gateway_modules_core::intent::Intent) -> Option<String> {
    let compiled = bench.compile_intent(intent).ok()?;
    serde_json::to_string(&(&compiled.release, &compiled.report, &compiled.diagnostics)).ok()
}

pub(super) fn deterministic(benches: &[Bench<'_>]) -> CheckReport {
    let mut check = CheckReport::new(
        "determinism",
        "the same intent gives the same bytes, whatever the order of its documents",
        "use ordered maps in `provision`, `map` and `assemble`, and no clock, randomness or global state",
    );
    let samples = samples::all();
    for bench in benches {
        for sample in &samples {
            let mut documents = bench.on_this(&sample.documents);
            let mut twin = documents.component().clone();
            twin["metadata"]["name"] = "a-second-component".into();
            documents.push(twin);
            let (Ok(straight), Ok(reversed)) = (documents.load(), documents.load_reversed()) else {
                check.fail(format!("{}: {} does not load", bench.name(), sample.name()));
                continue;
            };
            let first = text(bench, &straight);
            check.case(first.is_some() && first == text(bench, &straight), || {
                format!("{}: {} differs from run to run", bench.name(), sample.name())
            });
            check.case(first == text(bench, &reversed), || {
                format!("{}: {} differs with the order of documents", bench.name(), sample.name())
            });
        }
    }
    check
}

pub(super) fn total(benches: &[Bench<'_>]) -> CheckReport {
    let mut check = CheckReport::new(
        "totality",
        "the report has a verdict for every leaf of every sample, and cites only bytes that are there",
        "return an outcome for every leaf of every remaining kind, with citations into what the mapping emits",
    );
    for bench in benches {
        for sample in samples::all() {
            let Ok((compiled, _)) = bench.compile_accepting(&sample.documents) else { continue };
            let holes: BTreeSet<_> = observe::error_codes(&compiled)
                .into_iter()
                .filter(|code| ["GWM0501", "GWM0502", "GWM0503"].contains(code))
                .collect();
            check.case(holes.is_empty(), || {
                format!("{}: {}: {}", bench.name(), sample.name(), observe::errors(&compiled))
            });
            if compiled.release.is_some() {
                let silent = compiled.report.entries.iter().find(|entry| entry.outcomes.is_empty());
                check.case(silent.is_none(), || {
                    format!(
                        "{}: {}: nothing is said about {:?}",
                        bench.name(),
                        sample.name(),
                        silent.map(|entry| &entry.field)
                    )
                });
            }
        }
    }
    check
}
