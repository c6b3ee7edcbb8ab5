//! The standing policies: nothing that is protected can be reached without them, and neighbours stay reachable.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use gateway_modules_core::{compile::Phase, module::Enforcement};
use serde_json::{Value, json};

const JWT: &str =
    "jwt: { issuer: 'https://issuer.example.com', jwks: { remote: { url: 'https://issuer.example.com/keys' } } }";

fn plane(visibilities: &str) -> String {
    format!(
        "apiVersion: gatewaymodules.dev/v1alpha1\nkind: DataPlane\nmetadata: {{ name: p }}\nspec:\n  gateway: {{ module: istio }}\n  \
         visibilities: {visibilities}\n"
    )
}

fn component(name: &str, endpoints: &[String]) -> String {
    format!(
        "---\napiVersion: gatewaymodules.dev/v1alpha1\nkind: Component\nmetadata: {{ name: {name}, namespace: shop }}\nspec:\n  \
         endpoints:\n{}",
        endpoints.iter().fold(String::new(), |all, endpoint| all + "    - " + endpoint + "\n")
    )
}

fn endpoint(name: &str, host: &str, rest: &str) -> String {
    format!(
        "{{ name: {name}, type: HTTP, port: 80, visibilities: [external], hostnames: ['{host}'], accept: [jwt/missing-token-403, \
         jwt/whole-gateway]{}{rest} }}",
        if rest.is_empty() { "" } else { ", " }
    )
}

fn external() -> String {
    plane("{ external: { namespace: gateways } }")
}

fn operations(rule: &Value) -> Vec<&Value> {
    rule["to"].as_array().into_iter().flatten().map(|to| &to["operation"]).collect()
}

#[test]
fn internal_and_external_are_both_protected() {
    let text = plane("{ external: { namespace: gateways }, internal: { namespace: gateways } }")
        + &component(
            "catalog",
            &[format!(
                "{{ name: api, type: HTTP, port: 80, visibilities: [external, internal], accept: [jwt/missing-token-403], policies: \
                 {{ {JWT} }} }}"
            )],
        );
    let release = common::release(&text);
    for gateway in ["external", "internal"] {
        let rules = common::rules(&release, gateway);
        assert_eq!(rules.len(), 1, "{gateway}");
        assert_eq!(rules[0]["when"][0]["key"], "request.auth.claims[iss]", "{gateway}");
    }
    assert_eq!(common::of_kind(&release, "RequestAuthentication").len(), 2);
    assert_eq!(release.policies.len(), 2);
    assert!(release.policies.iter().all(|policy| policy.enforcement == Enforcement::StandingDeny));
    assert!(release.policies.iter().all(|policy| policy.objects.len() == 2), "{:#?}", release.policies);
}

#[test]
fn all_rules_are_protected() {
    let rules = "rules: [{ name: a, matches: [{ path: { prefix: /a } }] }, { name: b, matches: [{ path: { exact: /b }, method: POST }] }, \
                 { name: c, matches: [{ headers: [{ name: x, value: { exact: y } }] }] }]";
    let text = external()
        + &component("catalog", &[endpoint("api", "api.example.com", &format!("{rules}, policies: {{ {JWT} }}"))]);
    let release = common::release(&text);
    let rules = common::rules(&release, "external");
    assert_eq!(rules.len(), 3);
    assert!(rules.iter().all(|rule| rule["when"][0]["key"] == "request.auth.claims[iss]"), "{rules:#?}");
    assert_eq!(operations(&rules[0])[0]["paths"], json!(["/a", "/a/*"]));
    assert_eq!(operations(&rules[1])[0]["methods"], json!(["POST"]));
    assert_eq!(release.policies[0].rules.len(), 3);
}

#[test]
fn an_unprotected_neighbour_stays_reachable() {
    let text = external()
        + &component(
            "catalog",
            &[
                endpoint("api", "api.example.com", &format!("policies: {{ {JWT} }}")),
                endpoint("open", "open.example.com", ""),
            ],
        );
    let release = common::release(&text);
    let rules = common::rules(&release, "external");
    assert_eq!(rules.len(), 2);
    assert_eq!(operations(&rules[1])[0]["hosts"], json!(["open.example.com", "open.example.com:*"]));
    assert!(rules[1].get("when").is_none() && rules[1].get("from").is_none());
    assert_eq!(operations(&rules[0])[0]["hosts"], json!(["api.example.com", "api.example.com:*"]));
}

