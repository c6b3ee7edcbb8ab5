//! `gwm upgrade`.

use std::sync::Arc;

use gateway_modules::core::{
    cluster::Cluster,
    module::{GatewayModule, ModuleVersion},
};
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
/// With intents (`-f`), a version that can no longer do what they ask is refused; without, what the version can no longer do is
/// a warning, with the data planes that it may concern.
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
        let mut request = args.how.request(&cluster, Arc::clone(&module), None).await?;
        request.allow_downgrade = args.allow_downgrade;
        let old = ModuleVersion::new(&record.version).map_err(Failure::Failed)?;
        losses(&cluster, module.as_ref(), &old, &request).await?;
        compile_for_new_version(args, &request)?;
        carry_out(&cluster, &args.how, &args.cluster, &request, args.output).await
    })
}

/// Warns about what the new version can no longer do.
async fn losses(
    cluster: &Cluster,
    module: &dyn GatewayModule,
    old: &ModuleVersion,
    request: &InstallRequest,
) -> Result<(), Failure> {
    let new = &request.installation.version;
    let (before, after) = (module.declared(old), module.declared(new));
    let lost: Vec<String> =
        before.iter().filter(|(name, _)| !after.has(name)).map(|(name, _)| name.to_string()).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let planes = cluster.planes_of(module.metadata().name).await?;
    let concerned = if planes.is_empty() {
        "no data plane is on it".to_owned()
    } else {
        format!("data planes on it: {}", planes.join(", "))
    };
    output::note(&format!(
        "warning: {new} can no longer do what {old} could: {} ({concerned}; name their intents with -f to see which of them lose \
         something)",
        lost.join(", ")
    ));
    Ok(())
}

/// Compiles the intents for the new version: what it cannot do stops the upgrade.
fn compile_for_new_version(args: &Args, request: &InstallRequest) -> Result<(), Failure> {
    if args.how.intent.filenames.is_empty() {
        return Ok(());
    }
    let intents = args.how.intent.required()?;
    let mut intent = intents.load()?;
    let version = request.installation.version.as_str();
    for plane in &mut intent.data_planes {
        let gateway = &mut plane.spec.gateway;
        if gateway.module.as_ref().map_or(gateway_modules::DEFAULT_MODULE, |name| name.as_str()) == args.module {
            gateway.version = Some(version.parse().map_err(|error| Failure::Usage(format!("{version}: {error}")))?);
        }
    }
    let planes = gateway_modules::compile_offline(&intent, &gateway_modules::registry()?, &intents.crds())?;
    crate::input::stop_on_errors(&planes)
}
