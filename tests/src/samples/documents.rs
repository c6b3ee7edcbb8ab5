//! Intent documents as JSON, to be changed by pointer and read again by the strict loader.

use gateway_modules_core::{
    diagnostic::Diagnostics,
    intent::{Intent, SourceMap, load::Loader},
};
use serde_json::{Value, json};

/// A data plane and a component, as JSON; read again by the loader with all its checks.
#[derive(Clone, Debug, PartialEq)]
pub struct Documents(Vec<Value>);

impl Documents {
    /// A data plane and a component, as they are.
    pub fn new(plane: Value, component: Value) -> Self {
        Self(vec![plane, component])
    }

    /// From YAML; takes the first data plane that the component names, and the first component.
    ///
    /// # Panics
    /// The text is no intent with a data plane and a component: samples are part of the kit, so that is a bug of it.
    #[allow(clippy::expect_used)] // samples are constants
    pub fn from_yaml(text: &str) -> Self {
        let intent = Loader::new().text("sample.yaml", text).finish().expect("a sample is a valid intent").intent;
        let component = intent.components.first().expect("a sample has a component");
        let json = component.to_json().expect("json");
        let named = json.pointer("/spec/dataPlanes/names/0").and_then(Value::as_str);
        let plane =
            intent.data_planes.iter().find(|plane| named.is_none_or(|name| name == plane.metadata.name.as_str()));
        let plane = plane.expect("the plane that the sample names").to_json().expect("json");
        let mut documents = vec![plane, json];
        for (document, kind) in documents.iter_mut().zip(["DataPlane", "Component"]) {
            document["apiVersion"] = json!("gatewaymodules.dev/v1alpha1");
            document["kind"] = json!(kind);
        }
        Self(documents)
    }

    /// The data plane.
    pub fn plane(&self) -> &Value {
        &self.0[0]
    }

    /// The data plane, to be changed.
    pub fn plane_mut(&mut self) -> &mut Value {
        &mut self.0[0]
    }

    /// The component.
    pub fn component(&self) -> &Value {
        &self.0[1]
    }

    /// The component, to be changed.
    pub fn component_mut(&mut self) -> &mut Value {
        &mut self.0[1]
    }

    /// The document of a kind (`DataPlane` or `Component`).
    pub fn of_kind_mut(&mut self, kind: &str) -> &mut Value {
        if kind == "DataPlane" { self.plane_mut() } else { self.component_mut() }
    }

    /// Adds another component.
    pub fn push(&mut self, document: Value) {
        self.0.push(document);
    }

    /// All documents.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    /// The same documents in the reverse order.
    #[must_use]
    pub fn reversed(&self) -> Vec<Value> {
        self.0.iter().rev().cloned().collect()
    }

    /// Reads the documents with all checks.
    ///
    /// # Errors
    /// They are no valid intent.
    pub fn load(&self) -> Result<Intent, Diagnostics> {
        load(self.0.iter())
    }

    /// As [`load`](Self::load), from the reverse order.
    ///
    /// # Errors
    /// They are no valid intent.
    pub fn load_reversed(&self) -> Result<Intent, Diagnostics> {
        load(self.0.iter().rev())
    }
}

fn load<'a>(documents: impl Iterator<Item = &'a Value>) -> Result<Intent, Diagnostics> {
    let mut loader = Loader::new();
    for (index, document) in documents.enumerate() {
        loader = loader.text(&format!("{index}.json"), &document.to_string());
    }
    loader.finish().map(|mut loaded| {
        // Places in the text say nothing about the intent, and differ with the order of the documents.
        for plane in &mut loaded.intent.data_planes {
            plane.source = SourceMap::default();
        }
        for component in &mut loaded.intent.components {
            component.source = SourceMap::default();
        }
        loaded.intent
    })
}

/// Leaves of a JSON value with their pointers: scalars, and empty mappings and lists.
pub fn leaves(value: &Value) -> Vec<(String, &Value)> {
    fn walk<'a>(value: &'a Value, pointer: &str, into: &mut Vec<(String, &'a Value)>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, item) in map {
                    walk(item, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), into);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, &format!("{pointer}/{index}"), into);
                }
            }
            leaf => into.push((pointer.to_owned(), leaf)),
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}
