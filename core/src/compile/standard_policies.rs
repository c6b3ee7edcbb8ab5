//! Policies by the standard fields of Gateway API, where the gateway has the feature. One policy is realised wholly by
//! standard fields or wholly by the adapter.

use serde_json::{Map, Value, json};

use super::{
    compilation::Compilation,
    draft::{self, RuleDraft},
};
use crate::{
    capability::{
        CapabilityName, EvidenceKind,
        names::{gateway_api, project},
    },
    intent::{
        EndpointType, FieldRef,
        policies::{
            ExternalAuthorizationProtocol, HeaderChanges, PathRewrite, PolicyKind, Redirect, RedirectPath,
            RedirectStatus, Scheme, UrlRewrite,
        },
    },
    module::Verdict,
    resolve::{ImpliedRewrite, RouteTopology},
};

/// What came of the attempt.
pub(super) enum Attempt {
    /// Realised; the verdicts are in the ledger.
    Done,
    /// The standard has no field for it, or the gateway lacks these features: the adapter may have something of its own.
    Left(Vec<CapabilityName>),
}

/// Realises one kind for one rule, if standard fields can.
pub(super) fn attempt(
    compilation: &mut Compilation<'_>,
    route: &RouteTopology,
    draft: &mut RuleDraft<'_>,
    kind: PolicyKind,
) -> Attempt {
    if !route.kind.is_http() && route.kind != EndpointType::Grpc {
        return Attempt::Left(Vec::new());
    }
    let grpc = route.kind == EndpointType::Grpc;
    match kind {
        PolicyKind::HeaderModification => header_modification(compilation, route, draft),
        PolicyKind::Mirror => mirror(compilation, route, draft),
        PolicyKind::UrlRewrite if !grpc => url_rewrite(compilation, route, draft),
        PolicyKind::Redirect if !grpc => redirect(compilation, route, draft),
        PolicyKind::Cors if !grpc => cors(compilation, route, draft),
        PolicyKind::Timeout if !grpc => timeouts(compilation, route, draft),
        PolicyKind::Retry if !grpc => retry(compilation, route, draft),
        PolicyKind::ExternalAuthorization if !grpc => external_authorization(compilation, route, draft),
        _ => Attempt::Left(Vec::new()),
    }
}

/// Returns `Left` when a feature is missing.
macro_rules! need {
    ($compilation:expr, $names:expr) => {
        let missing = $compilation.lacking(&$names);
        if !missing.is_empty() {
            return Attempt::Left(missing);
        }
    };
}

fn header_modification(compilation: &mut Compilation<'_>, route: &RouteTopology, draft: &mut RuleDraft<'_>) -> Attempt {
    let Some(policy) = draft.rule.policies.header_modification() else { return Attempt::Done };
    let place = draft::place(route, draft.rule);
    if !policy.value.response.is_empty() {
        need!(compilation, [gateway_api::HTTP_ROUTE_RESPONSE_HEADER_MODIFICATION]);
    }
    let (request, response, field) =
        (policy.value.request.clone(), policy.value.response.clone(), policy.field.clone());
    for (changes, name, kind) in
        [(request, "request", "RequestHeaderModifier"), (response, "response", "ResponseHeaderModifier")]
    {
        if changes.is_empty() {
            continue;
        }
        let body = format!("{}{}", kind[..1].to_ascii_lowercase(), &kind[1..]);
        let cites = header_cites(compilation, &changes, &field.child(name), &body, &place);
        draft.filter(
            PolicyKind::HeaderModification,
            json!({"type": kind, body.as_str(): header_value(&changes)}),
            cites,
        );
    }
    if policy_is_empty(compilation, &field) {
        compilation.ledger.decides(field, "nothing: the policy changes no header");
    }
    Attempt::Done
}

fn policy_is_empty(compilation: &Compilation<'_>, field: &FieldRef) -> bool {
    compilation.is_leaf(field)
}

