//! What an application is told about adapters for other contracts.

use gateway_modules_core::module::{Contract, GatewayModule, Registry};

#[test]
fn an_adapter_for_the_first_contract_is_linked() {
    let mut registry = Registry::new();
    gateway_module_first_contract::register(&mut registry).expect("served");
    assert_eq!(registry.names(), ["first-contract"]);
    assert_eq!(registry.provider("first-contract"), Some("gateway-module-first-contract 0.1.0"));
    // What was added since has a default.
    let module = registry.get("first-contract").expect("there");
    assert!(module.controller_images().is_empty() && module.claimed(&Default::default()).is_empty());
}

/// Linking is enough: the error is that of the registry that every application asks for, before anything is compiled.
#[test]
fn an_adapter_for_a_later_contract_is_refused_by_name() {
    // Names the crate, so that it is linked.
    let _ = gateway_module_later_contract::LaterContract.metadata();
    let error = Registry::linked().expect_err("refused").to_string();
    println!("{error}");
    for part in [
        "gateway-module-later-contract 0.3.0",
        "contract 99.7",
        &format!("has {}", Contract::CURRENT),
        "update gateway-modules-core to a version with contract 99.7",
    ] {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}
