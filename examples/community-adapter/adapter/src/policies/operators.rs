//! Envoy's command operators, as far as this adapter lets them into an access log (Envoy docs,
//! `configuration/observability/access_log/usage`). A value with an operator that Envoy does not know stops the listener of
//! the whole Gateway, so what is not known here is refused.

/// Operators without an argument.
const BARE: &[&str] = &[
    "ACCESS_LOG_TYPE",
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_VERSION",
    "DURATION",
    "HOSTNAME",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_TX_DURATION",
    "ROUTE_NAME",
    "START_TIME",
    "STREAM_ID",
    "TRACE_ID",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_HOST",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "VIRTUAL_CLUSTER_NAME",
];

/// Operators whose argument is a header, or a header and one that stands in for it.
const OF_A_HEADER: &[&str] = &["REQ", "RESP", "TRAILER"];

/// Whether Envoy can read a value.
///
/// # Errors
/// What it could not read.
pub(super) fn check(value: &str) -> Result<(), String> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('%') {
        let Some((operator, after)) = after.split_once('%') else {
            return Err("a percent sign begins an operator of Envoy, and nothing ends it".to_owned());
        };
        rest = after;
        // `%%` is a percent sign.
        if !operator.is_empty() && !BARE.contains(&operator) && !is_of_a_header(operator) {
            return Err(format!("{operator:?} is no operator of Envoy that this module knows"));
        }
    }
    Ok(())
}

/// `REQ(X-A)`, `REQ(X-A?X-B)`, `REQ(X-A):10`.
fn is_of_a_header(operator: &str) -> bool {
    let Some((name, rest)) = operator.split_once('(') else { return false };
    let Some((argument, length)) = rest.split_once(')') else { return false };
    let header = |text: &str| {
        !text.is_empty() && text.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | ':'))
    };
    let (first, second) = argument.split_once('?').map_or((argument, None), |(first, second)| (first, Some(second)));
    OF_A_HEADER.contains(&name)
        && header(first)
        && second.is_none_or(header)
        && (length.is_empty() || length.strip_prefix(':').is_some_and(|it| it.parse::<u16>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_envoy_can_read_passes() {
        for value in
            ["text", "%RESPONSE_CODE%", "100%%", "%REQ(:METHOD)% %REQ(X-A?:PATH):10%", "%START_TIME%-%DURATION%"]
        {
            assert_eq!(check(value), Ok(()), "{value}");
        }
    }

    #[test]
    fn what_would_stop_the_listener_is_an_error() {
        for value in ["50%", "%NOPE%", "%REQ%", "%REQ()%", "%REQ(A%", "%REQ(A) %", "%REQ(a)b%", "%ENVIRONMENT(SECRET)%"]
        {
            assert!(check(value).is_err(), "{value}");
        }
    }
}
