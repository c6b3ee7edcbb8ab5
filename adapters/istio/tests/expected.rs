//! Every hand-written object of `tests/expected` is what the adapter makes of its intent.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use std::{fs, path::Path};

use serde_json::{Value, json};

fn documents(case: &Value) -> String {
    let or = |name: &str, default: Value| case.get(name).cloned().unwrap_or(default);
    let mut plane = json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1",
        "kind": "DataPlane",
        "metadata": { "name": "default" },
        "spec": {
            "gateway": { "module": "istio", "parameters": or("parameters", json!({})) },
            "visibilities": { "external": { "namespace": "gateways" } },
            "accept": or("accept", json!([])),
        },
    });
    if let Some(listeners) = case.get("listeners") {
        plane["spec"]["visibilities"]["external"]["listeners"] = listeners.clone();
    }
    let component = json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1",
        "kind": "Component",
        "metadata": { "name": "catalog", "namespace": "shop" },
        "spec": { "endpoints": [{
            "name": "api",
            "type": "HTTP",
            "port": 8080,
            "visibilities": ["external"],
            "hostnames": ["api.example.com"],
            "policies": case["intent"],
        }] },
    });
    format!("{plane}\n---\n{component}\n")
}

#[test]
fn objects_are_what_the_documentation_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected");
    let mut cases = 0;
    for entry in fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()) {
        if entry.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&entry).expect("file");
        let value: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", entry.display()));
        let list = if let Value::Array(list) = value { list } else { vec![value] };
        for case in list {
            cases += 1;
            let release = common::release(&documents(&case));
            let mut found = common::of_kind(&release, case["kind"].as_str().expect("kind"));
            if let Some(action) = case.get("action") {
                found.retain(|object| object["spec"]["action"] == *action);
            }
            assert_eq!(found.len(), 1, "{}: {found:#?}", entry.display());
            let mut spec = found[0]["spec"].clone();
            spec.as_object_mut().expect("spec").remove("targetRefs");
            assert_eq!(spec, case["spec"], "{}", entry.display());
        }
    }
    assert!(cases >= 14, "{cases}");
}

#[test]
fn what_needs_an_escape_hatch_or_an_option_is_refused() {
    for intent in [
        json!({ "rateLimit": { "requests": 10, "per": "1m" } }),
        json!({ "apiKey": { "location": { "header": "x-key" }, "credentials": { "name": "keys" } } }),
        json!({ "basicAuth": { "credentials": { "name": "users" } } }),
        json!({ "compression": { "algorithms": ["Gzip"] } }),
        json!({ "healthCheck": { "probe": { "http": { "path": "/" } }, "interval": "5s", "timeout": "1s" } }),
        json!({ "directResponse": { "status": 200 } }),
        json!({ "faultInjection": { "abort": { "status": 503 } } }),
        json!({ "accessLog": { "format": { "text": {} } } }),
        json!({ "tracing": { "service": "collector", "port": 4317 } }),
        json!({ "externalAuthorization": { "protocol": "HTTP", "service": "authz", "port": 9000 } }),
        json!({ "jwt": { "issuer": "https://i.example", "jwks": { "configMap": { "name": "keys" } } } }),
        json!({ "jwt": { "issuer": "https://i.example/*", "jwks": { "remote": { "url": "https://i.example/k" } } } }),
        json!({ "jwt": { "issuer": "https://i.example", "jwks": { "remote": { "url": "http://i.example/k" } } } }),
        json!({ "retry": { "attempts": 2, "codes": [503] } }),
    ] {
        let problems = common::problems(&documents(&json!({ "intent": intent })));
        assert!(problems.iter().any(|line| line.starts_with("GWM060")), "{intent}: {problems:#?}");
        assert!(!problems.iter().any(|line| line.starts_with("GWM05")), "{intent}: {problems:#?}");
    }
}
