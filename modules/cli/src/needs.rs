//! What policies need of an installation: looked up before anything is applied.

use gateway_modules::{
    CompiledPlane,
    core::{
        cluster::Cluster,
        compile::Release,
        installation::{Chart, InstallationOptions, unmet},
        module::{GatewayModule, ModuleVersion, controller_release},
    },
};
use gateway_modules_installation::{ARGO_CD_NAMESPACE, ArgoCd, Backend, Flux, Helm, HelmOptions, InstallError, Record};
use serde_json::Value;

use crate::{cluster::ClusterArgs, exit::Failure, output};

/// Refuses a plane whose policies need values that the installation does not have: one of this program, or the Helm release of
/// somebody else. What is installed without either cannot be looked into, and `gwm render` tells what is required of it.
pub(crate) async fn check(args: &ClusterArgs, cluster: &Cluster, plane: &CompiledPlane) -> Result<(), Failure> {
    let Some(release) = plane.compiled.release.as_ref().filter(|release| !release.requires.is_empty()) else {
        return Ok(());
    };
    let module = gateway_modules::registry()?.get(&plane.module)?;
    match Record::read(cluster, &plane.module).await? {
        Some(record) => own(args, cluster, module.as_ref(), &record, release).await,
        None => of_others(args, cluster, module.as_ref(), release).await,
    }
}

/// An installation of this program.
async fn own(
    args: &ClusterArgs,
    cluster: &Cluster,
    module: &dyn GatewayModule,
    record: &Record,
    release: &Release,
) -> Result<(), Failure> {
    let version = ModuleVersion::new(&record.version).map_err(Failure::Failed)?;
    let Some(chart) = main_chart(module, &version) else { return Ok(()) };
    let Some(installed) = record.releases.iter().find(|installed| installed.release == chart.release) else {
        return Ok(());
    };
    let backend: Box<dyn Backend> = match record.backend.as_str() {
        "flux" => Box::new(Flux::new()),
        "argo-cd" => Box::new(ArgoCd::new(ARGO_CD_NAMESPACE)),
        _ => match helm(args).await {
            Ok(helm) => Box::new(helm),
            Err(error) => return not_looked_up(&error),
        },
    };
    let values = backend.values(cluster, installed).await?;
    let next = format!(
        "`gwm upgrade {} --version {} -f …` with these intents sets it",
        module.metadata().name,
        record.version
    );
    refuse_unmet(&chart, &values, release, &next)
}

/// A Helm release that somebody else has made.
async fn of_others(
    args: &ClusterArgs,
    cluster: &Cluster,
    module: &dyn GatewayModule,
    release: &Release,
) -> Result<(), Failure> {
    let (images, namespace) = (module.controller_images(), module.metadata().default_namespace);
    let found = controller_release(images, namespace, &cluster.reader()).await;
    let Some(found) = found.map_err(|error| Failure::Failed(error.to_string()))? else { return Ok(()) };
    let Some(chart) = main_chart(module, &release.module.version) else { return Ok(()) };
    let values = match helm(args).await {
        Ok(helm) => helm.all_values(&found).await,
        Err(error) => Err(error),
    };
    let values = match values {
        Ok(values) => values,
        Err(error) => return not_looked_up(&error),
    };
    let next = format!("set it in the values of the Helm release {} in {}", found.name, found.namespace);
    refuse_unmet(&chart, &values, release, &next)
}

fn main_chart(module: &dyn GatewayModule, version: &ModuleVersion) -> Option<Chart> {
    module.installation(version, &InstallationOptions::default()).ok()?.main_chart().cloned()
}

async fn helm(args: &ClusterArgs) -> Result<Helm, InstallError> {
    let (kubeconfig, context) = args.kubeconfig();
    let mut options = HelmOptions::default();
    options.program = std::env::var_os("GATEWAY_MODULES_HELM").map(Into::into);
    options.kubeconfig = kubeconfig;
    options.context = context;
    Helm::find(options).await
}

#[expect(clippy::unnecessary_wraps, reason = "what was not looked up refuses nothing")]
fn not_looked_up(error: &InstallError) -> Result<(), Failure> {
    output::note(&format!("warning: what policies need of the installation is not looked up: {error}"));
    Ok(())
}

fn refuse_unmet(chart: &Chart, values: &Value, release: &Release, next: &str) -> Result<(), Failure> {
    let missing = unmet(chart, values, &release.requires);
    if missing.is_empty() {
        return Ok(());
    }
    let reasons: Vec<String> = missing.iter().map(ToString::to_string).collect();
    Err(Failure::Refused(format!("data plane {}:\n  {}\n  next: {next}", release.data_plane, reasons.join("\n  "))))
}
