//! `gwm render -f PATH`.

use std::fmt::Write as _;

use clap::ValueEnum;
use gateway_modules::core::{
    compile::{Phase, Release, ReleaseObject},
    object::Object,
};
use serde_json::json;

use crate::{
    Run,
    input::{self, IntentArgs},
    output::{self, Format},
};

/// Compiles intents to objects, without a cluster.
///
/// Objects go to standard output, the report to standard error. A route whose security policies attach from outside is
/// printed closed (it answers 500), since whoever applies the output may not wait until the policies are in force:
/// `gwm apply` opens it when they are.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm render -f examples/intents/shop\n  gwm render -f . --report none | kubectl apply --server-side -f -\n  \
                        gwm render -f . -o json | jq '.releases[].report[] | select(.outcomes[].verdict != \"Exact\")'"
)]
pub(crate) struct Args {
    #[command(flatten)]
    intent: IntentArgs,
    /// Form of the output. `json` holds the report as well.
    #[arg(short, long, value_enum, default_value = "yaml")]
    output: Format,
    /// How much of the report goes to standard error.
    #[arg(long, value_enum, default_value = "full")]
    report: ReportDetail,
    /// Prints protected routes open. Between the moment when a route is applied and the moment when its policies are in
    /// force it then lets everyone in (promise P1 only).
    #[arg(long)]
    allow_ungated: bool,
    /// Adds Argo CD's sync-wave annotation, by phase.
    #[arg(long)]
    sync_waves: bool,
}

/// How much of the report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportDetail {
    /// Nothing.
    None,
    /// Numbers.
    Summary,
    /// Every field.
    Full,
}

pub(crate) fn run(args: &Args) -> Run {
    let (_, planes) = args.intent.compile()?;
    if args.report != ReportDetail::None && args.output != Format::Json {
        for plane in &planes {
            report(plane, args.report);
        }
    }
    input::stop_on_errors(&planes)?;
    let releases: Vec<&Release> = planes.iter().filter_map(|plane| plane.compiled.release.as_ref()).collect();
    match args.output {
        Format::Json => {
            let all: Vec<_> = releases
                .iter()
                .map(|release| {
                    let objects: Vec<_> = release.objects.iter().map(|object| printed(args, object)).collect();
                    json!({
                        "id": release.id(),
                        "dataPlane": release.data_plane,
                        "module": release.module,
                        "objects": objects,
                        "contributions": release.contributions,
                        "derivedSecrets": release.derived_secrets,
                        "requires": release.requires,
                        "policies": release.policies,
                        "report": release.report,
                    })
                })
                .collect();
            output::data(&json!({"releases": all}), Format::Json)?;
        }
        Format::Yaml => {
            for release in &releases {
                output::print(documents(args, release)?.trim_end());
            }
        }
        Format::Table => {
            let rows = releases.iter().flat_map(|release| {
                release.objects.iter().map(|object| {
                    let key = object.key();
                    [
                        release.data_plane.clone(),
                        phase(object.phase).to_owned(),
                        key.kind.kind.to_string(),
                        key.namespace.unwrap_or_default(),
                        key.name,
                        object.owners.iter().cloned().collect::<Vec<_>>().join(", "),
                    ]
                })
            });
            output::print(&output::table(["DATA PLANE", "PHASE", "KIND", "NAMESPACE", "NAME", "FOR"], rows));
        }
    }
    for release in &releases {
        notes(args, release);
    }
    Ok(())
}

/// The object as it is printed: closed where it must be.
fn printed(args: &Args, object: &ReleaseObject) -> Object {
    let mut printed = match &object.gate {
        Some(gate) if !args.allow_ungated => gate.closed.0.clone(),
        _ => object.object.clone(),
    };
    if args.sync_waves {
        printed.set_annotation("argocd.argoproj.io/sync-wave", &wave(object.phase).to_string());
    }
    printed
}

fn documents(args: &Args, release: &Release) -> Result<String, crate::exit::Failure> {
    let mut text = String::new();
    for object in &release.objects {
        let closed = object.gate.is_some() && !args.allow_ungated;
        let _ = write!(
            text,
            "---\n# {} · {}{}\n",
            release.data_plane,
            phase(object.phase),
            if closed { " · closed" } else { "" }
        );
        text.push_str(&output::yaml(&printed(args, object))?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Foundation => "foundation",
        Phase::Gateways => "gateways",
        Phase::Policies => "policies",
        Phase::Routes => "routes",
    }
}

const fn wave(phase: Phase) -> u8 {
    match phase {
        Phase::Foundation => 0,
        Phase::Gateways => 1,
        Phase::Policies => 2,
        Phase::Routes => 3,
    }
}

fn report(plane: &gateway_modules::CompiledPlane, detail: ReportDetail) {
    let report = &plane.compiled.report;
    if detail == ReportDetail::Full {
        output::note(&output::report_tables(report));
    }
    let summary = report.summary();
    output::note(&format!(
        "data plane {} on {}: {} fields: {} exact, {} approximate, {} refused, {} overridden, {} steering, {} without effect",
        plane.plane.name,
        plane.module,
        report.entries.len(),
        summary.exact,
        summary.approximate,
        summary.unsupported,
        summary.overridden,
        summary.decides,
        summary.inactive
    ));
}

/// What the output alone does not do.
fn notes(args: &Args, release: &Release) {
    for assumption in &release.module.assumptions {
        output::note(&format!("assumed: {assumption}"));
    }
    let gated: Vec<_> = release.objects.iter().filter(|object| object.gate.is_some()).collect();
    if !gated.is_empty() && !args.allow_ungated {
        output::note(&format!(
            "{} of {} routes are printed closed, since their security policies attach from outside; `gwm apply` opens them when the \
             controller has acknowledged the policies (P2), `--allow-ungated` prints them open (P1 only)",
            gated.len(),
            release.objects.iter().filter(|object| object.phase == Phase::Routes).count()
        ));
    }
    for contribution in &release.contributions {
        let value = serde_json::to_string(&contribution.value).unwrap_or_default();
        output::note(&format!("not printed: {} of {} ({})", value, contribution.target, contribution.reason));
    }
    for secret in &release.derived_secrets {
        output::note(&format!(
            "not printed: Secret {}/{}, which `gwm apply` derives from Secret {}",
            secret.namespace, secret.name, secret.source
        ));
    }
    for requirement in &release.requires {
        output::note(&format!(
            "required of the installation: {} = {} ({})",
            requirement.setting, requirement.value, requirement.reason
        ));
    }
}
