//! What is installed in a cluster, read once: GatewayClasses, CRDs, the version of a controller.
//!
//! What the credentials may not read is said ([`Unread`]), and never taken for something that is not there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::{ClusterReader, Fact, ReadError};
use crate::{
    capability::{Capabilities, CapabilityName, Evidence, Granularity},
    channel::Channel,
    object::{GroupKind, GroupVersionKind},
    plan::LABEL_PART_OF,
};

/// API group of Gateway API.
pub const GATEWAY_API: &str = "gateway.networking.k8s.io";
const GATEWAY_CLASS: GroupVersionKind = GroupVersionKind::of(GATEWAY_API, "v1", "GatewayClass");
const CRD: GroupVersionKind = GroupVersionKind::of("apiextensions.k8s.io", "v1", "CustomResourceDefinition");

/// Something that the credentials may not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unread {
    /// What was asked for, and the right that is missing.
    pub what: String,
    /// What follows from not knowing it.
    pub effect: String,
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.effect)
    }
}

/// A GatewayClass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstalledClass {
    /// Name.
    pub name: String,
    /// `spec.controllerName`.
    pub controller: String,
    /// Condition `Accepted`; absent while no controller has said anything, or says `Unknown`.
    pub accepted: Option<bool>,
    /// Condition `SupportedVersion`: whether the controller knows the version of the installed CRDs.
    pub supported_version: Option<bool>,
    /// What the conditions say besides, for people.
    pub message: String,
    /// `status.supportedFeatures`; empty when the controller publishes none.
    pub features: BTreeSet<String>,
    /// `spec.parametersRef` as `Kind.group namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<String>,
    /// Whether a plane's release made it (it carries the label of a set).
    pub made: bool,
}

impl InstalledClass {
    /// What the class publishes, as capabilities with live evidence.
    pub fn published(&self) -> Capabilities {
        let mut published = Capabilities::new();
        // A class has no say in names of this project (those with a slash), on which safety may rest.
        for feature in self.features.iter().filter(|feature| !feature.contains('/')) {
            let granularity = match feature.as_str() {
                "ListenerSet" => Granularity::Gateway,
                name if name.starts_with("Gateway") => Granularity::Gateway,
                "ReferenceGrant" => Granularity::Backend,
                _ => Granularity::Rule,
            };
            let name = CapabilityName::from(feature.clone());
            published.declare(name, granularity, Evidence::live(&self.name, "live"));
        }
        published
    }
}

/// The GatewayClasses, or why they are not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ClassesRead {
    /// All of them, by name.
    Read(Vec<InstalledClass>),
    /// The credentials may not list them.
    Unreadable {
        /// The right that is missing.
        right: String,
    },
}

impl ClassesRead {
    /// Reads all GatewayClasses; none where the kind is not served.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn read(cluster: &dyn ClusterReader) -> Result<Self, ReadError> {
        match cluster.list(&GATEWAY_CLASS, None).await {
            Ok(listed) => {
                let mut classes: Vec<InstalledClass> = listed.iter().map(class).collect();
                classes.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(Self::Read(classes))
            }
            Err(ReadError::Forbidden { .. }) => {
                Ok(Self::Unreadable { right: format!("list gatewayclasses.{GATEWAY_API}") })
            }
            Err(error) => Err(error),
        }
    }

    /// The classes that are known; none when they could not be read.
    pub fn known(&self) -> &[InstalledClass] {
        match self {
            Self::Read(classes) => classes,
            Self::Unreadable { .. } => &[],
        }
    }

    /// One class.
    pub fn get(&self, name: &str) -> Option<&InstalledClass> {
        self.known().iter().find(|class| class.name == name)
    }
}

