//! Which Gateway API CRDs objects are compiled for.

use std::collections::{BTreeMap, BTreeSet};

use gateway_modules_core::{
    channel::Channel,
    module::{ClusterReader, InstalledDefinitions, ReadError},
    object::GroupKind,
};

/// Which Gateway API CRDs objects are compiled for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstalledCrds {
    /// Channel.
    pub channel: Channel,
    /// Versions that are served, by kind; absent: those of Gateway API 1.6.1.
    pub served: Option<BTreeMap<GroupKind, BTreeSet<String>>>,
    /// How it is known, for people.
    pub source: String,
}

impl InstalledCrds {
    /// Gateway API 1.6.1 in a channel, as nothing says otherwise.
    pub fn assumed(channel: Channel) -> Self {
        Self { channel, served: None, source: format!("Gateway API 1.6.1 CRDs, {channel} channel") }
    }

    /// What a cluster has. Where the CRDs may not be read, the channel is taken to be standard and all versions served.
    ///
    /// # Errors
    /// The cluster does not answer, or the Gateway API CRDs are not there.
    pub async fn discover(cluster: &dyn ClusterReader) -> Result<Self, ReadError> {
        Self::of(&InstalledDefinitions::read(cluster).await?)
    }

    /// From what was read of a cluster.
    ///
    /// # Errors
    /// The Gateway API CRDs are not there.
    pub fn of(definitions: &InstalledDefinitions) -> Result<Self, ReadError> {
        let channel = definitions.channel.value.unwrap_or_default();
        let Some(served) = definitions.gateway_api() else {
            let assumed = Self::assumed(channel);
            let why = if definitions.channel.value.is_some() {
                "the versions are assumed, since CustomResourceDefinitions may not be listed"
            } else {
                "assumed, since CustomResourceDefinitions may not be listed"
            };
            return Ok(Self { source: format!("{} ({why})", assumed.source), ..assumed });
        };
        if served.is_empty() {
            return Err(ReadError::Unavailable {
                what: "the Gateway API CRDs".to_owned(),
                message: "they are not installed: install them from a release of Gateway API, or with the gateway"
                    .to_owned(),
            });
        }
        let bundle = definitions.bundle_version.value.as_deref().unwrap_or("of unknown version");
        let source = format!("Gateway API {bundle} CRDs, {channel} channel, as installed");
        Ok(Self { channel, served: Some(served), source })
    }
}
