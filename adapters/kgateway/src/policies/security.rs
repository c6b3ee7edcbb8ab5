//! Security policies: every one of them whole, or refused.

use gateway_modules_core::{
    intent::{
        FieldRef, Listener, ListenerProtocol, TlsMode,
        policies::{ApiKeyLocation, ExternalAuthorizationProtocol, Jwks, PolicyKind},
    },
    module::{DerivedSecret, Difference, GatewayScope, RouteScope, SecretTransform},
    types::HttpsUrl,
};
use serde_json::{Value, json};

use super::{
    Draft, Job,
    cel::{self, CelError},
    reference::ServiceReference,
};
use crate::resources::{
    BACKEND, BACKEND_TLS_POLICY, GATEWAY_EXTENSION, GROUP, ListenerConfig, ListenerPolicySpec, TrafficPolicySpec,
    object,
};

pub(crate) fn route(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    jwt(job, scope, draft);
    api_key(job, draft);
    basic_auth(job, scope, draft);
    external_authorization(job, scope, draft);
    claims_authorization(job, draft);
    ip_access(job, draft);
}

pub(crate) fn gateway(job: Job<'_>, scope: &GatewayScope<'_>, draft: &mut Draft<ListenerPolicySpec>) {
    client_certificate(job, scope, draft);
}

fn jwt(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::Jwt;
    let Some(policy) = job.target.policies.jwt().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    // Envoy routes a request again after it has set claim headers; a rule that matches on one would then serve a request
    // whose policies another rule has checked.
    let rerouted = value.claims_to_headers.iter().find(|claim| {
        scope
            .route
            .rules
            .iter()
            .flat_map(|rule| &rule.matches)
            .flat_map(|(matched, _)| &matched.headers)
            .any(|header| header.name.as_str().eq_ignore_ascii_case(claim.header.as_str()))
    });
    if let Some(claim) = rerouted {
        draft.unsupported(
            field.child("claimsToHeaders"),
            format!(
                "a rule of this endpoint matches on header {}, and kgateway routes again after setting it",
                claim.header
            ),
            &["a header that no rule matches on"],
        );
        return;
    }
    let Some(jwks) = jwks(job, scope, &value.jwks, &field.child("jwks"), draft) else { return };
    let mut provider = json!({
        "name": "issuer",
        "issuer": value.issuer.as_str(),
        "jwks": jwks,
        "forwardToken": value.forward_token,
    });
    if !value.audiences.is_empty() {
        provider["audiences"] = json!(value.audiences);
    }
    if !value.claims_to_headers.is_empty() {
        provider["claimsToHeaders"] = value
            .claims_to_headers
            .iter()
            .map(|claim| json!({ "name": claim.claim.as_str(), "header": claim.header.as_str() }))
            .collect();
    }
    let name = job.name(&["jwt"]);
    // `Strict` refuses a request without a token; it is the default, and security does not rest on defaults.
    let spec = json!({ "type": "JWT", "jwt": { "validationMode": "Strict", "providers": [provider] } });
    let extension = object(&GATEWAY_EXTENSION, &scope.route.namespace, &name, &spec);
    let extension = draft.mapping.object(extension, vec![kind]);
    draft.spec.jwt_auth = Some(json!({ "extensionRef": { "name": name } }));
    draft.holds_security(kind);

    let at = |pointer: &str| extension.at(format!("/spec/jwt/providers/0/{pointer}"));
    draft.exact_in(field.child("issuer"), at("issuer"));
    draft.exact_in(field.child("forwardToken"), at("forwardToken"));
    if !value.audiences.is_empty() {
        draft.approximate_in(field.child("audiences"), Difference::foreign_audience_403(), at("audiences"));
    }
    if !value.claims_to_headers.is_empty() {
        draft.exact_in(field.child("claimsToHeaders"), at("claimsToHeaders"));
    }
    match &value.jwks {
        Jwks::Remote { cache_duration, .. } => {
            draft.exact_in(field.at("/jwks/remote/url"), at("jwks/remote/url"));
            if cache_duration.is_some() {
                draft.exact_in(field.at("/jwks/remote/cacheDuration"), at("jwks/remote/cacheDuration"));
            }
        }
        Jwks::ConfigMap { .. } => draft.exact_in(field.at("/jwks/configMap/name"), at("jwks/local/configMapRef/name")),
    }
}

