//! Observability policies, on the whole Gateway: a `Telemetry` that names providers of the mesh configuration.

use gateway_modules_core::{
    intent::policies::{AccessLogFormat, PolicyKind},
    module::{GatewayScope, Mapping},
};
use serde_json::json;

use super::{Job, providers};
use crate::{
    parameters::Parameters,
    resources::{TELEMETRY, gateway_refs, object},
};

pub(super) fn gateway(job: Job<'_>, scope: &GatewayScope<'_>, parameters: &Parameters, mapping: &mut Mapping) {
    let mut spec = json!({ "targetRefs": gateway_refs(&scope.gateway.name) });
    let mut kinds = Vec::new();
    let mut cites = Vec::new();
    if let Some(policy) = job.target.policies.access_log().filter(|_| job.target.must_map(PolicyKind::AccessLog)) {
        if let Some(provider) = providers::access_log(parameters, &policy.value.format) {
            spec["accessLogging"] = json!([{ "providers": [{ "name": provider }] }]);
            kinds.push(PolicyKind::AccessLog);
            mapping.requires.extend(providers::requirement(parameters, &provider));
            cites.push((policy.field.child("format"), "/spec/accessLogging/0/providers/0/name"));
        } else {
            let reason = "Istio writes logs by providers of its mesh configuration (meshConfig.extensionProviders), and no \
                          parameter says that it has one of this format";
            let provider = match &policy.value.format {
                AccessLogFormat::Text {} => json!({ "NAME": { "envoyFileAccessLog": {} } }),
                AccessLogFormat::Json { fields } => {
                    json!({ "NAME": { "envoyFileAccessLog": { "logFormat": { "labels": fields } } } })
                }
            };
            let parameter = format!("parameters extensionProviders: {provider}");
            mapping.unsupported(policy.field.clone(), reason, &[&parameter]);
        }
    }
    if let Some(policy) = job.target.policies.tracing().filter(|_| job.target.must_map(PolicyKind::Tracing)) {
        let (field, value) = (policy.field, policy.value);
        let own = job.cx.plane.namespace_on(scope.gateway);
        let namespace = value.namespace.as_ref().map(|namespace| namespace.as_str()).or(own);
        let provider = namespace.and_then(|namespace| providers::tracing(parameters, value, namespace));
        if let Some(provider) = provider {
            spec["tracing"] = json!([{
                "providers": [{ "name": provider }],
                "randomSamplingPercentage": value.sampling.get(),
            }]);
            kinds.push(PolicyKind::Tracing);
            mapping.requires.extend(providers::requirement(parameters, &provider));
            // Another collector is another provider, so its name stands for all that says which.
            cites.push((field.child("service"), "/spec/tracing/0/providers/0/name"));
            cites.push((field.child("port"), "/spec/tracing/0/providers/0/name"));
            cites.push((field.child("sampling"), "/spec/tracing/0/randomSamplingPercentage"));
            if value.namespace.is_some() {
                cites.push((field.child("namespace"), "/spec/tracing/0/providers/0/name"));
            }
        } else if let Some(namespace) = namespace {
            let reason = "Istio sends traces to providers of its mesh configuration (meshConfig.extensionProviders), and no \
                          parameter says that it has this collector";
            let service = format!("{}.{namespace}.svc.cluster.local", value.service);
            let provider = json!({ "NAME": { "opentelemetry": { "service": service, "port": value.port.get() } } });
            mapping.unsupported(field.clone(), reason, &[&format!("parameters extensionProviders: {provider}")]);
        } else {
            let reason = "tracing holds for the whole Gateway, and its components run in several namespaces";
            mapping.unsupported(field.child("service"), reason, &["tracing.namespace"]);
        }
    }
    if kinds.is_empty() {
        return;
    }
    let name = job.name(&["telemetry"]);
    let handle = mapping.object(object(&TELEMETRY, scope.gateway_namespace, &name, &spec), kinds);
    for (field, pointer) in cites {
        mapping.exact(field, [handle.at(pointer)]);
    }
}
