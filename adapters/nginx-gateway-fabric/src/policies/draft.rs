//! A policy object in the making: its spec, and the verdicts that will cite it once its place among the objects is known.

use gateway_modules_core::{
    intent::{FieldRef, policies::PolicyKind},
    module::{Citation, Difference, Mapping, RouteScope},
    object::GroupVersionKind,
};
use serde_json::{Value, json};

use super::{Job, overlap};
use crate::resources::object;

/// `targetRefs` holds at most 16, in all policies alike.
const MAX_TARGET_REFS: usize = 16;

/// A policy object in the making.
pub(crate) struct Draft {
    kind: PolicyKind,
    spec: Value,
    pending: Vec<(FieldRef, Option<Difference>, Vec<String>)>,
}

impl Draft {
    pub(crate) fn new(kind: PolicyKind, spec: Value) -> Self {
        Self { kind, spec, pending: Vec::new() }
    }

    /// The field is emitted with its full meaning at this pointer of the spec.
    pub(crate) fn exact(&mut self, field: FieldRef, pointer: &str) {
        self.pending.push((field, None, vec![pointer.to_owned()]));
    }

    /// The field is emitted with a difference at these pointers of the spec.
    pub(crate) fn approximate(&mut self, field: FieldRef, difference: Difference, pointers: &[&str]) {
        let pointers = pointers.iter().map(|pointer| (*pointer).to_owned()).collect();
        self.pending.push((field, Some(difference), pointers));
    }

    /// On the routes of a target, by `targetRefs`; refused at `field` where NGINX Gateway Fabric would refuse the policy.
    pub(crate) fn on_routes(
        self,
        job: Job<'_>,
        route: &RouteScope<'_>,
        gvk: &GroupVersionKind,
        field: &FieldRef,
        mapping: &mut Mapping,
    ) {
        if overlap::refuse(job, route, field, mapping) {
            return;
        }
        let refs = route_refs(route);
        let parts: Vec<Value> = refs.chunks(MAX_TARGET_REFS).map(|part| json!({ "targetRefs": part })).collect();
        let name = job.name(&[self.kind.name()]);
        self.finish(gvk, &route.route.namespace, &name, parts, mapping);
    }

    /// On the routes of a target, one object for each, for kinds with a single `targetRef`.
    pub(crate) fn on_each_route(
        self,
        job: Job<'_>,
        route: &RouteScope<'_>,
        gvk: &GroupVersionKind,
        field: &FieldRef,
        mapping: &mut Mapping,
    ) {
        if overlap::refuse(job, route, field, mapping) {
            return;
        }
        let parts: Vec<Value> =
            route_refs(route).into_iter().map(|reference| json!({ "targetRef": reference })).collect();
        let name = job.name(&[self.kind.name()]);
        self.finish(gvk, &route.route.namespace, &name, parts, mapping);
    }

    /// On a Service.
    pub(crate) fn on_service(
        self,
        job: Job<'_>,
        namespace: &str,
        service: &str,
        gvk: &GroupVersionKind,
        mapping: &mut Mapping,
    ) {
        let name = job.name(&["upstream"]);
        let part = json!({ "targetRefs": [{ "group": "", "kind": "Service", "name": service }] });
        self.finish(gvk, namespace, &name, vec![part], mapping);
    }

    fn finish(self, gvk: &GroupVersionKind, namespace: &str, name: &str, parts: Vec<Value>, mapping: &mut Mapping) {
        let mut handles = Vec::new();
        for (index, part) in parts.into_iter().enumerate() {
            let mut spec = self.spec.clone();
            if let (Some(spec), Value::Object(target)) = (spec.as_object_mut(), part) {
                spec.extend(target);
            }
            let name = if index == 0 { name.to_owned() } else { format!("{}-{index}", short(name)) };
            handles.push(mapping.object(object(gvk, namespace, &name, spec), vec![self.kind]));
        }
        for (field, difference, pointers) in self.pending {
            let citations: Vec<Citation> = pointers
                .iter()
                .flat_map(|pointer| handles.iter().map(move |handle| handle.at(format!("/spec{pointer}"))))
                .collect();
            match difference {
                Some(difference) => mapping.approximate(field, difference, citations),
                None => mapping.exact(field, citations),
            }
        }
    }
}

/// Whole routes: there is no `sectionName` in these policies, and core gives each group of rules a route of its own.
pub(crate) fn route_refs(route: &RouteScope<'_>) -> Vec<Value> {
    route
        .objects
        .iter()
        .map(|object| {
            json!({ "group": object.kind.group.as_ref(), "kind": object.kind.kind.as_ref(), "name": object.name })
        })
        .collect()
}

/// The end of an injective name, which holds its hash, with room for a number.
fn short(name: &str) -> &str {
    let end = name.len().saturating_sub(55);
    name.get(end..).unwrap_or(name).trim_start_matches('-')
}