/// `providers[].jwks`; `None` after a refusal.
fn jwks(
    job: Job<'_>,
    scope: &RouteScope<'_>,
    jwks: &Jwks,
    field: &FieldRef,
    draft: &mut Draft<TrafficPolicySpec>,
) -> Option<Value> {
    match jwks {
        Jwks::ConfigMap { name } => Some(json!({ "local": { "configMapRef": { "name": name.as_str() } } })),
        Jwks::Remote { url, cache_duration } => {
            let backend = key_server(job, scope, url, &field.at("/remote/url"), draft)?;
            let mut remote = json!({ "url": url.as_str(), "backendRef": backend });
            if let Some(duration) = cache_duration {
                if duration.as_millis() == 0 {
                    let reason = "kgateway keeps keys for 1ms or longer";
                    draft.unsupported(field.at("/remote/cacheDuration"), reason, &["1s"]);
                    return None;
                }
                remote["cacheDuration"] = duration.to_string().into();
            }
            Some(json!({ "remote": remote }))
        }
    }
}

/// The `backendRef` of a key server: kgateway asks for one besides the URL.
fn key_server(
    job: Job<'_>,
    scope: &RouteScope<'_>,
    url: &HttpsUrl,
    field: &FieldRef,
    draft: &mut Draft<TrafficPolicySpec>,
) -> Option<Value> {
    let own = scope.route.namespace.as_str();
    let Some(server) = url.server() else {
        draft.unsupported(field.clone(), "the port of the URL is not a port", &["a port from 1 to 65535"]);
        return None;
    };
    match (server.service(), server.https) {
        (Some((service, namespace)), false) => {
            let reference = ServiceReference {
                from: &GATEWAY_EXTENSION,
                from_namespace: own,
                service,
                namespace,
                port: server.port,
            };
            reference.resolve(job, PolicyKind::Jwt, field, &mut draft.mapping)
        }
        (Some(_), true) => {
            // A BackendTLSPolicy for the Service would hold for all routes to it, which reaches further than this policy.
            draft.unsupported(
                field.clone(),
                "TLS to a Service of the cluster would be configured for all routes to it",
                &["http inside the cluster", "jwks.configMap"],
            );
            None
        }
        (None, false) => {
            draft.unsupported(field.clone(), "keys from outside the cluster would come unprotected", &["https"]);
            None
        }
        (None, true) => {
            let name = job.name(&["jwks"]);
            let hosts = json!([{ "host": server.host, "port": server.port }]);
            let backend = json!({ "type": "Static", "static": { "hosts": hosts } });
            draft.mapping.object(object(&BACKEND, own, &name, &backend), vec![PolicyKind::Jwt]);
            let tls = json!({
                "targetRefs": [{ "group": GROUP, "kind": "Backend", "name": name }],
                "validation": { "hostname": server.host, "wellKnownCACertificates": "System" },
            });
            // Of no kind: no route goes to this Backend, so the policy may never get an ancestor, and a route that waited for
            // one would stay closed. Without its TLS no keys come, and every token is refused.
            draft.mapping.object(object(&BACKEND_TLS_POLICY, own, &name, &tls), Vec::new());
            Some(json!({ "group": GROUP, "kind": "Backend", "name": name }))
        }
    }
}

fn api_key(job: Job<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::ApiKey;
    let Some(policy) = job.target.policies.api_key().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let source = match &value.location {
        ApiKeyLocation::Header(name) => json!({ "header": name.as_str() }),
        ApiKeyLocation::QueryParameter(name) => json!({ "query": name.as_str() }),
        ApiKeyLocation::Cookie(name) => json!({ "cookie": name.as_str() }),
    };
    // The neutral form of the Secret (client: key) is kgateway's own.
    draft.spec.api_key_auth = Some(json!({
        "keySources": [source],
        "secretRef": { "name": value.credentials.name.as_str() },
        "forwardCredential": value.forward_key,
    }));
    draft.holds_security(kind);
    draft.exact(field.child("location"), &["/apiKeyAuth/keySources/0"]);
    draft.exact(field.at("/credentials/name"), &["/apiKeyAuth/secretRef/name"]);
    draft.exact(field.child("forwardKey"), &["/apiKeyAuth/forwardCredential"]);
}

fn basic_auth(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::BasicAuth;
    let Some(policy) = job.target.policies.basic_auth().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let source = value.credentials.name.as_str();
    let name = job.name(&["htpasswd", source]);
    let key = ".htpasswd".to_owned();
    // kgateway reads htpasswd lines with SHA-1 only (`trafficpolicy/basic_auth_policy.go`).
    draft.mapping.derived_secrets.push(DerivedSecret {
        namespace: scope.route.namespace.clone(),
        source: source.to_owned(),
        name: name.clone(),
        transform: SecretTransform::HtpasswdSha1 { key: key.clone() },
        labels: std::collections::BTreeMap::new(),
        secret_type: None,
        field: field.at("/credentials/name"),
    });
    draft.spec.basic_auth = Some(json!({ "secretRef": { "name": name, "key": key } }));
    draft.holds_security(kind);
    draft.exact(field.at("/credentials/name"), &["/basicAuth/secretRef/name"]);
    if value.realm.is_some() {
        let reason = "kgateway has no setting for the realm";
        draft.unsupported(field.child("realm"), reason, &["no realm", "module traefik or nginx-gateway-fabric"]);
    }
}

