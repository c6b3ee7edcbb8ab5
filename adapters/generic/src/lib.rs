//! Gateway module for any conformant Gateway API implementation, by its standard fields.

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
use serde_json::{Map, Value};

pub use self::provisioning::Parameters;

/// Any conformant implementation of Gateway API.
#[derive(Clone, Debug)]
pub struct Generic {
    metadata: Metadata,
}

impl Generic {
    /// The module.
    pub const fn new() -> Self {
        Self {
            metadata: Metadata {
                name: "generic",
                title: "any conformant Gateway API implementation",
                controllers: &[],
                default_class: None,
                // Gateways of a plane that names no namespace; a namespace that every cluster has.
                default_namespace: "default",
                // Minor lines of Gateway API, since there is no one gateway whose version could be meant.
                versions: &["1.6"],
                default_version: "1.6",
                maturity: Maturity::Beta,
                homepage: "https://gateway-api.sigs.k8s.io",
            },
        }
    }
}

impl Default for Generic {
    fn default() -> Self {
        Self::new()
    }
}

impl GatewayModule for Generic {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn declared(&self, _: &ModuleVersion) -> Capabilities {
        capabilities::declared()
    }

    fn claimed(&self, parameters: &Map<String, Value>) -> Capabilities {
        capabilities::claimed(parameters)
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

    fn provision(&self, plane: &DataPlaneTopology, _: &Context<'_>) -> Result<Provisioned, Refusals> {
        provisioning::provision(plane)
    }

    fn map(&self, target: &PolicyTarget<'_>, _: &Context<'_>) -> Mapping {
        policies::map(target)
    }
}

register_adapter!("generic", Generic::new, Contract::V1_1);
