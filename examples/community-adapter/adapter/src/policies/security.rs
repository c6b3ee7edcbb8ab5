//! `SecurityPolicy`: every security policy whole, or refused.

use std::collections::BTreeMap;

use gateway_modules_core::{
    intent::policies::{ApiKeyLocation, PolicyKind},
    module::{DerivedSecret, RouteScope, SecretTransform},
};
use serde_json::json;

use super::{Draft, Job, authorization, external_authorization, jwt};

pub(crate) fn route(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    jwt::route(job, scope, draft);
    api_key(job, draft);
    basic_auth(job, scope, draft);
    external_authorization::route(job, scope, draft);
    authorization::route(job, draft);
    cors(job, draft);
}

fn api_key(job: Job<'_>, draft: &mut Draft) {
    let kind = PolicyKind::ApiKey;
    let Some(policy) = job.target.policies.api_key().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let from = match &value.location {
        ApiKeyLocation::Header(name) => json!({ "headers": [name.as_str()] }),
        ApiKeyLocation::QueryParameter(name) => json!({ "params": [name.as_str()] }),
        ApiKeyLocation::Cookie(name) => json!({ "cookies": [name.as_str()] }),
    };
    // The neutral form of the Secret (client: key) is the one that `credentialRefs` describes.
    let spec = json!({
        "credentialRefs": [{ "name": value.credentials.name.as_str() }],
        "extractFrom": [from],
        "sanitize": !value.forward_key,
    });
    draft.hold_security(kind, "apiKeyAuth", spec);
    draft.exact(field.child("location"), &["/apiKeyAuth/extractFrom/0"]);
    draft.exact(field.at("/credentials/name"), &["/apiKeyAuth/credentialRefs/0/name"]);
    draft.exact(field.child("forwardKey"), &["/apiKeyAuth/sanitize"]);
}

fn basic_auth(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    let kind = PolicyKind::BasicAuth;
    let Some(policy) = job.target.policies.basic_auth().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let source = field.at("/credentials/name");
    let name = job.name(&["htpasswd"]);
    // "key .htpasswd … only SHA hash algorithm is supported" (CRD, basicAuth.users). Core makes the Secret at apply.
    draft.mapping.derived_secrets.push(DerivedSecret {
        namespace: scope.route.namespace.clone(),
        source: value.credentials.name.as_str().to_owned(),
        name: name.clone(),
        transform: SecretTransform::HtpasswdSha1 { key: ".htpasswd".to_owned() },
        labels: BTreeMap::new(),
        secret_type: None,
        field: source.clone(),
    });
    draft.hold_security(kind, "basicAuth", json!({ "users": { "name": name } }));
    draft.exact(source, &["/basicAuth/users/name"]);
    if value.realm.is_some() {
        let reason = "SecurityPolicy has no field for the realm";
        draft.unsupported(field.child("realm"), reason, &["no realm", "module traefik or nginx-gateway-fabric"]);
    }
}

/// Core realises CORS by the standard filter; this is for routes where it cannot (`GRPCRoute` has no such filter).
fn cors(job: Job<'_>, draft: &mut Draft) {
    let kind = PolicyKind::Cors;
    let Some(policy) = job.target.policies.cors().filter(|_| job.target.must_map(kind)) else { return };
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
        spec["maxAge"] = age.to_string().into();
        draft.exact(field.child("maxAge"), &["/cors/maxAge"]);
    }
    draft.hold(kind, "cors", spec);
}
