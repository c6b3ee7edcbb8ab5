//! Fields of objects of others: set where they are wanted, withdrawn item by item, never fought over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::managed::managers;
use crate::{
    intent::FieldRef,
    module::{Contribution, ContributionValue},
    object::ObjectKey,
};

/// A field of an object of others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ContributionField {
    /// `spec.ports[port].appProtocol` of a Service.
    AppProtocol {
        /// Port number of the Service.
        port: u16,
    },
    /// An annotation.
    Annotation {
        /// Name.
        name: String,
    },
    /// One item of a comma-separated annotation.
    AnnotationItem {
        /// Name of the annotation.
        name: String,
        /// The item.
        item: String,
    },
}

impl std::fmt::Display for ContributionField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AppProtocol { port } => write!(f, "spec.ports[port={port}].appProtocol"),
            Self::Annotation { name } => write!(f, "metadata.annotations[{name}]"),
            Self::AnnotationItem { name, item } => write!(f, "metadata.annotations[{name}], item {item}"),
        }
    }
}

/// What a set has set in an object of others, as its parent records it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContributionRecord {
    /// The object.
    pub target: ObjectKey,
    /// The field.
    pub field: ContributionField,
    /// Value that was set.
    pub value: String,
    /// Value that was there before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<String>,
}

/// What happens to a field of an object of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
#[non_exhaustive]
pub enum ContributionAction {
    /// The field gets the value.
    Set {
        /// Value in the cluster.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<String>,
    },
    /// The field gets the value back that it had before, or goes.
    Withdraw {
        /// Value that it gets back.
        #[serde(skip_serializing_if = "Option::is_none")]
        restore: Option<String>,
    },
    /// The field has the value.
    Unchanged,
    /// The record goes; the field is left as others have made it.
    Forget {
        /// Why.
        reason: String,
    },
    /// The object (or its port) is not there. Nothing is created for others.
    Blocked {
        /// What is missing, and what to do.
        reason: String,
    },
    /// The field has a value that somebody else has set.
    Conflict {
        /// Value in the cluster.
        before: String,
        /// Field manager that has set it, if the server says so.
        owner: String,
    },
}

/// A field of an object of others, and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContributionStep {
    /// The object.
    pub target: ObjectKey,
    /// The field.
    pub field: ContributionField,
    /// Value that is wanted; of a withdrawal, the value that goes.
    pub value: String,
    /// What happens.
    #[serde(flatten)]
    pub action: ContributionAction,
    /// Why it is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The field of the intent that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<FieldRef>,
    /// What the parent records about it after the apply.
    #[serde(skip)]
    pub record: Option<ContributionRecord>,
}

impl ContributionStep {
    /// Whether the field is written.
    pub fn is_write(&self) -> bool {
        matches!(self.action, ContributionAction::Set { .. } | ContributionAction::Withdraw { .. })
    }

    /// Whether the parent's record changes and nothing else.
    pub fn is_forgotten(&self) -> bool {
        matches!(self.action, ContributionAction::Forget { .. })
    }
}

/// Two wishes for one field of an object of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The object.
    pub target: ObjectKey,
    /// The field.
    pub field: ContributionField,
    /// Value, and the field of the intent that asks for it.
    pub first: (String, FieldRef),
    /// The other.
    pub second: (String, FieldRef),
}

type Wishes<'a> = BTreeMap<(ObjectKey, ContributionField), (String, &'a Contribution)>;

/// The wishes by field.
pub(crate) fn wishes(contributions: &[Contribution]) -> Result<Wishes<'_>, Box<Contradiction>> {
    let mut wishes = Wishes::new();
    for contribution in contributions {
        let fields: Vec<(ContributionField, String)> = match &contribution.value {
            ContributionValue::AppProtocol { port, protocol } => {
                vec![(ContributionField::AppProtocol { port: *port }, protocol.clone())]
            }
            ContributionValue::Annotation { name, value } => {
                vec![(ContributionField::Annotation { name: name.clone() }, value.clone())]
            }
            ContributionValue::AnnotationItems { name, items } => items
                .iter()
                .map(|item| {
                    (ContributionField::AnnotationItem { name: name.clone(), item: item.clone() }, item.clone())
                })
                .collect(),
        };
        for (field, value) in fields {
            let key = (contribution.target.clone(), field);
            match wishes.get(&key) {
                Some((other, first)) if *other != value => {
                    return Err(Box::new(Contradiction {
                        target: key.0,
                        field: key.1,
                        first: (other.clone(), first.source.clone()),
                        second: (value, contribution.source.clone()),
                    }));
                }
                Some(_) => {}
                None => {
                    wishes.insert(key, (value, contribution));
                }
            }
        }
    }
    Ok(wishes)
}

/// The value of a field in the cluster: `Err` names what is missing.
pub(crate) fn current(target: &Value, field: &ContributionField) -> Result<Option<String>, String> {
    let annotation = |name: &str| target["metadata"]["annotations"][name].as_str().map(ToOwned::to_owned);
    match field {
        ContributionField::AppProtocol { port } => match port_of(target, *port) {
            Some((_, port)) => Ok(port["appProtocol"].as_str().map(ToOwned::to_owned)),
            None => Err(format!("port {port}")),
        },
        ContributionField::Annotation { name } => Ok(annotation(name)),
        ContributionField::AnnotationItem { name, item } => Ok(annotation(name)
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .find(|own| own == item)
            .map(ToOwned::to_owned)),
    }
}

fn port_of(target: &Value, port: u16) -> Option<(usize, &Value)> {
    target["spec"]["ports"].as_array()?.iter().enumerate().find(|(_, own)| own["port"] == port)
}

