//! Which members of a set go, and in which order.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    closing,
    live::{LiveState, key_of, label, text},
    set::{ANNOTATION_PROTECTED_BY, ANNOTATION_SENT, Identity, phase_from_name},
    step::{Action, Membership, Step},
};
use crate::{compile::Phase, object::ObjectKey};

/// Members that are no longer wanted: routes first, foundations last, and what others name is a foundation of theirs.
pub(super) fn deletions(live: &LiveState, identities: &BTreeSet<Identity>) -> Vec<Step> {
    let (own, shared) = (live.set.id(), live.shared.id());
    let mut steps = Vec::new();
    for (identity, found) in &live.objects {
        let value = &found.value;
        if identities.contains(identity) {
            continue;
        }
        let membership = match label(value) {
            Some(id) if id == own => Membership::Plane,
            Some(id) if id == shared => Membership::Shared,
            _ => continue,
        };
        let action = if membership == Membership::Shared {
            let references =
                live.shared_parent.as_ref().and_then(|parent| parent.record.references.get(&identity.to_string()));
            if !references.is_some_and(|references| references.contains(&own)) {
                continue;
            }
            let remaining = live.other_references(identity);
            if remaining.is_empty() { Action::Delete } else { Action::Release { remaining } }
        } else {
            Action::Delete
        };
        let Some(key) = key_of(value) else { continue };
        let protected = closing::is_protected(value) && !closing::is_closed(value);
        let phase = match phase_of(value, &key) {
            Phase::Policies if is_named(identity, &key.name, live) => Phase::Foundation,
            phase => phase,
        };
        steps.push(Step {
            phase,
            key,
            membership,
            action,
            owners: BTreeSet::new(),
            gate: None,
            object: protected.then(|| closing::close(value)).flatten(),
            uid: text(value, "uid"),
        });
    }
    steps.sort_by(|a, b| b.phase.cmp(&a.phase).then_with(|| Identity::from(&a.key).cmp(&Identity::from(&b.key))));
    steps
}

/// Whether another live object names this one: a policy its Secret, a route its filter. A controller that sees the Secret go first
/// serves a broken policy. Names that we make are nobody else's, so a name in any text is enough.
fn is_named(identity: &Identity, name: &str, live: &LiveState) -> bool {
    live.objects.iter().any(|(other, found)| {
        let annotations = found.value["metadata"]["annotations"].as_object();
        // What protects a route is named by us, for ourselves.
        let mut theirs = annotations.into_iter().flatten().filter(|(key, _)| *key != ANNOTATION_PROTECTED_BY);
        other != identity && (mentions(&found.value["spec"], name) || theirs.any(|(_, value)| mentions(value, name)))
    })
}

/// Whether any text of a value is the name, or has it in a list or a path.
fn mentions(value: &Value, name: &str) -> bool {
    let no_part_of_a_name = |char: char| !(char.is_ascii_alphanumeric() || matches!(char, '-' | '.'));
    match value {
        Value::String(text) => text.split(no_part_of_a_name).any(|part| part == name),
        Value::Array(items) => items.iter().any(|item| mentions(item, name)),
        Value::Object(fields) => fields.values().any(|field| mentions(field, name)),
        _ => false,
    }
}

fn phase_of(value: &Value, key: &ObjectKey) -> Phase {
    let mark = value["metadata"]["annotations"][ANNOTATION_SENT].as_str().unwrap_or_default();
    let by_mark = mark.split_once('/').and_then(|(phase, _)| phase_from_name(phase));
    by_mark.unwrap_or_else(|| match key.kind.kind.as_ref() {
        "GatewayClass" | "ReferenceGrant" => Phase::Foundation,
        "Gateway" => Phase::Gateways,
        kind if kind.ends_with("Route") => Phase::Routes,
        _ => Phase::Policies,
    })
}
