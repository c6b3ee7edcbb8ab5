//! Compiles texts for Istio.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use gateway_module_istio::Istio;
use gateway_modules_core::{
    channel::Channel,
    compile::{CompileInput, Compiled, Release, compile},
    intent::load::Loader,
    resolve::resolve,
};
use serde_json::Value;

/// Compiles documents, all of one plane.
pub(crate) fn compiled(documents: &str) -> Compiled {
    compiled_for(documents, Channel::Standard)
}

pub(crate) fn compiled_for(documents: &str, channel: Channel) -> Compiled {
    let loaded = Loader::new().text("test.yaml", documents).finish().unwrap_or_else(|problems| panic!("{problems:#?}"));
    let planes = resolve(&loaded.intent).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let module = Istio::new();
    let input = CompileInput::offline(&loaded.intent, &planes[0], &module, channel).expect("version");
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

/// What stops the release, one line each.
pub(crate) fn problems(documents: &str) -> Vec<String> {
    let compiled = compiled(documents);
    assert!(compiled.release.is_none(), "must be refused");
    compiled
        .diagnostics
        .0
        .iter()
        .filter(|one| one.code.starts_with("GWM0"))
        .map(|one| format!("{} {}: {}", one.code, one.pointer, one.message))
        .collect()
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

/// The rules of the ALLOW policy of a Gateway.
pub(crate) fn rules(release: &Release, gateway: &str) -> Vec<Value> {
    let policies = of_kind(release, "AuthorizationPolicy");
    let policy = policies
        .iter()
        .find(|policy| {
            policy["spec"]["action"] == "ALLOW"
                && policy["spec"]["targetRefs"][0]["name"].as_str().is_some_and(|name| name.contains(gateway))
        })
        .expect("standing policy");
    policy["spec"]["rules"].as_array().cloned().unwrap_or_default()
}
