//! `gwm status`.

use gateway_modules::core::cluster::{Health, PolicyProbe, ProbeOptions, ProbeVerdict, Status};

use crate::{
    Run,
    cluster::{ClusterArgs, block_on},
    exit::Failure,
    input::IntentArgs,
    output::{self, Format},
};

/// Shows how applied data planes are, as one verdict with reasons. What is unknown is never healthy.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm status -f examples/intents/shop\n  gwm status --data-plane production -o json\n\nExit code 0 when everything is ready, 4 when not."
)]
pub(crate) struct Args {
    /// A data plane, from what the cluster records alone. May be repeated.
    #[arg(long = "data-plane", value_name = "NAME", conflicts_with = "filenames")]
    data_planes: Vec<String>,
    #[command(flatten)]
    intent: OptionalIntentArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Asks the protected routes without credentials, at the addresses of their Gateways, whether they refuse; exit 4 where that is
    /// not seen.
    #[arg(long, requires = "filenames")]
    probe: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Intents, where they are given.
#[derive(Debug, clap::Args)]
pub(crate) struct OptionalIntentArgs {
    /// File or folder (recursive) with DataPlanes and Components; `-` reads standard input. May be repeated.
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    pub(crate) filenames: Vec<std::path::PathBuf>,
    /// Channel of the Gateway API CRDs. Absent: the cluster's.
    #[arg(long, value_name = "standard|experimental")]
    pub(crate) channel: Option<gateway_modules::core::channel::Channel>,
}

impl OptionalIntentArgs {
    /// As the arguments of commands that need intents.
    pub(crate) fn required(&self) -> Result<IntentArgs, Failure> {
        if self.filenames.is_empty() {
            return Err(Failure::Usage("name intents with -f PATH, or a data plane with --data-plane NAME".to_owned()));
        }
        Ok(IntentArgs { filenames: self.filenames.clone(), channel: self.channel })
    }
}

pub(crate) fn run(args: &Args) -> Run {
    let statuses = block_on(async {
        let mut statuses = Vec::new();
        if args.data_planes.is_empty() {
            for (cluster, plane) in args.cluster.compile(&args.intent.required()?).await? {
                if let Some(release) = &plane.compiled.compiled.release {
                    let mut status = cluster.status(release).await?;
                    if args.probe {
                        status = status.with_probe(cluster.probe(release, ProbeOptions::default()).await?);
                    }
                    statuses.push(status);
                }
            }
        } else {
            let cluster = args.cluster.connect(None).await?;
            for name in &args.data_planes {
                statuses.push(cluster.status_of(name).await?);
            }
        }
        Ok(statuses)
    })?;
    if args.output == Format::Table {
        for status in &statuses {
            show(status);
        }
    } else {
        output::data(&statuses, args.output)?;
    }
    let not_ready: Vec<_> = statuses.iter().filter(|status| status.health != Health::Ready).collect();
    let mut names: Vec<_> =
        not_ready.iter().map(|status| format!("{} is {}", status.data_plane, status.health)).collect();
    names.extend(statuses.iter().flat_map(|status| unobserved(&status.probes)));
    if names.is_empty() { Ok(()) } else { Err(Failure::NotReady(names.join("\n  "))) }
}

/// Security policies that a probe could have seen to refuse, and has not.
pub(crate) fn unobserved(probes: &[PolicyProbe]) -> Vec<String> {
    let fails = |probe: &&PolicyProbe| matches!(probe.verdict, ProbeVerdict::Open | ProbeVerdict::Unseen);
    let words = |probe: &PolicyProbe| {
        let how = if probe.verdict == ProbeVerdict::Open { "open" } else { "not seen to refuse" };
        format!("{} of {} is {how}: {}", probe.kind, probe.binding, probe.message)
    };
    probes.iter().filter(fails).map(words).collect()
}

fn show(status: &Status) {
    let module = status.selection.as_ref().map(|selection| format!(", {}", selection.module)).unwrap_or_default();
    output::print(&format!("data plane {}{module}: {}", status.data_plane, status.health));
    let gateways = status
        .gateways
        .iter()
        .map(|gateway| [gateway.object.to_string(), gateway.health.to_string(), gateway.addresses.join(", ")]);
    output::print(&output::table(["GATEWAY", "HEALTH", "ADDRESSES"], gateways));
    let endpoints = status.endpoints.iter().map(|endpoint| {
        let name = endpoint
            .binding
            .as_ref()
            .map(ToString::to_string)
            .or_else(|| endpoint.routes.first().map(ToString::to_string));
        [name.unwrap_or_default(), endpoint.health.to_string(), endpoint.urls.join(" ")]
    });
    output::print(&output::table(["ENDPOINT", "HEALTH", "URLS"], endpoints));
    if !status.promises.is_empty() {
        let promises = status.promises.iter().map(|promise| {
            let open = status.probes.iter().any(|probe| {
                probe.verdict == ProbeVerdict::Open && (&probe.binding, probe.kind) == (&promise.binding, promise.kind)
            });
            let none = if open { "none: OPEN" } else { "none: closed" };
            let achieved = promise.achieved.map_or_else(|| none.to_owned(), |achieved| achieved.to_string());
            [promise.binding.to_string(), promise.kind.to_string(), promise.promised.to_string(), achieved]
        });
        output::print(&output::table(["SECURITY POLICY OF", "KIND", "PROMISED", "KEPT"], promises));
    }
    if !status.probes.is_empty() {
        let probes = status.probes.iter().map(|probe| {
            let verdict = match probe.verdict {
                ProbeVerdict::Observed => "refuses",
                ProbeVerdict::Open => "OPEN",
                ProbeVerdict::Unseen => "not seen",
                ProbeVerdict::NotShowable => "not to be shown",
            };
            [probe.binding.to_string(), probe.kind.to_string(), verdict.to_owned(), probe.message.clone()]
        });
        output::print(&output::table(["PROBE OF", "KIND", "WITHOUT CREDENTIALS", "ANSWERS"], probes));
    }
    for reason in &status.reasons {
        output::print(&format!("{} {}: {}\n  next: {}", reason.health, reason.object, reason.message, reason.next));
    }
}
