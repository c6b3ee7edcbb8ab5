//! References from a `SecurityPolicy` to Services, across namespaces only where the platform allows it.

use gateway_modules_core::{
    intent::{FieldRef, policies::PolicyKind},
    module::Mapping,
};
use serde_json::{Value, json};

use super::Job;
use crate::resources::{GROUP, REFERENCE_GRANT, object};

/// A Service that a policy asks.
pub(crate) struct ServiceReference<'a> {
    /// Namespace of the policy.
    pub(crate) from: &'a str,
    /// Name of the Service.
    pub(crate) service: &'a str,
    /// Its namespace.
    pub(crate) namespace: &'a str,
    /// Its port.
    pub(crate) port: u16,
}

impl ServiceReference<'_> {
    /// The item of `backendRefs`; with a `ReferenceGrant` where it crosses namespaces, which Envoy Gateway asks for
    /// (`internal/gatewayapi/ext_service.go`). `None` after a refusal at `field`.
    pub(crate) fn resolve(
        &self,
        job: Job<'_>,
        kind: PolicyKind,
        field: &FieldRef,
        mapping: &mut Mapping,
    ) -> Option<Value> {
        let (from, to) = (self.from, self.namespace);
        let mut reference = json!({ "group": "", "kind": "Service", "name": self.service, "port": self.port });
        if from == to {
            return Some(reference);
        }
        if !job.allows(from, to) {
            mapping.unsupported(
                field.clone(),
                format!("the plane does not allow references from namespace {from} to namespace {to}"),
                &["allowedReferences of the DataPlane", "a Service in the namespace of the component"],
            );
            return None;
        }
        reference["namespace"] = to.into();
        let spec = json!({
            "from": [{ "group": GROUP, "kind": "SecurityPolicy", "namespace": from }],
            "to": [{ "group": "", "kind": "Service", "name": self.service }],
        });
        let name = job.name(&["grant", kind.name(), from, self.service]);
        mapping.object(object(&REFERENCE_GRANT, to, &name, spec), vec![kind]);
        Some(reference)
    }
}
