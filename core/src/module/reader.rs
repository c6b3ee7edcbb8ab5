//! Reading a cluster, without a type of kube in the contract.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use super::{Installed, InstalledClass, Metadata, ModuleVersion, Unread, controller_version};
use crate::{capability::Capabilities, channel::Channel, object::GroupVersionKind};

/// Why something could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The credentials may not read it.
    #[error("not allowed to read {what}")]
    Forbidden {
        /// What was asked for.
        what: String,
    },
    /// The API server did not answer, or answered with an error.
    #[error("reading {what}: {message}")]
    Unavailable {
        /// What was asked for.
        what: String,
        /// What went wrong.
        message: String,
    },
}

/// Reads objects of a cluster.
#[async_trait]
pub trait ClusterReader: Send + Sync {
    /// One object; `None` when it, or its kind, is not there.
    ///
    /// # Errors
    /// Missing rights, or an API server that does not answer.
    async fn get(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, ReadError>;

    /// All objects of a kind, in one namespace or everywhere; empty when the kind is not there.
    ///
    /// # Errors
    /// Missing rights, or an API server that does not answer.
    async fn list(&self, kind: &GroupVersionKind, namespace: Option<&str>) -> Result<Vec<Value>, ReadError>;
}

/// One discovered fact and where it was read; `value` is absent when it could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact<T> {
    /// The fact.
    pub value: Option<T>,
    /// Where it was read, or why it could not be.
    pub source: String,
}

/// What the live cluster says about a gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Discovery {
    /// GatewayClasses of the module's controllers that are accepted, by name, with their controller.
    pub classes: BTreeMap<String, String>,
    /// Version of the controller.
    pub version: Fact<ModuleVersion>,
    /// Channel of the Gateway API CRDs.
    pub channel: Fact<Channel>,
    /// Version of the Gateway API CRDs.
    pub bundle_version: Fact<String>,
    /// Features that the classes publish; empty when they publish none.
    pub published: Capabilities,
    /// What could not be read, and what follows from it.
    pub unread: Vec<Unread>,
}

impl Discovery {
    /// What of all that is installed is a module's.
    pub fn of(metadata: &Metadata, installed: &Installed, version: Fact<ModuleVersion>) -> Self {
        let known = |class: &&InstalledClass| {
            let controller = class.controller.as_str();
            class.accepted == Some(true)
                && (metadata.controllers.is_empty() || metadata.controllers.contains(&controller))
        };
        let classes: Vec<&InstalledClass> = installed.classes.known().iter().filter(known).collect();
        let mut published = Capabilities::new();
        for class in &classes {
            published.extend(class.published());
        }
        Self {
            classes: classes.iter().map(|class| (class.name.clone(), class.controller.clone())).collect(),
            version,
            channel: installed.definitions.channel.clone(),
            bundle_version: installed.definitions.bundle_version.clone(),
            published,
            unread: installed.unread(),
        }
    }
}

pub(super) async fn discover_by_standard_recipe(
    metadata: &Metadata,
    images: &[&str],
    cluster: &dyn ClusterReader,
) -> Result<Discovery, ReadError> {
    let installed = Installed::read(cluster).await?;
    let version = controller_version(images, metadata.default_namespace, cluster).await?;
    Ok(Discovery::of(metadata, &installed, version))
}
