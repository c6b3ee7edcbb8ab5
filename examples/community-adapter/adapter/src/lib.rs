//! Gateway module for Envoy Gateway.

mod capabilities;
mod installation;
mod parameters;
mod policies;
mod provisioning;
mod proxy;
mod resources;

use std::time::Duration;

use gateway_modules_core::{
    capability::Capabilities,
    installation::{Installation, InstallationOptions, NotInstallable},
    module::{
        ClosedBackends, Context, Contract, GatewayModule, Mapping, Maturity, Metadata, ModuleVersion, PolicyTarget,
        Provisioned, Refusals,
    },
    register_adapter,
    resolve::DataPlaneTopology,
};
use serde_json::{Map, Value};

use self::resources::GROUP;

pub use gateway_modules_core::module::{Resources, ServiceType};

pub use self::parameters::{ClientAddress, Parameters, RateLimitBackend};

/// `GatewayClass.spec.controllerName` (charts/gateway-helm, values, `config.envoyGateway.gateway.controllerName`).
pub(crate) const CONTROLLER: &str = "gateway.envoyproxy.io/gatewayclass-controller";
/// The class of the quick start; the chart brings none, so the platform makes it.
pub(crate) const CLASS: &str = "envoy-gateway";
/// Namespace of the control plane and, unless `provider.kubernetes.deploy.type` says otherwise, of the proxies.
pub(crate) const NAMESPACE: &str = "envoy-gateway-system";

/// The module of Envoy Gateway.
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
                controllers: &[CONTROLLER],
                default_class: Some(CLASS),
                default_namespace: NAMESPACE,
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

    fn claimed(&self, parameters: &Map<String, Value>) -> Capabilities {
        capabilities::claimed(parameters)
    }

    fn controller_images(&self) -> &'static [&'static str] {
        // charts/gateway-helm, `global.images.envoyGateway.image`.
        &["envoyproxy/gateway"]
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

    fn closed_backends(&self) -> ClosedBackends {
        // A BackendTLSPolicy gets its status where a route leads to the backend with a weight of 1 or more
        // (`internal/gatewayapi/route.go`, `processDestination`), and a rule with a filter that is not there answers 500 whatever
        // else it says (`filters.go`, `processUnresolvedHTTPFilter`). Seen on 1.7.0 (findings 26).
        ClosedBackends::BehindMissingFilter { group: GROUP, kind: "HTTPRouteFilter" }
    }

    fn in_force_after(&self) -> Duration {
        // The status says what was translated. A first filter of its kind, or a new name of a route, is a new listener, which Envoy takes
        // later than the route: 0.3 s on a busy machine, in which the route answers without it (finding 30).
        Duration::from_secs(2)
    }

    fn provision(&self, plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
        provisioning::provision(plane, cx)
    }

    fn map(&self, target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
        policies::map(target, cx)
    }
}

register_adapter!("envoy-gateway", EnvoyGatewayAdapter::new, Contract::V1_1);
