//! Compiles texts for Traefik.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use gateway_module_traefik::Traefik;
use gateway_modules_core::{
    channel::Channel,
    compile::{CompileInput, Compiled, Release, compile},
    intent::load::Loader,
    resolve::resolve,
};
use serde_json::{Value, json};

/// Compiles documents, all of one plane.
pub(crate) fn compiled(documents: &str) -> Compiled {
    let loaded = Loader::new().text("test.yaml", documents).finish().unwrap_or_else(|problems| panic!("{problems:#?}"));
    let planes = resolve(&loaded.intent).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let module = Traefik::new();
    let input = CompileInput::offline(&loaded.intent, &planes[0], &module, Channel::Standard).expect("version");
    compile(&input)
}

/// The release, or a panic with what stops it.
pub(crate) fn release(documents: &str) -> Release {
    compiled(documents).into_release().unwrap_or_else(|problems| {
        let texts: Vec<_> =
            problems.0.iter().map(|one| format!("{} {}: {}", one.code, one.pointer, one.message)).collect();
        panic!("{texts:#?}")
    })
}

/// What stops the release, one line each. A hole in the ledger is a bug, whatever else is wrong.
pub(crate) fn problems(documents: &str) -> Vec<String> {
    let compiled = compiled(documents);
    assert!(compiled.release.is_none(), "must be refused");
    let lines: Vec<String> =
        compiled.diagnostics.0.iter().map(|one| format!("{} {}: {}", one.code, one.pointer, one.message)).collect();
    assert!(!lines.iter().any(|line| line.starts_with("GWM05")), "{lines:#?}");
    lines
}

/// All objects of a kind.
pub(crate) fn of_kind(release: &Release, kind: &str) -> Vec<Value> {
    release
        .objects
        .iter()
        .map(|object| serde_json::to_value(&object.object).expect("json"))
        .filter(|object| object["kind"] == kind)
        .collect()
}

/// Documents of a plane and of the component `catalog` in `shop`.
pub(crate) fn documents(plane: &Value, endpoints: &Value) -> String {
    let mut spec = json!({ "gateway": { "module": "traefik" }, "visibilities": { "external": {} } });
    for (name, value) in plane.as_object().expect("mapping") {
        spec[name] = value.clone();
    }
    let plane = json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1",
        "kind": "DataPlane",
        "metadata": { "name": "default" },
        "spec": spec,
    });
    let component = json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1",
        "kind": "Component",
        "metadata": { "name": "catalog", "namespace": "shop" },
        "spec": { "endpoints": endpoints },
    });
    format!("{plane}\n---\n{component}\n")
}

/// The endpoint `api`, with these fields besides or instead.
pub(crate) fn endpoint(fields: &Value) -> Value {
    let mut endpoint = json!({
        "name": "api",
        "type": "HTTP",
        "port": 8080,
        "visibilities": ["external"],
        "hostnames": ["api.example.com"],
    });
    for (name, value) in fields.as_object().expect("mapping") {
        endpoint[name] = value.clone();
    }
    endpoint
}
