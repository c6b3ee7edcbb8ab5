//! Gateway module for [Cilium](https://cilium.io), by the standard fields of Gateway API.

mod access_log;
mod capabilities;
mod installation;
mod policies;
mod provisioning;

use gateway_modules_core::{
    capability::Capabilities,
    installation::{Installation, InstallationOptions, NotInstallable},
    module::{
        Context, Contract, GatewayModule, Mapping, Maturity, Metadata, ModuleVersion, PolicyTarget, Provisioned,
        Refusals,
    },
    register_adapter,
    resolve::DataPlaneTopology,
};

pub use self::provisioning::{Parameters, ServiceType};

/// Value of `GatewayClass.spec.controllerName`.
pub(crate) const CONTROLLER: &str = "io.cilium/gateway-controller";

/// Cilium.
#[derive(Clone, Debug)]
pub struct Cilium {
    metadata: Metadata,
}

impl Cilium {
    /// The module.
    pub const fn new() -> Self {
        Self {
            metadata: Metadata {
                name: "cilium",
                title: "Cilium",
                controllers: &[CONTROLLER],
                // The chart makes it (`templates/cilium-gateway-api-class.yaml`).
                default_class: Some("cilium"),
                default_namespace: "kube-system",
                // 1.21 is not released.
                // The patch release is told apart since a fix of it decides about a security policy (docs/decisions/0161).
                versions: &["1.19", "1.20", "1.20.2"],
                default_version: "1.20.2",
                maturity: Maturity::Beta,
                homepage: "https://cilium.io",
            },
        }
    }
}

impl Default for Cilium {
    fn default() -> Self {
        Self::new()
    }
}

impl GatewayModule for Cilium {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn controller_images(&self) -> &'static [&'static str] {
        // chart `values.yaml` (`operator.image`), one image per cloud
        &[
            "cilium/operator",
            "cilium/operator-generic",
            "cilium/operator-aws",
            "cilium/operator-azure",
            "cilium/operator-alibabacloud",
        ]
    }

    fn declared(&self, version: &ModuleVersion) -> Capabilities {
        capabilities::declared(version)
    }

    fn parameters_schema(&self) -> Option<serde_json::Value> {
        serde_json::to_value(schemars::schema_for!(Parameters)).ok()
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

register_adapter!("cilium", Cilium::new, Contract::V1_1);
