//! Small intents on every module, for the suites of traps.
#![allow(dead_code)] // each suite uses some of it

use gateway_modules::core::{
    channel::Channel,
    compile::{Compiled, Release, Role},
    intent::{Intent, load::Loader},
    module::Registry,
    resolve::{DataPlaneTopology, resolve},
};
use gateway_modules_testkit::contract::{Bench, differences};
use serde_json::{Value, json};

use crate::support;

/// Runs a check on one module, in every version and channel.
pub(crate) fn on(module: &str, check: impl Fn(&Bench<'_>)) {
    on_all(|bench| {
        if bench.module.metadata().name == module {
            check(bench);
        }
    });
}

/// Runs a check on every module, version and channel.
pub(crate) fn on_all(check: impl Fn(&Bench<'_>)) {
    let registry: Registry = gateway_modules::registry().expect("registry");
    for (_, module, parameters) in support::modules(&registry) {
        for version in module.metadata().versions {
            for channel in [Channel::Standard, Channel::Experimental] {
                check(&Bench::new(module.as_ref(), version, channel, parameters.clone()));
            }
        }
    }
}

/// A plane with an external visibility, and an internal one where it is used, as this gateway needs it, and components;
/// differences are accepted.
pub(crate) fn compile(bench: &Bench<'_>, listeners: Option<Value>, components: &[Value]) -> (Intent, Compiled) {
    let mut plane = json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "DataPlane",
        "metadata": {"name": "traps"},
        "spec": {"visibilities": {"external": {"namespace": "gateways", "domain": "example.com"}}},
    });
    if components.iter().any(|component| component.to_string().contains("\"internal\"")) {
        plane["spec"]["visibilities"]["internal"] = json!({"namespace": "gateways", "domain": "internal.example.com"});
    }
    if let Some(listeners) = listeners {
        plane["spec"]["visibilities"]["external"]["listeners"] = listeners;
    }
    let compile_with = |plane: &Value| {
        let mut documents = bench_documents(bench, plane);
        documents.extend(components.iter().cloned());
        let intent = load(&documents);
        let mut planes = bench.compile_planes(&intent).unwrap_or_else(|refused| panic!("{}", refused.0));
        (intent, planes.remove(0).1)
    };
    let (intent, compiled) = compile_with(&plane);
    let names = differences(&compiled);
    if compiled.release.is_some() || names.is_empty() {
        return (intent, compiled);
    }
    plane["spec"]["accept"] = json!(names);
    compile_with(&plane)
}

fn bench_documents(bench: &Bench<'_>, plane: &Value) -> Vec<Value> {
    let mut plane = plane.clone();
    let mut gateway = json!({});
    if bench.module.metadata().default_class.is_none() {
        gateway["className"] = json!("traps");
    }
    let parameters = match bench.module.metadata().name {
        "generic" => support::claims(),
        name => support::options(name),
    };
    if !parameters.is_empty() {
        gateway["parameters"] = Value::Object(parameters);
    }
    plane["spec"]["gateway"] = gateway;
    vec![plane]
}

fn load(documents: &[Value]) -> Intent {
    let text: Vec<String> = documents.iter().map(Value::to_string).collect();
    let loaded = Loader::new().text("traps.yaml", &text.join("\n---\n")).finish();
    loaded.unwrap_or_else(|problems| panic!("{problems}")).intent
}

pub(crate) fn component(namespace: &str, name: &str, endpoints: Value) -> Value {
    json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "Component",
        "metadata": {"namespace": namespace, "name": name}, "spec": {"endpoints": endpoints},
    })
}

pub(crate) fn routes(release: &Release) -> Vec<Value> {
    let is_route = |role: &Role| matches!(role, Role::Route { .. });
    release.objects.iter().filter(|object| is_route(&object.role)).map(|object| object.object.to_value()).collect()
}

pub(crate) fn refused(compiled: &Compiled) -> bool {
    compiled.release.is_none() && compiled.diagnostics.has_errors()
}

pub(crate) fn topology(intent: &Intent) -> DataPlaneTopology {
    resolve(intent).expect("a topology").remove(0)
}