/// Plans the wishes of a release against the live targets and the parent's record.
pub(crate) fn plan(
    wishes: &Wishes<'_>,
    targets: &BTreeMap<ObjectKey, Value>,
    records: &[ContributionRecord],
    adopt: bool,
) -> Vec<ContributionStep> {
    let mut steps = Vec::new();
    for ((target, field), (value, contribution)) in wishes {
        let record = records.iter().find(|record| record.target == *target && record.field == *field);
        let (action, record) = wanted(targets.get(target), target, field, value, record, adopt);
        steps.push(ContributionStep {
            target: target.clone(),
            field: field.clone(),
            value: value.clone(),
            action,
            reason: Some(contribution.reason.clone()),
            source: Some(contribution.source.clone()),
            record,
        });
    }
    for record in records {
        if wishes.contains_key(&(record.target.clone(), record.field.clone())) {
            continue;
        }
        let action = match targets.get(&record.target).map(|target| current(target, &record.field)) {
            None | Some(Err(_)) => {
                ContributionAction::Forget { reason: format!("{} is no longer there", record.target) }
            }
            Some(Ok(Some(now))) if now == record.value => {
                ContributionAction::Withdraw { restore: record.previous.clone() }
            }
            Some(Ok(_)) => ContributionAction::Forget { reason: "somebody else has changed it since".to_owned() },
        };
        steps.push(ContributionStep {
            target: record.target.clone(),
            field: record.field.clone(),
            value: record.value.clone(),
            action,
            reason: None,
            source: None,
            record: None,
        });
    }
    steps
}

fn wanted(
    live: Option<&Value>,
    target: &ObjectKey,
    field: &ContributionField,
    value: &str,
    record: Option<&ContributionRecord>,
    adopt: bool,
) -> (ContributionAction, Option<ContributionRecord>) {
    let make = |previous: Option<String>| ContributionRecord {
        target: target.clone(),
        field: field.clone(),
        value: value.to_owned(),
        previous,
    };
    let Some(live) = live else {
        let reason = format!("{target} is not there; create it, then apply again");
        return (ContributionAction::Blocked { reason }, record.cloned());
    };
    match current(live, field) {
        Err(missing) => {
            let reason = format!("{target} has no {missing}; add it, or name another one in the endpoint");
            (ContributionAction::Blocked { reason }, record.cloned())
        }
        Ok(Some(now)) if now == value => (ContributionAction::Unchanged, record.cloned()),
        Ok(None) => (ContributionAction::Set { before: None }, Some(make(None))),
        Ok(Some(now)) => match record {
            // Ours: the wish has changed, and what was there before us stays the same.
            Some(record) if record.value == now => {
                (ContributionAction::Set { before: Some(now) }, Some(make(record.previous.clone())))
            }
            _ if adopt => (ContributionAction::Set { before: Some(now.clone()) }, Some(make(Some(now)))),
            record => {
                let owner = owner_of(live, field).unwrap_or_else(|| "an unknown field manager".to_owned());
                (ContributionAction::Conflict { before: now, owner }, record.cloned())
            }
        },
    }
}

/// The field manager that has set a field.
fn owner_of(live: &Value, field: &ContributionField) -> Option<String> {
    managers(live).into_iter().find_map(|entry| {
        let owns = match field {
            ContributionField::AppProtocol { port } => {
                let ports = entry.fields.field("spec")?.field("ports")?;
                ports.keys().any(|keys| {
                    keys.get("port") == Some(&Value::from(*port))
                        && ports.item(keys).is_some_and(|item| item.field("appProtocol").is_some())
                })
            }
            ContributionField::Annotation { name } | ContributionField::AnnotationItem { name, .. } => {
                entry.fields.field("metadata")?.field("annotations")?.field(name).is_some()
            }
        };
        owns.then_some(entry.manager)
    })
}

/// The JSON patch (RFC 6902) that sets (`Some`) or withdraws (`None`) a field, for the version of the target that was read.
/// `None` when the field has neither the value that is expected nor the one that is wanted.
pub fn contribution_patch(
    target: &Value,
    field: &ContributionField,
    value: Option<&str>,
    expected: Option<&str>,
) -> Option<Value> {
    let now = current(target, field).ok()?;
    if now.as_deref() != expected && now.as_deref() != value {
        return None;
    }
    let version = target["metadata"]["resourceVersion"].as_str()?;
    let mut operations = vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": version})];
    let mut write = |path: String, there: bool, value: Option<String>| match value {
        Some(value) => operations.push(json!({"op": "add", "path": path, "value": value})),
        None if there => operations.push(json!({"op": "remove", "path": path})),
        None => {}
    };
    let annotations = target["metadata"]["annotations"].as_object();
    match field {
        ContributionField::AppProtocol { port } => {
            let (index, port) = port_of(target, *port)?;
            let path = format!("/spec/ports/{index}/appProtocol");
            write(path, port.get("appProtocol").is_some(), value.map(ToOwned::to_owned));
        }
        ContributionField::Annotation { name } | ContributionField::AnnotationItem { name, .. } => {
            let old = annotations.and_then(|annotations| annotations.get(name)).and_then(Value::as_str);
            let new = match field {
                ContributionField::AnnotationItem { item, .. } => {
                    let mut items: Vec<&str> = old.unwrap_or_default().split(',').map(str::trim).collect();
                    items.retain(|own| !own.is_empty() && own != item);
                    items.extend(value);
                    (!items.is_empty()).then(|| items.join(","))
                }
                _ => value.map(ToOwned::to_owned),
            };
            if annotations.is_none() && new.is_some() {
                operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {(name.as_str()): new}}));
            } else {
                write(format!("/metadata/annotations/{}", escape(name)), old.is_some(), new);
            }
        }
    }
    Some(Value::Array(operations))
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
