//! `gwm uninstall`.

use std::sync::Arc;

use gateway_modules::core::{cluster::ApplyOptions, installation::InstallationOptions, module::ModuleVersion};
use gateway_modules_installation::{Progress, Record, depending, uninstall};

use crate::{
    Run,
    cluster::{ClusterArgs, block_on},
    commands::{apply::carry_out, install::BackendArgs},
    exit::Failure,
    output::{self, Format},
};

/// Removes an installed gateway, and leaves nothing but definitions, and with them everybody's objects.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm uninstall kgateway\n  gwm uninstall istio --cascade\n\nRefused while Gateways or routes depend on the gateway."
)]
pub(crate) struct Args {
    /// A module.
    module: String,
    /// Deletes the data planes on the gateway first. Gateways and routes of others stay, without a gateway.
    #[arg(long)]
    cascade: bool,
    /// Shows what depends on it and what would go, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> Run {
    block_on(async {
        let registry = gateway_modules::registry()?;
        let module = registry.get(&args.module)?;
        let cluster = args.cluster.connect(None).await?;
        let Some(record) = Record::read(&cluster, &args.module).await? else {
            output::note(&format!(
                "{} is not installed by this program: nothing to do (`gwm doctor` tells what is there)",
                args.module
            ));
            return Ok(());
        };
        let planes = cluster.planes_of(&args.module).await?;
        let depending = depending(&cluster, module.as_ref()).await?;
        if !depending.is_empty() && !args.cascade {
            return Err(Failure::Refused(format!(
                "{} things depend on {}, and nobody would serve them:\n  {}\n  next: move or delete them (`gwm delete --data-plane NAME`), \
                 or --cascade, which deletes data planes and leaves Gateways and routes of others without a gateway",
                depending.len(),
                args.module,
                depending.join("\n  ")
            )));
        }
        if args.dry_run {
            if args.output == Format::Table {
                for release in record.releases.iter().rev() {
                    output::print(&format!("remove release {} in {}", release.release, release.namespace));
                }
                for namespace in &record.namespaces {
                    output::print(&format!("remove namespace {namespace}, if nothing of others is in it"));
                }
            } else {
                output::data(&record, args.output)?;
            }
            return Ok(());
        }
        for plane in &planes {
            for plan in cluster.plan_delete(plane).await? {
                let outcome = carry_out(&cluster, &plan, ApplyOptions::default(), args.output).await?;
                if !outcome.blocked.is_empty() {
                    let blocked: Vec<_> = outcome.blocked.iter().map(|blocked| blocked.object.clone()).collect();
                    return Err(Failure::NotReady(format!(
                        "data plane {plane} is not all gone, so its gateway stays: {}",
                        blocked.join(", ")
                    )));
                }
            }
        }
        let ready = args.backend.find(args.backend.name(Some(&record)), &args.cluster).await?;
        let version = ModuleVersion::new(&record.version).map_err(Failure::Failed)?;
        let installation = module.installation(&version, &InstallationOptions::default()).ok();
        let progress: Progress = Arc::new(output::note);
        let outcome =
            uninstall(&cluster, ready.backend.as_ref(), module.as_ref(), installation.as_ref(), &progress).await?;
        if args.output == Format::Table {
            output::print(&format!("{} is removed", args.module));
            for (namespace, content) in &outcome.kept_namespaces {
                output::print(&format!("namespace {namespace} stays, since there is {}", content.join(", ")));
            }
        } else {
            output::data(&outcome, args.output)?;
        }
        Ok(())
    })
}
