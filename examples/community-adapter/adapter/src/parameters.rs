//! Parameters of this module (`gateway.parameters`).

use gateway_modules_core::{
    module::{Refusal, Resources, ServiceType, read_parameters},
    resolve::DataPlaneTopology,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// For all Gateways that the plane manages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// Replicas of Envoy. Absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<u32>,
    /// Type of the Service of public Gateways; others always have `ClusterIP`. Absent: `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Class of the load balancer of public Gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
    /// Resources of Envoy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Where the address of a client is taken from. Absent: from the connection, whatever `X-Forwarded-For` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_address: Option<ClientAddress>,
    /// The Redis that the installation counts global rate limits in. Absent: it has none, and such limits are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimitBackend>,
}

/// Proxies in front of the Gateways that tell the address of the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientAddress {
    /// How many of the last entries of `X-Forwarded-For` were written by proxies of the platform. Nothing else may reach the
    /// Gateways, or a client chooses its own address.
    #[schemars(range(min = 1, max = 255))]
    pub trusted_hops: u8,
}

/// The Redis of the installation (`config.envoyGateway.rateLimit` of the chart).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitBackend {
    /// Its Service.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,
    /// Namespace of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Port of the Service.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Whether requests pass when nothing counts. Absent: they do not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_open: bool,
}

impl RateLimitBackend {
    /// As `config.envoyGateway.rateLimit.backend.redis.url` wants it.
    pub(crate) fn url(&self) -> String {
        format!("{}.{}.svc.cluster.local:{}", self.service, self.namespace, self.port)
    }
}

/// The parameters of a plane.
///
/// # Errors
/// They are not what the schema says.
pub(crate) fn of(plane: &DataPlaneTopology) -> Result<Parameters, Refusal> {
    read_parameters(plane, "envoy-gateway")
}
