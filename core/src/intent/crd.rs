//! CustomResourceDefinitions of the intent types, made from the same schemas as [`schema`](super::schema): structural, so that
//! an API server takes them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    GROUP, VERSION,
    schema::{DocumentKind, schema, strict_schema},
    status::{ComponentStatus, DataPlaneStatus},
};

/// The CustomResourceDefinition of a kind.
pub fn definition(kind: DocumentKind) -> Value {
    let (plural, singular, scope, short) = match kind {
        DocumentKind::DataPlane => ("dataplanes", "dataplane", "Cluster", "gwdp"),
        DocumentKind::Component => ("components", "component", "Namespaced", "gwc"),
    };
    let document = schema(kind);
    let mut spec = structural(&document["properties"]["spec"], &document["$defs"]);
    let status = match kind {
        DocumentKind::DataPlane => strict_schema::<DataPlaneStatus>(),
        DocumentKind::Component => strict_schema::<ComponentStatus>(),
    };
    let mut status = structural(&status, &status["$defs"]);
    keyed_list(&mut status, "/properties/conditions", "type");
    match kind {
        DocumentKind::DataPlane => {
            spec["x-kubernetes-validations"] = json!([{
                "rule": "!has(self.cluster) || !has(self.cluster.context)",
                "message": "a context is one of a kubeconfig file; in a cluster name a kubeconfigSecret",
            }, {
                "rule": "has(self.cluster) == has(oldSelf.cluster) && (!has(self.cluster) || self.cluster == oldSelf.cluster)",
                "message": "the cluster of a plane cannot change, since what it has there would stay: delete the DataPlane, then create it anew",
            }]);
        }
        DocumentKind::Component => {
            keyed_list(&mut spec, "/properties/endpoints", "name");
            keyed_list(&mut status, "/properties/dataPlanes", "name");
        }
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{GROUP}"), "labels": { "app.kubernetes.io/name": "gateway-modules" } },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.as_str(), "listKind": format!("{kind}List"), "plural": plural, "singular": singular,
                "shortNames": [short], "categories": ["gateway-modules"],
            },
            "scope": scope,
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns(kind),
                "schema": { "openAPIV3Schema": {
                    "description": document["description"],
                    "type": "object",
                    "required": ["spec"],
                    "properties": {
                        "apiVersion": { "type": "string" },
                        "kind": { "type": "string" },
                        "metadata": { "type": "object" },
                        "spec": spec,
                        "status": status,
                    },
                    "x-kubernetes-validations": [{
                        "rule": "size(self.metadata.name) <= 63 && !self.metadata.name.contains('.')",
                        "message": "the name must be a DNS label: at most 63 characters, and no dot",
                    }],
                } },
            }],
        },
    })
}

/// The definitions of all kinds.
pub fn definitions() -> Vec<Value> {
    DocumentKind::ALL.iter().map(|kind| definition(*kind)).collect()
}

