//! Traffic policies.

use gateway_modules_core::{
    intent::policies::{PolicyKind, RedirectPath, Scheme},
    types::{HeaderValue, Text},
};
use serde_json::{Value, json};

use super::plugin::{Draft, difference, is_reference};

pub(crate) fn route(draft: &mut Draft<'_>) {
    redirect(draft);
    direct_response(draft);
    cors(draft);
    body_size_limit(draft);
}

/// Core realises host and status 301 or 302 by the standard filter; this is for the rest.
fn redirect(draft: &mut Draft<'_>) {
    let (kind, target) = (PolicyKind::Redirect, draft.job.target);
    let Some(policy) = target.policies.redirect().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let (Some(scheme), Some(hostname)) = (value.scheme, &value.hostname) else {
        let reason = "Kong's plugin redirect takes a whole URL: parts of the request's own cannot stay";
        let missing = if value.scheme.is_none() { "scheme" } else { "hostname" };
        draft.unsupported(
            field.clone(),
            reason,
            &[&format!("redirect.{missing}"), "hostname and status 301 or 302 alone"],
        );
        return;
    };
    if hostname.is_wildcard() {
        draft.unsupported(field.child("hostname"), "a redirect goes to one host", &["a host without `*`"]);
        return;
    }
    let mut location = format!("{}://{hostname}", if scheme == Scheme::Https { "https" } else { "http" });
    if let Some(port) = value.port {
        location = format!("{location}:{port}");
    }
    match &value.path {
        None => {}
        Some(RedirectPath::ReplaceFullPath(path)) => location.push_str(path.as_str()),
        Some(RedirectPath::ReplacePrefixMatch(_)) => {
            let reason = "Kong's plugin redirect replaces the whole path or none of it";
            draft.unsupported(field.child("path"), reason, &["path.replaceFullPath", "module kgateway"]);
            return;
        }
    }
    let status = u16::from(value.status_code);
    let keep = value.path.is_none();
    let config = json!({ "status_code": status, "location": location, "keep_incoming_path": keep });
    let plugin = draft.plugin(kind, "redirect", config);
    draft.exact(field.child("statusCode"), plugin, "/status_code");
    draft.exact(field.child("scheme"), plugin, "/location");
    draft.exact(field.child("hostname"), plugin, "/location");
    if value.port.is_some() {
        draft.exact(field.child("port"), plugin, "/location");
    }
    if !keep {
        let text = "the query string of the request is lost, which Gateway API keeps";
        draft.approximate(field.child("path"), vec![difference("redirect/query-lost", text)], plugin, "/location");
    }
}

fn direct_response(draft: &mut Draft<'_>) {
    let (kind, target) = (PolicyKind::DirectResponse, draft.job.target);
    let Some(policy) = target.policies.direct_response().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let body = value.body.as_ref().map(Text::as_str);
    let media_type = value.content_type.as_ref().map(HeaderValue::as_str);
    if let Some(text) = [body, media_type].into_iter().flatten().find(|text| is_reference(text)) {
        draft.unsupported(field.clone(), format!("Kong takes {text:?} for a reference to a vault"), &["another text"]);
        return;
    }
    let mut config = json!({ "status_code": value.status.get() });
    let Some(body) = body.filter(|text| !text.is_empty()) else {
        if body.is_some() || media_type.is_some() {
            // `is_present` in the plugin's schema: a body is not empty, and a media type needs one.
            draft.unsupported(field.clone(), "Kong takes no empty body", &["a body", "the status alone"]);
            return;
        }
        let plugin = draft.plugin(kind, "request-termination", config);
        let text = "Kong adds a body in JSON with a message to an answer that has none";
        let differences = vec![difference("direct-response/body-added", text)];
        draft.approximate(field.child("status"), differences, plugin, "/status_code");
        return;
    };
    config["body"] = body.into();
    config["content_type"] = media_type.unwrap_or("text/plain").into();
    let plugin = draft.plugin(kind, "request-termination", config);
    draft.exact(field.child("status"), plugin, "/status_code");
    draft.exact(field.child("body"), plugin, "/body");
    if media_type.is_some() {
        draft.exact(field.child("contentType"), plugin, "/content_type");
    }
}

