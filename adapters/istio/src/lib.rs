//! Gateway module for [Istio](https://istio.io) as a gateway (not as a mesh, and without ambient mode).

mod access;
mod capabilities;
mod installation;
mod parameters;
mod policies;
mod provisioning;
mod resources;

use gateway_modules_core::{
    capability::Capabilities,
    installation::{Installation, InstallationOptions, NotInstallable},
    module::{
        ClosedBackends, Context, Contract, GatewayModule, Mapping, Maturity, Metadata, ModuleVersion, OtherUses,
        PolicyTarget, Provisioned, Refusals,
    },
    register_adapter,
    resolve::DataPlaneTopology,
};

pub use self::parameters::{BodyCheck, ExtensionProvider, LogFormat, Parameters};
pub use gateway_modules_core::module::{Resources, ServiceType};

/// Istio.
#[derive(Clone, Debug)]
pub struct Istio {
    metadata: Metadata,
}

impl Istio {
    /// The module.
    pub const fn new() -> Self {
        Self {
            metadata: Metadata {
                name: "istio",
                title: "Istio",
                controllers: &["istio.io/gateway-controller"],
                // istiod makes the class itself (`pilot/pkg/config/kube/gatewaycommon/classinfo.go`).
                default_class: Some("istio"),
                default_namespace: "istio-system",
                versions: &["1.30", "1.31"],
                default_version: "1.30",
                maturity: Maturity::Beta,
                homepage: "https://istio.io",
            },
        }
    }
}

impl Default for Istio {
    fn default() -> Self {
        Self::new()
    }
}

impl GatewayModule for Istio {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn other_uses(&self) -> OtherUses {
        // `pilot/pkg/config/kube/gatewaycommon/classinfo.go`
        OtherUses {
            classes: &provisioning::OTHER_CLASSES,
            controllers: &["istio.io/mesh-controller", "istio.io/eastwest-controller", "istio.io/unmanaged-gateway"],
        }
    }

    fn controller_images(&self) -> &'static [&'static str] {
        // `manifests/charts/istio-control/istio-discovery/values.yaml` (`image: pilot`)
        &["pilot"]
    }

    fn declared(&self, version: &ModuleVersion) -> Capabilities {
        capabilities::declared(version)
    }

    fn parameters_schema(&self) -> Option<serde_json::Value> {
        serde_json::to_value(schemars::schema_for!(Parameters)).ok()
    }

    fn closed_backends(&self) -> ClosedBackends {
        // Istio writes the status of a BackendTLSPolicy for a Gateway when a route of it names the backend, also with weight
        // 0, and answers 500 meanwhile (docs/findings.md, 19).
        ClosedBackends::WithoutWeight
    }

    fn installation(
        &self,
        version: &ModuleVersion,
        options: &InstallationOptions,
    ) -> Result<Installation, NotInstallable> {
        installation::installation(version, options)
    }

    fn provision(&self, plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
        provisioning::provision(plane, cx)
    }

    fn map(&self, target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
        policies::map(target, cx)
    }
}

register_adapter!("istio", Istio::new, Contract::V1_1);
