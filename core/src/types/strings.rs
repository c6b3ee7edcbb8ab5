//! Checked strings.

use super::macros::checked_string;

checked_string!(
    /// A DNS label (RFC 1123): names of namespaces, Services, components, endpoints.
    DnsLabel,
    "a DNS label: lower-case letters, digits and `-`, starting and ending with a letter or digit, at most 63 characters",
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    1..=63
);
checked_string!(
    /// A DNS subdomain (RFC 1123): names of most Kubernetes objects, and domains.
    DnsSubdomain,
    "a DNS name: labels of lower-case letters, digits and `-`, joined by dots, at most 253 characters",
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    1..=253
);
checked_string!(
    /// A host name as Gateway API takes it: a DNS name, or `*.` and a DNS name. Never an IP address.
    Hostname,
    "a host name: a DNS name with at least one letter, optionally with `*.` in front, at most 253 characters",
    r"^(\*\.)?([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)*([a-z]|[a-z0-9]*[a-z][a-z0-9]*|[a-z0-9][-a-z0-9]*[a-z][-a-z0-9]*[a-z0-9]|[a-z][-a-z0-9]*[a-z0-9]|[a-z0-9][-a-z0-9]*[a-z]|[a-z0-9][-a-z0-9]*-[-a-z0-9]*[a-z0-9])$",
    1..=253
);
checked_string!(
    /// A path of a request: starts with `/`, has no empty, `.` or `..` segment, no `?`, `#`, space or control character.
    ///
    /// The same texts that HTTPRoute accepts for `Exact` and `PathPrefix` (Gateway API 1.6, `HTTPPathMatch`).
    HttpPath,
    "a path: it starts with `/` and holds only characters of RFC 3986, at most 1024",
    r"^/([A-Za-z0-9/\-._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*$",
    1..=1024
);
checked_string!(
    /// An HTTP field name (RFC 9110 §5.1).
    HeaderName,
    "a header name: letters, digits and the marks of RFC 9110, at most 256 characters",
    r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$",
    1..=256
);
checked_string!(
    /// An HTTP field value (RFC 9110 §5.5): visible ASCII, spaces and tabs inside, no line break.
    HeaderValue,
    "a header value: visible ASCII characters with spaces or tabs between them, no line break, at most 4096 characters",
    r"^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$",
    1..=4096
);
checked_string!(
    /// An HTTP method that Gateway API can match.
    HttpMethod,
    "an HTTP method: GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE or PATCH",
    r"^(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH)$",
    3..=7
);
checked_string!(
    /// A regular expression without control characters. Dialects differ between gateways (RE2, PCRE, Go).
    RegularExpression,
    "a regular expression without control characters, at most 1024 characters",
    r"^[^\x00-\x1f\x7f]+$",
    1..=1024
);
checked_string!(
    /// An absolute `http` or `https` URL without credentials, query or fragment.
    HttpsUrl,
    "an absolute http(s) URL without user, query or fragment, at most 2048 characters",
    r"^https?://([a-z0-9]([-a-z0-9]*[a-z0-9])?)(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:[1-9][0-9]{0,4})?(/[A-Za-z0-9/\-._~!$&'()*+,;=:@%]*)?$",
    8..=2048
);
checked_string!(
    /// Text for people or clients: no control characters but tab and line feed.
    Text,
    "text without control characters, at most 4096 bytes",
    r"^[^\x00-\x08\x0b-\x1f\x7f]*$",
    0..=4096
);
checked_string!(
    /// A name from another vocabulary (issuer, audience, realm, user, cookie): visible ASCII without quotes or backslashes.
    Token,
    "visible ASCII characters without quotes, backslashes or spaces, at most 256",
    r"^[!#-&(-\[\]-_a-~]+$",
    1..=256
);
checked_string!(
    /// A claim of a JSON Web Token, nested claims joined by dots (RFC 7519 §4).
    ClaimPath,
    "a claim name: letters, digits, `_`, `-`, `:` and `/`, nested names joined by dots, at most 253 characters",
    r"^[A-Za-z0-9_:/-]+(\.[A-Za-z0-9_:/-]+)*$",
    1..=253
);
checked_string!(
    /// A label or annotation key (Kubernetes): an optional DNS prefix and `/`, and a name.
    LabelKey,
    "a label key: an optional DNS name and `/`, then letters, digits, `-`, `_` and `.`",
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    1..=317
);
checked_string!(
    /// A label value (Kubernetes).
    LabelValue,
    "a label value: letters, digits, `-`, `_` and `.`, at most 63 characters",
    r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
    0..=63
);

