//! The contract between core and an adapter: identity, provisioning, capability discovery, policy mapping.

mod context;
mod contract;
mod controllers;
mod differences;
#[cfg(test)]
mod held;
mod installed;
mod mapping;
mod metadata;
mod proxy;
mod reader;
mod registry;
mod target;

use std::time::Duration;

use async_trait::async_trait;

pub use self::{
    context::Context,
    contract::Contract,
    controllers::{HelmRelease, controller_release, controller_version},
    installed::{ClassesRead, GATEWAY_API, Installed, InstalledClass, InstalledDefinitions, Unread},
    mapping::{
        Acknowledgement, Citation, Contribution, ContributionValue, DerivedSecret, Difference, Enforcement,
        FieldOutcome, Fragment, GatewayEdit, Mapping, ObjectHandle, Provisioned, Refusal, Refusals, Requirement,
        RouteEdit, SecretTransform, SharedKey, Verdict,
    },
    metadata::{ClosedBackends, Maturity, Metadata, ModuleVersion, OtherUses, PathExpressions},
    proxy::{ParameterObjects, Resources, ServiceType, parameters_field, read_parameters, refuse_existing},
    reader::{ClusterReader, Discovery, Fact, ReadError},
    registry::{AdapterRegistration, Registry, RegistryError},
    target::{BackendScope, GatewayScope, PolicyTarget, RouteObjectRef, RouteScope, RouteTargetRef, Scope},
};
use crate::{
    capability::Capabilities,
    installation::{Installation, InstallationOptions, NotInstallable},
    object::Object,
    resolve::DataPlaneTopology,
};

/// A gateway implementation, as the pipeline sees it.
///
/// Inputs are `#[non_exhaustive]` and new methods get defaults, so that an adapter that is written for this [`Contract`] keeps
/// compiling (docs/adapter-author/stability.md).
/// All methods but [`discover`](Self::discover) are pure: the same input gives the same output.
#[async_trait]
pub trait GatewayModule: Send + Sync {
    /// Name, controllers, classes, versions, links.
    fn metadata(&self) -> &Metadata;

    /// What a version of the gateway can do, each capability with its evidence. Versions that the module does not know get
    /// the nearest older one it knows, as the metadata list them.
    fn declared(&self, version: &ModuleVersion) -> Capabilities;

    /// Capabilities that the operator claims by `gateway.parameters`, with operator evidence, to be added to those that
    /// are declared. The default takes no claims; claims never carry a security policy or the isolation of Gateways.
    fn claimed(&self, parameters: &serde_json::Map<String, serde_json::Value>) -> Capabilities {
        let _ = parameters;
        Capabilities::new()
    }

    /// Classes and controllers of the same vendor that are no gateway for requests from outside (waypoints, remote control
    /// planes, gateways between clusters): they are never chosen. The default knows none.
    fn other_uses(&self) -> OtherUses {
        OtherUses::default()
    }

    /// Ends of the names of the images of the controller's Deployment (`istio/pilot` matches `registry:5000/istio/pilot:1.30.3`),
    /// by which the version that runs is found. The default knows none: the version is the one that the plane names, or assumed.
    fn controller_images(&self) -> &'static [&'static str] {
        &[]
    }

    /// How a closed route names the backends for whose policies it waits. The default names none.
    fn closed_backends(&self) -> ClosedBackends {
        ClosedBackends::Unnamed
    }

    /// How long after its status says so a policy may not be in force in all proxies yet, as requests have shown; apply opens no route
    /// before. The default: it is in force when its status says so.
    fn in_force_after(&self) -> Duration {
        Duration::ZERO
    }

    /// How the gateway holds a regular expression to a path. The default: to the whole path.
    fn path_expressions(&self) -> PathExpressions {
        PathExpressions::Whole
    }

    /// JSON Schema of `gateway.parameters`; `None` when the module takes none.
    fn parameters_schema(&self) -> Option<serde_json::Value> {
        None
    }

    /// How a version of the gateway is installed. The default declares nothing.
    ///
    /// # Errors
    /// Why it cannot be installed this way, and what to do instead.
    fn installation(
        &self,
        version: &ModuleVersion,
        options: &InstallationOptions,
    ) -> Result<Installation, NotInstallable> {
        let _ = (version, options);
        let metadata = self.metadata();
        Err(NotInstallable::new(
            format!("the module {} does not say how its gateway is installed", metadata.name),
            format!("install it as {} says; `gwm doctor` tells whether it is there", metadata.homepage),
        ))
    }

    /// Class, parameters and edits of all Gateways of a plane at once, since some gateways share them between Gateways.
    ///
    /// # Errors
    /// What the plane asks for and the gateway cannot be given, each with its field and what would work.
    fn provision(&self, plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals>;

    /// Maps the whole effective policy set of one target to what the gateway has. Kinds that core has realised by standard
    /// fields are not in [`PolicyTarget::remaining`]; a field of a remaining kind that gets no outcome is refused by core.
    fn map(&self, target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping;

    /// Builds the objects that several targets share from their fragments. The default knows no shared objects.
    ///
    /// # Errors
    /// Fragments that contradict each other.
    fn assemble(&self, key: &SharedKey, parts: &[Fragment], cx: &Context<'_>) -> Result<Vec<Object>, Refusals> {
        let _ = (key, parts, cx);
        Ok(Vec::new())
    }

    /// What the live cluster says about this gateway. The default follows the standard recipe: class by controller name,
    /// `supportedFeatures`, CRDs with channel and bundle version, image of the controller.
    ///
    /// # Errors
    /// The cluster does not answer; what may not be read is a missing fact that is said, and no error.
    async fn discover(&self, cluster: &dyn ClusterReader) -> Result<Discovery, ReadError> {
        reader::discover_by_standard_recipe(self.metadata(), self.controller_images(), cluster).await
    }
}
