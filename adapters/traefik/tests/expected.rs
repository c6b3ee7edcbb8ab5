//! Every hand-written object of `tests/expected` is what the adapter makes of its intent.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use std::{fs, path::Path};

use common::{documents, endpoint, of_kind, problems, release};
use gateway_modules_core::{
    channel::Channel,
    compile::Release,
    validate::{Schemas, validate},
};
use serde_json::{Value, json};

fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected");
    let mut cases = Vec::new();
    for path in fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()) {
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("file");
        let value: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let list = if let Value::Array(list) = value { list } else { vec![value] };
        cases.extend(list.into_iter().map(|case| (name.clone(), case)));
    }
    assert!(cases.len() >= 20, "{}", cases.len());
    cases
}

fn release_of(case: &Value) -> Release {
    let or = |name: &str, default: Value| case.get(name).cloned().unwrap_or(default);
    let plane = json!({
        "gateway": { "module": "traefik", "parameters": or("parameters", json!({})) },
        "accept": or("accept", json!([])),
        "allowedReferences": [{ "from": "shop", "to": "auth" }],
    });
    let mut fields = or("endpoint", json!({}));
    fields["policies"] = case["intent"].clone();
    release(&documents(&plane, &json!([endpoint(&fields)])))
}

/// Names of objects are made by core; `<name>` stands for one.
fn fits(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::String(text), Value::String(name)) if text == "<name>" => name.starts_with("default-"),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| fits(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| fits(a, b)),
        _ => expected == actual,
    }
}

#[test]
fn objects_are_what_the_documentation_says() {
    for (name, case) in cases() {
        let release = release_of(&case);
        if let Some(kind) = case.get("kind") {
            let found = of_kind(&release, kind.as_str().expect("kind"));
            let fitting = found.iter().filter(|object| fits(&case["spec"], &object["spec"])).count();
            assert_eq!(fitting, 1, "{name}: {found:#?}");
        }
        for requirement in case["requires"].as_array().into_iter().flatten() {
            let there = release.requires.iter().any(|one| {
                one.setting == requirement["setting"].as_str().expect("setting")
                    && one.value == requirement["value"].as_str().expect("value")
            });
            assert!(there, "{name}: {:#?}", release.requires);
        }
    }
}

/// Each Middleware stands in front of every rule, in its namespace; each `TraefikService` is the one backend.
#[test]
fn every_rule_refers_to_what_is_made() {
    for (name, case) in cases() {
        let release = release_of(&case);
        let routes: Vec<Value> = of_kind(&release, "HTTPRoute");
        let rules: Vec<&Value> =
            routes.iter().flat_map(|route| route["spec"]["rules"].as_array().expect("rules")).collect();
        assert!(!rules.is_empty());
        for middleware in of_kind(&release, "Middleware") {
            assert_eq!(middleware["metadata"]["namespace"], "shop", "{name}");
            let filter = json!({ "type": "ExtensionRef", "extensionRef": {
                "group": "traefik.io", "kind": "Middleware", "name": middleware["metadata"]["name"],
            } });
            let all = rules.iter().all(|rule| rule["filters"].as_array().expect("filters").contains(&filter));
            assert!(all, "{name}: {rules:#?}");
        }
        let services = of_kind(&release, "TraefikService");
        for reference in rules.iter().map(|rule| &rule["backendRefs"][0]).filter(|_| !services.is_empty()) {
            assert_eq!(reference["kind"], "TraefikService", "{name}");
            assert!(services.iter().any(|service| service["metadata"]["name"] == reference["name"]), "{name}");
        }
    }
}

