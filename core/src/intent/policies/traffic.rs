//! Traffic policies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    intent::Backend,
    types::{
        ByteSize, DnsLabel, Duration, HeaderName, HeaderValue, Hostname, HttpMethod, HttpPath, Percent, Port,
        RegularExpression, StatusCode, Text, Token,
    },
};

/// Changes headers of requests and responses (Gateway API `HTTPHeaderFilter`). Order: `set`, `add`, `remove` name different
/// headers, so there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderModification {
    /// On the way to the backend.
    #[serde(default, skip_serializing_if = "HeaderChanges::is_empty")]
    pub request: HeaderChanges,
    /// On the way to the client. Responses that the gateway makes itself (401, 429) may lack the change.
    #[serde(default, skip_serializing_if = "HeaderChanges::is_empty")]
    pub response: HeaderChanges,
}

/// Changes of headers; one header appears in one of the lists, once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderChanges {
    /// Replaces the header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub set: Vec<Header>,
    /// Adds a value to those that are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub add: Vec<Header>,
    /// Removes the header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub remove: Vec<HeaderName>,
}

impl HeaderChanges {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A header and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Name; case does not matter.
    pub name: HeaderName,
    /// Value, taken literally: a gateway's own substitutions in it are escaped, or the value is refused.
    pub value: HeaderValue,
}

/// Changes host or path before the request reaches the backend (Gateway API `HTTPURLRewriteFilter`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UrlRewrite {
    /// The `Host` that the backend sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The path that the backend sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathRewrite>,
}

/// How a path is rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum PathRewrite {
    /// The whole path.
    ReplaceFullPath(HttpPath),
    /// The prefix that the rule matched.
    ReplacePrefixMatch(HttpPath),
    /// What a regular expression finds.
    Regex {
        /// Pattern over the path (RE2).
        pattern: RegularExpression,
        /// Substitution with `\1` for the first group.
        substitution: Text,
    },
}

/// Answers with a redirect (Gateway API `HTTPRequestRedirectFilter`); parts that are not given stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// Scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// Host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// Port. Absent: the well-known port of the scheme if one is given, else the listener's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// Path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<RedirectPath>,
    /// Status: 301, 302, 303, 307 or 308.
    #[serde(default)]
    pub status_code: RedirectStatus,
}

/// Path of a redirect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RedirectPath {
    /// The whole path.
    ReplaceFullPath(HttpPath),
    /// The prefix that the rule matched.
    ReplacePrefixMatch(HttpPath),
}

/// Scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

/// Status of a redirect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum RedirectStatus {
    /// 301.
    MovedPermanently,
    /// 302.
    #[default]
    Found,
    /// 303.
    SeeOther,
    /// 307.
    TemporaryRedirect,
    /// 308.
    PermanentRedirect,
}

impl From<RedirectStatus> for u16 {
    fn from(status: RedirectStatus) -> u16 {
        match status {
            RedirectStatus::MovedPermanently => 301,
            RedirectStatus::Found => 302,
            RedirectStatus::SeeOther => 303,
            RedirectStatus::TemporaryRedirect => 307,
            RedirectStatus::PermanentRedirect => 308,
        }
    }
}

impl TryFrom<u16> for RedirectStatus {
    type Error = String;

    fn try_from(code: u16) -> Result<Self, String> {
        [Self::MovedPermanently, Self::Found, Self::SeeOther, Self::TemporaryRedirect, Self::PermanentRedirect]
            .into_iter()
            .find(|status| u16::from(*status) == code)
            .ok_or_else(|| format!("{code} is not a redirect status: 301, 302, 303, 307 or 308"))
    }
}

impl JsonSchema for RedirectStatus {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RedirectStatus".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "enum": [301, 302, 303, 307, 308] })
    }
}

/// Answers with a fixed response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectResponse {
    /// Status, 200 to 599.
    pub status: StatusCode,
    /// Body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Text>,
    /// Media type of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<HeaderValue>,
}

/// Sends copies of requests elsewhere and ignores the answers (Gateway API `HTTPRequestMirrorFilter`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// Where each copy goes.
    #[schemars(length(min = 1, max = 8))]
    pub backends: Vec<MirrorBackend>,
}

/// Where a copy goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MirrorBackend {
    /// Service.
    pub service: DnsLabel,
    /// Namespace of the Service. Absent: where the component runs. Another one needs the data plane's `allowedReferences`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
    /// Port of the Service. Absent: the endpoint's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// Share of the requests that are copied.
    #[serde(default)]
    pub percent: Percent,
}

impl MirrorBackend {
    /// The same reference as a backend of a rule.
    pub fn as_backend(&self) -> Backend {
        Backend {
            service: Some(self.service.clone()),
            namespace: self.namespace.clone(),
            port: self.port,
            ..Backend::default()
        }
    }
}

/// Answers cross-origin requests by the Fetch standard (GEP-1767).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// Origins that are allowed: `https://app.example.com`, `https://*.example.com`, or `*` alone.
    #[schemars(
        length(min = 1, max = 64),
        inner(regex(
            pattern = r"^(\*|https?://(\*|(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)(:[1-9][0-9]{0,4})?)$"
        ))
    )]
    pub allow_origins: Vec<Text>,
    /// Methods beyond the safe-listed ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    pub allow_methods: Vec<HttpMethod>,
    /// Request headers beyond the safe-listed ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allow_headers: Vec<HeaderName>,
    /// Response headers that scripts may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub expose_headers: Vec<HeaderName>,
    /// Whether credentials may be sent; not together with the origin `*`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_credentials: bool,
    /// How long a preflight answer may be kept; whole seconds. Absent: 5 s, as in Gateway API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
}

/// Compresses responses when the client accepts it (RFC 9110 §8.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compression {
    /// Algorithms that are offered.
    #[schemars(length(min = 1, max = 3))]
    pub algorithms: Vec<CompressionAlgorithm>,
    /// Smallest body that is compressed. Absent: the gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size: Option<ByteSize>,
    /// Media types that are compressed. Absent: the gateway's own list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub content_types: Vec<Token>,
}

/// Algorithm of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CompressionAlgorithm {
    /// gzip (RFC 1952).
    Gzip,
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// Limits the size of request bodies; a larger one is answered with 413.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BodySizeLimit {
    /// Largest body.
    pub max: ByteSize,
}
