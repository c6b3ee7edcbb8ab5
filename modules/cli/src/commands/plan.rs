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
            crate::needs::check(&args.cluster, &cluster, &plane.compiled).await?;
            if let Some(release) = &plane.compiled.compiled.release {
                let reason = plane.target.selected.reason.to_string();
                plans.push(cluster.plan_chosen(release, &reason, args.options.plan()).await?);
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
    if let Some(selection) = &plan.selection {
        let why = selection.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let when = selection.time.as_ref().map(|time| format!(", chosen {time}")).unwrap_or_default();
        let (module, version, class) = (&selection.module, &selection.version, &selection.class);
        output::print(&format!("module {module} {version}, class {class}{when}{why}"));
    }
    if plan.is_empty() {
        output::print("nothing to do: the cluster is as the intents say");
    } else {
        output::print(plan.to_string().trim_end());
    }
}
