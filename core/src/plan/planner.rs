//! From a release and what is live to a plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{
    closing,
    compare::{self, FieldChange, canonical, compare, sent_mark},
    contribution::{self, ContributionAction, ContributionRecord, ContributionStep},
    deletions::deletions,
    diff::{is_secret, redacted, yaml_diff},
    drift,
    error::PlanError,
    live::{LiveClass, LiveObject, LiveState, key_of, label, text},
    options::PlanOptions,
    secrets::plan_secrets,
    set::{
        ANNOTATION_CLOSED, ANNOTATION_PROTECTED_BY, ANNOTATION_SENT, Identity, LABEL_PART_OF, ParentState, Selection,
        SetIdentity,
    },
    step::{Action, FormerSet, GateStep, Membership, Opening, Owner, Plan, Step},
};
use crate::{
    compile::{Gate, Release, ReleaseObject, Role},
    object::Object,
};

/// An object with everything that an apply adds to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// As it is sent.
    pub object: Object,
    /// Its closed form, as it is sent.
    pub closed: Option<Object>,
    /// Which set it is a member of.
    pub membership: Membership,
}

/// The object as it is sent: with the label of its set and our annotations.
pub fn wanted(entry: &ReleaseObject, set: &SetIdentity, shared: &SetIdentity) -> Wanted {
    // A gate without policies holds nothing back.
    let gate = entry.gate.as_ref().filter(|gate| !gate.policies.is_empty());
    let membership = if entry.role == Role::Class { Membership::Shared } else { Membership::Plane };
    let id = if membership == Membership::Shared { shared.id() } else { set.id() };
    let finish = |object: &Object, annotation: Option<(&str, &str)>| {
        let mut object = object.clone();
        object.set_label(LABEL_PART_OF, &id);
        if let Some((name, value)) = annotation {
            object.set_annotation(name, value);
        }
        let mark = sent_mark(&object, entry.phase);
        object.set_annotation(ANNOTATION_SENT, &mark);
        object
    };
    let protected_by = gate.map(|gate| protectors(gate).into_iter().collect::<Vec<_>>().join(","));
    Wanted {
        object: finish(&entry.object, protected_by.as_deref().map(|value| (ANNOTATION_PROTECTED_BY, value))),
        closed: gate.map(|gate| finish(&gate.closed.0, Some((ANNOTATION_CLOSED, "true")))),
        membership,
    }
}

fn protectors(gate: &Gate) -> BTreeSet<String> {
    gate.policies.iter().map(|policy| Identity::from(&policy.object).to_string()).collect()
}

