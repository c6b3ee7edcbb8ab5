//! What is recorded in the cluster about an installation: what was made, so that it can be taken away again.

use std::collections::{BTreeMap, BTreeSet};

use gateway_modules_core::{
    cluster::{Cluster, ClusterError},
    installation::Needs,
    names::{self, Name},
    object::{GroupVersionKind, ObjectKey},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::InstallError;

const CONFIG_MAP: GroupVersionKind = GroupVersionKind::of("", "v1", "ConfigMap");
/// Label of records: the module.
const LABEL_MODULE: &str = "gatewaymodules.dev/installed-module";
/// Label of records: the installation of Gateway Modules. Not the label of ApplySet parents, which these are not.
const LABEL_INSTALLATION: &str = "gatewaymodules.dev/module-installation";
const DATA: &str = "installation.json";

/// How far an installation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Begun, and not finished: the next run goes on.
    Installing,
    /// All is there.
    Installed,
    /// Being removed.
    Uninstalling,
}

/// One release of a chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedRelease {
    /// Name of the release.
    pub release: String,
    /// Its namespace.
    pub namespace: String,
    /// Name of the chart.
    pub chart: String,
    /// Version of the chart.
    pub version: String,
    /// Digest of the chart, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
    /// Hash over chart and values; the values themselves may hold secrets.
    pub hash: String,
    /// Whether the chart is nothing but definitions.
    #[serde(default)]
    pub definitions_only: bool,
}

/// What is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Module.
    pub module: String,
    /// Version of the gateway.
    pub version: String,
    /// What carries it out: `helm`, `flux`, …
    pub backend: String,
    /// How far it is.
    pub phase: Phase,
    /// Releases, in the order in which they were installed.
    pub releases: Vec<RecordedRelease>,
    /// Namespaces that were not there before.
    #[serde(default)]
    pub namespaces: BTreeSet<String>,
    /// The GatewayClass that was made because nobody else makes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub class: Option<String>,
    /// Hash over all that was asked for when it was finished last, as far as it is known without fetching a chart.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asked: Option<String>,
    /// Data planes that a controller keeps it for, with what each needs of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub planes: BTreeMap<String, Needs>,
    /// Whether a controller has made it, which takes it away with the last of these planes.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub by_controller: bool,
}

impl Record {
    /// Reads the record of a module.
    ///
    /// # Errors
    /// The cluster does not answer, or the record is damaged.
    pub async fn read(cluster: &Cluster, module: &str) -> Result<Option<Self>, InstallError> {
        let key = key(cluster, module);
        let Some(value) = cluster.get_object(&key).await? else { return Ok(None) };
        let text = value["data"][DATA].as_str().unwrap_or_default();
        serde_json::from_str(text).map(Some).map_err(|error| InstallError::Unreadable {
            place: key.to_string(),
            message: format!("it is no record of an installation ({error}); correct or remove it"),
        })
    }

    /// Writes it.
    pub(crate) async fn write(&self, cluster: &Cluster) -> Result<(), InstallError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| InstallError::Unreadable { place: "record".to_owned(), message: error.to_string() })?;
        let key = key(cluster, &self.module);
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": key.name, "namespace": key.namespace,
                "labels": {LABEL_MODULE: self.module, LABEL_INSTALLATION: cluster.identity().0}},
            "data": {DATA: text},
        });
        cluster.apply_object(&object, true, false).await?;
        Ok(())
    }

    /// Deletes it.
    pub(crate) async fn delete(cluster: &Cluster, module: &str) -> Result<(), ClusterError> {
        cluster.delete_object(&key(cluster, module), None).await
    }

    /// Whether a release is recorded.
    pub(crate) fn has(&self, release: &str, namespace: &str) -> bool {
        self.release(release, namespace).is_some()
    }

    /// A recorded release.
    pub(crate) fn release(&self, release: &str, namespace: &str) -> Option<&RecordedRelease> {
        self.releases.iter().find(|recorded| recorded.release == release && recorded.namespace == namespace)
    }
}

fn key(cluster: &Cluster, module: &str) -> ObjectKey {
    let (installation, namespace) = cluster.identity();
    ObjectKey {
        kind: CONFIG_MAP,
        namespace: Some(namespace.to_owned()),
        name: names::injective(&["gwm-module", installation, module], Name::LABEL),
    }
}

/// Hash over a chart and its values, or over all that is asked for.
pub(crate) fn hash(of: &Value) -> String {
    use sha2::{Digest, Sha256};
    let text = of.to_string();
    Sha256::digest(text.as_bytes()).iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
