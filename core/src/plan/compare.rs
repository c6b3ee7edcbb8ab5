//! What an apply would change in a live object.
//!
//! Three questions decide it: is what we send there, is it still ours (`managedFields`), and do we own something that we no
//! longer send. Inside an atomic list or map the managed fields cannot tell a default of the server from a field that we
//! have stopped to send, so each object carries a hash of what was sent ([`ANNOTATION_SENT`]). With an equal hash and full
//! ownership, a difference of values can only be a normalisation of the server, and nothing is to be done.

use serde::Serialize;
use serde_json::{Map, Value};

use super::quantity::quantity_value;
use super::{
    managed::{FieldSet, FieldStep, ManagedBy, find_item, managers},
    set::{ANNOTATION_SENT, phase_name},
};
use crate::{compile::Phase, names, object::Object};

/// What happens to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// It is not there, and will be.
    Added,
    /// It has another value.
    Changed,
    /// We have set it and no longer want it.
    Removed,
    /// It has the value that we want, and is no longer (or not yet) ours.
    Owner,
}

/// A change of one field.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// Path for people, for example `spec.listeners[name=http].port`.
    pub path: String,
    /// What happens.
    pub kind: ChangeKind,
    /// Value in the cluster; redacted in a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Value that is sent; redacted in a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Another field manager that owns the field. A change of it would be a conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    #[serde(skip)]
    steps: Vec<FieldStep>,
}

impl FieldChange {
    /// Whether the API server would answer with a conflict.
    pub fn is_contested(&self) -> bool {
        self.manager.is_some() && self.kind == ChangeKind::Changed
    }
}

/// What an apply would change in a live object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Whether our manager has applied the object.
    pub applied: bool,
    /// Changes, in the order of the fields.
    pub changes: Vec<FieldChange>,
}

/// Hash of what is sent, for [`ANNOTATION_SENT`]; independent of the order of fields.
pub fn sent_mark(object: &Object, phase: Phase) -> String {
    let mut value = object.to_value();
    if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION_SENT);
    }
    format!("{}/{}", phase_name(phase), names::hash(&[&canonical(&value)]))
}

/// JSON with sorted fields.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields: Vec<String> = fields
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// Compares what is to be sent with what is there, for the given field manager. `desired` carries its [`ANNOTATION_SENT`].
pub fn compare(desired: &Object, live: &Value, manager: &str) -> Comparison {
    let all = managers(live);
    let is_own = |entry: &&ManagedBy| entry.apply && entry.manager == manager && entry.subresource.is_empty();
    let own = all.iter().find(is_own);
    let others: Vec<(&str, &FieldSet)> =
        all.iter().filter(|entry| !is_own(entry)).map(|entry| (entry.manager.as_str(), &entry.fields)).collect();
    let desired = desired.to_value();
    let same_version = own.is_some_and(|own| Some(own.api_version.as_str()) == desired["apiVersion"].as_str());
    let mark = |value: &Value| value["metadata"]["annotations"][ANNOTATION_SENT].as_str().map(ToOwned::to_owned);
    let mut walker = Walker {
        same: same_version && mark(live).is_some() && mark(live) == mark(&desired),
        steps: Vec::new(),
        changes: Vec::new(),
    };
    let fields = own.map(|own| &own.fields);
    for (name, value) in desired.as_object().into_iter().flatten() {
        if matches!(name.as_str(), "apiVersion" | "kind" | "status") {
            continue;
        }
        let below = narrow(&others, name);
        let owned = fields.and_then(|fields| fields.field(name));
        if name == "metadata" {
            for (name, value) in value.as_object().into_iter().flatten() {
                if matches!(name.as_str(), "labels" | "annotations" | "finalizers" | "ownerReferences") {
                    walker.steps = vec![FieldStep::Field("metadata".into()), FieldStep::Field(name.clone())];
                    let owned = owned.and_then(|owned| owned.field(name));
                    walker.wanted(value, live["metadata"].get(name), owned, &narrow(&below, name));
                }
            }
        } else {
            walker.steps = vec![FieldStep::Field(name.clone())];
            walker.wanted(value, live.get(name), owned, &below);
        }
    }
    walker.steps.clear();
    if let Some(fields) = fields {
        walker.unwanted(fields, Some(&desired), Some(live));
    }
    Comparison { applied: own.is_some(), changes: walker.changes }
}