#[test]
fn an_open_prefix_does_not_open_the_protected_path_below_it() {
    let rules = format!(
        "rules: [{{ name: site, matches: [{{ path: {{ prefix: / }} }}] }}, {{ name: admin, matches: [{{ path: {{ prefix: /admin }} }}], \
         policies: {{ {JWT} }} }}, {{ name: write, matches: [{{ path: {{ prefix: /docs }}, method: POST }}], policies: {{ {JWT} }} }}]"
    );
    let text = external() + &component("catalog", &[endpoint("api", "api.example.com", &rules)]);
    let rules = common::rules(&common::release(&text), "external");
    let open = operations(&rules[0]);
    // Everything but /admin, and of /docs everything but POST.
    assert_eq!(open.len(), 2, "{open:#?}");
    for operation in &open {
        let not_paths = operation["notPaths"].as_array().expect("notPaths");
        assert!(not_paths.contains(&json!("/admin")) && not_paths.contains(&json!("/admin/*")), "{operation:#?}");
        let without_docs = not_paths.contains(&json!("/docs/*"));
        assert!(without_docs || operation["notMethods"] == json!(["POST"]), "{operation:#?}");
    }
}

#[test]
fn an_open_path_below_a_protected_prefix_is_open() {
    let rules = format!(
        "rules: [{{ name: all, policies: {{ {JWT} }} }}, {{ name: health, matches: [{{ path: {{ exact: /health }} }}], policies: {{ }} }}]"
    );
    let text = external() + &component("catalog", &[endpoint("api", "api.example.com", &rules)]);
    let rules = common::rules(&common::release(&text), "external");
    assert_eq!(operations(&rules[1])[0]["paths"], json!(["/health"]));
    assert!(rules[1].get("when").is_none());
}

#[test]
fn a_wildcard_host_does_not_open_a_closer_one() {
    let text = external()
        + &component(
            "catalog",
            &[
                endpoint("open", "*.example.com", ""),
                endpoint("api", "api.example.com", &format!("policies: {{ {JWT} }}")),
            ],
        );
    let rules = common::rules(&common::release(&text), "external");
    let open = operations(&rules[0])[0];
    assert_eq!(open["hosts"], json!(["*.example.com", "*.example.com:80"]));
    assert_eq!(open["notHosts"], json!(["api.example.com", "api.example.com:*"]));
}

#[test]
fn a_release_that_would_lose_protection_is_refused() {
    let header = "headers: [{ name: x, value: { exact: y } }]";
    let protected = format!("policies: {{ {JWT} }}");
    for rules in [
        // The open rule takes requests of the protected one by a header, which no policy can say.
        format!("rules: [{{ name: a, {protected} }}, {{ name: b, matches: [{{ {header} }}] }}]"),
        format!("rules: [{{ name: a }}, {{ name: b, matches: [{{ {header} }}], {protected} }}]"),
        format!(
            "rules: [{{ name: a }}, {{ name: b, matches: [{{ path: {{ regularExpression: '/a.*' }} }}], {protected} }}]"
        ),
        format!("rules: [{{ name: a }}, {{ name: b, matches: [{{ path: {{ prefix: '/a*' }} }}], {protected} }}]"),
    ] {
        let text = external() + &component("catalog", &[endpoint("api", "api.example.com", &rules)]);
        let problems = common::problems(&text);
        assert!(
            problems.iter().any(|line| line.starts_with("GWM0601") && line.contains("jwt")),
            "{rules}: {problems:#?}"
        );
    }
    let existing = plane("{ external: { gatewayRef: { name: gw, namespace: gateways } } }");
    let text = existing + &component("catalog", &[endpoint("api", "api.example.com", &protected)]);
    let problems = common::problems(&text);
    assert!(problems.iter().any(|line| line.contains("routes of others")), "{problems:#?}");
}

#[test]
fn a_port_that_lets_connections_in_carries_nothing_protected() {
    let listeners = "[{ name: https, protocol: HTTPS, port: 443, hostname: '*.example.com', tls: { certificates: [{ name: c }] } }, \
                     { name: raw, protocol: TLS, port: 443, hostname: raw.example.org, tls: { mode: Passthrough } }]";
    let text = plane(&format!("{{ external: {{ namespace: gateways, listeners: {listeners} }} }}"));
    let open = text.clone() + &component("catalog", &[endpoint("api", "api.example.com", "")]);
    assert_eq!(common::rules(&common::release(&open), "external").len(), 2);
    let text = text + &component("catalog", &[endpoint("api", "api.example.com", &format!("policies: {{ {JWT} }}"))]);
    assert!(common::problems(&text).iter().any(|line| line.contains("shares port 443")));
}

