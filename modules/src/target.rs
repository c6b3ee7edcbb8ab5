//! The gateway that a plane is compiled for: chosen by what is installed, with its version and what its class publishes.

use gateway_modules_core::{
    capability::Capabilities,
    compile::LiveGateway,
    intent::GatewaySelection,
    module::{ClassesRead, ClusterReader, Fact, ModuleVersion, ReadError, Registry, controller_version},
    plan::Selection,
    select::{Modules, SelectError, Selected, Wanted, select},
};

use crate::DEFAULT_MODULE;

/// The modules of a registry, as selection sees them.
pub fn selectable(registry: &Registry) -> Modules {
    Modules::of(registry, DEFAULT_MODULE)
}

/// The gateway that a plane is compiled for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Target {
    /// What was chosen, and why.
    pub selected: Selected,
    /// Version of the controller that runs.
    pub version: Fact<ModuleVersion>,
    /// Version that is recorded; it stands in for one that cannot be read.
    pub recorded_version: Option<ModuleVersion>,
    /// Features that the class publishes.
    pub published: Capabilities,
    /// Whether the class was made for a plane by this project.
    pub class_is_made: bool,
}

impl Target {
    /// Chooses by what is installed and what is recorded. The version is not read yet.
    ///
    /// # Errors
    /// Nothing may be chosen; the message says what to do.
    pub fn choose(
        registry: &Registry,
        classes: &ClassesRead,
        gateway: &GatewaySelection,
        recorded: Option<&Selection>,
    ) -> Result<Self, SelectError> {
        let wanted = Wanted {
            module: gateway.module.as_ref().map(|module| module.as_str()),
            class: gateway.class_name.as_ref().map(|class| class.as_str()),
        };
        let selected = select(&selectable(registry), classes, wanted, recorded)?;
        let class = selected.class.as_deref().and_then(|class| classes.get(class));
        let recorded_version = recorded
            .filter(|recorded| recorded.module == selected.module)
            .and_then(|recorded| ModuleVersion::new(&recorded.version).ok());
        Ok(Self {
            published: class.map(|class| class.published()).unwrap_or_default(),
            class_is_made: class.is_some_and(|class| class.made),
            selected,
            version: Fact { value: None, source: "not read".to_owned() },
            recorded_version,
        })
    }

    /// Reads the version of the controller that runs.
    ///
    /// # Errors
    /// The cluster does not answer; what may not be read is a missing fact and no error.
    pub async fn read_version(&mut self, registry: &Registry, cluster: &dyn ClusterReader) -> Result<(), ReadError> {
        if let Ok(module) = registry.get(&self.selected.module) {
            let namespace = module.metadata().default_namespace;
            self.version = controller_version(module.controller_images(), namespace, cluster).await?;
        }
        Ok(())
    }

    /// What a compilation is told. `gateway` is what the plane says.
    pub(crate) fn live(&self, gateway: &GatewaySelection) -> LiveGateway {
        let read = self.version.value.clone().map(|version| (version, self.version.source.clone()));
        let recorded = || {
            let version = self.recorded_version.clone()?;
            Some((version, format!("the recorded version; {}", self.version.source)))
        };
        LiveGateway {
            controller: self.selected.controller.clone(),
            version: read.or_else(recorded),
            published: self.published.clone(),
            reason: gateway.module.is_none().then(|| self.selected.reason.to_string()),
            notes: self.selected.notes.clone(),
        }
    }

    /// Makes the plane say what was chosen. The class that a module knows by itself is not written, since a module may make
    /// objects of its own for that one only.
    pub(crate) fn steer(&self, gateway: &mut GatewaySelection, registry: &Registry) {
        let Ok(module) = registry.get(&self.selected.module) else { return };
        // A module that makes its class goes on doing so: without it in the release, the class would be pruned.
        let makes_class = module.metadata().default_class.is_none() && (gateway.module.is_some() || self.class_is_made);
        let any = module.metadata().controllers.is_empty();
        gateway.module = self.selected.module.parse().ok();
        let chosen = self.selected.class.as_deref().filter(|class| Some(*class) != module.metadata().default_class);
        if gateway.class_name.is_none() && (any || !makes_class) {
            gateway.class_name = chosen.and_then(|class| class.parse().ok());
        }
    }
}

