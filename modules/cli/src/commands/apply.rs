//! `gwm apply -f PATH`.

use std::time::Duration;

use futures::StreamExt;
use gateway_modules::core::{
    cluster::{ApplyEvent, ApplyOptions, ApplyOutcome, Cluster, Health, ProbeOptions, ProbeVerdict},
    compile::Release,
    plan::Plan,
};

use crate::{
    Run,
    cluster::{ClusterArgs, block_on},
    commands::{plan, status},
    exit::Failure,
    input::IntentArgs,
    output::{self, Format},
};

/// Applies intents: in order, protected routes closed until their policies are in force.
///
/// A second apply of the same intents writes nothing. An apply that was interrupted is completed by the next one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm apply -f examples/intents/shop\n  gwm apply -f . --dry-run\n  gwm apply -f . --wait --timeout 120"
)]
pub(crate) struct Args {
    #[command(flatten)]
    intent: IntentArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    options: plan::Options,
    /// Asks the API server, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// How long a closed route waits for its policies, in seconds; then it stays closed (exit 4).
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    gate_timeout: u64,
    /// Waits until everything is ready, or ends with exit 4.
    #[arg(long)]
    wait: bool,
    /// How long `--wait` waits, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    timeout: u64,
    /// Afterwards asks the protected routes without credentials, at the addresses of their Gateways, whether they refuse; exit 4
    /// where that is not seen.
    #[arg(long, conflicts_with = "dry_run")]
    probe: bool,
    /// `json` prints one event per line.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> Run {
    block_on(async {
        let (mut blocked, mut unobserved) = (Vec::new(), Vec::new());
        for (cluster, plane) in args.cluster.compile(&args.intent).await? {
            let reason = plane.target.selected.reason.to_string();
            let plane = plane.compiled;
            let Some(release) = &plane.compiled.release else { continue };
            crate::needs::check(&args.cluster, &cluster, &plane).await?;
            let planned = cluster.plan_chosen(release, &reason, args.options.plan()).await?;
            let options = ApplyOptions::default()
                .with_dry_run(args.dry_run)
                .with_gate_timeout(Duration::from_secs(args.gate_timeout));
            let outcome = carry_out(&cluster, &planned, options, args.output).await?;
            if args.output == Format::Table {
                let writes = if args.dry_run { "would be written" } else { "written" };
                output::print(&format!(
                    "data plane {}: {} {writes}, {} blocked",
                    plane.plane.name,
                    outcome.writes,
                    outcome.blocked.len()
                ));
            }
            blocked.extend(
                outcome.blocked.iter().map(|blocked| format!("{}: {}", blocked.object, blocked.reasons.join("; "))),
            );
            if args.wait && !args.dry_run && outcome.is_complete() {
                wait_until_ready(&cluster, release, Duration::from_secs(args.timeout)).await?;
            }
            if args.probe && outcome.is_complete() {
                let probes = cluster.probe(release, ProbeOptions::default()).await?;
                let seen = probes.iter().filter(|probe| probe.verdict == ProbeVerdict::Observed).count();
                output::note(&format!("data plane {}: {seen} security policies were seen to refuse", plane.plane.name));
                unobserved.extend(status::unobserved(&probes));
            }
        }
        let told = |title: &str, lines: &[String]| match lines {
            [] => String::new(),
            lines => format!("{title}:\n  {}\n", lines.join("\n  ")),
        };
        match told("Blocked", &blocked) + &told("Not observed", &unobserved) {
            text if text.is_empty() => Ok(()),
            text => Err(Failure::NotReady(text.trim_end().to_owned())),
        }
    })
}

/// Carries out a plan and tells each step as it happens.
pub(crate) async fn carry_out(
    cluster: &Cluster,
    plan: &Plan,
    options: ApplyOptions,
    format: Format,
) -> Result<ApplyOutcome, Failure> {
    let mut events = Box::pin(cluster.apply(plan, options));
    let mut last = ApplyOutcome::default();
    while let Some(event) = events.next().await {
        let event = event?;
        if format == Format::Json {
            output::print(&serde_json::to_string(&event)?);
        } else if let Some(line) = line(&event) {
            output::note(&line);
        }
        if let ApplyEvent::Finished { outcome } = event {
            last = outcome;
        }
    }
    Ok(last)
}

fn line(event: &ApplyEvent) -> Option<String> {
    Some(match event {
        ApplyEvent::Written { object } => format!("written       {object}"),
        ApplyEvent::Closed { route } => format!("closed        {route}"),
        ApplyEvent::Waiting { route, reasons } => format!("waiting       {route}: {}", reasons.join("; ")),
        ApplyEvent::Acknowledged { route } => format!("acknowledged  {route}"),
        ApplyEvent::Opened { route } => format!("opened        {route}"),
        ApplyEvent::Contributed { target, field } => format!("contributed   {field} of {target}"),
        ApplyEvent::Deleted { object } => format!("deleted       {object}"),
        ApplyEvent::Kept { object, reason } => format!("kept          {object}: {reason}"),
        ApplyEvent::Blocked { blocked } => format!("blocked       {}: {}", blocked.object, blocked.reasons.join("; ")),
        _ => return None,
    })
}

async fn wait_until_ready(cluster: &Cluster, release: &Release, timeout: Duration) -> Result<(), Failure> {
    let end = tokio::time::Instant::now() + timeout;
    loop {
        let status = cluster.status(release).await?;
        if status.health == Health::Ready {
            return Ok(());
        }
        if tokio::time::Instant::now() >= end {
            let reasons: Vec<_> = status
                .reasons
                .iter()
                .map(|reason| format!("{}: {} ({})", reason.object, reason.message, reason.next))
                .collect();
            return Err(Failure::NotReady(format!(
                "{} after {} s:\n  {}",
                status.health,
                timeout.as_secs(),
                reasons.join("\n  ")
            )));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