#[test]
fn redirects_pass() {
    let listeners = "[{ name: http, protocol: HTTP, port: 80, redirectTo: https }, \
                     { name: https, protocol: HTTPS, port: 443, tls: { certificates: [{ name: c }] } }]";
    let text = plane(&format!("{{ external: {{ namespace: gateways, listeners: {listeners} }} }}"))
        + &component("catalog", &[endpoint("api", "api.example.com", &format!("policies: {{ {JWT} }}"))]);
    let rules = common::rules(&common::release(&text), "external");
    assert_eq!(operations(&rules[0])[0]["ports"], json!(["443"]));
    assert_eq!(rules[1], json!({ "to": [{ "operation": { "ports": ["80"] } }] }));
}

#[test]
fn preflight_requests_pass_to_the_cors_filter_and_no_further() {
    let with = |origins: &str| {
        let policies = format!("policies: {{ {JWT}, cors: {{ allowOrigins: [{origins}] }} }}");
        external() + &component("catalog", &[endpoint("api", "api.example.com", &policies)])
    };
    let rules = common::rules(&common::release(&with("'https://app.example.com'")), "external");
    assert_eq!(operations(&rules[1])[0]["methods"], json!(["OPTIONS"]));
    assert_eq!(
        rules[1]["when"],
        json!([
            { "key": "request.headers[origin]", "values": ["https://app.example.com"] },
            { "key": "request.headers[access-control-request-method]", "values": ["*"] },
        ])
    );
    assert!(common::problems(&with("'https://*.example.com'")).iter().any(|line| line.contains("preflight")));
}

#[test]
fn a_gateway_is_closed_before_it_exists() {
    let text = external() + &component("catalog", &[endpoint("api", "api.example.com", "")]);
    let release = common::release(&text);
    let policy =
        release.objects.iter().find(|object| object.key().kind.kind == "AuthorizationPolicy").expect("standing policy");
    assert_eq!(policy.phase, Phase::Foundation);
    assert!(Phase::Foundation < Phase::Gateways);
}

#[test]
fn differences_are_said_and_must_be_accepted() {
    let text = external()
        + &component(
            "catalog",
            &[format!(
                "{{ name: api, type: HTTP, port: 80, visibilities: [external], hostnames: [a.example.com], policies: {{ {JWT} }} }}"
            )],
        );
    let problems = common::problems(&text);
    assert!(problems.iter().all(|line| line.starts_with("GWM0602")) && problems.len() == 1, "{problems:#?}");
    assert!(problems[0].contains("403"));
}

#[test]
fn one_issuer_is_verified_in_one_way() {
    let other = JWT.replace("} } }", "} }, forwardToken: true }");
    let text = external()
        + &component(
            "catalog",
            &[
                endpoint("a", "a.example.com", &format!("policies: {{ {JWT} }}")),
                endpoint("b", "b.example.com", &format!("policies: {{ {other} }}")),
            ],
        );
    assert!(common::problems(&text).iter().any(|line| line.contains("same issuer")));
}

#[test]
fn a_service_is_asked_before_anything_is_admitted() {
    let text = external().replace(
        "module: istio",
        "module: istio, parameters: { extensionProviders: { authz: { envoyExtAuthzHttp: { service: authz.shop.svc.cluster.local, port: \
         9000, includeRequestHeadersInCheck: [authorization] } } } }",
    ) + &component(
        "catalog",
        &[
            endpoint(
                "api",
                "api.example.com",
                "policies: { externalAuthorization: { protocol: HTTP, service: authz, port: 9000 } }",
            ),
            endpoint("open", "open.example.com", ""),
        ],
    );
    let release = common::release(&text);
    // Written one after the other in this order, and watched as one kind.
    let policies = common::of_kind(&release, "AuthorizationPolicy");
    let actions: Vec<_> = policies.iter().map(|policy| policy["spec"]["action"].as_str().unwrap_or_default()).collect();
    assert_eq!(actions, ["CUSTOM", "ALLOW"]);
    assert_eq!(policies[0]["spec"]["rules"].as_array().map(Vec::len), Some(1));
    assert!(release.requires.iter().any(|requirement| requirement.setting == "meshConfig.extensionProviders[]"));
}
