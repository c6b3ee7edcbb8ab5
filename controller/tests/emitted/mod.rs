//! Everything that the modules make of everything that the samples say.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each suite uses its part")]

use std::collections::BTreeSet;

use gateway_modules::{
    InstalledCrds, compile_offline,
    core::{channel::Channel, compile::Release, module::Verdict},
};
use gateway_modules_testkit::samples::{self, Documents};
use serde_json::{Value, json};

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

/// Endpoints below HTTP, with their listeners: one document for each, since gateways take some of them.
fn streams() -> impl Iterator<Item = Documents> {
    let tls = json!({"name": "stream", "protocol": "TLS", "port": 8443, "tls": {"mode": "Passthrough"}});
    let [tcp, udp] = ["TCP", "UDP"].map(|kind| json!({"name": "stream", "protocol": kind, "port": 90}));
    [("TLS", tls), ("TCP", tcp), ("UDP", udp)].into_iter().map(|(kind, listener)| {
        let mut documents = Documents::from_yaml(PLANE);
        documents.plane_mut()["spec"]["visibilities"] = json!({"external": {"listeners": [listener]}});
        let mut endpoint = json!({"name": "stream", "type": kind, "port": 90, "visibilities": ["external"]});
        if kind == "TLS" {
            endpoint["hostnames"] = json!(["tls.example.com"]);
        }
        documents.component_mut()["spec"]["endpoints"] = json!([endpoint]);
        documents
    })
}

/// What is visited: the name of the module, the channel, the documents, their release.
pub(crate) type Visit<'a> = dyn FnMut(&str, Channel, &Documents, &Release) + 'a;

/// Visits all releases that the modules make of the samples, with all differences accepted, and with the parameters that the
/// adapters' expected objects need.
pub(crate) fn visit(channels: &[Channel], visit: &mut Visit<'_>) {
    let registry = gateway_modules::registry().unwrap();
    let plane = Documents::from_yaml(PLANE);
    let all: Vec<Documents> =
        samples::all().into_iter().map(|sample| sample.documents).chain([plane]).chain(streams()).collect();
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
                for channel in channels {
                    let names = compile(&documents, &registry, module, *channel, visit);
                    let mut documents = documents.clone();
                    documents.plane_mut()["spec"]["accept"] = json!(names);
                    compile(&documents, &registry, module, *channel, visit);
                }
            }
        }
    }
}

/// Kinds that the modules make.
pub(crate) fn kinds() -> BTreeSet<(String, String)> {
    let mut kinds = BTreeSet::new();
    visit(&[Channel::Standard, Channel::Experimental], &mut |_, _, _, release| {
        kinds.extend(release.objects.iter().map(|entry| {
            let kind = entry.object.kind();
            (kind.group.to_string(), kind.kind.to_string())
        }));
    });
    kinds
}

/// Shows the releases; returns the names of the differences.
fn compile(
    documents: &Documents,
    registry: &gateway_modules::Registry,
    module: &str,
    channel: Channel,
    visit: &mut Visit<'_>,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let crds = InstalledCrds::assumed(channel);
    let Ok(intent) = documents.load() else { return names };
    for plane in compile_offline(&intent, registry, &crds).into_iter().flatten() {
        if let Some(release) = &plane.compiled.release {
            visit(module, channel, documents, release);
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