fn columns(kind: DocumentKind) -> Value {
    let condition = |name: &str| json!({ "name": name, "type": "string", "jsonPath": format!(".status.conditions[?(@.type==\"{name}\")].status") });
    let age = json!({ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" });
    match kind {
        DocumentKind::DataPlane => json!([
            { "name": "Module", "type": "string", "jsonPath": ".status.module.name" },
            { "name": "Class", "type": "string", "jsonPath": ".status.module.class", "priority": 1 },
            condition("Accepted"), condition("Programmed"), condition("Ready"), age,
        ]),
        DocumentKind::Component => json!([
            condition("Resolved"), condition("Accepted"), condition("Ready"),
            { "name": "URL", "type": "string", "jsonPath": ".status.dataPlanes[0].endpoints[0].urls[0]", "priority": 1 },
            age,
        ]),
    }
}

fn keyed_list(schema: &mut Value, pointer: &str, key: &str) {
    if let Some(list) = schema.pointer_mut(pointer) {
        list["x-kubernetes-list-type"] = "map".into();
        list["x-kubernetes-list-map-keys"] = json!([key]);
    }
}

/// A JSON Schema as a structural schema: references are put in place, and an enum with contents becomes one object of which
/// exactly one field is set.
fn structural(schema: &Value, definitions: &Value) -> Value {
    let Value::Object(source) = schema else { return json!({ "x-kubernetes-preserve-unknown-fields": true }) };
    let mut source = source.clone();
    if let Some(name) = source.remove("$ref").as_ref().and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
        && let Some(Value::Object(target)) = definitions.get(name)
    {
        for (keyword, value) in target {
            source.entry(keyword).or_insert_with(|| value.clone());
        }
    }
    let mut result = Map::new();
    for keyword in [
        "description",
        "type",
        "enum",
        "required",
        "pattern",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "minimum",
        "maximum",
    ] {
        if let Some(value) = source.get(keyword) {
            result.insert(keyword.to_owned(), value.clone());
        }
    }
    if let Some(value) = source.get("const") {
        result.insert("enum".into(), json!([value]));
    }
    if let Some(items) = source.get("items") {
        result.insert("items".into(), structural(items, definitions));
    }
    let mut properties = Map::new();
    if let Some(Value::Object(fields)) = source.get("properties") {
        properties.extend(fields.iter().map(|(name, field)| (name.clone(), structural(field, definitions))));
    }
    for keyword in ["oneOf", "anyOf"] {
        let Some(Value::Array(branches)) = source.get(keyword) else { continue };
        let branches: Vec<Value> = branches.iter().map(|branch| structural(branch, definitions)).collect();
        merge_branches(&branches, &mut result, &mut properties);
    }
    if let Some(Value::Object(patterns)) = source.get("patternProperties")
        && let Some(values) = patterns.values().next()
    {
        result.insert("additionalProperties".into(), structural(values, definitions));
    } else if let Some(values @ Value::Object(_)) = source.get("additionalProperties") {
        result.insert("additionalProperties".into(), structural(values, definitions));
    } else if source.get("additionalProperties") == Some(&Value::Bool(true)) {
        result.insert("x-kubernetes-preserve-unknown-fields".into(), true.into());
    }
    if !properties.is_empty() {
        result.insert("properties".into(), properties.into());
    }
    Value::Object(result)
}

/// Branches of an enum: words become one list of words, contents become fields of one object.
fn merge_branches(branches: &[Value], result: &mut Map<String, Value>, properties: &mut Map<String, Value>) {
    let words: BTreeSet<String> = branches
        .iter()
        .filter_map(|branch| branch["enum"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect();
    if !words.is_empty() {
        result.insert("type".into(), "string".into());
        result.insert("enum".into(), json!(words));
        return;
    }
    let mut choices = Vec::new();
    for branch in branches {
        let Some(Value::Object(fields)) = branch.get("properties") else { continue };
        for (name, field) in fields {
            let mut field = field.clone();
            if let (Some(object), Some(text)) = (field.as_object_mut(), branch.get("description")) {
                object.entry("description").or_insert_with(|| text.clone());
            }
            properties.insert(name.clone(), field);
        }
        choices.push(json!({ "required": branch["required"] }));
    }
    result.insert("type".into(), "object".into());
    result.insert("oneOf".into(), choices.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_structural() {
        fn walk(at: &str, schema: &Value) {
            let object = schema.as_object().expect(at);
            assert!(object.contains_key("type"), "{at} has no type: {schema}");
            for keyword in ["$ref", "const", "patternProperties", "anyOf", "default", "propertyNames"] {
                assert!(!object.contains_key(keyword), "{at} has {keyword}");
            }
            assert!(
                !(object.contains_key("properties") && object.contains_key("additionalProperties")),
                "{at} has both kinds of properties"
            );
            for (name, field) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
                walk(&format!("{at}/{name}"), field);
            }
            for keyword in ["items", "additionalProperties"] {
                if let Some(inner) = object.get(keyword) {
                    walk(&format!("{at}/{keyword}"), inner);
                }
            }
        }
        for definition in definitions() {
            walk("", &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
        }
    }

    #[test]
    fn an_enum_with_contents_is_one_of_its_fields() {
        let component = definition(DocumentKind::Component);
        let picker = &component["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
            ["dataPlanes"];
        assert_eq!(picker["oneOf"].as_array().map(Vec::len), Some(2), "{picker}");
        assert_eq!(picker["properties"]["names"]["maxItems"], 32);
    }
}
