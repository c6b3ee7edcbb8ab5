//! The `NginxProxy` of a Gateway. Provisioning writes it, and the access log and the exporter of traces are fields of it:
//! one function says what is in it, so that whoever adds it to the release adds the same object.

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
    provisioning::Parameters,
    resources::{NGINX_PROXY, object},
};

/// Fields of a JSON line for which the intent names none.
const JSON_FIELDS: [(&str, &str); 9] = [
    ("bytes_sent", "$body_bytes_sent"),
    ("host", "$host"),
    ("method", "$request_method"),
    ("path", "$request_uri"),
    ("protocol", "$server_protocol"),
    ("remote_addr", "$remote_addr"),
    ("request_time", "$request_time"),
    ("status", "$status"),
    ("time", "$time_iso8601"),
];

/// The proxy of a Gateway that the plane manages.
pub(crate) fn of(gateway: &GatewayTopology, parameters: &Parameters, cx: &Context<'_>) -> Object {
    let namespace = cx.gateway_namespace(gateway);
    let mut spec = Map::new();
    spec.insert("kubernetes".to_owned(), kubernetes(gateway, parameters));
    if let Some(format) = first(gateway, cx, |policies| policies.access_log().map(|policy| policy.value.format.clone()))
    {
        spec.insert("logging".to_owned(), json!({ "accessLog": access_log(&format) }));
    }
    if let Some(endpoint) = exporters(gateway, cx).into_iter().next() {
        spec.insert("telemetry".to_owned(), json!({ "exporter": { "endpoint": endpoint } }));
    }
    object(&NGINX_PROXY, &namespace, &name(gateway, cx), Value::Object(spec))
}

/// Name of the object of [`of`].
pub(crate) fn name(gateway: &GatewayTopology, cx: &Context<'_>) -> String {
    cx.name(&["gateway", &cx.gateway_namespace(gateway), &gateway.name])
}

/// The Service's type is always written: the class has an `NginxProxy` of its own, and exposure must not depend on it.
fn kubernetes(gateway: &GatewayTopology, parameters: &Parameters) -> Value {
    let public = gateway.exposure == Exposure::Public;
    let kind = ServiceType::for_exposure(parameters.service_type, gateway.exposure);
    let mut service = json!({ "type": kind.as_str() });
    if let Some(class) = parameters.load_balancer_class.as_ref().filter(|_| public) {
        service["loadBalancerClass"] = class.as_str().into();
    }
    let mut kubernetes = json!({ "service": service });
    if let Some(replicas) = parameters.replicas {
        kubernetes["deployment"]["replicas"] = replicas.into();
    }
    if let Some(resources) = parameters.resources.as_ref().filter(|resources| !resources.is_empty()) {
        kubernetes["deployment"]["container"]["resources"] = json!(resources);
    }
    kubernetes
}

/// What the first rule on a Gateway says. Core refuses what binds to a Gateway where its rules do not agree.
fn first<T>(gateway: &GatewayTopology, cx: &Context<'_>, value: impl Fn(&EffectivePolicies) -> Option<T>) -> Option<T> {
    cx.plane.routes_on(gateway).flat_map(|route| &route.rules).find_map(|rule| value(&rule.policies))
}

/// Where the traces of a Gateway are to go, each once. NGINX has one exporter.
pub(crate) fn exporters(gateway: &GatewayTopology, cx: &Context<'_>) -> Vec<String> {
    let mut endpoints = Vec::new();
    for route in cx.plane.routes_on(gateway) {
        for tracing in route.rules.iter().filter_map(|rule| rule.policies.tracing()) {
            let endpoint = exporter(tracing.value, &route.namespace);
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
    }
    endpoints
}

/// `service.namespace.svc:port`.
pub(crate) fn exporter(tracing: &Tracing, own_namespace: &str) -> String {
    let namespace = tracing.namespace.as_ref().map_or(own_namespace, |namespace| namespace.as_str());
    format!("{}.{namespace}.svc:{}", tracing.service.as_str(), tracing.port.get())
}

/// `.spec.logging.accessLog`; without a format NGINX writes its own, `combined`.
fn access_log(format: &AccessLogFormat) -> Value {
    match format {
        AccessLogFormat::Text {} => json!({ "disable": false }),
        AccessLogFormat::Json { fields } => {
            let fields: Vec<(&str, &str)> = if fields.is_empty() {
                JSON_FIELDS.to_vec()
            } else {
                fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
            };
            json!({ "disable": false, "escape": "json", "format": json_format(&fields) })
        }
    }
}

/// A line of JSON. Names and values with what JSON or NGINX would read in them are refused where the policy is mapped.
pub(crate) fn json_format(fields: &[(&str, &str)]) -> String {
    let members: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
    format!("{{{}}}", members.join(","))
}
