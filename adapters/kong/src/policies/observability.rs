//! Observability policies, as plugins of the route.

use gateway_modules_core::intent::policies::{AccessLogFormat, PolicyKind};
use serde_json::json;

use super::plugin::{Draft, difference};

pub(crate) fn route(draft: &mut Draft<'_>) {
    access_log(draft);
    tracing(draft);
}

fn access_log(draft: &mut Draft<'_>) {
    let (kind, target) = (PolicyKind::AccessLog, draft.job.target);
    let Some(policy) = target.policies.access_log().filter(|_| target.must_map(kind)) else { return };
    let format = policy.field.child("format");
    match &policy.value.format {
        AccessLogFormat::Text {} => {
            let plugin = draft.plugin(kind, "file-log", json!({ "path": "/dev/stdout", "reopen": false }));
            let text = "Kong's plugin file-log writes JSON; its text log is of the whole proxy";
            let differences = vec![difference("access-log/json", text)];
            draft.approximate(format.child("text"), differences, plugin, "/path");
        }
        AccessLogFormat::Json { fields } if !fields.is_empty() => {
            // `custom_fields_by_lua` holds programs, and no text of an intent becomes one.
            let reason = "fields of Kong's log are programs in Lua, which are not taken from an intent";
            draft.unsupported(format.at("/json/fields"), reason, &["format.json without fields", "module kgateway"]);
        }
        AccessLogFormat::Json { .. } => {
            let plugin = draft.plugin(kind, "file-log", json!({ "path": "/dev/stdout", "reopen": false }));
            draft.exact(format, plugin, "/path");
        }
    }
}

/// Only with `parameters.tracing`, which sets the environment of the proxy.
fn tracing(draft: &mut Draft<'_>) {
    let (kind, target) = (PolicyKind::Tracing, draft.job.target);
    let Some(policy) = target.policies.tracing().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if draft.scope.gateway.existing.is_some() {
        let reason = "nothing proves that the proxy of an existing Gateway is instrumented";
        draft.unsupported(field.clone(), reason, &["a Gateway that this plane manages"]);
        return;
    }
    let namespace =
        value.namespace.as_ref().map_or(draft.scope.route.namespace.as_str(), |namespace| namespace.as_str());
    let endpoint = format!("http://{}.{namespace}.svc:{}/v1/traces", value.service, value.port);
    let config = json!({ "traces_endpoint": endpoint, "sampling_rate": f64::from(value.sampling.get()) / 100.0 });
    let plugin = draft.plugin(kind, "opentelemetry", config);
    let text = "Kong sends OTLP over HTTP, not over gRPC: the port is the one for HTTP, by custom 4318";
    draft.approximate(field.child("port"), vec![difference("tracing/otlp-http", text)], plugin, "/traces_endpoint");
    draft.exact(field.child("service"), plugin, "/traces_endpoint");
    if value.namespace.is_some() {
        draft.exact(field.child("namespace"), plugin, "/traces_endpoint");
    }
    draft.exact(field.child("sampling"), plugin, "/sampling_rate");
}
