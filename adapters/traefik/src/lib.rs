//! Gateway module for [Traefik Proxy](https://traefik.io), open source.

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
        ClosedBackends, Context, Contract, GatewayModule, Mapping, Maturity, Metadata, ModuleVersion, PathExpressions,
        PolicyTarget, Provisioned, Refusals,
    },
    register_adapter,
    resolve::DataPlaneTopology,
};
use serde_json::{Map, Value};

pub use self::parameters::{EntryPoint, EntryPointProtocol, Parameters};

/// Traefik Proxy.
#[derive(Clone, Debug)]
pub struct Traefik {
    metadata: Metadata,
}

impl Traefik {
    /// The module.
    pub const fn new() -> Self {
        Self {
            metadata: Metadata {
                name: "traefik",
                title: "Traefik",
                controllers: &["traefik.io/gateway-controller"],
                // The chart makes the class where `providers.kubernetesGateway.enabled` is true (`templates/gatewayclass.yaml`).
                default_class: Some("traefik"),
                default_namespace: "traefik",
                versions: &["3.6", "3.7"],
                default_version: "3.7",
                maturity: Maturity::Beta,
                homepage: "https://traefik.io/traefik",
            },
        }
    }
}

impl Default for Traefik {
    fn default() -> Self {
        Self::new()
    }
}

impl GatewayModule for Traefik {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn controller_images(&self) -> &'static [&'static str] {
        // chart `traefik/values.yaml` (`image.repository`)
        &["traefik"]
    }

    fn closed_backends(&self) -> ClosedBackends {
        // Traefik 3.7 writes the status of a BackendTLSPolicy when it loads the backend of a route, and answers 500 meanwhile
        // (behaviour suite, findings 5).
        ClosedBackends::WithoutWeight
    }

    fn path_expressions(&self) -> PathExpressions {
        // `PathRegexp` matches a part of the path (`pkg/muxer/http/matcher.go`; behaviour suite, findings 22).
        PathExpressions::Part
    }

    fn declared(&self, version: &ModuleVersion) -> Capabilities {
        capabilities::declared(version)
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

    fn provision(&self, plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
        provisioning::provision(plane, cx)
    }

    fn map(&self, target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
        policies::map(target, cx)
    }
}

register_adapter!("traefik", Traefik::new, Contract::V1_1);
