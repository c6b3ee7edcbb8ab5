//! `DataPlane`: which gateway serves it, and the Gateways (visibilities) it has.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::policies::Policies;
use crate::types::{DnsLabel, DnsSubdomain, Hostname, LabelKey, LabelValue, Port, Text, Token};

/// Specification of a data plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataPlaneSpec {
    /// Which gateway implementation serves this plane. Absent: the one that is installed; none installed: kgateway.
    #[serde(default, skip_serializing_if = "GatewaySelection::is_default")]
    pub gateway: GatewaySelection,
    /// The Gateways of the plane, by name of the visibility. None written: `external` and `internal`, each with one HTTP
    /// listener on port 80, made when an endpoint uses them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub visibilities: BTreeMap<DnsLabel, Visibility>,
    /// Policies that the platform sets for all endpoints of the plane (GEP-713).
    #[serde(default, skip_serializing_if = "PlanePolicies::is_default")]
    pub policies: PlanePolicies,
    /// Namespaces whose components may use the plane. None written: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub allowed_namespaces: Vec<DnsLabel>,
    /// Pairs of namespaces between which a route may name a backend of the other; each use emits a ReferenceGrant. Only the
    /// platform may allow it, since it opens the Services of one tenant to another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub allowed_references: Vec<ReferenceAllowance>,
    /// The cluster of the plane. Absent: the cluster of the current context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterReference>,
    /// What the controller does about changes that somebody makes by hand to what it has written.
    #[serde(default, skip_serializing_if = "Drift::is_default")]
    pub drift: Drift,
    /// Whether the controller looks at security policies by requests.
    #[serde(default, skip_serializing_if = "Probe::is_default")]
    pub probe: Probe,
    /// Differences that the platform accepts for all endpoints, by name (see `gwm compare`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub accept: Vec<Token>,
}

/// What the controller does about changes by hand. Whatever it is, objects on which a security policy stands are repaired, and an
/// object is written as a whole when its intent changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Drift {
    /// Takes them back, and says so.
    #[default]
    Repair,
    /// Leaves them, and says so in the condition `Drifted`.
    Report,
    /// Leaves them.
    Ignore,
}

impl Drift {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether the controller looks at security policies by requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Probe {
    /// It sends none.
    #[default]
    Never,
    /// After an apply and at each resync, it sends requests without credentials to the protected routes, at the addresses that
    /// the status of their Gateways publishes, and expects to be refused; see the condition `Observed`.
    Refusals,
}

impl Probe {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which gateway implementation serves a plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySelection {
    /// Name of the module, for example `kgateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<DnsLabel>,
    /// Version of the gateway's controller, for example `2.4` or `2.4.3`. Absent: what is discovered, or the module's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Token>,
    /// Who installs the gateway.
    #[serde(default, skip_serializing_if = "Install::is_default")]
    pub install: Install,
    /// An existing GatewayClass. Absent: the class that the module's controller owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<DnsSubdomain>,
    /// Parameters of the module, checked by the module's own schema (`gwm modules NAME`).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
}

/// Who installs the gateway of a plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Install {
    /// Somebody else: `gwm install`, a platform, a cloud.
    #[default]
    External,
    /// The controller: it installs the gateway where it is not there, upgrades it to `version`, and sets the values that policies
    /// need. The command line installs nothing for it.
    Managed,
}

impl Install {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl GatewaySelection {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Policies of the platform for a plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanePolicies {
    /// In force where an endpoint or rule says nothing about the kind.
    #[serde(default, skip_serializing_if = "Policies::is_empty")]
    pub defaults: Policies,
    /// In force whatever an endpoint or rule says about the kind.
    #[serde(default, skip_serializing_if = "Policies::is_empty")]
    pub overrides: Policies,
}

impl PlanePolicies {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A direction in which a route of one namespace may name a backend in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceAllowance {
    /// Namespace of the routes.
    pub from: DnsLabel,
    /// Namespace of the backends.
    pub to: DnsLabel,
}

/// The cluster of a data plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ClusterReference {
    /// A context of the kubeconfig (files).
    Context(Text),
    /// A Secret with a kubeconfig under the key `kubeconfig` or `value` (controller), in the namespace of the controller's
    /// records. Its credentials must stand in it: what would run a program or read a file is refused.
    KubeconfigSecret(SecretReference),
}

/// A Secret, never its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret.
    pub name: DnsSubdomain,
    /// Namespace. Absent: that of the object which refers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
}

/// One Gateway of a plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Visibility {
    /// From where the Gateway can be reached. Absent: `Cluster` for the visibility `internal`, `Public` for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
    /// An existing Gateway that is used and not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_ref: Option<GatewayReference>,
    /// Namespace of the Gateway; it must exist. Absent: the namespace in which the module's gateway is installed by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
    /// Domain below which endpoints without hostnames get one. Absent: `<visibility>.<plane>.localhost` (RFC 6761), for
    /// trying things out on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DnsSubdomain>,
    /// How endpoints without hostnames get one.
    #[serde(default, skip_serializing_if = "HostnameStyle::is_default")]
    pub hostname_style: HostnameStyle,
    /// Listeners. None written: one HTTP listener `http` on port 80.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub listeners: Vec<Listener>,
    /// Static addresses that the Gateway asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub addresses: Vec<Address>,
    /// Labels of everything that is made for the Gateway, pods included (`spec.infrastructure.labels`, GEP-1867).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Annotations of everything that is made for the Gateway (`spec.infrastructure.annotations`, GEP-1867).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub annotations: BTreeMap<LabelKey, Text>,
}

/// From where a Gateway can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Exposure {
    /// From outside the cluster, by a load balancer.
    Public,
    /// From inside the cluster only.
    Cluster,
}

