//! Gateway module for [kgateway](https://kgateway.dev), the default gateway.

mod capabilities;
mod installation;
mod policies;
mod provisioning;
mod resources;

use gateway_modules_core::{
    capability::Capabilities,
    installation::{Installation, InstallationOptions, NotInstallable},
    module::{
        Context, Contract, GatewayModule, Mapping, Maturity, Metadata, ModuleVersion, OtherUses, PolicyTarget,
        Provisioned, Refusals,
    },
    register_adapter,
    resolve::DataPlaneTopology,
};

pub use self::provisioning::Parameters;
pub use gateway_modules_core::module::{Resources, ServiceType};

/// kgateway.
#[derive(Clone, Debug)]
pub struct Kgateway {
    metadata: Metadata,
}

impl Kgateway {
    /// The module.
    pub const fn new() -> Self {
        Self {
            metadata: Metadata {
                name: "kgateway",
                title: "kgateway",
                controllers: &["kgateway.dev/kgateway"],
                // The controller makes the class itself (`pkg/kgateway/wellknown/controller.go`).
                default_class: Some("kgateway"),
                default_namespace: "kgateway-system",
                versions: &["2.3", "2.4"],
                default_version: "2.4",
                maturity: Maturity::Beta,
                homepage: "https://kgateway.dev",
            },
        }
    }
}

impl Default for Kgateway {
    fn default() -> Self {
        Self::new()
    }
}

impl GatewayModule for Kgateway {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn other_uses(&self) -> OtherUses {
        // `pkg/kgateway/wellknown/controller.go`
        OtherUses { classes: &[provisioning::WAYPOINT_CLASS], controllers: &[] }
    }

    fn controller_images(&self) -> &'static [&'static str] {
        // `install/helm/kgateway/values.yaml` (`image`)
        &["kgateway"]
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

register_adapter!("kgateway", Kgateway::new, Contract::V1_1);
