//! Installs a gateway as `gwm install` does, and removes it as `gwm uninstall` does: the adapter's installation, its vendor's charts,
//! Helm.

use std::{path::PathBuf, sync::Arc, time::Duration};

use gateway_modules_core::{
    cluster::{Cluster, ClusterOptions},
    installation::{Installation, InstallationOptions},
    module::{GatewayModule, ModuleVersion},
};
use gateway_modules_installation::{ChartSettings, Helm, HelmOptions, InstallRequest, Progress, plan};
use kube::Client;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::{Error, go, lab::ClusterProvider};

const READY: Duration = Duration::from_mins(3);

/// What a stand says besides the adapter.
pub(super) struct Stand {
    pub(super) version: &'static str,
    /// Packed charts; from where the vendor has them otherwise.
    pub(super) folder: Option<PathBuf>,
    /// Registry and path that manifests name images by; the vendor's otherwise.
    pub(super) registry: Option<&'static str>,
    /// Values of the user, by chart.
    pub(super) values: Vec<(&'static str, Value)>,
}

pub(super) async fn install(
    client: &Client,
    provider: &dyn ClusterProvider,
    module: Arc<dyn GatewayModule>,
    stand: Stand,
) -> Result<(), Error> {
    let name = module.metadata().name;
    let failed = |error: &dyn std::fmt::Display| Error::Lab(format!("cannot install {name}: {error}"));
    let installation = installation(module.as_ref(), stand.version, stand.registry)?;
    let (helm, _kubeconfig) = helm(provider).await?;
    let mut charts = ChartSettings::default();
    charts.folder = stand.folder;
    let values = stand.values.into_iter().map(|(chart, values)| (chart.to_owned(), ("the lab".to_owned(), values)));
    let request = InstallRequest {
        module,
        installation,
        values: values.collect(),
        requirements: Vec::new(),
        charts,
        gateway_api: Vec::new(),
        adopt: false,
        allow_downgrade: false,
        planes: None,
        again: false,
        reset_values: false,
    };
    let cluster = Cluster::new(client.clone(), ClusterOptions::default());
    let plan = plan(&cluster, &helm, Some(&helm), &request).await.map_err(|error| failed(&error))?;
    let silent: Progress = Arc::new(|_: &str| ());
    gateway_modules_installation::install(&cluster, &helm, &plan, Some(READY), &silent)
        .await
        .map(drop)
        .map_err(|error| failed(&error))
}

pub(super) async fn uninstall(
    client: &Client,
    provider: &dyn ClusterProvider,
    module: &dyn GatewayModule,
    version: &str,
) -> Result<(), Error> {
    let installation = installation(module, version, None)?;
    let (helm, _kubeconfig) = helm(provider).await?;
    let cluster = Cluster::new(client.clone(), ClusterOptions::default());
    let silent: Progress = Arc::new(|_: &str| ());
    gateway_modules_installation::uninstall(&cluster, &helm, module, Some(&installation), &silent)
        .await
        .map(drop)
        .map_err(|error| Error::Lab(format!("cannot remove {}: {error}", module.metadata().name)))
}

fn installation(module: &dyn GatewayModule, version: &str, registry: Option<&str>) -> Result<Installation, Error> {
    let failed =
        |error: &dyn std::fmt::Display| Error::Lab(format!("cannot install {}: {error}", module.metadata().name));
    let version = ModuleVersion::new(version).map_err(|error| failed(&error))?;
    let options = InstallationOptions::default().with_image_registry(registry.map(ToOwned::to_owned));
    module.installation(&version, &options).map_err(|error| failed(&error))
}

/// Helm for a cluster, and the file that it reads, which goes when it is dropped.
async fn helm(provider: &dyn ClusterProvider) -> Result<(Helm, NamedTempFile), Error> {
    let kubeconfig = NamedTempFile::new().map_err(Error::io("make", "a file for Helm"))?;
    let failed = |error: &dyn std::fmt::Display| Error::Lab(format!("cannot use Helm: {error}"));
    let text = serde_json::to_string(&provider.kubeconfig()?).map_err(|error| failed(&error))?;
    std::fs::write(&kubeconfig, text).map_err(Error::io("write", kubeconfig.path()))?;
    let mut options = HelmOptions::default();
    options.program = Some(go::helm()?);
    options.kubeconfig = Some(kubeconfig.path().to_owned());
    Ok((Helm::find(options).await.map_err(|error| failed(&error))?, kubeconfig))
}