fn header_value(changes: &HeaderChanges) -> Value {
    let list = |headers: &[crate::intent::policies::Header]| -> Value {
        headers.iter().map(|header| json!({"name": header.name.as_str(), "value": header.value.as_str()})).collect()
    };
    let mut value = Map::new();
    if !changes.set.is_empty() {
        value.insert("set".into(), list(&changes.set));
    }
    if !changes.add.is_empty() {
        value.insert("add".into(), list(&changes.add));
    }
    if !changes.remove.is_empty() {
        value.insert("remove".into(), changes.remove.iter().map(|name| name.as_str()).collect());
    }
    Value::Object(value)
}

fn header_cites(
    compilation: &mut Compilation<'_>,
    changes: &HeaderChanges,
    field: &FieldRef,
    body: &str,
    place: &str,
) -> Vec<(super::ledger::ClaimId, String)> {
    let mut cites = Vec::new();
    for (list, count) in [("set", changes.set.len()), ("add", changes.add.len()), ("remove", changes.remove.len())] {
        for index in 0..count {
            let claim = compilation.ledger.claim(field.child(list).child(index), place, Verdict::Exact);
            cites.push((claim, format!("/{body}/{list}/{index}")));
        }
    }
    cites
}

/// The rewrite that a shared host needs, together with what a policy asks for, is one filter: a rule may have only one.
pub(super) fn implied_rewrite(compilation: &mut Compilation<'_>, route: &RouteTopology, draft: &mut RuleDraft<'_>) {
    let policies = &draft.rule.policies.values;
    let written = policies.url_rewrite.as_ref().is_some_and(|rewrite| rewrite.path.is_some());
    let no_backend = policies.redirect.is_some() || policies.direct_response.is_some();
    let Some(implied) = draft.rule.implied_rewrite.clone().filter(|_| !written && !no_backend) else { return };
    let place = draft::place(route, draft.rule);
    let missing = compilation.lacking(&[gateway_api::HTTP_ROUTE_PATH_REWRITE]);
    if !missing.is_empty() {
        let (reason, mut alternatives) =
            compilation.lack_text("rewrite of the path, which a shared host needs", &missing);
        alternatives
            .insert(0, "give the endpoint `hostnames`, or the visibility `hostnameStyle: PerEndpoint`".to_owned());
        compilation.refuse(&route.source, &place, reason, alternatives);
        return;
    }
    let path = match &implied {
        ImpliedRewrite::Prefix(path) => json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": path.as_str()}),
        ImpliedRewrite::Full(path) => json!({"type": "ReplaceFullPath", "replaceFullPath": path.as_str()}),
    };
    let mut cites = Vec::new();
    if let Some((_, field)) = &route.base_path {
        let claim = compilation.ledger.claim(field.clone(), &place, Verdict::Exact);
        cites.push((claim, "/urlRewrite/path".to_owned()));
    }
    match draft.filters.iter_mut().find(|filter| filter.kind == PolicyKind::UrlRewrite) {
        Some(filter) => {
            filter.value["urlRewrite"]["path"] = path;
            filter.cites.extend(cites);
        }
        None => {
            draft.filter(PolicyKind::UrlRewrite, json!({"type": "URLRewrite", "urlRewrite": {"path": path}}), cites)
        }
    }
}

