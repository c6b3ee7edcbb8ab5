//! `cargo xtask test`: what must pass before a change lands, one step after the other.

use std::{process::Command as Process, time::Instant};

use clap::{Args, ValueEnum};

use crate::error::Error;

/// All checks and tests. The suites on a real control plane build it once (Go), and find it in the cache from then on.
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test --only lints")]
pub(crate) struct Arguments {
    /// Only this step. May be repeated.
    #[arg(long, value_enum)]
    only: Vec<Step>,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// rustfmt.
    Format,
    /// clippy, warnings denied.
    Lints,
    /// Unit tests, golden files, properties, suites on a real control plane.
    Tests,
    /// rustdoc, warnings denied.
    Docs,
}

const STEPS: [Step; 4] = [Step::Format, Step::Lints, Step::Tests, Step::Docs];

#[expect(clippy::print_stderr, reason = "progress goes to the terminal")]
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    for step in STEPS.into_iter().filter(|step| arguments.only.is_empty() || arguments.only.contains(step)) {
        let (words, environment): (&[&str], &[(&str, &str)]) = match step {
            Step::Format => (&["fmt", "--all", "--check"], &[]),
            Step::Lints => (
                &[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--features",
                    "gateway-modules-testkit/testcontainers",
                    "--",
                    "-D",
                    "warnings",
                ],
                &[],
            ),
            Step::Tests => (&["test", "--workspace"], &[]),
            Step::Docs => (&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")]),
        };
        eprintln!("== {step:?}: cargo {}", words.join(" "));
        let start = Instant::now();
        let status = Process::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(words)
            .envs(environment.iter().copied())
            .status()
            .map_err(|error| Error::Message(format!("cargo {} could not be started: {error}", words.join(" "))))?;
        if !status.success() {
            return Err(Error::Message(format!(
                "{step:?} failed ({status}); run it alone with `cargo {}`",
                words.join(" ")
            )));
        }
        eprintln!("== {step:?}: passed in {} s", start.elapsed().as_secs());
    }
    Ok(())
}