/// An existing Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayReference {
    /// Name.
    pub name: DnsSubdomain,
    /// Namespace.
    pub namespace: DnsLabel,
}

/// How an endpoint without hostnames gets one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HostnameStyle {
    /// A host per endpoint, one label below the domain, so that a wildcard certificate covers it:
    /// `<endpoint>-<component>-<namespace>-<hash>.<domain>`.
    #[default]
    PerEndpoint,
    /// The domain itself for all endpoints, each below the path `/<namespace>/<component>/<endpoint>`, which is rewritten to
    /// the endpoint's base path.
    Shared,
}

impl HostnameStyle {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A listener of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Name, unique in the visibility.
    pub name: DnsLabel,
    /// Protocol.
    pub protocol: ListenerProtocol,
    /// Port.
    pub port: Port,
    /// Only requests to this host. Absent: all hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// TLS; required for `HTTPS` and `TLS`, refused for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Of an `HTTP` listener: the `HTTPS` listener, by name, to which all its requests are redirected (301); it then carries
    /// no endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<DnsLabel>,
}

/// Protocol of a listener (Gateway API `ProtocolType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ListenerProtocol {
    /// Clear-text HTTP/1.1 and h2c.
    Http,
    /// HTTP over TLS, terminated at the Gateway.
    Https,
    /// TLS, terminated or passed through, for TLSRoutes.
    Tls,
    /// TCP, for one endpoint.
    Tcp,
    /// UDP, for one endpoint.
    Udp,
}

impl ListenerProtocol {
    /// As Gateway API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// Where TLS ends.
    #[serde(default)]
    pub mode: TlsMode,
    /// Secrets of type `kubernetes.io/tls`; required for `Terminate`. One in another namespace gets a ReferenceGrant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub certificates: Vec<SecretReference>,
}

/// Where TLS ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// At the Gateway.
    #[default]
    Terminate,
    /// At the backend; the Gateway sees only the host name (SNI).
    Passthrough,
}

/// A static address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Address {
    /// An IPv4 or IPv6 address.
    Ip(#[schemars(with = "String", extend("format" = "ip"))] std::net::IpAddr),
    /// A DNS name.
    Hostname(DnsSubdomain),
}
