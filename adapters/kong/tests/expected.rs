//! Each file of `expected/` says by hand, from Kong's own CRDs, plugin schemas and documentation, what becomes of a policy.

#![allow(clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, fs, path::PathBuf};

use gateway_module_kong::Kong;
use gateway_modules_core::{
    channel::Channel,
    compile::{CompileInput, Compiled, ReleaseObject, compile},
    intent::load::load_str,
    module::{Acknowledgement, ContributionValue},
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
    /// `config` of the KongPlugin of each type.
    #[serde(default)]
    plugins: BTreeMap<String, Value>,
    /// Annotations that the Service gets.
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// Differences that the endpoint accepts, all of which must be there.
    #[serde(default)]
    accept: Vec<String>,
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
    let mut gateway = serde_json::json!({ "module": "kong" });
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
            { "name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"], "rules": case.rules, "policies": case.intent, "accept": case.accept },
        ] },
    });
    let loaded =
        load_str("case.yaml", &format!("{plane}\n---\n{component}\n")).unwrap_or_else(|error| panic!("{error:?}"));
    let planes = resolve(&loaded.intent).unwrap_or_else(|error| panic!("{error:?}"));
    let module = Kong::new();
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

fn plugins(objects: &[ReleaseObject]) -> BTreeMap<String, Value> {
    let plugins = objects.iter().map(|object| &object.object).filter(|object| object.kind().kind == "KongPlugin");
    plugins
        .map(|object| {
            let plugin = object.pointer("/plugin").and_then(Value::as_str).expect("plugin");
            (plugin.to_owned(), object.pointer("/config").expect("config").clone())
        })
        .collect()
}

/// A difference that nobody accepts stops the release.
#[test]
fn what_differs_must_be_accepted_by_name() {
    for (file, mut case) in cases().into_iter().filter(|(_, case)| !case.accept.is_empty()) {
        case.accept.clear();
        assert!(compiled(&case).release.is_none(), "{file}");
    }
}

/// `KongPlugin.config` is opaque to the CRD: each plugin has a schema of its own here, written from its `schema.lua`.
#[test]
fn what_plugins_are_given_fits_their_own_schemas() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plugins");
    for (file, case) in cases().into_iter().filter(|(_, case)| case.refused.is_none()) {
        for (plugin, config) in plugins(&compiled(&case).release.expect("a release").objects) {
            let text = fs::read_to_string(folder.join(format!("{plugin}.yaml")));
            let text = text.unwrap_or_else(|error| panic!("{file}: {plugin}: {error}"));
            let schema: Value = serde_saphyr::from_str(&text).expect("a schema");
            let problems: Vec<String> = jsonschema::validator_for(&schema)
                .expect("a schema")
                .iter_errors(&config)
                .map(|error| error.to_string())
                .collect();
            assert!(problems.is_empty(), "{file}: {plugin}: {problems:?}");
        }
    }
}

/// A KongPlugin that is missing leaves its route open (`kongstate.go`, buildPlugins), and one that no route names is never
/// programmed: the closed route names it too, and stays closed until it is.
#[test]
fn a_route_with_a_security_policy_is_closed_until_its_plugin_is_programmed() {
    let (_, case) = cases().into_iter().find(|(file, _)| file.ends_with("/ip-access.yaml")).expect("a case");
    let release = compiled(&case).release.expect("a release");
    let route = release.objects.iter().find(|object| object.gate.is_some()).expect("a gate");
    let gate = route.gate.as_ref().expect("a gate");
    assert_eq!(gate.policies.len(), 1);
    assert_eq!(gate.policies[0].acknowledgement, Acknowledgement::Condition("Programmed".into()));
    assert_eq!(gate.policies[0].object.kind.kind, "KongPlugin");
    let closed = gate.closed.0.to_value();
    assert_eq!(closed["spec"]["rules"][0]["filters"][0]["extensionRef"]["name"], gate.policies[0].object.name);
    assert_ne!(closed["spec"]["rules"][0]["backendRefs"][0]["name"], "catalog");
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
    let found: BTreeMap<String, Value> = plugins(&release.objects);
    assert_eq!(found, case.plugins, "{file}");
    // Each plugin is named by a filter of the rule, and by nothing else.
    let route = find("HTTPRoute");
    for object in release.objects.iter().filter(|object| object.object.kind().kind == "KongPlugin") {
        let filters = route["spec"]["rules"][0]["filters"].as_array().expect("filters");
        let count = filters.iter().filter(|filter| filter["extensionRef"]["name"] == object.object.name()).count();
        assert_eq!(count, 1, "{file}");
    }
    let annotations: BTreeMap<String, String> = release
        .contributions
        .iter()
        .filter_map(|contribution| match &contribution.value {
            ContributionValue::Annotation { name, value } => Some((name.clone(), value.clone())),
            _ => None,
        })
        .map(|(name, value)| (name, if names.contains(&value) { "<name>".to_owned() } else { value }))
        .collect();
    assert_eq!(annotations, case.annotations, "{file}");
    for name in &case.accept {
        let report = serde_json::to_string(&release.report).expect("json");
        assert!(report.contains(name.as_str()), "{file}: nothing differs by {name}");
    }
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