#[cfg(feature = "cluster")]
mod cluster {
    use std::collections::BTreeMap;

    use gateway_modules_core::{
        channel::Channel,
        cluster::Cluster,
        diagnostic::{Category, Diagnostic, Diagnostics, Origin, Severity},
        intent::{FieldRef, Intent},
        module::{ClassesRead, InstalledDefinitions, Registry},
        resolve::{DataPlaneTopology, resolve},
    };

    use super::Target;
    use crate::{CompiledPlane, InstalledCrds, compile_selected};

    /// A compiled plane with the gateway that was chosen for it.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct ChosenPlane {
        /// The gateway, with the reason for it.
        pub target: Target,
        /// What came of the compilation.
        pub compiled: CompiledPlane,
    }

    /// Compiles the planes that `wanted` names for what is installed in a cluster and recorded there, or for the CRDs of a channel.
    ///
    /// # Errors
    /// As [`compile_selected`]; for a plane nothing may be chosen; or the cluster does not answer.
    pub async fn compile_installed(
        intent: &Intent,
        registry: &Registry,
        cluster: &Cluster,
        channel: Option<Channel>,
        wanted: impl Fn(&DataPlaneTopology) -> bool,
    ) -> Result<Vec<ChosenPlane>, Diagnostics> {
        let reader = cluster.reader();
        let failed = |message: String| Diagnostics(vec![problem(None, "", message)]);
        let unread = |error: gateway_modules_core::module::ReadError| failed(error.to_string());
        let classes = ClassesRead::read(&reader).await.map_err(unread)?;
        let crds = match channel {
            Some(channel) => InstalledCrds::assumed(channel),
            None => InstalledCrds::of(&InstalledDefinitions::read(&reader).await.map_err(unread)?).map_err(unread)?,
        };
        let mut targets = BTreeMap::new();
        let mut problems = Diagnostics::default();
        for plane in resolve(intent)?.iter().filter(|plane| wanted(plane)) {
            let recorded = cluster.selection(&plane.name).await.map_err(|error| failed(error.to_string()))?;
            match Target::choose(registry, &classes, &plane.gateway, recorded.as_ref()) {
                Ok(mut target) => {
                    target.read_version(registry, &reader).await.map_err(unread)?;
                    targets.insert(plane.name.clone(), target);
                }
                Err(error) => {
                    let field = FieldRef::new(plane.document.clone(), "/spec/gateway");
                    problems.push(Diagnostic {
                        origin: intent.origin(&field),
                        ..problem(Some(plane), "/spec/gateway", error.to_string())
                    });
                }
            }
        }
        if problems.has_errors() {
            return Err(problems);
        }
        let planes = compile_selected(intent, registry, &targets, &crds)?;
        let chosen = |compiled: CompiledPlane| {
            let target = targets.remove(&compiled.plane.name)?;
            Some(ChosenPlane { target, compiled })
        };
        Ok(planes.into_iter().filter_map(chosen).collect())
    }

    fn problem(plane: Option<&DataPlaneTopology>, pointer: &str, message: String) -> Diagnostic {
        Diagnostic {
            code: "GWM0312",
            severity: Severity::Error,
            category: Category::Invalid,
            document: plane.map(|plane| plane.document.to_string()).unwrap_or_default(),
            pointer: pointer.to_owned(),
            origin: Origin::Value,
            message,
            help: None,
        }
    }
}

#[cfg(feature = "cluster")]
pub use self::cluster::{ChosenPlane, compile_installed};
