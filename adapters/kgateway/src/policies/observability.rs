//! Observability policies, on the whole Gateway.

use gateway_modules_core::{
    intent::policies::{AccessLogFormat, PolicyKind},
    module::GatewayScope,
};
use serde_json::{Map, Value, json};

use super::{Draft, Job, reference::ServiceReference};
use crate::resources::{HttpSettings, LISTENER_POLICY, ListenerConfig, ListenerPolicySpec};

/// Envoy's own text format (Envoy docs, `configuration/observability/access_log/usage`, "Default format string"). kgateway
/// wants one of two formats to be written, so the default is.
const TEXT_FORMAT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" ",
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n",
);

/// Fields of a JSON line for which the intent names none.
const JSON_FIELDS: [(&str, &str); 9] = [
    ("authority", "%REQ(:AUTHORITY)%"),
    ("duration", "%DURATION%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("requestId", "%REQ(X-REQUEST-ID)%"),
    ("responseCode", "%RESPONSE_CODE%"),
    ("startTime", "%START_TIME%"),
    ("upstreamHost", "%UPSTREAM_HOST%"),
];

pub(crate) fn gateway(job: Job<'_>, scope: &GatewayScope<'_>, draft: &mut Draft<ListenerPolicySpec>) {
    access_log(job, draft);
    tracing(job, scope, draft);
}

fn http_settings(draft: &mut Draft<ListenerPolicySpec>) -> &mut HttpSettings {
    draft
        .spec
        .default
        .get_or_insert_with(ListenerConfig::default)
        .http_settings
        .get_or_insert_with(HttpSettings::default)
}

fn access_log(job: Job<'_>, draft: &mut Draft<ListenerPolicySpec>) {
    let kind = PolicyKind::AccessLog;
    let Some(policy) = job.target.policies.access_log().filter(|_| job.target.must_map(kind)) else { return };
    let format = policy.field.child("format");
    let mut sink = json!({ "path": "/dev/stdout" });
    match &policy.value.format {
        AccessLogFormat::Text {} => {
            sink["stringFormat"] = TEXT_FORMAT.into();
            draft.exact(format.child("text"), &["/default/httpSettings/accessLog/0/fileSink/stringFormat"]);
        }
        AccessLogFormat::Json { fields } => {
            let lines: Map<String, Value> = if fields.is_empty() {
                JSON_FIELDS.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
            } else {
                fields.iter().map(|(name, value)| (name.to_string(), value.as_str().into())).collect()
            };
            sink["jsonFormat"] = Value::Object(lines);
            draft.exact(format.child("json"), &["/default/httpSettings/accessLog/0/fileSink/jsonFormat"]);
        }
    }
    http_settings(draft).access_log = Some(vec![json!({ "fileSink": sink })]);
    draft.holds(kind);
}

fn tracing(job: Job<'_>, scope: &GatewayScope<'_>, draft: &mut Draft<ListenerPolicySpec>) {
    let kind = PolicyKind::Tracing;
    let Some(policy) = job.target.policies.tracing().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let namespace = match &value.namespace {
        Some(namespace) => namespace.as_str(),
        None => {
            if let Some(namespace) = job.cx.plane.namespace_on(scope.gateway) {
                namespace
            } else {
                draft.unsupported(
                    field.child("service"),
                    "tracing holds for the whole Gateway, and its components run in several namespaces",
                    &["tracing.namespace"],
                );
                return;
            }
        }
    };
    let reference = ServiceReference {
        from: &LISTENER_POLICY,
        from_namespace: scope.gateway_namespace,
        service: value.service.as_str(),
        namespace,
        port: value.port.get(),
    };
    let Some(backend) = reference.resolve(job, kind, &field.child("service"), &mut draft.mapping) else { return };
    http_settings(draft).tracing = Some(json!({
        "provider": { "openTelemetry": { "grpcService": { "backendRef": backend } } },
        "randomSampling": value.sampling.get(),
    }));
    draft.holds(kind);
    let backend = "/default/httpSettings/tracing/provider/openTelemetry/grpcService/backendRef";
    draft.exact(field.child("service"), &[&format!("{backend}/name")]);
    draft.exact(field.child("port"), &[&format!("{backend}/port")]);
    if value.namespace.is_some() {
        // In the Gateway's own namespace the reference has no namespace; the reference as a whole still changes with it.
        draft.exact(field.child("namespace"), &[backend]);
    }
    draft.exact(field.child("sampling"), &["/default/httpSettings/tracing/randomSampling"]);
}
