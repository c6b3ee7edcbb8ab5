//! What the suites share.
#![allow(dead_code)] // each suite uses some of it

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use gateway_modules::core::{
    capability::{
        CapabilityName,
        names::{gateway_api, project},
    },
    module::{GatewayModule, Registry},
};
use serde_json::{Map, Value};

/// Folder beside the workspace with what the project was given; a checkout elsewhere has none.
fn shared(path: &str) -> Option<PathBuf> {
    // The workspace may be a work tree, with the folder beside the main one.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found = ["../shared", "../../shared"].iter().map(|up| root.join(up).join(path)).find(|path| path.exists());
    found.and_then(|path| path.canonicalize().ok())
}

/// A file or folder that a suite needs: from the environment, or from `../shared`. Without it the reason is printed and the
/// part that needs it is left out. Under `CI=true` that is an error where `../shared` exists, since then it should be there.
pub(crate) fn needed(variable: &str, path: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable).map(PathBuf::from) {
        assert!(named.exists(), "{variable} names {}, which does not exist", named.display());
        return Some(named);
    }
    let found = shared(path);
    if found.is_none() {
        println!("left out: {variable} is not set, and there is no ../shared/{path}");
        let must = std::env::var("CI").as_deref() == Ok("true") && shared("").is_some();
        assert!(!must, "CI must not leave this out");
    }
    found
}

/// The folder of CRDs.
pub(crate) fn schemas() -> Option<PathBuf> {
    needed("GATEWAY_MODULES_SCHEMAS", "crds")
}

/// A folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Every name of Gateway API that an operator may claim for a gateway that nothing is known about.
pub(crate) fn claims() -> Map<String, Value> {
    let safe = |name: &&str| {
        !name.starts_with("BackendTLS") && !name.contains("ClientCertificate") && !name.starts_with("gateway/")
    };
    let names: Vec<&str> =
        gateway_api::ALL.iter().chain(project::ALL).map(CapabilityName::as_str).filter(safe).collect();
    Map::from_iter([("capabilities".to_owned(), names.into())])
}

/// Name for people, module, parameters.
pub(crate) type Measured = (String, Arc<dyn GatewayModule>, Map<String, Value>);

/// What an installation of a gateway may have, as parameters of the module.
pub(crate) fn options(module: &str) -> Map<String, Value> {
    let all: Value = serde_saphyr::from_str(include_str!("options.yaml")).unwrap_or_default();
    all[module].as_object().cloned().unwrap_or_default()
}

/// The modules that are compiled in, each with the options that the samples need, and once more the generic one with everything that can be claimed.
pub(crate) fn modules(registry: &Registry) -> Vec<Measured> {
    let mut modules: Vec<_> =
        registry.iter().map(|(name, module)| (name.to_owned(), Arc::clone(module), options(name))).collect();
    if let Ok(generic) = registry.get("generic") {
        modules.push(("generic with claims".to_owned(), generic, claims()));
    }
    modules
}
