//! At which ports and hosts a route answers, as Istio's policies write them.

use std::collections::BTreeMap;

use gateway_modules_core::{
    intent::{Listener, ListenerProtocol},
    resolve::{GatewayTopology, RouteTopology},
    types::Hostname,
};

use super::carries_http;
use crate::resources::Operation;

/// Ports and hosts of a route: its hosts within those of its listeners (Gateway API, `HTTPRouteSpec.hostnames`).
pub(super) fn slots(gateway: &GatewayTopology, route: &RouteTopology) -> Vec<(u16, String)> {
    let mut slots = Vec::new();
    for listener in gateway.listeners.iter().filter(|own| route.listeners.iter().any(|name| own.name.as_str() == name))
    {
        for (host, _) in &route.hostnames {
            let Some(host) = within_listener(host, listener) else { continue };
            if !taken_by_another(gateway, listener, host) {
                slots.push((listener.port.get(), host.to_string()));
            }
        }
    }
    slots.sort();
    slots.dedup();
    slots
}

fn within_listener<'a>(host: &'a Hostname, listener: &'a Listener) -> Option<&'a Hostname> {
    match &listener.hostname {
        None => Some(host),
        Some(own) if !host.overlaps(own) => None,
        Some(own) => Some(if host.as_str().len() >= own.as_str().len() { host } else { own }),
    }
}

/// Whether another listener of the port is closer to the host and takes its requests (listener isolation).
fn taken_by_another(gateway: &GatewayTopology, listener: &Listener, host: &Hostname) -> bool {
    let length = |listener: &Listener| listener.hostname.as_ref().map_or(0, |own| own.as_str().len());
    gateway.listeners.iter().any(|other| {
        other.port == listener.port
            && carries_http(other.protocol)
            && length(other) > length(listener)
            && other.hostname.as_ref().is_some_and(|own| own == host || covers(own.as_str(), host.as_str()))
    })
}

/// Whether a wildcard host stands for another host or wildcard.
fn covers(wildcard: &str, host: &str) -> bool {
    wildcard.strip_prefix('*').is_some_and(|suffix| host != wildcard && host.ends_with(suffix))
}

/// How a policy writes a host. Clients may send a port with it; after a wildcard only the listener's own can be told, and
/// any other is refused.
fn texts(host: &str, port: u16) -> [String; 2] {
    let with_port = if host.starts_with('*') { format!("{host}:{port}") } else { format!("{host}:*") };
    [host.to_owned(), with_port]
}

/// The operation at a port and host, without the hosts that are closer: a request for them never comes to this one's rules.
pub(super) fn within(
    all: &BTreeMap<(u16, String), Vec<usize>>,
    slot: &(u16, String),
    mut operation: Operation,
) -> Operation {
    let (port, host) = slot;
    operation.ports = [port.to_string()].into();
    operation.hosts = texts(host, *port).into();
    if host.starts_with('*') {
        let of_port = all.range((*port, String::new())..).take_while(|((other, _), _)| other == port);
        for ((_, other), _) in of_port.filter(|((_, other), _)| covers(host, other)) {
            operation.not_hosts.extend(texts(other, *port));
        }
    }
    operation
}

/// Whether something else than HTTP endpoints is let in at a port without a condition.
pub(super) fn port_is_open(gateway: &GatewayTopology, port: u16) -> bool {
    gateway.listeners.iter().any(|listener| listener.port.get() == port && is_open(listener))
}

/// A listener that policies of HTTP endpoints must let pass: it redirects, or carries connections.
fn is_open(listener: &Listener) -> bool {
    listener.redirect_to.is_some() || matches!(listener.protocol, ListenerProtocol::Tls | ListenerProtocol::Tcp)
}

/// What is let in at those listeners. Of connections a policy knows the port only.
pub(super) fn open_listeners(gateway: &GatewayTopology) -> Vec<Operation> {
    let mut operations: Vec<Operation> = gateway
        .listeners
        .iter()
        .filter(|listener| is_open(listener))
        .map(|listener| {
            let mut operation = Operation { ports: [listener.port.to_string()].into(), ..Operation::default() };
            if let Some(host) = listener.hostname.as_ref().filter(|_| listener.redirect_to.is_some()) {
                operation.hosts = texts(host.as_str(), listener.port.get()).into();
            }
            operation
        })
        .collect();
    operations.sort();
    operations.dedup();
    operations
}
