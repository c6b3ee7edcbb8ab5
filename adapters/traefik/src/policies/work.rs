//! The mapping of one target in the making.

use gateway_modules_core::{
    intent::{FieldRef, policies::PolicyKind},
    module::{
        Context, Difference, Enforcement, FieldOutcome, Mapping, ObjectHandle, PolicyTarget, Requirement, RouteEdit,
        RouteScope, Verdict,
    },
};
use serde_json::{Value, json};

use crate::resources::{GROUP, MIDDLEWARE, object};

/// Why a route is not open while its Middleware is missing.
///
/// `pkg/server/router` leaves out a router whose Middleware it does not know; the request then finds no router, or a less
/// specific one, for which `fall_through` makes sure that it is as protected.
const EVIDENCE: &str = "Traefik 3.7.15, requests: an ExtensionRef to a Middleware that is missing answers 404 (facts/lab.md §3); \
                        less specific rules are checked for the same policy";

/// The mapping of one route target in the making.
pub(super) struct Work<'a> {
    pub(super) target: &'a PolicyTarget<'a>,
    pub(super) cx: &'a Context<'a>,
    pub(super) scope: &'a RouteScope<'a>,
    pub(super) mapping: Mapping,
}

impl<'a> Work<'a> {
    pub(super) fn new(target: &'a PolicyTarget<'a>, cx: &'a Context<'a>, scope: &'a RouteScope<'a>) -> Self {
        Self { target, cx, scope, mapping: Mapping::new() }
    }

    pub(super) fn finish(mut self) -> Mapping {
        if self.mapping.objects.iter().any(|(object, _)| object.key().kind.group == GROUP) {
            self.mapping.requires.push(Requirement {
                setting: "providers.kubernetesCRD.enabled".to_owned(),
                value: "true".to_owned(),
                reason: "Traefik reads Middleware and TraefikService only then".to_owned(),
            });
        }
        self.mapping
    }

    /// Namespace of the route, where Middlewares must be.
    pub(super) fn namespace(&self) -> &'a str {
        &self.scope.route.namespace
    }

    /// A name for an object of this target.
    pub(super) fn name(&self, suffix: &[&str]) -> String {
        let mut parts: Vec<&str> = self.target.id.iter().map(String::as_str).collect();
        parts.extend_from_slice(suffix);
        self.cx.name(&parts)
    }

    /// A Middleware in front of every rule meant.
    pub(super) fn middleware(&mut self, kind: PolicyKind, suffix: &str, spec: Value) -> ObjectHandle {
        let name = self.name(&[suffix]);
        let filter =
            json!({ "type": "ExtensionRef", "extensionRef": { "group": GROUP, "kind": "Middleware", "name": name } });
        self.mapping.edit(RouteEdit::Filter { kind, filter });
        if kind.is_security() {
            self.mapping.enforce(kind, Enforcement::Referenced { evidence: EVIDENCE.to_owned() });
        }
        self.mapping.object(object(&MIDDLEWARE, self.namespace(), &name, spec), vec![kind])
    }

    pub(super) fn exact(&mut self, field: FieldRef, object: ObjectHandle, pointer: &str) {
        self.mapping.exact(field, [object.at(format!("/spec{pointer}"))]);
    }

    pub(super) fn approximate(&mut self, field: FieldRef, difference: Difference, object: ObjectHandle, pointer: &str) {
        self.mapping.approximate(field, difference, [object.at(format!("/spec{pointer}"))]);
    }

    /// The field is emitted, with its full meaning if there is no difference.
    pub(super) fn emitted(
        &mut self,
        field: FieldRef,
        differences: Vec<Difference>,
        object: ObjectHandle,
        pointer: &str,
    ) {
        let citations = vec![object.at(format!("/spec{pointer}"))];
        let verdict = if differences.is_empty() { Verdict::Exact } else { Verdict::Approximate { differences } };
        self.mapping.outcomes.push(FieldOutcome { field, verdict, citations });
    }

    /// Nothing of the release uses the field.
    pub(super) fn inactive(&mut self, field: FieldRef, reason: &str) {
        let verdict = Verdict::Inactive { reason: reason.to_owned() };
        self.mapping.outcomes.push(FieldOutcome { field, verdict, citations: Vec::new() });
    }

    pub(super) fn unsupported(&mut self, field: FieldRef, reason: impl Into<String>, alternatives: &[&str]) {
        self.mapping.unsupported(field, reason, alternatives);
    }

    /// Routers that Traefik makes of the rules: one per match and listener (`httproute.go`, loadHTTPRoute), each with
    /// instances of its Middlewares of its own. Hosts share one router.
    pub(super) fn routers(&self) -> usize {
        let matches: usize = self.scope.rules.iter().map(|rule| rule.matches.len().max(1)).sum();
        matches * self.scope.route.listeners.len().max(1)
    }

    /// Host and port of a Service that Traefik is given as a text, across namespaces only where the platform allows it.
    /// `None` after a refusal.
    pub(super) fn address(
        &mut self,
        field: &FieldRef,
        service: &str,
        namespace: Option<&str>,
        port: u16,
    ) -> Option<String> {
        let own = self.namespace();
        let namespace = namespace.unwrap_or(own);
        if !self.cx.plane.allows_reference(own, namespace) {
            self.unsupported(
                field.clone(),
                format!("the plane does not allow references from namespace {own} to namespace {namespace}"),
                &["allowedReferences of the DataPlane", "a Service in the namespace of the component"],
            );
            return None;
        }
        Some(format!("{service}.{namespace}.svc:{port}"))
    }
}

/// A difference that lets more pass than asked, or does it otherwise.
pub(super) fn looser(name: &str, text: impl Into<String>) -> Difference {
    Difference { name: name.to_owned(), text: text.into(), stricter: false }
}
