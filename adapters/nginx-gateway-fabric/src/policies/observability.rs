//! Observability policies.

use gateway_modules_core::{
    intent::{
        FieldRef,
        policies::{AccessLogFormat, PolicyKind},
    },
    module::{Citation, GatewayScope, Mapping, ObjectHandle, RouteScope},
    resolve::GatewayTopology,
};
use serde_json::json;

use super::{Draft, Job};
use crate::{nginx, provisioning, proxy, resources::OBSERVABILITY_POLICY};

mod variables;

/// Longest format (CRD NginxProxy `.spec.logging.accessLog.format`).
const MAX_FORMAT: usize = 4096;

/// The `NginxProxy` of the Gateway, the same that provisioning has added.
fn proxy_of(job: Job<'_>, gateway: &GatewayTopology, kind: PolicyKind, mapping: &mut Mapping) -> ObjectHandle {
    // Provisioning has refused parameters that cannot be read.
    let parameters = provisioning::parameters(job.cx.plane).unwrap_or_default();
    mapping.object(proxy::of(gateway, &parameters, job.cx), vec![kind])
}

pub(crate) fn access_log(job: Job<'_>, scope: &GatewayScope<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::AccessLog;
    let Some(policy) = job.target.policies.access_log().filter(|_| job.target.must_map(kind)) else { return };
    let format = policy.field.child("format");
    let (leaf, pointer) = match &policy.value.format {
        AccessLogFormat::Text {} => (format.child("text"), ""),
        AccessLogFormat::Json { fields } => {
            let leaf = format.child("json");
            let texts: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            if refuse_texts(&texts, &leaf.child("fields"), mapping) {
                return;
            }
            if proxy::json_format(&texts).chars().count() > MAX_FORMAT {
                mapping.unsupported(leaf, "the format may have 4096 characters at most", &["fewer fields"]);
                return;
            }
            (leaf, "/format")
        }
    };
    let handle = proxy_of(job, scope.gateway, kind, mapping);
    mapping.exact(leaf, [handle.at(format!("/spec/logging/accessLog{pointer}"))]);
}

/// The format stands between single quotes in NGINX's configuration, in which a backslash escapes and `$` begins a variable;
/// a variable that NGINX does not know stops the configuration of the whole Gateway.
fn refuse_texts(fields: &[(&str, &str)], field: &FieldRef, mapping: &mut Mapping) -> bool {
    let mut refused = false;
    for (name, value) in fields {
        let leaf = field.child(name.replace('~', "~0").replace('/', "~1"));
        if let Some(found) = nginx::unsafe_in_quotes(name) {
            let reason = format!("{found:?} in the name of a field is part of NGINX's own language");
            mapping.unsupported(leaf, reason, &["a name without $, quotes and backslashes"]);
            refused = true;
        } else if let Err(reason) = variables::check(value) {
            mapping.unsupported(
                leaf,
                reason,
                &["variables of NGINX, as in $status", "text without quotes and backslashes"],
            );
            refused = true;
        }
    }
    refused
}

/// The exporter is of the Gateway, sampling is of the route; a route without the policy is not traced.
pub(crate) fn tracing(job: Job<'_>, route: &RouteScope<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::Tracing;
    let Some(policy) = job.target.policies.tracing().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if route.gateway.existing.is_some() {
        let reason = "where traces go stands in the NginxProxy of the Gateway, which exists and is not managed";
        mapping.unsupported(field.clone(), reason, &["a Gateway that this plane manages"]);
        return;
    }
    let own = route.route.namespace.as_str();
    let namespace = value.namespace.as_ref().map_or(own, |namespace| namespace.as_str());
    let allowed = |from: &str| job.cx.plane.allows_reference(from, namespace);
    // NGINX asks by name and needs no ReferenceGrant; who may be asked is still the platform's word.
    if !allowed(route.gateway_namespace) && !allowed(own) {
        mapping.unsupported(
            field.child("service"),
            format!(
                "the plane does not allow references from namespace {} to namespace {namespace}",
                route.gateway_namespace
            ),
            &["allowedReferences of the DataPlane", "a collector in the namespace of the component"],
        );
        return;
    }
    let exporters = proxy::exporters(route.gateway, job.cx);
    if exporters.len() > 1 {
        let reason = format!("NGINX has one exporter per Gateway, and its endpoints name {}", exporters.join(" and "));
        mapping.unsupported(field.clone(), reason, &["one collector for all endpoints of the visibility"]);
        return;
    }
    let spec = json!({ "tracing": { "strategy": "ratio", "ratio": value.sampling.get() } });
    let mut draft = Draft::new(kind, spec);
    draft.exact(field.child("sampling"), "/tracing/ratio");
    let refused = mapping.outcomes.len();
    draft.on_routes(job, route, &OBSERVABILITY_POLICY, field, mapping);
    if mapping.outcomes[refused..].iter().any(|outcome| outcome.citations.is_empty()) {
        return;
    }
    let handle = proxy_of(job, route.gateway, kind, mapping);
    let endpoint = || -> [Citation; 1] { [handle.at("/spec/telemetry/exporter/endpoint")] };
    mapping.exact(field.child("service"), endpoint());
    mapping.exact(field.child("port"), endpoint());
    if value.namespace.is_some() {
        mapping.exact(field.child("namespace"), endpoint());
    }
}
