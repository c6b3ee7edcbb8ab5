//! What the last whole run has shown, as this crate keeps it: the report, a page made of it, and the evidence that the capability
//! table reads. `examples/community-adapter/lab --write` writes them; what no longer fits fails here.

use std::{collections::BTreeSet, fs, path::PathBuf};

use gateway_module_envoy_gateway::EnvoyGatewayAdapter;
use gateway_modules_core::module::{GatewayModule, ModuleVersion};
use gateway_modules_testkit::{
    behaviour::{self, Answer, BehaviourReport},
    lab::gateways,
};

use crate::cases;

const REPORT: &str = "tests/lab/behaviour.json";
const AGAIN: &str = "run `examples/community-adapter/lab --write`";

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// What is made of a report: file and text.
fn made(report: &BehaviourReport) -> [(&'static str, String); 3] {
    let json = serde_json::to_string_pretty(report).expect("JSON") + "\n";
    // The page's head names the command of the repository that the test kit is from.
    let page = behaviour::page(std::slice::from_ref(report)).replace("cargo xtask lab test --write", "../lab --write");
    [(REPORT, json), ("BEHAVIOUR.md", page), ("src/tested.csv", report.evidence())]
}

/// Puts the lines of a run in the place of those that are kept under the same names; of another version or stand, nothing is kept.
pub fn write(mut report: BehaviourReport) {
    let old =
        fs::read_to_string(path(REPORT)).ok().and_then(|text| serde_json::from_str::<BehaviourReport>(&text).ok());
    if let Some(old) = old.filter(|old| (&old.version, &old.limits) == (&report.version, &report.limits)) {
        let new: BTreeSet<String> = report.lines.iter().map(|line| line.name.clone()).collect();
        report.lines.extend(old.lines.into_iter().filter(|line| !new.contains(&line.name)));
    }
    let names = names();
    let place = |name: &str| names.iter().position(|known| known == name);
    report.lines.retain(|line| place(&line.name).is_some() && !matches!(line.answer, Answer::Failed(_)));
    report.lines.sort_by_key(|line| place(&line.name));
    for (file, text) in made(&report) {
        fs::write(path(file), text).expect("writable");
    }
}

/// Names of all lines, in their order.
fn names() -> Vec<String> {
    behaviour::names().into_iter().chain(cases::names()).collect()
}

fn kept() -> BehaviourReport {
    serde_json::from_str(&fs::read_to_string(path(REPORT)).expect("readable")).expect("a report")
}

/// Another version of the gateway, or cases that it was not asked: out of date. `GATEWAY_MODULES_UPDATE=1` makes the page and the
/// evidence of the kept report again.
#[test]
fn what_is_kept_is_of_this_version_and_these_cases() {
    let (report, gateway) = (kept(), gateways::find("envoy-gateway").expect("a gateway of the lab"));
    assert_eq!(report.version, gateway.version, "{AGAIN}");
    assert_eq!(report.limits, gateway.limits, "{AGAIN}");
    let names: Vec<&str> = report.lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, self::names(), "{AGAIN}");
    assert!(report.passes(), "a failure is no result");
    for (file, text) in made(&report) {
        if std::env::var_os("GATEWAY_MODULES_UPDATE").is_some() && file != REPORT {
            fs::write(path(file), &text).expect("writable");
        }
        assert_eq!(fs::read_to_string(path(file)).expect("readable"), text, "{file}: {AGAIN}");
    }
}

/// What is declared was seen, or the stand's limits say why not; what was seen is declared.
#[test]
fn every_cell_of_the_yardstick_was_shown_or_has_a_reason() {
    let report = kept();
    let version = ModuleVersion::new(&report.version).expect("a version");
    let declared = EnvoyGatewayAdapter::new().declared(&version);
    let of = |shown: fn(&Answer) -> bool| -> BTreeSet<&str> {
        let lines = report.lines.iter().filter(|line| shown(&line.answer));
        lines.filter_map(|line| line.capability.as_deref()).collect()
    };
    let shown = of(|answer| matches!(answer, Answer::Shown(_)));
    let left_out = of(|answer| matches!(answer, Answer::NotHere(_)));
    for name in &shown {
        assert!(declared.iter().any(|(own, _)| own.as_str() == *name), "{name} was shown and is not declared");
    }
    for row in include_str!("../yardstick/cells.csv").lines().skip(1) {
        let [kind, cell, _] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row} is no row") };
        let capability = format!("policy/{kind}");
        let seen = shown.iter().any(|name| *name == capability || name.starts_with(&format!("{capability}/")));
        if matches!(cell, "emit" | "approximate") {
            assert!(
                seen || left_out.contains(capability.as_str()),
                "{kind} was neither shown nor left out for a reason"
            );
        }
    }
}
