//! Forms of a kind that only some gateways have, each with the capability that promises it.

use gateway_modules_core::intent::policies::PolicyKind::{
    self, AccessLog, ApiKey, BackendTls, CircuitBreaking, Compression, Cors, ExternalAuthorization, FaultInjection,
    HeaderModification, IpAccess, Jwt, LoadBalancing, Mirror, RateLimitGlobal, RateLimitLocal, Redirect, Retry,
    SessionAffinity, Timeout, UrlRewrite,
};

use super::{Documents, Sample};

/// Kind, form, capability, policies.
const FORMS: &[(PolicyKind, &str, &str, &str)] = &[
    (HeaderModification, "request", "HTTPRoute", "headerModification: { request: { set: [{ name: X-A, value: b }] } }"),
    (
        HeaderModification,
        "response",
        "HTTPRouteResponseHeaderModification",
        "headerModification: { response: { set: [{ name: X-A, value: b }], add: [{ name: X-B, value: c }] } }",
    ),
    (UrlRewrite, "host", "HTTPRouteHostRewrite", "urlRewrite: { hostname: old.example.com }"),
    (UrlRewrite, "full-path", "HTTPRoutePathRewrite", "urlRewrite: { path: { replaceFullPath: /index } }"),
    (
        UrlRewrite,
        "regex",
        "policy/url-rewrite/regex",
        r#"urlRewrite: { path: { regex: { pattern: "^/v1/(.*)$", substitution: '/\1' } } }"#,
    ),
    (Redirect, "host", "HTTPRoute", "redirect: { hostname: www.example.com, statusCode: 301 }"),
    (Redirect, "path", "HTTPRoutePathRedirect", "redirect: { path: { replaceFullPath: /new }, statusCode: 302 }"),
    (Redirect, "port", "HTTPRoutePortRedirect", "redirect: { port: 8443, statusCode: 302 }"),
    (Redirect, "307", "HTTPRoute307RedirectStatusCode", "redirect: { hostname: www.example.com, statusCode: 307 }"),
    (Redirect, "308", "HTTPRoute308RedirectStatusCode", "redirect: { hostname: www.example.com, statusCode: 308 }"),
    (
        Mirror,
        "share",
        "HTTPRouteRequestPercentageMirror",
        "mirror: { backends: [{ service: shadow, port: 8080, percent: 10 }] }",
    ),
    (
        Mirror,
        "several",
        "HTTPRouteRequestMultipleMirrors",
        "mirror: { backends: [{ service: shadow, port: 8080 }, { service: archive, port: 9090 }] }",
    ),
    (
        Cors,
        "credentials",
        "HTTPRouteCORS",
        "cors: { allowOrigins: [\"https://*.example.com\"], allowCredentials: true, exposeHeaders: [X-A] }",
    ),
    (Compression, "brotli", "policy/compression/brotli", "compression: { algorithms: [Brotli] }"),
    (Compression, "zstd", "policy/compression/zstd", "compression: { algorithms: [Zstd] }"),
    (Timeout, "request", "HTTPRouteRequestTimeout", "timeouts: { request: 30s }"),
    (Timeout, "backend", "HTTPRouteBackendTimeout", "timeouts: { backendRequest: 10s }"),
    (Retry, "backoff", "policy/retry/backoff", "retry: { attempts: 2, backoff: 100ms, codes: [503] }"),
    (Retry, "connection-errors", "policy/retry/connection-errors", "retry: { attempts: 2 }"),
    (CircuitBreaking, "retries", "policy/circuit-breaking/max-retries", "circuitBreaking: { maxRetries: 3 }"),
    (
        LoadBalancing,
        "round-robin",
        "policy/load-balancing/round-robin",
        "loadBalancing: { algorithm: { roundRobin: {} } }",
    ),
    (LoadBalancing, "random", "policy/load-balancing/random", "loadBalancing: { algorithm: { random: {} } }"),
    (
        LoadBalancing,
        "hash-header",
        "policy/load-balancing/hash/header",
        "loadBalancing: { algorithm: { consistentHash: { header: X-User } } }",
    ),
    (
        LoadBalancing,
        "hash-cookie",
        "policy/load-balancing/hash/cookie",
        "loadBalancing: { algorithm: { consistentHash: { cookie: user } } }",
    ),
    (
        LoadBalancing,
        "hash-client-ip",
        "policy/load-balancing/hash/client-ip",
        "loadBalancing: { algorithm: { consistentHash: { clientIp: {} } } }",
    ),
    (
        SessionAffinity,
        "cookie-ttl",
        "policy/session-affinity/cookie",
        "sessionAffinity: { cookie: { name: session, ttl: 1h } }",
    ),
    (SessionAffinity, "client-ip", "policy/session-affinity/client-ip", "sessionAffinity: { clientIp: {} }"),
    (SessionAffinity, "header", "policy/session-affinity/header", "sessionAffinity: { header: { name: X-Session } }"),
    (
        FaultInjection,
        "delay",
        "policy/fault-injection/delay",
        "faultInjection: { delay: { duration: 100ms, percent: 50 } }",
    ),
    (FaultInjection, "abort", "policy/fault-injection/abort", "faultInjection: { abort: { status: 500 } }"),
    (RateLimitLocal, "burst", "policy/rate-limit-local/burst", "rateLimit: { requests: 100, per: 1s, burst: 150 }"),
    (
        RateLimitLocal,
        "client-ip",
        "policy/rate-limit-local/key/client-ip",
        "rateLimit: { requests: 100, per: 1m, key: { clientIp: {} } }",
    ),
    (
        RateLimitLocal,
        "header",
        "policy/rate-limit-local/key/header",
        "rateLimit: { requests: 100, per: 1m, key: { header: X-Tenant } }",
    ),
    (
        RateLimitGlobal,
        "client-ip",
        "policy/rate-limit-global/key/client-ip",
        "rateLimitGlobal: { requests: 9, per: 1s, key: { clientIp: {} }, service: { envoy: { service: rl, port: 81, domain: d } } }",
    ),
    (
        RateLimitGlobal,
        "fail-open",
        "policy/rate-limit-global/fail-open",
        "rateLimitGlobal: { requests: 9, per: 1h, failOpen: true, service: { envoy: { service: rl, port: 81, domain: d } } }",
    ),
    (
        Jwt,
        "claims-to-headers",
        "policy/jwt/claims-to-headers",
        "jwt: { issuer: i, jwks: { remote: { url: \"https://keys.example.com/jwks\" } }, claimsToHeaders: [{ claim: sub, header: X-User }], forwardToken: true }",
    ),
    (Jwt, "config-map", "policy/jwt/jwks/config-map", "jwt: { issuer: i, jwks: { configMap: { name: keys } } }"),
    (
        ApiKey,
        "query-parameter",
        "policy/api-key/location/query-parameter",
        "apiKey: { location: { queryParameter: key }, credentials: { name: clients } }",
    ),
    (
        ApiKey,
        "cookie",
        "policy/api-key/location/cookie",
        "apiKey: { location: { cookie: key }, credentials: { name: clients } }",
    ),
    (
        ApiKey,
        "forward",
        "policy/api-key/forward-key",
        "apiKey: { location: { header: X-Api-Key }, credentials: { name: clients }, forwardKey: true }",
    ),
    (
        ExternalAuthorization,
        "grpc",
        "policy/external-authorization/grpc",
        "externalAuthorization: { protocol: GRPC, service: authz, port: 9000 }",
    ),
    (
        ExternalAuthorization,
        "body",
        "policy/external-authorization/body",
        "externalAuthorization: { protocol: HTTP, service: authz, port: 9000, bodyMaxSize: 8Ki }",
    ),
    (IpAccess, "deny", "policy/ip-access/deny", "ipAccess: { deny: [10.1.0.0/16] }"),
    (
        BackendTls,
        "names",
        "BackendTLSPolicySANValidation",
        "backendTls: { hostname: backend.example.com, trust: { configMaps: [ca] }, subjectAltNames: [{ hostname: b.example.com }] }",
    ),
    (
        AccessLog,
        "json",
        "policy/access-log/fields",
        "accessLog: { format: { json: { fields: { status: '%RESPONSE_CODE%' } } } }",
    ),
];

