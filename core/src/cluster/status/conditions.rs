//! Reads conditions.

use serde_json::Value;

use super::{Health, Reason};

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
    if status == wanted {
        return (Health::Ready, String::new(), String::new());
    }
    let message = match text("message") {
        "" => format!("{name} is {status} ({reason})"),
        words => format!("{name} is {status} ({reason}: {words})"),
    };
    let health = match (status, reason) {
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
        "InvalidKind" | "UnsupportedProtocol" | "UnsupportedValue" | "InvalidFilter" => {
            "the gateway cannot do this; run `gwm render` against the version that is installed"
        }
        "Conflicted" | "Overridden" | "TargetConflict" => {
            "another policy is attached to the same target; remove one of them"
        }
        _ => "read the controller's message and log",
    }
    .to_owned()
}
