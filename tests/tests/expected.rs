//! Objects that were written by hand from the vendors' documentation, compared with what the compiler emits.
//!
//! `adapters/<module>/tests/expected/*.yaml` hold `kind`, `intent` (the policies of the endpoint `api` of component `shop/catalog`
//! on the host `api.example.com`), `spec`, and where it matters `version`, `channel`, `parameters` and `at` (a pointer into the spec, where the object holds more than the policy). `<name>` stands for any text; `targetRefs` and names of objects are core's and left out.

use gateway_modules::core::{
    channel::Channel,
    intent::policies::{Policies, PolicyKind},
};
use gateway_modules_testkit::{contract::Bench, samples};
use serde_json::Value;

mod support;

/// The value with `<…>` in place of texts for which the expected one has that.
fn like(value: &Value, expected: &Value) -> Value {
    match (value, expected) {
        (Value::String(_), Value::String(text)) if text.starts_with('<') && text.ends_with('>') => expected.clone(),
        (Value::Object(map), Value::Object(wanted)) => map
            .iter()
            .map(|(key, value)| {
                (key.clone(), wanted.get(key).map_or_else(|| value.clone(), |wanted| like(value, wanted)))
            })
            .collect(),
        (Value::Array(items), Value::Array(wanted)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| wanted.get(index).map_or_else(|| item.clone(), |wanted| like(item, wanted)))
            .collect(),
        _ => value.clone(),
    }
}

#[test]
fn what_the_documentation_says_is_what_is_emitted() {
    let registry = gateway_modules::registry().expect("no duplicates");
    let mut failures = Vec::new();
    for (name, module) in registry.iter() {
        let folder = support::repository(&format!("adapters/{name}/tests/expected"));
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let mut files: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        let own = support::repository(&format!("adapters/{name}/tests/expected.rs")).is_file();
        let (mut objects, mut by_adapter) = (0, 0);
        for path in &files {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path).expect("readable");
            let parsed: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name} {file}: {error}"));
            let cases = match parsed {
                Value::Array(cases) => cases,
                one => vec![one],
            };
            for case in &cases {
                // Whole rules, several objects or a refusal: the adapter's own test of this folder compares those.
                if own && case.get("kind").is_none() {
                    by_adapter += 1;
                    continue;
                }
                objects += 1;
                if let Err(problem) = compare(module.as_ref(), case) {
                    failures.push(format!("{name} {file}: {problem}"));
                }
            }
        }
        println!("{name}: {objects} objects in {} files, and {by_adapter} by the adapter's own test", files.len());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn compare(module: &dyn gateway_modules::core::module::GatewayModule, case: &Value) -> Result<(), String> {
    let kinds = serde_json::from_value::<Policies>(case["intent"].clone()).map_err(|error| error.to_string())?.kinds();
    // The plane of the sample of the most demanding kind: HTTPS for client certificates, references for tracing.
    let plane = [PolicyKind::ClientCertificate, PolicyKind::Tracing, PolicyKind::AccessLog]
        .into_iter()
        .find(|kind| kinds.contains(kind))
        .unwrap_or(PolicyKind::Cors);
    let mut documents = samples::with_policies(plane, &case["intent"]).ok_or("no sample")?;
    documents.component_mut()["metadata"]["name"] = "catalog".into();
    documents.component_mut()["spec"]["endpoints"][0]["hostnames"] = serde_json::json!(["api.example.com"]);
    let version = case["version"].as_str().unwrap_or(module.metadata().default_version);
    let channel = if case["channel"] == "experimental" { Channel::Experimental } else { Channel::Standard };
    let parameters = case["parameters"].as_object().cloned().unwrap_or_default();
    let bench = Bench::new(module, version, channel, parameters);
    let (compiled, _) = bench.compile_accepting(&documents).map_err(|refused| refused.0.to_string())?;
    let Some(release) = compiled.release else { return Err(compiled.diagnostics.to_string()) };
    let (kind, wanted) = (case["kind"].as_str().ok_or("no kind")?, &case["spec"]);
    let found: Vec<Value> = release
        .objects
        .iter()
        .filter(|object| object.object.kind().kind == kind)
        .map(|object| {
            let at = case["at"].as_str().unwrap_or_default();
            let mut spec = object.object.pointer(&format!("/spec{at}")).cloned().unwrap_or(Value::Null);
            // Core's, unless the expected object says what they are.
            if wanted.get("targetRefs").is_none()
                && let Some(spec) = spec.as_object_mut()
            {
                spec.remove("targetRefs");
            }
            spec
        })
        .collect();
    if found.iter().any(|spec| like(spec, wanted) == *wanted) {
        Ok(())
    } else {
        Err(format!("no {kind} is as expected\n  wanted {wanted}\n  found  {}", Value::Array(found)))
    }
}

#[test]
fn every_module_has_expected_objects() {
    for (name, _) in gateway_modules::registry().expect("no duplicates").iter().filter(|(name, _)| *name != "generic") {
        let folder = support::repository(&format!("adapters/{name}/tests/expected"));
        assert!(folder.is_dir(), "{name} has no tests/expected with objects from its vendor's documentation");
    }
}
