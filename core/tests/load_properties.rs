//! Properties of the loader: no input makes it panic, the same input gives the same answer, what is written reads back.

#![allow(clippy::expect_used, clippy::panic, clippy::format_collect)]

use gateway_modules_core::intent::{
    Intent,
    check::check,
    load::{load_reader, load_str},
};
use proptest::prelude::*;

const SHOP: &str = r#"apiVersion: gatewaymodules.dev/v1alpha1
kind: DataPlane
metadata: { name: main, labels: { tier: public } }
spec:
  gateway: { module: kgateway, version: "2.4", parameters: { replicas: 2, nested: { a: [1, null, x] } } }
  visibilities:
    external:
      domain: shop.example.com
      listeners:
        - { name: http, protocol: HTTP, port: 80, redirectTo: https }
        - { name: https, protocol: HTTPS, port: 443, tls: { certificates: [{ name: cert }] } }
        - { name: tcp, protocol: TCP, port: 9000 }
      addresses: [{ ip: 203.0.113.7 }]
  policies: { defaults: { timeouts: { request: 1m30s } } }
---
apiVersion: gatewaymodules.dev/v1alpha1
kind: Component
metadata: { name: catalog, namespace: shop, annotations: { note: "a: b" } }
spec:
  dataPlanes: { names: [main] }
  endpoints:
    - name: api
      type: HTTP
      port: 8080
      visibilities: [external]
      rules:
        - matches: [{ path: { prefix: /v1 }, headers: [{ name: X-A, value: { exact: b } }] }]
          backends: [{ service: a, weight: 9 }, { service: b }]
          policies: { rateLimit: { requests: 10, per: 1s, key: { clientIp: {} } } }
      policies:
        ipAccess: { allow: [10.0.0.0/8] }
        bodySizeLimit: { max: 10Mi }
    - { name: raw, type: TCP, port: 9000, visibilities: [external] }
  overrides:
    - dataPlane: main
      endpoints: [{ name: api, hostnames: [shop.example.com] }]
"#;

/// The documents of an intent as YAML.
fn write(intent: &Intent) -> String {
    let planes = intent.data_planes.iter().map(|plane| ("DataPlane", plane.to_json()));
    let components = intent.components.iter().map(|component| ("Component", component.to_json()));
    planes
        .chain(components)
        .map(|(kind, json)| {
            let mut json = json.expect("json");
            json["apiVersion"] = "gatewaymodules.dev/v1alpha1".into();
            json["kind"] = kind.into();
            format!("---\n{}", serde_saphyr::to_string(&json).expect("yaml"))
        })
        .collect()
}

#[test]
fn what_is_written_reads_back() {
    let first = load_str("a", SHOP).expect("loads");
    assert!(first.warnings.0.is_empty(), "{}", first.warnings);
    let again = load_str("b", &write(&first.intent)).expect("loads");
    assert_eq!(write(&first.intent), write(&again.intent));
    for (one, two) in first.intent.components.iter().zip(&again.intent.components) {
        assert_eq!((&one.metadata, &one.spec), (&two.metadata, &two.spec));
    }
    for (one, two) in first.intent.data_planes.iter().zip(&again.intent.data_planes) {
        assert_eq!((&one.metadata, &one.spec), (&two.metadata, &two.spec));
    }
    let field = first.intent.components[0].field("/spec/endpoints/1/port");
    assert_eq!(first.intent.origin(&field).to_string(), "a:33:37");
    let field = first.intent.components[0].field("/spec/endpoints/0/policies/ipAccess");
    assert_eq!(first.intent.origin(&field).to_string(), "a:31:9");
}

/// The same answer twice, and never a panic.
fn steady(bytes: &[u8]) {
    let (one, two) = (load_reader("a", bytes), load_reader("a", bytes));
    match (&one, &two) {
        (Err(one), Err(two)) => {
            assert_eq!(one.to_string(), two.to_string());
            assert!(one.has_errors());
        }
        (Ok(one), Ok(two)) => {
            assert_eq!(one, two);
            assert!(!check(&one.intent).has_errors());
        }
        _ => panic!("two answers"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        steady(&bytes);
    }

    #[test]
    fn words_of_yaml_never_panic(words in proptest::collection::vec(
        prop_oneof![
            Just("- "), Just(": "), Just("\n"), Just("  "), Just("{"), Just("}"), Just("["), Just("]"), Just("&a "), Just("*a"),
            Just("---\n"), Just("...\n"), Just("? "), Just("| "), Just("> "), Just("\""), Just("'"), Just("!t "), Just("%YAML 1.2\n"),
            Just("a"), Just("1"), Just("<<"), Just(","), Just("#"), Just("\t"), Just("é"), Just("apiVersion: gatewaymodules.dev/v1alpha1\n"),
            Just("kind: Component\n"), Just("spec:"), Just("metadata:"), Just("~"),
        ], 0..60)) {
        steady(words.concat().as_bytes());
    }

    #[test]
    fn mutated_intents_never_panic(at in 0..SHOP.len(), length in 0..40_usize, with in "[ -~\n\té]{0,6}") {
        let mut text = SHOP.as_bytes().to_vec();
        let end = (at + length).min(text.len());
        text.splice(at..end, with.bytes());
        steady(&text);
    }

    #[test]
    fn any_value_at_any_place_is_judged(line in 0..SHOP.lines().count(), value in prop_oneof![
        Just("~"), Just("[]"), Just("{}"), Just("1e400"), Just(".nan"), Just("-0"), Just("true"), Just("\"\\0\""), Just("*x"), Just("{a: {b: [c]}}"),
    ]) {
        let text: String = SHOP
            .lines()
            .enumerate()
            .map(|(index, written)| match written.split_once(':') {
                Some((key, _)) if index == line => format!("{key}: {value}\n"),
                _ => format!("{written}\n"),
            })
            .collect();
        steady(text.as_bytes());
    }
}
