//! Gateway module for [NGINX Gateway Fabric](https://docs.nginx.com/nginx-gateway-fabric/), with NGINX open source.

mod capabilities;
mod installation;
mod nginx;
mod policies;
mod provisioning;
mod proxy;
mod resources;

use gateway_modules_core::{
    capability::Capabilities,
    installation::{Installation, InstallationOptions, NotInstallable},
    module::{
        Context, Contract, GatewayModule, Mapping, Maturity, Metadata, ModuleVersion, PathExpressions, PolicyTarget,
        Provisioned, Refusals,
    },
    register_adapter,
    resolve::DataPlaneTopology,
};

pub use self::provisioning::Parameters;
pub use gateway_modules_core::module::{Resources, ServiceType};

/// NGINX Gateway Fabric.
#[derive(Clone, Debug)]
pub struct NginxGatewayFabric {
    metadata: Metadata,
}

impl NginxGatewayFabric {
    /// The module.
    pub const fn new() -> Self {
        Self {
            metadata: Metadata {
                name: "nginx-gateway-fabric",
                title: "NGINX Gateway Fabric",
                controllers: &["gateway.nginx.org/nginx-gateway-controller"],
                // The chart makes the class, and the controller serves one class only (`--gatewayclass`).
                default_class: Some("nginx"),
                default_namespace: "nginx-gateway",
                versions: &["2.5", "2.6", "2.7"],
                default_version: "2.6",
                maturity: Maturity::Beta,
                homepage: "https://docs.nginx.com/nginx-gateway-fabric/",
            },
        }
    }
}

impl Default for NginxGatewayFabric {
    fn default() -> Self {
        Self::new()
    }
}

impl GatewayModule for NginxGatewayFabric {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn controller_images(&self) -> &'static [&'static str] {
        // chart `nginx-gateway-fabric/values.yaml` (`nginxGateway.image.repository`)
        &["nginx-gateway-fabric"]
    }

    fn path_expressions(&self) -> PathExpressions {
        // The expression becomes `location ~`, which matches a part; it must begin with `/`, and before 2.3 have no `$`
        // (`internal/controller/nginx/config/validation/http_njs_match.go`, `validatePathInRegexMatch`).
        PathExpressions::PartWithoutAnchors
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

register_adapter!("nginx-gateway-fabric", NginxGatewayFabric::new, Contract::V1_1);
