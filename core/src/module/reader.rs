//! Reading a cluster, without a type of kube in the contract.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use super::{Metadata, ModuleVersion};
use crate::{
    capability::{Capabilities, CapabilityName, Evidence, Granularity},
    channel::Channel,
    object::GroupVersionKind,
};

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
}

const GATEWAY_CLASS: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "GatewayClass");
const CRD: GroupVersionKind = GroupVersionKind::of("apiextensions.k8s.io", "v1", "CustomResourceDefinition");

pub(super) async fn discover_by_standard_recipe(
    metadata: &Metadata,
    cluster: &dyn ClusterReader,
) -> Result<Discovery, ReadError> {
    let mut classes = BTreeMap::new();
    let mut published = Capabilities::new();
    let listed = match cluster.list(&GATEWAY_CLASS, None).await {
        Ok(listed) => listed,
        Err(ReadError::Forbidden { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    for class in &listed {
        let text = |pointer: &str| class.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (name, controller) = (text("/metadata/name"), text("/spec/controllerName"));
        let known = metadata.controllers.is_empty() || metadata.controllers.contains(&controller);
        let accepted = class.pointer("/status/conditions").and_then(Value::as_array).is_some_and(|conditions| {
            conditions.iter().any(|condition| condition["type"] == "Accepted" && condition["status"] == "True")
        });
        if !known || !accepted {
            continue;
        }
        classes.insert(name.to_owned(), controller.to_owned());
        for feature in class.pointer("/status/supportedFeatures").and_then(Value::as_array).into_iter().flatten() {
            if let Some(feature) = feature["name"].as_str() {
                published.declare(
                    CapabilityName::from(feature.to_owned()),
                    Granularity::Rule,
                    Evidence::live(name, "live"),
                );
            }
        }
    }
    let crd = cluster.get(&CRD, None, "httproutes.gateway.networking.k8s.io").await;
    let annotation = |name: &str| match &crd {
        Ok(Some(crd)) => crd["metadata"]["annotations"][name].as_str().map(ToOwned::to_owned),
        _ => None,
    };
    let source = match &crd {
        Ok(Some(_)) => "annotations of CustomResourceDefinition httproutes.gateway.networking.k8s.io".to_owned(),
        Ok(None) => "CustomResourceDefinition httproutes.gateway.networking.k8s.io is not there".to_owned(),
        Err(error) => error.to_string(),
    };
    Ok(Discovery {
        classes,
        version: Fact { value: None, source: "the standard recipe reads no controller version".to_owned() },
        channel: Fact {
            value: annotation("gateway.networking.k8s.io/channel").and_then(|channel| channel.parse().ok()),
            source: source.clone(),
        },
        bundle_version: Fact { value: annotation("gateway.networking.k8s.io/bundle-version"), source },
        published,
    })
}
