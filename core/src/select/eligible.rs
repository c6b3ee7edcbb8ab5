//! Which classes may serve a data plane, and through which module.

use std::fmt;

use serde::Serialize;

use super::SelectError;
use crate::module::{InstalledClass, OtherUses, Registry};

/// Ends of class names that by convention are no gateways for requests from outside, whoever makes them.
const OTHER_USES: &[&str] = &["-waypoint", "-remote", "-eastwest", "-east-west", "-mesh"];

/// What selection knows of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleIdentity {
    /// Name.
    pub name: &'static str,
    /// Controllers that it serves; empty for any that no other module serves.
    pub controllers: &'static [&'static str],
    /// Class that the gateway's own installation makes.
    pub default_class: Option<&'static str>,
    /// Classes and controllers of the vendor that are no gateways for requests from outside.
    pub other_uses: OtherUses,
}

impl ModuleIdentity {
    /// Whether classes of a controller may be its own.
    pub fn serves(&self, controller: &str) -> bool {
        self.controllers.is_empty() || self.controllers.contains(&controller)
    }
}

/// The modules that are compiled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modules {
    /// All of them.
    pub all: Vec<ModuleIdentity>,
    /// The one that wins where several gateways are installed, and that is taken where none is.
    pub preferred: &'static str,
}

impl Modules {
    /// Those of a registry.
    pub fn of(registry: &Registry, preferred: &'static str) -> Self {
        let identity = |(name, module): (&'static str, &std::sync::Arc<dyn crate::module::GatewayModule>)| {
            let metadata = module.metadata();
            ModuleIdentity {
                name,
                controllers: metadata.controllers,
                default_class: metadata.default_class,
                other_uses: module.other_uses(),
            }
        };
        Self { all: registry.iter().map(identity).collect(), preferred }
    }

    /// One module.
    pub fn get(&self, name: &str) -> Option<&ModuleIdentity> {
        self.all.iter().find(|module| module.name == name)
    }

    pub(super) fn require(&self, name: &str, why: &'static str) -> Result<&ModuleIdentity, SelectError> {
        self.get(name).ok_or_else(|| SelectError::UnknownModule {
            module: name.to_owned(),
            why,
            available: self.all.iter().map(|module| module.name.to_owned()).collect(),
        })
    }

    /// The module that serves a controller: the one that names it, else the one for any.
    fn of_controller(&self, controller: &str) -> Option<&ModuleIdentity> {
        let named = self.all.iter().find(|module| module.controllers.contains(&controller));
        named.or_else(|| self.all.iter().find(|module| module.controllers.is_empty()))
    }
}

/// Whether a class may be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "verdict")]
#[non_exhaustive]
pub enum Eligibility {
    /// It may.
    Eligible {
        /// Module that serves it.
        module: String,
    },
    /// No controller has accepted it.
    NotAccepted {
        /// Module that would serve it.
        module: String,
    },
    /// It is for a mesh, a remote control plane or traffic between clusters.
    OtherUse,
    /// Its name says that it is for something else, which only the plane's word overrules.
    LooksLikeOtherUse {
        /// Module that would serve it.
        module: String,
    },
    /// No module that is compiled in serves its controller.
    NoModule,
}

impl fmt::Display for Eligibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eligible { module } => write!(f, "served by module {module}"),
            Self::NotAccepted { .. } => f.write_str("no controller has accepted it"),
            Self::OtherUse => f.write_str(
                "it is for a mesh, a remote control plane or traffic between clusters, not for requests from outside",
            ),
            Self::LooksLikeOtherUse { .. } => {
                f.write_str("its name is that of a class for a mesh; only spec.gateway.className chooses it")
            }
            Self::NoModule => f.write_str(
                "no module that is compiled in serves its controller; the feature `generic` serves any conformant one",
            ),
        }
    }
}

pub(super) fn eligible(modules: &Modules, class: &InstalledClass) -> Eligibility {
    let (name, controller) = (class.name.as_str(), class.controller.as_str());
    let other_use = |module: &ModuleIdentity| {
        module.other_uses.controllers.contains(&controller)
            || module.serves(controller) && module.other_uses.classes.contains(&name)
    };
    // A mesh publishes the features of meshes, and not that of Gateways.
    let mesh = class.features.iter().any(|feature| feature.starts_with("Mesh")) && !class.features.contains("Gateway");
    if mesh || modules.all.iter().any(other_use) {
        return Eligibility::OtherUse;
    }
    let Some(module) = modules.of_controller(controller) else { return Eligibility::NoModule };
    let module = module.name.to_owned();
    if class.accepted != Some(true) {
        Eligibility::NotAccepted { module }
    } else if OTHER_USES.iter().any(|end| name.ends_with(end)) {
        Eligibility::LooksLikeOtherUse { module }
    } else {
        Eligibility::Eligible { module }
    }
}
