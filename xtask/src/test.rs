//! `cargo xtask test`: what must pass before a change lands, one step after the other.

mod suites;

use std::{thread, time::Instant};

use clap::{Args, ValueEnum};
use gateway_modules_testkit::{binaries, cargo as cargo_command, go, schemas_or_explain};

use crate::error::Error;

/// All checks and tests. The suites on a real control plane build it once (Go), and find it in the cache from then on.
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test --only lints")]
pub(crate) struct Arguments {
    /// Only this step. May be repeated.
    #[arg(long, value_enum)]
    only: Vec<Step>,
    /// Test programs at a time; as many as there are processors when it is left out. Most wait for a control plane most of the time, and
    /// from two on, one of those that only compute runs beside them, on what they leave of the processors.
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<usize>,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// rustfmt.
    Format,
    /// clippy, warnings denied.
    Lints,
    /// Unit tests, golden files, properties, suites on a real control plane, examples in the documentation.
    Tests,
    /// rustdoc, warnings denied.
    Docs,
}

const STEPS: [Step; 4] = [Step::Format, Step::Lints, Step::Tests, Step::Docs];

const LINTS: &[&str] = &[
    "clippy",
    "--workspace",
    "--all-targets",
    "--features",
    "gateway-modules-testkit/testcontainers",
    "--",
    "-D",
    "warnings",
];

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let wanted = |step: &Step| arguments.only.is_empty() || arguments.only.contains(step);
    let mut building = wanted(&Step::Tests).then(|| thread::spawn(build_from_go));
    for step in STEPS.into_iter().filter(wanted) {
        tell(&format!("== {step:?}"));
        let start = Instant::now();
        match step {
            Step::Format => cargo(&["fmt", "--all", "--check"], &[])?,
            Step::Lints => cargo(LINTS, &[])?,
            Step::Tests => suites::run(arguments.jobs, building.take())?,
            Step::Docs => cargo(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])?,
        }
        tell(&format!("== {step:?}: passed in {} s", start.elapsed().as_secs()));
    }
    Ok(())
}

/// The programs from Go sources that suites run, beside the lints and the build of the tests: the compilers leave processors idle at
/// different times. A suite that does without one says so itself.
fn build_from_go() {
    if let Err(error) = binaries::find() {
        tell(&format!("there will be no control plane: {error}"));
    }
    if let Err(error) = go::helm() {
        tell(&format!("there will be no Helm: {error}"));
    }
    // Only suites that have definitions get as far as a registry.
    if matches!(schemas_or_explain(), Ok(Some(_)))
        && let Err(error) = go::registry()
    {
        tell(&format!("there will be no registry of charts: {error}"));
    }
}

fn cargo(words: &[&str], environment: &[(&str, &str)]) -> Result<(), Error> {
    let words_told = words.join(" ");
    tell(&format!("cargo {words_told}"));
    let status = cargo_command().args(words).envs(environment.iter().copied()).status();
    let status = status.map_err(|error| Error::Message(format!("cargo {words_told} could not be started: {error}")))?;
    if status.success() { Ok(()) } else { Err(Error::Message(format!("failed ({status}): `cargo {words_told}`"))) }
}

#[expect(clippy::print_stderr, reason = "progress goes to the terminal")]
fn tell(text: &str) {
    eprintln!("{text}");
}
