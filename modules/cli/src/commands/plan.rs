//! `gwm plan -f PATH`.

use gateway_modules::core::plan::{Plan, PlanOptions};

use crate::{
    Run,
    cluster::{ClusterArgs, block_on},
    exit::Failure,
    input::IntentArgs,
    output::{self, Format},
};

/// Shows what an apply would change. Writes nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm plan -f examples/intents/shop\n  gwm plan -f . -o json | jq '.[].steps[] | select(.action != \"unchanged\")'"
)]
pub(crate) struct Args {
    #[command(flatten)]
    intent: IntentArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    options: Options,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// What a plan may take.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Takes over objects and fields of others.
    #[arg(long)]
    adopt: bool,
    /// Allows another module or class to replace the one that was applied last, with an outage in between.
    #[arg(long)]
    allow_outage: bool,
}

impl Options {
    pub(crate) fn plan(&self) -> PlanOptions {
        PlanOptions::default().with_adopt(self.adopt).with_allow_outage(self.allow_outage)
    }
}

pub(crate) fn run(args: &Args) -> Run {
    let plans = block_on(async {
        let mut plans = Vec::new();
        for (cluster, plane) in args.cluster.compile(&args.intent).await? {
            crate::needs::check(&args.cluster, &cluster, &plane).await?;
            if let Some(release) = &plane.compiled.release {
                plans.push(cluster.plan(release, args.options.plan()).await?);
            }
        }
        Ok(plans)
    })?;
    if args.output == Format::Table {
        for plan in &plans {
            show(plan);
        }
    } else {
        output::data(&plans, args.output)?;
    }
    let conflicts: Vec<String> = plans.iter().flat_map(Plan::conflicts).collect();
    if conflicts.is_empty() {
        Ok(())
    } else {
        Err(Failure::Failed(format!("the plan cannot be applied:\n  {}", conflicts.join("\n  "))))
    }
}

/// A plan for people.
pub(crate) fn show(plan: &Plan) {
    output::print(&format!("data plane {} ({})", plan.data_plane, plan.set));
    if plan.is_empty() {
        output::print("nothing to do: the cluster is as the intents say");
    } else {
        output::print(plan.to_string().trim_end());
    }
}
