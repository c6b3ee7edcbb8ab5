//! Security policies: every one of them whole, or refused.

use std::collections::BTreeMap;

use gateway_modules_core::{
    intent::policies::{ExternalAuthorizationProtocol, PolicyKind},
    module::{DerivedSecret, Difference, Requirement, SecretTransform},
    types::HeaderName,
};
use serde_json::json;

use super::Work;

/// `ipAllowList` has no list of the denied. The address is that of the connection: no `ipStrategy` is written, so that no
/// header of the client can choose it.
pub(super) fn ip_access(work: &mut Work<'_>) {
    let kind = PolicyKind::IpAccess;
    let target = work.target;
    let Some(policy) = target.policies.ip_access().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if !value.deny.is_empty() {
        let reason = "Traefik has allow lists only (Middleware .spec.ipAllowList)";
        let alternatives = ["allow with the blocks that may come in", "module kgateway, kong or istio"];
        work.unsupported(field.child("deny"), reason, &alternatives);
        return;
    }
    let everyone = value.allow.is_empty();
    let blocks: Vec<String> = if everyone {
        vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()]
    } else {
        value.allow.iter().map(|block| block.trunc().to_string()).collect()
    };
    // 403 is the default, and security does not rest on defaults.
    let spec = json!({ "ipAllowList": { "sourceRange": blocks, "rejectStatusCode": 403 } });
    let object = work.middleware(kind, "ip-access", spec);
    let field = if everyone { field.clone() } else { field.child("allow") };
    work.exact(field, object, "/ipAllowList/sourceRange");
}

pub(super) fn basic_auth(work: &mut Work<'_>) {
    let kind = PolicyKind::BasicAuth;
    let target = work.target;
    let Some(policy) = target.policies.basic_auth().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let source = value.credentials.name.as_str();
    let secret = work.name(&["htpasswd", source]);
    // The Secret must have one entry, with htpasswd lines (`kubernetes.go`, loadAuthCredentials).
    work.mapping.derived_secrets.push(DerivedSecret {
        namespace: work.namespace().to_owned(),
        source: source.to_owned(),
        name: secret.clone(),
        transform: SecretTransform::HtpasswdSha1 { key: "users".to_owned() },
        secret_type: None,
        labels: BTreeMap::new(),
        field: field.at("/credentials/name"),
    });
    let mut spec = json!({ "secret": secret });
    if let Some(realm) = &value.realm {
        spec["realm"] = realm.as_str().into();
    }
    let object = work.middleware(kind, "basic-auth", json!({ "basicAuth": spec }));
    work.exact(field.at("/credentials/name"), object, "/basicAuth/secret");
    if value.realm.is_some() {
        work.exact(field.child("realm"), object, "/basicAuth/realm");
    }
}

pub(super) fn external_authorization(work: &mut Work<'_>) {
    let kind = PolicyKind::ExternalAuthorization;
    let target = work.target;
    let Some(policy) = target.policies.external_authorization().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if value.protocol != ExternalAuthorizationProtocol::Http {
        let reason = "Traefik asks an authorization service by HTTP only (Middleware .spec.forwardAuth)";
        work.unsupported(field.clone(), reason, &["protocol HTTP", "module kgateway"]);
        return;
    }
    let namespace = value.namespace.as_ref().map(gateway_modules_core::types::DnsLabel::as_str);
    let Some(host) = work.address(field, value.service.as_str(), namespace, value.port.get()) else { return };
    let address = format!("http://{host}{}", value.path_prefix.as_ref().map_or("/", |path| path.as_str()));
    // Without a list the service would see all headers, also those that the intent does not name.
    let mut headers = vec!["Authorization"];
    let more = value.allowed_headers.iter().map(HeaderName::as_str);
    headers.extend(more.filter(|header| !header.eq_ignore_ascii_case("authorization")));
    let mut spec = json!({
        "address": address,
        "trustForwardHeader": false,
        "authRequestHeaders": headers,
    });
    if !value.backend_headers.is_empty() {
        spec["authResponseHeaders"] = json!(value.backend_headers);
    }
    let mut too_large = false;
    if let Some(size) = value.body_max_size {
        if let Some(bytes) = i64::try_from(size.as_bytes()).ok().filter(|bytes| *bytes > 0) {
            spec["forwardBody"] = true.into();
            spec["maxBodySize"] = bytes.into();
        } else {
            too_large = true;
            let reason = "Traefik takes 1 to 9223372036854775807 bytes";
            work.unsupported(field.child("bodyMaxSize"), reason, &["1Gi"]);
        }
    }
    let object = work.middleware(kind, "ext-auth", json!({ "forwardAuth": spec }));
    work.mapping.requires.push(Requirement {
        setting: format!("authorization service {address}"),
        value: "decides by X-Forwarded-Method, X-Forwarded-Proto, X-Forwarded-Host and X-Forwarded-Uri".to_owned(),
        reason: "Traefik asks it with GET at this one address, and tells method, host and path by these headers"
            .to_owned(),
    });
    for name in ["protocol", "service", "port"] {
        work.exact(field.child(name), object, "/forwardAuth/address");
    }
    if let Some(namespace) = namespace {
        work.exact(field.child("namespace"), object, "/forwardAuth/address");
        if let Some(place) = work.cx.plane.allowance(work.namespace(), namespace) {
            work.exact(place.clone(), object, "/forwardAuth/address");
        }
    }
    if value.path_prefix.is_some() {
        work.exact(field.child("pathPrefix"), object, "/forwardAuth/address");
    }
    if !value.allowed_headers.is_empty() {
        work.exact(field.child("allowedHeaders"), object, "/forwardAuth/authRequestHeaders");
    }
    if !value.backend_headers.is_empty() {
        work.exact(field.child("backendHeaders"), object, "/forwardAuth/authResponseHeaders");
    }
    if value.body_max_size.is_some() && !too_large {
        let difference = Difference {
            name: "external-authorization/longer-body-refused".to_owned(),
            text: "a request with a longer body is refused with 401 before the service is asked, instead of showing it the \
                   first part"
                .to_owned(),
            stricter: true,
        };
        work.approximate(field.child("bodyMaxSize"), difference, object, "/forwardAuth/maxBodySize");
    }
}
