//! Values of a chart: paths, merging, types.

use serde::Serialize;
use serde_json::{Map, Value};

use super::ValueKind;

/// A value of another type than the documented one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("value `{path}` is {found}, and the chart wants {expected}")]
#[serde(rename_all = "camelCase")]
pub struct ValueError {
    /// Its path.
    pub path: String,
    /// What it is.
    pub found: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

/// The keys of a dotted path; a dot within a key is written `\.`.
fn keys(path: &str) -> Vec<String> {
    path.replace("\\.", "\u{0}").split('.').map(|key| key.replace('\u{0}', ".")).collect()
}

/// The value at a dotted path.
pub fn get_value<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    keys(path).iter().try_fold(values, |value, key| value.get(key.as_str()))
}

/// Sets the value at a dotted path; what is in the way and no mapping is replaced.
pub fn set_value(values: &mut Value, path: &str, value: Value) {
    let mut place = values;
    for key in keys(path) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else { return };
        place = map.entry(key).or_insert(Value::Null);
    }
    *place = value;
}

/// Merges values over others, as Helm does: mappings key by key, everything else as a whole.
pub fn merge_values(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(key) {
                    Some(old) => merge_values(old, value),
                    None => {
                        base.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (base, over) => base.clone_from(over),
    }
}

/// Paths of values that are there before and not after: what a change of the values drops. Lists count as a whole, but for items
/// with a name.
pub fn dropped_values(before: &Value, after: &Value) -> Vec<String> {
    let mut dropped = Vec::new();
    drops(before, Some(after), String::new(), &mut dropped);
    dropped
}

fn drops(before: &Value, after: Option<&Value>, path: String, dropped: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), after) if after.is_some() || !before.is_empty() => {
            for (key, value) in before {
                let below = key.replace('.', "\\.");
                let below = if path.is_empty() { below } else { format!("{path}.{below}") };
                drops(value, after.and_then(|after| after.get(key)), below, dropped);
            }
        }
        (_, None) => dropped.push(path),
        (Value::Array(before), Some(Value::Array(after))) => {
            let names = before.iter().filter_map(|item| item["name"].as_str());
            let gone = names.filter(|name| !after.iter().any(|item| item["name"] == **name));
            dropped.extend(gone.map(|name| format!("{path}[{name}]")));
        }
        _ => {}
    }
}

pub(super) fn check_kinds<'a>(
    documented: impl IntoIterator<Item = (&'a str, ValueKind)>,
    written: &Value,
) -> Vec<ValueError> {
    let mut errors = Vec::new();
    if !written.is_object() && !written.is_null() {
        errors.push(ValueError { path: ".".to_owned(), found: found(written), expected: "a mapping" });
    }
    for (path, kind) in documented {
        // A mapping on the way that is none is as wrong as the value itself.
        let keys = keys(path);
        let mut place = written;
        for (depth, key) in keys.iter().enumerate() {
            let Some(next) = place.get(key.as_str()) else { break };
            place = next;
            let last = depth + 1 == keys.len();
            let (fits, expected) = if last { fits(kind, place) } else { (place.is_object(), "a mapping") };
            // Helm takes `null` as: leave the default out.
            if !fits && !place.is_null() {
                let path = keys[..=depth].join(".");
                if !errors.iter().any(|error| error.path == path) {
                    errors.push(ValueError { path, found: found(place), expected });
                }
            }
        }
    }
    errors
}

fn fits(kind: ValueKind, value: &Value) -> (bool, &'static str) {
    match kind {
        ValueKind::Boolean => (value.is_boolean(), "true or false"),
        ValueKind::Integer => (value.is_i64() || value.is_u64(), "a whole number"),
        ValueKind::Text => (value.is_string(), "a text"),
        ValueKind::List => (value.is_array(), "a list"),
        ValueKind::Mapping => (value.is_object(), "a mapping"),
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_set_and_read() {
        let mut values = json!({});
        set_value(&mut values, "a.b", json!(1));
        set_value(&mut values, "a.x\\.y", json!(2));
        assert_eq!(values, json!({"a": {"b": 1, "x.y": 2}}));
        assert_eq!(get_value(&values, "a.x\\.y"), Some(&json!(2)));
        assert_eq!(get_value(&values, "a.b.c"), None);
    }

    #[test]
    fn mappings_merge_and_lists_are_replaced() {
        let mut base = json!({"a": {"b": 1, "c": [1, 2]}, "d": true});
        merge_values(&mut base, &json!({"a": {"c": [3]}, "e": "f"}));
        assert_eq!(base, json!({"a": {"b": 1, "c": [3]}, "d": true, "e": "f"}));
    }

    #[test]
    fn what_is_dropped_is_told_and_what_is_changed_is_not() {
        let before = json!({"a": {"b": 1, "c": {"e": 2}}, "list": [{"name": "x"}, {"name": "y"}], "d": {}});
        let after = json!({"a": {"b": 3}, "list": [{"name": "y"}], "d": {}});
        assert_eq!(dropped_values(&before, &after), ["a.c.e", "list[x]"]);
        assert_eq!(dropped_values(&Value::Null, &after), Vec::<String>::new());
    }

    #[test]
    fn wrong_types_are_told_once_with_their_path() {
        let documented =
            [("a.enabled", ValueKind::Boolean), ("a.count", ValueKind::Integer), ("list", ValueKind::List)];
        let errors = check_kinds(documented, &json!({"a": {"enabled": "yes", "count": 1.5}, "list": null}));
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "value `a.enabled` is a text, and the chart wants true or false",
                "value `a.count` is a number, and the chart wants a whole number"
            ]
        );
        let errors = check_kinds(documented, &json!({"a": true}));
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].to_string(), "value `a` is a boolean, and the chart wants a mapping");
        assert_eq!(check_kinds(documented, &json!([1])).len(), 1);
    }
}
