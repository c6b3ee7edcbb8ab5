//! The access log, which Cilium takes by the class only.

use gateway_modules_core::{
    capability::CapabilityName,
    intent::{
        EndpointType,
        policies::{AccessLog, AccessLogFormat, PolicyKind},
    },
    module::Context,
    resolve::GatewayTopology,
};
use serde_json::{Map, Value, json};

/// `json` holds at most 64 fields (CRD, maxProperties).
const MAX_FIELDS: usize = 64;

/// The access log that a Gateway is to write. Core refuses it unless all rules on the Gateway ask for the same.
pub(crate) fn of_gateway<'a>(gateway: &GatewayTopology, cx: &Context<'a>) -> Option<&'a AccessLog> {
    if gateway.existing.is_some() || !cx.has(&CapabilityName::policy(PolicyKind::AccessLog)) {
        return None;
    }
    let routes = cx.plane.routes_on(gateway);
    routes.flat_map(|route| &route.rules).find_map(|rule| rule.policies.values.access_log.as_ref())
}

/// Why a format cannot be written: field below `format`, reason, alternative.
pub(crate) fn problem(format: &AccessLogFormat) -> Option<(String, &'static str, &'static str)> {
    let AccessLogFormat::Json { fields } = format else { return None };
    if fields.len() > MAX_FIELDS {
        return Some(("/json/fields".to_owned(), "Cilium writes at most 64 fields", "64 fields or fewer"));
    }
    // An operator that does not end makes Envoy refuse the listener, and with it the Gateway.
    let (name, _) = fields.iter().find(|(_, value)| value.as_str().matches('%').count() % 2 != 0)?;
    let field = format!("/json/fields/{}", name.as_str().replace('~', "~0").replace('/', "~1"));
    Some((field, "an Envoy operator stands between two percent signs", "`%%` for a percent sign"))
}

/// `.spec.telemetry` of the class's parameters.
pub(crate) fn telemetry(log: &AccessLog, gateway: &GatewayTopology, cx: &Context<'_>) -> Value {
    let mut sink = match &log.format {
        AccessLogFormat::Text {} => json!({ "format": "Text" }),
        AccessLogFormat::Json { fields } if fields.is_empty() => json!({ "format": "JSON" }),
        AccessLogFormat::Json { fields } => {
            let fields: Map<String, Value> =
                fields.iter().map(|(name, value)| (name.to_string(), value.as_str().into())).collect();
            json!({ "format": "JSON", "json": fields })
        }
    };
    let passthrough = cx.plane.routes_on(gateway).any(|route| route.kind == EndpointType::Tls);
    // CRD: "TCP targets Envoy TCP proxies, including TLS passthrough".
    sink["targets"] = if passthrough { json!(["HTTP", "TCP"]) } else { json!(["HTTP"]) };
    json!({ "accessLogs": [sink] })
}