pub(super) fn forms() -> Vec<Sample> {
    let common = super::common();
    FORMS
        .iter()
        .filter_map(|(kind, form, needs, policies)| {
            let base = common.iter().find(|sample| sample.kind == *kind)?;
            let plane = base.documents.plane()["metadata"]["name"].as_str()?.to_owned();
            let text = format!(
                "apiVersion: gatewaymodules.dev/v1alpha1\nkind: Component\nmetadata: {{ name: {kind}-form, namespace: shop }}\n\
                 spec:\n  dataPlanes: {{ names: [{plane}] }}\n  endpoints:\n    - name: api\n      type: HTTP\n      port: 8080\n      \
                 visibilities: [external]\n      policies: {{ {policies} }}\n"
            );
            Some(Sample { kind: *kind, form, needs: Some(needs), documents: super::policies::documents(&text) })
        })
        .collect()
}

/// The documents of an endpoint with these policies, on the plane of the sample of a kind; for tests of expected objects.
pub fn with_policies(kind: PolicyKind, policies: &serde_json::Value) -> Option<Documents> {
    let base = super::common().into_iter().find(|sample| sample.kind == kind)?;
    let mut documents = base.documents;
    documents
        .component_mut()
        .pointer_mut("/spec/endpoints/0")?
        .as_object_mut()?
        .insert("policies".to_owned(), policies.clone());
    Some(documents)
}
