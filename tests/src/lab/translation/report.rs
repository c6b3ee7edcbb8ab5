//! What the operator was seen to write, as data and as a page. It is no evidence of behaviour: no request was made.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// What came of one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Translated {
    /// The conditions are those of something in force, and the translation says what the policy means; what it says.
    AsMeant(String),
    /// The module refuses it, and nothing was written; its reason.
    Refused(String),
    /// The gateway does what the adapter rests on; what.
    AsKnown(String),
    /// Something else; what.
    Failed(String),
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Line {
    /// Policy kind, or what else is looked at.
    pub name: String,
    /// Channel of the definitions.
    pub channel: String,
    /// Whether the module declares it; none for what is no capability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<bool>,
    /// What came of it.
    pub answer: Translated,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, text) = match &self.answer {
            Translated::AsMeant(text) => ("ok     ", text),
            Translated::Refused(text) => ("refused", text),
            Translated::AsKnown(text) => ("known  ", text),
            Translated::Failed(text) => ("FAILED ", text),
        };
        write!(f, "{mark} {} ({}): {text}", self.name, self.channel)
    }
}

/// What one operator was seen to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TranslationReport {
    /// The module.
    pub module: String,
    /// The gateway's version.
    pub version: String,
    /// What the stand is not.
    pub limits: Vec<String>,
    /// Lines in the order of the suite.
    pub lines: Vec<Line>,
}

impl TranslationReport {
    /// Whether there are lines and none has failed.
    pub fn passes(&self) -> bool {
        !self.lines.is_empty() && !self.lines.iter().any(|line| matches!(line.answer, Translated::Failed(_)))
    }

    fn count(&self, what: fn(&Translated) -> bool) -> usize {
        self.lines.iter().filter(|line| what(&line.answer)).count()
    }
}

impl fmt::Display for TranslationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {} translated as meant, {} refused as they should be, {} as the adapter rests on, {} failed",
            self.module,
            self.version,
            self.count(|answer| matches!(answer, Translated::AsMeant(_))),
            self.count(|answer| matches!(answer, Translated::Refused(_))),
            self.count(|answer| matches!(answer, Translated::AsKnown(_))),
            self.count(|answer| matches!(answer, Translated::Failed(_))),
        )
    }
}

const HEAD: &str = "# What Cilium's operator makes of what is applied\n\n\
    Made by `cargo xtask lab translation cilium --write`; do not edit. **No request was made, and nothing here is evidence of\n\
    behaviour**: Cilium's Envoy and agent are in no public package registry. The pipeline (compile, plan, apply) has put the samples of\n\
    the policy kinds into a real control plane, Cilium's operator has written their conditions and the CiliumEnvoyConfig, and both were\n\
    compared with what the policy means. What the translation refutes is not declared; what it shows stays on the evidence that it had\n\
    (decision 0160).\n\n";

/// The report as a page.
pub fn page(report: &TranslationReport) -> String {
    let mut text = format!("{HEAD}## {} {}\n\n", report.module, report.version);
    for limit in &report.limits {
        text.push_str(&format!("- limit of the stand: {limit}\n"));
    }
    text.push_str("\n| what | channel | declared | translated | seen |\n|---|---|---|---|---|\n");
    for line in &report.lines {
        let (translated, seen) = match &line.answer {
            Translated::AsMeant(text) => ("as meant", text),
            Translated::Refused(text) => ("refused", text),
            Translated::AsKnown(text) => ("as known", text),
            Translated::Failed(text) => ("**no**", text),
        };
        let declared = match line.declared {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let seen = seen.replace('|', "\\|");
        text.push_str(&format!("| {} | {} | {declared} | {translated} | {seen} |\n", line.name, line.channel));
    }
    text
}

/// Where the repository keeps the result.
pub const RESULTS: &str = "docs/translation.json";

/// The files of the repository that hold the result. Paths are from the repository's root.
///
/// # Errors
/// The result cannot be written as JSON.
pub fn files(report: &TranslationReport) -> Result<[(String, String); 2], Error> {
    let results = serde_json::to_string_pretty(report).map_err(|error| Error::Lab(error.to_string()))?;
    Ok([(RESULTS.to_owned(), results + "\n"), ("docs/translation.md".to_owned(), page(report))])
}