fn class(value: &Value) -> InstalledClass {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let conditions = value.pointer("/status/conditions").and_then(Value::as_array);
    let condition = |name: &str| conditions.into_iter().flatten().find(|condition| condition["type"] == name);
    let status = |name: &str| match condition(name)?["status"].as_str()? {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    };
    let words = |name: &str| {
        let condition = condition(name).filter(|condition| condition["status"] != "True")?;
        let part = |field: &str| condition[field].as_str().unwrap_or_default();
        Some(format!("{name}={} {}: {}", part("status"), part("reason"), part("message")))
    };
    let features = value.pointer("/status/supportedFeatures").and_then(Value::as_array);
    // Gateway API 1.2 and older: a list of texts.
    let feature = |feature: &Value| feature["name"].as_str().or_else(|| feature.as_str()).map(ToOwned::to_owned);
    let parameters = value.pointer("/spec/parametersRef").map(|reference| {
        let part = |field: &str| reference[field].as_str().unwrap_or_default();
        let namespace = if part("namespace").is_empty() { String::new() } else { format!("{}/", part("namespace")) };
        format!("{}.{} {namespace}{}", part("kind"), part("group"), part("name"))
    });
    InstalledClass {
        name: text("/metadata/name"),
        controller: text("/spec/controllerName"),
        accepted: status("Accepted"),
        supported_version: status("SupportedVersion"),
        message: ["Accepted", "SupportedVersion"].into_iter().filter_map(words).collect::<Vec<_>>().join("; "),
        features: features.into_iter().flatten().filter_map(feature).collect(),
        parameters,
        made: value["metadata"]["labels"][LABEL_PART_OF].is_string(),
    }
}

/// The CustomResourceDefinitions of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstalledDefinitions {
    /// Versions that are served, by kind (`Kind.group`); absent when they may not be listed.
    #[serde(serialize_with = "by_text")]
    pub served: Option<BTreeMap<GroupKind, BTreeSet<String>>>,
    /// Channel of the Gateway API CRDs.
    pub channel: Fact<Channel>,
    /// Version of the Gateway API CRDs.
    pub bundle_version: Fact<String>,
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn by_text<S: serde::Serializer>(
    served: &Option<BTreeMap<GroupKind, BTreeSet<String>>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let texts = |served: &BTreeMap<GroupKind, BTreeSet<String>>| -> BTreeMap<String, BTreeSet<String>> {
        served.iter().map(|(kind, versions)| (kind.to_string(), versions.clone())).collect()
    };
    served.as_ref().map(texts).serialize(serializer)
}

impl InstalledDefinitions {
    /// Reads all CRDs. Where they may not be listed, the one of HTTPRoute is tried for channel and version.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn read(cluster: &dyn ClusterReader) -> Result<Self, ReadError> {
        const HTTP_ROUTES: &str = "httproutes.gateway.networking.k8s.io";
        let (served, route, missing) = match cluster.list(&CRD, None).await {
            Ok(all) => {
                let route = all.iter().find(|crd| crd["metadata"]["name"] == HTTP_ROUTES).cloned();
                (Some(all.iter().map(served_versions).collect()), route, None)
            }
            Err(error @ ReadError::Forbidden { .. }) => match cluster.get(&CRD, None, HTTP_ROUTES).await {
                Ok(route) => (None, route, None),
                Err(ReadError::Forbidden { .. }) => (None, None, Some(error.to_string())),
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        let source = match (&route, missing) {
            (Some(_), _) => format!("annotations of CustomResourceDefinition {HTTP_ROUTES}"),
            (None, Some(error)) => error,
            (None, None) => format!("CustomResourceDefinition {HTTP_ROUTES} is not there"),
        };
        let annotation = |name: &str| {
            let annotations = route.as_ref()?.pointer("/metadata/annotations")?;
            annotations.get(format!("{GATEWAY_API}/{name}"))?.as_str().map(ToOwned::to_owned)
        };
        Ok(Self {
            served,
            channel: Fact {
                value: annotation("channel").and_then(|channel| channel.parse().ok()),
                source: source.clone(),
            },
            bundle_version: Fact { value: annotation("bundle-version"), source },
        })
    }

    /// Versions of the kinds of Gateway API that are served; absent when they could not be read, empty when the CRDs are not
    /// installed.
    pub fn gateway_api(&self) -> Option<BTreeMap<GroupKind, BTreeSet<String>>> {
        let of_gateway_api = |(kind, versions): (&GroupKind, &BTreeSet<String>)| {
            (kind.group == GATEWAY_API).then(|| (kind.clone(), versions.clone()))
        };
        self.served.as_ref().map(|served| served.iter().filter_map(of_gateway_api).collect())
    }
}

fn served_versions(crd: &Value) -> (GroupKind, BTreeSet<String>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
    let served = versions.filter(|version| version["served"] == true).map(|version| text(&version["name"])).collect();
    (GroupKind { group: text(&crd["spec"]["group"]), kind: text(&crd["spec"]["names"]["kind"]) }, served)
}

/// What is installed in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Installed {
    /// All GatewayClasses, also those that nobody has accepted.
    pub classes: ClassesRead,
    /// CRDs.
    pub definitions: InstalledDefinitions,
}

