//! What the checked types accept, in words: a user reads these and never a pattern.

use std::sync::LazyLock;

use crate::types::{
    ByteSize, ClaimPath, DnsLabel, DnsSubdomain, Duration, HeaderName, HeaderValue, Hostname, HttpMethod, HttpPath,
    HttpsUrl, LabelKey, LabelValue, RegularExpression, Text, Token,
};

/// Words for one pattern.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    /// The pattern of the type.
    pub(crate) pattern: String,
    /// What the type accepts.
    pub(crate) expected: &'static str,
    /// What to write, for example.
    pub(crate) example: &'static str,
    /// Longest value, in bytes.
    pub(crate) max_length: usize,
}

macro_rules! words {
    ($($name:ident: $example:literal,)*) => {
        vec![$(Words {
            pattern: $name::PATTERN.to_owned(),
            expected: $name::EXPECTED,
            example: $example,
            max_length: $name::MAX_LENGTH,
        }),*]
    };
}

static WORDS: LazyLock<Vec<Words>> = LazyLock::new(|| {
    let mut words = words! {
        DnsLabel: "`orders-api`",
        DnsSubdomain: "`shop.example.com`",
        Hostname: "`shop.example.com` or `*.example.com`",
        HttpPath: "`/api/v1`",
        HeaderName: "`X-Request-Id`",
        HeaderValue: "`max-age=60`",
        HttpMethod: "`GET`",
        RegularExpression: "`^/items/[0-9]+$`",
        HttpsUrl: "`https://issuer.example.com/keys`",
        Text: "text on one or more lines",
        Token: "`orders-api`",
        ClaimPath: "`realm_access.roles`",
        LabelKey: "`app.kubernetes.io/part-of`",
        LabelValue: "`shop`",
    };
    words.push(Words {
        pattern: pattern_of::<Duration>(),
        expected: "a duration: whole numbers with the units `h`, `m`, `s` and `ms` (GEP-2257)",
        example: "`500ms`, `30s` or `1m30s`",
        max_length: 24,
    });
    words.push(Words {
        pattern: pattern_of::<ByteSize>(),
        expected: "a size in bytes: a whole number and optionally `k`, `M`, `G`, `Ki`, `Mi` or `Gi`",
        example: "`512`, `64Ki` or `10Mi`, in quotes when there is no unit",
        max_length: 17,
    });
    words
});

fn pattern_of<T: schemars::JsonSchema>() -> String {
    schemars::schema_for!(T).get("pattern").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

/// Words for a pattern of a checked type.
pub(crate) fn for_pattern(pattern: &str) -> Option<&'static Words> {
    WORDS.iter().find(|words| words.pattern == pattern)
}

/// Words for a pattern that stands at a field and not at a type.
pub(crate) fn for_field(field: &str) -> Option<(&'static str, &'static str)> {
    Some(match field {
        "allowOrigins" => (
            "an origin: `*`, or scheme and host without a path, where the first label may be `*`",
            "`https://app.example.com` or `https://*.example.com`",
        ),
        "service" => ("the full name of a gRPC service", "`shop.v1.Catalog`"),
        "method" => ("the name of a gRPC method", "`ListItems`"),
        _ => return None,
    })
}

/// Words for a format of JSON Schema.
pub(crate) fn for_format(format: &str) -> Option<(&'static str, &'static str)> {
    Some(match format {
        "cidr" => ("a CIDR block", "`10.0.0.0/8` or `2001:db8::/32`; a single address is `10.0.0.1/32`"),
        "ip" => ("an IPv4 or IPv6 address", "`203.0.113.7`"),
        _ => return None,
    })
}
