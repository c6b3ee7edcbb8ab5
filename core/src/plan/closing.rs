//! The closed form of a route that is already in the cluster and is to be deleted.

use serde_json::{Map, Value, json};

use super::{
    compare::sent_mark,
    set::{ANNOTATION_CLOSED, ANNOTATION_PROTECTED_BY, ANNOTATION_SENT},
};
use crate::{compile::Phase, object::Object};

/// Name of a Service that nobody makes. A rule whose only backend it is answers 500.
pub const CLOSED_BACKEND: &str = "closed-until-policies-are-effective";

/// Whether the live route is one that was opened, or is to be opened, behind attached policies.
pub(crate) fn is_protected(live: &Value) -> bool {
    let annotations = &live["metadata"]["annotations"];
    annotations.get(ANNOTATION_PROTECTED_BY).is_some() || annotations.get(ANNOTATION_CLOSED).is_some()
}

/// Whether the live route stands in its closed form.
pub(crate) fn is_closed(live: &Value) -> bool {
    live["metadata"]["annotations"].get(ANNOTATION_CLOSED).is_some()
}

/// The live route with backends that do not exist; `None` when it has no rules to close.
pub(crate) fn close(live: &Value) -> Option<Object> {
    let mut spec = live.get("spec")?.clone();
    let rules = spec.get_mut("rules")?.as_array_mut()?;
    for rule in rules {
        let rule = rule.as_object_mut()?;
        // A redirect or a direct response would answer before any backend is asked.
        rule.remove("filters");
        rule.insert("backendRefs".into(), json!([{"name": CLOSED_BACKEND, "port": 1}]));
    }
    let metadata = &live["metadata"];
    let mut kept = Map::new();
    for name in ["name", "namespace", "labels", "annotations"] {
        if let Some(value) = metadata.get(name) {
            kept.insert(name.into(), value.clone());
        }
    }
    let value = json!({
        "apiVersion": live.get("apiVersion")?, "kind": live.get("kind")?, "metadata": kept, "spec": spec,
    });
    let mut object = Object::try_from(value).ok()?;
    object.set_annotation(ANNOTATION_CLOSED, "true");
    let mark = sent_mark(&object, Phase::Routes);
    object.set_annotation(ANNOTATION_SENT, &mark);
    Some(object)
}