fn url_rewrite(compilation: &mut Compilation<'_>, route: &RouteTopology, draft: &mut RuleDraft<'_>) -> Attempt {
    let Some(policy) = draft.rule.policies.url_rewrite() else { return Attempt::Done };
    let UrlRewrite { hostname, path } = policy.value;
    let mut needed = Vec::new();
    if hostname.is_some() {
        needed.push(gateway_api::HTTP_ROUTE_HOST_REWRITE);
    }
    if path.is_some() {
        needed.push(gateway_api::HTTP_ROUTE_PATH_REWRITE);
    }
    if matches!(path, Some(PathRewrite::Regex { .. })) {
        return Attempt::Left(Vec::new());
    }
    need!(compilation, needed);
    let place = draft::place(route, draft.rule);
    let field = policy.field.clone();
    let mut body = Map::new();
    let mut cites = Vec::new();
    if let Some(hostname) = hostname {
        body.insert("hostname".into(), hostname.as_str().into());
        let claim = compilation.ledger.claim(field.child("hostname"), &place, Verdict::Exact);
        cites.push((claim, "/urlRewrite/hostname".to_owned()));
    }
    let (value, name) = match path {
        Some(PathRewrite::ReplaceFullPath(path)) => {
            (Some(json!({"type": "ReplaceFullPath", "replaceFullPath": path.as_str()})), "replaceFullPath")
        }
        Some(PathRewrite::ReplacePrefixMatch(path)) => {
            (Some(json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": path.as_str()})), "replacePrefixMatch")
        }
        Some(PathRewrite::Regex { .. }) | None => (None, ""),
    };
    if let Some(value) = value {
        if name == "replacePrefixMatch" && !only_prefix_match(draft) {
            let reason = "a prefix can only be replaced where the rule matches a prefix".to_owned();
            let alternatives = vec!["match by `path: {prefix: …}`, or use `replaceFullPath`".to_owned()];
            compilation.refuse(&field.child("path"), &place, reason, alternatives);
            return Attempt::Done;
        }
        body.insert("path".into(), value);
        let claim = compilation.ledger.claim(field.child("path"), &place, Verdict::Exact);
        cites.push((claim, format!("/urlRewrite/path/{name}")));
    }
    if body.is_empty() {
        compilation.ledger.decides(field, "nothing: the policy rewrites neither host nor path");
    } else {
        draft.filter(PolicyKind::UrlRewrite, json!({"type": "URLRewrite", "urlRewrite": body}), cites);
    }
    Attempt::Done
}

/// Gateway API admits `ReplacePrefixMatch` only in a rule with exactly one match, of a prefix.
fn only_prefix_match(draft: &RuleDraft<'_>) -> bool {
    draft.matches.len() == 1 && draft.matches[0].pointer("/path/type").and_then(Value::as_str) == Some("PathPrefix")
}

fn redirect(compilation: &mut Compilation<'_>, route: &RouteTopology, draft: &mut RuleDraft<'_>) -> Attempt {
    let Some(policy) = draft.rule.policies.redirect() else { return Attempt::Done };
    let Redirect { scheme, hostname, port, path, status_code } = policy.value;
    let mut needed = Vec::new();
    needed.extend(scheme.as_ref().map(|_| gateway_api::HTTP_ROUTE_SCHEME_REDIRECT));
    needed.extend(port.as_ref().map(|_| gateway_api::HTTP_ROUTE_PORT_REDIRECT));
    needed.extend(path.as_ref().map(|_| gateway_api::HTTP_ROUTE_PATH_REDIRECT));
    needed.extend(match status_code {
        RedirectStatus::SeeOther => Some(gateway_api::HTTP_ROUTE_303_REDIRECT_STATUS_CODE),
        RedirectStatus::TemporaryRedirect => Some(gateway_api::HTTP_ROUTE_307_REDIRECT_STATUS_CODE),
        RedirectStatus::PermanentRedirect => Some(gateway_api::HTTP_ROUTE_308_REDIRECT_STATUS_CODE),
        RedirectStatus::MovedPermanently | RedirectStatus::Found => None,
    });
    need!(compilation, needed);
    let place = draft::place(route, draft.rule);
    let field = policy.field.clone();
    let mut body = Map::new();
    let mut fields = vec![("statusCode", "statusCode".to_owned())];
    body.insert("statusCode".into(), u16::from(*status_code).into());
    if let Some(scheme) = scheme {
        body.insert("scheme".into(), if *scheme == Scheme::Https { "https" } else { "http" }.into());
        fields.push(("scheme", "scheme".to_owned()));
    }
    if let Some(hostname) = hostname {
        body.insert("hostname".into(), hostname.as_str().into());
        fields.push(("hostname", "hostname".to_owned()));
    }
    if let Some(port) = port {
        body.insert("port".into(), port.get().into());
        fields.push(("port", "port".to_owned()));
    }
    if let Some(path) = path {
        let (kind, name, text) = match path {
            RedirectPath::ReplaceFullPath(path) => ("ReplaceFullPath", "replaceFullPath", path),
            RedirectPath::ReplacePrefixMatch(path) => ("ReplacePrefixMatch", "replacePrefixMatch", path),
        };
        if name == "replacePrefixMatch" && !only_prefix_match(draft) {
            let reason = "a prefix can only be replaced where the rule matches a prefix".to_owned();
            let alternatives = vec!["match by `path: {prefix: …}`, or use `replaceFullPath`".to_owned()];
            compilation.refuse(&field.child("path"), &place, reason, alternatives);
            return Attempt::Done;
        }
        body.insert("path".into(), json!({"type": kind, name: text.as_str()}));
        fields.push(("path", format!("path/{name}")));
    }
    let cites = fields
        .into_iter()
        .map(|(name, pointer)| {
            (compilation.ledger.claim(field.child(name), &place, Verdict::Exact), format!("/requestRedirect/{pointer}"))
        })
        .collect();
    draft.filter(PolicyKind::Redirect, json!({"type": "RequestRedirect", "requestRedirect": body}), cites);
    Attempt::Done
}

fn mirror(compilation: &mut Compilation<'_>, route: &RouteTopology, draft: &mut RuleDraft<'_>) -> Attempt {
    let Some(policy) = draft.rule.policies.mirror() else { return Attempt::Done };
    let backends = policy.value.backends.clone();
    let mut needed = vec![gateway_api::HTTP_ROUTE_REQUEST_MIRROR];
    if backends.len() > 1 {
        needed.push(gateway_api::HTTP_ROUTE_REQUEST_MULTIPLE_MIRRORS);
    }
    if backends.iter().any(|backend| backend.percent.get() != 100) {
        needed.push(gateway_api::HTTP_ROUTE_REQUEST_PERCENTAGE_MIRROR);
    }
    need!(compilation, needed);
    let place = draft::place(route, draft.rule);
    let field = policy.field.clone();
    let default_port = draft.rule.backends.first().map(|backend| backend.port);
    for (index, backend) in backends.iter().enumerate() {
        let mut reference = json!({"group": "", "kind": "Service", "name": backend.service.as_str()});
        if let Some(port) = backend.port.or(default_port) {
            reference["port"] = port.get().into();
        }
        let item = field.at(&format!("/backends/{index}"));
        if let Some(namespace) = backend.namespace.as_ref().filter(|namespace| namespace.as_str() != route.namespace) {
            reference["namespace"] = namespace.as_str().into();
            super::backends::grant_for(compilation, route, namespace.as_str(), &item.child("namespace"));
        }
        let mut body = json!({"backendRef": reference});
        if backend.percent.get() != 100 {
            body["percent"] = backend.percent.get().into();
        }
        let claim = compilation.ledger.claim(item, &place, Verdict::Exact);
        let value = json!({"type": "RequestMirror", "requestMirror": body});
        draft.filter(PolicyKind::Mirror, value, vec![(claim, "/requestMirror".to_owned())]);
    }
    Attempt::Done
}

fn cors(compilation: &mut Compilation<'_>, route: &RouteTopology, draft: &mut RuleDraft<'_>) -> Attempt {
    let Some(policy) = draft.rule.policies.cors() else { return Attempt::Done };
    need!(compilation, [gateway_api::HTTP_ROUTE_CORS]);
    let place = draft::place(route, draft.rule);
    let (cors, field) = (policy.value.clone(), policy.field.clone());
    let mut body = Map::new();
    let mut fields = vec!["allowOrigins"];
    body.insert("allowOrigins".into(), cors.allow_origins.iter().map(|origin| origin.as_str()).collect());
    if !cors.allow_methods.is_empty() {
        body.insert("allowMethods".into(), cors.allow_methods.iter().map(|method| method.as_str()).collect());
        fields.push("allowMethods");
    }
    if !cors.allow_headers.is_empty() {
        body.insert("allowHeaders".into(), cors.allow_headers.iter().map(|header| header.as_str()).collect());
        fields.push("allowHeaders");
    }
    if !cors.expose_headers.is_empty() {
        body.insert("exposeHeaders".into(), cors.expose_headers.iter().map(|header| header.as_str()).collect());
        fields.push("exposeHeaders");
    }
    if cors.allow_credentials {
        body.insert("allowCredentials".into(), true.into());
        fields.push("allowCredentials");
    }
    if let Some(max_age) = cors.max_age {
        let Some(seconds) = max_age.as_whole_secs().filter(|seconds| *seconds >= 1) else {
            let reason =
                "the time that a preflight answer is kept is a whole number of seconds, at least one".to_owned();
            compilation.refuse(
                &field.child("maxAge"),
                &place,
                reason,
                vec!["write for example `5s` or `10m`".to_owned()],
            );
            return Attempt::Done;
        };
        body.insert("maxAge".into(), seconds.into());
        fields.push("maxAge");
    }
    let cites = fields
        .into_iter()
        .map(|name| (compilation.ledger.claim(field.child(name), &place, Verdict::Exact), format!("/cors/{name}")))
        .collect();
    draft.filter(PolicyKind::Cors, json!({"type": "CORS", "cors": body}), cites);
    Attempt::Done
}

fn timeouts(compilation: &mut Compilation<'_>, route: &RouteTopology, draft: &mut RuleDraft<'_>) -> Attempt {
    let Some(policy) = draft.rule.policies.timeouts() else { return Attempt::Done };
    let mut needed = Vec::new();
    needed.extend(policy.value.request.map(|_| gateway_api::HTTP_ROUTE_REQUEST_TIMEOUT));
    needed.extend(policy.value.backend_request.map(|_| gateway_api::HTTP_ROUTE_BACKEND_TIMEOUT));
    need!(compilation, needed);
    let place = draft::place(route, draft.rule);
    let (value, field) = (policy.value.clone(), policy.field.clone());
    let mut timeouts = Map::new();
    for (name, duration) in [("request", value.request), ("backendRequest", value.backend_request)] {
        if let Some(duration) = duration {
            timeouts.insert(name.into(), duration.to_string().into());
            let claim = compilation.ledger.claim(field.child(name), &place, Verdict::Exact);
            draft.cites.push((claim, format!("/timeouts/{name}")));
        }
    }
    draft.fields.insert("timeouts".into(), Value::Object(timeouts));
    Attempt::Done
}

fn retry(compilation: &mut Compilation<'_>, route: &RouteTopology, draft: &mut RuleDraft<'_>) -> Attempt {
    let Some(policy) = draft.rule.policies.retry() else { return Attempt::Done };
    let value = policy.value.clone();
    if value.budget.is_some() {
        return Attempt::Left(Vec::new());
    }
    let mut needed = vec![gateway_api::HTTP_ROUTE_RETRY];
    if value.codes.is_empty() {
        needed.push(gateway_api::HTTP_ROUTE_RETRY_CONNECTION_ERROR);
    }
    need!(compilation, needed);
    let place = draft::place(route, draft.rule);
    let field = policy.field.clone();
    let mut retry = Map::new();
    let mut fields = vec!["attempts"];
    retry.insert("attempts".into(), value.attempts.into());
    if let Some(backoff) = value.backoff {
        retry.insert("backoff".into(), backoff.to_string().into());
        fields.push("backoff");
    }
    if !value.codes.is_empty() {
        retry.insert("codes".into(), value.codes.iter().map(|code| code.get()).collect());
        fields.push("codes");
    }
    for name in fields {
        let claim = compilation.ledger.claim(field.child(name), &place, Verdict::Exact);
        draft.cites.push((claim, format!("/retry/{name}")));
    }
    draft.fields.insert("retry".into(), Value::Object(retry));
    Attempt::Done
}

/// A header that no authorization service sends: an empty list would copy all headers of its answer to the request
/// (`allowedResponseHeaders`: "If this list is empty, then all headers from the authorization server … must be copied").
const NO_HEADER: &str = "x-gateway-modules-no-header";

/// The filter `ExternalAuth` (GEP-1494), which stands in the route itself.
fn external_authorization(
    compilation: &mut Compilation<'_>,
    route: &RouteTopology,
    draft: &mut RuleDraft<'_>,
) -> Attempt {
    let Some(policy) = draft.rule.policies.external_authorization() else { return Attempt::Done };
    let (value, field) = (policy.value.clone(), policy.field.clone());
    let http = value.protocol == ExternalAuthorizationProtocol::Http;
    let mut needed = vec![project::EXTERNAL_AUTH_FILTER];
    if !http {
        needed.push(project::EXTERNAL_AUTH_GRPC);
    }
    if value.body_max_size.is_some() {
        needed.push(project::EXTERNAL_AUTH_FORWARD_BODY);
    }
    // A claim of the operator never carries a security policy.
    let shown = |name: &CapabilityName| {
        let capability = compilation.input.capabilities.get(name);
        capability.is_some_and(|found| found.evidence.iter().any(|evidence| evidence.kind != EvidenceKind::Operator))
    };
    let missing: Vec<CapabilityName> = needed.into_iter().filter(|name| !shown(name)).collect();
    if !missing.is_empty() {
        return Attempt::Left(missing);
    }
    let place = draft::place(route, draft.rule);
    let mut reference =
        json!({"group": "", "kind": "Service", "name": value.service.as_str(), "port": value.port.get()});
    if let Some(namespace) = value.namespace.as_ref().filter(|namespace| namespace.as_str() != route.namespace) {
        if !compilation.input.plane.allows_reference(&route.namespace, namespace.as_str()) {
            let reason = format!(
                "the plane does not allow references from namespace {} to namespace {namespace}",
                route.namespace
            );
            let alternatives = vec!["`allowedReferences` of the data plane".to_owned()];
            compilation.refuse(&field.child("namespace"), &place, reason, alternatives);
            return Attempt::Done;
        }
        reference["namespace"] = namespace.as_str().into();
        super::backends::grant_for(compilation, route, namespace.as_str(), &field.child("namespace"));
    }
    let mut cites = vec![("protocol", "/protocol"), ("service", "/backendRef/name"), ("port", "/backendRef/port")];
    if value.namespace.is_some() && reference.get("namespace").is_none() {
        cites.push(("namespace", "/backendRef"));
    }
    let names = |headers: &[crate::types::HeaderName]| -> Vec<Value> {
        headers.iter().map(|header| header.as_str().into()).collect()
    };
    let mut body = json!({"protocol": if http { "HTTP" } else { "GRPC" }, "backendRef": reference});
    let mut allowed = names(&value.allowed_headers);
    if http {
        let answer = names(&value.backend_headers);
        let answer = if answer.is_empty() { vec![NO_HEADER.into()] } else { answer };
        body["http"] = json!({"allowedResponseHeaders": answer});
        if !value.backend_headers.is_empty() {
            cites.push(("backendHeaders", "/http/allowedResponseHeaders"));
        }
        if let Some(prefix) = &value.path_prefix {
            body["http"]["path"] = prefix.as_str().into();
            cites.push(("pathPrefix", "/http/path"));
        }
        if !allowed.is_empty() {
            body["http"]["allowedHeaders"] = allowed.into();
            cites.push(("allowedHeaders", "/http/allowedHeaders"));
        }
    } else {
        for (name, written) in
            [("pathPrefix", value.path_prefix.is_some()), ("backendHeaders", !value.backend_headers.is_empty())]
        {
            if written {
                let reason = format!("a gRPC service is asked without {name}");
                compilation.refuse(&field.child(name), &place, reason, vec!["protocol HTTP".to_owned()]);
            }
        }
        // An empty list would show the service all headers, also those that the intent does not name.
        if !value.allowed_headers.iter().any(|header| header.as_str().eq_ignore_ascii_case("authorization")) {
            allowed.insert(0, "authorization".into());
        }
        body["grpc"] = json!({"allowedHeaders": allowed});
        if !value.allowed_headers.is_empty() {
            cites.push(("allowedHeaders", "/grpc/allowedHeaders"));
        }
    }
    if let Some(size) = value.body_max_size {
        body["forwardBody"] = json!({"maxSize": size.as_bytes()});
        cites.push(("bodyMaxSize", "/forwardBody/maxSize"));
    }
    let cites = cites
        .into_iter()
        .map(|(name, pointer)| {
            let claim = compilation.ledger.claim(field.child(name), &place, Verdict::Exact);
            (claim, format!("/externalAuth{pointer}"))
        })
        .collect();
    draft.filter(PolicyKind::ExternalAuthorization, json!({"type": "ExternalAuth", "externalAuth": body}), cites);
    Attempt::Done
}
