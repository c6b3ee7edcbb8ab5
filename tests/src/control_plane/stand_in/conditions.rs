//! Conditions as Kubernetes wants them.

use serde_json::{Value, json};

/// What a condition says; the rest follows from the object.
pub(crate) struct Says {
    pub(crate) kind: &'static str,
    pub(crate) holds: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Says {
    pub(crate) fn yes(kind: &'static str, reason: &str) -> Self {
        Self { kind, holds: true, reason: reason.to_owned(), message: String::new() }
    }

    pub(crate) fn no(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, holds: false, reason: reason.to_owned(), message: message.into() }
    }
}

/// The conditions in `before` with these in place of those of the same types. The time changes with the status only.
pub(crate) fn merge(before: &Value, says: &[Says], generation: i64) -> Value {
    let before = before.as_array().map(Vec::as_slice).unwrap_or_default();
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut conditions: Vec<Value> =
        before.iter().filter(|old| says.iter().all(|new| old["type"] != new.kind)).cloned().collect();
    for new in says {
        let status = if new.holds { "True" } else { "False" };
        let since = before
            .iter()
            .find(|old| old["type"] == new.kind && old["status"] == status)
            .map_or_else(|| json!(now), |old| old["lastTransitionTime"].clone());
        conditions.push(json!({
            "type": new.kind,
            "status": status,
            "reason": new.reason,
            "message": new.message,
            "observedGeneration": generation,
            "lastTransitionTime": since,
        }));
    }
    Value::Array(conditions)
}
