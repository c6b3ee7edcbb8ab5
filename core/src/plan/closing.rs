//! The closed form of a route that is already in the cluster and is to be deleted.

use serde_json::{Map, Value, json};

use super::{
    compare::sent_mark,
    set::{ANNOTATION_CLOSED, ANNOTATION_PROTECTED_BY, ANNOTATION_SENT},
};
use crate::{
    compile::{CLOSED_BACKEND, Phase},
    object::Object,
};

/// Whether the live route is one that was opened, or is to be opened, behind attached policies.
pub(crate) fn is_protected(live: &Value) -> bool {
    let annotations = &live["metadata"]["annotations"];
    annotations.get(ANNOTATION_PROTECTED_BY).is_some() || annotations.get(ANNOTATION_CLOSED).is_some()
}

/// Whether the live route stands in its closed form.
pub(crate) fn is_closed(live: &Value) -> bool {
    live["metadata"]["annotations"].get(ANNOTATION_CLOSED).is_some()
}

/// Whether the live route names all backends that exist and that the closed form names. Their policies are acknowledged only where
/// a route names them, so a route that does not must be closed first.
pub(crate) fn names_backends(closed: &Object, live: &Value) -> bool {
    let backends = |route: &Value| -> Vec<Value> {
        let rules = route["spec"]["rules"].as_array().into_iter().flatten();
        rules.filter_map(|rule| rule["backendRefs"].as_array()).flatten().cloned().collect()
    };
    let same =
        |one: &Value, other: &Value| ["namespace", "name", "port"].iter().all(|field| one[*field] == other[*field]);
    let named = backends(live);
    backends(&closed.to_value())
        .iter()
        .filter(|backend| backend["name"] != CLOSED_BACKEND)
        .all(|backend| named.iter().any(|other| same(backend, other)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::GroupVersionKind;

    #[test]
    fn a_route_names_the_backends_of_its_closed_form_or_does_not() {
        let kind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "HTTPRoute");
        let spec = json!({"rules": [{"backendRefs": [
            {"name": CLOSED_BACKEND, "port": 1},
            {"name": "secure", "port": 8443, "weight": 0},
        ]}]});
        let closed = Object::new(&kind, Some("shop"), "route").with_spec(spec);
        let live =
            |name: &str| json!({"spec": {"rules": [{"backendRefs": [{"name": name, "port": 8443, "weight": 1}]}]}});
        assert!(names_backends(&closed, &live("secure")));
        assert!(!names_backends(&closed, &live("plain")));
        let nothing_named = Object::new(&kind, Some("shop"), "route").with_spec(json!({"rules": []}));
        assert!(names_backends(&nothing_named, &live("plain")));
    }
}
