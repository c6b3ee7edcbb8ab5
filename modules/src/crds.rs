//! Which Gateway API CRDs objects are compiled for.

use std::collections::{BTreeMap, BTreeSet};

use gateway_modules_core::{channel::Channel, object::GroupKind};
#[cfg(feature = "cluster")]
use gateway_modules_core::{
    module::{ClusterReader, ReadError},
    object::GroupVersionKind,
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
    #[cfg(feature = "cluster")]
    pub async fn discover(cluster: &dyn ClusterReader) -> Result<Self, ReadError> {
        const CRD: GroupVersionKind = GroupVersionKind::of("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        const GROUP: &str = "gateway.networking.k8s.io";
        let crds = match cluster.list(&CRD, None).await {
            Ok(crds) => crds,
            Err(error @ ReadError::Forbidden { .. }) => {
                let assumed = Self::assumed(Channel::Standard);
                return Ok(Self { source: format!("{} (assumed: {error})", assumed.source), ..assumed });
            }
            Err(error) => return Err(error),
        };
        let mut served: BTreeMap<GroupKind, BTreeSet<String>> = BTreeMap::new();
        let (mut channel, mut bundle) = (None, None);
        for crd in crds.iter().filter(|crd| crd["spec"]["group"] == GROUP) {
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
            let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
            let versions =
                versions.filter(|version| version["served"] == true).filter_map(|version| version["name"].as_str());
            let annotation =
                |name: &str| crd["metadata"]["annotations"][format!("{GROUP}/{name}")].as_str().map(ToOwned::to_owned);
            if kind == "HTTPRoute" {
                channel = annotation("channel").and_then(|text| text.parse::<Channel>().ok());
                bundle = annotation("bundle-version");
            }
            served.insert(GroupKind { group: GROUP.to_owned(), kind }, versions.map(ToOwned::to_owned).collect());
        }
        if served.is_empty() {
            return Err(ReadError::Unavailable {
                what: "the Gateway API CRDs".to_owned(),
                message: "they are not installed: install them from a release of Gateway API, or with the gateway"
                    .to_owned(),
            });
        }
        let channel = channel.unwrap_or_default();
        let source = format!(
            "Gateway API {} CRDs, {channel} channel, as installed",
            bundle.as_deref().unwrap_or("of unknown version")
        );
        Ok(Self { channel, served: Some(served), source })
    }
}
