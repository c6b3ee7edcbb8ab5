//! A diff for people: YAML of the fields that are ours, with the content of Secrets left out.

use serde_json::Value;
use similar::TextDiff;

use super::set::{ANNOTATION_CLOSED, ANNOTATION_PROTECTED_BY, ANNOTATION_SENT, LABEL_PART_OF};

const REDACTED: &str = "(redacted)";
const REDACTED_DIFFERENT: &str = "(redacted, differs)";

/// A unified diff of two objects as YAML; empty when they read the same.
pub(crate) fn yaml_diff(before: &Value, after: &Value) -> String {
    let (mut before, mut after) = (tidy(before), tidy(after));
    if is_secret(&before) || is_secret(&after) {
        redact(&mut before, &mut after);
    }
    let (before, after) = (yaml(&before), yaml(&after));
    TextDiff::from_lines(&before, &after).unified_diff().context_radius(3).to_string()
}

/// Whether an object is a Secret, so that nothing of its content may be shown.
pub(crate) fn is_secret(value: &Value) -> bool {
    value["kind"] == "Secret" && value["apiVersion"] == "v1"
}

/// What stands in place of content.
pub(crate) fn redacted() -> Value {
    REDACTED.into()
}

fn yaml(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    serde_saphyr::to_string(value).unwrap_or_default()
}

/// Without what the server keeps, and without our own book-keeping.
fn tidy(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(map) = value.as_object_mut() {
        map.remove("status");
    }
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else { return value };
    for name in
        ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink", "deletionTimestamp"]
    {
        metadata.remove(name);
    }
    for (map, names) in [
        ("annotations", &[ANNOTATION_SENT, ANNOTATION_CLOSED, ANNOTATION_PROTECTED_BY][..]),
        ("labels", &[LABEL_PART_OF][..]),
    ] {
        if let Some(entries) = metadata.get_mut(map).and_then(Value::as_object_mut) {
            entries.retain(|name, _| !names.contains(&name.as_str()));
            if entries.is_empty() {
                metadata.remove(map);
            }
        }
    }
    value
}

fn redact(before: &mut Value, after: &mut Value) {
    for field in ["data", "stringData"] {
        let old = before.get(field).cloned().unwrap_or_default();
        for value in [&mut *before, &mut *after] {
            let is_old = value.get(field) == Some(&old);
            for (name, content) in value.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten() {
                let differs = !is_old && old.get(name) != Some(content);
                *content = if differs { REDACTED_DIFFERENT.into() } else { REDACTED.into() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_content_of_a_secret_is_shown() {
        let secret = |a: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": a, "b": "c2FtZQ=="}});
        let text = yaml_diff(&secret("b2xk"), &secret("bmV3"));
        assert!(!text.contains("b2xk") && !text.contains("bmV3") && !text.contains("c2FtZQ"), "{text}");
        assert!(text.contains("differs"), "{text}");
    }

    #[test]
    fn what_the_server_keeps_is_not_shown() {
        let object = |version: &str, port: u16| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "resourceVersion": version,
                "annotations": {ANNOTATION_SENT: version}}, "spec": {"port": port}, "status": {"x": version}})
        };
        assert_eq!(yaml_diff(&object("1", 80), &object("2", 80)), "");
        let text = yaml_diff(&object("1", 80), &object("2", 81));
        assert!(text.contains("-  port: 80") && text.contains("+  port: 81"), "{text}");
    }
}
