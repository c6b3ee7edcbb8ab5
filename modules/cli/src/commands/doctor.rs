//! `gwm doctor`.

use gateway_modules::core::module::Installed;
use gateway_modules_installation::{Condition, ModuleReport, State, doctor};

use crate::{
    Run,
    cluster::{ClusterArgs, block_on},
    exit::Failure,
    output::{self, Format},
};

/// Tells which gateways are installed, what is missing or does not fit, and what to do.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm doctor\n  gwm doctor kgateway -o json\n\nExit code 4 when something that is installed does not work."
)]
pub(crate) struct Args {
    /// Modules; absent: all.
    modules: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> Run {
    let registry = gateway_modules::registry()?;
    let names: Vec<String> = if args.modules.is_empty() {
        registry.names().into_iter().map(ToOwned::to_owned).collect()
    } else {
        args.modules.clone()
    };
    let reports = block_on(async {
        let cluster = args.cluster.connect(None).await?;
        let installed = Installed::read(&cluster.reader()).await.map_err(|error| Failure::Failed(error.to_string()))?;
        let mut reports = Vec::new();
        for name in &names {
            reports.push(doctor(&cluster, registry.get(name)?.as_ref(), &installed).await?);
        }
        Ok(reports)
    })?;
    if args.output == Format::Table {
        show(&reports, !args.modules.is_empty());
    } else {
        output::data(&reports, args.output)?;
    }
    let sick: Vec<String> = reports
        .iter()
        .filter(|report| matches!(report.condition, Condition::Incomplete | Condition::Unhealthy))
        .map(|report| format!("{} is {}", report.module, report.condition.as_str()))
        .collect();
    if sick.is_empty() { Ok(()) } else { Err(Failure::NotReady(sick.join(", "))) }
}

fn show(reports: &[ModuleReport], asked: bool) {
    let rows = reports.iter().map(|report| {
        let classes: Vec<String> = report
            .classes
            .iter()
            .map(|(name, accepted)| if *accepted { name.clone() } else { format!("{name} (not accepted)") })
            .collect();
        [
            report.module.clone(),
            report.condition.as_str().to_owned(),
            report.version.clone().unwrap_or_default(),
            report.running.as_ref().map_or_else(String::new, |running| {
                running.value.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string)
            }),
            report.backend.clone().unwrap_or_default(),
            classes.join(", "),
        ]
    });
    output::print(&output::table(["MODULE", "CONDITION", "VERSION", "RUNS", "BY", "CLASSES"], rows));
    // What is not there and was not asked about is one line above, and no more.
    for report in reports.iter().filter(|report| asked || report.condition != Condition::NotInstalled) {
        output::print(&format!("\n{}", report.module));
        if !report.planes.is_empty() {
            output::print(&format!("  kept by the controller for the data planes: {}", report.planes.join(", ")));
        }
        if let Some(running) = report.running.as_ref().filter(|running| running.value.is_none()) {
            output::print(&format!("  unknown: which version runs ({})", running.source));
        }
        for check in &report.checks {
            let word = match check.state {
                State::Holds => "ok",
                State::Unknown => "unknown",
                State::Fails if check.required => "missing",
                State::Fails => "warning",
            };
            output::print(&format!("  {word}: {}", check.message));
        }
        if !report.unverified_values.is_empty() {
            output::print(&format!("  unverified value paths: {}", report.unverified_values.join(", ")));
        }
        for next in &report.next {
            output::print(&format!("  next: {next}"));
        }
    }
    // It is the same for all.
    for unread in reports.first().into_iter().flat_map(|report| &report.unread) {
        output::print(&format!("\nnot read: {unread}"));
    }
}
