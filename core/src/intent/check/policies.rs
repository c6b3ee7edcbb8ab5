//! Policies by themselves, and by the type of the endpoint that has them.

use std::collections::BTreeMap;

use super::place::{At, Checker};
use crate::{
    intent::{
        EndpointType, codes,
        policies::{
            HeaderChanges, HealthProbe, PathRewrite, Policies, PolicyKind, Redirect, RedirectPath, SessionAffinity,
            UrlRewrite,
        },
    },
    types::HttpPath,
};

/// What holds wherever the policies stand.
pub(super) fn check(checker: &mut Checker<'_>, at: &At<'_>, policies: &Policies) {
    headers(checker, at, policies);
    answers(checker, at, policies);
    paths(checker, at, policies);
    limits(checker, at, policies);
    if let Some(cors) = &policies.cors
        && cors.allow_credentials
        && cors.allow_origins.iter().any(|origin| origin.as_str() == "*")
    {
        checker.error(
            &at.field("cors/allowCredentials"),
            codes::CORS_CREDENTIALS,
            "browsers refuse credentials together with the origin `*`",
            "name the origins, for example `https://app.example.com`, or remove `allowCredentials`",
        );
    }
    if let Some(access) = &policies.ip_access
        && access.allow.is_empty()
        && access.deny.is_empty()
    {
        empty(
            checker,
            &at.field("ipAccess"),
            "write `allow`, `deny` or both; `deny: [0.0.0.0/0, \"::/0\"]` refuses everyone",
        );
    }
}

/// What has a meaning for the type of the endpoint.
pub(super) fn belong(checker: &mut Checker<'_>, at: &At<'_>, policies: &Policies, kind: EndpointType) {
    if kind.is_http() || kind == EndpointType::Grpc {
        return;
    }
    for policy in policies.kinds() {
        let by_address = matches!(policies.session_affinity, Some(SessionAffinity::ClientIp {}));
        let fits = match policy {
            PolicyKind::SessionAffinity => by_address,
            // TCP and UDP have no handshake in which a certificate could be asked for.
            PolicyKind::ClientCertificate => kind == EndpointType::Tls,
            PolicyKind::BackendTls => kind != EndpointType::Udp,
            policy => !needs_requests(policy),
        };
        if !fits {
            checker.error(
                &at.field(policy.field()),
                codes::FIELD_NOT_FOR_TYPE,
                format!("`{}` has no meaning for an endpoint of type {}", policy.field(), kind.as_str()),
                "remove it; the gateway sees connections there and no requests",
            );
        }
    }
}

/// Whether a kind speaks of HTTP requests.
const fn needs_requests(kind: PolicyKind) -> bool {
    !matches!(
        kind,
        PolicyKind::CircuitBreaking
            | PolicyKind::HealthCheck
            | PolicyKind::ConnectionLimit
            | PolicyKind::LoadBalancing
            | PolicyKind::SessionAffinity
            | PolicyKind::IpAccess
            | PolicyKind::ClientCertificate
            | PolicyKind::BackendTls
            | PolicyKind::AccessLog
            | PolicyKind::TrafficSplit
    )
}

fn empty(checker: &mut Checker<'_>, at: &At<'_>, help: &str) {
    checker.error(at, codes::EMPTY_POLICY, "the policy says nothing", format!("{help}, or remove it"));
}

fn headers(checker: &mut Checker<'_>, at: &At<'_>, policies: &Policies) {
    let Some(headers) = &policies.header_modification else { return };
    let at = at.field("headerModification");
    if headers.request.is_empty() && headers.response.is_empty() {
        empty(checker, &at, "write `request` or `response`");
    }
    changes(checker, &at.field("request"), &headers.request);
    changes(checker, &at.field("response"), &headers.response);
}

fn changes(checker: &mut Checker<'_>, at: &At<'_>, changes: &HeaderChanges) {
    let set =
        changes.set.iter().enumerate().map(|(index, header)| (at.field("set").item(index).field("name"), &header.name));
    let add =
        changes.add.iter().enumerate().map(|(index, header)| (at.field("add").item(index).field("name"), &header.name));
    let remove = changes.remove.iter().enumerate().map(|(index, name)| (at.field("remove").item(index), name));
    let mut seen: BTreeMap<String, At<'_>> = BTreeMap::new();
    for (at, name) in set.chain(add).chain(remove) {
        let key = name.as_str().to_ascii_lowercase();
        if let Some(first) = seen.get(&key) {
            checker.error(
                &at,
                codes::HEADER_TWICE,
                format!("the header `{name}` is changed twice, first at {}", first.named()),
                "name each header once, in `set`, `add` or `remove`; case does not matter",
            );
        } else {
            seen.insert(key, at);
        }
    }
}

