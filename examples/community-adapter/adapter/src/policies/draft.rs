//! A policy object in the making: its spec, and the verdicts that will cite it once its place among the objects is known.

use gateway_modules_core::{
    intent::{FieldRef, policies::PolicyKind},
    module::{Acknowledgement, Citation, Difference, Enforcement, FieldOutcome, Mapping, Verdict},
    object::GroupVersionKind,
};
use serde_json::{Map, Value};

use crate::resources::object;

struct Pending {
    field: FieldRef,
    differences: Vec<Difference>,
    pointers: Vec<String>,
}

/// A policy object in the making.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) spec: Map<String, Value>,
    pub(crate) mapping: Mapping,
    kinds: Vec<PolicyKind>,
    pending: Vec<Pending>,
}

impl Draft {
    /// Another object of the same target.
    pub(crate) fn after(mapping: Mapping) -> Self {
        Self { mapping, ..Self::default() }
    }

    /// The spec now has a field for a kind.
    pub(crate) fn hold(&mut self, kind: PolicyKind, field: &str, value: Value) {
        self.spec.insert(field.to_owned(), value);
        self.kinds.push(kind);
    }

    /// The spec now has a field for a security kind.
    ///
    /// It attaches from outside, and the controller writes `status.ancestors[]` (CRD SecurityPolicy). Seen on 1.7.0 with a
    /// thousand requests a second: a closed route answers 401 from the time of that status on, and never leaks.
    pub(crate) fn hold_security(&mut self, kind: PolicyKind, field: &str, value: Value) {
        self.hold(kind, field, value);
        self.attached(kind);
    }

    /// A security kind whose bytes are in a field that another kind has written.
    pub(crate) fn join_security(&mut self, kind: PolicyKind) {
        self.kinds.push(kind);
        self.attached(kind);
    }

    fn attached(&mut self, kind: PolicyKind) {
        let enforcement = Enforcement::Attached { acknowledgement: Some(Acknowledgement::PolicyAncestors) };
        self.mapping.enforce(kind, enforcement);
    }

    /// The field of the intent is at these pointers of the spec, with its full meaning.
    pub(crate) fn exact(&mut self, field: FieldRef, pointers: &[&str]) {
        self.push(field, Vec::new(), pointers);
    }

    /// The field of the intent is at these pointers of the spec, with a difference.
    pub(crate) fn approximate(&mut self, field: FieldRef, difference: Difference, pointers: &[&str]) {
        self.push(field, vec![difference], pointers);
    }

    /// The field of the intent is at these pointers of the spec, with these differences; with its full meaning if there are none.
    pub(crate) fn differing(&mut self, field: FieldRef, differences: Vec<Difference>, pointers: &[&str]) {
        self.push(field, differences, pointers);
    }

    /// The field cannot be had.
    pub(crate) fn unsupported(&mut self, field: FieldRef, reason: impl Into<String>, alternatives: &[&str]) {
        self.mapping.unsupported(field, reason, alternatives);
    }

    fn push(&mut self, field: FieldRef, differences: Vec<Difference>, pointers: &[&str]) {
        let pointers = pointers.iter().map(|pointer| format!("/spec{pointer}")).collect();
        self.pending.push(Pending { field, differences, pointers });
    }

    /// Adds the object, if it holds anything, and the verdicts.
    pub(crate) fn finish(mut self, kind: &GroupVersionKind, namespace: &str, name: &str, refs: &Value) -> Mapping {
        if self.kinds.is_empty() {
            return self.mapping;
        }
        self.spec.insert("targetRefs".to_owned(), refs.clone());
        let handle = self.mapping.object(object(kind, namespace, name, Value::Object(self.spec)), self.kinds);
        for pending in self.pending {
            let citations: Vec<Citation> = pending.pointers.into_iter().map(|pointer| handle.at(pointer)).collect();
            if pending.differences.is_empty() {
                self.mapping.exact(pending.field, citations);
            } else {
                let verdict = Verdict::Approximate { differences: pending.differences };
                self.mapping.outcomes.push(FieldOutcome { field: pending.field, verdict, citations });
            }
        }
        self.mapping
    }
}
