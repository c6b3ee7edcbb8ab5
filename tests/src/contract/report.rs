//! What the checks found.

use std::fmt;

/// What one check found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// Name.
    pub name: &'static str,
    /// What it proves when it passes.
    pub proves: &'static str,
    /// How to mend a failure.
    pub fix: &'static str,
    /// Cases that were looked at.
    pub cases: usize,
    /// What else is worth knowing, for example how many cases were refusals.
    pub notes: Vec<String>,
    /// Failures, each with its place.
    pub failures: Vec<String>,
    /// Why it could not run.
    pub skipped: Option<String>,
}

impl CheckReport {
    pub(super) fn new(name: &'static str, proves: &'static str, fix: &'static str) -> Self {
        Self { name, proves, fix, cases: 0, notes: Vec::new(), failures: Vec::new(), skipped: None }
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

/// What all checks found for one module.
#[derive(Clone, Debug)]
pub struct ContractReport {
    /// The module.
    pub module: String,
    /// The checks, in their order.
    pub checks: Vec<CheckReport>,
}

impl ContractReport {
    /// Whether nothing was found.
    pub fn passes(&self) -> bool {
        self.checks.iter().all(|check| check.failures.is_empty())
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
        writeln!(f, "adapter contract of {}", self.module)?;
        for check in &self.checks {
            match &check.skipped {
                Some(reason) => writeln!(f, "  left out  {}: {reason}", check.name)?,
                None if check.failures.is_empty() => {
                    writeln!(f, "  passed    {} ({} cases): {}", check.name, check.cases, check.proves)?;
                }
                None => {
                    let (failed, cases) = (check.failures.len(), check.cases);
                    writeln!(
                        f,
                        "  FAILED    {} ({failed} of {cases} cases); it would prove: {}",
                        check.name, check.proves
                    )?;
                    for failure in check.failures.iter().take(SHOWN) {
                        writeln!(f, "            - {failure}")?;
                    }
                    if failed > SHOWN {
                        writeln!(f, "            … and {} more", failed - SHOWN)?;
                    }
                    writeln!(f, "            fix: {}", check.fix)?;
                }
            }
            for note in &check.notes {
                writeln!(f, "            {note}")?;
            }
        }
        Ok(())
    }
}