/// Plans an apply of a release.
///
/// # Errors
/// The release cannot be applied here at all: its class is missing or another controller's, the module has changed, or it
/// contradicts itself. Objects and fields of others are no errors but [`Plan::conflicts`].
pub fn plan(release: &Release, live: &LiveState, options: PlanOptions) -> Result<Plan, PlanError> {
    check_class(release, live)?;
    let mut selection = Selection::from(&release.module);
    check_selection(&selection, live, options)?;
    if let Some(recorded) = live.parent.as_ref().and_then(|parent| parent.record.selection.as_ref())
        && recorded.is_same_gateway(&selection)
    {
        // The choice was made then; and a controller that was recorded is not forgotten where it cannot be read.
        selection.reason.clone_from(&recorded.reason);
        selection.time.clone_from(&recorded.time);
        if selection.controller.is_none() {
            selection.controller.clone_from(&recorded.controller);
        }
    }
    let mut steps = Vec::new();
    let mut actions: BTreeMap<Identity, (bool, bool)> = BTreeMap::new();
    let mut identities = BTreeSet::new();
    let mut references = BTreeSet::new();
    for entry in &release.objects {
        let key = entry.key();
        let identity = Identity::from(&key);
        if !identities.insert(identity.clone()) {
            return Err(PlanError::Twice { object: Box::new(key) });
        }
        let wanted = wanted(entry, &live.set, &live.shared);
        if wanted.membership == Membership::Shared {
            references.insert(identity.to_string());
        }
        let found = live.staying(&identity);
        let action = decide(&wanted, found, &identity, live, options);
        actions.insert(identity, (found.is_some(), !matches!(action, Action::Unchanged)));
        steps.push(Step {
            phase: entry.phase,
            membership: wanted.membership,
            action,
            owners: entry.owners.clone(),
            gate: entry.gate.as_ref().zip(wanted.closed).map(|(gate, closed)| GateStep {
                opening: Opening::Steady,
                policies: gate.policies.clone(),
                closed,
            }),
            uid: found.and_then(|found| text(&found.value, "uid")),
            object: Some(wanted.object),
            key,
        });
    }
    for step in &mut steps {
        let live = live.staying(&Identity::from(&step.key)).map(|live| &live.value);
        if let Some(gate) = &mut step.gate {
            gate.opening = opening(&step.action, live, gate, &actions);
        }
    }
    let secrets = plan_secrets(&release.derived_secrets, live, options, &mut identities)?;
    let wishes = contribution::wishes(&release.contributions).map_err(PlanError::from)?;
    let records = live.parent.as_ref().map_or(&[][..], |parent| parent.record.contributions.as_slice());
    let mut contributions = contribution::plan(&wishes, &live.targets, records, options.adopt);
    let mut deleted = deletions(live, &identities);
    if options.keep {
        keep(&mut contributions, records, &mut deleted, &mut references);
    }
    steps.sort_by(|a, b| (a.phase, Identity::from(&a.key)).cmp(&(b.phase, Identity::from(&b.key))));
    steps.extend(deleted);
    let applied = live.parent.as_ref().is_some_and(|parent| parent.release == Some(release.id()));
    let drift = drift::find(&steps, &contributions, &release.policies, live, applied);
    let former = live
        .former
        .iter()
        .map(|(parent, members)| FormerSet {
            set: parent.set.clone(),
            selection: parent.record.selection.clone(),
            deletes: members.values().filter_map(|member| key_of(&member.value)).collect(),
        })
        .collect();
    let mut plan = Plan {
        data_plane: release.data_plane.clone(),
        set: live.set.clone(),
        shared: live.shared.clone(),
        release: Some(release.id()),
        selection: Some(selection),
        former,
        steps,
        secrets,
        contribution_records: contributions.iter().filter_map(|step| step.record.clone()).collect(),
        contributions,
        policies: release.policies.clone(),
        drift,
        record: None,
        adopt: options.adopt || options.repair,
        in_force_after: release.in_force_after,
        versions: versions(live),
        references,
    };
    plan.record = record_reason(&plan, live);
    Ok(plan)
}

/// Plans the deletion of everything that a data plane has in the cluster.
pub fn plan_delete(live: &LiveState) -> Plan {
    let records = live.parent.as_ref().map_or(&[][..], |parent| parent.record.contributions.as_slice());
    Plan {
        data_plane: live.set.data_plane.clone().unwrap_or_default(),
        set: live.set.clone(),
        shared: live.shared.clone(),
        release: None,
        selection: None,
        former: Vec::new(),
        steps: deletions(live, &BTreeSet::new()),
        secrets: Vec::new(),
        contributions: contribution::plan(&BTreeMap::new(), &live.targets, records, false),
        policies: Vec::new(),
        drift: Vec::new(),
        record: live
            .parent
            .as_ref()
            .map(|parent| format!("ConfigMap {}/{} goes", parent.set.namespace, parent.set.name)),
        adopt: false,
        in_force_after: Duration::ZERO,
        versions: versions(live),
        references: BTreeSet::new(),
        contribution_records: Vec::new(),
    }
}

/// What would go stays, with its records, so that a later plan still knows it.
fn keep(
    contributions: &mut [ContributionStep],
    records: &[ContributionRecord],
    deleted: &mut [Step],
    references: &mut BTreeSet<String>,
) {
    for step in contributions {
        if matches!(step.action, ContributionAction::Withdraw { .. }) {
            step.action = ContributionAction::Unchanged;
            step.record =
                records.iter().find(|record| record.target == step.target && record.field == step.field).cloned();
        }
    }
    for step in deleted {
        step.action = Action::Unchanged;
        step.object = None;
        if step.membership == Membership::Shared {
            references.insert(Identity::from(&step.key).to_string());
        }
    }
}

