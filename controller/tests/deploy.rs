//! The files under `deploy/` are made from the types, the modules and their samples, and are not stale.
//!
//! `GATEWAY_MODULES_UPDATE=1 cargo test -p gateway-modules-controller --test deploy` writes them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeSet, path::Path};

use gateway_modules::{
    InstalledCrds, compile_offline,
    core::{channel::Channel, intent::crd::definitions, module::Verdict},
};
use gateway_modules_controller::rbac::{cluster_rules, record_rules};
use gateway_modules_testkit::samples::{self, Documents};
use serde_json::{Value, json};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
const MADE: &str = "# Made by `GATEWAY_MODULES_UPDATE=1 cargo test -p gateway-modules-controller --test deploy`.\n";
const NAMESPACE: &str = "gateway-modules";
const NAME: &str = "gateway-modules-controller";

/// Endpoints without policies.
const PLANE: &str = r"
apiVersion: gatewaymodules.dev/v1alpha1
kind: DataPlane
metadata: { name: main }
spec: {}
---
apiVersion: gatewaymodules.dev/v1alpha1
kind: Component
metadata: { name: catalog, namespace: shop }
spec:
  endpoints:
    - { name: api, type: HTTP, port: 80, visibilities: [external, internal] }
    - { name: live, type: WebSocket, port: 81, visibilities: [external] }
    - { name: rpc, type: GRPC, port: 82, visibilities: [external], hostnames: [rpc.example.com] }
";

/// Kinds that the modules make of everything that the samples say, with all differences accepted, and with the parameters that
/// the adapters' expected objects need.
fn emitted() -> BTreeSet<(String, String)> {
    let registry = gateway_modules::registry().unwrap();
    let mut kinds = BTreeSet::new();
    let plane = Documents::from_yaml(PLANE);
    let all: Vec<Documents> = samples::all().into_iter().map(|sample| sample.documents).chain([plane]).collect();
    for module in registry.names() {
        let cases = expected(module);
        let mut parameters = json!({});
        for case in &cases {
            merge(&mut parameters, &case["parameters"]);
        }
        for parameters in [json!({}), parameters] {
            for documents in all.iter().chain(&with_policies(&cases)) {
                let mut documents = documents.clone();
                documents.plane_mut()["spec"]["gateway"] = json!({"module": module, "parameters": parameters});
                for channel in [Channel::Standard, Channel::Experimental] {
                    let names = collect(&documents, &registry, channel, &mut kinds);
                    let mut documents = documents.clone();
                    documents.plane_mut()["spec"]["accept"] = json!(names);
                    collect(&documents, &registry, channel, &mut kinds);
                }
            }
        }
    }
    kinds
}

/// Adds the kinds of a release; returns the names of the differences.
fn collect(
    documents: &Documents,
    registry: &gateway_modules::Registry,
    channel: Channel,
    kinds: &mut BTreeSet<(String, String)>,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let crds = InstalledCrds::assumed(channel);
    let Ok(intent) = documents.load() else { return names };
    for plane in compile_offline(&intent, registry, &crds).into_iter().flatten() {
        for entry in plane.compiled.release.iter().flat_map(|release| &release.objects) {
            let kind = entry.object.kind();
            kinds.insert((kind.group.to_string(), kind.kind.to_string()));
        }
        for outcome in plane.compiled.report.entries.iter().flat_map(|entry| &entry.outcomes) {
            if let Verdict::Approximate { differences } = &outcome.verdict {
                names.extend(differences.iter().map(|difference| difference.name.clone()));
            }
        }
    }
    names
}

/// The cases of the adapter's expected objects.
fn expected(module: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let folder = format!("{}/../adapters/{module}/tests/expected", env!("CARGO_MANIFEST_DIR"));
    for file in std::fs::read_dir(folder).into_iter().flatten() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let document: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            all.extend(document.as_array().cloned().unwrap_or_else(|| vec![document]));
        }
    }
    all
}

/// The policies of the cases, on an endpoint and on the whole plane.
fn with_policies(cases: &[Value]) -> Vec<Documents> {
    let mut all = Vec::new();
    for policies in cases.iter().map(|case| &case["intent"]).filter(|policies| policies.is_object()) {
        let mut documents = Documents::from_yaml(PLANE);
        documents.component_mut()["spec"]["endpoints"][0]["policies"] = policies.clone();
        all.push(documents);
        let mut documents = Documents::from_yaml(PLANE);
        documents.plane_mut()["spec"]["policies"] = json!({ "defaults": policies });
        all.push(documents);
    }
    all
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, from) => *into = from.clone(),
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
