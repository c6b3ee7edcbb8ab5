//! References from kgateway's objects to Services, across namespaces only where the platform allows it.

use gateway_modules_core::{
    intent::{FieldRef, policies::PolicyKind},
    module::Mapping,
    object::GroupVersionKind,
};
use serde_json::{Value, json};

use super::Job;
use crate::resources::{REFERENCE_GRANT, object};

/// A Service that an object of this adapter asks.
pub(crate) struct ServiceReference<'a> {
    /// Kind of the object that refers.
    pub(crate) from: &'a GroupVersionKind,
    /// Its namespace.
    pub(crate) from_namespace: &'a str,
    /// Name of the Service.
    pub(crate) service: &'a str,
    /// Its namespace.
    pub(crate) namespace: &'a str,
    /// Its port.
    pub(crate) port: u16,
}

impl ServiceReference<'_> {
    /// The `backendRef`; with a `ReferenceGrant` where it crosses namespaces, which kgateway asks for
    /// (`krtcollections/backends.go`, `GetBackendFromRef`). `None` after a refusal at `field`.
    pub(crate) fn resolve(
        &self,
        job: Job<'_>,
        kind: PolicyKind,
        field: &FieldRef,
        mapping: &mut Mapping,
    ) -> Option<Value> {
        let mut reference = json!({ "group": "", "kind": "Service", "name": self.service, "port": self.port });
        if self.namespace == self.from_namespace {
            return Some(reference);
        }
        let (from, to) = (self.from_namespace, self.namespace);
        if !job.cx.plane.allows_reference(from, to) {
            mapping.unsupported(
                field.clone(),
                format!("the plane does not allow references from namespace {from} to namespace {to}"),
                &["allowedReferences of the DataPlane", "a Service in the namespace of the component"],
            );
            return None;
        }
        reference["namespace"] = to.into();
        let spec = json!({
            "from": [{ "group": self.from.group.as_ref(), "kind": self.from.kind.as_ref(), "namespace": from }],
            "to": [{ "group": "", "kind": "Service", "name": self.service }],
        });
        let name = job.name(&["grant", kind.name(), from, self.service]);
        mapping.object(object(&REFERENCE_GRANT, to, &name, &spec), vec![kind]);
        Some(reference)
    }
}
