//! The neutral policy catalogue: one kind per field of [`Policies`], each with one meaning on every gateway.
//!
//! Merging (GEP-713, atomic per kind): an override of the data plane, else the rule's policy, else the endpoint's on this
//! plane (`overrides` of the component), else the endpoint's, else the data plane's default. A kind is taken whole from one
//! layer, never mixed from two.

mod observability;
mod resilience;
mod security;
mod traffic;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{observability::*, resilience::*, security::*, traffic::*};

macro_rules! catalogue {
    ($($(#[$meta:meta])* $variant:ident, $field:ident: $type:ty, $name:literal, $json:literal, $group:ident;)*) => {
        /// Policies, at most one of each kind.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct Policies {
            $($(#[$meta])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }

        /// Kind of a policy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum PolicyKind {
            $($(#[$meta])* $variant,)*
            /// Weighted backends of a rule (`backends[].weight`); the one kind that is no field of [`Policies`].
            TrafficSplit,
        }

        impl PolicyKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)* Self::TrafficSplit];

            /// Name in capabilities, tables and accepted differences, for example `rate-limit-local`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* Self::TrafficSplit => "traffic-split" }
            }

            /// Name of the field of [`Policies`], for example `rateLimit`; `backends` for the traffic split.
            pub const fn field(self) -> &'static str {
                match self { $(Self::$variant => $json,)* Self::TrafficSplit => "backends" }
            }

            /// Group it belongs to.
            pub const fn group(self) -> PolicyGroup {
                match self { $(Self::$variant => PolicyGroup::$group,)* Self::TrafficSplit => PolicyGroup::Traffic }
            }
        }

        impl Policies {
            /// Kinds that are set, in the order of the catalogue.
            pub fn kinds(&self) -> Vec<PolicyKind> {
                let mut kinds = Vec::new();
                $(if self.$field.is_some() { kinds.push(PolicyKind::$variant); })*
                kinds
            }

            /// Takes one kind from another set, replacing this one's.
            pub fn take_from(&mut self, kind: PolicyKind, other: &Self) {
                match kind {
                    $(PolicyKind::$variant => self.$field.clone_from(&other.$field),)*
                    PolicyKind::TrafficSplit => {}
                }
            }
        }

        impl crate::resolve::EffectivePolicies {
            $($(#[$meta])* pub fn $field(&self) -> Option<crate::resolve::Effective<'_, $type>> {
                let value = self.values.$field.as_ref()?;
                let provenance = self.provenance.get(&PolicyKind::$variant)?;
                Some(crate::resolve::Effective { value, field: &provenance.field, layer: provenance.layer })
            })*
        }
    };
}

