//! Variables of NGINX in an access log.

/// Variables that NGINX open source has in every request (`ngx_http_core_module`, `_log_module`, `_upstream_module`,
/// `_ssl_module`).
const KNOWN: &[&str] = &[
    "args",
    "binary_remote_addr",
    "body_bytes_sent",
    "bytes_sent",
    "connection",
    "connection_requests",
    "connection_time",
    "content_length",
    "content_type",
    "document_uri",
    "host",
    "hostname",
    "https",
    "is_args",
    "limit_rate",
    "limit_req_status",
    "msec",
    "nginx_version",
    "pid",
    "pipe",
    "proxy_host",
    "proxy_port",
    "proxy_protocol_addr",
    "proxy_protocol_port",
    "query_string",
    "remote_addr",
    "remote_port",
    "remote_user",
    "request",
    "request_completion",
    "request_id",
    "request_length",
    "request_method",
    "request_time",
    "request_uri",
    "scheme",
    "server_addr",
    "server_name",
    "server_port",
    "server_protocol",
    "ssl_cipher",
    "ssl_client_s_dn",
    "ssl_client_verify",
    "ssl_protocol",
    "ssl_server_name",
    "ssl_session_reused",
    "status",
    "time_iso8601",
    "time_local",
    "upstream_addr",
    "upstream_bytes_received",
    "upstream_bytes_sent",
    "upstream_cache_status",
    "upstream_connect_time",
    "upstream_header_time",
    "upstream_response_length",
    "upstream_response_time",
    "upstream_status",
    "uri",
];

/// Variables of which any name is one.
const FAMILIES: &[&str] = &[
    "arg_",
    "cookie_",
    "http_",
    "sent_http_",
    "sent_trailer_",
    "upstream_http_",
    "upstream_cookie_",
    "upstream_trailer_",
];

/// Whether a text can stand in a format: literal text and variables that NGINX knows.
///
/// # Errors
/// Why not.
pub(super) fn check(text: &str) -> Result<(), String> {
    if let Some(found) = text.chars().find(|c| matches!(c, '"' | '\'' | '\\') || c.is_control()) {
        return Err(format!("{found:?} in a field of the log is part of NGINX's own language or of JSON"));
    }
    let mut parts = text.split('$');
    // What is before the first variable is literal.
    parts.next();
    for part in parts {
        let name = match part.strip_prefix('{') {
            Some(rest) => rest.split_once('}').map_or("", |(name, _)| name),
            None => {
                let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
                &part[..end]
            }
        };
        let of_family = FAMILIES.iter().any(|family| {
            name.strip_prefix(family).is_some_and(|rest| {
                !rest.is_empty() && rest.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            })
        });
        if !of_family && !KNOWN.contains(&name) {
            return Err(format!("${name} is no variable of NGINX"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_known_variables_reach_the_configuration() {
        for good in ["$status", "${status}", "a $http_x_request_id b", "plain", "$arg_q-$uri"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["$", "${status", "$nothing", "it's", "say \"no\"", "a\\b", "$http_", "$$status", "a\nb"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
