//! `cargo xtask conformance FOLDER`.

use std::path::PathBuf;

use clap::Args;
use gateway_modules_testkit::conformance::{Checked, Settings};

use crate::error::Error;

/// Compares every capability table with the official conformance reports (`conformance/reports` of Gateway API) in a folder.
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo xtask conformance ../shared/conformance")]
pub(crate) struct Arguments {
    /// Folder with reports, at any depth.
    folder: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let settings = Settings::read(include_str!("../../tests/conformance.yaml")).map_err(Error::Message)?;
    let registry = gateway_modules::registry().map_err(|error| Error::Message(error.to_string()))?;
    let checked = settings.check(&arguments.folder, &registry).map_err(Error::Message)?;
    let wrong = checked.iter().map(print).sum::<usize>();
    if wrong == 0 {
        return Ok(());
    }
    Err(Error::Message(format!("{wrong} differences between the tables and the reports")))
}

/// Says what was found; returns the number of differences.
#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print(one: &Checked) -> usize {
    let report = &one.report;
    let channel = if report.experimental { "experimental" } else { "standard" };
    let what = format!("{} {} ({}, {channel})", report.project, report.version, report.mode);
    let Some(module) = &one.module else {
        println!("-- {what}: no module of this build is about it");
        return 0;
    };
    let comparison = &one.comparison;
    let mark = if comparison.differences.is_empty() { "ok" } else { "!!" };
    println!(
        "{mark} {what}: module {module}, {} features agree, {} are claimed by other evidence, {} differ by a stated exception",
        comparison.agreed.len(),
        comparison.unreported.len(),
        one.excepted.len()
    );
    for difference in &comparison.differences {
        println!("   {difference}");
    }
    comparison.differences.len()
}
