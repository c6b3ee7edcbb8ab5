//! The status of classes and Gateways.

use serde_json::{Map, Value, json};

use super::conditions::{self, Says};
use super::routes::{self, Attachment};
use super::snapshot::{Item, NULL, Snapshot};
use super::{GATEWAY_API, StandInOptions};

pub(crate) fn class_status(class: &Item, options: &StandInOptions) -> Value {
    let mut status = fields(class.status());
    let accepted = [Says::yes("Accepted", "Accepted")];
    let before = status.remove("conditions").unwrap_or_default();
    status.insert("conditions".to_owned(), conditions::merge(&before, &accepted, class.generation()));
    if !options.features.is_empty() {
        let mut features = options.features.clone();
        features.sort();
        let features: Vec<Value> = features.iter().map(|name| json!({"name": name})).collect();
        status.insert("supportedFeatures".to_owned(), Value::Array(features));
    }
    Value::Object(status)
}

pub(crate) fn status(
    gateway: &Item,
    snapshot: &Snapshot,
    attachments: &[Attachment<'_>],
    options: &StandInOptions,
) -> Value {
    let mut status = fields(gateway.status());
    let says = [Says::yes("Accepted", "Accepted"), Says::yes("Programmed", "Programmed")];
    let before = status.remove("conditions").unwrap_or_default();
    status.insert("conditions".to_owned(), conditions::merge(&before, &says, gateway.generation()));
    status.insert("addresses".to_owned(), json!([{"type": "IPAddress", "value": options.address}]));
    let before = status.remove("listeners").unwrap_or_default();
    let listeners: Vec<Value> = routes::listeners(gateway)
        .iter()
        .map(|listener| listener_status(gateway, listener, &before, snapshot, attachments))
        .collect();
    status.insert("listeners".to_owned(), Value::Array(listeners));
    Value::Object(status)
}

fn listener_status(
    gateway: &Item,
    listener: &Value,
    before: &Value,
    snapshot: &Snapshot,
    attachments: &[Attachment<'_>],
) -> Value {
    let name = &listener["name"];
    let before =
        before.as_array().and_then(|listeners| listeners.iter().find(|old| &old["name"] == name)).unwrap_or(NULL);
    let says = match missing_certificate(gateway, listener, snapshot) {
        None => vec![
            Says::yes("Accepted", "Accepted"),
            Says::yes("Programmed", "Programmed"),
            Says::yes("ResolvedRefs", "ResolvedRefs"),
        ],
        Some((reason, message)) => vec![
            Says::yes("Accepted", "Accepted"),
            Says::no("Programmed", "Invalid", message.clone()),
            Says::no("ResolvedRefs", reason, message),
        ],
    };
    let attached = attachments
        .iter()
        .filter(|attachment| attachment.is_accepted_by(gateway, name.as_str().unwrap_or_default()))
        .map(|attachment| attachment.route.key())
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    let kinds: Vec<Value> =
        routes::kinds(listener).into_iter().map(|kind| json!({"group": GATEWAY_API, "kind": kind})).collect();
    json!({
        "name": name,
        "supportedKinds": kinds,
        "attachedRoutes": attached,
        "conditions": conditions::merge(&before["conditions"], &says, gateway.generation()),
    })
}

fn missing_certificate(gateway: &Item, listener: &Value, snapshot: &Snapshot) -> Option<(&'static str, String)> {
    listener["tls"]["certificateRefs"].as_array()?.iter().find_map(|reference| {
        let name = reference["name"].as_str().unwrap_or_default();
        let namespace = reference["namespace"].as_str().unwrap_or(gateway.namespace());
        if !snapshot.permits((GATEWAY_API, "Gateway", gateway.namespace()), ("", "Secret", namespace, name)) {
            Some(("RefNotPermitted", format!("no ReferenceGrant for Secret {namespace}/{name}")))
        } else if snapshot.has_secret(namespace, name) {
            None
        } else {
            Some(("InvalidCertificateRef", format!("no Secret {namespace}/{name}")))
        }
    })
}

fn fields(status: &Value) -> Map<String, Value> {
    status.as_object().cloned().unwrap_or_default()
}
