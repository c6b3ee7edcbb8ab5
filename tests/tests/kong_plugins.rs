//! `KongPlugin.config` is opaque to its CRD: each plugin has a schema of its own in `adapters/kong/tests/plugins`, written from
//! its `schema.lua`.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use gateway_modules_testkit::expected;
use serde_json::Value;

mod support;

#[test]
fn plugins_fit_their_own_schemas_and_stand_in_front_of_the_rule_once() {
    let kong = gateway_modules::registry().expect("no duplicates").get("kong").expect("compiled in");
    let folder = support::repository("adapters/kong/tests");
    let mut checked = 0;
    for (file, case) in expected::cases(&folder.join("expected")).expect("cases") {
        let (compiled, _) = case.compile(kong.as_ref()).unwrap_or_else(|problem| panic!("{file}: {problem}"));
        let Some(release) = compiled.release else { continue };
        let objects: Vec<Value> = release.objects.iter().map(|object| object.object.to_value()).collect();
        let filters: Vec<&Value> = objects
            .iter()
            .filter_map(|object| object.pointer("/spec/rules/0/filters"))
            .flat_map(|filters| filters.as_array().expect("a list"))
            .collect();
        for object in objects.iter().filter(|object| object["kind"] == "KongPlugin") {
            let plugin = object["plugin"].as_str().expect("a plugin");
            let text = std::fs::read_to_string(folder.join(format!("plugins/{plugin}.yaml")));
            let text = text.unwrap_or_else(|error| panic!("{file}: {plugin}: {error}"));
            let schema: Value = serde_saphyr::from_str(&text).expect("a schema");
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            let problems: Vec<_> = validator.iter_errors(&object["config"]).map(|error| error.to_string()).collect();
            assert!(problems.is_empty(), "{file}: {plugin}: {problems:?}");
            let name = &object["metadata"]["name"];
            let named = filters.iter().filter(|filter| filter["extensionRef"]["name"] == *name).count();
            assert_eq!(named, 1, "{file}: {plugin}");
            checked += 1;
        }
    }
    println!("{checked} plugins");
    assert!(checked > 10, "{checked}");
}