struct Walker {
    /// Whether exactly this was sent last.
    same: bool,
    steps: Vec<FieldStep>,
    changes: Vec<FieldChange>,
}

type Others<'a> = Vec<(&'a str, &'a FieldSet)>;

fn narrow<'a>(others: &Others<'a>, name: &str) -> Others<'a> {
    others
        .iter()
        .filter_map(|(manager, set)| match set.field(name) {
            Some(below) => Some((*manager, below)),
            None if set.own && set.is_leaf() => Some((*manager, *set)),
            None => None,
        })
        .collect()
}

fn narrow_item<'a>(others: &Others<'a>, keys: &Map<String, Value>) -> Others<'a> {
    others.iter().filter_map(|(manager, set)| Some((*manager, set.item(keys)?))).collect()
}

impl Walker {
    fn wanted(&mut self, desired: &Value, live: Option<&Value>, owned: Option<&FieldSet>, others: &Others<'_>) {
        if desired.is_null() {
            return;
        }
        let Some(live) = live else {
            return self.change(ChangeKind::Added, None, Some(desired), &Vec::new());
        };
        let whole = owned.is_some_and(|owned| owned.own && owned.is_leaf());
        match desired {
            Value::Object(fields) if live.is_object() && !whole && !fields.is_empty() => {
                if owned.is_none() && others.iter().any(|(_, set)| set.is_leaf()) {
                    return self.atomic(desired, live, false, others);
                }
                for (name, value) in fields {
                    self.steps.push(FieldStep::Field(name.clone()));
                    let below = owned.and_then(|owned| owned.field(name));
                    self.wanted(value, live.get(name), below, &narrow(others, name));
                    self.steps.pop();
                }
            }
            Value::Array(items) if live.is_array() => {
                let structure = || owned.into_iter().chain(others.iter().map(|(_, set)| *set));
                if let Some(keys) = structure().find_map(|set| set.keys().next().cloned()) {
                    self.keyed(items, live.as_array().map_or(&[], Vec::as_slice), &keys, owned, others);
                } else if structure().any(|set| set.items().next().is_some()) {
                    self.set_items(items, live, owned);
                } else {
                    self.atomic(desired, live, owned.is_some(), others);
                }
            }
            Value::Object(_) | Value::Array(_) => self.atomic(desired, live, owned.is_some(), others),
            scalar => {
                let equal = if self.same && owned.is_some() { equivalent(scalar, live) } else { same(scalar, live) };
                if !equal {
                    self.change(ChangeKind::Changed, Some(live), Some(desired), others);
                } else if owned.is_none() {
                    self.change(ChangeKind::Owner, Some(live), Some(desired), others);
                }
            }
        }
    }

    /// A list whose items are told apart by keys.
    fn keyed(
        &mut self,
        items: &[Value],
        live: &[Value],
        example: &Map<String, Value>,
        owned: Option<&FieldSet>,
        others: &Others<'_>,
    ) {
        for item in items {
            let written: Map<String, Value> =
                example.keys().filter_map(|name| Some((name.clone(), item.get(name)?.clone()))).collect();
            let there = live.iter().find(|live| written.iter().all(|(name, value)| live.get(name) == Some(value)));
            // The keys as the server knows them, with the defaults that it has filled in.
            let keys: Map<String, Value> = example
                .keys()
                .filter_map(|name| Some((name.clone(), there.unwrap_or(item).get(name)?.clone())))
                .collect();
            self.steps.push(FieldStep::Key(keys.clone()));
            self.wanted(item, there, owned.and_then(|owned| owned.item(&keys)), &narrow_item(others, &keys));
            self.steps.pop();
        }
    }

    /// A list of distinct scalars.
    fn set_items(&mut self, items: &[Value], live: &Value, owned: Option<&FieldSet>) {
        let live = live.as_array().map_or(&[][..], Vec::as_slice);
        for item in items {
            self.steps.push(FieldStep::Item(item.clone()));
            if !live.contains(item) {
                self.change(ChangeKind::Added, None, Some(item), &Vec::new());
            } else if !owned.is_some_and(|owned| owned.items().any(|own| own == item)) {
                self.change(ChangeKind::Owner, Some(item), Some(item), &Vec::new());
            }
            self.steps.pop();
        }
    }

