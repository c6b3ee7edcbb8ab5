//! The `EnvoyProxy` of a Gateway. Provisioning writes it, and the access log and traces are fields of it: one function says
//! what is in it, so that whoever adds it to the release adds the same object.

use std::collections::BTreeSet;

use gateway_modules_core::{
    intent::{
        Exposure,
        policies::{AccessLogFormat, Tracing},
    },
    module::{Context, ServiceType},
    object::Object,
    resolve::{EffectivePolicies, GatewayTopology},
};
use serde_json::{Map, Value, json};

use crate::{
    parameters::Parameters,
    resources::{ENVOY_PROXY, object},
};

/// Envoy's own text format (Envoy docs, `configuration/observability/access_log/usage`, "Default format string"). The CRD
/// wants the text of a text format to be written, so it is.
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

/// The proxy of a Gateway that the plane manages.
pub(crate) fn of(gateway: &GatewayTopology, parameters: &Parameters, cx: &Context<'_>) -> Object {
    let namespace = cx.gateway_namespace(gateway);
    let mut spec = Map::new();
    spec.insert("provider".to_owned(), json!({ "type": "Kubernetes", "kubernetes": kubernetes(gateway, parameters) }));
    let mut telemetry = Map::new();
    if let Some(format) = first(gateway, cx, |policies| policies.access_log().map(|it| it.value.format.clone())) {
        telemetry.insert("accessLog".to_owned(), access_log(&format));
    }
    if let Some((collector, namespace)) = collectors(gateway, cx).into_iter().next() {
        telemetry.insert("tracing".to_owned(), tracing(collector, &namespace));
    }
    if !telemetry.is_empty() {
        spec.insert("telemetry".to_owned(), Value::Object(telemetry));
    }
    object(&ENVOY_PROXY, &namespace, &name(gateway, cx), Value::Object(spec))
}

/// Name of the object of [`of`].
pub(crate) fn name(gateway: &GatewayTopology, cx: &Context<'_>) -> String {
    cx.name(&["gateway", &cx.gateway_namespace(gateway), &gateway.name])
}

/// The Service's type is always written: the class may have an `EnvoyProxy` of its own, and exposure must not depend on it.
fn kubernetes(gateway: &GatewayTopology, parameters: &Parameters) -> Value {
    let public = gateway.exposure == Exposure::Public;
    let kind = ServiceType::for_exposure(parameters.service_type, gateway.exposure);
    let mut service = json!({ "type": kind.as_str() });
    if let Some(class) = parameters.load_balancer_class.as_ref().filter(|_| public) {
        service["loadBalancerClass"] = class.as_str().into();
    }
    let mut kubernetes = json!({ "envoyService": service });
    if let Some(replicas) = parameters.replicas {
        kubernetes["envoyDeployment"]["replicas"] = replicas.into();
    }
    if let Some(resources) = parameters.resources.as_ref().filter(|resources| !resources.is_empty()) {
        kubernetes["envoyDeployment"]["container"]["resources"] = json!(resources);
    }
    kubernetes
}

/// What the first rule on a Gateway says. Core refuses what binds to a Gateway where its rules do not agree.
fn first<T>(gateway: &GatewayTopology, cx: &Context<'_>, value: impl Fn(&EffectivePolicies) -> Option<T>) -> Option<T> {
    cx.plane.routes_on(gateway).flat_map(|route| &route.rules).find_map(|rule| value(&rule.policies))
}

/// What is traced on a Gateway and the namespace of the collector, each once.
pub(crate) fn collectors<'a>(gateway: &GatewayTopology, cx: &Context<'a>) -> Vec<(&'a Tracing, String)> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for route in cx.plane.routes_on(gateway) {
        for tracing in route.rules.iter().filter_map(|rule| rule.policies.tracing()) {
            let namespace = tracing.value.namespace.as_ref().map_or(route.namespace.as_str(), |it| it.as_str());
            if seen.insert((tracing.value.service.as_str(), tracing.value.port.get(), namespace.to_owned())) {
                found.push((tracing.value, namespace.to_owned()));
            }
        }
    }
    found
}

/// `.spec.telemetry.accessLog`
fn access_log(format: &AccessLogFormat) -> Value {
    let format = match format {
        AccessLogFormat::Text {} => json!({ "type": "Text", "text": TEXT_FORMAT }),
        AccessLogFormat::Json { fields } => {
            let fields: Map<String, Value> = if fields.is_empty() {
                JSON_FIELDS.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
            } else {
                fields.iter().map(|(name, value)| (name.to_string(), value.as_str().into())).collect()
            };
            json!({ "type": "JSON", "json": fields })
        }
    };
    json!({ "settings": [{ "format": format, "sinks": [{ "type": "File", "file": { "path": "/dev/stdout" } }] }] })
}

/// `.spec.telemetry.tracing`. A Service of another namespace needs no ReferenceGrant here (`internal/gatewayapi/listener.go`,
/// `processBackendRefs`).
fn tracing(tracing: &Tracing, namespace: &str) -> Value {
    let backend = json!({
        "group": "",
        "kind": "Service",
        "name": tracing.service.as_str(),
        "namespace": namespace,
        "port": tracing.port.get(),
    });
    json!({
        "samplingRate": tracing.sampling.get(),
        "provider": { "type": "OpenTelemetry", "backendRefs": [backend] },
    })
}
