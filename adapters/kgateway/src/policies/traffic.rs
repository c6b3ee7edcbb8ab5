//! Traffic policies.

use std::collections::BTreeSet;

use gateway_modules_core::{
    intent::{
        EndpointType,
        policies::{CompressionAlgorithm, PathRewrite, PolicyKind},
    },
    module::{RouteEdit, RouteScope},
};
use serde_json::{Value, json};

use super::{Draft, Job};
use crate::resources::{DIRECT_RESPONSE, GROUP, TrafficPolicySpec, object};

pub(crate) fn route(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    url_rewrite(job, scope, draft);
    direct_response(job, scope, draft);
    cors(job, draft);
    compression(job, scope, draft);
    body_size_limit(job, scope, draft);
}

/// Only the regular expression is left to this adapter; the rest is a standard filter.
fn url_rewrite(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let Some(policy) = job.target.policies.url_rewrite().filter(|_| job.target.must_map(PolicyKind::UrlRewrite)) else {
        return;
    };
    let field = policy.field;
    if !scope.route.kind.is_http() {
        let reason = "kgateway rewrites the path of HTTPRoute only (TrafficPolicy .spec.urlRewrite)";
        draft.unsupported(field.clone(), reason, &[]);
        return;
    }
    if policy.value.hostname.is_some() {
        // The host could only be rewritten by the standard filter, and one rewrite is realised by one mechanism.
        draft.unsupported(
            field.child("hostname"),
            "a host is rewritten together with a regular expression over the path, which no single mechanism of kgateway does",
            &["path.replaceFullPath or path.replacePrefixMatch with the host", "the regular expression alone"],
        );
    }
    match &policy.value.path {
        Some(PathRewrite::Regex { pattern, substitution }) => {
            let length = substitution.as_str().chars().count();
            let path = field.child("path").child("regex");
            if !(1..=1024).contains(&length) {
                let reason = "kgateway takes a substitution of 1 to 1024 characters";
                draft.unsupported(path.child("substitution"), reason, &["path.replaceFullPath"]);
            }
            draft.spec.url_rewrite = Some(json!({
                "pathRegex": { "pattern": pattern.as_str(), "substitution": substitution.as_str() }
            }));
            draft.holds(PolicyKind::UrlRewrite);
            draft.exact(path.child("pattern"), &["/urlRewrite/pathRegex/pattern"]);
            if (1..=1024).contains(&length) {
                draft.exact(path.child("substitution"), &["/urlRewrite/pathRegex/substitution"]);
            }
        }
        Some(_) => {
            let reason =
                "kgateway rewrites a whole path or a prefix by the standard filter only, which this route cannot use";
            draft.unsupported(field.child("path"), reason, &["path.regex"]);
        }
        None => {}
    }
}

fn direct_response(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::DirectResponse;
    let Some(policy) = job.target.policies.direct_response().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if !scope.route.kind.is_http() {
        draft.unsupported(field.clone(), "kgateway answers directly on HTTPRoute only", &[]);
        return;
    }
    let mut spec = json!({ "status": value.status.get() });
    let mut cite = vec![("status", "/spec/status")];
    let body = value.body.as_ref().map(gateway_modules_core::types::Text::as_str);
    match (body, value.content_type.as_ref().map(gateway_modules_core::types::HeaderValue::as_str)) {
        (Some(""), _) => {
            draft.unsupported(field.child("body"), "kgateway takes no empty body", &["no body at all"]);
        }
        (Some(text), Some("text/plain")) => {
            // `bodyFormat.text` is a format string of Envoy: a percent sign is written twice.
            spec["bodyFormat"] = json!({ "contentType": "text/plain", "text": text.replace('%', "%%") });
            cite.push(("body", "/spec/bodyFormat/text"));
            cite.push(("contentType", "/spec/bodyFormat/contentType"));
        }
        (body, media_type) => {
            if let Some(text) = body {
                spec["body"] = text.into();
                cite.push(("body", "/spec/body"));
            }
            if media_type.is_some() {
                // CRD DirectResponse .spec.bodyFormat.contentType: "does not currently take effect due to a bug in Envoy".
                draft.unsupported(
                    field.child("contentType"),
                    "kgateway's contentType does not take effect (CRD DirectResponse), the body is sent as text/plain",
                    &["contentType text/plain with a body", "module kong"],
                );
            }
        }
    }
    let name = job.name(&["direct-response"]);
    let object = object(&DIRECT_RESPONSE, &scope.route.namespace, &name, &spec);
    let handle = draft.mapping.object(object, vec![kind]);
    draft.mapping.edit(RouteEdit::Filter {
        kind,
        filter: json!({
            "type": "ExtensionRef",
            "extensionRef": { "group": GROUP, "kind": "DirectResponse", "name": name },
        }),
    });
    for (child, pointer) in cite {
        draft.exact_in(field.child(child), handle.at(pointer));
    }
}

