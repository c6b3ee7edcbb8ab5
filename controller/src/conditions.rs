//! Conditions that keep the time of their last change.

use gateway_modules::core::{cluster::Health, intent::status::Condition};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// All conditions: type, kind of the object (empty: both), what `True` means, and what else there is to know.
pub const CONDITIONS: &[(&str, &str, &str, &str)] = &[
    ("Resolved", "", "the intent can be read, and all that it refers to is known", ""),
    (
        "Accepted",
        "",
        "every field has its effect, or a difference that was accepted by name",
        "of a plane also `True` with reason `ComponentsRefused`",
    ),
    (
        "Programmed",
        "",
        "the gateway's controller says that it is in force",
        "`Blocked`: waits for an acknowledgement, and is closed; `Open`: a probe was let in without credentials; `Unknown`: nobody has said anything yet",
    ),
    ("Ready", "", "all of the three above", "probe and alert on this one"),
    (
        "Degraded",
        "DataPlane",
        "the chosen GatewayClass is gone, another controller's, or not accepted",
        "nothing is pruned, nothing moves",
    ),
    ("SwitchAvailable", "DataPlane", "another gateway is installed", "nothing moves by itself"),
    (
        "Discovered",
        "DataPlane",
        "all that is installed could be read",
        "`False` names the missing right and what follows",
    ),
    (
        "Drifted",
        "DataPlane",
        "somebody has changed by hand what was applied, and it is left so",
        "`False` with reason `Repaired` names what was taken back last",
    ),
    (
        "Observed",
        "DataPlane",
        "a probe was refused wherever security policies must refuse it",
        "only with `spec.probe`; `False` with reason `Open`: it was let in; `Unknown` says what was not seen",
    ),
    (
        "VerdictsChanged",
        "",
        "another version of the gateway makes something else of policies",
        "names each, with what it was and is; told until the next version. A component without it has lost and won nothing",
    ),
    (
        "Installed",
        "DataPlane",
        "the gateway is there as the plane needs it (`gateway.install: managed`; other planes do not have it)",
        "`True` with reason `External`: somebody else has installed it, and it is used as it is; `False`: `Installing`, `Refused`, \
         `Failed`, `RightMissing`, `NotManaged`, and of a plane that goes `NotUninstalled`",
    ),
];

/// A condition without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) status: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Verdict {
    pub(crate) fn new(status: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }

    pub(crate) fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new("True", reason, message)
    }

    pub(crate) fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new("False", reason, message)
    }

    pub(crate) fn unknown(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new("Unknown", reason, message)
    }

    /// What a health says about `Programmed`. Unknown is never healthy.
    pub(crate) fn of_health(health: Health, message: impl Into<String>) -> Self {
        match health {
            Health::Ready => Self::yes("Programmed", message),
            Health::Progressing => Self::unknown("Progressing", message),
            Health::Unknown => Self::unknown("NotReported", message),
            Health::Degraded => Self::no("Degraded", message),
            Health::Blocked => Self::no("Blocked", message),
            Health::Open => Self::no("Open", message),
        }
    }
}

/// The three conditions and `Ready`, which is true when they all are.
pub(crate) fn conditions(
    previous: &Value,
    generation: i64,
    resolved: Verdict,
    accepted: Verdict,
    programmed: Verdict,
) -> Vec<Condition> {
    let ready = [("Resolved", &resolved), ("Accepted", &accepted), ("Programmed", &programmed)]
        .into_iter()
        .find(|(_, verdict)| verdict.status != "True")
        .map_or_else(
            || Verdict::yes("Ready", ""),
            |(name, verdict)| Verdict::new(verdict.status, verdict.reason, format!("{name} is {}", verdict.status)),
        );
    [("Resolved", resolved), ("Accepted", accepted), ("Programmed", programmed), ("Ready", ready)]
        .into_iter()
        .map(|(kind, verdict)| condition(previous, generation, kind, verdict))
        .collect()
}

/// A condition of those that an object has.
pub(crate) fn find<'a>(conditions: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions.as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// One condition.
pub(crate) fn condition(previous: &Value, generation: i64, kind: &str, verdict: Verdict) -> Condition {
    const LONGEST: usize = 16_384;
    let since = find(previous, kind)
        .filter(|before| before["status"] == verdict.status)
        .and_then(|before| before["lastTransitionTime"].as_str())
        .map_or_else(|| format!("{:.0}", Timestamp::now()), ToOwned::to_owned);
    Condition {
        kind: kind.to_owned(),
        status: verdict.status.to_owned(),
        observed_generation: generation,
        last_transition_time: since,
        reason: verdict.reason.to_owned(),
        message: verdict.message.chars().take(LONGEST).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_is_never_ready_and_the_time_is_that_of_the_last_change() {
        let previous = json!([{"type": "Resolved", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]);
        let all = conditions(
            &previous,
            3,
            Verdict::yes("Resolved", ""),
            Verdict::yes("Accepted", ""),
            Verdict::of_health(Health::Unknown, ""),
        );
        assert_eq!(all[0].last_transition_time, "2020-01-01T00:00:00Z");
        assert_ne!(all[1].last_transition_time, "2020-01-01T00:00:00Z");
        assert_eq!((all[3].kind.as_str(), all[3].status.as_str()), ("Ready", "Unknown"));
    }
}
