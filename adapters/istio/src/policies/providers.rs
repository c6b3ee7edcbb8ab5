//! Providers of the mesh configuration: policies name them, and the operator says which there are.

use gateway_modules_core::{
    intent::policies::{AccessLogFormat, ExternalAuthorization, ExternalAuthorizationProtocol, Tracing},
    module::Requirement,
};
use serde_json::json;

use crate::parameters::{ExtensionProvider, Parameters};

fn host(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc.cluster.local")
}

fn same_names<'a>(own: &[String], other: impl Iterator<Item = &'a str>) -> bool {
    let lower = |names: &mut dyn Iterator<Item = String>| names.collect::<std::collections::BTreeSet<String>>();
    lower(&mut own.iter().map(|name| name.to_ascii_lowercase())) == lower(&mut other.map(str::to_ascii_lowercase))
}

/// The provider that is exactly the service that a policy asks.
pub(crate) fn authorization(
    parameters: &Parameters,
    (policy, namespace): (&ExternalAuthorization, &str),
) -> Option<String> {
    if policy.protocol != ExternalAuthorizationProtocol::Http {
        return None;
    }
    let found = parameters.extension_providers.iter().find(|(_, provider)| {
        let ExtensionProvider::EnvoyExtAuthzHttp {
            service,
            port,
            path_prefix,
            include_request_headers_in_check,
            headers_to_upstream_on_allow,
            include_request_body_in_check,
        } = provider
        else {
            return false;
        };
        let body = include_request_body_in_check.as_ref();
        *service == host(policy.service.as_str(), namespace)
            && *port == policy.port.get()
            && path_prefix.as_deref() == policy.path_prefix.as_ref().map(|prefix| prefix.as_str())
            && same_names(
                include_request_headers_in_check,
                policy.allowed_headers.iter().map(|name| name.as_str()).chain(["authorization"]),
            )
            && same_names(headers_to_upstream_on_allow, policy.backend_headers.iter().map(|name| name.as_str()))
            && body.map(|body| body.max_request_bytes) == policy.body_max_size.map(|size| size.as_bytes())
            && body.is_none_or(|body| body.allow_partial_message)
    });
    found.map(|(name, _)| name.clone())
}

/// What the mesh configuration would have to hold for a policy, for people.
pub(crate) fn wanted_authorization(policy: &ExternalAuthorization, namespace: &str) -> String {
    let mut headers = vec!["authorization"];
    headers.extend(policy.allowed_headers.iter().map(|name| name.as_str()));
    let mut provider = json!({
        "service": host(policy.service.as_str(), namespace),
        "port": policy.port.get(),
        "includeRequestHeadersInCheck": headers,
    });
    if let Some(prefix) = &policy.path_prefix {
        provider["pathPrefix"] = prefix.as_str().into();
    }
    if !policy.backend_headers.is_empty() {
        provider["headersToUpstreamOnAllow"] = json!(policy.backend_headers);
    }
    if let Some(size) = policy.body_max_size {
        provider["includeRequestBodyInCheck"] =
            json!({ "maxRequestBytes": size.as_bytes(), "allowPartialMessage": true });
    }
    format!("parameters extensionProviders: {}", json!({ "NAME": { "envoyExtAuthzHttp": provider } }))
}

/// The provider that writes the log that a policy asks for.
pub(crate) fn access_log(parameters: &Parameters, format: &AccessLogFormat) -> Option<String> {
    let found = parameters.extension_providers.iter().find(|(_, provider)| {
        let ExtensionProvider::EnvoyFileAccessLog { log_format } = provider else { return false };
        match (format, log_format) {
            (AccessLogFormat::Text {}, None) => true,
            (AccessLogFormat::Json { fields }, Some(own)) => {
                own.labels.len() == fields.len()
                    && fields
                        .iter()
                        .all(|(name, value)| own.labels.get(name.as_str()).is_some_and(|own| own == value.as_str()))
            }
            _ => false,
        }
    });
    found.map(|(name, _)| name.clone())
}

/// The provider that is the collector that a policy names.
pub(crate) fn tracing(parameters: &Parameters, policy: &Tracing, namespace: &str) -> Option<String> {
    let found = parameters.extension_providers.iter().find(|(_, provider)| {
        matches!(provider, ExtensionProvider::Opentelemetry { service, port }
            if *service == host(policy.service.as_str(), namespace) && *port == policy.port.get())
    });
    found.map(|(name, _)| name.clone())
}

/// What the installation must have for a provider.
pub(crate) fn requirement(parameters: &Parameters, name: &str) -> Option<Requirement> {
    let provider = serde_json::to_value(parameters.extension_providers.get(name)?).ok()?;
    let mut value = json!({ "name": name });
    for (kind, settings) in provider.as_object()? {
        value[kind.as_str()] = settings.clone();
        if kind == "envoyFileAccessLog" {
            value[kind.as_str()]["path"] = "/dev/stdout".into();
        }
    }
    Some(Requirement {
        setting: "meshConfig.extensionProviders[]".to_owned(),
        value: value.to_string(),
        reason: "Istio's policies only name a provider, and the mesh configuration says what it is".to_owned(),
    })
}
