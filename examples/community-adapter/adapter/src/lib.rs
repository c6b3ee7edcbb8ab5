//! Gateway module for envoy-gateway.

mod capabilities;
mod policies;
mod provisioning;

use gateway_modules_core::{
    capability::Capabilities,
    module::{Context, GatewayModule, Mapping, Maturity, Metadata, ModuleVersion, PolicyTarget, Provisioned, Refusals},
    register_adapter,
    resolve::DataPlaneTopology,
};

/// The module of envoy-gateway.
#[derive(Clone, Debug)]
pub struct EnvoyGatewayAdapter {
    metadata: Metadata,
}

impl EnvoyGatewayAdapter {
    /// The module.
    pub const fn new() -> Self {
        Self {
            metadata: Metadata {
                name: "envoy-gateway",
                title: "Envoy Gateway",
                // `GatewayClass.spec.controllerName` of this gateway.
                controllers: &["gateway.envoyproxy.io/gatewayclass-controller"],
                // The class of the quick start; the chart brings none, so the platform makes it.
                default_class: Some("envoy-gateway"),
                default_namespace: "envoy-gateway-system",
                // Minor lines that `capabilities.rs` has a table for, oldest first.
                versions: &["1.7"],
                default_version: "1.7",
                maturity: Maturity::Experimental,
                homepage: "https://gateway.envoyproxy.io",
            },
        }
    }
}

impl Default for EnvoyGatewayAdapter {
    fn default() -> Self {
        Self::new()
    }
}

impl GatewayModule for EnvoyGatewayAdapter {
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

register_adapter!("envoy-gateway", EnvoyGatewayAdapter::new);
