//! Reads conditions.

use serde_json::Value;

use super::{Health, Reason};
use crate::cluster::acknowledge::LEFT_OUT;

/// What a condition must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// There, and true.
    True,
    /// True, or not there.
    TrueOrAbsent,
    /// False, or not there.
    FalseOrAbsent,
}

/// Rolls up conditions and collects the reasons.
pub(super) fn check(
    object: &str,
    place: &str,
    conditions: &Value,
    generation: i64,
    demands: &[(&str, Demand)],
    reasons: &mut Vec<Reason>,
) -> Health {
    let mut worst = Health::Ready;
    for (name, demand) in demands {
        let found = conditions.as_array().into_iter().flatten().find(|condition| condition["type"] == *name);
        let (health, message, next) = judge(name, *demand, found, generation);
        if health != Health::Ready {
            let message = if place.is_empty() { message } else { format!("{place}: {message}") };
            reasons.push(Reason { health, object: object.to_owned(), message, next });
        }
        worst = worst.max(health);
    }
    worst
}

fn judge(name: &str, demand: Demand, found: Option<&Value>, generation: i64) -> (Health, String, String) {
    let wait = || "wait; if it stays, look whether the gateway's controller runs".to_owned();
    let Some(found) = found else {
        return if demand == Demand::True {
            (Health::Unknown, format!("{name} is not reported"), wait())
        } else {
            (Health::Ready, String::new(), String::new())
        };
    };
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    let (status, reason) = (text("status"), text("reason"));
    let observed = found["observedGeneration"].as_i64();
    if observed.is_some_and(|observed| observed < generation) {
        let message =
            format!("{name} is about generation {}, and the object is at {generation}", observed.unwrap_or_default());
        return (Health::Unknown, message, wait());
    }
    let wanted = if demand == Demand::FalseOrAbsent { "False" } else { "True" };
    if status == wanted && !LEFT_OUT.contains(&reason) {
        return (Health::Ready, String::new(), String::new());
    }
    let message = match text("message") {
        "" => format!("{name} is {status} ({reason})"),
        words => format!("{name} is {status} ({reason}: {words})"),
    };
    let health = match (status, reason) {
        (_, reason) if LEFT_OUT.contains(&reason) => Health::Degraded,
        ("True" | "False", "Pending" | "AddressNotAssigned" | "NoResources") | ("Unknown", _) => Health::Progressing,
        _ => Health::Degraded,
    };
    (health, message, next_step(reason))
}

fn next_step(reason: &str) -> String {
    match reason {
        "Pending" | "NoResources" => "wait for the controller",
        "AddressNotAssigned" => "wait for the load balancer, or look at the Service of the Gateway",
        "BackendNotFound" => "create the Service that the endpoint names",
        "RefNotPermitted" => "allow the reference with a ReferenceGrant (`allowedReferences` of the DataPlane)",
        "InvalidCertificateRef" => "create the Secret with the certificate that the listener names",
        "NotAllowedByListeners" => "add the namespace to `allowedNamespaces` of the DataPlane",
        "NoMatchingListenerHostname" => "use a host below the domain of the visibility",
        "NoMatchingParent" => "look whether the Gateway and its listener are there",
        "HostnameConflict" | "ProtocolConflict" | "PortUnavailable" => "change the listener, or free its port",
        "UnsupportedField" | "InvalidKind" | "UnsupportedProtocol" | "UnsupportedValue" | "InvalidFilter" => {
            "the gateway cannot do this; run `gwm render` against the version that is installed"
        }
        "Conflicted" | "Overridden" | "TargetConflict" => {
            "another policy is attached to the same target; remove one of them"
        }
        _ => "read the controller's message and log",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn health(conditions: &Value, demands: &[(&str, Demand)]) -> (Health, Vec<Reason>) {
        let mut reasons = Vec::new();
        let health = check("HTTPRoute a/b", "", conditions, 2, demands, &mut reasons);
        (health, reasons)
    }

    fn condition(name: &str, status: &str, reason: &str, generation: i64) -> Value {
        json!({"type": name, "status": status, "reason": reason, "observedGeneration": generation})
    }

    #[test]
    fn true_is_not_healthy_where_something_was_left_out() {
        // NGINX Gateway Fabric ignores a field and says so by the reason alone.
        let (health, reasons) =
            health(&json!([condition("Accepted", "True", "UnsupportedField", 2)]), &[("Accepted", Demand::True)]);
        assert_eq!(health, Health::Degraded);
        assert!(reasons[0].message.contains("UnsupportedField"), "{reasons:?}");
    }

    #[test]
    fn a_rule_that_was_dropped_or_replaced_is_degraded() {
        // kgateway answers 500 for such a rule and keeps the others.
        for reason in ["RouteRuleDropped", "RouteRuleReplaced"] {
            let conditions =
                json!([condition("Accepted", "True", "Accepted", 2), condition("PartiallyInvalid", "True", reason, 2)]);
            let demands = [("Accepted", Demand::True), ("PartiallyInvalid", Demand::FalseOrAbsent)];
            assert_eq!(health(&conditions, &demands).0, Health::Degraded);
        }
    }

    #[test]
    fn what_is_missing_old_or_unknown_is_never_ready() {
        let demands = [("Accepted", Demand::True)];
        assert_eq!(health(&json!([]), &demands).0, Health::Unknown);
        assert_eq!(health(&json!([condition("Accepted", "True", "Accepted", 1)]), &demands).0, Health::Unknown);
        assert_eq!(health(&json!([condition("Accepted", "Unknown", "Pending", 2)]), &demands).0, Health::Progressing);
        assert_eq!(health(&json!([condition("Accepted", "True", "Accepted", 2)]), &demands).0, Health::Ready);
    }

    #[test]
    fn a_vendor_condition_counts_where_it_is_written() {
        // Kong's routes have a condition Programmed of their own.
        let demands = [("Accepted", Demand::True), ("Programmed", Demand::TrueOrAbsent)];
        let accepted = condition("Accepted", "True", "Accepted", 2);
        assert_eq!(health(&json!([accepted.clone()]), &demands).0, Health::Ready);
        let not = condition("Programmed", "False", "TranslationError", 2);
        assert_eq!(health(&json!([accepted, not]), &demands).0, Health::Degraded);
    }
}