catalogue! {
    /// Changes headers of requests and responses.
    HeaderModification, header_modification: HeaderModification, "header-modification", "headerModification", Traffic;
    /// Changes host or path before the request reaches the backend.
    UrlRewrite, url_rewrite: UrlRewrite, "url-rewrite", "urlRewrite", Traffic;
    /// Answers with a redirect; no backend is asked.
    Redirect, redirect: Redirect, "redirect", "redirect", Traffic;
    /// Answers with a fixed response; no backend is asked.
    DirectResponse, direct_response: DirectResponse, "direct-response", "directResponse", Traffic;
    /// Sends copies of requests elsewhere and ignores the answers.
    Mirror, mirror: Mirror, "mirror", "mirror", Traffic;
    /// Answers cross-origin requests by the Fetch standard.
    Cors, cors: Cors, "cors", "cors", Traffic;
    /// Compresses responses.
    Compression, compression: Compression, "compression", "compression", Traffic;
    /// Limits the size of request bodies.
    BodySizeLimit, body_size_limit: BodySizeLimit, "body-size-limit", "bodySizeLimit", Traffic;
    /// Limits how long a request may take.
    Timeout, timeouts: Timeouts, "timeout", "timeouts", Resilience;
    /// Tries failed requests again.
    Retry, retry: Retry, "retry", "retry", Resilience;
    /// Limits what may be under way towards a backend Service.
    CircuitBreaking, circuit_breaking: CircuitBreaking, "circuit-breaking", "circuitBreaking", Resilience;
    /// Takes endpoints that fail out of the load balancing for a while.
    OutlierDetection, outlier_detection: OutlierDetection, "outlier-detection", "outlierDetection", Resilience;
    /// Asks endpoints for their health.
    HealthCheck, health_check: HealthCheck, "active-health-check", "healthCheck", Resilience;
    /// Limits connections to a backend Service.
    ConnectionLimit, connection_limit: ConnectionLimit, "connection-limit", "connectionLimit", Resilience;
    /// Chooses among the endpoints of a backend Service.
    LoadBalancing, load_balancing: LoadBalancing, "load-balancing", "loadBalancing", Resilience;
    /// Keeps a client on one endpoint.
    SessionAffinity, session_affinity: SessionAffinity, "session-affinity", "sessionAffinity", Resilience;
    /// Injects delays and errors, to test callers.
    FaultInjection, fault_injection: FaultInjection, "fault-injection", "faultInjection", Resilience;
    /// Limits the rate of requests, counted by each proxy replica for itself.
    RateLimitLocal, rate_limit: RateLimit, "rate-limit-local", "rateLimit", Resilience;
    /// Limits the rate of requests, counted over all replicas by a rate-limit service.
    RateLimitGlobal, rate_limit_global: RateLimitGlobal, "rate-limit-global", "rateLimitGlobal", Resilience;
    /// Requires a JSON Web Token.
    Jwt, jwt: Jwt, "jwt", "jwt", Security;
    /// Requires an API key.
    ApiKey, api_key: ApiKey, "api-key", "apiKey", Security;
    /// Requires user and password (RFC 7617).
    BasicAuth, basic_auth: BasicAuth, "basic-auth", "basicAuth", Security;
    /// Asks an authorization service.
    ExternalAuthorization, external_authorization: ExternalAuthorization, "external-authorization", "externalAuthorization", Security;
    /// Requires claims of the token that `jwt` has verified.
    ClaimsAuthorization, claims_authorization: ClaimsAuthorization, "claims-authorization", "claimsAuthorization", Security;
    /// Admits or refuses clients by their address.
    IpAccess, ip_access: IpAccess, "ip-access", "ipAccess", Security;
    /// Requires a certificate of the client.
    ClientCertificate, client_certificate: ClientCertificate, "client-certificate", "clientCertificate", Security;
    /// Speaks TLS to the backend and verifies it.
    BackendTls, backend_tls: BackendTls, "backend-tls", "backendTls", Security;
    /// Writes an access log.
    AccessLog, access_log: AccessLog, "access-log", "accessLog", Observability;
    /// Traces requests.
    Tracing, tracing: Tracing, "tracing", "tracing", Observability;
}

/// Group of policy kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyGroup {
    /// What is routed, and how it is changed.
    Traffic,
    /// What happens under load and failure.
    Resilience,
    /// Who may do what; never approximated to something weaker, never dropped.
    Security,
    /// What can be seen.
    Observability,
}

impl PolicyKind {
    /// Whether losing it would open a door.
    pub const fn is_security(self) -> bool {
        matches!(self.group(), PolicyGroup::Security)
    }

    /// The kind that a field of [`Policies`] is.
    pub fn from_field(field: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.field() == field && *kind != Self::TrafficSplit)
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for PolicyKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Policies {
    /// Whether no kind is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_has_thirty_kinds_with_their_own_names_and_fields() {
        assert_eq!(PolicyKind::ALL.len(), 30);
        let names: std::collections::BTreeSet<_> = PolicyKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), 30);
    }

    #[test]
    fn the_field_of_each_kind_is_the_one_that_serde_writes() {
        let policies = Policies { rate_limit: Some(RateLimit::per_minute(60)), ..Policies::default() };
        let json = serde_json::to_value(&policies).expect("json");
        let kinds: Vec<_> =
            json.as_object().expect("mapping").keys().filter_map(|field| PolicyKind::from_field(field)).collect();
        assert_eq!(kinds, policies.kinds());
        let schema = serde_json::to_value(schemars::schema_for!(Policies)).expect("json");
        for kind in PolicyKind::ALL.iter().filter(|kind| **kind != PolicyKind::TrafficSplit) {
            assert!(schema["properties"].get(kind.field()).is_some(), "{kind}");
        }
    }
}
