//! Observability policies.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{DnsLabel, Percent, Port, Text, Token};

/// Writes an access log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessLog {
    /// Format of the lines.
    pub format: AccessLogFormat,
}

/// Format of an access log, on the standard output of the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AccessLogFormat {
    /// The gateway's own text format.
    Text {},
    /// JSON, with these fields; what is on the right is in the gateway's own variables. None written: the gateway's own.
    Json {
        /// Fields.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        fields: BTreeMap<Token, Text>,
    },
}

/// Traces requests with OpenTelemetry (OTLP over gRPC).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tracing {
    /// Service of the collector.
    pub service: DnsLabel,
    /// Namespace of the collector. Absent: where the component runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
    /// Port of the collector.
    pub port: Port,
    /// Share of the requests that are traced.
    #[serde(default)]
    pub sampling: Percent,
}
