//! What `gwm new-adapter` writes compiles without warnings, registers and keeps the contract.

use std::{path::Path, process::Command};

/// With the crates of this work tree in the place of published ones, and with its lock file, so without a network.
#[test]
fn a_new_adapter_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let adapter = folder.path().join("acme-edge");
    let path = adapter.to_str().expect("UTF-8");
    let gwm = Command::new(env!("CARGO_BIN_EXE_gwm"))
        .args(["new-adapter", "acme-edge", "--controller", "acme.test/edge", "--path", path])
        .output()
        .expect("gwm runs");
    assert!(gwm.status.success(), "{}", String::from_utf8_lossy(&gwm.stderr));

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the work tree");
    std::fs::copy(root.join("Cargo.lock"), adapter.join("Cargo.lock")).expect("the lock file");
    let mut cargo = Command::new(env!("CARGO"));
    // The work tree's own target folder and profile, so that what is built already is not built again.
    cargo.args(["test", "--offline", "--config", "profile.dev.debug='line-tables-only'", "--target-dir"]);
    cargo.arg(root.join("target"));
    for (name, crate_path) in [("gateway-modules-core", "core"), ("gateway-modules-testkit", "tests")] {
        let path = root.join(crate_path);
        cargo.args(["--config", &format!("patch.crates-io.{name}.path={:?}", path.display().to_string())]);
    }
    let test = cargo.current_dir(&adapter).output().expect("cargo runs");
    let text = format!("{}{}", String::from_utf8_lossy(&test.stdout), String::from_utf8_lossy(&test.stderr));
    assert!(test.status.success(), "{text}");
    assert!(!text.contains("warning: unused"), "{text}");
    assert!(text.contains("the_module_keeps_the_contract ... ok"), "{text}");
}