fn external_authorization(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::ExternalAuthorization;
    let Some(policy) = job.target.policies.external_authorization().filter(|_| job.target.must_map(kind)) else {
        return;
    };
    let (field, value) = (policy.field, policy.value);
    let own = scope.route.namespace.as_str();
    let reference = ServiceReference {
        from: &GATEWAY_EXTENSION,
        from_namespace: own,
        service: value.service.as_str(),
        namespace: value.namespace.as_ref().map_or(own, |namespace| namespace.as_str()),
        port: value.port.get(),
    };
    let Some(backend) = reference.resolve(job, kind, &field.child("service"), &mut draft.mapping) else { return };
    let http = value.protocol == ExternalAuthorizationProtocol::Http;
    let service = if http { "httpService" } else { "grpcService" };
    let mut settings = json!({ "backendRef": backend });
    let mut cite = vec![
        ("protocol", String::new()),
        ("service", format!("/{service}/backendRef/name")),
        ("port", format!("/{service}/backendRef/port")),
    ];
    if value.namespace.is_some() {
        cite.push(("namespace", format!("/{service}/backendRef")));
    }
    if let Some(prefix) = &value.path_prefix {
        if http {
            settings["pathPrefix"] = prefix.as_str().into();
            cite.push(("pathPrefix", format!("/{service}/pathPrefix")));
        } else {
            draft.unsupported(field.child("pathPrefix"), "a gRPC service is asked at no path", &["protocol HTTP"]);
        }
    }
    if !value.backend_headers.is_empty() {
        if http {
            settings["authorizationResponse"] = json!({ "headersToBackend": value.backend_headers });
            cite.push(("backendHeaders", format!("/{service}/authorizationResponse/headersToBackend")));
        } else {
            let reason = "a gRPC service chooses the headers for the backend in its answer";
            draft.unsupported(field.child("backendHeaders"), reason, &["no backendHeaders"]);
        }
    }
    // failOpen and the status are the defaults, and security does not rest on defaults.
    let mut spec = json!({ "failOpen": false, "statusOnError": 403, service: settings });
    let mut headers: Vec<&str> =
        value.allowed_headers.iter().map(gateway_modules_core::types::HeaderName::as_str).collect();
    if !http {
        // Without a list a gRPC service would see all headers, also those that the intent does not name.
        headers.insert(0, "authorization");
    }
    if !headers.is_empty() {
        spec["headersToForward"] = json!(headers);
    }
    if !value.allowed_headers.is_empty() {
        cite.push(("allowedHeaders", "/headersToForward".to_owned()));
    }
    if let Some(size) = value.body_max_size {
        match i32::try_from(size.as_bytes()).ok().filter(|bytes| *bytes > 0) {
            Some(bytes) => {
                // A longer body is cut (GEP-1494, forwardBody.maxSize), not refused.
                spec["withRequestBody"] = json!({ "maxRequestBytes": bytes, "allowPartialMessage": true });
                cite.push(("bodyMaxSize", "/withRequestBody/maxRequestBytes".to_owned()));
            }
            None => draft.unsupported(field.child("bodyMaxSize"), "kgateway takes 1 to 2147483647 bytes", &["1Gi"]),
        }
    }
    let name = job.name(&["ext-auth"]);
    let extension = json!({ "type": "ExtAuth", "extAuth": spec });
    let extension = draft.mapping.object(object(&GATEWAY_EXTENSION, own, &name, &extension), vec![kind]);
    draft.spec.ext_auth = Some(json!({ "extensionRef": { "name": name } }));
    draft.holds_security(kind);
    for (child, pointer) in cite {
        draft.exact_in(field.child(child), extension.at(format!("/spec/extAuth{pointer}")));
    }
}

