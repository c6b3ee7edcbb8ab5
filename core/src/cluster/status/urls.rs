//! Where a route answers.

use std::collections::BTreeSet;

use serde_json::Value;

/// A parent of a route, as it is written, with its defaults.
pub(in crate::cluster) struct ParentRef<'a> {
    pub(in crate::cluster) group: &'a str,
    pub(in crate::cluster) kind: &'a str,
    pub(in crate::cluster) namespace: &'a str,
    pub(in crate::cluster) name: &'a str,
    pub(in crate::cluster) section: Option<&'a str>,
    pub(in crate::cluster) port: Option<i64>,
}

impl<'a> ParentRef<'a> {
    pub(in crate::cluster) fn read(value: &'a Value, own_namespace: &'a str) -> Self {
        Self {
            group: value["group"].as_str().unwrap_or("gateway.networking.k8s.io"),
            kind: value["kind"].as_str().unwrap_or("Gateway"),
            namespace: value["namespace"].as_str().unwrap_or(own_namespace),
            name: value["name"].as_str().unwrap_or_default(),
            section: value["sectionName"].as_str(),
            port: value["port"].as_i64(),
        }
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        (self.group, self.kind, self.namespace, self.name, self.section, self.port)
            == (other.group, other.kind, other.namespace, other.name, other.section, other.port)
    }
}

impl std::fmt::Display for ParentRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)?;
        if let Some(section) = self.section {
            write!(f, ", listener {section}")?;
        }
        match self.port {
            Some(port) => write!(f, ", port {port}"),
            None => Ok(()),
        }
    }
}

/// URLs of a route on one Gateway: each host of the route on each listener that takes it, with each path.
pub(super) fn urls(route: &Value, gateway: &Value, parent: &ParentRef<'_>, into: &mut BTreeSet<String>) {
    let listeners = gateway["spec"]["listeners"].as_array().into_iter().flatten();
    for listener in listeners {
        let port = listener["port"].as_i64().unwrap_or_default();
        let named = parent.section.is_none_or(|section| listener["name"] == section);
        if !named || parent.port.is_some_and(|wanted| wanted != port) {
            continue;
        }
        let protocol = listener["protocol"].as_str().unwrap_or_default();
        let kind = route["kind"].as_str().unwrap_or_default();
        let Some((scheme, standard)) = scheme(kind, protocol) else { continue };
        let listener_host = listener["hostname"].as_str();
        let mut hosts: Vec<String> = route["spec"]["hostnames"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter_map(|host| listener_host.map_or_else(|| Some(host.to_owned()), |other| narrower(host, other)))
            .collect();
        if route["spec"]["hostnames"].as_array().is_none_or(Vec::is_empty) {
            hosts = listener_host.map_or_else(|| addresses(gateway), |host| vec![host.to_owned()]);
        }
        for host in hosts {
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            let port = if Some(port) == standard { String::new() } else { format!(":{port}") };
            for path in paths(route) {
                into.insert(format!("{scheme}://{host}{port}{path}"));
            }
        }
    }
}

pub(in crate::cluster) fn addresses(gateway: &Value) -> Vec<String> {
    let addresses = gateway["status"]["addresses"].as_array().into_iter().flatten();
    addresses.filter_map(|address| address["value"].as_str().map(ToOwned::to_owned)).collect()
}

fn scheme(kind: &str, protocol: &str) -> Option<(&'static str, Option<i64>)> {
    match (kind, protocol) {
        ("HTTPRoute" | "GRPCRoute", "HTTP") => Some(("http", Some(80))),
        ("HTTPRoute" | "GRPCRoute", "HTTPS") => Some(("https", Some(443))),
        ("TLSRoute" | "TCPRoute", "TLS") => Some(("tls", None)),
        ("TCPRoute", "TCP") => Some(("tcp", None)),
        ("UDPRoute", "UDP") => Some(("udp", None)),
        _ => None,
    }
}

/// The narrower of two host patterns, if one contains the other.
pub(in crate::cluster) fn narrower(a: &str, b: &str) -> Option<String> {
    let below = |host: &str, pattern: &str| {
        pattern.strip_prefix('*').is_some_and(|suffix| host.len() > suffix.len() && host.ends_with(suffix))
    };
    if a == b || below(a, b) {
        Some(a.to_owned())
    } else if below(b, a) {
        Some(b.to_owned())
    } else {
        None
    }
}

fn paths(route: &Value) -> BTreeSet<String> {
    if route["kind"] != "HTTPRoute" {
        return BTreeSet::from([String::new()]);
    }
    let mut paths = BTreeSet::new();
    for rule in route["spec"]["rules"].as_array().into_iter().flatten() {
        let matches = rule["matches"].as_array().map_or(&[][..], Vec::as_slice);
        if matches.is_empty() {
            paths.insert("/".to_owned());
        }
        for one in matches {
            // A regular expression is no place to go to.
            if one["path"]["type"] != "RegularExpression" {
                paths.insert(one["path"]["value"].as_str().unwrap_or("/").to_owned());
            }
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hosts_listeners_and_paths_give_urls() {
        let route = json!({"kind": "HTTPRoute", "spec": {"hostnames": ["a.example.com", "other.org"], "rules": [
            {"matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}, {"path": {"type": "RegularExpression", "value": "/x.*"}}]}]}});
        let gateway = json!({"spec": {"listeners": [
            {"name": "http", "port": 8080, "protocol": "HTTP", "hostname": "*.example.com"},
            {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "*.example.com"},
            {"name": "tcp", "port": 5432, "protocol": "TCP"}]}});
        let parent = json!({"name": "gw"});
        let mut found = BTreeSet::new();
        urls(&route, &gateway, &ParentRef::read(&parent, "ns"), &mut found);
        let found: Vec<String> = found.into_iter().collect();
        assert_eq!(found, ["http://a.example.com:8080/v1", "https://a.example.com/v1"]);
        let parent = json!({"name": "gw", "sectionName": "https"});
        let mut found = BTreeSet::new();
        urls(&route, &gateway, &ParentRef::read(&parent, "ns"), &mut found);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn without_hosts_the_address_is_the_place() {
        let route = json!({"kind": "TCPRoute", "spec": {"rules": [{}]}});
        let gateway = json!({"spec": {"listeners": [{"name": "tcp", "port": 5432, "protocol": "TCP"}]},
            "status": {"addresses": [{"value": "203.0.113.7"}, {"value": "2001:db8::1"}]}});
        let parent = json!({"name": "gw"});
        let mut found = BTreeSet::new();
        urls(&route, &gateway, &ParentRef::read(&parent, "ns"), &mut found);
        assert!(found.contains("tcp://203.0.113.7:5432") && found.contains("tcp://[2001:db8::1]:5432"), "{found:?}");
    }
}
