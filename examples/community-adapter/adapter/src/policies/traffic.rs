//! Traffic policies: fields of `BackendTrafficPolicy`, and `HTTPRouteFilter`s that a rule names.

use std::collections::BTreeSet;

use gateway_modules_core::{
    intent::{
        EndpointType,
        policies::{CompressionAlgorithm, PathRewrite, PolicyKind},
    },
    module::{Mapping, ObjectHandle, RouteEdit, RouteScope},
    types::{HeaderValue, Text},
};
use serde_json::{Value, json};

use super::{Draft, Job};
use crate::resources::{GROUP, HTTP_ROUTE_FILTER, object};

/// Envoy compresses no smaller body (CRD, `compressor[].minContentLength`).
const MIN_COMPRESSED: u64 = 30;

pub(crate) fn policy(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    compression(job, scope, draft);
    body_size_limit(job, scope, draft);
}

pub(crate) fn filters(job: Job<'_>, scope: &RouteScope<'_>, mapping: &mut Mapping) {
    url_rewrite(job, scope, mapping);
    direct_response(job, scope, mapping);
}

fn compression(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    let kind = PolicyKind::Compression;
    let Some(policy) = job.target.policies.compression().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if !scope.route.kind.is_http() {
        // Envoy's own list of media types has none of gRPC.
        let reason = "Envoy compresses no messages of gRPC";
        draft.unsupported(field.clone(), reason, &["the compression of gRPC itself"]);
        return;
    }
    let smallest = value.min_size.map(|size| size.as_bytes());
    if smallest.is_some_and(|bytes| !(MIN_COMPRESSED..1 << 32).contains(&bytes)) {
        draft.unsupported(field.child("minSize"), "Envoy takes 30 bytes to 4Gi", &["30", "no minSize"]);
        return;
    }
    let mut seen = BTreeSet::new();
    let mut compressors: Vec<Value> = Vec::new();
    for algorithm in &value.algorithms {
        let (name, settings) = match algorithm {
            CompressionAlgorithm::Gzip => ("Gzip", "gzip"),
            CompressionAlgorithm::Brotli => ("Brotli", "brotli"),
            CompressionAlgorithm::Zstd => ("Zstd", "zstd"),
        };
        if seen.insert(name) {
            // One without its settings is left out (`backendtrafficpolicy.go`, `buildCompression`).
            let mut compressor = json!({ "type": name, settings: {} });
            if let Some(bytes) = smallest {
                compressor["minContentLength"] = bytes.to_string().into();
            }
            compressors.push(compressor);
        }
    }
    draft.exact(field.child("algorithms"), &["/compressor"]);
    if value.min_size.is_some() {
        let pointers: Vec<String> =
            (0..compressors.len()).map(|index| format!("/compressor/{index}/minContentLength")).collect();
        draft.exact(field.child("minSize"), &pointers.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if !value.content_types.is_empty() {
        let reason = "Envoy Gateway has no setting for the media types that are compressed";
        draft.unsupported(field.child("contentTypes"), reason, &["no contentTypes", "module traefik"]);
    }
    draft.hold(kind, "compressor", Value::Array(compressors));
}

fn body_size_limit(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    let kind = PolicyKind::BodySizeLimit;
    let Some(policy) = job.target.policies.body_size_limit().filter(|_| job.target.must_map(kind)) else { return };
    let field = policy.field;
    // `requestBuffer` holds a request back until its body is whole, which a stream never is.
    let streams = match scope.route.kind {
        EndpointType::Http => None,
        EndpointType::GraphQL if scope.route.subscriptions.is_none() => None,
        other => Some(other.as_str()),
    };
    if let Some(what) = streams {
        draft.unsupported(
            field.clone(),
            format!("Envoy Gateway buffers the body to measure it, and an endpoint of type {what} streams"),
            &[
                "no bodySizeLimit on this endpoint",
                "module nginx-gateway-fabric or kong, which measure without buffering",
            ],
        );
        return;
    }
    let bytes = policy.value.max.as_bytes();
    if bytes == 0 || bytes >= 1 << 32 {
        let reason = "Envoy Gateway takes a size above 0 and below 4Gi";
        draft.unsupported(field.child("max"), reason, &["a size below 4Gi"]);
        return;
    }
    draft.hold(kind, "requestBuffer", json!({ "limit": policy.value.max.to_string() }));
    draft.exact(field.child("max"), &["/requestBuffer/limit"]);
}

/// Adds an `HTTPRouteFilter` and names it in the rules. A filter that is not there makes the rule answer 500.
fn filter(job: Job<'_>, scope: &RouteScope<'_>, kind: PolicyKind, spec: Value, mapping: &mut Mapping) -> ObjectHandle {
    let name = job.name(&[kind.name()]);
    let handle = mapping.object(object(&HTTP_ROUTE_FILTER, &scope.route.namespace, &name, spec), vec![kind]);
    let reference = json!({ "group": GROUP, "kind": "HTTPRouteFilter", "name": name });
    mapping.edit(RouteEdit::Filter { kind, filter: json!({ "type": "ExtensionRef", "extensionRef": reference }) });
    handle
}

/// Only the regular expression is left to this adapter; the rest is a standard filter.
fn url_rewrite(job: Job<'_>, scope: &RouteScope<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::UrlRewrite;
    let Some(policy) = job.target.policies.url_rewrite().filter(|_| job.target.must_map(kind)) else { return };
    let field = policy.field;
    if !scope.route.kind.is_http() {
        let reason = "Envoy Gateway rewrites the path of HTTPRoute only (HTTPRouteFilter)";
        mapping.unsupported(field.clone(), reason, &[]);
        return;
    }
    if policy.value.hostname.is_some() {
        // The host could only be rewritten by the standard filter, and one rewrite is realised by one mechanism.
        mapping.unsupported(
            field.child("hostname"),
            "a host is rewritten by the standard filter, and a regular expression over the path by HTTPRouteFilter",
            &["path.replaceFullPath or path.replacePrefixMatch with the host", "the regular expression alone"],
        );
    }
    match &policy.value.path {
        Some(PathRewrite::Regex { pattern, substitution }) => {
            let path = json!({
                "type": "ReplaceRegexMatch",
                "replaceRegexMatch": { "pattern": pattern.as_str(), "substitution": substitution.as_str() },
            });
            let handle = filter(job, scope, kind, json!({ "urlRewrite": { "path": path } }), mapping);
            let place = field.child("path").child("regex");
            for leaf in ["pattern", "substitution"] {
                let pointer = format!("/spec/urlRewrite/path/replaceRegexMatch/{leaf}");
                mapping.exact(place.child(leaf), [handle.at(pointer)]);
            }
        }
        Some(_) => {
            let reason = "Envoy Gateway rewrites a whole path or a prefix by the standard filter only, which this route \
                          cannot use";
            mapping.unsupported(field.child("path"), reason, &["path.regex"]);
        }
        None => {}
    }
}

fn direct_response(job: Job<'_>, scope: &RouteScope<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::DirectResponse;
    let Some(policy) = job.target.policies.direct_response().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if !scope.route.kind.is_http() {
        mapping.unsupported(field.clone(), "Envoy Gateway answers directly on HTTPRoute only", &[]);
        return;
    }
    let mut spec = json!({ "statusCode": value.status.get() });
    let mut cite = vec![("status", "statusCode")];
    if let Some(body) = value.body.as_ref().map(Text::as_str) {
        spec["body"] = json!({ "type": "Inline", "inline": body });
        cite.push(("body", "body/inline"));
    }
    if let Some(content_type) = value.content_type.as_ref().map(HeaderValue::as_str) {
        // It becomes a header that Envoy adds, in whose values a percent sign begins a variable and is written twice.
        spec["contentType"] = content_type.replace('%', "%%").into();
        cite.push(("contentType", "contentType"));
    }
    let handle = filter(job, scope, kind, json!({ "directResponse": spec }), mapping);
    for (child, pointer) in cite {
        mapping.exact(field.child(child), [handle.at(format!("/spec/directResponse/{pointer}"))]);
    }
}
