//! What is registered is what the features have enabled, for each feature set that this is compiled with.

use std::sync::Arc;

use gateway_modules::{DEFAULT_MODULE, Registry, RegistryError, registry};

/// Each is a feature.
const KNOWN: &[&str] = &["cilium", "generic", "istio", "kgateway", "kong", "nginx-gateway-fabric", "traefik"];

fn enabled() -> Vec<&'static str> {
    let all = [
        ("cilium", cfg!(feature = "cilium")),
        ("generic", cfg!(feature = "generic")),
        ("istio", cfg!(feature = "istio")),
        ("kgateway", cfg!(feature = "kgateway")),
        ("kong", cfg!(feature = "kong")),
        ("nginx-gateway-fabric", cfg!(feature = "nginx-gateway-fabric")),
        ("traefik", cfg!(feature = "traefik")),
    ];
    all.into_iter().filter_map(|(name, on)| on.then_some(name)).collect()
}

#[test]
fn registered_is_enabled() {
    assert_eq!(registry().expect("no duplicates").names(), enabled());
}

#[test]
fn linking_alone_registers_too() {
    assert_eq!(Registry::linked().expect("no duplicates").names(), enabled());
}

#[test]
fn each_module_carries_its_name_and_a_table_for_its_default_version() {
    for (name, module) in registry().expect("no duplicates").iter() {
        let metadata = module.metadata();
        assert_eq!(metadata.name, name);
        assert!(metadata.versions.contains(&metadata.default_version), "{name}");
        let version = metadata.default_version.parse().expect("version");
        assert!(!module.declared(&version).is_empty(), "{name}");
    }
}

#[test]
fn a_module_that_is_not_enabled_is_an_error_that_says_how_to_get_it() {
    let registry = registry().expect("no duplicates");
    let unknown =
        |name: &str| registry.get(name).map(|module| Arc::clone(&module)).map(|_| ()).expect_err("not enabled");
    if let Some(name) = KNOWN.iter().find(|name| !enabled().contains(name)) {
        let error = unknown(name);
        assert!(matches!(error, RegistryError::Unknown { .. }), "{error}");
        assert!(error.to_string().contains("feature"), "{error}");
    }
    let error = unknown("a-gateway-of-others").to_string();
    assert!(error.contains("a-gateway-of-others") && error.contains("generic"), "{error}");
}

#[test]
fn the_default_module_is_there_by_default() {
    assert_eq!(registry().expect("no duplicates").get(DEFAULT_MODULE).is_ok(), cfg!(feature = "kgateway"));
}
