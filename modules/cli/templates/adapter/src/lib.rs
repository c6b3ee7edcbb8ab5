//! Gateway module for example-gateway.

mod capabilities;
mod policies;
mod provisioning;

use gateway_modules_core::{
    capability::Capabilities,
    module::{
        Context, Contract, GatewayModule, Mapping, Maturity, Metadata, ModuleVersion, PolicyTarget, Provisioned,
        Refusals,
    },
    register_adapter,
    resolve::DataPlaneTopology,
};

/// The module of example-gateway.
#[derive(Clone, Debug)]
pub struct ExampleGatewayAdapter {
    metadata: Metadata,
}

impl ExampleGatewayAdapter {
    /// The module.
    pub const fn new() -> Self {
        Self {
            metadata: Metadata {
                name: "example-gateway",
                title: "example-gateway",
                // `GatewayClass.spec.controllerName` of this gateway.
                controllers: &["example.com/gateway-controller"],
                // The class that the gateway's installation brings; `None` makes every data plane name one.
                default_class: Some("example-gateway"),
                default_namespace: "default",
                // Minor lines that `capabilities.rs` has a table for, oldest first.
                versions: &["1.0"],
                default_version: "1.0",
                maturity: Maturity::Experimental,
                homepage: "https://example.com",
            },
        }
    }
}

impl Default for ExampleGatewayAdapter {
    fn default() -> Self {
        Self::new()
    }
}

impl GatewayModule for ExampleGatewayAdapter {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn declared(&self, version: &ModuleVersion) -> Capabilities {
        capabilities::declared(version)
    }

    fn provision(&self, plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
        provisioning::provision(plane, cx)
    }

    fn map(&self, target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
        policies::map(target, cx)
    }
}

// The contract that this is written for: raise it when you have read what a newer one means.
register_adapter!("example-gateway", ExampleGatewayAdapter::new, Contract::V1_1);