impl Hostname {
    /// Whether it stands for every host one label below a domain.
    pub fn is_wildcard(&self) -> bool {
        self.as_str().starts_with("*.")
    }

    /// Whether both can stand for the same host (`*.a.example` and `x.a.example` can).
    pub fn overlaps(&self, other: &Self) -> bool {
        let below = |wildcard: &Self, host: &Self| {
            // Gateway API: a wildcard stands for any number of labels, at least one.
            wildcard.is_wildcard()
                && host.as_str().ends_with(&wildcard.as_str()[1..])
                && host.as_str() != &wildcard.as_str()[2..]
        };
        self == other || below(self, other) || below(other, self)
    }
}

impl HttpPath {
    /// The root, `/`.
    pub fn root() -> Self {
        // The pattern accepts `/`, which a test of this module shows.
        Self("/".to_owned())
    }

    /// Without trailing slashes; the root stays `/`.
    pub fn trimmed(&self) -> &str {
        let trimmed = self.as_str().trim_end_matches('/');
        if trimmed.is_empty() { "/" } else { trimmed }
    }

    /// Whether there is an empty, `.` or `..` segment (also percent-encoded), which Gateway API refuses.
    pub fn has_odd_segment(&self) -> bool {
        let lower = self.as_str().to_ascii_lowercase();
        lower.contains("//")
            || lower.contains("%2f")
            || lower.split('/').any(|segment| matches!(segment.replace("%2e", ".").as_str(), "." | ".."))
    }

    /// This path with another one below it.
    #[must_use]
    pub fn join(&self, below: &Self) -> Self {
        match (self.trimmed(), below.as_str()) {
            ("/", below) => Self(below.to_owned()),
            (base, "/") => Self(base.to_owned()),
            (base, below) => Self(format!("{base}{below}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_never_addresses() {
        for good in ["a", "shop.example.com", "*.example.com", "1a.example", "a-b.c-d", "x1"] {
            assert!(Hostname::new(good).is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.1", "*", "*.", "a..b", "-a.b", "a_b", "Shop.example", "a.b.", "*.*.a", "a\n"] {
            assert!(Hostname::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn wildcards_overlap_what_they_stand_for() {
        let host = |text: &str| Hostname::new(text).expect("valid");
        assert!(host("*.example.com").overlaps(&host("a.example.com")));
        assert!(host("*.example.com").overlaps(&host("a.b.example.com")));
        assert!(host("*.example.com").overlaps(&host("*.b.example.com")));
        assert!(!host("*.example.com").overlaps(&host("example.com")));
        assert!(!host("a.example.com").overlaps(&host("b.example.com")));
    }

    #[test]
    fn paths_join_and_hide_nothing() {
        let path = |text: &str| HttpPath::new(text).expect("valid");
        assert_eq!(HttpPath::new("/"), Ok(HttpPath::root()));
        assert_eq!(path("/a/").join(&path("/b")).as_str(), "/a/b");
        assert_eq!(path("/").join(&path("/b")).as_str(), "/b");
        assert_eq!(path("/a").join(&path("/")).as_str(), "/a");
        assert!(
            path("/a/../b").has_odd_segment()
                && path("/a/%2E%2e/b").has_odd_segment()
                && path("/a%2Fb").has_odd_segment()
        );
        assert!(HttpPath::new("/a b").is_err() && HttpPath::new("a").is_err() && HttpPath::new("/a?b").is_err());
    }

    #[test]
    fn hostile_text_is_refused() {
        assert!(HeaderValue::new("a\r\nb: c").is_err());
        assert!(
            DnsLabel::new("../etc").is_err() && DnsLabel::new("a".repeat(300)).is_err() && DnsLabel::new("é").is_err()
        );
        assert!(Token::new("a\"b").is_err() && Token::new("a'b").is_err() && Token::new("a\\b").is_err());
        assert!(Token::new("https://issuer.example/").is_ok());
    }
}