fn answers(checker: &mut Checker<'_>, at: &At<'_>, policies: &Policies) {
    let answer = match (&policies.redirect, &policies.direct_response) {
        (Some(_), Some(_)) => {
            checker.error(
                &at.field("directResponse"),
                codes::CONTRADICTING_ANSWERS,
                "`redirect` and `directResponse` both answer the request",
                "keep one of them",
            );
            return;
        }
        (Some(_), None) => "redirect",
        (None, Some(_)) => "directResponse",
        (None, None) => return,
    };
    if policies.url_rewrite.is_some() {
        checker.error(
            &at.field("urlRewrite"),
            codes::CONTRADICTING_ANSWERS,
            format!("`urlRewrite` changes the request for a backend, and `{answer}` answers without asking one"),
            "keep one of them",
        );
    }
    if let Some(Redirect { scheme: None, hostname: None, port: None, path: None, .. }) = &policies.redirect {
        empty(checker, &at.field("redirect"), "write what changes: `scheme`, `hostname`, `port` or `path`");
    }
}

fn paths(checker: &mut Checker<'_>, at: &At<'_>, policies: &Policies) {
    if let Some(UrlRewrite { hostname, path: rewrite }) = &policies.url_rewrite {
        let at = at.field("urlRewrite");
        match rewrite {
            Some(PathRewrite::ReplaceFullPath(value)) => path(checker, &at.field("path/replaceFullPath"), value),
            Some(PathRewrite::ReplacePrefixMatch(value)) => path(checker, &at.field("path/replacePrefixMatch"), value),
            Some(PathRewrite::Regex { pattern, .. }) => {
                regular_expression(checker, &at.field("path/regex/pattern"), pattern.as_str());
            }
            None if hostname.is_none() => empty(checker, &at, "write `hostname` or `path`"),
            None => {}
        }
    }
    match policies.redirect.as_ref().and_then(|redirect| redirect.path.as_ref()) {
        Some(RedirectPath::ReplaceFullPath(value)) => path(checker, &at.field("redirect/path/replaceFullPath"), value),
        Some(RedirectPath::ReplacePrefixMatch(value)) => {
            path(checker, &at.field("redirect/path/replacePrefixMatch"), value);
        }
        None => {}
    }
    if let Some(HealthProbe::Http { path: value }) = policies.health_check.as_ref().map(|check| &check.probe) {
        path(checker, &at.field("healthCheck/probe/http/path"), value);
    }
    if let Some(value) = policies.external_authorization.as_ref().and_then(|service| service.path_prefix.as_ref()) {
        path(checker, &at.field("externalAuthorization/pathPrefix"), value);
    }
}

fn limits(checker: &mut Checker<'_>, at: &At<'_>, policies: &Policies) {
    if let Some(timeouts) = &policies.timeouts {
        match (timeouts.request, timeouts.backend_request) {
            (None, None) => empty(checker, &at.field("timeouts"), "write `request`, `backendRequest` or both"),
            // `0s` is no limit, which is longer than any.
            (Some(request), Some(one)) if request.as_millis() > 0 && (one.as_millis() == 0 || one > request) => checker
                .error(
                    &at.field("timeouts/backendRequest"),
                    codes::TIMEOUT_ORDER,
                    format!("one try may take {one}, longer than the whole request with {request}"),
                    format!("write at most `{request}`"),
                ),
            _ => {}
        }
    }
    if let Some(retry) = &policies.retry {
        for (index, code) in retry.codes.iter().enumerate().filter(|(_, code)| code.get() < 400) {
            checker.error(
                &at.field("retry/codes").item(index),
                codes::RETRY_CODE,
                format!("{code} is no error, and cannot be retried"),
                "write statuses from 400 to 599",
            );
        }
    }
    if let Some(breaking) = &policies.circuit_breaking
        && [breaking.max_connections, breaking.max_pending_requests, breaking.max_requests, breaking.max_retries]
            .iter()
            .all(Option::is_none)
    {
        empty(checker, &at.field("circuitBreaking"), "write one of its limits");
    }
    if let Some(fault) = &policies.fault_injection
        && fault.delay.is_none()
        && fault.abort.is_none()
    {
        empty(checker, &at.field("faultInjection"), "write `delay`, `abort` or both");
    }
}

/// Gateway API refuses paths in which gateways and backends could see different segments.
pub(super) fn path(checker: &mut Checker<'_>, at: &At<'_>, value: &HttpPath) {
    if value.has_odd_segment() {
        checker.error(
            at,
            codes::ODD_PATH,
            format!("the path `{value}` has an empty, `.` or `..` segment, or an encoded slash"),
            "write the path as it is after normalisation, without `//`, `/./`, `/../` and `%2F`",
        );
    }
}

/// The syntax that RE2, Rust and Go share; look-around and back references are not in it.
pub(super) fn regular_expression(checker: &mut Checker<'_>, at: &At<'_>, value: &str) {
    if let Err(error) = regex::Regex::new(value) {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
        checker.error(
            at,
            codes::BAD_REGULAR_EXPRESSION,
            format!("`{value}` is no regular expression: {reason}"),
            "write it in the syntax of RE2, which has no look-around and no back references",
        );
    }
}
