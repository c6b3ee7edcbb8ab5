//! What policies need of an installation that this program has made: looked up before anything is applied.

use gateway_modules::{
    CompiledPlane,
    core::{
        cluster::Cluster,
        installation::{InstallationOptions, unmet},
        module::ModuleVersion,
    },
};
use gateway_modules_installation::{ARGO_CD_NAMESPACE, ArgoCd, Backend, Flux, Helm, HelmOptions, Record};

use crate::{cluster::ClusterArgs, exit::Failure, output};

/// Refuses a plane whose policies need values that the installation does not have. What others have installed is not looked
/// into: `gwm render` tells what is required of it.
pub(crate) async fn check(args: &ClusterArgs, cluster: &Cluster, plane: &CompiledPlane) -> Result<(), Failure> {
    let Some(release) = plane.compiled.release.as_ref().filter(|release| !release.requires.is_empty()) else {
        return Ok(());
    };
    let Some(record) = Record::read(cluster, &plane.module).await? else { return Ok(()) };
    let module = gateway_modules::registry()?.get(&plane.module)?;
    let version = ModuleVersion::new(&record.version).map_err(Failure::Failed)?;
    let declared = module.installation(&version, &InstallationOptions::default());
    let Some(chart) = declared.ok().and_then(|declared| declared.main_chart().cloned()) else { return Ok(()) };
    let Some(installed) = record.releases.iter().find(|installed| installed.release == chart.release) else {
        return Ok(());
    };
    let backend: Box<dyn Backend> = match record.backend.as_str() {
        "flux" => Box::new(Flux::new()),
        "argo-cd" => Box::new(ArgoCd::new(ARGO_CD_NAMESPACE)),
        _ => {
            let (kubeconfig, context) = args.kubeconfig();
            let mut options = HelmOptions::default();
            options.program = std::env::var_os("GATEWAY_MODULES_HELM").map(Into::into);
            options.kubeconfig = kubeconfig;
            options.context = context;
            match Helm::find(options).await {
                Ok(helm) => Box::new(helm),
                Err(error) => {
                    output::note(&format!("warning: what policies need of the installation is not looked up: {error}"));
                    return Ok(());
                }
            }
        }
    };
    let values = backend.values(cluster, installed).await?;
    let missing = unmet(&chart, &values, &release.requires);
    if missing.is_empty() {
        return Ok(());
    }
    let reasons: Vec<String> = missing.iter().map(ToString::to_string).collect();
    Err(Failure::Refused(format!(
        "data plane {}:\n  {}\n  next: `gwm upgrade {} --version {} -f …` with these intents sets it",
        plane.plane.name,
        reasons.join("\n  "),
        plane.module,
        record.version
    )))
}
