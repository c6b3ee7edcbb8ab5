//! Traffic policies by Middlewares.

use gateway_modules_core::{
    capability::CapabilityName,
    intent::{
        EndpointType,
        policies::{CompressionAlgorithm, PathRewrite, PolicyKind},
    },
    module::{Citation, RouteEdit},
};
use serde_json::{Value, json};

use super::Work;

/// The standard filter makes the rule answer 500 on 3.7 (seen with requests, facts/lab.md §3).
pub(super) fn cors(work: &mut Work<'_>) {
    let kind = PolicyKind::Cors;
    let target = work.target;
    let Some(policy) = target.policies.cors().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let mut spec = json!({ "addVaryHeader": true });
    let (wildcards, plain): (Vec<&str>, Vec<&str>) = value
        .allow_origins
        .iter()
        .map(gateway_modules_core::types::Text::as_str)
        .partition(|origin| *origin != "*" && origin.contains('*'));
    let mut cites = Vec::new();
    if !plain.is_empty() {
        spec["accessControlAllowOriginList"] = json!(plain);
    }
    if !wildcards.is_empty() {
        spec["accessControlAllowOriginListRegex"] = wildcards.iter().map(|origin| origin_pattern(origin)).collect();
    }
    let (mut in_list, mut in_patterns) = (0, 0);
    for (index, origin) in value.allow_origins.iter().enumerate() {
        let is_pattern = wildcards.contains(&origin.as_str());
        let (list, position) = if is_pattern {
            ("accessControlAllowOriginListRegex", &mut in_patterns)
        } else {
            ("accessControlAllowOriginList", &mut in_list)
        };
        cites.push((field.child("allowOrigins").child(index), format!("/headers/{list}/{position}")));
        *position += 1;
    }
    for (name, list, key) in [
        ("allowMethods", json!(value.allow_methods), "accessControlAllowMethods"),
        ("allowHeaders", json!(value.allow_headers), "accessControlAllowHeaders"),
        ("exposeHeaders", json!(value.expose_headers), "accessControlExposeHeaders"),
    ] {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            spec[key] = list;
            cites.push((field.child(name), format!("/headers/{key}")));
        }
    }
    if value.allow_credentials {
        spec["accessControlAllowCredentials"] = true.into();
        cites.push((field.child("allowCredentials"), "/headers/accessControlAllowCredentials".to_owned()));
    }
    // Absent means 5 s (GEP-1767), and to Traefik that no time is sent.
    let seconds = value.max_age.map_or(Some(5), gateway_modules_core::types::Duration::as_whole_secs);
    match seconds.and_then(|seconds| i64::try_from(seconds).ok()).filter(|seconds| *seconds > 0) {
        Some(seconds) => {
            spec["accessControlMaxAge"] = seconds.into();
            if value.max_age.is_some() {
                cites.push((field.child("maxAge"), "/headers/accessControlMaxAge".to_owned()));
            }
        }
        None => work.unsupported(field.child("maxAge"), "Traefik takes whole seconds from 1", &["1s"]),
    }
    let object = work.middleware(kind, "cors", json!({ "headers": spec }));
    for (field, pointer) in cites {
        work.exact(field, object, &pointer);
    }
}

/// A regular expression that fits the origins which a wildcard stands for, and no others: Traefik does not anchor it.
fn origin_pattern(origin: &str) -> String {
    let (scheme, rest) = origin.split_once("://").unwrap_or(("https", origin));
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, format!(":{}", regex::escape(port))),
        None => (rest, String::new()),
    };
    let host = match host.strip_prefix("*.") {
        Some(domain) => format!(r"([a-z0-9-]+\.)+{}", regex::escape(domain)),
        None => r"[a-z0-9.-]+".to_owned(),
    };
    format!("^{}://{host}{port}$", regex::escape(scheme))
}

