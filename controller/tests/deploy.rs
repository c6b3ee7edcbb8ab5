//! The files under `deploy/` are made from the types, the modules and their samples, and are not stale.
//!
//! `GATEWAY_MODULES_UPDATE=1 cargo test -p gateway-modules-controller --test deploy` writes them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeSet, path::Path};

use gateway_modules::{InstalledCrds, compile_for, core::channel::Channel, core::intent::crd::definitions};
use gateway_modules_controller::rbac::{cluster_rules, record_rules};
use gateway_modules_testkit::samples;
use serde_json::{Value, json};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
const MADE: &str = "# Made by `GATEWAY_MODULES_UPDATE=1 cargo test -p gateway-modules-controller --test deploy`.\n";
const NAMESPACE: &str = "gateway-modules";
const NAME: &str = "gateway-modules-controller";

/// A plane whose Gateways need parameters, and endpoints of all types.
const PLANE: &str = r"
apiVersion: gatewaymodules.dev/v1alpha1
kind: Component
metadata: { name: catalog, namespace: shop }
spec:
  endpoints:
    - { name: api, type: HTTP, port: 80, visibilities: [external, internal] }
    - { name: live, type: WebSocket, port: 81, visibilities: [external] }
    - { name: rpc, type: GRPC, port: 82, visibilities: [external], hostnames: [rpc.example.com] }
";

/// Kinds that the modules make of everything that the samples say.
fn emitted() -> BTreeSet<(String, String)> {
    let registry = gateway_modules::registry().unwrap();
    let mut kinds = BTreeSet::new();
    let plane = gateway_modules::core::intent::load::load_str("plane.yaml", PLANE).unwrap().intent;
    let intents = samples::all().into_iter().filter_map(|sample| sample.documents.load().ok()).chain([plane]);
    for intent in intents {
        for module in registry.names() {
            for channel in [Channel::Standard, Channel::Experimental] {
                let crds = InstalledCrds::assumed(channel);
                let Ok(planes) = compile_for(&intent, &registry, module, &crds) else { continue };
                for release in planes.iter().filter_map(|plane| plane.compiled.release.as_ref()) {
                    for entry in &release.objects {
                        let kind = entry.object.kind();
                        kinds.insert((kind.group.to_string(), kind.kind.to_string()));
                    }
                }
            }
        }
    }
    // What no sample can make without a capability of the installation stands in the adapters' expected objects.
    for module in registry.names() {
        let folder = format!("{}/../adapters/{module}/tests/expected", env!("CARGO_MANIFEST_DIR"));
        for file in std::fs::read_dir(folder).into_iter().flatten() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for document in text.split("\n---\n") {
                collect(&serde_saphyr::from_str(document).unwrap(), &mut kinds);
            }
        }
    }
    kinds
}

/// Kinds of all objects in a document.
fn collect(value: &Value, kinds: &mut BTreeSet<(String, String)>) {
    if let (Some(version), Some(kind)) = (value["apiVersion"].as_str(), value["kind"].as_str())
        && !version.starts_with("gatewaymodules.dev/")
    {
        kinds.insert((version.split_once('/').map_or("", |(group, _)| group).to_owned(), kind.to_owned()));
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|value| collect(value, kinds)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, kinds)),
        _ => {}
    }
}

fn yaml(documents: &[Value]) -> String {
    let texts: Vec<String> = documents.iter().map(|document| serde_saphyr::to_string(document).unwrap()).collect();
    MADE.to_owned() + &texts.iter().map(|text| text.trim_end()).collect::<Vec<_>>().join("\n---\n") + "\n"
}

fn check(file: &str, text: &str) {
    let path = Path::new(DEPLOY).join(file);
    if std::env::var_os("GATEWAY_MODULES_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, text, "deploy/{file} is stale: make it again as its first line says");
}

#[test]
fn definitions_are_not_stale() {
    for definition in definitions() {
        let plural = definition["spec"]["names"]["plural"].as_str().unwrap().to_owned();
        check(&format!("crds/{plural}.yaml"), &yaml(&[definition]));
    }
}

#[test]
fn rights_are_those_that_the_modules_need() {
    let binding = |kind: &str, role: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        })
    };
    let mut cluster = binding("ClusterRoleBinding", "ClusterRole");
    cluster["metadata"] = json!({"name": NAME});
    let mut namespaced = binding("RoleBinding", "Role");
    namespaced["metadata"] = json!({"name": NAME, "namespace": NAMESPACE});
    let documents = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": NAME},
            "rules": cluster_rules(&emitted()),
        }),
        cluster,
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": NAME, "namespace": NAMESPACE}, "rules": record_rules(),
        }),
        namespaced,
    ];
    check("rbac.yaml", &yaml(&documents));
}
