//! Identity of an ApplySet (KEP-3659) and what its parent records.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::contribution::ContributionRecord;
use crate::{
    compile::{ModuleUse, Phase},
    names::{self, Name},
    object::{GroupKind, ObjectKey},
};

/// Label of a parent: the id of its set (KEP-3659).
pub const LABEL_ID: &str = "applyset.kubernetes.io/id";
/// Label of a member: the id of the set that it belongs to (KEP-3659).
pub const LABEL_PART_OF: &str = "applyset.kubernetes.io/part-of";
/// Annotation of a parent: the tool that manages the set (KEP-3659).
pub const ANNOTATION_TOOLING: &str = "applyset.kubernetes.io/tooling";
/// Annotation of a parent: `Kind.group` of all members, sorted, comma-separated (KEP-3659).
pub const ANNOTATION_GROUP_KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
/// Annotation of a parent: namespaces of members other than the parent's own (KEP-3659).
pub const ANNOTATION_NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
/// Value of [`ANNOTATION_TOOLING`].
pub const TOOLING: &str = concat!("gateway-modules/v", env!("CARGO_PKG_VERSION"));
/// Label of a parent: the installation of Gateway Modules.
pub const LABEL_INSTALLATION: &str = "gatewaymodules.dev/installation";
/// Label of a parent: the data plane; absent on the shared set.
pub const LABEL_DATA_PLANE: &str = "gatewaymodules.dev/data-plane";
/// Annotation of a parent: id of the release that was applied last, completely.
pub const ANNOTATION_RELEASE: &str = "gatewaymodules.dev/release";
/// Annotation of a member: `phase/hash` of what was sent. It tells a default of the server from a field that is no longer
/// wanted, which managed fields cannot tell inside an atomic list.
pub const ANNOTATION_SENT: &str = "gatewaymodules.dev/sent";
/// Annotation of a route that is written in its closed form.
pub const ANNOTATION_CLOSED: &str = "gatewaymodules.dev/closed";
/// Annotation of an open route: the policies that were acknowledged before it was opened, comma-separated.
pub const ANNOTATION_PROTECTED_BY: &str = "gatewaymodules.dev/protected-by";
/// Annotation of a derived Secret: hash over the source's uid, its resource version and the transform; never content.
pub const ANNOTATION_SOURCE: &str = "gatewaymodules.dev/source";
/// Key of the parent's data that holds the [`ParentRecord`].
pub const DATA_RECORD: &str = "record.json";

/// Identifies one ApplySet of ours: the namespace and name of its parent ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetIdentity {
    /// Installation of Gateway Modules; several may share a cluster.
    pub installation: String,
    /// Data plane; `None` for the set of what several planes share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_plane: Option<String>,
    /// Namespace of the parent.
    pub namespace: String,
    /// Name of the parent.
    pub name: String,
}

impl SetIdentity {
    /// The set of one data plane with one module.
    pub fn of_plane(installation: &str, namespace: &str, data_plane: &str, module: &str) -> Self {
        Self {
            installation: installation.to_owned(),
            data_plane: Some(data_plane.to_owned()),
            namespace: namespace.to_owned(),
            name: names::injective(&["gwm", installation, data_plane, module], Name::LABEL),
        }
    }

    /// The set of what the planes of an installation share: classes and their parameters.
    pub fn shared(installation: &str, namespace: &str) -> Self {
        Self {
            installation: installation.to_owned(),
            data_plane: None,
            namespace: namespace.to_owned(),
            name: names::injective(&["gwm-shared", installation], Name::LABEL),
        }
    }

    /// Id of the set by the formula of KEP-3659.
    pub fn id(&self) -> String {
        apply_set_id(&self.name, &self.namespace, "ConfigMap", "")
    }

    /// Field manager of the set's members.
    pub fn field_manager(&self) -> String {
        let id = self.id();
        let short = id.strip_prefix("applyset-").unwrap_or(&id).get(..12).unwrap_or_default();
        format!("gateway-modules/{short}")
    }
}

impl std::fmt::Display for SetIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.data_plane {
            Some(plane) => write!(f, "data plane {plane} (ConfigMap {}/{})", self.namespace, self.name),
            None => write!(f, "the shared set (ConfigMap {}/{})", self.namespace, self.name),
        }
    }
}

