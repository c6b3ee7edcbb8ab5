//! What somebody has changed by hand, and what became of it: the condition `Drifted`.

use gateway_modules::core::{intent::Drift as Mode, plan::Drift};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::conditions::{Verdict, find};

/// Objects in a message.
const SHOWN: usize = 8;

/// What a plan has found changed by hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drifted {
    /// Taken back.
    pub(crate) repaired: Vec<Drift>,
    /// Left as it is.
    pub(crate) left: Vec<Drift>,
}

impl Drifted {
    /// Objects on which a security policy stands are never left.
    pub(crate) fn new(mode: Mode, found: &[Drift]) -> Self {
        let (repaired, left) = found.iter().cloned().partition(|drift| mode == Mode::Repair || drift.security);
        Self { repaired, left }
    }

    /// The condition. What was repaired last stays told until something else is to be told.
    pub(crate) fn verdict(&self, mode: Mode, applied: bool, previous: &Value) -> Verdict {
        if !applied && !self.repaired.is_empty() {
            return Verdict::yes("NotRepaired", list(&self.repaired));
        }
        if mode == Mode::Report && !self.left.is_empty() {
            return Verdict::yes("Reported", list(&self.left));
        }
        if !self.repaired.is_empty() {
            return Verdict::no("Repaired", format!("at {:.0}\n{}", Timestamp::now(), list(&self.repaired)));
        }
        match find(previous, "Drifted") {
            Some(before) if before["reason"] == "Repaired" => {
                Verdict::no("Repaired", before["message"].as_str().unwrap_or_default())
            }
            _ if mode == Mode::Ignore => Verdict::unknown("Ignored", "changes by hand are not looked for (spec.drift)"),
            _ => Verdict::no("AsApplied", ""),
        }
    }
}

fn list(drifts: &[Drift]) -> String {
    let mut lines: Vec<String> = drifts.iter().take(SHOWN).map(ToString::to_string).collect();
    if drifts.len() > SHOWN {
        lines.push(format!("and {} more objects", drifts.len() - SHOWN));
    }
    lines.join("\n")
}
