//! Documents: an intent object with its metadata and the place it was written.

use std::{collections::BTreeMap, fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ComponentSpec, DataPlaneSpec};
use crate::{
    diagnostic::Origin,
    types::{DnsLabel, LabelKey, LabelValue},
};

/// Metadata of an intent object; the fields of Kubernetes that mean something here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name; with the namespace it identifies the object.
    pub name: DnsLabel,
    /// Namespace of a Component: its tenant. Absent means `default`. A DataPlane is cluster-scoped and has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
    /// Labels, which a `dataPlanes.selector` matches.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Annotations, kept for tools; nothing here reads them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<LabelKey, String>,
}

/// Identity of an intent document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum DocumentId {
    /// A data plane, by name.
    DataPlane {
        /// Name.
        name: String,
    },
    /// A component, by namespace and name.
    Component {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataPlane { name } => write!(f, "DataPlane {name}"),
            Self::Component { namespace, name } => write!(f, "Component {namespace}/{name}"),
        }
    }
}

/// One field of one document: the unit of provenance, of diagnostics and of the report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// The document.
    pub document: DocumentId,
    /// JSON pointer (RFC 6901) from the root of the document, for example `/spec/endpoints/0/port`.
    pub pointer: String,
}

impl FieldRef {
    /// A field of a document.
    pub fn new(document: DocumentId, pointer: impl Into<String>) -> Self {
        Self { document, pointer: pointer.into() }
    }

    /// The field below this one; `token` is escaped as RFC 6901 asks.
    #[must_use]
    pub fn child(&self, token: impl fmt::Display) -> Self {
        let token = token.to_string().replace('~', "~0").replace('/', "~1");
        Self { document: self.document.clone(), pointer: format!("{}/{token}", self.pointer) }
    }

    /// Whether the other field is this one, or stands below it in the same document.
    pub fn covers(&self, other: &Self) -> bool {
        self.document == other.document && covers(&self.pointer, &other.pointer)
    }

    /// The field at a relative pointer below this one (`""` is this field itself).
    #[must_use]
    pub fn at(&self, relative: &str) -> Self {
        Self { document: self.document.clone(), pointer: format!("{}{relative}", self.pointer) }
    }
}

/// Whether one pointer is the other, or stands above it.
pub(crate) fn covers(above: &str, below: &str) -> bool {
    below.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Display for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.document, self.pointer)
    }
}

/// Places of the fields of one document: JSON pointer to 1-based line and column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMap {
    /// Path of the file as the user gave it; absent for values and cluster objects.
    pub path: Option<Arc<str>>,
    /// What the document is called when there is no file, for example `Component shop/catalog` in a cluster.
    pub cluster_object: Option<String>,
    /// JSON pointer to line and column, both from 1.
    pub positions: BTreeMap<String, (u32, u32)>,
}

impl SourceMap {
    /// Where a field was written: its own place, or that of the nearest field above it.
    pub fn origin(&self, pointer: &str) -> Origin {
        if let Some(object) = &self.cluster_object {
            return Origin::Cluster { object: object.clone() };
        }
        let Some(path) = &self.path else { return Origin::Value };
        let mut pointer = pointer;
        loop {
            if let Some(&(line, column)) = self.positions.get(pointer) {
                return Origin::File { path: path.clone(), line, column };
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return Origin::File { path: path.clone(), line: 1, column: 1 },
            }
        }
    }
}

/// An intent object with its provenance.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<S> {
    /// Metadata.
    pub metadata: Metadata,
    /// Specification.
    pub spec: S,
    /// Where its fields were written.
    pub source: SourceMap,
}

/// A data plane: which gateway, and the Gateways it has.
pub type DataPlane = Document<DataPlaneSpec>;
/// A component and its endpoints.
pub type Component = Document<ComponentSpec>;

impl<S: Serialize> Document<S> {
    /// A document from a Rust value.
    pub fn from_value(metadata: Metadata, spec: S) -> Self {
        Self { metadata, spec, source: SourceMap::default() }
    }

    /// The document as JSON without `apiVersion` and `kind`, which say what it is and are no intent.
    ///
    /// # Errors
    /// A value that JSON cannot hold, which no intent type has.
    pub fn to_json(&self) -> Result<Value, serde_json::Error> {
        Ok(serde_json::json!({
            "metadata": serde_json::to_value(&self.metadata)?,
            "spec": serde_json::to_value(&self.spec)?,
        }))
    }
}

impl DataPlane {
    /// Identity.
    pub fn id(&self) -> DocumentId {
        DocumentId::DataPlane { name: self.metadata.name.to_string() }
    }

    /// A field of this document.
    pub fn field(&self, pointer: &str) -> FieldRef {
        FieldRef::new(self.id(), pointer)
    }
}

impl Component {
    /// Identity.
    pub fn id(&self) -> DocumentId {
        DocumentId::Component { namespace: self.namespace().to_owned(), name: self.metadata.name.to_string() }
    }

    /// Namespace; `default` when none is written.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_ref().map_or("default", DnsLabel::as_str)
    }

    /// A field of this document.
    pub fn field(&self, pointer: &str) -> FieldRef {
        FieldRef::new(self.id(), pointer)
    }
}

/// Everything the users wrote.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intent {
    /// Data planes. None written means one implicit plane named `default`, on the default module.
    pub data_planes: Vec<DataPlane>,
    /// Components.
    pub components: Vec<Component>,
}

impl Intent {
    /// Where a field was written.
    pub fn origin(&self, field: &FieldRef) -> Origin {
        self.source(&field.document).map_or(Origin::Value, |source| source.origin(&field.pointer))
    }

    /// Where a document was written.
    pub(crate) fn source(&self, document: &DocumentId) -> Option<&SourceMap> {
        match document {
            DocumentId::DataPlane { name } => {
                self.data_planes.iter().find(|plane| plane.metadata.name.as_str() == name).map(|plane| &plane.source)
            }
            DocumentId::Component { namespace, name } => self
                .components
                .iter()
                .find(|component| component.metadata.name.as_str() == name && component.namespace() == namespace)
                .map(|component| &component.source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_covers_itself_and_what_is_below_it_only() {
        assert!(covers("/a", "/a") && covers("/a", "/a/b") && covers("", "/a"));
        assert!(!covers("/a", "/ab") && !covers("/a/b", "/a"));
    }
}
