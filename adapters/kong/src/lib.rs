//! Gateway module for [Kong Operator](https://developer.konghq.com/operator/), open source.

mod capabilities;
mod installation;
mod policies;
mod provisioning;
mod resources;

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
use serde_json::{Map, Value};

pub use self::provisioning::{Parameters, Router};
pub use gateway_modules_core::module::ServiceType;

/// Value of `GatewayClass.spec.controllerName`.
pub(crate) const CONTROLLER: &str = "konghq.com/gateway-operator";

/// Kong.
#[derive(Clone, Debug)]
pub struct Kong {
    metadata: Metadata,
}

impl Kong {
    /// The module.
    pub const fn new() -> Self {
        Self {
            metadata: Metadata {
                name: "kong",
                title: "Kong Operator",
                controllers: &[CONTROLLER],
                // Neither the chart nor the controller makes one.
                default_class: None,
                default_namespace: "kong-system",
                versions: &["2.2", "2.3"],
                default_version: "2.2",
                maturity: Maturity::Beta,
                homepage: "https://developer.konghq.com/operator/",
            },
        }
    }
}

impl Default for Kong {
    fn default() -> Self {
        Self::new()
    }
}

impl GatewayModule for Kong {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn controller_images(&self) -> &'static [&'static str] {
        // chart `kong-operator/values.yaml` (`image.repository`)
        &["kong-operator"]
    }

    fn declared(&self, version: &ModuleVersion) -> Capabilities {
        capabilities::declared(version)
    }

    fn claimed(&self, parameters: &Map<String, Value>) -> Capabilities {
        capabilities::of_parameters(&Parameters::of(parameters).unwrap_or_default())
    }

    fn parameters_schema(&self) -> Option<Value> {
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

register_adapter!("kong", Kong::new, Contract::V1_1);
