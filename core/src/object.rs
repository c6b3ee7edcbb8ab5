//! Kubernetes objects as checked JSON.
//!
//! Adapters and the pipeline speak of objects only through these types, so that no type of kube, k8s-openapi or
//! gateway-api reaches a public signature: a major version of those crates is then no break for adapter authors.

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Group, version and kind of an object, for example `gateway.networking.k8s.io/v1`, `HTTPRoute`.
///
/// The core group is the empty string, as in Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct GroupVersionKind {
    /// API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// Version, for example `v1`.
    pub version: Cow<'static, str>,
    /// Kind, for example `HTTPRoute`.
    pub kind: Cow<'static, str>,
}

impl GroupVersionKind {
    /// A kind known at compile time.
    pub const fn of(group: &'static str, version: &'static str, kind: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), version: Cow::Borrowed(version), kind: Cow::Borrowed(kind) }
    }

    /// From the `apiVersion` and `kind` of an object.
    pub fn from_api_version(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group: Cow::Owned(group.to_owned()),
            version: Cow::Owned(version.to_owned()),
            kind: Cow::Owned(kind.to_owned()),
        }
    }

    /// `group/version`, or `version` alone for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Group and kind without the version: what identifies a type across versions.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.group.to_string(), kind: self.kind.to_string() }
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.version)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// Group and kind of an object type, without its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct GroupKind {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind, for example `HTTPRoute`.
    pub kind: String,
}

impl fmt::Display for GroupKind {
    /// `Kind.group`, the form of the ApplySet annotation (KEP-3659).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.kind) } else { write!(f, "{}.{}", self.kind, self.group) }
    }
}

/// Identity of one object in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ObjectKey {
    /// Group, version and kind.
    #[serde(flatten)]
    pub kind: GroupVersionKind,
    /// Namespace; absent for cluster-scoped objects.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    /// `Kind namespace/name`, as people say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind.kind, self.name),
            None => write!(f, "{} {}", self.kind.kind, self.name),
        }
    }
}

/// Why a JSON value is not a Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidObject {
    /// The value is not a JSON object.
    #[error("a Kubernetes object is a mapping")]
    NotAMapping,
    /// A field that every object has is missing or is not a non-empty string.
    #[error("`{0}` must be a non-empty string")]
    MissingField(&'static str),
}

/// A Kubernetes object: a JSON mapping that has `apiVersion`, `kind` and `metadata.name`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Object(Map<String, Value>);

impl Object {
    /// A new object with the given kind, namespace (absent for cluster-scoped kinds) and name, and nothing else.
    pub fn new(kind: &GroupVersionKind, namespace: Option<&str>, name: &str) -> Self {
        let mut metadata = Map::new();
        metadata.insert("name".into(), name.into());
        if let Some(namespace) = namespace {
            metadata.insert("namespace".into(), namespace.into());
        }
        let mut map = Map::new();
        map.insert("apiVersion".into(), kind.api_version().into());
        map.insert("kind".into(), kind.kind.as_ref().into());
        map.insert("metadata".into(), Value::Object(metadata));
        Self(map)
    }

    /// Sets `spec`.
    #[must_use]
    pub fn with_spec(self, spec: Value) -> Self {
        self.with_field("spec", spec)
    }

    /// Sets a top-level field other than `apiVersion`, `kind` and `metadata` (KongPlugin has `config`, Secret has `data`).
    #[must_use]
    pub fn with_field(mut self, field: &str, value: Value) -> Self {
        if !matches!(field, "apiVersion" | "kind" | "metadata") {
            self.0.insert(field.to_owned(), value);
        }
        self
    }

    /// Group, version and kind.
    pub fn kind(&self) -> GroupVersionKind {
        let text = |field: &str| self.0.get(field).and_then(Value::as_str).unwrap_or_default();
        GroupVersionKind::from_api_version(text("apiVersion"), text("kind"))
    }

