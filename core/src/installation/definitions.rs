//! What may be done to CustomResourceDefinitions that others may have installed: never downgrade, never mix channels.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::{channel::Channel, module::ModuleVersion};

/// Group of the standard kinds.
pub const GATEWAY_API_GROUP: &str = "gateway.networking.k8s.io";

/// What happens to one definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "change")]
pub enum DefinitionChange {
    /// It is not there.
    Create,
    /// It is replaced by one that is as new or newer.
    Update,
    /// What is there stays, since it is as good or better.
    Keep {
        /// Why.
        reason: String,
    },
    /// What is offered must not be installed over what is there.
    Refuse {
        /// Why.
        reason: String,
        /// What would work.
        next: String,
    },
}

/// Bundle version and channel of a standard definition, by its annotations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayApiInstalled {
    /// Version of the bundle.
    pub version: ModuleVersion,
    /// Channel.
    pub channel: Channel,
}

impl GatewayApiInstalled {
    /// From a definition; `None` when it carries no such annotations.
    pub fn of(definition: &Value) -> Option<Self> {
        let annotation =
            |name: &str| definition["metadata"]["annotations"].get(format!("{GATEWAY_API_GROUP}/{name}"))?.as_str();
        let version = ModuleVersion::new(annotation("bundle-version")?).ok()?;
        Some(Self { version, channel: annotation("channel")?.parse().ok()? })
    }
}

/// Decides what happens to a definition: `installed` is the live one, `offered` the one of a chart or of a release.
///
/// The rules for standard kinds are those of the admission policy `safe-upgrades.gateway.networking.k8s.io` (Gateway API 1.5
/// and later) and stricter: an older bundle and another channel are never installed over what is there, whether the policy
/// stands there or not. Vendors' definitions have no version; one that no longer has a version which is served or stored is
/// older, or made for another gateway.
pub fn compare_definition(installed: Option<&Value>, offered: &Value) -> DefinitionChange {
    let Some(installed) = installed else { return DefinitionChange::Create };
    let name = offered["metadata"]["name"].as_str().unwrap_or_default();
    if offered["spec"]["group"] == GATEWAY_API_GROUP {
        return compare_standard(installed, offered);
    }
    let missing: Vec<String> = in_use(installed).difference(&versions(offered)).cloned().collect();
    if missing.is_empty() {
        return DefinitionChange::Update;
    }
    DefinitionChange::Refuse {
        reason: format!(
            "the cluster has {name} with {}, which this version of the gateway does not have: what is there is newer",
            missing.join(", ")
        ),
        next: "install the version of the gateway that these definitions are of (or a newer one)".to_owned(),
    }
}

fn compare_standard(installed: &Value, offered: &Value) -> DefinitionChange {
    let (Some(there), Some(new)) = (GatewayApiInstalled::of(installed), GatewayApiInstalled::of(offered)) else {
        return DefinitionChange::Keep {
            reason: "it says neither its version nor its channel, so it cannot be known to be older".to_owned(),
        };
    };
    if there.channel != new.channel {
        return DefinitionChange::Refuse {
            reason: format!(
                "the cluster has Gateway API {} of the {} channel, and what is offered is of the {} channel",
                there.version, there.channel, new.channel
            ),
            next: format!("install the {} channel, or none: what is there is used", there.channel),
        };
    }
    if new.version < there.version {
        return DefinitionChange::Keep {
            reason: format!("the cluster has Gateway API {}, which is newer than {}", there.version, new.version),
        };
    }
    if new.version == there.version {
        return DefinitionChange::Keep { reason: format!("the cluster has the same Gateway API {}", there.version) };
    }
    let missing: Vec<String> = in_use(installed).difference(&versions(offered)).cloned().collect();
    if !missing.is_empty() {
        return DefinitionChange::Refuse {
            reason: format!(
                "objects are stored as {}, which Gateway API {} does not have",
                missing.join(", "),
                new.version
            ),
            next: "migrate the stored objects first (status.storedVersions of the definition)".to_owned(),
        };
    }
    DefinitionChange::Update
}

/// Versions that the definition has.
fn versions(definition: &Value) -> BTreeSet<String> {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    versions.filter_map(|version| version["name"].as_str().map(ToOwned::to_owned)).collect()
}

/// Versions that objects may be stored in, or that vendors' controllers may read.
fn in_use(definition: &Value) -> BTreeSet<String> {
    let stored = definition["status"]["storedVersions"].as_array().into_iter().flatten();
    let stored: BTreeSet<String> = stored.filter_map(|name| name.as_str().map(ToOwned::to_owned)).collect();
    if definition["spec"]["group"] == GATEWAY_API_GROUP {
        return stored;
    }
    let served = definition["spec"]["versions"].as_array().into_iter().flatten();
    let served = served.filter(|version| version["served"] == true);
    served.filter_map(|version| version["name"].as_str().map(ToOwned::to_owned)).chain(stored).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn standard(version: &str, channel: &str) -> Value {
        json!({
            "metadata": {"name": "httproutes.gateway.networking.k8s.io", "annotations": {
                "gateway.networking.k8s.io/bundle-version": version, "gateway.networking.k8s.io/channel": channel}},
            "spec": {"group": GATEWAY_API_GROUP, "versions": [{"name": "v1", "served": true}]},
            "status": {"storedVersions": ["v1"]},
        })
    }

    fn vendor(versions: &[&str]) -> Value {
        let versions: Vec<Value> = versions.iter().map(|name| json!({"name": name, "served": true})).collect();
        json!({"metadata": {"name": "a.vendor.test"}, "spec": {"group": "vendor.test", "versions": versions}})
    }

    #[test]
    fn standard_definitions_never_go_back_and_never_mix() {
        let there = standard("v1.6.1", "standard");
        let change = |version, channel| compare_definition(Some(&there), &standard(version, channel));
        assert_eq!(compare_definition(None, &there), DefinitionChange::Create);
        assert_eq!(change("v1.7.0", "standard"), DefinitionChange::Update);
        assert!(matches!(change("v1.5.1", "standard"), DefinitionChange::Keep { .. }));
        assert!(matches!(change("v1.6.1", "standard"), DefinitionChange::Keep { .. }));
        assert!(matches!(change("v1.7.0", "experimental"), DefinitionChange::Refuse { .. }));
        let unlabelled = json!({"spec": {"group": GATEWAY_API_GROUP}});
        let change = compare_definition(Some(&unlabelled), &standard("v1.7.0", "standard"));
        assert!(matches!(change, DefinitionChange::Keep { .. }));
    }

    #[test]
    fn a_stored_version_that_would_go_is_refused() {
        let mut there = standard("v1.4.0", "standard");
        there["status"]["storedVersions"] = json!(["v1beta1", "v1"]);
        let change = compare_definition(Some(&there), &standard("v1.7.0", "standard"));
        assert!(matches!(change, DefinitionChange::Refuse { .. }));
    }

    #[test]
    fn definitions_of_vendors_never_lose_a_version() {
        let change = |there: &[&str], new: &[&str]| compare_definition(Some(&vendor(there)), &vendor(new));
        assert_eq!(change(&["v1alpha1"], &["v1alpha1", "v1"]), DefinitionChange::Update);
        let DefinitionChange::Refuse { reason, .. } = change(&["v1alpha1", "v1"], &["v1alpha1"]) else {
            panic!("not refused")
        };
        assert!(reason.contains("v1"), "{reason}");
    }
}
