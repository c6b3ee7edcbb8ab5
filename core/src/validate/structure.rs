//! Structural check: types, bounds, patterns and required fields, with the schema of the CRD turned into JSON Schema.

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonschema::{Draft, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value, json};

use super::{
    Stage, Violation,
    pattern::{KEYWORD, Patterns},
    pointer,
};

/// Keywords that mean the same in a CRD and in JSON Schema, and hold no schemas.
const PLAIN: [&str; 13] = [
    "type",
    "enum",
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "uniqueItems",
];

/// Longest excerpt of a value or of a schema in a message, in characters.
const EXCERPT: usize = 300;

/// A structural schema, ready to check objects.
#[derive(Debug)]
pub(super) struct Structure {
    validator: Validator,
    schema: Value,
}

impl Structure {
    /// From the `openAPIV3Schema` of a CRD; the error says why the schema cannot be used.
    pub(super) fn compile(open_api: &Value) -> Result<Self, String> {
        let schema = to_json_schema(open_api, true);
        let patterns = Patterns::default();
        let validator = jsonschema::options()
            .with_draft(Draft::Draft7)
            .with_keyword(KEYWORD, move |_, pattern, _| patterns.keyword(pattern))
            .should_validate_formats(true)
            .with_format("k8s-byte", |text: &str| STANDARD.decode(text).is_ok())
            .with_format("k8s-cidr", |text: &str| text.parse::<ipnet::IpNet>().is_ok())
            .with_format("k8s-mac", is_mac)
            .with_format("k8s-duration", is_duration)
            .with_format("k8s-uri", |text: &str| text.starts_with('/') || text.parse::<url::Url>().is_ok())
            .build(&schema)
            .map_err(|error| excerpt(&error.to_string()))?;
        Ok(Self { validator, schema })
    }

