//! Determinism and totality.

use std::collections::BTreeSet;

use super::{
    super::{Bench, CheckReport, observe},
    Subject,
};
use crate::samples;

fn text(bench: &Bench<'_>, intent: &gateway_modules_core::intent::Intent) -> Option<String> {
    let compiled = bench.compile_intent(intent).ok()?;
    serde_json::to_string(&(&compiled.release, &compiled.report, &compiled.diagnostics)).ok()
}

pub(super) fn deterministic(subject: &Subject<'_>, check: &mut CheckReport) {
    let samples = samples::all();
    for bench in &subject.benches {
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
}

pub(super) fn total(subject: &Subject<'_>, check: &mut CheckReport) {
    for bench in &subject.benches {
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
}
