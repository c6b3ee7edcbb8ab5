//! `Component`: a service of a team and the endpoints it exposes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policies::Policies;
use crate::types::{
    DnsLabel, HeaderName, HeaderValue, Hostname, HttpMethod, HttpPath, LabelKey, LabelValue, Port, RegularExpression,
    Token, Weight,
};

/// Specification of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentSpec {
    /// Data planes that serve the component. May be left out when there is exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_planes: Option<DataPlanePicker>,
    /// Where the component runs.
    #[serde(default, skip_serializing_if = "Target::is_default")]
    pub target: Target,
    /// Endpoints, by unique name.
    #[schemars(length(min = 1, max = 64))]
    pub endpoints: Vec<Endpoint>,
    /// What differs on one plane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub overrides: Vec<PlaneOverride>,
}

/// Which data planes serve a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DataPlanePicker {
    /// By name.
    Names(#[schemars(length(min = 1, max = 32))] Vec<DnsLabel>),
    /// All that carry these labels, at least one.
    MatchLabels(#[schemars(extend("minProperties" = 1, "maxProperties" = 16))] BTreeMap<LabelKey, LabelValue>),
}

/// Where a component runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Namespace of its Services, and of the routes. Absent: the component's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
}

impl Target {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What differs on one plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaneOverride {
    /// The plane.
    pub data_plane: DnsLabel,
    /// Endpoints that differ, by name.
    #[schemars(length(min = 1, max = 64))]
    pub endpoints: Vec<EndpointOverride>,
}

/// What differs for one endpoint on one plane. A policy kind given here replaces that of the endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointOverride {
    /// The endpoint, by name.
    pub name: DnsLabel,
    /// Replaces the hostnames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub hostnames: Option<Vec<Hostname>>,
    /// Replaces the visibilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub visibilities: Option<Vec<DnsLabel>>,
    /// Replaces policies, kind by kind.
    #[serde(default, skip_serializing_if = "Policies::is_empty")]
    pub policies: Policies,
}

/// One endpoint of a component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Name, unique in the component.
    pub name: DnsLabel,
    /// What it speaks.
    #[serde(rename = "type")]
    pub kind: EndpointType,
    /// The Service behind it. Absent: the Service named like the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<DnsLabel>,
    /// Port of the Service.
    pub port: Port,
    /// Visibilities of the data plane in which it is exposed.
    #[schemars(length(min = 1, max = 16))]
    pub visibilities: Vec<DnsLabel>,
    /// Host names. None written: one is made below the domain of the visibility. TCP and UDP have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hostnames: Vec<Hostname>,
    /// Path below which the application serves; absent: `/`, and `/graphql` for GraphQL. HTTP, WebSocket and GraphQL only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_path: Option<HttpPath>,
    /// TCP, UDP and TLS: the listener, by name. May be left out when the visibility has one of that protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<DnsLabel>,
    /// GraphQL: also serves subscriptions over WebSocket.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub subscriptions: bool,
    /// Rules, tried by the precedence of Gateway API. None written: everything goes to the Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub rules: Vec<Rule>,
    /// Policies of all rules in all visibilities.
    #[serde(default, skip_serializing_if = "Policies::is_empty")]
    pub policies: Policies,
    /// Differences that are accepted, by name (see `gwm compare`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub accept: Vec<Token>,
}

/// What an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EndpointType {
    /// HTTP/1.1 or HTTP/2.
    #[serde(rename = "HTTP")]
    Http,
    /// WebSocket (RFC 6455).
    WebSocket,
    /// GraphQL over HTTP, with subscriptions over WebSocket where asked for.
    GraphQL,
    /// gRPC.
    #[serde(rename = "GRPC")]
    Grpc,
    /// TLS, routed by server name (SNI).
    #[serde(rename = "TLS")]
    Tls,
    /// TCP; has a listener of its own.
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP; has a listener of its own.
    #[serde(rename = "UDP")]
    Udp,
}

impl EndpointType {
    /// Whether it is served by HTTPRoute.
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::WebSocket | Self::GraphQL)
    }

    /// As it is written in an intent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::WebSocket => "WebSocket",
            Self::GraphQL => "GraphQL",
            Self::Grpc => "GRPC",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// A rule of an endpoint: requests that match go to the backends, under the policies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Name, unique in the endpoint. Absent: made from what the rule matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<DnsLabel>,
    /// A request that fits any of these takes the rule. None written: every request. TLS, TCP and UDP have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub matches: Vec<Match>,
    /// Where requests go, by weight. None written: the endpoint's Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub backends: Vec<Backend>,
    /// Policies of this rule; a kind given here replaces that of the endpoint.
    #[serde(default, skip_serializing_if = "Policies::is_empty")]
    pub policies: Policies,
}

/// Conditions on a request that all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// Path below the endpoint's base path. HTTP only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// Method. HTTP only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<HttpMethod>,
    /// Headers that all must fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<HeaderMatch>,
    /// Query parameters that all must fit. HTTP only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub query_params: Vec<QueryParamMatch>,
    /// Service and method. gRPC only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcMethodMatch>,
}

/// Condition on a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum PathMatch {
    /// The whole path.
    Exact(HttpPath),
    /// The path and everything below it, by whole segments.
    Prefix(HttpPath),
    /// A regular expression that the whole path matches (anchors are added where the gateway needs them); dialect and
    /// precedence are the gateway's.
    RegularExpression(RegularExpression),
}

/// Condition on a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ValueMatch {
    /// The whole value.
    Exact(HeaderValue),
    /// A regular expression; the dialect is the gateway's.
    RegularExpression(RegularExpression),
}

/// Condition on a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// Name; case does not matter.
    pub name: HeaderName,
    /// Value.
    pub value: ValueMatch,
}

/// Condition on a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueryParamMatch {
    /// Name, as it is after decoding; case matters.
    pub name: HeaderName,
    /// Value.
    pub value: ValueMatch,
}

/// Condition on a gRPC call; at least one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrpcMethodMatch {
    /// Full name of the service, for example `shop.v1.Catalog`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"), length(max = 1024))]
    pub service: Option<Token>,
    /// Name of the method, for example `ListItems`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"), length(max = 1024))]
    pub method: Option<Token>,
}

/// A backend of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Service. Absent: the endpoint's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<DnsLabel>,
    /// Namespace of the Service. Absent: where the component runs. Another one needs the data plane's `allowedReferences`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
    /// Port of the Service. Absent: the endpoint's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// Share of the requests among the rule's backends.
    #[serde(default)]
    pub weight: Weight,
}