    /// Checks an object that has its defaults and no unknown fields.
    pub(super) fn check(&self, object: &Value) -> Vec<Violation> {
        let mut found: Vec<Violation> = self
            .validator
            .iter_errors(object)
            .map(|error| {
                let mut at = error.instance_path().to_string();
                let message = match error.kind() {
                    ValidationErrorKind::Required { property } => {
                        let name = property.as_str().unwrap_or_default();
                        at = pointer::field(&at, name);
                        "is required".to_owned()
                    }
                    ValidationErrorKind::AnyOf { .. } => self.branches("matches none of", error.schema_path().as_str()),
                    ValidationErrorKind::OneOfNotValid { .. } => {
                        self.branches("needs exactly one of, and has none of", error.schema_path().as_str())
                    }
                    ValidationErrorKind::OneOfMultipleValid { .. } => {
                        self.branches("needs exactly one of, and has more than one of", error.schema_path().as_str())
                    }
                    ValidationErrorKind::Not { schema } => {
                        format!("must not match {}", excerpt(&describe(schema)))
                    }
                    _ => excerpt(&error.to_string()),
                };
                Violation { stage: Stage::Structure, pointer: at, message, rule: None }
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }

    fn branches(&self, verb: &str, schema_path: &str) -> String {
        let branches = self.schema.pointer(schema_path).and_then(Value::as_array);
        let names: Vec<String> = branches.into_iter().flatten().map(describe).collect();
        format!("{verb}: {}", excerpt(&names.join(" | ")))
    }
}

/// A branch of `anyOf` and the like, in as few words as possible.
fn describe(branch: &Value) -> String {
    match branch.as_object() {
        Some(fields) if fields.len() == 1 => match fields.iter().next() {
            Some((keyword, Value::Array(names))) if keyword == "required" => {
                names.iter().filter_map(Value::as_str).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
            }
            _ => branch.to_string(),
        },
        _ => branch.to_string(),
    }
}

fn excerpt(text: &str) -> String {
    if text.chars().count() <= EXCERPT {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(EXCERPT).collect::<String>())
}

/// A schema of a CRD as JSON Schema draft 7, without what does not constrain.
fn to_json_schema(schema: &Value, is_resource: bool) -> Value {
    let Some(source) = schema.as_object() else { return schema.clone() };
    let is_true = |keyword: &str| source.get(keyword).and_then(Value::as_bool) == Some(true);
    let mut target = Map::new();
    for keyword in PLAIN {
        if let Some(value) = source.get(keyword) {
            target.insert(keyword.to_owned(), value.clone());
        }
    }
    for (keyword, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if is_true(keyword)
            && let Some(limit) = target.remove(bound)
        {
            target.insert(keyword.to_owned(), limit);
        }
    }
    if let Some(properties) = source.get("properties").and_then(Value::as_object) {
        let converted = properties.iter().map(|(name, child)| (name.clone(), to_json_schema(child, false)));
        target.insert("properties".to_owned(), Value::Object(converted.collect()));
    }
    for keyword in ["items", "additionalProperties", "not"] {
        if let Some(child) = source.get(keyword).filter(|child| child.is_object()) {
            target.insert(keyword.to_owned(), to_json_schema(child, false));
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        if let Some(branches) = source.get(keyword).and_then(Value::as_array) {
            let converted = branches.iter().map(|branch| to_json_schema(branch, false)).collect();
            target.insert(keyword.to_owned(), Value::Array(converted));
        }
    }
    if let Some(pattern) = source.get("pattern") {
        target.insert(KEYWORD.to_owned(), pattern.clone());
    }
    if let Some(format) = source.get("format").and_then(Value::as_str) {
        convert_format(format, &mut target);
    }
    if is_true("x-kubernetes-int-or-string") {
        target.insert("type".to_owned(), json!(["integer", "string"]));
        if target.get("anyOf") == Some(&json!([{"type": "integer"}, {"type": "string"}])) {
            target.remove("anyOf");
        }
    }
    if is_true("nullable") {
        if let Some(kind @ Value::String(_)) = target.get("type") {
            target.insert("type".to_owned(), json!([kind, "null"]));
        } else if let Some(Value::Array(kinds)) = target.get_mut("type") {
            kinds.push("null".into());
        }
        if let Some(Value::Array(options)) = target.get_mut("enum") {
            options.push(Value::Null);
        }
    }
    if is_true("x-kubernetes-embedded-resource") && !is_resource {
        let required = target.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            for name in ["apiVersion", "kind"] {
                if !required.iter().any(|present| present == name) {
                    required.push(name.into());
                }
            }
        }
    }
    Value::Object(target)
}

/// Formats that an API server checks; it ignores all others, and so do we.
///
/// Source: `supportedVersionedFormats` of k8s.io/apiextensions-apiserver.
fn convert_format(format: &str, target: &mut Map<String, Value>) {
    let known = match format {
        "date-time" | "datetime" => "date-time",
        "date" => "date",
        "email" => "email",
        "hostname" => "hostname",
        "ipv4" => "ipv4",
        "ipv6" => "ipv6",
        "uuid" => "uuid",
        "byte" => "k8s-byte",
        "cidr" => "k8s-cidr",
        "mac" => "k8s-mac",
        "duration" => "k8s-duration",
        "uri" => "k8s-uri",
        "int32" => return bound(target, i32::MIN.into(), i32::MAX.into()),
        "uint32" => return bound(target, 0.into(), u32::MAX.into()),
        "int64" => return bound(target, i64::MIN.into(), i64::MAX.into()),
        "uint64" => return bound(target, 0.into(), u64::MAX.into()),
        _ => return,
    };
    target.insert("format".to_owned(), known.into());
}

fn bound(target: &mut Map<String, Value>, lowest: Value, highest: Value) {
    if target.get("type").and_then(Value::as_str) != Some("integer") {
        return;
    }
    if !target.contains_key("exclusiveMinimum") {
        target.entry("minimum").or_insert(lowest);
    }
    if !target.contains_key("exclusiveMaximum") {
        target.entry("maximum").or_insert(highest);
    }
}

fn is_mac(text: &str) -> bool {
    let octets: Vec<&str> = text.split([':', '-']).collect();
    matches!(octets.len(), 6 | 8 | 20)
        && octets.iter().all(|octet| octet.len() == 2 && octet.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A duration as in Go (`1h30m`) or in words (`3 weeks`), as `strfmt.ParseDuration` reads it.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text).trim();
    if rest == "0" {
        return true;
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let after = after.trim_start();
        let unit_end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let unit = unit.to_lowercase();
        let known = matches!(unit.as_str(), "ns" | "us" | "µs" | "ms" | "s" | "m" | "h" | "d" | "w")
            || ["nano", "micro", "milli", "sec", "min", "hour", "hr", "day", "week", "wk"]
                .iter()
                .any(|word| unit.starts_with(word));
        if number.parse::<f64>().is_err() || !known {
            return false;
        }
        rest = next.trim_start();
    }
    !text.is_empty()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn found(schema: &Value, object: &Value) -> Vec<String> {
        let structure = Structure::compile(schema).unwrap();
        structure.check(object).into_iter().map(|found| format!("{} {}", found.pointer, found.message)).collect()
    }

    #[test]
    fn open_api_keywords_become_json_schema() {
        let schema = json!({"type": "object", "required": ["must"], "properties": {
            "must": {"type": "string"},
            "null": {"type": "string", "nullable": true, "enum": ["a"]},
            "either": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "small": {"type": "integer", "format": "int32"},
            "above": {"type": "number", "minimum": 1, "exclusiveMinimum": true},
            "odd": {"type": "string", "format": "made-up"},
            "cidr": {"type": "string", "format": "cidr"},
        }});
        let good =
            json!({"must": "", "null": null, "either": "80%", "small": 1, "above": 1.5, "odd": "", "cidr": "::/0"});
        assert_eq!(found(&schema, &good), Vec::<String>::new());
        let bad = json!({"null": "b", "either": true, "small": 3_000_000_000_u32, "above": 1, "cidr": "10.0.0.0"});
        let pointers: Vec<_> =
            found(&schema, &bad).iter().filter_map(|text| text.split(' ').next().map(str::to_owned)).collect();
        assert_eq!(pointers, ["/above", "/cidr", "/either", "/must", "/null", "/small"]);
    }

    #[test]
    fn alternatives_are_named() {
        let schema = json!({"oneOf": [{"required": ["a"]}, {"required": ["b", "c"]}]});
        assert_eq!(found(&schema, &json!({})), [" needs exactly one of, and has none of: `a` | `b` and `c`"]);
    }

    #[test]
    fn durations_as_in_go_and_in_words() {
        for text in ["0", "1h30m", "-1.5s", "10 ms", "3 weeks"] {
            assert!(is_duration(text), "{text}");
        }
        for text in ["", "1", "h", "1x", "1.2.3s"] {
            assert!(!is_duration(text), "{text}");
        }
    }
}
