//! Charts and their values.

use serde::Serialize;
use serde_json::{Map, Value};

use super::values::{ValueError, check_kinds, get_value, set_value};

/// Where a chart comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
#[non_exhaustive]
pub enum ChartSource {
    /// An OCI registry.
    Oci {
        /// `oci://…`, without the chart's name.
        registry: String,
    },
    /// A chart repository over HTTP.
    Repository {
        /// Its address.
        url: String,
    },
}

/// How the type of a value is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ValueKind {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A text.
    Text,
    /// A list.
    List,
    /// A mapping.
    Mapping,
}

/// How a value's path is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "known")]
pub enum Known {
    /// Read in the vendor's values file or schema; a test reads it again where the chart is in a public module. The file may be
    /// of another release than the chart that is installed, so that chart is looked at as well.
    Verified {
        /// The file, with its commit where no test reads it again.
        source: &'static str,
    },
    /// From the vendor's documentation alone. The chart that is fetched is looked at before anything is installed.
    Unverified {
        /// Where it is said.
        source: &'static str,
    },
}

/// One value of a chart, by its path.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChartValue {
    /// Dotted path; a dot within a key is written `\.`.
    pub path: &'static str,
    /// What is set; absent for a value that is only documented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Its type.
    pub kind: ValueKind,
    /// What it does, and why it is set.
    pub about: &'static str,
    /// How the path is known.
    pub known: Known,
}

impl ChartValue {
    /// A documented value that is not set.
    pub const fn documented(path: &'static str, kind: ValueKind, about: &'static str, known: Known) -> Self {
        Self { path, value: None, kind, about, known }
    }

    /// The same, set.
    #[must_use]
    pub fn set(mut self, value: impl Into<Value>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// The same, set when there is something to set.
    #[must_use]
    pub fn set_if(mut self, value: Option<impl Into<Value>>) -> Self {
        self.value = value.map(Into::into);
        self
    }
}

/// Where a chart has its CustomResourceDefinitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Definitions {
    /// It has none.
    None,
    /// In its folder `crds`: Helm installs them once and never upgrades them, so they are applied beside the chart.
    Folder,
    /// In its templates, which say `helm.sh/resource-policy: keep`: Helm upgrades them and leaves them when the chart goes.
    Templates,
    /// The chart is nothing but definitions, and Helm would take them away with it, and all objects of theirs: they are
    /// applied beside Helm, which never gets to know the chart.
    Only,
}

/// A chart of an installation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chart {
    /// Name of the release.
    pub release: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Name of the chart.
    pub name: String,
    /// Where it comes from.
    pub source: ChartSource,
    /// Version of the chart, exactly as its registry has it.
    pub version: String,
    /// Values that are set or documented.
    pub values: Vec<ChartValue>,
    /// Where its definitions are.
    pub definitions: Definitions,
    /// Paths of the values that are labels of the pods that carry requests, where they are the chart's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pod_labels: Vec<&'static str>,
}

impl Chart {
    /// A chart whose release has the chart's name.
    pub fn new(name: &str, version: &str, namespace: &str, source: ChartSource) -> Self {
        Self {
            release: name.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            source,
            version: version.to_owned(),
            values: Vec::new(),
            definitions: Definitions::None,
            pod_labels: Vec::new(),
        }
    }

    /// With another name of the release.
    #[must_use]
    pub fn with_release(mut self, release: &str) -> Self {
        release.clone_into(&mut self.release);
        self
    }

    /// With values.
    #[must_use]
    pub fn with_values(mut self, values: impl IntoIterator<Item = ChartValue>) -> Self {
        self.values.extend(values);
        self
    }

    /// With definitions.
    #[must_use]
    pub const fn with_definitions(mut self, definitions: Definitions) -> Self {
        self.definitions = definitions;
        self
    }

    /// With the values, among those of [`with_values`](Self::with_values), that are labels of the pods that carry requests.
    #[must_use]
    pub fn with_pod_labels(mut self, paths: impl IntoIterator<Item = &'static str>) -> Self {
        self.pod_labels.extend(paths);
        self
    }

    /// The values that are set.
    pub fn set_values(&self) -> Value {
        let mut all = Value::Object(Map::new());
        for (path, value) in self.values.iter().filter_map(|entry| Some((entry.path, entry.value.clone()?))) {
            set_value(&mut all, path, value);
        }
        all
    }

    /// What is wrong with values that a user has written: other types than the documented ones.
    pub fn value_errors(&self, written: &Value) -> Vec<ValueError> {
        check_kinds(self.values.iter().map(|value| (value.path, value.kind)), written)
    }

    /// Values that are set and that the chart's own values file does not know. A key below a mapping that is empty in the
    /// file is for the user to choose, so it is known.
    pub fn unknown_paths(&self, defaults: &Value) -> Vec<&'static str> {
        let set = self.values.iter().filter(|value| value.value.is_some());
        set.filter(|value| !knows(defaults, value.path)).map(|value| value.path).collect()
    }
}

/// Istio keeps its defaults below one key so that Helm lets profiles override them (`templates/zzz_profile.yaml`).
const DEFAULTS_BELOW: &str = "_internal_defaults_do_not_set";

fn knows(defaults: &Value, path: &str) -> bool {
    let free = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
    let below = |root: &Value| {
        let parents = path.match_indices('.').map(|(at, _)| &path[..at]);
        get_value(root, path).is_some() || parents.filter_map(|parent| get_value(root, parent)).any(free)
    };
    below(defaults) || defaults.get(DEFAULTS_BELOW).is_some_and(below)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chart(path: &'static str) -> Chart {
        let known = Known::Verified { source: "test" };
        let value = ChartValue::documented(path, ValueKind::Boolean, "test", known).set(true);
        Chart::new("a", "1.0.0", "a", ChartSource::Oci { registry: "oci://registry.test".to_owned() })
            .with_values([value])
    }

    #[test]
    fn a_path_that_the_chart_does_not_have_is_told() {
        let defaults = json!({"gateway": {"enabled": false, "env": {}}, "_internal_defaults_do_not_set": {"x": 1}});
        for known in ["gateway.enabled", "gateway.env.ANY", "x"] {
            assert_eq!(chart(known).unknown_paths(&defaults), Vec::<&str>::new(), "{known}");
        }
        for unknown in ["gateway.enable", "gateways.enabled", "y", "x.y"] {
            assert_eq!(chart(unknown).unknown_paths(&defaults), [unknown]);
        }
    }
}
