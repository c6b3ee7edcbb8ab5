//! Differences of gateways whose proxy is Envoy: each has one name and one text, so that an intent that moves from one of them to
//! another has accepted it already.

use super::Difference;

impl Difference {
    /// Of `jwt` with audiences: Envoy's `jwt_authn` filter answers `JwtAudienceNotAllowed` with 403, and everything else that is
    /// wrong with 401 (docs/findings.md, 12: seen with requests at Envoy 1.40.0).
    pub fn foreign_audience_403() -> Self {
        Self {
            name: "jwt/foreign-audience-403".to_owned(),
            text: "a token for another audience is answered with 403 and not with 401; it is refused all the same"
                .to_owned(),
            stricter: true,
        }
    }

    /// Of `healthCheck` with a threshold above one: an answer that is not the expected one is enough for Envoy (`HealthCheck` of
    /// `config.core.v3`, `unhealthy_threshold`; docs/findings.md, 36: seen with requests at Envoy 1.40.0).
    pub fn a_bad_answer_counts_at_once() -> Self {
        Self {
            name: "health-check/bad-answer-at-once".to_owned(),
            text: "an endpoint that answers with another status is out after the first such answer; the threshold counts the \
                   answers that do not come"
                .to_owned(),
            stricter: true,
        }
    }

    /// Of `connectionLimit`: Envoy's threshold of waiting requests is 1024 where nothing says another
    /// (`config.cluster.v3.CircuitBreakers`), and one of zero would refuse those that wait for a connection to be opened, too
    /// (docs/findings.md, 13: seen with requests at Envoy 1.40.0).
    pub fn requests_wait_for_a_connection() -> Self {
        Self {
            name: "connection-limit/waits".to_owned(),
            text: "a request for which no connection is free waits for one as long as its timeout lets it, instead of being \
                   answered with 503, and each thread of a proxy may always open one connection"
                .to_owned(),
            stricter: false,
        }
    }
}
