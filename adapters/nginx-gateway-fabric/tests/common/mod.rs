//! Compiles texts for NGINX Gateway Fabric.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use gateway_module_nginx_gateway_fabric::NginxGatewayFabric;
use std::path::{Path, PathBuf};

use gateway_modules_core::{
    channel::Channel,
    compile::{CompileInput, Compiled, Release, compile},
    intent::load::Loader,
    resolve::resolve,
    validate::{Schemas, validate},
};
use serde_json::Value;

/// Compiles documents, all of one plane.
pub(crate) fn compiled(documents: &str) -> Compiled {
    compiled_for(documents, Channel::Standard)
}

pub(crate) fn compiled_for(documents: &str, channel: Channel) -> Compiled {
    let loaded = Loader::new().text("test.yaml", documents).finish().unwrap_or_else(|problems| panic!("{problems:#?}"));
    let planes = resolve(&loaded.intent).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let module = NginxGatewayFabric::new();
    let input = CompileInput::offline(&loaded.intent, &planes[0], &module, channel).expect("version");
    compile(&input)
}

/// The release, or a panic with what stops it.
pub(crate) fn release(documents: &str) -> Release {
    compiled(documents).into_release().unwrap_or_else(|problems| {
        let texts: Vec<_> =
            problems.0.iter().map(|one| format!("{} {}: {}", one.code, one.pointer, one.message)).collect();
        panic!("{texts:#?}")
    })
}

/// What stops the release, one line each.
pub(crate) fn problems(documents: &str) -> Vec<String> {
    let compiled = compiled(documents);
    assert!(compiled.release.is_none(), "must be refused");
    compiled
        .diagnostics
        .0
        .iter()
        .filter(|one| one.code.starts_with("GWM0"))
        .map(|one| format!("{} {}: {}", one.code, one.pointer, one.message))
        .collect()
}

/// All objects of a kind.
pub(crate) fn of_kind(release: &Release, kind: &str) -> Vec<Value> {
    release
        .objects
        .iter()
        .map(|object| serde_json::to_value(&object.object).expect("json"))
        .filter(|object| object["kind"] == kind)
        .collect()
}

/// The CRDs of this gateway and of Gateway API, where the checkout has them beside it.
pub(crate) fn schemas() -> Option<Schemas> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("GATEWAY_MODULES_SCHEMAS")
        .map(PathBuf::from)
        .or_else(|| ["../shared/crds", "../../shared/crds"].iter().map(|up| root.join(up)).find(|path| path.is_dir()));
    let Some(folder) = folder else {
        println!("left out: GATEWAY_MODULES_SCHEMAS is not set, and there is no ../shared/crds");
        return None;
    };
    Some(Schemas::load_folder(&folder, Channel::Standard).expect("CRDs"))
}

/// Every object of the vendor is valid, with all rules checked.
pub(crate) fn assert_valid(release: &Release, schemas: &Schemas) {
    for object in &release.objects {
        if object.object.kind().group == "gateway.nginx.org" {
            let validation = validate(&object.object, schemas);
            assert!(validation.is_valid(), "{:?}: {validation:#?}", object.object);
        }
    }
}
