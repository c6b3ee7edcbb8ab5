//! `gwm delete`.

use gateway_modules::core::cluster::ApplyOptions;

use crate::{
    Run,
    cluster::{ClusterArgs, block_on},
    commands::{apply::carry_out, status::OptionalIntentArgs},
    exit::Failure,
    output::{self, Format},
};

/// Deletes everything that was applied for data planes, and nothing else. Protected routes are closed first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm delete --data-plane production\n  gwm delete -f examples/intents/shop --dry-run"
)]
pub(crate) struct Args {
    /// A data plane, by name. May be repeated.
    #[arg(long = "data-plane", value_name = "NAME", conflicts_with = "filenames")]
    data_planes: Vec<String>,
    #[command(flatten)]
    intent: OptionalIntentArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Shows what would go, and deletes nothing.
    #[arg(long)]
    dry_run: bool,
    /// `json` prints one event per line.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> Run {
    block_on(async {
        let mut targets = Vec::new();
        if args.data_planes.is_empty() {
            targets = args.cluster.names(&args.intent.required()?).await?;
        } else {
            let cluster = args.cluster.connect(None).await?;
            targets.extend(args.data_planes.iter().map(|name| (cluster.clone(), name.clone())));
        }
        let mut blocked = Vec::new();
        for (cluster, name) in targets {
            let plans = cluster.plan_delete(&name).await?;
            if plans.is_empty() {
                output::note(&format!("data plane {name}: nothing was applied for it"));
            }
            for plan in plans {
                if args.dry_run {
                    output::print(plan.to_string().trim_end());
                    continue;
                }
                let outcome = carry_out(&cluster, &plan, ApplyOptions::default(), args.output).await?;
                blocked.extend(
                    outcome.blocked.iter().map(|blocked| format!("{}: {}", blocked.object, blocked.reasons.join("; "))),
                );
            }
        }
        if blocked.is_empty() {
            Ok(())
        } else {
            Err(Failure::NotReady(format!("not all is gone yet:\n  {}", blocked.join("\n  "))))
        }
    })
}
