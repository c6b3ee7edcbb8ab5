//! Every hand-written object of `tests/expected` is what the adapter makes of its intent, and valid under the real CRDs.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use std::{fs, path::Path};

use serde_json::{Value, json};

fn documents(case: &Value) -> String {
    let plane = json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1",
        "kind": "DataPlane",
        "metadata": { "name": "default" },
        "spec": {
            "gateway": { "module": "nginx-gateway-fabric" },
            "visibilities": { "external": { "namespace": "gateways" } },
            "allowedReferences": [{ "from": "gateways", "to": "observability" }],
            "accept": case.get("accept").cloned().unwrap_or_else(|| json!([])),
        },
    });
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

/// Texts for which the expected one has `<…>` are its own.
fn like(value: &Value, expected: &Value) -> Value {
    match (value, expected) {
        (Value::String(_), Value::String(text)) if text.starts_with('<') && text.ends_with('>') => expected.clone(),
        (Value::Object(map), Value::Object(wanted)) => map
            .iter()
            .map(|(key, value)| {
                (key.clone(), wanted.get(key).map_or_else(|| value.clone(), |wanted| like(value, wanted)))
            })
            .collect(),
        _ => value.clone(),
    }
}

#[test]
fn objects_are_what_the_documentation_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected");
    let schemas = common::schemas();
    let mut cases = 0;
    for entry in fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()) {
        if entry.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&entry).expect("file");
        let value: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", entry.display()));
        for case in if let Value::Array(list) = value { list } else { vec![value] } {
            cases += 1;
            let release = common::release(&documents(&case));
            let found = common::of_kind(&release, case["kind"].as_str().expect("kind"));
            assert_eq!(found.len(), 1, "{}: {found:#?}", entry.display());
            let pointer = format!("/spec{}", case.get("at").and_then(Value::as_str).unwrap_or_default());
            let mut spec = found[0].pointer(&pointer).cloned().expect("spec");
            spec.as_object_mut().expect("mapping").remove("targetRefs");
            assert_eq!(like(&spec, &case["spec"]), case["spec"], "{}", entry.display());
            if let Some(schemas) = &schemas {
                common::assert_valid(&release, schemas);
            }
        }
    }
    assert!(cases >= 17, "{cases}");
}

#[test]
fn what_nginx_open_source_lacks_is_refused() {
    for intent in [
        json!({ "directResponse": { "status": 200 } }),
        json!({ "compression": { "algorithms": ["Gzip"] } }),
        json!({ "retry": { "attempts": 2, "codes": [503] } }),
        json!({ "circuitBreaking": { "maxRequests": 5 } }),
        json!({ "outlierDetection": { "consecutive5xx": 5 } }),
        json!({ "healthCheck": { "probe": { "http": { "path": "/" } }, "interval": "5s", "timeout": "1s" } }),
        json!({ "connectionLimit": { "max": 5 } }),
        json!({ "faultInjection": { "abort": { "status": 503 } } }),
        json!({ "jwt": { "issuer": "https://i.example", "jwks": { "configMap": { "name": "keys" } } } }),
        json!({ "apiKey": { "location": { "header": "x-key" }, "credentials": { "name": "keys" } } }),
        json!({ "externalAuthorization": { "protocol": "HTTP", "service": "authz", "port": 9000 } }),
        json!({ "ipAccess": { "deny": ["10.0.0.0/8"] } }),
        json!({ "urlRewrite": { "path": { "regex": { "pattern": "^/a", "substitution": "/b" } } } }),
        json!({ "sessionAffinity": { "header": { "name": "x-session" } } }),
        json!({ "sessionAffinity": { "cookie": { "name": "s", "ttl": "1h" } } }),
        json!({ "backendTls": { "hostname": "b.example", "trust": { "system": {} }, "subjectAltNames": [{ "hostname": "c.example" }] } }),
    ] {
        refused(&intent, "");
    }
}

#[test]
fn what_nginx_cannot_write_is_refused_with_the_nearest() {
    for (intent, word) in [
        (json!({ "rateLimit": { "requests": 1000, "per": "1h" } }), "whole requests"),
        (json!({ "rateLimit": { "requests": 5, "per": "1m", "key": { "header": "x_tenant" } } }), "no variable"),
        (json!({ "bodySizeLimit": { "max": "0" } }), "no limit"),
        (json!({ "bodySizeLimit": { "max": "10001" } }), "four digits"),
        (json!({ "timeouts": { "request": "0s" } }), "no limit"),
        (json!({ "timeouts": { "request": "20s", "backendRequest": "10s" } }), "one read time-out"),
        (json!({ "timeouts": { "backendRequest": "10s1ms" } }), "four digits"),
        (json!({ "loadBalancing": { "algorithm": { "consistentHash": { "header": "x-9" } } } }), "small letters"),
        (json!({ "basicAuth": { "credentials": { "name": "u" }, "realm": "$hostname" } }), "realm"),
        (json!({ "accessLog": { "format": { "json": { "fields": { "a": "$nothing" } } } } }), "no variable"),
        (json!({ "accessLog": { "format": { "json": { "fields": { "a": "'; }" } } } } }), "language"),
        (json!({ "tracing": { "service": "c", "namespace": "elsewhere", "port": 4317 } }), "does not allow"),
        (
            json!({ "headerModification": { "request": { "set": [{ "name": "x-a", "value": "$remote_addr" }] } } }),
            "language",
        ),
        (json!({ "redirect": { "path": { "replaceFullPath": "/a$b" } } }), "language"),
    ] {
        refused(&intent, word);
    }
}

fn refused(intent: &Value, word: &str) {
    let case =
        json!({ "intent": intent, "accept": ["timeout/gap-between-reads", "session-affinity/by-client-address"] });
    let problems = common::problems(&documents(&case));
    assert!(problems.iter().any(|line| line.starts_with("GWM060") && line.contains(word)), "{intent}: {problems:#?}");
    assert!(!problems.iter().any(|line| line.starts_with("GWM05")), "{intent}: {problems:#?}");
}

#[test]
fn basic_authentication_is_a_filter_of_the_rule_and_a_secret_of_the_right_type() {
    let case = json!({ "intent": { "basicAuth": { "credentials": { "name": "users" } } } });
    let release = common::release(&documents(&case));
    let route = &common::of_kind(&release, "HTTPRoute")[0];
    let reference = &route["spec"]["rules"][0]["filters"][0]["extensionRef"];
    let filter = &common::of_kind(&release, "AuthenticationFilter")[0];
    assert_eq!((&reference["kind"], &reference["name"]), (&json!("AuthenticationFilter"), &filter["metadata"]["name"]));
    let secret = &release.derived_secrets[0];
    assert_eq!(secret.secret_type.as_deref(), Some("nginx.org/htpasswd"));
    assert_eq!(filter["spec"]["basic"]["secretRef"]["name"], secret.name.as_str());
}
