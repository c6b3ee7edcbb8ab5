//! Writes the parents of sets: wider before the first write, narrower after the last.

use std::collections::BTreeSet;

use super::{client::Http, error::ClusterError, live::CONFIG_MAP};
use crate::{
    object::{GroupKind, ObjectKey},
    plan::{ContributionRecord, Membership, ParentState, Plan, SetIdentity},
};

const MANAGER: &str = "gateway-modules";

/// Reads a parent.
pub(crate) async fn read(http: &Http, set: &SetIdentity) -> Result<Option<ParentState>, ClusterError> {
    match http.get(&key(set)).await? {
        Some(value) => {
            ParentState::from_config_map(&value).map(Some).map_err(|message| ClusterError::BadParent { message })
        }
        None => Ok(None),
    }
}

/// Writes a parent, if it differs from what was read; returns it with its new version.
pub(crate) async fn write(
    http: &Http,
    before: Option<&ParentState>,
    after: ParentState,
) -> Result<ParentState, ClusterError> {
    if before == Some(&after) {
        return Ok(after);
    }
    let value = after.to_config_map();
    let written = match before {
        Some(_) => http.replace(&value, MANAGER).await,
        None => http.create(&value, MANAGER).await,
    };
    match written {
        Ok(value) => ParentState::from_config_map(&value).map_err(|message| ClusterError::BadParent { message }),
        Err(ClusterError::Outdated { .. } | ClusterError::Appeared { .. }) => {
            Err(ClusterError::StalePlan { set: after.set.to_string() })
        }
        Err(error) => Err(error),
    }
}

/// Deletes a parent.
pub(crate) async fn delete(http: &Http, set: &SetIdentity) -> Result<(), ClusterError> {
    http.delete(&key(set), None, false).await
}

fn key(set: &SetIdentity) -> ObjectKey {
    ObjectKey { kind: CONFIG_MAP, namespace: Some(set.namespace.clone()), name: set.name.clone() }
}

/// Kinds and namespaces that the plan's members have, before (with what goes) or after.
fn extent(plan: &Plan, membership: Membership, with_deleted: bool) -> (BTreeSet<GroupKind>, BTreeSet<String>) {
    let steps = plan.steps.iter().filter(|step| step.membership == membership);
    let steps = steps.filter(|step| with_deleted || !matches!(step.action, crate::plan::Action::Delete));
    let secrets = plan.secrets.iter().filter(|_| membership == Membership::Plane);
    let keys: Vec<&ObjectKey> = steps.map(|step| &step.key).chain(secrets.map(|step| &step.key)).collect();
    (
        keys.iter().map(|key| key.kind.group_kind()).collect(),
        keys.iter()
            .filter_map(|key| key.namespace.clone())
            .filter(|namespace| *namespace != plan.set.namespace)
            .collect(),
    )
}

/// The plane's parent before the first write.
pub(crate) fn widened(plan: &Plan, before: Option<&ParentState>) -> ParentState {
    let mut parent = before.cloned().unwrap_or_else(|| ParentState::new(plan.set.clone()));
    let (kinds, namespaces) = extent(plan, Membership::Plane, true);
    parent.group_kinds.extend(kinds);
    parent.namespaces.extend(namespaces);
    if plan.selection.is_some() {
        parent.record.selection.clone_from(&plan.selection);
    }
    // Written ahead: a record of something that was never set is found out by its value and forgotten.
    let mut records: Vec<ContributionRecord> = plan.contribution_records.clone();
    for old in &parent.record.contributions {
        if !records.iter().any(|new| new.target == old.target && new.field == old.field) {
            records.push(old.clone());
        }
    }
    records.sort();
    parent.record.contributions = records;
    parent
}

/// The plane's parent after the last write; `complete` when nothing is blocked.
pub(crate) fn narrowed(plan: &Plan, before: &ParentState, complete: bool) -> ParentState {
    let mut parent = before.clone();
    if complete {
        let (kinds, namespaces) = extent(plan, Membership::Plane, false);
        parent.group_kinds = kinds;
        parent.namespaces = namespaces;
        parent.release.clone_from(&plan.release);
        parent.record.contributions.clone_from(&plan.contribution_records);
        parent.record.contributions.sort();
    }
    parent
}

/// The shared parent before the first write; `None` when the plan has nothing to do with it.
pub(crate) fn shared_widened(plan: &Plan, before: Option<&ParentState>) -> Option<ParentState> {
    if plan.references.is_empty() {
        return before.cloned();
    }
    let mut parent = before.cloned().unwrap_or_else(|| ParentState::new(plan.shared.clone()));
    let (kinds, namespaces) = extent(plan, Membership::Shared, true);
    parent.group_kinds.extend(kinds);
    parent.namespaces.extend(namespaces);
    for object in &plan.references {
        parent.record.references.entry(object.clone()).or_default().insert(plan.set.id());
    }
    Some(parent)
}

/// The shared parent after the last write. Its kinds are those of the objects that are still referred to.
pub(crate) fn shared_narrowed(plan: &Plan, before: &ParentState) -> ParentState {
    let mut parent = before.clone();
    let own = plan.set.id();
    parent.record.references.retain(|object, sets| {
        if !plan.references.contains(object) {
            sets.remove(&own);
        }
        !sets.is_empty()
    });
    let referenced: BTreeSet<&str> =
        parent.record.references.keys().filter_map(|object| object.split_once(' ').map(|(kind, _)| kind)).collect();
    parent.group_kinds.retain(|kind| referenced.contains(kind.to_string().as_str()));
    let namespaces: BTreeSet<&str> = parent
        .record
        .references
        .keys()
        .filter_map(|object| object.split_once(' ')?.1.split_once('/').map(|(namespace, _)| namespace))
        .collect();
    parent.namespaces.retain(|namespace| namespaces.contains(namespace.as_str()));
    parent
}
