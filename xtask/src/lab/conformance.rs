//! `cargo xtask lab conformance NAME`.

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use gateway_modules_testkit::{
    go,
    lab::{
        State,
        conformance::{self, ConformanceRun, Options},
        gateways::{self, Stand},
    },
    schemas_or_explain,
};

use super::{Guard, Life, find, install, start, tell, workspace};
use crate::error::Error;

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[command(after_help = "Examples:\n  cargo xtask lab conformance traefik --write")]
pub(crate) struct Arguments {
    /// The gateway, such as traefik.
    gateway: String,
    /// Only this test, by the suite's name of it.
    #[arg(long)]
    only: Option<String>,
    /// Leaves out the search for features that are not declared and could be.
    #[arg(long)]
    declared_only: bool,
    /// Minutes after which a run of the suite is stopped.
    #[arg(long, default_value_t = 60)]
    limit: u64,
    /// Where the suite's reports and logs go; target/conformance/NAME by default.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Writes docs/conformance.json and the page that is made of it.
    #[arg(long, conflicts_with_all = ["only", "declared_only"])]
    write: bool,
    /// Starts nothing, and compares again what the last run has left: after a change of a table or of a reason.
    #[arg(long, conflicts_with_all = ["only", "declared_only", "keep"])]
    again: bool,
    /// Leaves the lab running, to look at it.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let gateway = find(&arguments.gateway)?;
    match gateway.stand {
        Stand::Absent(reason) => {
            return Err(Error::Message(format!("{} does not run in a lab: {reason}", gateway.module)));
        }
        Stand::Runs { conformance: None, .. } => {
            return Err(Error::Message(format!("{} has no entry for the conformance suite", gateway.module)));
        }
        Stand::Runs { .. } => {}
    }
    let registry = gateway_modules::registry().map_err(|error| Error::Message(error.to_string()))?;
    let module = registry.get(gateway.module).map_err(|error| Error::Message(error.to_string()))?;
    if schemas_or_explain()?.is_none() {
        return Ok(());
    }
    let folder =
        arguments.output.clone().unwrap_or_else(|| workspace().join("target/conformance").join(gateway.module));
    if arguments.again {
        return conclude(arguments, &folder, conformance::again(gateway, &module, &folder)?);
    }
    conformance::images()?;
    let name = format!("conformance-{}", std::process::id());
    let state = State::of(&name)?;
    let guard = Guard { state: &state, keep: arguments.keep };
    start(&state, if arguments.keep { Life::Own } else { Life::Ours })?;
    install(&name, gateway)?;
    tell(&format!("the conformance suite of Gateway API {} begins", go::CONFORMANCE_VERSION));
    let options = Options {
        folder: std::path::absolute(&folder).map_err(Error::io("find", &folder))?,
        only: arguments.only.as_deref(),
        declared_only: arguments.declared_only,
        limit: Duration::from_mins(arguments.limit),
        progress: &|test| tell(&test.to_string()),
    };
    let run = conformance::run(&name, gateway, &module, &options)?;
    drop(guard);
    conclude(arguments, &options.folder, run)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn conclude(arguments: &Arguments, folder: &std::path::Path, run: ConformanceRun) -> Result<(), Error> {
    let differences = run.differences();
    let path = folder.join("comparison.json");
    let text = serde_json::to_string_pretty(&run).map_err(|error| Error::Message(error.to_string()))?;
    fs::write(&path, text + "\n").map_err(Error::io("write", &path))?;
    println!("{}\n{run}\nreports: {}", conformance::page(std::slice::from_ref(&run)), folder.display());
    for difference in &differences {
        println!("!! {difference}");
    }
    if run.tests == 0 {
        return Err(Error::Message("no test of the suite was run".to_owned()));
    }
    if !differences.is_empty() {
        return Err(Error::Message(format!("{} differences between the table and the suite", differences.len())));
    }
    if arguments.write { write(run) } else { Ok(()) }
}

/// Puts the run among those that the repository has.
fn write(run: ConformanceRun) -> Result<(), Error> {
    let path = workspace().join(conformance::RESULTS);
    let mut all: Vec<ConformanceRun> = match fs::read_to_string(&path) {
        Ok(text) => {
            serde_json::from_str(&text).map_err(|error| Error::Message(format!("{}: {error}", path.display())))?
        }
        Err(_) => Vec::new(),
    };
    all.retain(|other| other.module != run.module);
    all.push(run);
    let place = |run: &ConformanceRun| gateways::ALL.iter().position(|gateway| gateway.module == run.module);
    all.sort_by_key(place);
    for (path, text) in conformance::files(&all)? {
        let path = workspace().join(path);
        fs::write(&path, text).map_err(Error::io("write", &path))?;
    }
    Ok(())
}