/// Needs the real CRDs: `GATEWAY_MODULES_SCHEMAS` names the folder.
#[test]
fn objects_are_valid_under_the_real_crds() {
    let Ok(folder) = std::env::var("GATEWAY_MODULES_SCHEMAS") else { return };
    let schemas =
        Schemas::load_folder(&Path::new(&folder).join("traefik"), Channel::Standard).expect("CRDs of Traefik");
    let mut checked = 0;
    for (name, case) in cases() {
        for object in release_of(&case).objects.iter().filter(|one| one.key().kind.group == "traefik.io") {
            let validation = validate(&object.object, &schemas);
            assert!(validation.is_valid(), "{name}: {:#?}", validation.violations());
            checked += 1;
        }
    }
    assert!(checked >= 20, "{checked}");
}

#[test]
fn what_open_source_traefik_lacks_is_refused() {
    for intent in [
        json!({ "apiKey": { "location": { "header": "x-key" }, "credentials": { "name": "keys" } } }),
        json!({ "jwt": { "issuer": "https://i.example", "jwks": { "configMap": { "name": "keys" } } } }),
        json!({ "directResponse": { "status": 200 } }),
        json!({ "faultInjection": { "abort": { "status": 503 } } }),
        json!({ "healthCheck": { "probe": { "http": { "path": "/" } }, "interval": "5s", "timeout": "1s" } }),
        json!({ "accessLog": { "format": { "text": {} } } }),
        json!({ "tracing": { "service": "collector", "port": 4317 } }),
        json!({ "ipAccess": { "deny": ["10.0.0.0/8"] } }),
        json!({ "externalAuthorization": { "protocol": "GRPC", "service": "authz", "port": 9000 } }),
        json!({ "externalAuthorization": { "protocol": "HTTP", "service": "authz", "namespace": "other", "port": 9000 } }),
        json!({ "rateLimitGlobal": { "requests": 1, "per": "1s", "failOpen": true, "service": { "redis": { "service": "r", "port": 1 } } } }),
        json!({ "rateLimitGlobal": { "requests": 1, "per": "1s", "service": { "envoy": { "service": "r", "port": 1, "domain": "d" } } } }),
        json!({ "timeouts": { "request": "1s" } }),
        json!({ "circuitBreaking": { "maxRetries": 1 } }),
        json!({ "loadBalancing": { "algorithm": { "random": {} } } }),
        json!({ "loadBalancing": { "algorithm": { "consistentHash": { "header": "x" } } } }),
        json!({ "sessionAffinity": { "clientIp": {} } }),
        json!({ "sessionAffinity": { "cookie": { "name": "s", "ttl": "500ms" } } }),
        json!({ "compression": { "algorithms": ["Gzip"], "contentTypes": ["text/*"] } }),
        json!({ "urlRewrite": { "path": { "regex": { "pattern": "a", "substitution": "\\x" } } } }),
        json!({ "backendTls": { "hostname": "b.example", "trust": { "system": {} }, "subjectAltNames": [{ "hostname": "c.example" }] } }),
        json!({ "backendTls": { "hostname": "b.example", "trust": { "system": {} } }, "loadBalancing": { "algorithm": { "leastRequest": {} } } }),
    ] {
        let lines = problems(&documents(&json!({}), &json!([endpoint(&json!({ "policies": intent }))])));
        assert!(lines.iter().any(|line| line.starts_with("GWM0601")), "{intent}: {lines:#?}");
    }
}

#[test]
fn differences_must_be_accepted_by_name() {
    for (intent, difference) in [
        (json!({ "rateLimit": { "requests": 100, "per": "1m" } }), "forgets a bucket"),
        (json!({ "circuitBreaking": { "maxRequests": 10 } }), "429, not 503"),
        (json!({ "connectionLimit": { "max": 10 } }), "429, not 503"),
        (json!({ "outlierDetection": { "consecutive5xx": 3 } }), "fails again and again"),
        (json!({ "timeouts": { "backendRequest": "1s" } }), "first byte"),
    ] {
        let lines = problems(&documents(&json!({}), &json!([endpoint(&json!({ "policies": intent }))])));
        assert!(lines.iter().any(|line| line.starts_with("GWM0602") && line.contains(difference)), "{lines:#?}");
    }
}
