//! Whether a controller has said that a policy is effective, and that it has seen a route. Pure.

use serde_json::Value;

use crate::{compile::GatePolicy, module::Acknowledgement};

/// Reasons with which a controller says `True` although it has left something out: `UnsupportedField` of a route (NGINX Gateway
/// Fabric 2.6, `internal/controller/state/conditions`), `PartiallyValid` of a policy (kgateway 2.4, `api/v1alpha1/shared`).
pub(super) const LEFT_OUT: [&str; 2] = ["UnsupportedField", "PartiallyValid"];

/// Whether the policy is effective. `written` is the generation that we have written or found; another one means that
/// somebody has changed the policy since.
///
/// # Errors
/// Why it is not, for people.
pub(crate) fn effective(policy: &GatePolicy, object: &Value, written: Option<i64>) -> Result<(), String> {
    let generation = object["metadata"]["generation"].as_i64();
    if let (Some(written), Some(generation)) = (written, generation)
        && written != generation
    {
        return Err(format!("generation {generation} is not the one that was written ({written})"));
    }
    match &policy.acknowledgement {
        Acknowledgement::PolicyAncestors => {
            let all = object["status"]["ancestors"].as_array().map_or(&[][..], Vec::as_slice);
            let mut own =
                all.iter().filter(|ancestor| ancestor["controllerName"] == policy.controller.as_str()).peekable();
            if own.peek().is_none() {
                return Err(format!("{} has not written a status", policy.controller));
            }
            for ancestor in own {
                condition(&ancestor["conditions"], "Accepted", generation, true)?;
                condition(&ancestor["conditions"], "Attached", generation, false)?;
                condition(&ancestor["conditions"], "Programmed", generation, false)?;
            }
            Ok(())
        }
        Acknowledgement::Condition(name) => condition(&object["status"]["conditions"], name, generation, true),
    }
}

fn condition(conditions: &Value, name: &str, generation: Option<i64>, required: bool) -> Result<(), String> {
    let found = conditions.as_array().into_iter().flatten().find(|condition| condition["type"] == name);
    let Some(found) = found else {
        return if required { Err(format!("there is no condition {name}")) } else { Ok(()) };
    };
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    if found["status"] != "True" || LEFT_OUT.contains(&text("reason")) {
        return Err(format!("{name} is {} ({}: {})", text("status"), text("reason"), text("message")));
    }
    match (found["observedGeneration"].as_i64(), generation) {
        (Some(observed), Some(generation)) if observed >= generation => Ok(()),
        (_, None) => Ok(()),
        (Some(observed), Some(generation)) => {
            Err(format!("{name} is about generation {observed}, and the object is at {generation}"))
        }
        (None, Some(_)) => Err(format!("{name} does not say which generation it is about")),
    }
}

/// Whether the controller has seen the route in its present generation, for each of its parents.
pub(crate) fn route_observed(route: &Value, controller: &str) -> bool {
    let generation = route["metadata"]["generation"].as_i64().unwrap_or_default();
    let all = route["status"]["parents"].as_array().map_or(&[][..], Vec::as_slice);
    let mut own = all.iter().filter(|parent| parent["controllerName"] == controller).peekable();
    own.peek().is_some()
        && own.all(|parent| {
            parent["conditions"].as_array().is_some_and(|conditions| {
                conditions.iter().any(|condition| {
                    condition["observedGeneration"].as_i64().is_some_and(|observed| observed >= generation)
                })
            })
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        intent::policies::PolicyKind,
        object::{GroupVersionKind, ObjectKey},
    };

    fn policy(acknowledgement: Acknowledgement) -> GatePolicy {
        GatePolicy {
            kind: PolicyKind::Jwt,
            object: ObjectKey {
                kind: GroupVersionKind::of("example.com", "v1", "Policy"),
                namespace: Some("ns".into()),
                name: "p".into(),
            },
            controller: "example.com/controller".into(),
            acknowledgement,
        }
    }

    fn with(controller: &str, conditions: &[(&str, &str, i64)]) -> Value {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(name, status, generation)| json!({"type": name, "status": status, "observedGeneration": generation}))
            .collect();
        json!({"metadata": {"generation": 2}, "status": {
            "ancestors": [{"controllerName": controller, "conditions": conditions}], "conditions": conditions}})
    }

    #[test]
    fn only_the_right_controller_for_the_right_generation_counts() {
        let own = "example.com/controller";
        let policy = policy(Acknowledgement::PolicyAncestors);
        assert!(effective(&policy, &with(own, &[("Accepted", "True", 2)]), Some(2)).is_ok());
        assert!(effective(&policy, &with(own, &[("Accepted", "True", 2), ("Attached", "True", 2)]), Some(2)).is_ok());
        for (controller, conditions, written) in [
            ("other", &[("Accepted", "True", 2)][..], 2),
            (own, &[("Accepted", "True", 1)], 2),
            (own, &[("Accepted", "True", 2)], 1),
            (own, &[("Accepted", "False", 2)], 2),
            (own, &[("Accepted", "Unknown", 2)], 2),
            (own, &[("Accepted", "True", 2), ("Attached", "False", 2)], 2),
            (own, &[("Accepted", "True", 2), ("Programmed", "Unknown", 2)], 2),
            (own, &[("Attached", "True", 2)], 2),
            (own, &[], 2),
        ] {
            assert!(
                effective(&policy, &with(controller, conditions), Some(written)).is_err(),
                "{controller} {conditions:?}"
            );
        }
        assert!(effective(&policy, &json!({"metadata": {"generation": 2}}), Some(2)).is_err());
    }

    #[test]
    fn a_policy_of_which_a_part_was_left_out_is_not_effective() {
        let policy = policy(Acknowledgement::PolicyAncestors);
        let mut object = with("example.com/controller", &[("Accepted", "True", 2)]);
        object["status"]["ancestors"][0]["conditions"][0]["reason"] = json!("Valid");
        assert!(effective(&policy, &object, Some(2)).is_ok());
        object["status"]["ancestors"][0]["conditions"][0]["reason"] = json!("PartiallyValid");
        assert!(effective(&policy, &object, Some(2)).is_err());
    }

    #[test]
    fn a_named_condition_must_be_true_for_the_generation() {
        let policy = policy(Acknowledgement::Condition("Programmed".into()));
        assert!(effective(&policy, &with("x", &[("Programmed", "True", 2)]), Some(2)).is_ok());
        assert!(effective(&policy, &with("x", &[("Programmed", "True", 1)]), Some(2)).is_err());
        assert!(effective(&policy, &with("x", &[("Accepted", "True", 2)]), Some(2)).is_err());
    }

    #[test]
    fn a_route_is_observed_by_its_generation() {
        let route = |observed: i64| {
            json!({"metadata": {"generation": 3}, "status": {"parents": [
                {"controllerName": "c", "conditions": [{"type": "Accepted", "status": "False", "observedGeneration": observed}]}]}})
        };
        assert!(route_observed(&route(3), "c"));
        assert!(!route_observed(&route(2), "c"));
        assert!(!route_observed(&route(3), "d"));
    }
}
