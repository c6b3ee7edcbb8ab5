//! The status of policies.

use serde_json::{Value, json};

use super::conditions::{self, Says};
use super::routes::{self, Attachment};
use super::snapshot::{Item, NULL, ROUTES, Snapshot};
use super::{GATEWAY_API, StandInOptions};

/// The API's own limit.
const MOST_ANCESTORS: usize = 16;

pub(crate) fn status(
    policy: &Item,
    snapshot: &Snapshot,
    attachments: &[Attachment<'_>],
    options: &StandInOptions,
) -> Value {
    let before = policy.status()["ancestors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = |ancestor: &&Value| ancestor["controllerName"] == options.controller.as_str();
    let mut ancestors: Vec<Value> = before.iter().filter(|ancestor| !ours(ancestor)).cloned().collect();
    let gateways = gateways(policy, snapshot, attachments);
    if gateways.is_empty() && ancestors.len() == before.len() {
        // Nothing to say and nothing said before: not even an empty list.
        return policy.status().clone();
    }
    for gateway in gateways {
        let reference = json!({
            "group": GATEWAY_API, "kind": "Gateway", "namespace": gateway.namespace(), "name": gateway.name(),
        });
        let old = before.iter().filter(ours).find(|old| old["ancestorRef"] == reference).unwrap_or(NULL);
        let mut says = vec![Says::yes("Accepted", &options.policy_reason)];
        if options.attached {
            says.push(Says::yes("Attached", "Attached"));
        }
        ancestors.push(json!({
            "ancestorRef": reference,
            "controllerName": options.controller,
            "conditions": conditions::merge(&old["conditions"], &says, policy.generation()),
        }));
    }
    ancestors.truncate(MOST_ANCESTORS);
    json!({"ancestors": ancestors})
}

/// The Gateways that a policy's targets are, or hang on.
fn gateways<'a>(policy: &Item, snapshot: &'a Snapshot, attachments: &[Attachment<'a>]) -> Vec<&'a Item> {
    let spec = policy.spec();
    let targets = spec["targetRefs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut gateways: Vec<&Item> = targets
        .iter()
        .chain(spec.get("targetRef"))
        .flat_map(|target| of_target(target, policy.namespace(), snapshot, attachments))
        .collect();
    gateways.sort_by_key(|gateway| gateway.key());
    gateways.dedup_by_key(|gateway| gateway.key());
    gateways
}

fn of_target<'a>(
    target: &Value,
    policy_namespace: &str,
    snapshot: &'a Snapshot,
    attachments: &[Attachment<'a>],
) -> Vec<&'a Item> {
    let group = target["group"].as_str().unwrap_or_default();
    let kind = target["kind"].as_str().unwrap_or_default();
    let name = target["name"].as_str().unwrap_or_default();
    let namespace = target["namespace"].as_str().unwrap_or(policy_namespace);
    let accepted = attachments.iter().filter(|attachment| attachment.is_accepted());
    match (group, kind) {
        (GATEWAY_API, "Gateway") => snapshot.gateway(namespace, name).into_iter().collect(),
        (GATEWAY_API, kind) if ROUTES.contains(&kind) => accepted
            .filter(|attachment| attachment.route.key() == (kind.to_owned(), namespace.to_owned(), name.to_owned()))
            .map(|attachment| attachment.gateway)
            .collect(),
        ("", "Service") if snapshot.has_service(namespace, name) => accepted
            .filter(|attachment| {
                routes::backends(attachment.route).any(|backend| {
                    backend["name"] == name
                        && backend["namespace"].as_str().unwrap_or(attachment.route.namespace()) == namespace
                })
            })
            .map(|attachment| attachment.gateway)
            .collect(),
        _ => Vec::new(),
    }
}
