//! Policies that Gateway API has no field for: one `SecurityPolicy` and one `BackendTrafficPolicy` per target, because Envoy
//! Gateway takes one of each kind per target and lets the oldest win (gateway.envoyproxy.io docs v1.7, policy attachment).

mod security;
mod traffic;

use gateway_modules_core::{
    intent::{EndpointType, FieldRef, policies::PolicyKind},
    module::{Context, Difference, Mapping, PolicyTarget, Scope},
    object::{GroupVersionKind, Object},
};
use serde_json::{Map, Value, json};

const SECURITY_POLICY: GroupVersionKind = GroupVersionKind::of("gateway.envoyproxy.io", "v1alpha1", "SecurityPolicy");
const BACKEND_TRAFFIC_POLICY: GroupVersionKind =
    GroupVersionKind::of("gateway.envoyproxy.io", "v1alpha1", "BackendTrafficPolicy");

/// A policy object in the making, and the verdicts that will cite it.
#[derive(Default)]
struct Draft {
    spec: Map<String, Value>,
    kinds: Vec<PolicyKind>,
    verdicts: Vec<(FieldRef, String, Option<Difference>)>,
}

impl Draft {
    /// The spec now holds a kind under a field.
    fn hold(&mut self, kind: PolicyKind, field: &str, value: Value) {
        self.spec.insert(field.to_owned(), value);
        self.kinds.push(kind);
    }

    /// The field of the intent is at this pointer of the spec.
    fn exact(&mut self, field: FieldRef, pointer: &str) {
        self.verdicts.push((field, format!("/spec{pointer}"), None));
    }

    /// The field of the intent is at this pointer of the spec, with a difference.
    fn approximate(&mut self, field: FieldRef, pointer: &str, difference: Difference) {
        self.verdicts.push((field, format!("/spec{pointer}"), Some(difference)));
    }

    /// Adds the object and its verdicts.
    fn finish(mut self, mapping: &mut Mapping, kind: &GroupVersionKind, namespace: &str, name: &str, refs: &Value) {
        if self.kinds.is_empty() {
            return;
        }
        self.spec.insert("targetRefs".to_owned(), refs.clone());
        let object = Object::new(kind, Some(namespace), name).with_spec(Value::Object(self.spec));
        let handle = mapping.object(object, self.kinds);
        for (field, pointer, difference) in self.verdicts {
            match difference {
                None => mapping.exact(field, [handle.at(pointer)]),
                Some(difference) => mapping.approximate(field, difference, [handle.at(pointer)]),
            }
        }
    }
}

pub(crate) fn map(target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
    let mut mapping = Mapping::new();
    if let Scope::Route(route) = &target.scope {
        let kind = route.route.kind;
        if kind.is_http() || kind == EndpointType::Grpc {
            // A rule is named by `sectionName` (CRD: `targetRefs[].sectionName`).
            let refs: Vec<Value> = route
                .target_refs()
                .into_iter()
                .map(|reference| {
                    let mut value = json!({ "group": reference.group, "kind": reference.kind, "name": reference.name });
                    if let Some(section) = reference.section_name {
                        value["sectionName"] = section.into();
                    }
                    value
                })
                .collect();
            let refs = Value::Array(refs);
            let name = |suffix: &str| {
                let mut parts: Vec<&str> = target.id.iter().map(String::as_str).collect();
                parts.push(suffix);
                cx.name(&parts)
            };
            let namespace = route.route.namespace.as_str();
            let security = security::map(target, namespace, &name("htpasswd"), &mut mapping);
            security.finish(&mut mapping, &SECURITY_POLICY, namespace, &name("security"), &refs);
            let traffic = traffic::map(target, route, &mut mapping);
            traffic.finish(&mut mapping, &BACKEND_TRAFFIC_POLICY, namespace, &name("traffic"), &refs);
        }
    }
    // What nothing above has looked at is refused with a reason, never dropped.
    for kind in &target.remaining {
        let Some(field) = target.policies.field(*kind) else { continue };
        let looked_at = mapping.outcomes.iter().any(|outcome| {
            let rest = outcome.field.pointer.strip_prefix(field.pointer.as_str());
            outcome.field.document == field.document
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if !looked_at {
            let reason = format!("this adapter does not map {kind} to a policy of Envoy Gateway");
            mapping.unsupported(field.clone(), reason, &["another module (`gwm compare`)"]);
        }
    }
    mapping
}