/// Id of an ApplySet: base64url of the SHA-256 of `name.namespace.kind.group` of its parent (KEP-3659).
pub fn apply_set_id(name: &str, namespace: &str, kind: &str, group: &str) -> String {
    let digest = Sha256::digest(format!("{name}.{namespace}.{kind}.{group}").as_bytes());
    format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(digest))
}

/// The module that a set was applied with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// Name of the module.
    pub module: String,
    /// Version of the gateway.
    pub version: String,
    /// GatewayClass.
    pub class: String,
    /// Controller name of the class, if the module names one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub controller: Option<String>,
    /// Why this one was chosen; absent in records of old.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// When it was chosen (RFC 3339); absent in records of old.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<String>,
}

impl Selection {
    /// Whether both are the same gateway, whatever its version. A controller that one of them does not name is no difference.
    pub fn is_same_gateway(&self, other: &Self) -> bool {
        let differ = matches!((&self.controller, &other.controller), (Some(one), Some(two)) if one != two);
        self.module == other.module && self.class == other.class && !differ
    }
}

impl From<&ModuleUse> for Selection {
    fn from(module: &ModuleUse) -> Self {
        Self {
            module: module.name.clone(),
            version: module.version.to_string(),
            class: module.class.clone(),
            controller: module.controller.clone(),
            reason: None,
            time: None,
        }
    }
}

/// What a parent records besides the annotations of KEP-3659.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRecord {
    /// The module, of a plane's set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub selection: Option<Selection>,
    /// Fields of objects of others that this set has set.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub contributions: Vec<ContributionRecord>,
    /// Of the shared set: which sets (by id) need a member (`Kind.group namespace/name`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub references: BTreeMap<String, BTreeSet<String>>,
}

/// A parent as it is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentState {
    /// Identity.
    pub set: SetIdentity,
    /// For the optimistic lock.
    pub resource_version: String,
    /// Release that was applied last, completely.
    pub release: Option<String>,
    /// Kinds that members may have.
    pub group_kinds: BTreeSet<GroupKind>,
    /// Namespaces that members may be in, besides the parent's own.
    pub namespaces: BTreeSet<String>,
    /// What else is recorded.
    pub record: ParentRecord,
}

impl ParentState {
    /// A parent that is not in the cluster yet.
    pub fn new(set: SetIdentity) -> Self {
        Self {
            set,
            resource_version: String::new(),
            release: None,
            group_kinds: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            record: ParentRecord::default(),
        }
    }

    /// Reads a parent from its ConfigMap.
    ///
    /// # Errors
    /// It is no parent of ours, or its record cannot be read; the text says what is wrong.
    pub fn from_config_map(value: &Value) -> Result<Self, String> {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        let metadata = |map: &str, name: &str| {
            value.get("metadata").and_then(|metadata| metadata.get(map)?.get(name)?.as_str()).map(ToOwned::to_owned)
        };
        let name = text("/metadata/name").unwrap_or_default().to_owned();
        let namespace = text("/metadata/namespace").unwrap_or_default().to_owned();
        let whole = format!("ConfigMap {namespace}/{name}");
        let Some(installation) = metadata("labels", LABEL_INSTALLATION) else {
            return Err(format!("{whole} has no label {LABEL_INSTALLATION}"));
        };
        let set = SetIdentity { installation, data_plane: metadata("labels", LABEL_DATA_PLANE), namespace, name };
        if metadata("labels", LABEL_ID).as_deref() != Some(set.id().as_str()) {
            return Err(format!("the label {LABEL_ID} of {whole} is not {}", set.id()));
        }
        let list = |name: &str| metadata("annotations", name).unwrap_or_default();
        let record = match value.get("data").and_then(|data| data.get(DATA_RECORD)).and_then(Value::as_str) {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| format!("`data.{DATA_RECORD}` of {whole} cannot be read: {error}"))?,
            None => ParentRecord::default(),
        };
        Ok(Self {
            resource_version: text("/metadata/resourceVersion").unwrap_or_default().to_owned(),
            release: metadata("annotations", ANNOTATION_RELEASE),
            group_kinds: items(&list(ANNOTATION_GROUP_KINDS)).map(group_kind).collect(),
            namespaces: items(&list(ANNOTATION_NAMESPACES)).map(ToOwned::to_owned).collect(),
            record,
            set,
        })
    }

    /// The ConfigMap.
    pub fn to_config_map(&self) -> Value {
        let join = |items: Vec<String>| items.join(",");
        let mut labels = BTreeMap::from([
            (LABEL_ID, self.set.id()),
            (LABEL_INSTALLATION, self.set.installation.clone()),
            ("app.kubernetes.io/managed-by", "gateway-modules".to_owned()),
        ]);
        if let Some(plane) = &self.set.data_plane {
            labels.insert(LABEL_DATA_PLANE, plane.clone());
        }
        let own = &self.set.namespace;
        let mut annotations = BTreeMap::from([
            (ANNOTATION_TOOLING, TOOLING.to_owned()),
            (ANNOTATION_GROUP_KINDS, join(self.group_kinds.iter().map(ToString::to_string).collect())),
            (ANNOTATION_NAMESPACES, join(self.namespaces.iter().filter(|name| *name != own).cloned().collect())),
        ]);
        if let Some(release) = &self.release {
            annotations.insert(ANNOTATION_RELEASE, release.clone());
        }
        let mut metadata = json!({
            "name": self.set.name, "namespace": self.set.namespace, "labels": labels, "annotations": annotations,
        });
        if !self.resource_version.is_empty() {
            metadata["resourceVersion"] = self.resource_version.clone().into();
        }
        let record = serde_json::to_string_pretty(&self.record).unwrap_or_default();
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { DATA_RECORD: record },
        })
    }
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn group_kind(text: &str) -> GroupKind {
    let (kind, group) = text.split_once('.').unwrap_or((text, ""));
    GroupKind { group: group.to_owned(), kind: kind.to_owned() }
}

