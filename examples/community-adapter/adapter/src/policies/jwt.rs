//! `SecurityPolicy.spec.jwt`.

use gateway_modules_core::{
    intent::{
        FieldRef,
        policies::{Jwks, Jwt, PolicyKind},
    },
    module::{Citation, Difference, RouteEdit, RouteScope},
    types::HttpsUrl,
};
use serde_json::{Value, json};

use super::{Draft, Job, reference::ServiceReference};

/// Name of the one provider; `authorization` names it.
pub(crate) const PROVIDER: &str = "issuer";
/// CRD: longest issuer and longest URI of a key set.
const MAX_TEXT: usize = 253;
/// CRD: most audiences.
const MAX_AUDIENCES: usize = 8;

pub(crate) fn route(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    let kind = PolicyKind::Jwt;
    let Some(policy) = job.target.policies.jwt().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if !fits(value, field, draft) {
        return;
    }
    let Some(jwks) = jwks(job, scope, &value.jwks, &field.child("jwks"), draft) else { return };
    if !value.forward_token && !remove_token(scope, field, draft) {
        return;
    }
    let mut provider = json!({
        "name": PROVIDER,
        "issuer": value.issuer.as_str(),
        // By default Envoy Gateway also takes a token from the query (CRD, `extractFrom`), where logs keep it.
        "extractFrom": { "headers": [{ "name": "Authorization", "valuePrefix": "Bearer " }] },
    });
    let mut cite = vec![(field.child("issuer"), "issuer")];
    let (source, jwks, leaves) = jwks;
    provider[source] = jwks;
    cite.extend(leaves);
    if !value.audiences.is_empty() {
        provider["audiences"] = json!(value.audiences);
        draft.approximate(
            field.child("audiences"),
            Difference::foreign_audience_403(),
            &["/jwt/providers/0/audiences"],
        );
    }
    if !value.claims_to_headers.is_empty() {
        let headers = value.claims_to_headers.iter();
        provider["claimToHeaders"] =
            headers.map(|it| json!({ "claim": it.claim.as_str(), "header": it.header.as_str() })).collect();
        cite.push((field.child("claimsToHeaders"), "claimToHeaders"));
    }
    // `optional` is false by default, and security does not rest on defaults.
    draft.hold_security(kind, "jwt", json!({ "optional": false, "providers": [provider] }));
    for (field, pointer) in cite {
        draft.exact(field, &[&format!("/jwt/providers/0/{pointer}")]);
    }
    if value.forward_token {
        // Envoy Gateway passes the token on unless something removes it (`internal/xds/translator/jwt.go`, `Forward: true`).
        draft.exact(field.child("forwardToken"), &["/jwt/providers/0/extractFrom"]);
    }
}

/// What the CRD and the controller's own checks (`securitypolicy.go`, `validateJWTProvider`) take. A route whose policy they
/// refuse answers 500.
fn fits(value: &Jwt, field: &FieldRef, draft: &mut Draft) -> bool {
    let before = draft.mapping.outcomes.len();
    let issuer = value.issuer.as_str();
    let is_url = issuer.split_once(':').is_some_and(|(_, rest)| rest.starts_with('/'));
    let is_address = issuer.split_once('@').is_some_and(|(name, host)| {
        let plain = |text: &str| {
            !text.is_empty() && text.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_' | '+'))
        };
        plain(name) && plain(host)
    });
    if issuer.len() > MAX_TEXT {
        draft.unsupported(field.child("issuer"), "Envoy Gateway takes an issuer of 253 characters at most", &[]);
    } else if issuer.contains(':') && !is_url || issuer.contains('@') && !issuer.contains(':') && !is_address {
        let reason =
            "Envoy Gateway takes an issuer with a colon or an at sign only if it is a URL or an e-mail address";
        draft.unsupported(field.child("issuer"), reason, &["https://issuer.example.com", "module kgateway"]);
    }
    if value.audiences.len() > MAX_AUDIENCES {
        let reason = "Envoy Gateway takes eight audiences at most";
        draft.unsupported(field.child("audiences"), reason, &["fewer audiences", "module kgateway"]);
    }
    draft.mapping.outcomes.len() == before
}

type Source = (&'static str, Value, Vec<(FieldRef, &'static str)>);

