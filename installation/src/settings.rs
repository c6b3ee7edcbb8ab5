//! How gateways are installed: what holds for every module, and makes a request of a module and a version.

use std::{collections::BTreeMap, io::Write as _, sync::Arc};

use gateway_modules_core::{
    channel::Channel,
    cluster::Cluster,
    installation::{GATEWAY_API_GROUP, GatewayApiInstalled, InstallationOptions},
    module::{GatewayModule, ModuleVersion},
    object::ObjectKey,
};
use serde_json::Value;

use crate::{ArgoCd, Backend, ChartSettings, Flux, Helm, HelmOptions, InstallError, InstallRequest, plan::CRD};

/// Who carries installations out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BackendSettings {
    /// The Helm program.
    Helm(HelmOptions),
    /// Flux, in the cluster.
    Flux,
    /// Argo CD, in the cluster.
    ArgoCd {
        /// Namespace of its Applications.
        namespace: String,
    },
}

/// Who carries installations out, ready to do so.
pub struct ReadyBackend {
    /// Who.
    pub backend: Box<dyn Backend>,
    /// Helm, where it fetches the charts.
    pub helm: Option<Helm>,
    /// Goes when all is done: it holds credentials.
    _kubeconfig: Option<tempfile::NamedTempFile>,
}

impl BackendSettings {
    /// Finds the program that is needed, if any. A kubeconfig is given as its text, for a cluster other than the one of the options.
    ///
    /// # Errors
    /// There is no Helm that can be used.
    pub async fn ready(&self, kubeconfig: Option<&str>) -> Result<ReadyBackend, InstallError> {
        let (backend, helm, file): (Box<dyn Backend>, _, _) = match self {
            Self::Flux => (Box::new(Flux::new()), None, None),
            Self::ArgoCd { namespace } => (Box::new(ArgoCd::new(namespace.clone())), None, None),
            Self::Helm(options) => {
                let mut options = options.clone();
                let file = kubeconfig.map(write_kubeconfig).transpose()?;
                if let Some(file) = &file {
                    options.kubeconfig = Some(file.path().to_owned());
                    options.context = None;
                }
                let helm = Helm::find(options).await?;
                (Box::new(helm.clone()), Some(helm), file)
            }
        };
        Ok(ReadyBackend { backend, helm, _kubeconfig: file })
    }
}

/// A file that its owner alone can read.
fn write_kubeconfig(text: &str) -> Result<tempfile::NamedTempFile, InstallError> {
    let failed = |source| InstallError::File { path: std::env::temp_dir(), source };
    let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    Ok(file)
}

/// How gateways are installed, whichever they are.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct InstallSettings {
    /// Where charts are from.
    pub charts: ChartSettings,
    /// Channel of the Gateway API definitions; absent: that of the cluster.
    pub channel: Option<Channel>,
    /// Registry that holds the images under the vendors' names.
    pub image_registry: Option<String>,
    /// Secrets with which images are pulled.
    pub image_pull_secrets: Vec<String>,
    /// Labels of the pods that carry requests.
    pub pod_labels: BTreeMap<String, String>,
    /// Version of the main chart, where it is not the one that the module knows.
    pub chart_version: Option<String>,
    /// Values of the user: by chart, with the file that they are from. No name is the main chart.
    pub values: BTreeMap<String, (String, Value)>,
    /// Gateway API definitions that may be installed.
    pub gateway_api: Vec<Value>,
}

impl InstallSettings {
    /// What a module is told.
    pub fn options(&self, channel: Channel) -> InstallationOptions {
        InstallationOptions::default()
            .with_channel(channel)
            .with_image_registry(self.image_registry.clone())
            .with_image_pull_secrets(self.image_pull_secrets.clone())
            .with_chart_version(self.chart_version.clone())
    }

    /// What is asked for: the gateway of a module in a version, with no other values than the module's and the user's.
    ///
    /// # Errors
    /// The module is not installed this way, or the cluster does not answer.
    pub async fn request(
        &self,
        cluster: &Cluster,
        module: Arc<dyn GatewayModule>,
        version: &ModuleVersion,
    ) -> Result<InstallRequest, InstallError> {
        let channel = match self.channel {
            Some(channel) => channel,
            None => channel_of(cluster).await?,
        };
        let mut installation = module.installation(version, &self.options(channel))?;
        installation.label_pods(&self.pod_labels)?;
        if let (Some(version), Some(chart)) = (&self.chart_version, installation.charts.last_mut()) {
            version.clone_into(&mut chart.version);
        }
        let main = installation.main_chart().map(|chart| chart.name.clone()).unwrap_or_default();
        let named = |chart: &String| if chart.is_empty() { main.clone() } else { chart.clone() };
        Ok(InstallRequest {
            values: self.values.iter().map(|(chart, values)| (named(chart), values.clone())).collect(),
            charts: self.charts.clone(),
            gateway_api: self.gateway_api.clone(),
            module,
            installation,
            requirements: Vec::new(),
            planes: None,
            adopt: false,
            allow_downgrade: false,
            reset_values: false,
            again: false,
        })
    }
}

/// The channel of the Gateway API definitions in a cluster; the standard one where there are none.
async fn channel_of(cluster: &Cluster) -> Result<Channel, InstallError> {
    let key = ObjectKey { kind: CRD, namespace: None, name: format!("httproutes.{GATEWAY_API_GROUP}") };
    let definition = cluster.get_object(&key).await?;
    Ok(definition.as_ref().and_then(GatewayApiInstalled::of).map_or(Channel::default(), |there| there.channel))
}
