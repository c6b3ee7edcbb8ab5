//! The pipeline up to the release, without a cluster.

use gateway_modules_core::{
    capability::Capabilities,
    compile::{CompileInput, Compiled, LiveGateway, compile},
    diagnostic::{Category, Diagnostic, Diagnostics, Severity},
    intent::{FieldRef, Intent},
    module::{GatewayModule, Registry},
    resolve::{DataPlaneTopology, resolve},
};

use std::collections::BTreeMap;

use crate::{DEFAULT_MODULE, InstalledCrds, Target};

/// One data plane, compiled.
#[derive(Debug)]
#[non_exhaustive]
pub struct CompiledPlane {
    /// The plane.
    pub plane: DataPlaneTopology,
    /// Name of the module.
    pub module: String,
    /// What came of it.
    pub compiled: Compiled,
}

/// Compiles every data plane of an intent with what the modules declare.
///
/// # Errors
/// The intent contradicts itself, or a plane names a module that is not compiled in or a version that is none. What a
/// gateway cannot do is no error here: it is in each [`Compiled`].
pub fn compile_offline(
    intent: &Intent,
    registry: &Registry,
    crds: &InstalledCrds,
) -> Result<Vec<CompiledPlane>, Diagnostics> {
    let planes = resolve(intent)?;
    compile_planes(intent, planes, registry, crds, None)
}

/// Compiles every data plane for the gateway that was chosen for it; a plane without a target is compiled as
/// [`compile_offline`] does.
///
/// # Errors
/// As [`compile_offline`].
pub fn compile_selected(
    intent: &Intent,
    registry: &Registry,
    targets: &BTreeMap<String, Target>,
    crds: &InstalledCrds,
) -> Result<Vec<CompiledPlane>, Diagnostics> {
    let mut planes = resolve(intent)?;
    let mut live = BTreeMap::new();
    for plane in &mut planes {
        if let Some(target) = targets.get(&plane.name) {
            live.insert(plane.name.clone(), target.live(&plane.gateway));
            target.steer(&mut plane.gateway, registry);
        }
    }
    compile_live(intent, planes, registry, crds, None, &live)
}

/// Compiles every data plane for one module, whatever the planes name: the way to compare modules.
///
/// # Errors
/// As [`compile_offline`].
pub fn compile_for(
    intent: &Intent,
    registry: &Registry,
    module: &str,
    crds: &InstalledCrds,
) -> Result<Vec<CompiledPlane>, Diagnostics> {
    let mut planes = resolve(intent)?;
    for plane in &mut planes {
        if plane.gateway.module.as_ref().is_none_or(|named| named.as_str() != module) {
            // Version, class and parameters are those of the module that the plane names.
            plane.gateway = Default::default();
        }
    }
    compile_planes(intent, planes, registry, crds, Some(module))
}

fn compile_planes(
    intent: &Intent,
    planes: Vec<DataPlaneTopology>,
    registry: &Registry,
    crds: &InstalledCrds,
    module: Option<&str>,
) -> Result<Vec<CompiledPlane>, Diagnostics> {
    compile_live(intent, planes, registry, crds, module, &BTreeMap::new())
}

fn compile_live(
    intent: &Intent,
    planes: Vec<DataPlaneTopology>,
    registry: &Registry,
    crds: &InstalledCrds,
    module: Option<&str>,
    live: &BTreeMap<String, LiveGateway>,
) -> Result<Vec<CompiledPlane>, Diagnostics> {
    let mut problems = Diagnostics::default();
    let mut compiled = Vec::new();
    for plane in planes {
        let name = module
            .unwrap_or_else(|| plane.gateway.module.as_ref().map_or(DEFAULT_MODULE, |name| name.as_str()))
            .to_owned();
        let problem = |pointer: &str, message: String| {
            let field = FieldRef::new(plane.document.clone(), pointer);
            Diagnostic {
                code: "GWM0311",
                severity: Severity::Error,
                category: Category::Invalid,
                document: field.document.to_string(),
                pointer: field.pointer.clone(),
                origin: intent.origin(&field),
                message,
                help: None,
            }
        };
        let found = match registry.get(&name) {
            Ok(found) => found,
            Err(error) => {
                problems.push(problem("/spec/gateway/module", error.to_string()));
                continue;
            }
        };
        let live = live.get(&plane.name).cloned().unwrap_or_default();
        let result = match CompileInput::live(intent, &plane, found.as_ref(), crds.channel, live) {
            Ok(mut input) => {
                input.served.clone_from(&crds.served);
                input.assumptions.push(crds.source.clone());
                compile(&input)
            }
            Err(message) => {
                problems.push(problem("/spec/gateway/version", message));
                continue;
            }
        };
        compiled.push(CompiledPlane { plane, module: name, compiled: result });
    }
    if problems.has_errors() { Err(problems) } else { Ok(compiled) }
}

/// What a module declares for a version (its default version when none is named).
///
/// # Errors
/// The text is no version.
pub fn declared(module: &dyn GatewayModule, version: Option<&str>) -> Result<Capabilities, String> {
    let version =
        gateway_modules_core::module::ModuleVersion::new(version.unwrap_or(module.metadata().default_version))?;
    Ok(module.declared(&version))
}
