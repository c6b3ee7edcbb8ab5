#![allow(clippy::panic, clippy::format_collect)]

use crate::intent::{codes, load::Loader};

const PLANE: &str = "apiVersion: gatewaymodules.dev/v1alpha1
kind: DataPlane
metadata: { name: main, labels: { tier: public } }
spec:
  allowedNamespaces: [shop]
  visibilities:
    external:
      listeners:
        - { name: http, protocol: HTTP, port: 80, redirectTo: https }
        - { name: https, protocol: HTTPS, port: 443, tls: { certificates: [{ name: cert }] } }
        - { name: tcp, protocol: TCP, port: 9000 }
    empty: { listeners: [{ name: udp-a, protocol: UDP, port: 1 }, { name: udp-b, protocol: UDP, port: 2 }] }
    theirs: { gatewayRef: { name: a, namespace: b } }
";

/// `code pointer` of what is found in a text, and the text for people.
fn found(texts: &[&str]) -> (Vec<String>, String) {
    let inputs = texts.iter().fold(Loader::new(), |loader, text| loader.text("in.yaml", text));
    let loaded = inputs.finish_unchecked().unwrap_or_else(|errors| panic!("{errors}"));
    let diagnostics = super::check(&loaded.intent);
    let codes = diagnostics.0.iter().map(|one| format!("{} {}", one.code, one.pointer)).collect();
    assert!(diagnostics.0.iter().all(|one| one.help.is_some() && codes::ALL.iter().any(|code| code.code == one.code)));
    (codes, diagnostics.to_string())
}

fn component(name: &str, spec: &str) -> String {
    let lines: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: gatewaymodules.dev/v1alpha1\nkind: Component\nmetadata: {{ name: {name}, namespace: shop }}\nspec:\n{lines}"
    )
}

/// A component with one endpoint in flow style.
fn endpoint(fields: &str) -> String {
    component("catalog", &format!("endpoints:\n  - {{ name: api, port: 80, {fields} }}"))
}

fn policies(policies: &str) -> String {
    endpoint(&format!("type: HTTP, visibilities: [external], policies: {{ {policies} }}"))
}

#[track_caller]
fn one(texts: &[&str], expected: &str, words: &str) {
    let (codes, text) = found(texts);
    assert_eq!(codes, [expected], "\n{text}");
    assert!(text.contains(words), "{text}");
}

const EP: &str = "/spec/endpoints/0";

#[test]
fn documents() {
    let a = endpoint("type: HTTP, visibilities: [external]");
    one(&[&a, &a], "GWM0201 /metadata/name", "first at in.yaml:3:19");
    let plane = PLANE.replace("name: main", "name: main, namespace: x");
    one(&[&plane], "GWM0202 /metadata/namespace", "cluster-scoped");
}

#[test]
fn what_is_to_be_installed_is_named() {
    let gateway =
        |fields: &str| PLANE.replace("spec:\n", &format!("spec:\n  gateway: {{ install: managed{fields} }}\n"));
    one(&[&gateway(", className: istio")], "GWM0225 /spec/gateway/install", "which gateway has the class `istio`");
    for good in ["", ", module: istio", ", module: istio, className: istio"] {
        assert!(found(&[&gateway(good)]).0.is_empty(), "{good}");
    }
}

#[test]
fn names_stand_once() {
    let twice = "endpoints:\n  - { name: a, type: HTTP, port: 1, visibilities: [external] }\n  - { name: a, type: HTTP, port: 1, visibilities: [internal] }";
    one(&[&component("c", twice)], "GWM0203 /spec/endpoints/1/name", "second time");
    let rules = endpoint("type: HTTP, visibilities: [external], rules: [{ name: a }, { name: a }]");
    one(&[&rules], &format!("GWM0203 {EP}/rules/1/name"), "rule `a`");
    one(
        &[&endpoint("type: HTTP, visibilities: [external, external]")],
        &format!("GWM0203 {EP}/visibilities/1"),
        "visibility",
    );
    one(
        &[&endpoint("type: HTTP, visibilities: [external], hostnames: [a.b, a.b]")],
        &format!("GWM0203 {EP}/hostnames/1"),
        "host",
    );
    let plane = PLANE.replace("name: tcp,", "name: http,");
    one(&[&plane], "GWM0203 /spec/visibilities/external/listeners/2/name", "listener `http`");
}

