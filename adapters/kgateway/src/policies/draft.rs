//! A policy object in the making: its spec, and the verdicts that will cite it once its place among the objects is known.

use gateway_modules_core::{
    intent::{FieldRef, policies::PolicyKind},
    module::{Acknowledgement, Citation, Difference, Enforcement, Mapping},
    object::GroupVersionKind,
};
use serde::Serialize;

use crate::resources::{TargetRef, object};

/// `targetRefs` holds at most 16 (`TrafficPolicy`, `BackendConfigPolicy` and `ListenerPolicy` alike).
const MAX_TARGET_REFS: usize = 16;

/// Bytes of a verdict.
enum Bytes {
    /// In the policy object that is being made.
    Here(String),
    /// In another object of the mapping.
    There(Citation),
}

struct Pending {
    field: FieldRef,
    difference: Option<Difference>,
    bytes: Vec<Bytes>,
}

/// A policy object in the making.
pub(crate) struct Draft<S> {
    pub(crate) spec: S,
    pub(crate) mapping: Mapping,
    kinds: Vec<PolicyKind>,
    pending: Vec<Pending>,
}

impl<S: Serialize + Clone> Draft<S> {
    pub(crate) fn new(spec: S) -> Self {
        Self { spec, mapping: Mapping::new(), kinds: Vec::new(), pending: Vec::new() }
    }

    /// Says that the spec now holds bytes for a kind.
    pub(crate) fn holds(&mut self, kind: PolicyKind) {
        self.kinds.push(kind);
    }

    /// Says that the spec now holds bytes for a security kind.
    ///
    /// kgateway writes `status.ancestors[]` with Accepted and Attached for its policies; facts/lab.md §8 saw a closed route
    /// answer 401 from 0.2 s after that status on, and never leak.
    pub(crate) fn holds_security(&mut self, kind: PolicyKind) {
        self.holds(kind);
        let enforcement = Enforcement::Attached { acknowledgement: Some(Acknowledgement::PolicyAncestors) };
        self.mapping.enforce(kind, enforcement);
    }

    /// The field is emitted with its full meaning at these pointers of the policy object.
    pub(crate) fn exact(&mut self, field: FieldRef, pointers: &[&str]) {
        self.push(field, None, pointers);
    }

    /// The field is emitted with a difference at these pointers of the policy object.
    pub(crate) fn approximate(&mut self, field: FieldRef, difference: Difference, pointers: &[&str]) {
        self.push(field, Some(difference), pointers);
    }

    /// The field is emitted with its full meaning in another object.
    pub(crate) fn exact_in(&mut self, field: FieldRef, citation: Citation) {
        self.pending.push(Pending { field, difference: None, bytes: vec![Bytes::There(citation)] });
    }

    /// The field is emitted with a difference in another object.
    pub(crate) fn approximate_in(&mut self, field: FieldRef, difference: Difference, citation: Citation) {
        self.pending.push(Pending { field, difference: Some(difference), bytes: vec![Bytes::There(citation)] });
    }

    /// The field cannot be had.
    pub(crate) fn unsupported(&mut self, field: FieldRef, reason: impl Into<String>, alternatives: &[&str]) {
        self.mapping.unsupported(field, reason, alternatives);
    }

    fn push(&mut self, field: FieldRef, difference: Option<Difference>, pointers: &[&str]) {
        let bytes = pointers.iter().map(|pointer| Bytes::Here((*pointer).to_owned())).collect();
        self.pending.push(Pending { field, difference, bytes });
    }

    /// Adds the policy object (several when it has more targets than one may hold) and the verdicts.
    pub(crate) fn finish(
        mut self,
        kind: &GroupVersionKind,
        namespace: &str,
        name: &str,
        refs: &[TargetRef],
        set_refs: impl Fn(&mut S, Vec<TargetRef>),
    ) -> Mapping {
        let mut handles = Vec::new();
        if !self.kinds.is_empty() {
            for (index, part) in refs.chunks(MAX_TARGET_REFS).enumerate() {
                let mut spec = self.spec.clone();
                set_refs(&mut spec, part.to_vec());
                let name = if index == 0 { name.to_owned() } else { format!("{}-{index}", short(name)) };
                let object = object(kind, namespace, &name, &spec);
                handles.push(self.mapping.object(object, self.kinds.clone()));
            }
        }
        for pending in self.pending {
            let mut citations = Vec::new();
            for bytes in pending.bytes {
                match bytes {
                    Bytes::Here(pointer) => {
                        citations.extend(handles.iter().map(|handle| handle.at(format!("/spec{pointer}"))));
                    }
                    Bytes::There(citation) => citations.push(citation),
                }
            }
            match pending.difference {
                Some(difference) => self.mapping.approximate(pending.field, difference, citations),
                None => self.mapping.exact(pending.field, citations),
            }
        }
        self.mapping
    }
}

/// The end of an injective name, which holds its hash, with room for a number.
fn short(name: &str) -> &str {
    let end = name.len().saturating_sub(55);
    name.get(end..).unwrap_or(name).trim_start_matches('-')
}
