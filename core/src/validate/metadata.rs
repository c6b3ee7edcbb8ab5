//! Checks of `metadata` that every API server makes, whatever the schema says.
//!
//! Source: `ValidateObjectMeta` of k8s.io/apimachinery.

use serde_json::{Map, Value};

use super::{Scope, Stage, Violation, pointer};
use crate::object::Object;

/// Greatest sum of the lengths of all annotations (keys and values), in bytes.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Fields of `metadata`; an API server drops any other.
const FIELDS: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Checks `metadata`; with a scope (the kind has a CRD) also the name and the namespace.
pub(super) fn check(object: &Object, scope: Option<Scope>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut add = |stage: Stage, pointer: String, message: String| {
        found.push(Violation { stage, pointer, message, rule: None });
    };
    if let Some(scope) = scope {
        if !is_dns_subdomain(object.name()) {
            let message = "must be lower-case letters, digits, `-` and `.`, at most 253 (a DNS subdomain)";
            add(Stage::Metadata, "/metadata/name".into(), message.into());
        }
        let at = || "/metadata/namespace".to_owned();
        match (scope, object.namespace().filter(|namespace| !namespace.is_empty())) {
            (Scope::Namespaced, None) => add(Stage::Metadata, at(), "the kind is namespaced: set a namespace".into()),
            (Scope::Namespaced, Some(namespace)) if !is_dns_label(namespace) => {
                let message = "must be lower-case letters, digits and `-`, at most 63 (a DNS label)";
                add(Stage::Metadata, at(), message.into());
            }
            (Scope::Cluster, Some(_)) => {
                add(Stage::Metadata, at(), "the kind is cluster-scoped: remove the namespace".into());
            }
            _ => {}
        }
    }
    let Some(metadata) = object.as_map().get("metadata").and_then(Value::as_object) else { return found };
    for name in metadata.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
        let message = "is no field of metadata; the API server would drop it";
        add(Stage::UnknownField, pointer::field("/metadata", name), message.into());
    }
    for (key, value, at) in entries(metadata, "labels", &mut add) {
        if !is_qualified_name(key) {
            add(Stage::Metadata, at.clone(), format!("`{key}` is no label key ([prefix/]name, name at most 63)"));
        }
        match value.as_str() {
            Some("") => {}
            Some(text) if is_name_segment(text) => {}
            Some(_) => add(
                Stage::Metadata,
                at,
                "a label value has at most 63 letters, digits, `-`, `_` and `.`, and starts and ends with a letter or \
                 digit"
                    .into(),
            ),
            None => add(Stage::Metadata, at, "a label value is a string".into()),
        }
    }
    let mut size = 0;
    for (key, value, at) in entries(metadata, "annotations", &mut add) {
        if !is_qualified_name(&key.to_lowercase()) {
            add(Stage::Metadata, at.clone(), format!("`{key}` is no annotation key ([prefix/]name, name at most 63)"));
        }
        match value.as_str() {
            Some(text) => size += key.len() + text.len(),
            None => add(Stage::Metadata, at, "an annotation value is a string".into()),
        }
    }
    if size > ANNOTATIONS_LIMIT {
        let message = format!("the annotations have {size} bytes; at most {ANNOTATIONS_LIMIT} are allowed");
        add(Stage::Metadata, "/metadata/annotations".into(), message);
    }
    found
}

fn entries<'a>(
    metadata: &'a Map<String, Value>,
    field: &str,
    add: &mut impl FnMut(Stage, String, String),
) -> Vec<(&'a str, &'a Value, String)> {
    let at = pointer::field("/metadata", field);
    match metadata.get(field) {
        Some(Value::Object(map)) => {
            map.iter().map(|(key, value)| (key.as_str(), value, pointer::field(&at, key))).collect()
        }
        None | Some(Value::Null) => Vec::new(),
        Some(_) => {
            add(Stage::Metadata, at, "must be a mapping".into());
            Vec::new()
        }
    }
}

fn is_dns_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

/// A DNS subdomain as in RFC 1123; its labels may be longer than 63, as in Kubernetes.
fn is_dns_subdomain(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label =
        |part: &str| !part.is_empty() && part.bytes().all(allowed) && !part.starts_with('-') && !part.ends_with('-');
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_name_segment(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_name_segment(name),
        None => is_name_segment(key),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(metadata: &Value, scope: Option<Scope>) -> Vec<String> {
        let object = Object::try_from(json!({"apiVersion": "g/v1", "kind": "K", "metadata": metadata})).unwrap();
        check(&object, scope).into_iter().map(|found| found.pointer).collect()
    }

    #[test]
    fn scope_decides_on_the_namespace() {
        let named = json!({"name": "a"});
        let placed = json!({"name": "a.b-c.1", "namespace": "n"});
        assert!(pointers(&placed, Some(Scope::Namespaced)).is_empty());
        assert!(pointers(&named, Some(Scope::Cluster)).is_empty());
        assert_eq!(pointers(&named, Some(Scope::Namespaced)), ["/metadata/namespace"]);
        assert_eq!(pointers(&placed, Some(Scope::Cluster)), ["/metadata/namespace"]);
        let dotted = json!({"name": "a", "namespace": "n.m"});
        assert_eq!(pointers(&dotted, Some(Scope::Namespaced)), ["/metadata/namespace"]);
    }

    #[test]
    fn names_labels_and_annotations_have_a_syntax() {
        for name in ["A", "-a", "a..b", "a_b", &"a".repeat(254)] {
            assert_eq!(pointers(&json!({"name": name}), Some(Scope::Cluster)), ["/metadata/name"], "{name}");
        }
        let labels = json!({"ok": "", "k8s.io/Ok_1": "v.1", "/a": "", "a/b/c": "", "v": "a b", "n": 1, "u": "é"});
        let mut found = pointers(&json!({"name": "a", "labels": labels}), None);
        found.sort();
        let expected = ["a~1b~1c", "n", "u", "v", "~1a"].map(|key| format!("/metadata/labels/{key}"));
        assert_eq!(found, expected);
        let annotations = json!({"Example.COM/a": "any text", "b": "x".repeat(ANNOTATIONS_LIMIT)});
        assert_eq!(pointers(&json!({"name": "a", "annotations": annotations}), None), ["/metadata/annotations"]);
    }

    #[test]
    fn unknown_metadata_is_told() {
        assert_eq!(pointers(&json!({"name": "a", "label": {}}), None), ["/metadata/label"]);
    }
}