fn versions(live: &LiveState) -> (Option<String>, Option<String>) {
    let version = |parent: &Option<ParentState>| parent.as_ref().map(|parent| parent.resource_version.clone());
    (version(&live.parent), version(&live.shared_parent))
}

fn check_class(release: &Release, live: &LiveState) -> Result<(), PlanError> {
    let class = &release.module.class;
    match &live.class {
        LiveClass::Unread => Ok(()),
        LiveClass::Missing { available } => {
            let made = release.objects.iter().any(|entry| {
                let key = entry.key();
                key.kind.kind == "GatewayClass" && key.name == *class
            });
            if made {
                Ok(())
            } else {
                Err(PlanError::ClassMissing {
                    class: class.clone(),
                    module: release.module.name.clone(),
                    available: available.clone(),
                })
            }
        }
        LiveClass::Present { controller } => match &release.module.controller {
            Some(expected) if expected != controller => Err(PlanError::ControllerDiffers {
                class: class.clone(),
                module: release.module.name.clone(),
                expected: expected.clone(),
                found: controller.clone(),
            }),
            _ => Ok(()),
        },
    }
}

fn check_selection(wanted: &Selection, live: &LiveState, options: PlanOptions) -> Result<(), PlanError> {
    if options.allow_outage {
        return Ok(());
    }
    let same_set = live.parent.as_ref().and_then(|parent| parent.record.selection.as_ref());
    let former = live.former.iter().find_map(|(parent, _)| parent.record.selection.as_ref());
    let changed = former.or(same_set.filter(|recorded| !recorded.is_same_gateway(wanted)));
    match changed {
        Some(recorded) => Err(PlanError::SelectionChanged {
            data_plane: live.set.data_plane.clone().unwrap_or_default(),
            recorded: Box::new(recorded.clone()),
            wanted: Box::new(wanted.clone()),
        }),
        None => Ok(()),
    }
}

fn decide(
    wanted: &Wanted,
    found: Option<&LiveObject>,
    identity: &Identity,
    live: &LiveState,
    options: PlanOptions,
) -> Action {
    let Some(found) = found else { return Action::Create };
    let set = if wanted.membership == Membership::Shared { &live.shared } else { &live.set };
    let manager = set.field_manager();
    if let Some(owner) = live.foreign_owner(&found.value, set) {
        if !options.adopt {
            return Action::Conflict { with: owner };
        }
        let (changes, diff) = difference(&wanted.object, found, &manager);
        return Action::Adopt { from: owner, changes, diff };
    }
    let comparison = compare(&wanted.object, &found.value, &manager);
    if comparison.changes.is_empty() || found.preview.as_ref().is_some_and(|preview| settled(&found.value, preview)) {
        return Action::Unchanged;
    }
    if wanted.membership == Membership::Shared {
        let others = live.other_references(identity);
        if !others.is_empty() {
            return Action::Conflict { with: Owner::Planes { sets: others } };
        }
    }
    let (changes, diff) = difference(&wanted.object, found, &manager);
    Action::Update { changes, diff }
}

/// Whether a dry run has changed nothing: the server would not even write.
fn settled(live: &Value, preview: &Value) -> bool {
    let plain = |value: &Value| {
        let mut value = value.clone();
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
            for entry in metadata.get_mut("managedFields").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(entry) = entry.as_object_mut() {
                    entry.remove("time");
                }
            }
        }
        canonical(&value)
    };
    plain(live) == plain(preview)
}

/// Whether an apply of the object seems to change the live one, so that a dry run is worth its request.
pub fn seems_to_differ(wanted: &Wanted, live: &Value, set: &SetIdentity, shared: &SetIdentity) -> bool {
    let set = if wanted.membership == Membership::Shared { shared } else { set };
    label(live) == Some(set.id().as_str()) && !compare(&wanted.object, live, &set.field_manager()).changes.is_empty()
}

