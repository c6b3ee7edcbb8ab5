//! Parameters of the module (`gateway.parameters`).

use std::collections::BTreeMap;

use gateway_modules_core::{
    module::{Refusal, Resources, ServiceType, read_parameters},
    resolve::DataPlaneTopology,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of this module (`gateway.parameters`), for all Gateways that the plane manages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// Replicas of the proxy. Absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<u32>,
    /// Type of the Service of public Gateways; others always have `ClusterIP`. Absent: `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Resources of the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Providers that `meshConfig.extensionProviders` of the installation has, by name. External authorization, access
    /// logs and tracing are emitted only with one of them; the release requires each that it uses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub extension_providers: BTreeMap<String, ExtensionProvider>,
    /// Istio 1.30, which reads the authorities of client certificates from the listener's own Secret (`ca.crt`): the
    /// ConfigMaps, by the names that policies give them, whose authorities the Secrets of all HTTPS listeners hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub client_certificate_authorities: Vec<String>,
}

/// A provider, as `meshConfig.extensionProviders[]` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ExtensionProvider {
    /// An authorization service that speaks HTTP. It must fail closed: `failOpen` is never set.
    EnvoyExtAuthzHttp {
        /// Full name of the Service: `<service>.<namespace>.svc.cluster.local`.
        service: String,
        /// Port.
        port: u16,
        /// Prefix of the path that the service is asked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path_prefix: Option<String>,
        /// Request headers that the service sees; `authorization` must be one of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        include_request_headers_in_check: Vec<String>,
        /// Headers of the service's answer that the backend gets.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers_to_upstream_on_allow: Vec<String>,
        /// The service also sees the body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        include_request_body_in_check: Option<BodyCheck>,
    },
    /// An access log on the standard output of the proxy.
    EnvoyFileAccessLog {
        /// Format. Absent: Istio's own text format.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_format: Option<LogFormat>,
    },
    /// An OpenTelemetry collector (OTLP over gRPC).
    Opentelemetry {
        /// Full name of the Service: `<service>.<namespace>.svc.cluster.local`.
        service: String,
        /// Port.
        port: u16,
    },
}

/// The body that an authorization service sees; a longer one is cut (`allowPartialMessage`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyCheck {
    /// Largest body.
    pub max_request_bytes: u64,
    /// Whether a longer body is cut; must be true.
    pub allow_partial_message: bool,
}

/// Format of an access log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogFormat {
    /// JSON with these fields; empty: Istio's own fields.
    pub labels: BTreeMap<String, String>,
}

/// The parameters of a plane.
///
/// # Errors
/// They are not what the schema says.
pub(crate) fn read(plane: &DataPlaneTopology) -> Result<Parameters, Refusal> {
    read_parameters(plane, "istio")
}
