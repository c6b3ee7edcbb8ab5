//! Defaults of a schema, as an API server fills them in before it checks an object.
//!
//! Follows `defaulting.Default` of k8s.io/apiextensions-apiserver, which also fills the defaults *inside* a default
//! that it has just filled in, and treats `null` as absent unless the field is nullable.

use serde_json::{Map, Value};

use super::list_keys;

/// Fills defaults into a value, in place.
pub(super) fn apply(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => apply_to_fields(fields, schema),
        Value::Array(items) => {
            let Some(item_schema) = schema.get("items") else { return };
            for item in items {
                if item.is_null()
                    && !is_nullable(item_schema)
                    && let Some(default) = item_schema.get("default")
                {
                    *item = default.clone();
                }
                apply(item, item_schema);
            }
        }
        _ => {}
    }
}

fn apply_to_fields(fields: &mut Map<String, Value>, schema: &Value) {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let additional = schema.get("additionalProperties").filter(|schema| schema.is_object());
    fields.retain(|name, value| {
        // null for a field that is not nullable means absent, where the schema knows the field
        let known = properties.get(name).or(additional);
        !(value.is_null() && known.is_some_and(|schema| !is_nullable(schema) && schema.get("default").is_none()))
    });
    for (name, property) in properties {
        if let Some(default) = property.get("default")
            && fields.get(name).is_none_or(|value| value.is_null() && !is_nullable(property))
        {
            fields.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in fields.iter_mut() {
        let Some(child) = properties.get(name).or(additional) else { continue };
        if value.is_null()
            && !is_nullable(child)
            && let Some(default) = child.get("default")
        {
            *value = default.clone();
        }
        apply(value, child);
    }
}

fn is_nullable(schema: &Value) -> bool {
    schema.get("nullable").and_then(Value::as_bool) == Some(true)
}

/// What a server returned, less the fields that it filled in from defaults, to compare with what was sent.
///
/// A field goes when `sent` does not have it and its value is the default of the schema. Items of lists with map keys
/// are compared by key, items of other lists by place.
pub(super) fn without(returned: &Value, sent: &Value, schema: &Value) -> Value {
    match (returned, sent) {
        (Value::Object(fields), Value::Object(sent_fields)) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let additional = schema.get("additionalProperties").filter(|schema| schema.is_object());
            let mut kept = Map::new();
            for (name, value) in fields {
                let child = properties.and_then(|properties| properties.get(name)).or(additional);
                match (sent_fields.get(name), child) {
                    (Some(sent), Some(child)) => drop(kept.insert(name.clone(), without(value, sent, child))),
                    (None, Some(child)) if is_default(value, child) => {}
                    _ => drop(kept.insert(name.clone(), value.clone())),
                }
            }
            Value::Object(kept)
        }
        (Value::Array(items), Value::Array(sent_items)) => {
            let Some(item_schema) = schema.get("items") else { return returned.clone() };
            let keys = list_keys::map_keys(schema);
            let strip = |(index, item): (usize, &Value)| {
                let sent = match &keys {
                    Some(keys) => sent_items.iter().find(|sent| {
                        list_keys::key_of(sent, keys, item_schema) == list_keys::key_of(item, keys, item_schema)
                    }),
                    None => sent_items.get(index),
                };
                sent.map_or_else(|| item.clone(), |sent| without(item, sent, item_schema))
            };
            Value::Array(items.iter().enumerate().map(strip).collect())
        }
        _ => returned.clone(),
    }
}

fn is_default(value: &Value, schema: &Value) -> bool {
    schema.get("default").is_some_and(|default| {
        let mut default = default.clone();
        apply(&mut default, schema);
        &default == value
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({"properties": {
            "nested": {"default": {}, "properties": {"from": {"default": "Same"}}},
            "absent": {"properties": {"x": {"default": 1}}},
            "nullable": {"nullable": true, "default": 1},
            "list": {
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "protocol"],
                "items": {"properties": {"protocol": {"default": "TCP"}, "weight": {"default": 1}}},
            },
            "map": {"additionalProperties": {"properties": {"y": {"default": 2}}}},
        }})
    }

    #[test]
    fn defaults_fill_inside_defaults_lists_and_maps() {
        let mut value = json!({"nullable": null, "list": [{"name": "a", "weight": null}], "map": {"k": {}}});
        apply(&mut value, &schema());
        let filled = json!({
            "nested": {"from": "Same"}, "nullable": null,
            "list": [{"name": "a", "protocol": "TCP", "weight": 1}], "map": {"k": {"y": 2}},
        });
        assert_eq!(value, filled);
    }

    #[test]
    fn null_of_a_field_that_is_not_nullable_is_absent() {
        let mut value = json!({"absent": null});
        apply(&mut value, &schema());
        assert_eq!(value.get("absent"), None);
    }

    #[test]
    fn without_takes_back_what_apply_filled_in() {
        let sent = json!({"nullable": 1, "list": [{"name": "a"}, {"name": "b", "weight": 1}], "map": {"k": {}}});
        let mut returned = sent.clone();
        apply(&mut returned, &schema());
        assert_eq!(without(&returned, &sent, &schema()), sent);
        returned["list"].as_array_mut().unwrap().reverse();
        let stripped = without(&returned, &sent, &schema());
        assert_eq!(stripped["list"], json!([{"name": "b", "weight": 1}, {"name": "a"}]));
        returned["nested"] = json!({"from": "All"});
        assert_eq!(without(&returned, &sent, &schema())["nested"], json!({"from": "All"}));
    }
}