#[test]
fn data_planes_of_components() {
    let ep = "endpoints: [{ name: a, type: HTTP, port: 1, visibilities: [external] }]";
    let named = |name: &str| component("c", &format!("dataPlanes: {{ names: [{name}] }}\n{ep}"));
    one(&[PLANE, &named("mian")], "GWM0210 /spec/dataPlanes/names/0", "did you mean `main`?");
    assert!(found(&[&named("default")]).0.is_empty(), "the implicit plane has a name");
    one(&[&named("other")], "GWM0210 /spec/dataPlanes/names/0", "`default`");
    let labels = |label: &str| component("c", &format!("dataPlanes: {{ matchLabels: {{ tier: {label} }} }}\n{ep}"));
    assert!(found(&[PLANE, &labels("public")]).0.is_empty());
    one(&[PLANE, &labels("private")], "GWM0211 /spec/dataPlanes/matchLabels", "`main`");
    let second = PLANE.replace("name: main", "name: second");
    one(&[PLANE, &second, &component("c", ep)], "GWM0212 /spec", "`main`, `second`");
    let elsewhere = component("c", ep).replace("namespace: shop", "namespace: other");
    one(&[PLANE, &elsewhere], "GWM0218 /metadata/namespace", "`shop`");
    let target = component("c", &format!("target: {{ namespace: other }}\n{ep}"));
    one(&[PLANE, &target], "GWM0218 /spec/target/namespace", "target namespace");
}

#[test]
fn visibilities_and_listeners_of_endpoints() {
    let at = |rest: &str| endpoint(&format!("visibilities: {rest}"));
    one(&[PLANE, &at("[extern], type: HTTP")], &format!("GWM0213 {EP}/visibilities/0"), "did you mean `external`?");
    one(&[&at("[public], type: HTTP")], &format!("GWM0213 {EP}/visibilities/0"), "`external`, `internal`");
    one(&[PLANE, &at("[empty], type: HTTP")], &format!("GWM0216 {EP}/visibilities/0"), "no HTTP or HTTPS");
    one(&[PLANE, &at("[external], type: UDP")], &format!("GWM0216 {EP}/visibilities/0"), "no UDP listener");
    one(&[&at("[external], type: TCP")], &format!("GWM0216 {EP}/visibilities/0"), "no TCP listener");
    one(
        &[PLANE, &at("[external], type: TCP, listener: tpc")],
        &format!("GWM0215 {EP}/listener"),
        "did you mean `tcp`?",
    );
    one(&[PLANE, &at("[external], type: TCP, listener: https")], &format!("GWM0216 {EP}/listener"), "is HTTPS");
    one(&[PLANE, &at("[empty], type: UDP")], &format!("GWM0215 {EP}"), "`udp-a`, `udp-b`");
    for good in [
        "[external], type: TCP",
        "[empty], type: UDP, listener: udp-b",
        "[theirs], type: TLS, listener: any",
        "[theirs], type: GRPC",
    ] {
        assert!(found(&[PLANE, &at(good)]).0.is_empty(), "{good}");
    }
}

#[test]
fn overrides() {
    let with = |over: &str| {
        component(
            "c",
            &format!("endpoints: [{{ name: a, type: TCP, port: 1, visibilities: [external] }}]\noverrides: [{over}]"),
        )
    };
    let at = "/spec/overrides/0";
    one(
        &[PLANE, &with("{ dataPlane: man, endpoints: [{ name: a }] }")],
        &format!("GWM0210 {at}/dataPlane"),
        "did you mean `main`?",
    );
    one(
        &[PLANE, &with("{ dataPlane: main, endpoints: [{ name: b }] }")],
        &format!("GWM0214 {at}/endpoints/0/name"),
        "`a`",
    );
    one(
        &[PLANE, &with("{ dataPlane: main, endpoints: [{ name: a, visibilities: [nope] }] }")],
        &format!("GWM0213 {at}/endpoints/0/visibilities/0"),
        "`theirs`",
    );
    one(
        &[PLANE, &with("{ dataPlane: main, endpoints: [{ name: a, hostnames: [a.b] }] }")],
        &format!("GWM0230 {at}/endpoints/0/hostnames"),
        "TCP",
    );
    let second = PLANE.replace("name: main", "name: second");
    let text = with("{ dataPlane: second, endpoints: [{ name: a }] }")
        .replace("spec:\n", "spec:\n  dataPlanes: { names: [main] }\n");
    one(&[PLANE, &second, &text], &format!("GWM0219 {at}/dataPlane"), "does not serve");
}

