//! A release, found by object and by binding: a plane of thousands of routes is looked through once.

use std::collections::BTreeMap;

use crate::{
    compile::{GatePolicy, Phase, Release, ReleaseObject, Role},
    object::ObjectKey,
    plan::Identity,
    resolve::Binding,
};

/// What a status asks of a release; empty without one.
#[derive(Default)]
pub(super) struct Index<'a> {
    entries: BTreeMap<Identity, &'a ReleaseObject>,
    routes: BTreeMap<&'a Binding, Vec<&'a ReleaseObject>>,
    gates: BTreeMap<Identity, Vec<&'a GatePolicy>>,
}

impl<'a> Index<'a> {
    pub(super) fn of(release: Option<&'a Release>) -> Self {
        let mut index = Self::default();
        for entry in release.into_iter().flat_map(|release| &release.objects) {
            if let Role::Route { binding } = &entry.role {
                index.routes.entry(binding).or_default().push(entry);
            }
            for policy in entry.gate.iter().flat_map(|gate| &gate.policies) {
                index.gates.entry(Identity::from(&policy.object)).or_default().push(policy);
            }
            index.entries.insert(Identity::from(&entry.key()), entry);
        }
        index
    }

    /// The routes of an endpoint.
    pub(super) fn routes(&self, binding: &Binding) -> &[&'a ReleaseObject] {
        self.routes.get(binding).map_or(&[], Vec::as_slice)
    }

    /// What waits for this object's acknowledgement.
    pub(super) fn gates(&self, object: &ObjectKey) -> &[&'a GatePolicy] {
        self.gates.get(&Identity::from(object)).map_or(&[], Vec::as_slice)
    }

    /// What a route waits for until it is opened.
    pub(super) fn waits_for(&self, route: &ObjectKey) -> &'a [GatePolicy] {
        let entry = self.entries.get(&Identity::from(route));
        entry.and_then(|entry| entry.gate.as_ref()).map_or(&[], |gate| &gate.policies)
    }

    /// The endpoint that a route is of.
    pub(super) fn binding(&self, route: &ObjectKey) -> Option<&'a Binding> {
        match &self.entries.get(&Identity::from(route))?.role {
            Role::Route { binding } => Some(binding),
            _ => None,
        }
    }

    /// Whether a route only leads to the encrypted port.
    pub(super) fn is_redirect(&self, route: &ObjectKey) -> bool {
        let entry = self.entries.get(&Identity::from(route));
        entry.is_some_and(|entry| entry.phase == Phase::Routes && matches!(entry.role, Role::RedirectRoute { .. }))
    }
}
