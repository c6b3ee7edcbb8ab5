//! The server that a URL names.

use super::HttpsUrl;

/// Scheme, host and port of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlServer<'a> {
    /// Whether the scheme is `https`.
    pub https: bool,
    /// The host.
    pub host: &'a str,
    /// The port; that of the scheme when the URL names none.
    pub port: u16,
}

impl HttpsUrl {
    /// The server; `None` when the URL names a port that none can have.
    pub fn server(&self) -> Option<UrlServer<'_>> {
        let (scheme, rest) = self.as_str().split_once("://")?;
        let https = scheme == "https";
        let authority = rest.split('/').next().unwrap_or_default();
        match authority.split_once(':') {
            Some((host, port)) => Some(UrlServer { https, host, port: port.parse().ok().filter(|port| *port > 0)? }),
            None => Some(UrlServer { https, host: authority, port: if https { 443 } else { 80 } }),
        }
    }
}

impl<'a> UrlServer<'a> {
    /// Service and namespace, if the host is `<service>.<namespace>.svc`, with or without the cluster's domain
    /// `cluster.local` (Kubernetes, DNS for Services).
    pub fn service(&self) -> Option<(&'a str, &'a str)> {
        let mut labels = self.host.split('.');
        let (service, namespace) = (labels.next()?, labels.next()?);
        let rest: Vec<&str> = labels.collect();
        matches!(rest.as_slice(), ["svc"] | ["svc", "cluster", "local"]).then_some((service, namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_the_cluster_are_services() {
        let server = |url: &str| {
            let url = HttpsUrl::new(url).expect("url");
            let server = url.server().expect("server");
            (server.https, server.port, server.service().map(|(service, namespace)| format!("{namespace}/{service}")))
        };
        assert_eq!(server("https://issuer.example.com/keys"), (true, 443, None));
        assert_eq!(server("http://keys.auth.svc:8080/jwks"), (false, 8080, Some("auth/keys".to_owned())));
        assert_eq!(server("http://keys.auth.svc.cluster.local"), (false, 80, Some("auth/keys".to_owned())));
        assert_eq!(server("https://keys.auth.svc.example.com/x").2, None);
        assert_eq!(HttpsUrl::new("http://a.example:99999/").expect("url").server(), None);
    }
}
