//! Resilience policies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{DnsLabel, Duration, HeaderName, HttpPath, Percent, Port, StatusCode, Token};

/// Limits how long a request may take (GEP-1742); a request that takes longer is answered with 504. `0s` means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// From the first byte of the request to the last of the response, retries included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Duration>,
    /// One try towards a backend; at most `request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_request: Option<Duration>,
}

/// Tries failed requests again (GEP-1731).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Further tries after the first, 1 to 10.
    #[schemars(range(min = 1, max = 10))]
    pub attempts: u32,
    /// Shortest pause before a further try. Absent: the gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Duration>,
    /// Statuses of the backend after which a request is tried again, 400 to 599. None written: connection errors only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 400)))]
    pub codes: Vec<StatusCode>,
    /// Limits all retries to a share of the active requests (GEP-3388).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<RetryBudget>,
}

/// Limits retries to a share of the requests (GEP-3388).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryBudget {
    /// Largest share of retries.
    pub percent: Percent,
    /// Over which time. Absent: 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
}

/// Limits what may be under way towards a backend Service, per proxy replica; what is over is answered with 503.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CircuitBreaking {
    /// Connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_pending_requests: Option<u32>,
    /// Requests under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_requests: Option<u32>,
    /// Retries under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_retries: Option<u32>,
}

/// Takes endpoints that fail out of the load balancing for a while, per proxy replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutlierDetection {
    /// Answers 5xx in a row after which an endpoint is taken out.
    #[schemars(range(min = 1))]
    pub consecutive_5xx: u32,
    /// How often endpoints are looked at. Absent: 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// How long the first time lasts. Absent: 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_ejection_time: Option<Duration>,
    /// Largest share of endpoints taken out at a time. Absent: 10 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ejection_percent: Option<Percent>,
}

/// Asks endpoints for their health; an unhealthy one gets no requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// What is asked; an answer 200 is healthy.
    pub probe: HealthProbe,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Good answers in a row that make it healthy again. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub healthy_threshold: Option<u32>,
    /// Bad answers in a row that make it unhealthy. Absent: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub unhealthy_threshold: Option<u32>,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HealthProbe {
    /// `GET` of a path.
    Http {
        /// Path.
        path: HttpPath,
    },
    /// The gRPC health protocol.
    Grpc {
        /// Service whose health is asked. Absent: the server's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<Token>,
    },
}

/// Limits connections to a backend Service, per proxy replica; what is over is answered with 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionLimit {
    /// Most connections.
    #[schemars(range(min = 1))]
    pub max: u32,
}

/// Chooses among the endpoints of a backend Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancing {
    /// Algorithm.
    pub algorithm: LoadBalancingAlgorithm,
}

/// Algorithm of load balancing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LoadBalancingAlgorithm {
    /// In turn.
    RoundRobin {},
    /// The one with the fewest requests under way, of a random few.
    LeastRequest {},
    /// At random.
    Random {},
    /// By consistent hash.
    ConsistentHash(HashKey),
}

/// What is hashed to choose an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HashKey {
    /// A request header.
    Header(HeaderName),
    /// A cookie that the client sends.
    Cookie(Token),
    /// The address of the client.
    ClientIp {},
}

/// Keeps a client on one endpoint while that endpoint lives (GEP-1619).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SessionAffinity {
    /// By a cookie that the gateway sets.
    Cookie {
        /// Name of the cookie.
        name: Token,
        /// How long it lives. Absent: until the browser closes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<Duration>,
    },
    /// By a header that the gateway sets and the client repeats.
    Header {
        /// Name of the header.
        name: HeaderName,
    },
    /// By the address of the client.
    ClientIp {},
}

/// Injects delays and errors, to test callers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultInjection {
    /// Delays requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<FaultDelay>,
    /// Answers with an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<FaultAbort>,
}

/// Delays requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultDelay {
    /// How long.
    pub duration: Duration,
    /// Share of the requests.
    #[serde(default)]
    pub percent: Percent,
}

/// Answers with an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultAbort {
    /// Status.
    pub status: StatusCode,
    /// Share of the requests.
    #[serde(default)]
    pub percent: Percent,
}

/// Limits the rate of requests; what is over is answered with 429.
///
/// A token bucket: it holds at most `burst` tokens, a request takes one, and `requests` tokens come back in each `per`.
/// Counted by each proxy replica for itself, so N replicas let through N times as much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests that are let through in each period.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: u32,
    /// The period.
    pub per: Duration,
    /// Requests that are let through at once. Absent: as many as `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub burst: Option<u32>,
    /// Who shares a bucket.
    #[serde(default, skip_serializing_if = "RateLimitKey::is_default")]
    pub key: RateLimitKey,
}

impl RateLimit {
    /// So many requests a minute over all clients.
    pub const fn per_minute(requests: u32) -> Self {
        Self { requests, per: Duration::from_secs(60), burst: None, key: RateLimitKey::Endpoint {} }
    }

    /// Size of the bucket.
    pub fn burst(&self) -> u32 {
        self.burst.unwrap_or(self.requests)
    }
}

/// Who shares a bucket of a rate limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RateLimitKey {
    /// All requests of the endpoint (or of the rule, when the policy stands there) in one visibility.
    Endpoint {},
    /// Requests from the same client address.
    ClientIp {},
    /// Requests with the same value of a header.
    Header(HeaderName),
}

impl Default for RateLimitKey {
    fn default() -> Self {
        Self::Endpoint {}
    }
}

impl RateLimitKey {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Limits the rate of requests over all replicas; what is over is answered with 429.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitGlobal {
    /// Requests that are let through in each period.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: u32,
    /// The period: 1 s, 1 m, 1 h or 24 h.
    pub per: Duration,
    /// Who shares a counter.
    #[serde(default, skip_serializing_if = "RateLimitKey::is_default")]
    pub key: RateLimitKey,
    /// The service that counts.
    pub service: RateLimitService,
    /// Whether requests pass when the service does not answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_open: bool,
}

/// The service that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RateLimitService {
    /// A service of Envoy's rate-limit protocol (RLS v3); the limits themselves stand in its configuration.
    Envoy {
        /// Service.
        service: DnsLabel,
        /// Namespace. Absent: where the component runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<DnsLabel>,
        /// Port.
        port: Port,
        /// Domain of the limits.
        domain: Token,
    },
    /// A Redis server in which the gateway counts.
    Redis {
        /// Service.
        service: DnsLabel,
        /// Namespace. Absent: where the component runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<DnsLabel>,
        /// Port.
        port: Port,
    },
}
