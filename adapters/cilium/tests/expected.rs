//! Each file of `expected/` says by hand, from Cilium's own CRDs and documentation, what becomes of a policy.

#![allow(clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, fs, path::PathBuf};

use gateway_module_cilium::Cilium;
use gateway_modules_core::{
    channel::Channel,
    compile::{CompileInput, Compiled, compile},
    intent::load::load_str,
    resolve::resolve,
    validate::{Schemas, validate},
};
use serde::Deserialize;
use serde_json::Value;

/// One file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    #[serde(default)]
    channel: Channel,
    #[serde(default)]
    version: Option<String>,
    /// `gateway.parameters`.
    #[serde(default)]
    parameters: Value,
    /// The visibility `external`, besides its domain.
    #[serde(default)]
    visibility: serde_json::Map<String, Value>,
    /// Rules of the endpoint.
    #[serde(default)]
    rules: Vec<Value>,
    /// Policies of the endpoint.
    intent: Value,
    /// What the rule holds besides matches, name and backends.
    #[serde(default)]
    rule: Option<Value>,
    /// Spec of the object of each kind.
    #[serde(default)]
    objects: BTreeMap<String, Value>,
    /// A part of the reason for which it is refused.
    #[serde(default)]
    refused: Option<String>,
}

fn cases() -> Vec<(String, Case)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/expected");
    let mut files: Vec<_> = fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let read = |path: &PathBuf| fs::read_to_string(path).expect("file");
    files
        .iter()
        .map(|path| (path.display().to_string(), serde_saphyr::from_str(&read(path)).expect("a case")))
        .collect()
}

fn compiled(case: &Case) -> Compiled {
    let mut gateway = serde_json::json!({ "module": "cilium" });
    if let Some(version) = &case.version {
        gateway["version"] = version.as_str().into();
    }
    if !case.parameters.is_null() {
        gateway["parameters"] = case.parameters.clone();
    }
    let mut visibility = case.visibility.clone();
    visibility.insert("domain".into(), "example.com".into());
    let plane = serde_json::json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "DataPlane", "metadata": { "name": "default" },
        "spec": { "gateway": gateway, "visibilities": { "external": visibility } },
    });
    let component = serde_json::json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "Component",
        "metadata": { "name": "catalog", "namespace": "shop" },
        "spec": { "endpoints": [
            { "name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"], "rules": case.rules, "policies": case.intent },
        ] },
    });
    let loaded =
        load_str("case.yaml", &format!("{plane}\n---\n{component}\n")).unwrap_or_else(|error| panic!("{error:?}"));
    let planes = resolve(&loaded.intent).unwrap_or_else(|error| panic!("{error:?}"));
    let module = Cilium::new();
    let input = CompileInput::offline(&loaded.intent, &planes[0], &module, case.channel).expect("input");
    let compiled = compile(&input);
    // The compiler is pure.
    assert_eq!(format!("{compiled:?}"), format!("{:?}", compile(&input)));
    compiled
}

/// Names are made by core; `<name>` stands for one.
fn without_names(value: &Value, names: &[String]) -> Value {
    match value {
        Value::String(text) if names.contains(text) => "<name>".into(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), without_names(value, names))).collect(),
        Value::Array(items) => items.iter().map(|item| without_names(item, names)).collect(),
        other => other.clone(),
    }
}

#[test]
fn what_is_emitted_is_what_was_written_by_hand() {
    let wrong: Vec<String> = cases()
        .into_iter()
        .filter(|(file, case)| std::panic::catch_unwind(|| check(file, case)).is_err())
        .map(|(file, _)| file)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn check(file: &str, case: &Case) {
    let compiled = compiled(case);
    if let Some(reason) = &case.refused {
        assert!(compiled.release.is_none(), "{file}: emitted");
        let report = serde_json::to_string(&compiled.report).expect("json");
        assert!(report.contains(reason.as_str()), "{file}: {:#?}", compiled.diagnostics);
        return;
    }
    let release = compiled.release.unwrap_or_else(|| panic!("{file}: {:#?}", compiled.diagnostics));
    let names: Vec<String> = release.objects.iter().map(|object| object.object.name().to_owned()).collect();
    let find = |kind: &str| {
        let mut found = release.objects.iter().filter(|object| object.object.kind().kind == kind);
        let object = found.next().unwrap_or_else(|| panic!("{file}: no {kind}"));
        assert!(found.next().is_none(), "{file}: two of {kind}");
        object.object.to_value()
    };
    if let Some(expected) = &case.rule {
        let mut rule = find("HTTPRoute")["spec"]["rules"][0].clone();
        for other in ["matches", "name", "backendRefs"] {
            rule.as_object_mut().expect("rule").remove(other);
        }
        assert_eq!(&without_names(&rule, &names), expected, "{file}");
    }
    for (kind, expected) in &case.objects {
        assert_eq!(&without_names(&find(kind)["spec"], &names), expected, "{file}: {kind}");
    }
    let text = serde_json::to_string(&release.objects).expect("json");
    assert!(!text.contains("ExtensionRef"), "{file}: Cilium ignores an ExtensionRef silently");
}

#[test]
fn what_is_emitted_is_valid() {
    let named = std::env::var_os("GATEWAY_MODULES_SCHEMAS").map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crds");
    let Some(folder) = named.or_else(|| beside.is_dir().then_some(beside)) else {
        eprintln!("skipped: GATEWAY_MODULES_SCHEMAS names no folder of CRDs");
        return;
    };
    let load = |channel| (channel, Schemas::load_folder(&folder, channel).expect("CRDs"));
    let loaded = [Channel::Standard, Channel::Experimental].map(load);
    for (file, case) in cases().into_iter().filter(|(_, case)| case.refused.is_none()) {
        let (_, schemas) = loaded.iter().find(|(channel, _)| *channel == case.channel).expect("CRDs");
        let release = compiled(&case).release.expect("a release");
        for object in &release.objects {
            let validation = validate(&object.object, schemas);
            assert!(validation.is_valid(), "{file}: {} {:#?}", object.object.key(), validation.violations());
        }
    }
}