impl Installed {
    /// Reads classes and CRDs once. What may not be read is in [`unread`](Self::unread).
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn read(cluster: &dyn ClusterReader) -> Result<Self, ReadError> {
        let (classes, definitions) = (ClassesRead::read(cluster).await?, InstalledDefinitions::read(cluster).await?);
        Ok(Self { classes, definitions })
    }

    /// From what was read at different times.
    pub const fn new(classes: ClassesRead, definitions: InstalledDefinitions) -> Self {
        Self { classes, definitions }
    }

    /// What could not be read, and what follows from it.
    pub fn unread(&self) -> Vec<Unread> {
        let mut unread = Vec::new();
        if let ClassesRead::Unreadable { right } = &self.classes {
            unread.push(Unread {
                what: format!("GatewayClasses (missing right: {right})"),
                effect:
                    "no gateway can be chosen by what is installed, and a class that vanishes is not seen; features \
                         that a class publishes do not count"
                        .to_owned(),
            });
        }
        if self.definitions.served.is_none() {
            let channel = match self.definitions.channel.value {
                Some(channel) => format!("the channel is known: {channel}"),
                None => "the channel is taken to be standard, so experimental fields are refused".to_owned(),
            };
            unread.push(Unread {
                what: "CustomResourceDefinitions (missing right: list customresourcedefinitions.apiextensions.k8s.io)"
                    .to_owned(),
                effect: format!("versions are those that Gateway API 1.6.1 serves; {channel}"),
            });
        }
        unread
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::held::{Held, ready},
        *,
    };

    #[test]
    fn what_may_not_be_read_is_said_and_is_no_empty_list() {
        let class = json!({
            "metadata": {"name": "a"}, "spec": {"controllerName": "example.com/a"},
            "status": {
                "conditions": [{"type": "Accepted", "status": "True"}, {"type": "SupportedVersion", "status": "False"}],
                "supportedFeatures": [{"name": "HTTPRoute"}, "HTTPRouteCORS", {"name": "gateway/isolation/address"}],
            },
        });
        let mut held = Held { objects: BTreeMap::from([("GatewayClass", vec![class])]), ..Held::default() };
        let installed = ready(Installed::read(&held)).expect("answers");
        assert!(installed.unread().is_empty());
        let known = &installed.classes.known()[0];
        assert_eq!((known.accepted, known.supported_version), (Some(true), Some(false)));
        let published: Vec<_> = known.published().names().into_iter().map(|name| name.to_string()).collect();
        assert_eq!(published, ["HTTPRoute", "HTTPRouteCORS"], "both forms, and no name of this project");
        assert_eq!(installed.definitions.gateway_api(), Some(BTreeMap::new()), "not installed, and that is known");

        held.forbidden = vec!["GatewayClass", "CustomResourceDefinition"];
        let installed = ready(Installed::read(&held)).expect("answers");
        assert!(
            matches!(&installed.classes, ClassesRead::Unreadable { right } if right.contains("list gatewayclasses"))
        );
        assert_eq!(installed.definitions.gateway_api(), None);
        assert_eq!(installed.unread().len(), 2, "{:?}", installed.unread());
    }
}
