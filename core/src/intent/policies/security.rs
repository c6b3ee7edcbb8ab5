//! Security policies. Secrets are references, never values.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{
    ByteSize, ClaimPath, DnsLabel, DnsSubdomain, Duration, HeaderName, HttpPath, HttpsUrl, Port, Text, Token,
};

/// Requires a JSON Web Token (RFC 7519) in `Authorization: Bearer`; a missing, expired, wrongly signed or foreign one is
/// answered with 401.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Jwt {
    /// Value of `iss`.
    pub issuer: Token,
    /// One of these must be in `aud`. None written: the audience is not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub audiences: Vec<Token>,
    /// Where the public keys are.
    pub jwks: Jwks,
    /// Claims that the backend gets as headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub claims_to_headers: Vec<ClaimToHeader>,
    /// Whether the token is passed on to the backend.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward_token: bool,
}

/// Where the public keys of an issuer are (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Jwks {
    /// A URL.
    Remote {
        /// The URL, `https` unless the host is inside the cluster.
        url: HttpsUrl,
        /// How long keys are kept. Absent: the gateway's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_duration: Option<Duration>,
    },
    /// A ConfigMap in the namespace where the component runs; the key set is under `jwks`.
    ConfigMap {
        /// Name of the ConfigMap.
        name: DnsSubdomain,
    },
}

/// A claim that the backend gets as a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimToHeader {
    /// The claim.
    pub claim: ClaimPath,
    /// The header.
    pub header: HeaderName,
}

/// A Secret in the namespace where the component runs: each key of its data is a name (user, client), each value the
/// password or key in clear text. Gateways that need another form get a derived Secret, made when the release is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsReference {
    /// Name of the Secret.
    pub name: DnsSubdomain,
}

/// Requires an API key; a missing or unknown one is answered with 401.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Where the client sends the key.
    pub location: ApiKeyLocation,
    /// The keys, by client.
    pub credentials: CredentialsReference,
    /// Whether the key is passed on to the backend.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward_key: bool,
}

/// Where a client sends its API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ApiKeyLocation {
    /// In a header.
    Header(HeaderName),
    /// In a query parameter.
    QueryParameter(HeaderName),
    /// In a cookie.
    Cookie(Token),
}

/// Requires user and password (RFC 7617); missing or wrong ones are answered with 401.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// The passwords, by user.
    pub credentials: CredentialsReference,
    /// Realm that the client is shown. Absent: the gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<Token>,
}

/// Asks an authorization service about each request; what it refuses gets its answer, and when it does not answer the
/// request is refused (403).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalAuthorization {
    /// Protocol of the service.
    pub protocol: ExternalAuthorizationProtocol,
    /// Service.
    pub service: DnsLabel,
    /// Namespace of the Service. Absent: where the component runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
    /// Port.
    pub port: Port,
    /// HTTP: prefix of the path that the service is asked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<HttpPath>,
    /// Request headers that the service sees besides `Authorization`, `Host`, method and path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_headers: Vec<HeaderName>,
    /// Headers of the service's answer that the backend gets. HTTP only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub backend_headers: Vec<HeaderName>,
    /// The service also sees the body, up to this size. Absent: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_max_size: Option<ByteSize>,
}

/// Protocol of an authorization service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExternalAuthorizationProtocol {
    /// HTTP: 200 admits.
    #[serde(rename = "HTTP")]
    Http,
    /// Envoy's gRPC protocol (ext_authz v3).
    #[serde(rename = "GRPC")]
    Grpc,
}

/// Requires claims of the token that `jwt` has verified; all must hold. A request without them is answered with 403.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimsAuthorization {
    /// Claims.
    #[schemars(length(min = 1, max = 16))]
    pub require: Vec<ClaimRequirement>,
}

/// A claim that must have one of some values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRequirement {
    /// The claim; a list in the token holds when one item does.
    pub claim: ClaimPath,
    /// Values, of which one is enough.
    #[schemars(length(min = 1, max = 32))]
    pub values: Vec<Token>,
}

/// Admits or refuses clients by their address; a refused one is answered with 403.
///
/// The address is that of the connection, or what the gateway's trusted proxies say it is. `deny` wins over `allow`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpAccess {
    /// Only these. None written: everyone who is not denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), with = "Vec<String>", extend("items" = serde_json::json!({ "type": "string", "format": "cidr" })))]
    pub allow: Vec<IpNet>,
    /// None of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), with = "Vec<String>", extend("items" = serde_json::json!({ "type": "string", "format": "cidr" })))]
    pub deny: Vec<IpNet>,
}

/// Requires a certificate of the client that one of these authorities has signed; the TLS handshake fails without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// ConfigMaps with the authorities under `ca.crt`, in the namespace of the Gateway.
    #[schemars(length(min = 1, max = 8))]
    pub ca_certificates: Vec<DnsSubdomain>,
}

/// Speaks TLS to the backend and verifies its certificate (Gateway API `BackendTLSPolicy`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendTls {
    /// Name that is sent (SNI) and that the certificate must have.
    pub hostname: DnsSubdomain,
    /// Who may have signed the certificate.
    pub trust: BackendTrust,
    /// Other names that the certificate may have instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub subject_alt_names: Vec<SubjectAltName>,
}

/// Who may have signed a backend's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum BackendTrust {
    /// The authorities that the gateway's system trusts.
    System {},
    /// ConfigMaps with authorities under `ca.crt`, in the namespace of the Service.
    ConfigMaps(#[schemars(length(min = 1, max = 8))] Vec<DnsSubdomain>),
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SubjectAltName {
    /// A DNS name.
    Hostname(DnsSubdomain),
    /// A URI, for example a SPIFFE identity.
    Uri(Text),
}
