//! Plugins of a route target.

use gateway_modules_core::{
    intent::{FieldRef, policies::PolicyKind},
    module::{Citation, Difference, FieldOutcome, Mapping, ObjectHandle, RouteEdit, RouteScope, Verdict},
};
use serde_json::{Value, json};

use super::Job;
use crate::resources::{CONFIGURATION, plugin};

/// The answer for a route target in the making.
pub(crate) struct Draft<'a> {
    pub(crate) job: Job<'a>,
    pub(crate) scope: &'a RouteScope<'a>,
    pub(crate) mapping: Mapping,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(job: Job<'a>, scope: &'a RouteScope<'a>) -> Self {
        Self { job, scope, mapping: Mapping::new() }
    }

    /// Adds a plugin and the filter that names it; returns what cites both.
    pub(crate) fn plugin(&mut self, kind: PolicyKind, name: &str, config: Value) -> Plugin {
        let object_name = self.job.name(kind.name());
        let object = plugin(&self.scope.route.namespace, &object_name, name, config);
        let handle = self.mapping.object(object, vec![kind]);
        let filter = json!({
            "type": "ExtensionRef",
            "extensionRef": { "group": CONFIGURATION, "kind": "KongPlugin", "name": object_name },
        });
        self.mapping.edit(RouteEdit::Filter { kind, filter });
        Plugin { handle }
    }

    /// A field is in a plugin with its full meaning.
    pub(crate) fn exact(&mut self, field: FieldRef, plugin: Plugin, pointer: &str) {
        self.mapping.exact(field, plugin.at(pointer));
    }

    /// A field is in a plugin, with these differences.
    pub(crate) fn approximate(&mut self, field: FieldRef, differences: Vec<Difference>, plugin: Plugin, pointer: &str) {
        if differences.is_empty() {
            self.exact(field, plugin, pointer);
            return;
        }
        let verdict = Verdict::Approximate { differences };
        self.mapping.outcomes.push(FieldOutcome { field, verdict, citations: plugin.at(pointer) });
    }

    /// A field cannot be had.
    pub(crate) fn unsupported(&mut self, field: FieldRef, reason: impl Into<String>, alternatives: &[&str]) {
        self.mapping.unsupported(field, reason, alternatives);
    }

    /// Matches of the rules: Kong counts by route, and makes a route of each group of matches.
    pub(crate) fn matches(&self) -> usize {
        self.scope.rules.iter().map(|rule| rule.matches.len().max(1)).sum()
    }
}

/// A plugin; a filter of the route names it.
#[derive(Clone, Copy)]
pub(crate) struct Plugin {
    handle: ObjectHandle,
}

impl Plugin {
    fn at(self, pointer: &str) -> Vec<Citation> {
        vec![self.handle.at(format!("/config{pointer}"))]
    }
}

/// A difference that makes nothing stricter.
pub(crate) fn difference(name: &str, text: impl Into<String>) -> Difference {
    Difference { name: name.to_owned(), text: text.into(), stricter: false }
}

/// Whether Kong would take a text for a reference to a vault instead of itself (`{vault://…}`).
pub(crate) fn is_reference(text: &str) -> bool {
    text.starts_with("{vault://")
}
