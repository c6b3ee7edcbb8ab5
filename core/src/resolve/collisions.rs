//! Two owners that the gateway could not tell apart.

use std::collections::BTreeMap;

use super::{DataPlaneTopology, Resolution, RouteTopology};
use crate::intent::{EndpointType, FieldRef, Match, PathMatch};

/// Reports routes, rules and names that collide, naming both owners.
pub(super) fn find(resolution: &mut Resolution<'_>, topology: &DataPlaneTopology) {
    names(resolution, topology);
    let mut claims: BTreeMap<(String, String, String), (FieldRef, EndpointType)> = BTreeMap::new();
    for route in &topology.routes {
        for (host, what, field) in claims_of(route) {
            let key = (route.binding.visibility.clone(), host.clone(), what.clone());
            if let Some((other, _)) = claims.get(&key) {
                let message = format!(
                    "{} is already taken by {other} in visibility {}",
                    describe(&host, &what),
                    route.binding.visibility
                );
                let help = "give one of the two another host, path or listener".to_owned();
                resolution.error("GWM0307", &field, message, help);
            } else {
                claims.insert(key, (field, route.kind));
            }
        }
    }
    mixed_kinds(resolution, topology);
}

/// What a route takes for itself: host and match, or a listener.
fn claims_of(route: &RouteTopology) -> Vec<(String, String, FieldRef)> {
    let mut claims = Vec::new();
    match route.kind {
        EndpointType::Tcp | EndpointType::Udp => {
            for listener in &route.listeners {
                claims.push((String::new(), format!("listener {listener}"), route.source.clone()));
            }
        }
        EndpointType::Tls => {
            for (host, field) in &route.hostnames {
                claims.push((host.to_string(), "TLS".to_owned(), field_of(route, field)));
            }
        }
        _ => {
            for (host, _) in &route.hostnames {
                for rule in &route.rules {
                    for (item, field) in &rule.matches {
                        claims.push((
                            host.to_string(),
                            canonical(item),
                            field.clone().unwrap_or_else(|| rule.source.clone()),
                        ));
                    }
                }
            }
        }
    }
    claims
}

/// The place to name: the endpoint, unless the host itself stands in its document.
fn field_of(route: &RouteTopology, field: &FieldRef) -> FieldRef {
    if field.document == route.source.document { field.clone() } else { route.source.clone() }
}

/// A match in one form, so that equal conditions are equal texts.
pub(crate) fn canonical(item: &Match) -> String {
    let mut item = item.clone();
    item.path = Some(match item.path.take() {
        None => PathMatch::Prefix(crate::types::HttpPath::root()),
        Some(PathMatch::Prefix(path)) => PathMatch::Prefix(crate::types::HttpPath::new(path.trimmed()).unwrap_or(path)),
        Some(other) => other,
    });
    for header in &mut item.headers {
        // Case does not matter in names of headers, and does in their values.
        if let Ok(name) = crate::types::HeaderName::new(header.name.as_str().to_ascii_lowercase()) {
            header.name = name;
        }
    }
    item.headers.sort_by(|a, b| a.name.cmp(&b.name));
    item.query_params.sort_by(|a, b| a.name.cmp(&b.name));
    serde_json::to_string(&item).unwrap_or_default()
}

fn describe(host: &str, what: &str) -> String {
    match (host, what) {
        ("", listener) => listener.to_owned(),
        (host, "TLS") => format!("host {host}"),
        (host, what) => format!("host {host} with the match {what}"),
    }
}

/// Gateway API refuses one host for an HTTPRoute and a GRPCRoute on the same listener.
fn mixed_kinds(resolution: &mut Resolution<'_>, topology: &DataPlaneTopology) {
    let mut grpc: BTreeMap<(String, String), FieldRef> = BTreeMap::new();
    for route in topology.routes.iter().filter(|route| route.kind == EndpointType::Grpc) {
        for (host, _) in &route.hostnames {
            grpc.insert((route.binding.visibility.clone(), host.to_string()), route.source.clone());
        }
    }
    for route in topology.routes.iter().filter(|route| route.kind.is_http()) {
        for (host, _) in &route.hostnames {
            if let Some(other) = grpc.get(&(route.binding.visibility.clone(), host.to_string())) {
                let message = format!(
                    "host {host} is already taken by the GRPC endpoint {other}; a host serves either HTTPRoutes or GRPCRoutes"
                );
                resolution.error("GWM0308", &route.source, message, "give one of the two another host".to_owned());
            }
        }
    }
}

/// Names carry fifty bits of a hash; that two different bindings share one is refused rather than believed impossible.
fn names(resolution: &mut Resolution<'_>, topology: &DataPlaneTopology) {
    let mut seen: BTreeMap<(&str, &str), &RouteTopology> = BTreeMap::new();
    for route in &topology.routes {
        if let Some(other) = seen.insert((&route.namespace, &route.name), route) {
            let message = format!("the route name {} is already taken by {}", route.name, other.source);
            resolution.error("GWM0309", &route.source, message, "rename one of the two endpoints".to_owned());
        }
    }
    for route in &topology.routes {
        let mut rules: BTreeMap<&str, &FieldRef> = BTreeMap::new();
        for rule in &route.rules {
            if let Some(other) = rules.insert(&rule.name, &rule.source) {
                let message = format!("the rule is named {}, as {other} is", rule.name);
                resolution.error(
                    "GWM0310",
                    &rule.source,
                    message,
                    "give the rules different names or matches".to_owned(),
                );
            }
        }
    }
}