    /// A value that is owned as a whole. The server may have filled in defaults inside.
    fn atomic(&mut self, desired: &Value, live: &Value, owned: bool, others: &Others<'_>) {
        let unchanged =
            if owned && self.same { contains(live, desired, equivalent) } else { owned && same(live, desired) };
        if unchanged {
            return;
        }
        let kind = if !owned && same(live, desired) { ChangeKind::Owner } else { ChangeKind::Changed };
        self.change(kind, Some(live), Some(desired), others);
    }

    /// What we own and do not send.
    fn unwanted(&mut self, owned: &FieldSet, desired: Option<&Value>, live: Option<&Value>) {
        for (step, below) in &owned.children {
            let (desired, live) = match step {
                FieldStep::Field(name) => (
                    desired.and_then(|value| value.get(name)).filter(|value| !value.is_null()),
                    live.and_then(|value| value.get(name)),
                ),
                FieldStep::Key(keys) => (
                    desired.and_then(Value::as_array).and_then(|list| find_item(list, keys)),
                    live.and_then(Value::as_array).and_then(|list| find_item(list, keys)),
                ),
                FieldStep::Item(item) => {
                    let find =
                        |list: Option<&Value>| list.and_then(Value::as_array).is_some_and(|list| list.contains(item));
                    (find(desired).then_some(item), find(live).then_some(item))
                }
                FieldStep::Index(_) => continue,
            };
            self.steps.push(step.clone());
            match (desired, live) {
                (_, None) => {}
                (None, Some(live)) if below.is_leaf() || matches!(step, FieldStep::Key(_)) => {
                    self.change(ChangeKind::Removed, Some(live), None, &Vec::new());
                }
                (desired, live) => self.unwanted(below, desired, live),
            }
            self.steps.pop();
        }
    }

    fn change(&mut self, kind: ChangeKind, before: Option<&Value>, after: Option<&Value>, others: &Others<'_>) {
        self.changes.push(FieldChange {
            path: display(&self.steps),
            kind,
            before: before.cloned(),
            after: after.cloned(),
            manager: others.first().map(|(manager, _)| (*manager).to_owned()),
            steps: self.steps.clone(),
        });
    }
}

/// Drops the changes that a dry run has shown to be none: the same value is there before and after.
pub(crate) fn keep_real(changes: &mut Vec<FieldChange>, live: &Value, preview: &Value) {
    changes.retain(|change| {
        change.kind != ChangeKind::Changed || lookup(live, &change.steps) != lookup(preview, &change.steps)
    });
}

fn lookup<'a>(value: &'a Value, steps: &[FieldStep]) -> Option<&'a Value> {
    steps.iter().try_fold(value, |value, step| match step {
        FieldStep::Field(name) => value.get(name),
        FieldStep::Key(keys) => find_item(value.as_array()?, keys),
        FieldStep::Item(item) => value.as_array()?.iter().find(|own| *own == item),
        FieldStep::Index(index) => value.get(index),
    })
}

fn display(steps: &[FieldStep]) -> String {
    let scalar = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    steps.iter().enumerate().fold(String::new(), |path, (place, step)| match step {
        FieldStep::Field(name) if name.contains(['.', '/']) => format!("{path}[{name}]"),
        FieldStep::Field(name) if place == 0 => name.clone(),
        FieldStep::Field(name) => format!("{path}.{name}"),
        FieldStep::Key(keys) => {
            let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={}", scalar(value))).collect();
            format!("{path}[{}]", keys.join(","))
        }
        FieldStep::Item(item) => format!("{path}[{}]", scalar(item)),
        FieldStep::Index(index) => format!("{path}[{index}]"),
    })
}

/// The same JSON; `1` and `1.0` are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}

/// The same value, perhaps written in another way by the server: a quantity (`1000m` and `1`), a number as text.
///
/// Only used where it is known that nobody else has written the field, since as texts `1` and `1.0` do differ.
fn equivalent(a: &Value, b: &Value) -> bool {
    let quantity = |value: &Value| match value {
        Value::String(text) => quantity_value(text),
        Value::Number(number) => quantity_value(&number.to_string()),
        _ => None,
    };
    same(a, b) || matches!((quantity(a), quantity(b)), (Some(a), Some(b)) if a == b)
}