/// Field of the provider, its value, and where the leaves are; `None` after a refusal.
fn jwks(job: Job<'_>, scope: &RouteScope<'_>, jwks: &Jwks, field: &FieldRef, draft: &mut Draft) -> Option<Source> {
    match jwks {
        Jwks::ConfigMap { name } => {
            // "The value of key `jwks` in the ConfigMap will be used" (CRD, `localJWKS.valueRef`).
            let reference = json!({ "group": "", "kind": "ConfigMap", "name": name.as_str() });
            let leaf = (field.at("/configMap/name"), "localJWKS/valueRef/name");
            Some(("localJWKS", json!({ "type": "ValueRef", "valueRef": reference }), vec![leaf]))
        }
        Jwks::Remote { url, cache_duration } => {
            let place = field.at("/remote/url");
            let backend = key_server(job, scope, url, &place, draft)?;
            let mut remote = json!({ "uri": url.as_str() });
            let mut leaves = vec![(place, "remoteJWKS/uri")];
            if let Some(backend) = backend {
                remote["backendRefs"] = json!([backend]);
            }
            if let Some(duration) = cache_duration {
                if duration.as_millis() == 0 {
                    let reason = "Envoy keeps keys for a time above zero";
                    draft.unsupported(field.at("/remote/cacheDuration"), reason, &["1s"]);
                    return None;
                }
                remote["cacheDuration"] = duration.to_string().into();
                leaves.push((field.at("/remote/cacheDuration"), "remoteJWKS/cacheDuration"));
            }
            Some(("remoteJWKS", remote, leaves))
        }
    }
}

/// The Service of a key server in the cluster; `Some(None)` for one outside, which Envoy Gateway finds by its name and
/// verifies with the system's authorities (CRD, `remoteJWKS.uri`). `None` after a refusal.
fn key_server(
    job: Job<'_>,
    scope: &RouteScope<'_>,
    url: &HttpsUrl,
    field: &FieldRef,
    draft: &mut Draft,
) -> Option<Option<Value>> {
    if url.as_str().len() > MAX_TEXT {
        draft.unsupported(field.clone(), "Envoy Gateway takes a URL of 253 characters at most", &["jwks.configMap"]);
        return None;
    }
    let Some(server) = url.server() else {
        draft.unsupported(field.clone(), "the port of the URL is not a port", &["a port from 1 to 65535"]);
        return None;
    };
    match (server.service(), server.https) {
        (Some((service, namespace)), false) => {
            let reference =
                ServiceReference { from: scope.route.namespace.as_str(), service, namespace, port: server.port };
            reference.resolve(job, PolicyKind::Jwt, field, &mut draft.mapping).map(Some)
        }
        (Some(_), true) => {
            // A BackendTLSPolicy for the Service would hold for all routes to it, which reaches further than this policy.
            let reason = "TLS to a Service of the cluster would be configured for all routes to it";
            draft.unsupported(field.clone(), reason, &["http inside the cluster", "jwks.configMap"]);
            None
        }
        (None, false) => {
            draft.unsupported(field.clone(), "keys from outside the cluster would come unprotected", &["https"]);
            None
        }
        (None, true) => Some(None),
    }
}

/// Envoy Gateway always passes the token on; the standard filter takes it away, after the token and its claims were looked
/// at, since Envoy changes request headers of a route last. A rule may have one such filter. `false` after a refusal.
fn remove_token(scope: &RouteScope<'_>, field: &FieldRef, draft: &mut Draft) -> bool {
    let changed = scope
        .rules
        .iter()
        .any(|rule| rule.policies.header_modification().is_some_and(|changes| !changes.value.request.is_empty()));
    if changed {
        draft.unsupported(
            field.child("forwardToken"),
            "Envoy Gateway passes the token on unless the header filter of the rule removes it, and headerModification has \
             that filter",
            &["forwardToken true, with authorization in headerModification.request.remove", "module kgateway"],
        );
        return false;
    }
    let filter = json!({ "type": "RequestHeaderModifier", "requestHeaderModifier": { "remove": ["Authorization"] } });
    let index = draft.mapping.edit(RouteEdit::Filter { kind: PolicyKind::Jwt, filter });
    let citation = Citation::Edit { index, pointer: "/requestHeaderModifier/remove".to_owned() };
    draft.mapping.exact(field.child("forwardToken"), [citation]);
    true
}
