//! Security policies.

use gateway_modules_core::{
    intent::policies::PolicyKind,
    module::{DerivedSecret, Enforcement, Mapping, RouteEdit, RouteScope, SecretTransform},
};
use serde_json::json;

use super::Job;
use crate::{
    nginx,
    resources::{AUTHENTICATION_FILTER, GROUP, object},
};

/// What is shown where the intent names no realm; `spec.basic.realm` is required.
const REALM: &str = "Restricted";
/// Type and key of the Secret (`graph/shared/secrets/secrets.go`: `SecretTypeHtpasswd`, `AuthKey`).
const SECRET_TYPE: &str = "nginx.org/htpasswd";
const SECRET_KEY: &str = "auth";

pub(crate) fn basic_auth(job: Job<'_>, route: &RouteScope<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::BasicAuth;
    let Some(policy) = job.target.policies.basic_auth().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let realm = value.realm.as_ref().map(gateway_modules_core::types::Token::as_str);
    // Also stands in a header of the answer, where a semicolon or a brace would end it in NGINX's configuration.
    if let Some(found) = realm.and_then(nginx::unsafe_in_quotes) {
        let reason = format!("{found:?} in a realm is part of NGINX's own language");
        mapping.unsupported(field.child("realm"), reason, &["a realm without $, quotes and backslashes"]);
        return;
    }
    let source = value.credentials.name.as_str();
    let secret = job.name(&["htpasswd", source]);
    let namespace = route.route.namespace.as_str();
    // NGINX reads {SHA} (`ngx_http_auth_basic_module`, `auth_basic_user_file`).
    mapping.derived_secrets.push(DerivedSecret {
        namespace: namespace.to_owned(),
        source: source.to_owned(),
        name: secret.clone(),
        transform: SecretTransform::HtpasswdSha1 { key: SECRET_KEY.to_owned() },
        labels: std::collections::BTreeMap::new(),
        secret_type: Some(SECRET_TYPE.to_owned()),
        field: field.at("/credentials/name"),
    });
    let name = job.name(&["basic-auth"]);
    let spec = json!({
        "type": "Basic",
        "basic": { "secretRef": { "name": secret }, "realm": realm.unwrap_or(REALM) },
    });
    let filter = mapping.object(object(&AUTHENTICATION_FILTER, namespace, &name, spec), vec![kind]);
    mapping.edit(RouteEdit::Filter {
        kind,
        filter: json!({
            "type": "ExtensionRef",
            "extensionRef": { "group": GROUP, "kind": "AuthenticationFilter", "name": name },
        }),
    });
    mapping.exact(field.at("/credentials/name"), [filter.at("/spec/basic/secretRef/name")]);
    if realm.is_some() {
        mapping.exact(field.child("realm"), [filter.at("/spec/basic/realm")]);
    }
    mapping.enforce(
        kind,
        Enforcement::Referenced {
            evidence:
                "internal/controller/nginx/config/servers.go updateLocation: a filter that is missing or invalid (also \
                       for its Secret, graph/authentication_filter.go) makes the location return 500"
                    .to_owned(),
        },
    );
}