/// What identifies an object whatever version it is read in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Identity {
    /// Group and kind.
    pub kind: GroupKind,
    /// Namespace; absent for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl From<&ObjectKey> for Identity {
    fn from(key: &ObjectKey) -> Self {
        Self { kind: key.kind.group_kind(), namespace: key.namespace.clone(), name: key.name.clone() }
    }
}

impl std::fmt::Display for Identity {
    /// `Kind.group namespace/name`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

pub(crate) const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Foundation => "foundation",
        Phase::Gateways => "gateways",
        Phase::Policies => "policies",
        Phase::Routes => "routes",
    }
}

pub(crate) fn phase_from_name(name: &str) -> Option<Phase> {
    [Phase::Foundation, Phase::Gateways, Phase::Policies, Phase::Routes]
        .into_iter()
        .find(|phase| phase_name(*phase) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_follows_the_formula_of_the_kep() {
        // printf '%s' 'my-set.default.ConfigMap.' | openssl dgst -sha256 -binary | basenc --base64url
        assert_eq!(
            apply_set_id("my-set", "default", "ConfigMap", ""),
            "applyset-DaObTxGT41gT7jz9wyulA3kuIrhUKfuOcjAfLI6wcmQ-v1"
        );
    }

    #[test]
    fn a_parent_survives_the_way_through_its_config_map() {
        let mut parent = ParentState::new(SetIdentity::of_plane("default", "gw", "prod", "kgateway"));
        parent.resource_version = "7".into();
        parent.release = Some("abc".into());
        parent.group_kinds.insert(GroupKind { group: "gateway.networking.k8s.io".into(), kind: "Gateway".into() });
        parent.group_kinds.insert(GroupKind { group: String::new(), kind: "Secret".into() });
        parent.namespaces.insert("shop".into());
        parent.record.references.insert("GatewayClass x".into(), BTreeSet::from(["a".into()]));
        let value = parent.to_config_map();
        assert_eq!(
            value["metadata"]["annotations"][ANNOTATION_GROUP_KINDS],
            "Secret,Gateway.gateway.networking.k8s.io"
        );
        assert_eq!(ParentState::from_config_map(&value), Ok(parent));
    }

    #[test]
    fn planes_modules_and_installations_have_sets_of_their_own() {
        let ids: BTreeSet<String> = [("a", "p", "m"), ("a", "p", "n"), ("a", "q", "m"), ("b", "p", "m")]
            .map(|(installation, plane, module)| SetIdentity::of_plane(installation, "ns", plane, module).id())
            .into();
        assert_eq!(ids.len(), 4);
        assert!(ids.iter().all(|id| id.len() <= 63));
    }
}
