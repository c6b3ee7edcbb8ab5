//! What each policy kind means in Envoy's words, by JSON pointer into [`envoy::of_host`](super::envoy::of_host).
//!
//! Written from the catalogue's own words and Envoy's API, not from what the operator was seen to write.

use gateway_modules_core::intent::policies::PolicyKind;
use serde_json::{Value, json};

/// In words, and by pointer; `null` where nothing may be.
pub(super) struct Meaning {
    pub(super) says: &'static str,
    pub(super) at: Vec<(&'static str, Value)>,
}

/// Of the sample of a kind; none for a kind of which nobody says what Cilium makes of it.
pub(super) fn of(kind: PolicyKind) -> Option<Meaning> {
    let (says, at) = match kind {
        PolicyKind::HeaderModification => (
            "one request header overwritten, one added, one removed, one removed from the response",
            vec![
                // Adding is the default, which is not written.
                ("/route/requestHeadersToAdd/0", json!({"header": {"key": "X-Via", "value": "gateway"}})),
                ("/route/requestHeadersToAdd/1/header", json!({"key": "X-Tenant", "value": "shop"})),
                ("/route/requestHeadersToAdd/1/appendAction", json!("OVERWRITE_IF_EXISTS_OR_ADD")),
                ("/route/requestHeadersToRemove", json!(["X-Debug"])),
                ("/route/responseHeadersToRemove", json!(["X-Internal"])),
            ],
        ),
        PolicyKind::UrlRewrite => (
            "the prefix `/v1` of whole segments, replaced by `/v2`",
            vec![("/route/match/pathSeparatedPrefix", json!("/v1")), ("/route/route/prefixRewrite", json!("/v2"))],
        ),
        PolicyKind::Redirect => (
            "redirected to HTTPS, 301",
            vec![
                ("/route/redirect/schemeRedirect", json!("https")),
                ("/route/redirect/portRedirect", json!(443)),
                // 301 is the default, which is not written.
                ("/route/redirect/responseCode", Value::Null),
                ("/route/route", Value::Null),
            ],
        ),
        PolicyKind::Mirror => (
            "every request copied to the other Service",
            vec![
                ("/route/route/requestMirrorPolicies/0/cluster", json!("shop:shadow:8080")),
                ("/route/route/requestMirrorPolicies/0/runtimeFraction/defaultValue", json!({"numerator": 100})),
                ("/route/route/requestMirrorPolicies/1", Value::Null),
                ("/clusters/shop:shadow:8080/name", json!("shop:shadow:8080")),
            ],
        ),
        PolicyKind::TrafficSplit => (
            "90 and 10 of 100",
            vec![
                ("/route/route/weightedClusters/clusters/0/name", json!("shop:traffic-split:8080")),
                ("/route/route/weightedClusters/clusters/0/weight", json!(90)),
                ("/route/route/weightedClusters/clusters/1/name", json!("shop:traffic-split-next:8080")),
                ("/route/route/weightedClusters/clusters/1/weight", json!(10)),
                ("/route/route/weightedClusters/clusters/2", Value::Null),
            ],
        ),
        PolicyKind::Timeout => ("10 s for the one try", vec![("/route/route/timeout", json!("10s"))]),
        PolicyKind::Retry => (
            "three more tries for 502 and 503",
            vec![
                ("/route/route/retryPolicy/numRetries", json!(3)),
                ("/route/route/retryPolicy/retriableStatusCodes", json!([502, 503])),
                (
                    "/route/route/retryPolicy/retryOn",
                    json!("retriable-status-codes,connect-failure,reset,refused-stream"),
                ),
            ],
        ),
        PolicyKind::Cors => (
            "one origin, two methods, one header, 600 s, and preflights of others answered by the gateway",
            vec![
                ("/route/typedPerFilterConfig/envoy.filters.http.cors/allowOriginStringMatch", {
                    json!([{"exact": "https://www.example.com"}])
                }),
                ("/route/typedPerFilterConfig/envoy.filters.http.cors/allowMethods", json!("GET, POST")),
                ("/route/typedPerFilterConfig/envoy.filters.http.cors/allowHeaders", json!("Content-Type")),
                ("/route/typedPerFilterConfig/envoy.filters.http.cors/maxAge", json!("600")),
                ("/route/typedPerFilterConfig/envoy.filters.http.cors/allowCredentials", json!(false)),
                ("/route/typedPerFilterConfig/envoy.filters.http.cors/forwardNotMatchingPreflights", json!(false)),
                ("/filters/Cors/name", json!("envoy.filters.http.cors")),
            ],
        ),
        PolicyKind::ExternalAuthorization => (
            "each request is decided by the Service, which is asked with no header that the policy does not name, and an answer \
             that does not come refuses",
            vec![
                ("/filters/ExtAuthz/typedConfig/httpService/serverUri/cluster", json!("http:shop:authz:9000")),
                ("/clusters/http:shop:authz:9000/name", json!("http:shop:authz:9000")),
                ("/filters/ExtAuthz/typedConfig/failureModeAllow", Value::Null),
                ("/filters/ExtAuthz/typedConfig/filterEnabled", Value::Null),
                ("/filters/ExtAuthz/typedConfig/allowedHeaders", Value::Null),
                ("/filters/ExtAuthz/disabled", Value::Null),
                // What switches it off for a route.
                ("/route/typedPerFilterConfig", Value::Null),
                ("/route/route/cluster", json!("shop:external-authorization:8080")),
            ],
        ),
        PolicyKind::AccessLog => (
            "one line of text for each request",
            vec![
                ("/manager/accessLog/0/name", json!("envoy.access_loggers.stdout")),
                ("/manager/accessLog/1", Value::Null),
            ],
        ),
        _ => return None,
    };
    Some(Meaning { says, at })
}

/// A match of a rule by three regular expressions.
pub(super) fn expressions() -> Value {
    json!({
        "path": {"regularExpression": "/items/[0-9]+"},
        "headers": [{"name": "X-Kind", "value": {"regularExpression": "a|b"}}],
        "queryParams": [{"name": "size", "value": {"regularExpression": "[0-9]+"}}],
    })
}

/// What it means: Envoy holds each of them to the whole value (`safe_regex`).
pub(super) fn of_expressions() -> Meaning {
    let says = "each held to the whole value by Envoy's `safeRegex`";
    let at = vec![
        ("/route/match/safeRegex/regex", json!("/items/[0-9]+")),
        ("/route/match/headers/0", json!({"name": "X-Kind", "stringMatch": {"safeRegex": {"regex": "a|b"}}})),
        ("/route/match/queryParameters/0", json!({"name": "size", "stringMatch": {"safeRegex": {"regex": "[0-9]+"}}})),
    ];
    Meaning { says, at }
}