pub(super) fn compression(work: &mut Work<'_>) {
    let kind = PolicyKind::Compression;
    let target = work.target;
    let Some(policy) = target.policies.compression().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if !work.scope.route.kind.is_http() {
        // `compress.go`: application/grpc is never compressed.
        let reason = "Traefik never compresses gRPC";
        work.unsupported(field.clone(), reason, &["the compression of gRPC itself"]);
        return;
    }
    let mut encodings: Vec<&str> = Vec::new();
    for algorithm in &value.algorithms {
        let encoding = match algorithm {
            CompressionAlgorithm::Gzip => "gzip",
            CompressionAlgorithm::Brotli => "br",
            CompressionAlgorithm::Zstd => "zstd",
        };
        if !encodings.contains(&encoding) {
            encodings.push(encoding);
        }
    }
    let mut spec = json!({ "encodings": encodings });
    let mut cites = vec![("algorithms", "/compress/encodings")];
    if let Some(size) = value.min_size {
        match i64::try_from(size.as_bytes()) {
            Ok(bytes) => {
                // Zero stands for the default of 1024 (`compress.go`), and an empty body is not compressed anyway.
                spec["minResponseBodyBytes"] = bytes.max(1).into();
                cites.push(("minSize", "/compress/minResponseBodyBytes"));
            }
            Err(_) => {
                work.unsupported(field.child("minSize"), "Traefik takes up to 9223372036854775807 bytes", &["1Ki"]);
            }
        }
    }
    if !value.content_types.is_empty() {
        let odd = value.content_types.iter().position(|media_type| !is_media_type(media_type.as_str()));
        if let Some(index) = odd {
            // `compress.go`, New: a type that cannot be read fails the Middleware, and a `*` in it fits nothing.
            let reason = "Traefik compares whole media types";
            work.unsupported(field.child("contentTypes").child(index), reason, &["for example application/json"]);
        }
        spec["includedContentTypes"] = json!(value.content_types);
        cites.push(("contentTypes", "/compress/includedContentTypes"));
    }
    let object = work.middleware(kind, "compress", json!({ "compress": spec }));
    for (name, pointer) in cites {
        work.exact(field.child(name), object, pointer);
    }
}

/// `type/subtype` of RFC 6838 names.
fn is_media_type(text: &str) -> bool {
    let name = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| name(kind) && name(subtype))
}

/// Only the regular expression is left to this adapter; the rest is a standard filter.
pub(super) fn url_rewrite(work: &mut Work<'_>) {
    let kind = PolicyKind::UrlRewrite;
    let target = work.target;
    let Some(policy) = target.policies.url_rewrite().filter(|_| target.must_map(kind)) else { return };
    let field = policy.field;
    if !work.scope.route.kind.is_http() {
        work.unsupported(field.clone(), "paths of gRPC are names of methods, which are not rewritten", &[]);
        return;
    }
    if let Some(hostname) = &policy.value.hostname {
        let filter = json!({ "type": "URLRewrite", "urlRewrite": { "hostname": hostname.as_str() } });
        let index = work.mapping.edit(RouteEdit::Filter { kind, filter });
        let citation = Citation::Edit { index, pointer: "/urlRewrite/hostname".to_owned() };
        work.mapping.exact(field.child("hostname"), [citation]);
    }
    match &policy.value.path {
        Some(PathRewrite::Regex { pattern, substitution }) => {
            let path = field.child("path").child("regex");
            if let Some(replacement) = replacement(substitution.as_str()) {
                let spec = json!({ "replacePathRegex": { "regex": pattern.as_str(), "replacement": replacement } });
                let object = work.middleware(kind, "rewrite", spec);
                work.exact(path.child("pattern"), object, "/replacePathRegex/regex");
                work.exact(path.child("substitution"), object, "/replacePathRegex/replacement");
            } else {
                let reason =
                    "a backslash is written before a digit or a backslash only, and Traefik cuts space at the ends";
                work.unsupported(path.child("substitution"), reason, &["\\1 for the first group"]);
            }
        }
        Some(_) => {
            let reason =
                "Traefik rewrites a whole path or a prefix by the standard filter, which this route cannot use";
            work.unsupported(field.child("path"), reason, &["path.regex"]);
        }
        None => {}
    }
}

