//! Steps of Secrets that are derived from those of teams.

use std::collections::BTreeSet;

use super::{
    compare::{compare, sent_mark},
    error::PlanError,
    live::{LiveObject, LiveState},
    managed::managers,
    options::PlanOptions,
    set::{ANNOTATION_SENT, ANNOTATION_SOURCE, Identity, LABEL_PART_OF},
    step::{SecretAction, SecretStep},
};
use crate::{
    compile::Phase,
    module::{DerivedSecret, SecretTransform},
    names,
    object::{GroupVersionKind, Object},
};

const SECRET: GroupVersionKind = GroupVersionKind::of("", "v1", "Secret");

pub(super) fn plan_secrets(
    derived: &[DerivedSecret],
    live: &LiveState,
    options: PlanOptions,
    identities: &mut BTreeSet<Identity>,
) -> Result<Vec<SecretStep>, PlanError> {
    let mut steps = Vec::new();
    for secret in derived {
        let mut object = Object::new(&SECRET, Some(&secret.namespace), &secret.name);
        let key = object.key();
        let identity = Identity::from(&key);
        if !identities.insert(identity.clone()) {
            return Err(PlanError::Twice { object: Box::new(key) });
        }
        for (name, value) in &secret.labels {
            object.set_label(name, value);
        }
        object.set_label(LABEL_PART_OF, &live.set.id());
        if let Some(kind) = &secret.secret_type {
            object = object.with_field("type", kind.as_str().into());
        }
        let action = secret_action(secret, &mut object, live.staying(&identity), live, options);
        steps.push(SecretStep {
            key,
            source: secret.source.clone(),
            transform: secret.transform.clone(),
            action,
            object,
        });
    }
    steps.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(steps)
}

/// Key of the derived Secret.
const fn transform_key(transform: &SecretTransform) -> &String {
    match transform {
        SecretTransform::HtpasswdSha1 { key } | SecretTransform::HtpasswdBcrypt { key } => key,
    }
}

fn secret_action(
    secret: &DerivedSecret,
    object: &mut Object,
    found: Option<&LiveObject>,
    live: &LiveState,
    options: PlanOptions,
) -> SecretAction {
    if let SecretTransform::HtpasswdBcrypt { .. } = secret.transform {
        return SecretAction::Blocked { reason: "htpasswd with bcrypt cannot be made yet; use SHA-1".to_owned() };
    }
    let Some(source) = live.sources.get(&(secret.namespace.clone(), secret.source.clone())) else {
        let (namespace, name) = (&secret.namespace, &secret.source);
        return SecretAction::Blocked {
            reason: format!(
                "Secret {namespace}/{name} is not there; create it with one key per user, then apply again"
            ),
        };
    };
    let transform = serde_json::to_string(&secret.transform).unwrap_or_default();
    object.set_annotation(ANNOTATION_SOURCE, &names::hash(&[&source.uid, &source.resource_version, &transform]));
    let mark = sent_mark(object, Phase::Policies);
    object.set_annotation(ANNOTATION_SENT, &mark);
    let Some(found) = found else { return SecretAction::Create };
    if let Some(with) = live.foreign_owner(&found.value, &live.set) {
        return if options.adopt {
            SecretAction::Update { reason: format!("taken from {with}") }
        } else {
            SecretAction::Conflict { with }
        };
    }
    if found.value["metadata"]["annotations"][ANNOTATION_SOURCE].as_str() != object.annotation(ANNOTATION_SOURCE) {
        return SecretAction::Update { reason: format!("Secret {}/{} has changed", secret.namespace, secret.source) };
    }
    let manager = live.set.field_manager();
    let owns_data = managers(&found.value).into_iter().any(|entry| {
        let data = entry.fields.field("data");
        entry.apply
            && entry.manager == manager
            && data.is_some_and(|data| data.field(transform_key(&secret.transform)).is_some())
    });
    if !owns_data {
        return SecretAction::Update { reason: "somebody else has changed its data".to_owned() };
    }
    let comparison = compare(object, &found.value, &manager);
    match comparison.changes.first() {
        Some(change) => SecretAction::Update { reason: format!("{} differs", change.path) },
        None => SecretAction::Unchanged,
    }
}
