//! Kubernetes Events: one when a condition changes, never for each pass. They say what conditions say, and nothing of a Secret.

use std::sync::OnceLock;

use futures::StreamExt;
use gateway_modules::core::intent::schema::DocumentKind;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    core::{DynamicObject, ObjectMeta},
};
use kube_runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{FIELD_MANAGER, conditions, stored};

/// Events that wait to be written; what comes beyond is dropped, since a condition says the same.
const WAITING: usize = 8_192;
/// Writes at a time.
const CONCURRENCY: usize = 4;
/// Longest note that the API takes.
const LONGEST: usize = 1_024;

/// When a condition makes an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Type of the condition.
    pub condition: &'static str,
    /// Status to which it changes.
    pub status: &'static str,
    /// Reason to which it changes; empty: any.
    pub with: &'static str,
    /// Reason of the Event; empty: that of the condition.
    pub reason: &'static str,
    /// Whether it is a warning.
    pub warning: bool,
    /// Whether another message of the same condition is another Event.
    pub each: bool,
}

const fn rule(condition: &'static str, status: &'static str, warning: bool) -> Rule {
    Rule { condition, status, with: "", reason: "", warning, each: false }
}

/// All Events, but for `Switched` of a DataPlane that has moved to another module or class.
pub const RULES: &[Rule] = &[
    rule("Resolved", "False", true),
    rule("Resolved", "Unknown", true),
    rule("Accepted", "False", true),
    Rule { with: "ComponentsRefused", ..rule("Accepted", "True", true) },
    rule("Programmed", "True", false),
    rule("Programmed", "False", true),
    rule("Degraded", "True", true),
    Rule { reason: "Drifted", each: true, ..rule("Drifted", "True", true) },
    Rule { with: "Repaired", reason: "DriftRepaired", each: true, ..rule("Drifted", "False", false) },
    Rule { reason: "VerdictsChanged", each: true, ..rule("VerdictsChanged", "True", true) },
    Rule { reason: "SwitchAvailable", ..rule("SwitchAvailable", "True", false) },
    rule("Installed", "True", false),
    Rule { with: "Installing", ..rule("Installed", "False", false) },
    Rule { with: "Refused", ..rule("Installed", "False", true) },
    Rule { with: "Failed", ..rule("Installed", "False", true) },
    Rule { with: "RightMissing", ..rule("Installed", "False", true) },
    Rule { with: "NotManaged", ..rule("Installed", "False", true) },
    Rule { with: "NotUninstalled", ..rule("Installed", "False", true) },
];

/// Writes Events in the background: none is worth waiting for.
pub(crate) struct Events {
    recorder: Recorder,
    queue: OnceLock<mpsc::Sender<(Event, ObjectReference)>>,
}

impl Events {
    pub(crate) fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(instance.to_owned()) };
        Self { recorder: Recorder::new(client, reporter), queue: OnceLock::new() }
    }

    /// Tells what has changed from the status that an object has to the one that was written.
    pub(crate) fn tell(&self, object: &DynamicObject, kind: DocumentKind, after: &Value) {
        let before = object.data.get("status").unwrap_or(&Value::Null);
        let generation = stored::generation(object);
        for (warning, reason, note) in changed(before, after) {
            let event = Event {
                type_: if warning { EventType::Warning } else { EventType::Normal },
                reason,
                note: Some(note.chars().take(LONGEST / 4).collect()),
                // Events of one generation and reason become a series.
                action: format!("ReconcileGeneration{generation}"),
                secondary: None,
            };
            let metadata: &ObjectMeta = object.meta();
            let resource = stored::resource(kind);
            let reference = ObjectReference {
                api_version: Some(resource.api_version),
                kind: Some(resource.kind),
                name: metadata.name.clone(),
                namespace: metadata.namespace.clone(),
                uid: metadata.uid.clone(),
                resource_version: metadata.resource_version.clone(),
                field_path: None,
            };
            if self.queue().try_send((event, reference)).is_err() {
                tracing::warn!(object = stored::key(object), "an event is dropped: too many wait");
            }
        }
    }

    fn queue(&self) -> &mpsc::Sender<(Event, ObjectReference)> {
        self.queue.get_or_init(|| {
            let (sender, mut receiver) = mpsc::channel(WAITING);
            let recorder = self.recorder.clone();
            tokio::spawn(async move {
                futures::stream::poll_fn(move |context| receiver.poll_recv(context))
                    .for_each_concurrent(CONCURRENCY, |(event, reference)| {
                        let recorder = recorder.clone();
                        async move {
                            if let Err(error) = recorder.publish(&event, &reference).await {
                                tracing::warn!(reason = event.reason, %error, "an event could not be written");
                            }
                        }
                    })
                    .await;
            });
            sender
        })
    }
}

/// What is worth an Event: whether it is a warning, its reason and its note.
fn changed(before: &Value, after: &Value) -> Vec<(bool, String, String)> {
    let find = |status: &Value, kind: &str| conditions::find(&status["conditions"], kind).cloned().unwrap_or_default();
    let mut told = Vec::new();
    for rule in RULES {
        let (old, new) = (find(before, rule.condition), find(after, rule.condition));
        let same = old["status"] == new["status"]
            && old["reason"] == new["reason"]
            && (!rule.each || old["message"] == new["message"]);
        if same || new["status"] != rule.status || !(rule.with.is_empty() || new["reason"] == rule.with) {
            continue;
        }
        let text = |field: &str| new[field].as_str().unwrap_or_default().to_owned();
        let reason = if rule.reason.is_empty() { text("reason") } else { rule.reason.to_owned() };
        let note = match text("message") {
            message if message.is_empty() => format!("{} is {}", rule.condition, rule.status),
            message => message,
        };
        told.push((rule.warning, reason, note));
    }
    let module = |status: &Value| {
        let module = status.get("module")?;
        Some(format!("{} (GatewayClass {})", module["name"].as_str()?, module["class"].as_str()?))
    };
    if let (Some(old), Some(new)) = (module(before), module(after))
        && old != new
    {
        told.push((false, "Switched".to_owned(), format!("from {old} to {new}")));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(status: &str, reason: &str, message: &str) -> Value {
        json!({"conditions": [{"type": "Accepted", "status": status, "reason": reason, "message": message}]})
    }

    #[test]
    fn only_a_change_is_an_event() {
        let refused = status("False", "Refused", "no way");
        let told = changed(&status("True", "Accepted", ""), &refused);
        assert_eq!(told, [(true, "Refused".to_owned(), "no way".to_owned())]);
        assert!(changed(&refused, &refused).is_empty());
        assert!(changed(&refused, &status("False", "Refused", "still no way")).is_empty());
        assert!(changed(&refused, &status("True", "Accepted", "")).is_empty());
        assert_eq!(changed(&Value::Null, &status("True", "ComponentsRefused", "1 of 2")).len(), 1);
    }

    #[test]
    fn another_module_is_a_switch() {
        let on = |name: &str| json!({"module": {"name": name, "class": "c"}});
        assert_eq!(changed(&on("a"), &on("b"))[0].1, "Switched");
        assert!(changed(&json!({}), &on("b")).is_empty());
    }
}
