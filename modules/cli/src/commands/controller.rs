//! `gwm controller`.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use gateway_modules::core::{installation::InstallationOptions, module::ModuleVersion};
use gateway_modules_controller::{ControllerOptions, LeaseOptions, ReconcilerOptions};
use gateway_modules_installation::Keeper;

use crate::{
    Run,
    cluster::ClusterArgs,
    commands::install::{BackendArgs, BackendName, SourceArgs, read_yaml},
    exit::Failure,
};

/// Keeps the data planes of a cluster as its DataPlanes and Components say, until it is told to stop.
///
/// Install the CustomResourceDefinitions first (`gwm crds`). Any number may run: one works, the others wait for its Lease.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm controller\n  gwm controller --context lab --address 127.0.0.1:8080 --no-leader-election"
)]
pub(crate) struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Where /metrics, /healthz and /readyz answer.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    address: SocketAddr,
    /// Works at once. Only where no other instance runs.
    #[arg(long)]
    no_leader_election: bool,
    /// Who holds the Lease; no other instance may have this name.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,
    /// How long the Lease outlives a killed instance, in seconds.
    #[arg(long, default_value_t = 15, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(3..))]
    lease_duration: u64,
    /// When a ready data plane is looked at again without an event, in seconds.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    resync: u64,
    /// How long one apply waits for a closed route's policies, in seconds; the next one goes on.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    gate_timeout: u64,
    /// Values over a module's own, for data planes that say `gateway.install: managed`: `CHART=FILE`. May be repeated.
    #[arg(long, value_name = "CHART=FILE")]
    values: Vec<String>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    backend: BackendArgs,
}

impl Args {
    /// Who installs the gateways of managed planes.
    fn keeper(&self) -> Result<Keeper, Failure> {
        let mut settings = self.source.settings()?;
        let charts = known_charts()?;
        for entry in &self.values {
            let (chart, file) =
                entry.split_once('=').filter(|(chart, _)| charts.contains(*chart)).ok_or_else(|| {
                    Failure::Usage(format!("--values {entry}: write CHART=FILE, with one of {}", list(&charts)))
                })?;
            settings.values.insert(chart.to_owned(), (file.to_owned(), read_yaml(file)?));
        }
        match self.backend.name(None) {
            BackendName::Manifests => {
                let message = "--backend manifests installs nothing: name helm, flux or argo-cd";
                Err(Failure::Usage(message.to_owned()))
            }
            name => Ok(Keeper::new(settings, self.backend.settings(name, &self.cluster))),
        }
    }
}

/// The charts of all modules, of the versions that they assume.
fn known_charts() -> Result<BTreeSet<String>, Failure> {
    let registry = gateway_modules::registry()?;
    let declared = registry.iter().filter_map(|(_, module)| {
        // A version of the chart, which some modules ask for, does not change its name.
        let options = InstallationOptions::default().with_chart_version(Some("0.0.0".to_owned()));
        let version = ModuleVersion::new(module.metadata().default_version).ok()?;
        module.installation(&version, &options).ok()
    });
    Ok(declared.flat_map(|declared| declared.charts).map(|chart| chart.name).collect())
}

fn list(charts: &BTreeSet<String>) -> String {
    charts.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

pub(crate) fn run(args: &Args) -> Run {
    let keeper = args.keeper()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let client = args.cluster.client(None).await?;
        let identity = args.identity.clone().unwrap_or_else(|| format!("gwm-{}", std::process::id()));
        let defaults = ReconcilerOptions::default();
        let reconciler = ReconcilerOptions::default()
            .with_cluster(args.cluster.options().with_holder(identity.clone()))
            .with_intervals(Duration::from_secs(args.resync.max(1)), defaults.retry)
            .with_gate_timeout(Duration::from_secs(args.gate_timeout));
        let mut options = ControllerOptions::default()
            .with_reconciler(reconciler)
            .with_address(args.address)
            .with_installer(Arc::new(keeper));
        if !args.no_leader_election {
            let name = format!("gateway-modules-controller-{}", args.cluster.installation());
            let lease = LeaseOptions::new(args.cluster.record_namespace(), name, identity);
            options = options.with_lease(lease.with_duration(Duration::from_secs(args.lease_duration)));
        }
        gateway_modules_controller::run(client, gateway_modules::registry()?, options, told_to_stop())
            .await
            .map_err(|error| Failure::Failed(error.to_string()))
    })
}

/// Ctrl-C, or the signal that Kubernetes sends to a pod.
async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(_) => drop(tokio::signal::ctrl_c().await),
        }
    }
    #[cfg(not(unix))]
    drop(tokio::signal::ctrl_c().await);
}