fn claims_authorization(job: Job<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::ClaimsAuthorization;
    let Some(policy) = job.target.policies.claims_authorization().filter(|_| job.target.must_map(kind)) else {
        return;
    };
    let field = policy.field.child("require");
    if job.target.policies.jwt().is_none() {
        draft.unsupported(field, "no jwt verifies the token whose claims are asked for", &["jwt on the same endpoint"]);
        return;
    }
    match cel::all_hold(&policy.value.require) {
        Ok(expression) => {
            draft.spec.rbac = Some(json!({ "action": "Allow", "policy": { "matchExpressions": [expression] } }));
            draft.holds_security(kind);
            draft.exact(field, &["/rbac/policy/matchExpressions/0"]);
        }
        Err(CelError::Literal(index)) => {
            let reason = "a quote or backslash cannot stand in kgateway's expressions";
            draft.unsupported(field.child(index), reason, &["claims and values without quotes and backslashes"]);
        }
        Err(CelError::TooLong) => {
            let reason = "kgateway takes an expression of 16384 characters at most";
            draft.unsupported(field, reason, &["fewer values", "externalAuthorization"]);
        }
    }
}

/// kgateway lets the longest prefix win, and the policy says that deny wins: the two agree unless an allowed block lies in a
/// denied one, and that block can admit no one.
fn ip_access(job: Job<'_>, draft: &mut Draft<TrafficPolicySpec>) {
    let kind = PolicyKind::IpAccess;
    let Some(policy) = job.target.policies.ip_access().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    let mut contradictory = false;
    for (index, allowed) in value.allow.iter().enumerate() {
        if let Some(denied) = value.deny.iter().find(|denied| denied.contains(&allowed.trunc())) {
            contradictory = true;
            draft.unsupported(
                field.child("allow").child(index),
                format!("deny {denied} covers it and wins, while kgateway would admit it as the longer prefix"),
                &["no such entry in allow", "a smaller block in deny"],
            );
        }
    }
    if contradictory {
        return;
    }
    let mut rules = Vec::new();
    for (list, action, blocks) in [("allow", "allow", &value.allow), ("deny", "deny", &value.deny)] {
        if !blocks.is_empty() {
            // kgateway refuses blocks with bits below the mask (`trafficpolicy/http_acl_plugin.go`).
            let cidrs: Vec<String> = blocks.iter().map(|block| block.trunc().to_string()).collect();
            draft.exact(field.child(list), &[&format!("/acl/rules/{}/cidrs", rules.len())]);
            rules.push(json!({ "action": action, "cidrs": cidrs }));
        }
    }
    let default_action = if value.allow.is_empty() { "allow" } else { "deny" };
    let mut spec = json!({ "defaultAction": default_action, "denyResponse": { "statusCode": 403 } });
    if rules.is_empty() {
        draft.exact(field.clone(), &["/acl/defaultAction"]);
    } else {
        spec["rules"] = Value::Array(rules);
    }
    draft.spec.acl = Some(spec);
    draft.holds_security(kind);
}

/// By `ListenerPolicy` and not by the standard `spec.tls.frontend`, which is a field of the Gateway that a policy of an
/// endpoint would have to change.
fn client_certificate(job: Job<'_>, scope: &GatewayScope<'_>, draft: &mut Draft<ListenerPolicySpec>) {
    let kind = PolicyKind::ClientCertificate;
    let Some(policy) = job.target.policies.client_certificate().filter(|_| job.target.must_map(kind)) else { return };
    let listeners = scope
        .gateway
        .listeners
        .iter()
        .filter(|listener| scope.listener.as_ref().is_none_or(|name| name == listener.name.as_str()));
    for listener in listeners {
        if !terminates_tls(listener) {
            draft.unsupported(
                policy.field.clone(),
                format!(
                    "listener {} of the Gateway takes requests without TLS, and so without a certificate",
                    listener.name
                ),
                &["only HTTPS listeners in this visibility", "redirectTo on the HTTP listener"],
            );
            return;
        }
    }
    let references: Value = policy
        .value
        .ca_certificates
        .iter()
        .map(|name| json!({ "group": "", "kind": "ConfigMap", "name": name.as_str() }))
        .collect();
    let listener = draft.spec.default.get_or_insert_with(ListenerConfig::default);
    listener.client_certificate_validation = Some(json!({ "mode": "Require", "caCertificateRefs": references }));
    // ListenerPolicy has the same `status.ancestors[]` (CRD), and the routes stay closed until it is there.
    draft.holds_security(kind);
    draft.exact(policy.field.child("caCertificates"), &["/default/clientCertificateValidation/caCertificateRefs"]);
}

/// Whether a request on this listener has shown its certificate before it reaches an endpoint.
fn terminates_tls(listener: &Listener) -> bool {
    match listener.protocol {
        ListenerProtocol::Https => true,
        ListenerProtocol::Tls => listener.tls.as_ref().is_some_and(|tls| tls.mode == TlsMode::Terminate),
        // Such a listener carries no endpoint.
        ListenerProtocol::Http => listener.redirect_to.is_some(),
        ListenerProtocol::Tcp | ListenerProtocol::Udp => false,
    }
}