    /// Identity in a cluster.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            kind: self.kind(),
            namespace: self.namespace().map(ToOwned::to_owned),
            name: self.name().to_owned(),
        }
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.metadata("name").unwrap_or_default()
    }

    /// `metadata.namespace`; absent for cluster-scoped objects.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata("namespace")
    }

    fn metadata(&self, field: &str) -> Option<&str> {
        self.0.get("metadata")?.get(field)?.as_str()
    }

    /// Value of one annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.0.get("metadata")?.get("annotations")?.get(name)?.as_str()
    }

    /// Value of one label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(name)?.as_str()
    }

    /// Sets one label.
    pub fn set_label(&mut self, name: &str, value: &str) {
        self.set_metadata_entry("labels", name, value);
    }

    /// Sets one annotation, leaving the others as they are.
    pub fn set_annotation(&mut self, name: &str, value: &str) {
        self.set_metadata_entry("annotations", name, value);
    }

    fn set_metadata_entry(&mut self, map: &str, name: &str, value: &str) {
        if let Some(metadata) = self.0.get_mut("metadata").and_then(Value::as_object_mut) {
            let entry = metadata.entry(map).or_insert_with(|| Value::Object(Map::new()));
            if let Some(entries) = entry.as_object_mut() {
                entries.insert(name.to_owned(), value.into());
            }
        }
    }

    /// The value at a JSON pointer (RFC 6901), for example `/spec/rules/0/name`.
    pub fn pointer(&self, pointer: &str) -> Option<&Value> {
        let first_token = pointer.strip_prefix('/')?;
        let (first, rest) = first_token.split_once('/').map_or((first_token, None), |(a, b)| (a, Some(b)));
        let value = self.0.get(&first.replace("~1", "/").replace("~0", "~"))?;
        match rest {
            Some(rest) => value.pointer(&format!("/{rest}")),
            None => Some(value),
        }
    }

    /// The value at a JSON pointer (RFC 6901) below a top-level field, to change it.
    pub fn pointer_mut(&mut self, pointer: &str) -> Option<&mut Value> {
        let first_token = pointer.strip_prefix('/')?;
        let (first, rest) = first_token.split_once('/').map_or((first_token, None), |(a, b)| (a, Some(b)));
        if matches!(first, "apiVersion" | "kind") {
            return None;
        }
        let value = self.0.get_mut(&first.replace("~1", "/").replace("~0", "~"))?;
        match rest {
            Some(rest) => value.pointer_mut(&format!("/{rest}")),
            None => Some(value),
        }
    }

    /// The fields, as JSON.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The object as a JSON value.
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Value::Object(object.0)
    }
}

impl TryFrom<Value> for Object {
    type Error = InvalidObject;

    fn try_from(value: Value) -> Result<Self, InvalidObject> {
        let Value::Object(map) = value else { return Err(InvalidObject::NotAMapping) };
        let filled = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        for field in ["apiVersion", "kind"] {
            if !filled(map.get(field)) {
                return Err(InvalidObject::MissingField(field));
            }
        }
        if !filled(map.get("metadata").and_then(|metadata| metadata.get("name"))) {
            return Err(InvalidObject::MissingField("metadata.name"));
        }
        Ok(Self(map))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROUTE: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "HTTPRoute");

    #[test]
    fn pointers_reach_escaped_names_and_array_items() {
        let object = Object::new(&ROUTE, Some("shop"), "api").with_spec(json!({"a/b": [{"c": 1}]}));
        assert_eq!(object.pointer("/spec/a~1b/0/c"), Some(&json!(1)));
        assert_eq!(object.pointer("/spec/a~1b/1/c"), None);
        assert_eq!(object.pointer("spec"), None);
    }

    #[test]
    fn an_object_needs_identity() {
        let error = Object::try_from(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}}));
        assert_eq!(error, Err(InvalidObject::MissingField("metadata.name")));
        assert_eq!(Object::try_from(json!([])), Err(InvalidObject::NotAMapping));
    }

    #[test]
    fn identity_fields_cannot_be_overwritten() {
        let object = Object::new(&ROUTE, None, "api").with_field("kind", json!("Secret"));
        assert_eq!(object.kind(), ROUTE);
    }
}