fn difference(wanted: &Object, found: &LiveObject, manager: &str) -> (Vec<FieldChange>, String) {
    let desired = wanted.to_value();
    let mut changes = compare(wanted, &found.value, manager).changes;
    let before = compare::project(&found.value, &desired, manager);
    let diff = match &found.preview {
        Some(preview) => {
            compare::keep_real(&mut changes, &found.value, preview);
            yaml_diff(&before, &compare::project(preview, &desired, manager))
        }
        None => yaml_diff(&before, &desired),
    };
    // The mark of what was sent follows every other change; alone, it is worth showing.
    let mark = format!("metadata.annotations[{ANNOTATION_SENT}]");
    if changes.iter().any(|change| change.path != mark) {
        changes.retain(|change| change.path != mark);
    }
    if is_secret(&desired) {
        for change in
            changes.iter_mut().filter(|change| change.path.starts_with("data") || change.path.starts_with("stringData"))
        {
            change.before = change.before.as_ref().map(|_| redacted());
            change.after = change.after.as_ref().map(|_| redacted());
        }
    }
    (changes, diff)
}

/// How a route with attached policies comes to be open. `actions`: per object, whether it is there and whether it changes.
fn opening(
    action: &Action,
    live: Option<&Value>,
    gate: &GateStep,
    actions: &BTreeMap<Identity, (bool, bool)>,
) -> Opening {
    let close = |reason: String| Opening::CloseThenOpen { reason };
    let Some(live) = live else { return close("the route is new".to_owned()) };
    if closing::is_closed(live) {
        return close("the route is still closed".to_owned());
    }
    if !closing::names_backends(&gate.closed, live) {
        let reason =
            "it leads to another backend than before, whose policy is acknowledged only where a route names it";
        return close(reason.to_owned());
    }
    let new: BTreeSet<String> = gate.policies.iter().map(|policy| Identity::from(&policy.object).to_string()).collect();
    let recorded = live["metadata"]["annotations"][ANNOTATION_PROTECTED_BY].as_str().unwrap_or_default();
    let state = |name: &str| actions.iter().find(|(identity, _)| identity.to_string() == name).map(|(_, state)| *state);
    for old in recorded.split(',').filter(|old| !old.is_empty()) {
        match (new.contains(old), state(old)) {
            (true, Some((false, _))) => return close(format!("its policy {old} is gone, and it is open without it")),
            (false, Some((_, true))) => return close(format!("{old} changes and no longer protects it")),
            _ => {}
        }
    }
    let changes = new.iter().any(|policy| state(policy).is_none_or(|(_, changes)| changes));
    if changes || !matches!(action, Action::Unchanged) { Opening::PolicyThenRoute } else { Opening::Steady }
}

/// Why the parents' records change, although perhaps no object does.
fn record_reason(plan: &Plan, live: &LiveState) -> Option<String> {
    let id = live.set.id();
    let Some(parent) = &live.parent else {
        let nothing = plan.steps.is_empty() && plan.secrets.is_empty() && plan.contributions.is_empty();
        return (!nothing).then(|| format!("{} is new", live.set));
    };
    if parent.release != plan.release {
        return Some(match &parent.release {
            Some(old) => format!("release {old} becomes {}", plan.release.as_deref().unwrap_or_default()),
            None => "no release was applied completely yet".to_owned(),
        });
    }
    if parent.record.selection != plan.selection {
        return Some("what is known of the gateway changes".to_owned());
    }
    let mut records = plan.contribution_records.clone();
    let mut recorded = parent.record.contributions.clone();
    records.sort();
    recorded.sort();
    if records != recorded {
        return Some("fields of objects of others".to_owned());
    }
    let held: BTreeSet<String> = live
        .shared_parent
        .iter()
        .flat_map(|parent| &parent.record.references)
        .filter(|(_, sets)| sets.contains(&id))
        .map(|(object, _)| object.clone())
        .collect();
    (held != plan.references).then(|| "references to shared objects".to_owned())
}
