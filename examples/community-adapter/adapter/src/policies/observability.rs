//! Observability policies: fields of the `EnvoyProxy` of the Gateway.

use gateway_modules_core::{
    intent::policies::{AccessLogFormat, PolicyKind},
    module::{GatewayScope, Mapping, ObjectHandle},
};

use super::{Job, operators};
use crate::{parameters, proxy};

pub(crate) fn gateway(job: Job<'_>, scope: &GatewayScope<'_>, mapping: &mut Mapping) {
    access_log(job, scope, mapping);
    tracing(job, scope, mapping);
}

/// The `EnvoyProxy` of the Gateway, the same that provisioning has added.
fn proxy_of(job: Job<'_>, scope: &GatewayScope<'_>, kind: PolicyKind, mapping: &mut Mapping) -> ObjectHandle {
    // Provisioning has refused parameters that cannot be read.
    let parameters = parameters::of(job.cx.plane).unwrap_or_default();
    mapping.object(proxy::of(scope.gateway, &parameters, job.cx), vec![kind])
}

fn access_log(job: Job<'_>, scope: &GatewayScope<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::AccessLog;
    let Some(policy) = job.target.policies.access_log().filter(|_| job.target.must_map(kind)) else { return };
    let format = policy.field.child("format");
    let (leaf, member) = match &policy.value.format {
        AccessLogFormat::Text {} => (format.child("text"), "text"),
        AccessLogFormat::Json { fields } => {
            let leaf = format.child("json");
            let before = mapping.outcomes.len();
            for (name, value) in fields {
                if let Err(reason) = operators::check(value.as_str()) {
                    let name = name.as_str().replace('~', "~0").replace('/', "~1");
                    let field = leaf.child("fields").child(name);
                    mapping.unsupported(
                        field,
                        reason,
                        &["operators of Envoy, as in %RESPONSE_CODE%", "%% for a percent sign"],
                    );
                }
            }
            if mapping.outcomes.len() > before {
                return;
            }
            (leaf, "json")
        }
    };
    let handle = proxy_of(job, scope, kind, mapping);
    mapping.exact(leaf, [handle.at(format!("/spec/telemetry/accessLog/settings/0/format/{member}"))]);
}

fn tracing(job: Job<'_>, scope: &GatewayScope<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::Tracing;
    let Some(policy) = job.target.policies.tracing().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let collectors = proxy::collectors(scope.gateway, job.cx);
    let [(_, namespace)] = collectors.as_slice() else {
        let reason = "tracing holds for the whole Gateway, and its endpoints name several collectors";
        mapping.unsupported(field.clone(), reason, &["one collector, with tracing.namespace"]);
        return;
    };
    // Envoy Gateway asks for no ReferenceGrant here; who may be asked is still the platform's word.
    let from = scope.gateway_namespace;
    if !job.allows(from, namespace) {
        mapping.unsupported(
            field.child("service"),
            format!("the plane does not allow references from namespace {from} to namespace {namespace}"),
            &["allowedReferences of the DataPlane", "a collector in the namespace of the Gateway"],
        );
        return;
    }
    let handle = proxy_of(job, scope, kind, mapping);
    let at = |pointer: &str| [handle.at(format!("/spec/telemetry/tracing/{pointer}"))];
    mapping.exact(field.child("service"), at("provider/backendRefs/0/name"));
    mapping.exact(field.child("port"), at("provider/backendRefs/0/port"));
    if value.namespace.is_some() {
        mapping.exact(field.child("namespace"), at("provider/backendRefs/0/namespace"));
    }
    mapping.exact(field.child("sampling"), at("samplingRate"));
}