/// Methods that the Fetch standard needs no preflight for. Without a list Kong allows all.
const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "POST"];
/// A header that the Fetch standard needs no preflight for: with an empty list Kong allows what the client asks for
/// (`kong/plugins/cors/handler.lua`).
const SAFE_HEADER: &str = "Accept";

fn cors(draft: &mut Draft<'_>) {
    let (kind, target) = (PolicyKind::Cors, draft.job.target);
    let Some(policy) = target.policies.cors().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let origins: Vec<String> = value.allow_origins.iter().map(|origin| origin_pattern(origin.as_str())).collect();
    let mut methods: Vec<&str> = SAFE_METHODS.to_vec();
    for method in &value.allow_methods {
        if !methods.contains(&method.as_str()) {
            methods.push(method.as_str());
        }
    }
    let mut headers: Vec<&str> =
        value.allow_headers.iter().map(gateway_modules_core::types::HeaderName::as_str).collect();
    if headers.is_empty() {
        headers.push(SAFE_HEADER);
    }
    let mut config = json!({
        "origins": origins,
        "methods": methods,
        "headers": headers,
        "credentials": value.allow_credentials,
        "preflight_continue": false,
    });
    if !value.expose_headers.is_empty() {
        config["exposed_headers"] = json!(value.expose_headers);
    }
    if let Some(age) = value.max_age {
        let Some(seconds) = age.as_whole_secs().filter(|seconds| *seconds > 0) else {
            draft.unsupported(field.child("maxAge"), "Kong takes whole seconds from 1", &["1s"]);
            return;
        };
        config["max_age"] = seconds.into();
    }
    let plugin = draft.plugin(kind, "cors", config);
    draft.exact(field.child("allowOrigins"), plugin, "/origins");
    let written = [
        ("allowMethods", "/methods", !value.allow_methods.is_empty()),
        ("allowHeaders", "/headers", !value.allow_headers.is_empty()),
        ("exposeHeaders", "/exposed_headers", !value.expose_headers.is_empty()),
        ("allowCredentials", "/credentials", true),
        ("maxAge", "/max_age", value.max_age.is_some()),
    ];
    for (name, pointer, _) in written.into_iter().filter(|(_, _, written)| *written) {
        draft.exact(field.child(name), plugin, pointer);
    }
}

/// Kong takes an origin with any character besides letters, digits and `.:/-` for a regular expression (PCRE): a wildcard
/// becomes one with every other character escaped, and anything else is a text.
fn origin_pattern(origin: &str) -> String {
    if origin == "*" || !origin.contains('*') {
        return origin.to_owned();
    }
    let host = "[a-z0-9]([a-z0-9.-]*[a-z0-9])?";
    let rest = origin.replace('.', r"\.").replace('*', host);
    format!("^{rest}$")
}

fn body_size_limit(draft: &mut Draft<'_>) {
    let (kind, target) = (PolicyKind::BodySizeLimit, draft.job.target);
    let Some(policy) = target.policies.body_size_limit().filter(|_| target.must_map(kind)) else { return };
    let field = policy.field.child("max");
    let bytes = policy.value.max.as_bytes();
    if !(1..=i32::MAX.unsigned_abs().into()).contains(&bytes) {
        draft.unsupported(field, "Kong takes a size above 0 and below 2Gi", &["a size below 2Gi"]);
        return;
    }
    let config: Value = json!({ "allowed_payload_size": bytes, "size_unit": "bytes", "require_content_length": false });
    let plugin = draft.plugin(kind, "request-size-limiting", config);
    draft.exact(field, plugin, "/allowed_payload_size");
}

#[cfg(test)]
mod tests {
    use super::origin_pattern;

    #[test]
    fn only_a_wildcard_becomes_a_pattern_and_nothing_in_it_means_more() {
        assert_eq!(origin_pattern("*"), "*");
        assert_eq!(origin_pattern("https://app.example.com:8443"), "https://app.example.com:8443");
        assert_eq!(origin_pattern("https://*.example.com"), r"^https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?\.example\.com$");
    }
}
