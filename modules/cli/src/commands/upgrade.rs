//! `gwm upgrade`.

use std::sync::Arc;

use gateway_modules::{
    CompiledPlane, VerdictChange,
    core::{
        cluster::Cluster,
        intent::Intent,
        module::{GatewayModule, ModuleVersion},
    },
    verdict_changes,
};
use gateway_modules_controller::Snapshot;
use gateway_modules_installation::{InstallRequest, Record};

use crate::{
    Run,
    cluster::{ClusterArgs, block_on},
    commands::install::{HowArgs, carry_out},
    exit::Failure,
    output::{self, Format},
};

/// Brings an installed gateway to another version, and tells what its intents lose.
///
/// With intents (`-f`), a version that can no longer do what they ask is refused. Without, it looks at the intents that the cluster
/// stores (those of the controller), and what they lose is a warning for each endpoint and policy.
#[derive(Debug, clap::Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:\n  gwm upgrade kgateway --version 2.4\n  gwm upgrade istio --version 1.31.0 -f intents/ --dry-run"
)]
pub(crate) struct Args {
    /// A module.
    module: String,
    #[command(flatten)]
    how: HowArgs,
    /// Install an older version over a newer one.
    #[arg(long)]
    allow_downgrade: bool,
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
        args.how.needs_no_cluster(module.as_ref())?;
        let cluster = args.cluster.connect(None).await?;
        let Some(record) = Record::read(&cluster, &args.module).await? else {
            return Err(Failure::Refused(format!(
                "{} was not installed by this program: `gwm install {}` installs it (--adopt takes it over)",
                args.module, args.module
            )));
        };
        let intent = args.how.intents()?;
        let mut request = args.how.request(&cluster, Arc::clone(&module), intent.as_ref()).await?;
        request.allow_downgrade = args.allow_downgrade;
        let old = ModuleVersion::new(&record.version).map_err(Failure::Failed)?;
        losses(args, &cluster, module.as_ref(), intent.as_ref(), &old, &request).await?;
        if let Some(intent) = intent {
            compile_for_new_version(args, intent, &request)?;
        }
        carry_out(&cluster, &args.how, &args.cluster, &request, args.output).await
    })
}

/// Warns about what the new version can no longer do: for each endpoint and policy of the intents, those of `-f` or those that the
/// cluster stores, and for what is not there to be seen, by capability.
async fn losses(
    args: &Args,
    cluster: &Cluster,
    module: &dyn GatewayModule,
    intent: Option<&Intent>,
    old: &ModuleVersion,
    request: &InstallRequest,
) -> Result<(), Failure> {
    let new = &request.installation.version;
    let (before, after) = (module.declared(old), module.declared(new));
    let lost: Vec<String> =
        before.iter().filter(|(name, _)| !after.has(name)).map(|(name, _)| name.to_string()).collect();
    let planes = cluster.planes_of(module.metadata().name).await?;
    if !lost.is_empty() {
        let concerned = if planes.is_empty() {
            "no data plane is on it".to_owned()
        } else {
            format!("data planes on it: {}", planes.join(", "))
        };
        output::note(&format!("warning: {new} can no longer do what {old} could: {} ({concerned})", lost.join(", ")));
    }
    let stored;
    let live = match intent {
        Some(intent) => intent,
        None => match Snapshot::read(&cluster.reader()).await {
            Ok(snapshot) => {
                stored = snapshot.intent();
                &stored
            }
            Err(error) => {
                output::note(&format!("warning: what intents lose is not known: {error}; name them with -f"));
                return Ok(());
            }
        },
    };
    let changes = match changes(args, live, &planes, old, new) {
        // One that is wrong already is the controller's to tell, and keeps no gateway from its upgrade.
        Err(error) if intent.is_none() => {
            output::note(&format!("warning: what intents lose is not known: {error}"));
            return Ok(());
        }
        changes => changes?,
    };
    for change in &changes {
        output::note(&format!("{}{change}", if change.is_loss() { "warning: " } else { "" }));
    }
    if changes.is_empty() && !lost.is_empty() && live.data_planes.is_empty() && !planes.is_empty() {
        output::note("name the intents with -f to see which endpoints and policies lose something");
    }
    Ok(())
}

/// What the new version makes otherwise of the intents of the planes that are on the module.
fn changes(
    args: &Args,
    intent: &Intent,
    planes: &[String],
    old: &ModuleVersion,
    new: &ModuleVersion,
) -> Result<Vec<VerdictChange>, Failure> {
    let registry = gateway_modules::registry()?;
    let compiled = |version: &ModuleVersion| -> Result<Vec<CompiledPlane>, Failure> {
        let mut intent = intent.clone();
        for plane in &mut intent.data_planes {
            if planes.iter().any(|name| name == plane.metadata.name.as_str()) {
                plane.spec.gateway.module = Some(args.module.parse().map_err(|error| wrong(&args.module, error))?);
            }
        }
        on_version(args, &mut intent, version)?;
        let mut compiled = gateway_modules::compile_offline(&intent, &registry, &args.how.crds())?;
        compiled.retain(|plane| plane.module == args.module);
        Ok(compiled)
    };
    Ok(verdict_changes(intent, &compiled(old)?, &compiled(new)?))
}

fn wrong(text: &str, error: impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("{text}: {error}"))
}

/// Makes the planes of the module ask for a version.
fn on_version(args: &Args, intent: &mut Intent, version: &ModuleVersion) -> Result<(), Failure> {
    let version = version.as_str();
    for plane in &mut intent.data_planes {
        let gateway = &mut plane.spec.gateway;
        if gateway.module.as_ref().map_or(gateway_modules::DEFAULT_MODULE, |name| name.as_str()) == args.module {
            gateway.version = Some(version.parse().map_err(|error| wrong(version, error))?);
        }
    }
    Ok(())
}

/// Compiles the intents for the new version: what it cannot do stops the upgrade.
fn compile_for_new_version(args: &Args, mut intent: Intent, request: &InstallRequest) -> Result<(), Failure> {
    on_version(args, &mut intent, &request.installation.version)?;
    let planes = gateway_modules::compile_offline(&intent, &gateway_modules::registry()?, &args.how.crds())?;
    crate::input::stop_on_errors(&planes)
}
