//! Policies of single rules: what they reach, and what could pass them by.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{documents, endpoint, of_kind, problems, release};
use gateway_modules_core::module::Enforcement;
use serde_json::{Value, json};

const BASIC: &str = "basicAuth";

fn basic() -> Value {
    json!({ BASIC: { "credentials": { "name": "users" } } })
}

fn rule(path: &str, policies: &Value) -> Value {
    json!({ "matches": [{ "path": { "prefix": path } }], "policies": policies })
}

/// Traefik leaves out a router while its Middleware is missing, and `/` would take its requests.
#[test]
fn a_protected_rule_below_an_open_one_is_refused() {
    let rules = json!([rule("/admin", &basic()), rule("/", &json!({}))]);
    let lines = problems(&documents(&json!({}), &json!([endpoint(&json!({ "rules": rules }))])));
    assert!(lines.iter().any(|line| line.contains("falls back to it")), "{lines:#?}");
}

#[test]
fn a_protected_rule_beside_an_open_one_is_emitted() {
    let mut open = rule("/", &json!({}));
    open["backends"] = json!([{ "service": "web", "port": 80 }]);
    for other in [rule("/public", &json!({})), open] {
        let rules = json!([rule("/admin", &basic()), other]);
        let release = release(&documents(&json!({}), &json!([endpoint(&json!({ "rules": rules }))])));
        let routes = of_kind(&release, "HTTPRoute");
        let protected: Vec<bool> = routes[0]["spec"]["rules"]
            .as_array()
            .expect("rules")
            .iter()
            .map(|rule| rule["filters"].as_array().is_some_and(|filters| !filters.is_empty()))
            .collect();
        assert_eq!(protected.iter().filter(|protected| **protected).count(), 1);
        assert_eq!(release.policies.len(), 1);
        assert!(matches!(release.policies[0].enforcement, Enforcement::Referenced { .. }));
    }
}

#[test]
fn the_policy_of_an_endpoint_covers_all_its_rules() {
    let rules = json!([rule("/admin", &json!({})), rule("/", &json!({ "rateLimit": { "requests": 5, "per": "1s" } }))]);
    let endpoint = endpoint(&json!({ "rules": rules, "policies": basic() }));
    let release = release(&documents(&json!({}), &json!([endpoint])));
    let routes = of_kind(&release, "HTTPRoute");
    for rule in routes[0]["spec"]["rules"].as_array().expect("rules") {
        assert!(rule["filters"][0]["extensionRef"]["name"].is_string(), "{rule:#?}");
    }
}

#[test]
fn another_endpoint_on_the_same_service_can_be_the_gap() {
    let protected = endpoint(&json!({ "basePath": "/admin", "policies": basic() }));
    let open = endpoint(&json!({ "name": "open", "hostnames": ["*.example.com"] }));
    let lines = problems(&documents(&json!({}), &json!([protected.clone(), open.clone()])));
    assert!(lines.iter().any(|line| line.contains("falls back to it")), "{lines:#?}");
    let mut elsewhere = open;
    elsewhere["service"] = "web".into();
    release(&documents(&json!({}), &json!([protected, elsewhere])));
}

/// Each router has buckets of its own.
#[test]
fn a_limit_over_several_matches_is_approximate() {
    let rules = json!([rule("/a", &json!({})), rule("/b", &json!({}))]);
    let policies = json!({ "rateLimit": { "requests": 5, "per": "1s" } });
    let endpoint = endpoint(&json!({ "rules": rules, "policies": policies }));
    let lines = problems(&documents(&json!({}), &json!([endpoint.clone()])));
    assert!(lines.iter().any(|line| line.contains("up to 2 times")), "{lines:#?}");
    let accept = json!({ "accept": ["rate-limit-local/bucket-per-match"] });
    assert_eq!(of_kind(&release(&documents(&accept, &json!([endpoint]))), "Middleware").len(), 1);
}

/// Rules of one target may have different backends, and each keeps its own.
#[test]
fn each_rule_keeps_its_backends() {
    let mut split = rule("/a", &json!({}));
    split["backends"] = json!([{ "service": "one", "port": 80, "weight": 9 }, { "service": "two", "port": 81 }]);
    let rules = json!([split, rule("/b", &json!({}))]);
    let policies = json!({ "loadBalancing": { "algorithm": { "leastRequest": {} } } });
    let release = release(&documents(&json!({}), &json!([endpoint(&json!({ "rules": rules, "policies": policies }))])));
    let services = of_kind(&release, "TraefikService");
    assert_eq!(services.len(), 3);
    let routes = of_kind(&release, "HTTPRoute");
    for rule in routes[0]["spec"]["rules"].as_array().expect("rules") {
        let found: Vec<(&Value, Option<u64>)> = rule["backendRefs"]
            .as_array()
            .expect("references")
            .iter()
            .map(|reference| {
                assert_eq!(reference["kind"], "TraefikService");
                let fitting = |service: &&Value| service["metadata"]["name"] == reference["name"];
                let service = services.iter().find(fitting).expect("service");
                (&service["spec"]["weighted"]["services"][0]["name"], reference["weight"].as_u64())
            })
            .collect();
        let (one, two, own) = (json!("one"), json!("two"), json!("catalog"));
        let expected = if rule["matches"][0]["path"]["value"] == "/a" {
            vec![(&one, Some(9)), (&two, Some(1))]
        } else {
            vec![(&own, None)]
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn an_authorization_service_elsewhere_needs_the_allowance_of_the_platform() {
    let policies = json!({ "externalAuthorization": { "protocol": "HTTP", "service": "authz", "namespace": "auth", "port": 9000 } });
    let endpoint = endpoint(&json!({ "policies": policies }));
    let lines = problems(&documents(&json!({}), &json!([endpoint.clone()])));
    assert!(lines.iter().any(|line| line.contains("does not allow references")), "{lines:#?}");
    let allowed = json!({ "allowedReferences": [{ "from": "shop", "to": "auth" }] });
    let release = release(&documents(&allowed, &json!([endpoint])));
    let address = &of_kind(&release, "Middleware")[0]["spec"]["forwardAuth"]["address"];
    assert_eq!(address, "http://authz.auth.svc:9000/");
}

#[test]
fn a_body_limit_does_not_stop_streams() {
    for (kind, port) in [("WebSocket", 8080), ("GRPC", 8080)] {
        let policies = json!({ "bodySizeLimit": { "max": "1Mi" } });
        let endpoint = endpoint(&json!({ "type": kind, "port": port, "policies": policies }));
        let lines = problems(&documents(&json!({}), &json!([endpoint])));
        assert!(lines.iter().any(|line| line.contains("streams")), "{lines:#?}");
    }
}

#[test]
fn grpc_routes_get_middlewares_and_no_services() {
    let endpoint = |policies: Value| endpoint(&json!({ "type": "GRPC", "policies": policies }));
    let release = release(&documents(&json!({}), &json!([endpoint(basic())])));
    assert_eq!(of_kind(&release, "GRPCRoute")[0]["spec"]["rules"][0]["filters"][0]["type"], "ExtensionRef");
    let policies = json!({ "mirror": { "backends": [{ "service": "shadow" }] } });
    let lines = problems(&documents(&json!({}), &json!([endpoint(policies)])));
    assert!(lines.iter().any(|line| line.contains("HTTPRoute only")), "{lines:#?}");
}
