//! What a gateway was seen to do, as data, as evidence and as a page.

use std::{collections::BTreeSet, fmt, time::Duration};

use gateway_modules_core::intent::policies::PolicyKind;
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    lab::gateways::{Gateway, STAND_IN, Stand},
};

/// What came of one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// Requests have shown it; what they saw.
    Shown(String),
    /// The module refuses it, and nothing was written; its reason.
    Refused(String),
    /// It is declared and cannot be shown on this stand; why.
    NotHere(String),
    /// Something else than what is declared; what.
    Failed(String),
}

/// How long answers took, delays included that requests have asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerTimes {
    /// How many there were.
    pub count: usize,
    /// Half took no longer than this, in milliseconds.
    pub median: u64,
    /// The longest, in milliseconds.
    pub longest: u64,
}

impl AnswerTimes {
    /// Of some answers; none of none.
    pub(super) fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let milliseconds = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let median = times.get(times.len().saturating_sub(1) / 2).map(milliseconds)?;
        Some(Self { count: times.len(), median, longest: times.last().map(milliseconds)? })
    }
}

impl fmt::Display for AnswerTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} ms, longest {}", self.count, self.median, self.longest)
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Policy kind and case, or what else is shown.
    pub name: String,
    /// The capability that it is about; none for what is not one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// Whether the module declares it.
    pub declared: bool,
    /// What came of it.
    pub answer: Answer,
    /// How long the answers took that it has looked at one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<AnswerTimes>,
    /// How long it took; not part of the evidence.
    #[serde(skip)]
    pub took: Duration,
}

impl Line {
    /// What it is about: a part of a policy kind is one form of the kind.
    fn capabilities(&self) -> impl Iterator<Item = &str> {
        let own = self.capability.as_deref();
        let part = own.and_then(|own| own.strip_prefix("policy/")?.find('/').map(|end| &own[.."policy/".len() + end]));
        part.into_iter().chain(own)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, text) = match &self.answer {
            Answer::Shown(text) => ("ok     ", text),
            Answer::Refused(text) => ("refused", text),
            Answer::NotHere(text) => ("left   ", text),
            Answer::Failed(text) => ("FAILED ", text),
        };
        write!(f, "{mark} {} ({:.1} s): {text}", self.name, self.took.as_secs_f32())
    }
}

/// What one gateway was seen to do, or why it was not asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BehaviourReport {
    /// The module.
    pub module: String,
    /// The gateway's version.
    pub version: String,
    /// What the stand cannot show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// Why it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// Lines in the suite's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
}

impl BehaviourReport {
    pub(super) fn of(gateway: &Gateway, lines: Vec<Line>) -> Self {
        let limits = gateway.limits.iter().map(|limit| (*limit).to_owned()).collect();
        Self { module: gateway.module.to_owned(), version: gateway.version.to_owned(), limits, absent: None, lines }
    }

    /// Of a gateway that cannot run in a lab; none when it can.
    pub fn absent(gateway: &Gateway) -> Option<Self> {
        let Stand::Absent(reason) = gateway.stand else { return None };
        Some(Self { absent: Some(reason.to_owned()), ..Self::of(gateway, Vec::new()) })
    }

    /// Whether there are lines and none has failed.
    pub fn passes(&self) -> bool {
        !self.lines.is_empty() && !self.lines.iter().any(|line| matches!(line.answer, Answer::Failed(_)))
    }

    /// The policy kinds that requests have shown, for
    /// [`contract::Options::shown`](crate::contract::Options::shown), which finds those that are not declared.
    pub fn shown(&self) -> Vec<PolicyKind> {
        let shown = self.lines.iter().filter(|line| matches!(line.answer, Answer::Shown(_)));
        let names: BTreeSet<&str> =
            shown.flat_map(Line::capabilities).filter_map(|capability| capability.strip_prefix("policy/")).collect();
        PolicyKind::ALL.iter().copied().filter(|kind| names.contains(kind.to_string().as_str())).collect()
    }

    fn count(&self, what: fn(&Answer) -> bool) -> usize {
        self.lines.iter().filter(|line| what(&line.answer)).count()
    }

