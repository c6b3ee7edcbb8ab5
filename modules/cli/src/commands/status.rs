//! `gwm status`.

use gateway_modules::core::cluster::{Health, Status};

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
                    statuses.push(cluster.status(release).await?);
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
    if not_ready.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = not_ready.iter().map(|status| format!("{} is {}", status.data_plane, status.health)).collect();
    Err(Failure::NotReady(names.join(", ")))
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
            let achieved = promise.achieved.map_or_else(|| "none: closed".to_owned(), |achieved| achieved.to_string());
            [promise.binding.to_string(), promise.kind.to_string(), promise.promised.to_string(), achieved]
        });
        output::print(&output::table(["SECURITY POLICY OF", "KIND", "PROMISED", "KEPT"], promises));
    }
    for reason in &status.reasons {
        output::print(&format!("{} {}: {}\n  next: {}", reason.health, reason.object, reason.message, reason.next));
    }
}
