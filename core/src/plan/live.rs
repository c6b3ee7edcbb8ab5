//! What is live, as far as a plan needs to know it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    managed::managers,
    set::{Identity, LABEL_PART_OF, ParentState, SetIdentity},
    step::Owner,
};
use crate::object::{Object, ObjectKey};

/// An object as it is in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveObject {
    /// The object with its managed fields and status. Of a Secret that a release does not contain, the metadata only.
    pub value: Value,
    /// What a dry run of the apply has answered, for an object that seems to differ. It settles what the server would
    /// change; without it the plan is right as well, only its diff may show defaults of the server inside atomic lists.
    pub preview: Option<Value>,
}

impl LiveObject {
    /// Without a dry run.
    pub fn new(value: Value) -> Self {
        Self { value, preview: None }
    }
}

/// The GatewayClass of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LiveClass {
    /// It was not read: the credentials do not allow it, or the plan is made without a cluster.
    #[default]
    Unread,
    /// It is not there.
    Missing {
        /// Names of the classes that are there.
        available: Vec<String>,
    },
    /// It is there.
    Present {
        /// `spec.controllerName`.
        controller: String,
    },
}

/// The source of a derived Secret, by reference only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSecret {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
}

/// What is live, as far as a plan needs to know it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveState {
    /// The set of the data plane.
    pub set: SetIdentity,
    /// The set of what planes share.
    pub shared: SetIdentity,
    /// Parent of the plane's set, if it is there.
    pub parent: Option<ParentState>,
    /// Parent of the shared set, if it is there.
    pub shared_parent: Option<ParentState>,
    /// Sets of the same data plane with another module, and their members.
    pub former: Vec<(ParentState, BTreeMap<Identity, LiveObject>)>,
    /// Names of other sets, by id, for messages.
    pub known_sets: BTreeMap<String, SetIdentity>,
    /// Members of both sets, and whatever else stands where the release wants to write.
    pub objects: BTreeMap<Identity, LiveObject>,
    /// Targets of contributions, wanted and recorded, that are there.
    pub targets: BTreeMap<ObjectKey, Value>,
    /// Sources of derived Secrets that are there, by namespace and name.
    pub sources: BTreeMap<(String, String), SourceSecret>,
    /// The GatewayClass of the release.
    pub class: LiveClass,
}

impl LiveState {
    /// An empty cluster.
    pub fn empty(set: SetIdentity, shared: SetIdentity) -> Self {
        Self {
            set,
            shared,
            parent: None,
            shared_parent: None,
            former: Vec::new(),
            known_sets: BTreeMap::new(),
            objects: BTreeMap::new(),
            targets: BTreeMap::new(),
            sources: BTreeMap::new(),
            class: LiveClass::Unread,
        }
    }

    /// The live object, unless it goes with a former set first, or is going already.
    pub(super) fn staying(&self, identity: &Identity) -> Option<&LiveObject> {
        let found = self.objects.get(identity)?;
        let set = label(&found.value);
        let goes = self.former.iter().any(|(parent, _)| Some(parent.set.id().as_str()) == set)
            || !found.value["metadata"]["deletionTimestamp"].is_null();
        (!goes).then_some(found)
    }

    /// Who has a live object, if it is not the set.
    pub(super) fn foreign_owner(&self, value: &Value, set: &SetIdentity) -> Option<Owner> {
        let own = set.id();
        match label(value) {
            Some(id) if id == own => None,
            Some(id) => Some(Owner::Set { id: id.to_owned(), set: self.known_sets.get(id).cloned() }),
            None => {
                let manager = set.field_manager();
                let all = managers(value);
                // Somebody has only removed the label.
                if all.iter().any(|entry| entry.apply && entry.manager == manager) {
                    return None;
                }
                let mut names: Vec<String> = value["metadata"]["ownerReferences"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|owner| {
                        format!("{} {}", owner["kind"].as_str().unwrap_or("?"), owner["name"].as_str().unwrap_or("?"))
                    })
                    .collect();
                names.extend(all.into_iter().filter(|entry| entry.subresource.is_empty()).map(|entry| entry.manager));
                names.dedup();
                Some(Owner::Manager { names })
            }
        }
    }

    /// The other planes that need a shared object.
    pub(super) fn other_references(&self, identity: &Identity) -> Vec<String> {
        let own = self.set.id();
        let references =
            self.shared_parent.as_ref().and_then(|parent| parent.record.references.get(&identity.to_string()));
        references
            .into_iter()
            .flatten()
            .filter(|id| **id != own)
            .map(|id| self.known_sets.get(id).map_or_else(|| format!("ApplySet {id}"), ToString::to_string))
            .collect()
    }
}

/// The set that an object says it is a member of.
pub(super) fn label(value: &Value) -> Option<&str> {
    value["metadata"]["labels"][LABEL_PART_OF].as_str()
}

/// A text of the metadata.
pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    value["metadata"][name].as_str().map(ToOwned::to_owned)
}

pub(super) fn key_of(value: &Value) -> Option<ObjectKey> {
    Object::try_from(value.clone()).ok().map(|object| object.key())
}