    /// The section of a page.
    fn section(&self) -> String {
        let mut text = format!("## {} {}\n\n", self.module, self.version);
        if let Some(reason) = &self.absent {
            return text + &format!("Not run here: {reason}.\n\n");
        }
        for limit in &self.limits {
            text.push_str(&format!("- limit of the stand: {limit}\n"));
        }
        text.push_str("\n| capability | declared | shown | answers (median) | seen |\n|---|---|---|---|---|\n");
        for line in &self.lines {
            let (shown, seen) = match &line.answer {
                Answer::Shown(text) => ("yes", text),
                Answer::Refused(text) => ("refused", text),
                Answer::NotHere(text) => ("not here", text),
                Answer::Failed(text) => ("**no**", text),
            };
            let declared = if line.declared { "yes" } else { "no" };
            let answered = line.answered.map_or_else(String::new, |times| times.to_string());
            let seen = seen.replace('|', "\\|");
            text.push_str(&format!("| {} | {declared} | {shown} | {answered} | {seen} |\n", line.name));
        }
        text.push('\n');
        text
    }

    /// What is evidence for the capabilities of the module: one line `<version>,<capability>,<case>` for each that was shown.
    /// The adapter reads it with [`Capabilities::tested`](gateway_modules_core::capability::Capabilities::tested).
    /// Cases that a stand-in has shown say so.
    pub fn evidence(&self) -> String {
        let stand_in = self.limits.iter().any(|limit| limit.starts_with(STAND_IN));
        let note = if stand_in { " (on a stand-in build)" } else { "" };
        let shown = self.lines.iter().filter(|line| matches!(line.answer, Answer::Shown(_)));
        let line = |line: &Line, capability: &str| format!("{},{capability},{}{note}\n", self.version, line.name);
        shown.flat_map(|shown| shown.capabilities().map(|capability| line(shown, capability))).collect()
    }
}

impl fmt::Display for BehaviourReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.module, self.version)?;
        if let Some(reason) = &self.absent {
            return write!(f, "skipped: {reason}");
        }
        let seconds: f32 = self.lines.iter().map(|line| line.took.as_secs_f32()).sum();
        write!(
            f,
            "{} shown, {} refused as they should be, {} not shown here, {} failed, {seconds:.0} s",
            self.count(|answer| matches!(answer, Answer::Shown(_))),
            self.count(|answer| matches!(answer, Answer::Refused(_))),
            self.count(|answer| matches!(answer, Answer::NotHere(_))),
            self.count(|answer| matches!(answer, Answer::Failed(_))),
        )
    }
}

const HEAD: &str = "# What real gateways were seen to do\n\n\
    Made by `cargo xtask lab test --write`; do not edit. Each line was shown by requests through a gateway that serves what the\n\
    pipeline (compile, plan, apply) has put into a real cluster. A kind that is not declared was refused and nothing was written.\n\n";

/// All reports as one page.
pub fn page(reports: &[BehaviourReport]) -> String {
    let sections: String = reports.iter().map(BehaviourReport::section).collect();
    format!("{HEAD}{sections}").trim_end().to_owned() + "\n"
}

/// Where the repository keeps the results; everything else is made of them.
pub const RESULTS: &str = "docs/behaviour.json";

/// The files of the repository that hold results: the results themselves, the page, and the evidence of each adapter that
/// was asked. Paths are from the repository's root.
///
/// # Errors
/// The results cannot be written as JSON.
pub fn files(reports: &[BehaviourReport]) -> Result<Vec<(String, String)>, Error> {
    let results = serde_json::to_string_pretty(reports).map_err(|error| Error::Lab(error.to_string()))?;
    let asked = reports.iter().filter(|report| report.absent.is_none());
    let evidence = asked.map(|report| (format!("adapters/{}/src/tested.csv", report.module), report.evidence()));
    let mut files = vec![(RESULTS.to_owned(), results + "\n"), ("docs/behaviour.md".to_owned(), page(reports))];
    files.extend(evidence);
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_one_that_was_seen() {
        let of = |times: &[u64]| AnswerTimes::of(times.iter().copied().map(Duration::from_millis).collect());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some(AnswerTimes { count: 1, median: 7, longest: 7 }));
        assert_eq!(of(&[9, 1, 2000, 3]), Some(AnswerTimes { count: 4, median: 3, longest: 2000 }));
    }
}
