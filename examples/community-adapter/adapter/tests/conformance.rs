//! The capability table against the official conformance reports, and against the README.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // helpers of a test

use std::path::{Path, PathBuf};

use gateway_module_envoy_gateway::EnvoyGatewayAdapter;
use gateway_modules_core::module::Registry;
use gateway_modules_testkit::{
    conformance::Settings,
    tables::{capability_table, with_capability_table},
};

mod support;

/// Reports of Envoy Gateway: the folder that `GATEWAY_MODULES_CONFORMANCE` names, or one beside the repository.
fn reports() -> Option<PathBuf> {
    let named = std::env::var_os("GATEWAY_MODULES_CONFORMANCE").map(PathBuf::from);
    let beside = ["../../../../shared", "../../../../../shared"]
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("conformance"));
    let found = named.into_iter().chain(beside).map(|folder| folder.join("envoy-gateway"));
    found.into_iter().find(|folder| folder.is_dir())
}

#[test]
fn the_table_agrees_with_the_official_report() {
    let Some(folder) = reports() else {
        println!("left out: GATEWAY_MODULES_CONFORMANCE names no folder with envoy-gateway/*.yaml");
        return;
    };
    let mut registry = Registry::new();
    gateway_module_envoy_gateway::register(&mut registry).expect("one module");
    let checked = Settings::default().check(&folder, &registry).unwrap_or_else(|error| panic!("{error}"));
    for one in &checked {
        assert_eq!(one.module.as_deref(), Some("envoy-gateway"), "{}", one.path.display());
        let differences: Vec<String> = one.comparison.differences.iter().map(ToString::to_string).collect();
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        println!("{}: {} features agree", one.report.version, one.comparison.agreed.len());
        // Those that the contract suite gets as published are those of this report.
        let says = |name: &&str| one.report.says(&(*name).to_owned().into()) == Some(true);
        assert!(support::REPORTED.iter().all(says), "support/mod.rs lists what the report does not");
    }
}

/// `GATEWAY_MODULES_UPDATE=1` writes it.
#[test]
fn the_readme_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).expect("readable");
    let table = capability_table(&EnvoyGatewayAdapter::new(), &support::all_options()).expect("a table");
    let new = with_capability_table(&text, &table).unwrap_or_else(|error| panic!("{error}"));
    if std::env::var_os("GATEWAY_MODULES_UPDATE").is_some() {
        std::fs::write(&path, &new).expect("writable");
    } else {
        assert_eq!(text, new, "GATEWAY_MODULES_UPDATE=1 cargo test --test conformance writes the table");
    }
}