/// Core realises CORS by the standard filter; this is for routes where it cannot (`GRPCRoute` has no such filter).
fn cors(job: Job<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let Some(policy) = job.target.policies.cors().filter(|_| job.target.must_map(PolicyKind::Cors)) else { return };
    let (field, value) = (policy.field, policy.value);
    let mut spec = json!({ "allowOrigins": value.allow_origins, "allowCredentials": value.allow_credentials });
    draft.exact(field.child("allowOrigins"), &["/cors/allowOrigins"]);
    draft.exact(field.child("allowCredentials"), &["/cors/allowCredentials"]);
    let lists = [
        ("allowMethods", json!(value.allow_methods), value.allow_methods.is_empty()),
        ("allowHeaders", json!(value.allow_headers), value.allow_headers.is_empty()),
        ("exposeHeaders", json!(value.expose_headers), value.expose_headers.is_empty()),
    ];
    for (name, list, empty) in lists {
        if !empty {
            spec[name] = list;
            draft.exact(field.child(name), &[&format!("/cors/{name}")]);
        }
    }
    if let Some(age) = value.max_age {
        match age.as_whole_secs().and_then(|seconds| i32::try_from(seconds).ok()).filter(|seconds| *seconds > 0) {
            Some(seconds) => {
                spec["maxAge"] = seconds.into();
                draft.exact(field.child("maxAge"), &["/cors/maxAge"]);
            }
            None => draft.unsupported(field.child("maxAge"), "kgateway takes whole seconds from 1", &["1s"]),
        }
    }
    draft.spec.cors = Some(spec);
    draft.holds(PolicyKind::Cors);
}

fn compression(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::Compression;
    let Some(policy) = job.target.policies.compression().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if !scope.route.kind.is_http() {
        // CRD TrafficPolicy .spec.compression: "only honored for HTTPRoute targets".
        draft.unsupported(field.clone(), "kgateway compresses on HTTPRoute only", &["the compression of gRPC itself"]);
        return;
    }
    let mut seen = BTreeSet::new();
    let libraries: Vec<Value> = value
        .algorithms
        .iter()
        .map(|algorithm| match algorithm {
            CompressionAlgorithm::Gzip => "Gzip",
            CompressionAlgorithm::Brotli => "Brotli",
            CompressionAlgorithm::Zstd => "Zstd",
        })
        .filter(|library| seen.insert(*library))
        .map(Value::from)
        .collect();
    draft.spec.compression = Some(json!({ "responseCompression": { "libraries": libraries } }));
    draft.holds(kind);
    draft.exact(field.child("algorithms"), &["/compression/responseCompression/libraries"]);
    if value.min_size.is_some() {
        let reason = "kgateway has no setting for the smallest body that is compressed";
        draft.unsupported(field.child("minSize"), reason, &["no minSize", "module traefik"]);
    }
    if !value.content_types.is_empty() {
        let reason = "kgateway has no setting for the media types that are compressed";
        draft.unsupported(field.child("contentTypes"), reason, &["no contentTypes", "module traefik"]);
    }
}

fn body_size_limit(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::BodySizeLimit;
    let Some(policy) = job.target.policies.body_size_limit().filter(|_| job.target.must_map(kind)) else { return };
    let field = policy.field;
    // `buffer` holds a request back until its body is whole, which a stream never is.
    let streams = match scope.route.kind {
        EndpointType::Http => None,
        EndpointType::GraphQL if scope.route.subscriptions.is_none() => None,
        other => Some(other.as_str()),
    };
    if let Some(what) = streams {
        draft.unsupported(
            field.clone(),
            format!("kgateway buffers the body to measure it, and an endpoint of type {what} streams"),
            &[
                "no bodySizeLimit on this endpoint",
                "module nginx-gateway-fabric or kong, which measure without buffering",
            ],
        );
        return;
    }
    let bytes = policy.value.max.as_bytes();
    if bytes == 0 || bytes >= 1 << 32 {
        draft.unsupported(field.child("max"), "kgateway takes a size above 0 and below 4Gi", &["a size below 4Gi"]);
        return;
    }
    draft.spec.buffer = Some(json!({ "maxRequestSize": policy.value.max.to_string() }));
    draft.holds(kind);
    draft.exact(field.child("max"), &["/buffer/maxRequestSize"]);
}