#[test]
fn listeners_of_a_gateway() {
    let plane = |listeners: &str| {
        format!(
            "{}kind: DataPlane\nmetadata: {{ name: a }}\nspec: {{ visibilities: {{ x: {{ listeners: [{listeners}] }} }} }}\n",
            "apiVersion: gatewaymodules.dev/v1alpha1\n"
        )
    };
    let at = "/spec/visibilities/x/listeners";
    let cert = "tls: { certificates: [{ name: c }] }";
    let cases = [
        ("{ name: a, protocol: HTTPS, port: 1 }".to_owned(), format!("GWM0220 {at}/0"), "has no `tls`"),
        (format!("{{ name: a, protocol: HTTP, port: 1, {cert} }}"), format!("GWM0221 {at}/0/tls"), "remove `tls`"),
        ("{ name: a, protocol: TLS, port: 1, tls: {} }".to_owned(), format!("GWM0222 {at}/0/tls"), "certificate"),
        (
            "{ name: a, protocol: HTTPS, port: 1, tls: { mode: Passthrough } }".to_owned(),
            format!("GWM0221 {at}/0/tls/mode"),
            "pass",
        ),
        (
            "{ name: a, protocol: HTTP, port: 1, redirectTo: b }".to_owned(),
            format!("GWM0217 {at}/0/redirectTo"),
            "none",
        ),
        ("{ name: a, protocol: TCP, port: 1, hostname: a.b }".to_owned(), format!("GWM0230 {at}/0/hostname"), "TCP"),
        (
            "{ name: a, protocol: HTTP, port: 1 }, { name: b, protocol: TCP, port: 1 }".to_owned(),
            format!("GWM0223 {at}/1/port"),
            "cannot share",
        ),
        (
            "{ name: a, protocol: HTTP, port: 1 }, { name: b, protocol: HTTP, port: 1 }".to_owned(),
            format!("GWM0223 {at}/1/port"),
            "all hosts",
        ),
        (
            "{ name: a, protocol: UDP, port: 1 }, { name: b, protocol: UDP, port: 1 }".to_owned(),
            format!("GWM0223 {at}/1/port"),
            "cannot share",
        ),
    ];
    for (listeners, expected, words) in cases {
        one(&[&plane(&listeners)], &expected, words);
    }
    let good = format!(
        "{{ name: a, protocol: HTTPS, port: 1, hostname: a.b, {cert} }}, {{ name: b, protocol: TLS, port: 1, tls: {{ mode: Passthrough }} }}, {{ name: c, protocol: UDP, port: 1 }}"
    );
    assert!(found(&[&plane(&good)]).0.is_empty());
}

#[test]
fn fields_that_do_not_belong_to_the_type() {
    let cases = [
        ("type: GRPC, basePath: /a", "basePath"),
        ("type: HTTP, listener: a", "listener"),
        ("type: HTTP, subscriptions: true", "subscriptions"),
        ("type: GRPC, rules: [{ matches: [{ path: { exact: /a } }] }]", "rules/0/matches/0/path"),
        ("type: GRPC, rules: [{ matches: [{ method: GET }] }]", "rules/0/matches/0/method"),
        ("type: HTTP, rules: [{ matches: [{ grpc: { service: a } }] }]", "rules/0/matches/0/grpc"),
    ];
    for (fields, pointer) in cases {
        one(
            &[&endpoint(&format!("visibilities: [external], {fields}"))],
            &format!("GWM0230 {EP}/{pointer}"),
            "has no meaning",
        );
    }
    let cases = [
        ("type: TCP, hostnames: [a.b]", "hostnames"),
        ("type: TCP, rules: [{ matches: [{ method: GET }] }]", "rules/0/matches"),
        ("type: TLS, rules: [{ matches: [{ method: GET }] }]", "rules/0/matches"),
        ("type: TCP, rules: [{}, {}]", "rules/1"),
        ("type: TCP, policies: { timeouts: { request: 1s } }", "policies/timeouts"),
        ("type: UDP, policies: { clientCertificate: { caCertificates: [a] } }", "policies/clientCertificate"),
        ("type: TLS, policies: { sessionAffinity: { header: { name: a } } }", "policies/sessionAffinity"),
    ];
    for (fields, pointer) in cases {
        one(&[PLANE, &endpoint(&format!("visibilities: [theirs], {fields}"))], &format!("GWM0230 {EP}/{pointer}"), "");
    }
    let fine = "type: TCP, visibilities: [theirs], policies: { ipAccess: { allow: [10.0.0.0/8] }, sessionAffinity: { clientIp: {} } }";
    assert!(found(&[PLANE, &endpoint(fine)]).0.is_empty());
}