/// Whether everything of `part` is in `whole`. Lists must be as long as each other; a map may have more fields.
fn contains(whole: &Value, part: &Value, equal: fn(&Value, &Value) -> bool) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .filter(|(_, value)| !value.is_null())
            .all(|(name, part)| whole.get(name).is_some_and(|whole| contains(whole, part, equal))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| contains(whole, part, equal))
        }
        (whole, part) => equal(whole, part),
    }
}

/// Paths of what was sent and is not in what the server answered, apart from normalisation: pruned fields, or the work of
/// an admission webhook.
pub fn lost_fields(sent: &Value, returned: &Value) -> Vec<String> {
    let mut lost = Vec::new();
    let mut steps = Vec::new();
    lose(sent, Some(returned), &mut steps, &mut lost);
    lost
}

fn lose(sent: &Value, returned: Option<&Value>, steps: &mut Vec<FieldStep>, lost: &mut Vec<String>) {
    if sent.is_null() {
        return;
    }
    match (sent, returned) {
        (Value::Object(sent), Some(Value::Object(returned))) => {
            for (name, value) in sent {
                // Write-only: the server turns it into `data`.
                if steps.is_empty() && name == "stringData" {
                    continue;
                }
                steps.push(FieldStep::Field(name.clone()));
                lose(value, returned.get(name), steps, lost);
                steps.pop();
            }
        }
        // A list with keys may also hold items of others; what we have sent comes back in our order.
        (Value::Array(sent), Some(Value::Array(returned))) if returned.len() >= sent.len() => {
            let mut rest = returned.iter();
            for (index, value) in sent.iter().enumerate() {
                if returned.len() == sent.len() {
                    steps.push(FieldStep::Index(index));
                    lose(value, returned.get(index), steps, lost);
                    steps.pop();
                } else if !rest.any(|returned| contains(returned, value, equivalent)) {
                    steps.push(FieldStep::Index(index));
                    lost.push(display(steps));
                    steps.pop();
                }
            }
        }
        (sent, Some(returned)) if equivalent(sent, returned) => {}
        // An empty map or list may be dropped.
        (Value::Object(map), None) if map.is_empty() => {}
        (Value::Array(items), None) if items.is_empty() => {}
        _ => lost.push(display(steps)),
    }
}

/// The part of an object that is ours: what we send, and what we own.
pub(crate) fn project(value: &Value, desired: &Value, manager: &str) -> Value {
    let all = managers(value);
    let own = all.iter().find(|entry| entry.apply && entry.manager == manager && entry.subresource.is_empty());
    let mut projected = project_below(value, Some(desired), own.map(|own| &own.fields));
    for name in ["apiVersion", "kind"] {
        projected[name] = value[name].clone();
    }
    for name in ["name", "namespace"] {
        if let Some(text) = value["metadata"].get(name) {
            projected["metadata"][name] = text.clone();
        }
    }
    projected
}

fn project_below(value: &Value, desired: Option<&Value>, owned: Option<&FieldSet>) -> Value {
    if owned.is_some_and(|owned| owned.own && owned.is_leaf()) {
        return value.clone();
    }
    match (value, desired) {
        (Value::Object(fields), Some(Value::Object(_)) | None) => {
            let kept = fields.iter().filter_map(|(name, value)| {
                let desired = desired.and_then(|desired| desired.get(name));
                let owned = owned.and_then(|owned| owned.field(name));
                (desired.is_some() || owned.is_some()).then(|| (name.clone(), project_below(value, desired, owned)))
            });
            Value::Object(kept.collect())
        }
        (Value::Array(items), desired) => {
            let Some(owned) = owned.filter(|owned| owned.keys().next().is_some()) else { return value.clone() };
            let wanted = desired.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let kept = items.iter().filter_map(|item| {
                let keys = owned.keys().find(|keys| keys.iter().all(|(name, value)| item.get(name) == Some(value)));
                let example = owned.keys().next()?;
                let desired = wanted.iter().find(|wanted| {
                    example.keys().all(|name| wanted.get(name).is_none() || wanted.get(name) == item.get(name))
                });
                (keys.is_some() || desired.is_some())
                    .then(|| project_below(item, desired, keys.and_then(|keys| owned.item(keys))))
            });
            Value::Array(kept.collect())
        }
        (value, _) => value.clone(),
    }
}