/// RE2's `\1` in the form of Go (`${1}`); `$` of the text is doubled, so that it stays a `$`.
fn replacement(text: &str) -> Option<String> {
    if text.trim() != text {
        return None;
    }
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '$' => out.push_str("$$"),
            '\\' => match rest.next()? {
                '\\' => out.push('\\'),
                digit if digit.is_ascii_digit() => {
                    out.push_str("${");
                    out.push(digit);
                    out.push('}');
                }
                _ => return None,
            },
            c => out.push(c),
        }
    }
    Some(out)
}

pub(super) fn retry(work: &mut Work<'_>) {
    let kind = PolicyKind::Retry;
    let target = work.target;
    let Some(policy) = target.policies.retry().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if value.budget.is_some() {
        work.unsupported(field.child("budget"), "Traefik has no retry budget", &["no budget", "module istio"]);
    }
    let streams = match work.scope.route.kind {
        EndpointType::Http | EndpointType::GraphQL => None,
        other => Some(other.as_str()),
    };
    let mut codes = !value.codes.is_empty();
    if codes && !work.cx.has(&CapabilityName::policy_part(kind, "codes")) {
        let reason = "Traefik tries again after a status since 3.7";
        work.unsupported(field.child("codes"), reason, &["no codes: connection errors only", "Traefik 3.7"]);
        codes = false;
    } else if let Some(what) = streams.filter(|_| codes) {
        // `retry.go`, ServeHTTP: the body is read whole, so that it can be sent again.
        let reason =
            format!("to try again after a status Traefik reads the whole body, and an endpoint of type {what} streams");
        work.unsupported(field.child("codes"), reason, &["no codes: connection errors only"]);
        codes = false;
    }
    // Traefik counts all tries, the policy the further ones (`retry.go`: one attempt is no retry).
    let mut spec = json!({ "attempts": value.attempts.saturating_add(1) });
    let mut cites = vec![("attempts", "/retry/attempts")];
    if let Some(backoff) = value.backoff {
        if backoff.as_millis() == 0 {
            work.unsupported(field.child("backoff"), "Traefik takes 0 as no pause", &["no backoff"]);
        } else {
            spec["initialInterval"] = backoff.to_string().into();
            cites.push(("backoff", "/retry/initialInterval"));
        }
    }
    if codes {
        spec["status"] = value.codes.iter().map(|code| Value::from(code.get().to_string())).collect();
        // GEP-1731 makes no difference between methods; Traefik would leave out POST and PATCH.
        spec["retryNonIdempotentMethod"] = true.into();
        cites.push(("codes", "/retry/status"));
    }
    let object = work.middleware(kind, "retry", json!({ "retry": spec }));
    for (name, pointer) in cites {
        work.exact(field.child(name), object, pointer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_a_wildcard_stands_for_and_nothing_else() {
        let fits =
            |origin: &str, text: &str| regex::Regex::new(&origin_pattern(origin)).expect("pattern").is_match(text);
        assert!(fits("https://*.example.com", "https://app.example.com"));
        assert!(fits("https://*.example.com", "https://a.b.example.com"));
        for other in [
            "https://example.com",
            "https://appXexample.com",
            "https://app.example.com.evil.org",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://evil.org/.example.com",
        ] {
            assert!(!fits("https://*.example.com", other), "{other}");
        }
        assert!(fits("https://*.example.com:8443", "https://app.example.com:8443"));
        assert!(fits("http://*", "http://a.example") && !fits("http://*", "https://a.example"));
    }

    #[test]
    fn substitutions_stay_what_they_say() {
        assert_eq!(replacement("/v2/\\1").as_deref(), Some("/v2/${1}"));
        assert_eq!(replacement("/$1/\\\\x").as_deref(), Some("/$$1/\\x"));
        assert_eq!(replacement("/\\1\\2").as_deref(), Some("/${1}${2}"));
        for bad in ["/\\x", "/\\", " /a", "/a "] {
            assert_eq!(replacement(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn media_types_are_whole() {
        assert!(is_media_type("application/json") && is_media_type("image/svg+xml"));
        for bad in ["text/*", "json", "text/", "a/b;c", "a/b/c"] {
            assert!(!is_media_type(bad), "{bad}");
        }
    }
}
