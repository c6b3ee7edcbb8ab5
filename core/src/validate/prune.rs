//! What an API server would drop without a word: fields that the schema does not know.
//!
//! Follows `pruning.Prune` of k8s.io/apiextensions-apiserver. Structural schemas list every field outside of
//! `allOf`, `anyOf`, `oneOf` and `not`, so those need no look here.

use serde_json::{Map, Value};

use super::pointer;

/// A field that the schema does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownField {
    /// JSON pointer to the field.
    pub(super) pointer: String,
    /// A known field at the same place whose name is close.
    pub(super) suggestion: Option<String>,
}

/// Removes unknown fields from an object as an API server does; returns them in document order.
pub(super) fn prune(object: &mut Value, schema: &Value) -> Vec<UnknownField> {
    let mut unknown = Vec::new();
    walk(object, Some(schema), "", true, &mut unknown);
    unknown
}

fn is_true(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword).and_then(Value::as_bool) == Some(true)
}

fn walk(value: &mut Value, schema: Option<&Value>, path: &str, is_resource: bool, unknown: &mut Vec<UnknownField>) {
    match value {
        Value::Object(fields) => walk_fields(fields, schema, path, is_resource, unknown),
        Value::Array(items) => {
            let keeps_all = schema.is_some_and(|schema| is_true(schema, "x-kubernetes-preserve-unknown-fields"));
            let item_schema = schema.and_then(|schema| schema.get("items"));
            if keeps_all && item_schema.is_none() {
                return;
            }
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, item_schema, &pointer::item(path, index), false, unknown);
            }
        }
        _ => {}
    }
}

fn walk_fields(
    fields: &mut Map<String, Value>,
    schema: Option<&Value>,
    path: &str,
    is_resource: bool,
    unknown: &mut Vec<UnknownField>,
) {
    let keeps_all = schema.is_some_and(|schema| is_true(schema, "x-kubernetes-preserve-unknown-fields"));
    let is_resource = is_resource || schema.is_some_and(|schema| is_true(schema, "x-kubernetes-embedded-resource"));
    let properties = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let additional = schema.and_then(|schema| schema.get("additionalProperties"));
    fields.retain(|name, value| {
        if is_resource && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            return true; // metadata has its own stage
        }
        let child = pointer::field(path, name);
        if let Some(property) = properties.and_then(|properties| properties.get(name)) {
            walk(value, Some(property), &child, false, unknown);
            return true;
        }
        match additional {
            Some(Value::Bool(false)) | None => {}
            Some(Value::Bool(true)) if keeps_all => return true,
            Some(schema) => {
                walk(value, Some(schema).filter(|schema| schema.is_object()), &child, false, unknown);
                return true;
            }
        }
        if !keeps_all {
            unknown.push(UnknownField { pointer: child, suggestion: suggestion(name, properties) });
        }
        keeps_all
    });
}

fn suggestion(name: &str, properties: Option<&Map<String, Value>>) -> Option<String> {
    let close = |known: &&String| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let best = properties?.keys().min_by_key(close)?;
    (close(&best) <= (name.chars().count() / 3).max(1)).then(|| best.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    fn unknown(schema: &Value, mut object: Value) -> (Vec<String>, Value) {
        let found = prune(&mut object, schema).into_iter().map(|field| field.pointer).collect();
        (found, object)
    }

    #[test]
    fn unknown_fields_go_in_objects_lists_and_maps() {
        let schema = json!({"properties": {
            "list": {"items": {"properties": {"a": {}}}},
            "map": {"additionalProperties": {"properties": {"a": {}}}},
        }});
        let object = json!({"kind": "K", "list": [{"a": 1}, {"b": 2}], "map": {"x/y": {"c": 3}}, "no": 1});
        let (found, pruned) = unknown(&schema, object);
        assert_eq!(found, ["/list/1/b", "/map/x~1y/c", "/no"]);
        assert_eq!(pruned, json!({"kind": "K", "list": [{"a": 1}, {}], "map": {"x/y": {}}}));
    }

    #[test]
    fn preserved_fields_stay_and_their_known_children_are_pruned() {
        let schema = json!({"properties": {"config": {
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "object", "properties": {"a": {}}}},
        }}});
        let (found, _) = unknown(&schema, json!({"config": {"free": {"b": [{"c": 1}]}, "known": {"b": 1}}}));
        assert_eq!(found, ["/config/known/b"]);
    }

    #[test]
    fn embedded_resources_keep_their_identity() {
        let schema = json!({"properties": {"template": {
            "x-kubernetes-embedded-resource": true, "properties": {"spec": {}},
        }}});
        let template = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spek": 1});
        let (found, _) = unknown(&schema, json!({"template": template}));
        assert_eq!(found, ["/template/spek"]);
    }

    #[test]
    fn a_close_name_is_suggested() {
        let schema = json!({"properties": {"request": {}, "backendRequest": {}}});
        let mut object = json!({"reqest": 1, "other": 2});
        let found = prune(&mut object, &schema);
        let suggestions: Vec<_> = found.iter().map(|field| field.suggestion.as_deref()).collect();
        assert!(suggestions.contains(&Some("request")) && suggestions.contains(&None));
    }
}
