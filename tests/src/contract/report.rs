//! What the checks found.

use std::fmt;

use serde::Serialize;

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CheckInfo {
    /// Name.
    pub name: &'static str,
    /// What it proves when it passes.
    pub proves: &'static str,
    /// How to mend a failure.
    pub fix: &'static str,
}

/// What one check found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The check.
    #[serde(flatten)]
    pub info: CheckInfo,
    /// Cases that were looked at.
    pub cases: usize,
    /// What else is worth knowing, for example how many cases were refusals.
    pub notes: Vec<String>,
    /// Failures, each with its place.
    pub failures: Vec<String>,
    /// Why it could not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl CheckReport {
    pub(super) fn new(info: CheckInfo) -> Self {
        Self { info, cases: 0, notes: Vec::new(), failures: Vec::new(), skipped: None }
    }

    pub(super) fn fail(&mut self, failure: impl Into<String>) {
        self.failures.push(failure.into());
    }

    /// A case that must hold.
    pub(super) fn case(&mut self, holds: bool, failure: impl FnOnce() -> String) {
        self.cases += 1;
        if !holds {
            self.failures.push(failure());
        }
    }
}

/// What all checks found for one module: [`Display`](fmt::Display) is a table for people, serde makes JSON of it.
#[derive(Clone, Debug, Serialize)]
pub struct ContractReport {
    /// The module.
    pub module: String,
    /// Versions of the gateway that it ran over.
    pub versions: Vec<String>,
    /// The checks, in their order.
    pub checks: Vec<CheckReport>,
}

impl ContractReport {
    /// Whether nothing was found.
    pub fn passes(&self) -> bool {
        self.checks.iter().all(|check| check.failures.is_empty())
    }

    /// The check of a name.
    pub fn check(&self, name: &str) -> Option<&CheckReport> {
        self.checks.iter().find(|check| check.info.name == name)
    }

    /// The report as JSON.
    ///
    /// # Errors
    /// None that is known: all of it is text and numbers.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// Prints the report, and fails the test when anything was found.
    ///
    /// # Panics
    /// A check failed.
    #[allow(clippy::panic)] // its purpose
    pub fn assert_passes(&self) {
        println!("{self}");
        if !self.passes() {
            let count: usize = self.checks.iter().map(|check| check.failures.len()).sum();
            panic!("{}: {count} failures of the adapter contract, printed above", self.module);
        }
    }
}

/// Failures of one check that are printed; the rest is counted.
const SHOWN: usize = 30;

impl fmt::Display for ContractReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "adapter contract of {} {}", self.module, self.versions.join(", "))?;
        for check in &self.checks {
            let CheckInfo { name, proves, fix } = check.info;
            match &check.skipped {
                Some(reason) => writeln!(f, "  left out  {name}: {reason}")?,
                None if check.failures.is_empty() && check.cases == 0 => {
                    writeln!(f, "  no cases  {name}: nothing of the module is concerned; it would prove: {proves}")?;
                }
                None if check.failures.is_empty() => {
                    writeln!(f, "  passed    {name} ({} cases): {proves}", check.cases)?;
                }
                None => {
                    let (failed, cases) = (check.failures.len(), check.cases);
                    writeln!(f, "  FAILED    {name} ({failed} of {cases} cases); it would prove: {proves}")?;
                    for failure in check.failures.iter().take(SHOWN) {
                        writeln!(f, "            - {failure}")?;
                    }
                    if failed > SHOWN {
                        writeln!(f, "            … and {} more", failed - SHOWN)?;
                    }
                    writeln!(f, "            fix: {fix}")?;
                }
            }
            for note in &check.notes {
                writeln!(f, "            {note}")?;
            }
        }
        Ok(())
    }
}
