//! Uniqueness in lists that the schema declares to be maps or sets.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Stage, Violation, pointer};

/// The names of the key fields, if the schema declares the list to be a map (`x-kubernetes-list-type: map`).
pub(super) fn map_keys(schema: &Value) -> Option<Vec<&str>> {
    if list_type(schema) != Some("map") {
        return None;
    }
    let keys = schema.get("x-kubernetes-list-map-keys")?.as_array()?;
    Some(keys.iter().filter_map(Value::as_str).collect())
}

fn list_type(schema: &Value) -> Option<&str> {
    schema.get("x-kubernetes-list-type")?.as_str()
}

/// The key of one item: the values of the key fields, with their defaults where the item has none.
pub(super) fn key_of<'a>(item: &'a Value, keys: &[&str], item_schema: &'a Value) -> Vec<Option<&'a Value>> {
    let default = |key: &str| item_schema.get("properties")?.get(key)?.get("default");
    keys.iter().map(|key| item.get(key).or_else(|| default(key))).collect()
}

/// Checks every list of an object that already has its defaults.
pub(super) fn check(value: &Value, schema: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    walk(value, schema, "", &mut found);
    found
}

fn walk(value: &Value, schema: &Value, path: &str, found: &mut Vec<Violation>) {
    match value {
        Value::Object(fields) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let additional = schema.get("additionalProperties").filter(|schema| schema.is_object());
            for (name, value) in fields {
                if let Some(child) = properties.and_then(|properties| properties.get(name)).or(additional) {
                    walk(value, child, &pointer::field(path, name), found);
                }
            }
        }
        Value::Array(items) => {
            let Some(item_schema) = schema.get("items") else { return };
            check_list(items, schema, item_schema, path, found);
            for (index, item) in items.iter().enumerate() {
                walk(item, item_schema, &pointer::item(path, index), found);
            }
        }
        _ => {}
    }
}

fn check_list(items: &[Value], schema: &Value, item_schema: &Value, path: &str, found: &mut Vec<Violation>) {
    let keys = map_keys(schema);
    if keys.is_none() && list_type(schema) != Some("set") {
        return;
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let text = match &keys {
            Some(keys) => {
                let values = key_of(item, keys, item_schema);
                let pair = |(key, value): (&&str, Option<&Value>)| {
                    format!("{key}={}", value.map_or_else(|| "(absent)".to_owned(), Value::to_string))
                };
                keys.iter().zip(values).map(pair).collect::<Vec<_>>().join(", ")
            }
            None => item.to_string(),
        };
        if let Some(first) = seen.get(&text) {
            found.push(Violation {
                stage: Stage::ListKeys,
                pointer: pointer::item(path, index),
                message: format!("duplicates item {first} of the list: {text}"),
                rule: None,
            });
        } else {
            seen.insert(text, index);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_count_with_their_defaults_and_sets_by_value() {
        let schema = json!({"properties": {
            "ports": {
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                "items": {"properties": {"protocol": {"default": "TCP"}}},
            },
            "names": {"x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "free": {"x-kubernetes-list-type": "atomic", "items": {"type": "string"}},
        }});
        let object = json!({
            "ports": [{"port": 1}, {"port": 1, "protocol": "UDP"}, {"port": 1, "protocol": "TCP"}],
            "names": ["a", "b", "a"], "free": ["a", "a"],
        });
        let mut pointers: Vec<_> = check(&object, &schema).into_iter().map(|violation| violation.pointer).collect();
        pointers.sort();
        assert_eq!(pointers, ["/names/2", "/ports/2"]);
    }
}
