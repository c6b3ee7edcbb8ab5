//! JSON Schema of the documents, made from the types and strict: what the types ignore, the schema refuses.

use std::fmt;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{ComponentSpec, DataPlaneSpec, GROUP, Metadata, VERSION};

/// Kind of an intent document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// `DataPlane`.
    DataPlane,
    /// `Component`.
    Component,
}

impl DocumentKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[Self::DataPlane, Self::Component];

    /// As it is written in `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DataPlane => "DataPlane",
            Self::Component => "Component",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// JSON Schema (2020-12) of a whole document of this kind, strict: an unknown field and a key without a value are refused.
pub fn schema(kind: DocumentKind) -> Value {
    let mut generator = SchemaGenerator::default();
    let metadata = generator.subschema_for::<Metadata>().to_value();
    let (spec, description) = match kind {
        DocumentKind::DataPlane => (
            generator.subschema_for::<DataPlaneSpec>(),
            "A data plane: which gateway serves it, and the Gateways (visibilities) it has.",
        ),
        DocumentKind::Component => (
            generator.subschema_for::<ComponentSpec>(),
            "A component: a service of a team and the endpoints it exposes. Its namespace is its tenant.",
        ),
    };
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:{GROUP}:{VERSION}:{kind}"),
        "title": kind.as_str(),
        "description": description,
        "type": "object",
        "properties": {
            "apiVersion": { "description": "Group and version.", "type": "string", "const": format!("{GROUP}/{VERSION}") },
            "kind": { "description": "Kind.", "type": "string", "const": kind.as_str() },
            "metadata": metadata,
            "spec": spec.to_value(),
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "$defs": generator.take_definitions(true),
    });
    make_strict(&mut schema);
    schema
}

/// JSON Schema of a type, made strict as [`schema`] is.
pub fn strict_schema<T: JsonSchema>() -> Value {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    make_strict(&mut schema);
    schema
}

/// Closes every object that is not a free mapping, and takes `null` from what may be left out.
fn make_strict(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    without_null(object);
    let typed_object = object.get("type").is_some_and(|kind| kind == "object");
    if typed_object && !object.contains_key("additionalProperties") && !object.contains_key("patternProperties") {
        object.insert("additionalProperties".into(), Value::Bool(false));
    }
    limit_keys(object);
    for (keyword, value) in object.iter_mut() {
        match (keyword.as_str(), value) {
            ("properties" | "patternProperties" | "$defs", Value::Object(schemas)) => {
                schemas.values_mut().for_each(make_strict);
            }
            ("oneOf" | "anyOf" | "allOf" | "prefixItems", Value::Array(schemas)) => {
                schemas.iter_mut().for_each(make_strict);
            }
            ("items" | "additionalProperties" | "propertyNames" | "not", value) => make_strict(value),
            _ => {}
        }
    }
}

/// `Option<T>` is `T` or null for schemars. In a file, a key without a value is a slip: it must not switch a policy off.
fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    for keyword in ["anyOf", "oneOf"] {
        let Some(Value::Array(branches)) = object.get_mut(keyword) else { continue };
        branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = branches.as_slice()
            && keyword == "anyOf"
        {
            let only = only.clone();
            object.remove(keyword);
            for (name, value) in only {
                object.entry(name).or_insert(value);
            }
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// schemars gives the keys of a mapping their pattern, and not their length.
fn limit_keys(object: &mut Map<String, Value>) {
    let Some(Value::Object(patterns)) = object.get("patternProperties") else { return };
    let longest = patterns
        .keys()
        .filter_map(|pattern| super::load::words::for_pattern(pattern))
        .map(|words| words.max_length)
        .max();
    if let Some(longest) = longest {
        object.entry("propertyNames").or_insert_with(|| json!({ "maxLength": longest }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_closed_or_free_on_purpose() {
        fn walk(at: &str, value: &Value, open: &mut Vec<String>) {
            match value {
                Value::Object(object) => {
                    if object.get("type").is_some_and(|kind| kind == "object")
                        && object.get("additionalProperties") != Some(&Value::Bool(false))
                    {
                        open.push(at.to_owned());
                    }
                    assert!(object.get("type").is_none_or(|kind| kind != "null"), "{at}");
                    object.iter().for_each(|(key, value)| walk(&format!("{at}/{key}"), value, open));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(at, value, open)),
                _ => {}
            }
        }
        for kind in DocumentKind::ALL {
            let mut open = Vec::new();
            walk("", &schema(*kind), &mut open);
            let expected: &[&str] = match kind {
                DocumentKind::DataPlane => &["/$defs/GatewaySelection/properties/parameters"],
                DocumentKind::Component => &[],
            };
            assert_eq!(open, expected);
        }
    }

    #[test]
    fn schemas_are_themselves_valid() {
        for kind in DocumentKind::ALL {
            assert!(jsonschema::meta::is_valid(&schema(*kind)));
        }
        assert_eq!(strict_schema::<Metadata>()["additionalProperties"], false);
    }
}