#[test]
fn policies_that_contradict_themselves() {
    let cases = [
        ("timeouts: { request: 1s, backendRequest: 2s }", "GWM0231", "timeouts/backendRequest", "at most `1s`"),
        ("timeouts: { request: 1s, backendRequest: 0s }", "GWM0231", "timeouts/backendRequest", "at most `1s`"),
        ("timeouts: {}", "GWM0239", "timeouts", "backendRequest"),
        ("ipAccess: {}", "GWM0239", "ipAccess", "deny"),
        ("urlRewrite: {}", "GWM0239", "urlRewrite", "hostname"),
        ("redirect: {}", "GWM0239", "redirect", "scheme"),
        ("headerModification: {}", "GWM0239", "headerModification", "request"),
        ("circuitBreaking: {}", "GWM0239", "circuitBreaking", "limits"),
        ("faultInjection: {}", "GWM0239", "faultInjection", "delay"),
        (
            "cors: { allowOrigins: ['*'], allowCredentials: true }",
            "GWM0232",
            "cors/allowCredentials",
            "name the origins",
        ),
        (
            "headerModification: { request: { set: [{ name: X-A, value: b }], remove: [x-a] } }",
            "GWM0233",
            "headerModification/request/remove/0",
            "first at",
        ),
        ("redirect: { scheme: https }, urlRewrite: { hostname: a.b }", "GWM0234", "urlRewrite", "keep one"),
        ("redirect: { scheme: https }, directResponse: { status: 200 }", "GWM0234", "directResponse", "keep one"),
        (
            "urlRewrite: { path: { replaceFullPath: /a/../b } }",
            "GWM0236",
            "urlRewrite/path/replaceFullPath",
            "normalisation",
        ),
        (
            "urlRewrite: { path: { regex: { pattern: '(', substitution: a } } }",
            "GWM0237",
            "urlRewrite/path/regex/pattern",
            "unclosed",
        ),
        (
            "claimsAuthorization: { require: [{ claim: a, values: [b] }] }",
            "GWM0235",
            "claimsAuthorization",
            "add `jwt`",
        ),
    ];
    for (text, code, pointer, words) in cases {
        one(&[&policies(text)], &format!("{code} {EP}/policies/{pointer}"), words);
    }
}

#[test]
fn rules_that_contradict_themselves() {
    let rule = |rule: &str| endpoint(&format!("type: HTTP, visibilities: [external], rules: [{{ {rule} }}]"));
    let at = format!("{EP}/rules/0");
    one(
        &[&rule("backends: [{}], policies: { redirect: { scheme: https } }")],
        &format!("GWM0234 {at}/backends"),
        "`redirect`",
    );
    one(
        &[&rule("backends: [{}], policies: { directResponse: { status: 200 } }")],
        &format!("GWM0234 {at}/backends"),
        "`directResponse`",
    );
    one(&[&rule("backends: [{ weight: 0 }]")], &format!("GWM0240 {at}/backends"), "500");
    one(&[&rule("matches: [{}]")], &format!("GWM0239 {at}/matches/0"), "no condition");
    one(&[&rule("matches: [{ path: { prefix: /a//b } }]")], &format!("GWM0236 {at}/matches/0/path/prefix"), "");
    one(
        &[&rule("matches: [{ path: { regularExpression: '(?=a)' } }]")],
        &format!("GWM0237 {at}/matches/0/path/regularExpression"),
        "look-around",
    );
    one(
        &[&rule("matches: [{ headers: [{ name: a, value: { regularExpression: '[' } }] }]")],
        &format!("GWM0237 {at}/matches/0/headers/0/value/regularExpression"),
        "unclosed",
    );
}

#[test]
fn claims_may_use_the_token_of_another_layer() {
    let claims = "claimsAuthorization: { require: [{ claim: a, values: [b] }] }";
    let jwt = "jwt: { issuer: i, jwks: { configMap: { name: keys } } }";
    let plane = format!("{PLANE}  policies: {{ defaults: {{ {jwt} }} }}\n");
    assert!(found(&[&plane, &policies(claims)]).0.is_empty());
    let rule = endpoint(&format!(
        "type: HTTP, visibilities: [external], policies: {{ {jwt} }}, rules: [{{ policies: {{ {claims} }} }}]"
    ));
    assert!(found(&[&rule]).0.is_empty());
    let plane = format!("{PLANE}  policies: {{ overrides: {{ {claims} }} }}\n");
    let (codes, text) = found(&[&plane, &endpoint("type: HTTP, visibilities: [external]")]);
    assert_eq!(codes, ["GWM0235 /spec/policies/overrides/claimsAuthorization"], "{text}");
}
