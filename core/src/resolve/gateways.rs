//! Visibilities become Gateways.

use std::collections::BTreeMap;

use super::GatewayTopology;
use crate::{
    intent::{DataPlane, Exposure, Listener, ListenerProtocol, Visibility},
    names::{self, Name},
    types::{DnsLabel, Port},
};

/// Visibility that is reachable from inside the cluster only, unless its `exposure` says otherwise.
pub(super) const INTERNAL: &str = "internal";
/// Visibilities of a plane that declares none.
pub(super) const IMPLICIT: [&str; 2] = ["external", INTERNAL];

/// The Gateways of a plane; the implicit ones are all returned, used or not.
pub(super) fn gateways(plane: &DataPlane) -> Vec<GatewayTopology> {
    if plane.spec.visibilities.is_empty() {
        let implicit = Visibility::default();
        IMPLICIT.iter().map(|name| gateway(plane, name, &implicit)).collect()
    } else {
        plane.spec.visibilities.iter().map(|(name, visibility)| gateway(plane, name.as_str(), visibility)).collect()
    }
}

fn gateway(plane: &DataPlane, name: &str, visibility: &Visibility) -> GatewayTopology {
    let default_exposure = if name == INTERNAL { Exposure::Cluster } else { Exposure::Public };
    let text = |map: BTreeMap<String, String>| map;
    GatewayTopology {
        visibility: name.to_owned(),
        source: plane.field("/spec/visibilities").child(name),
        name: visibility.gateway_ref.as_ref().map_or_else(
            || names::injective(&[plane.metadata.name.as_str(), name], Name::GATEWAY),
            |gateway| gateway.name.to_string(),
        ),
        namespace: visibility.namespace.as_ref().map(ToString::to_string),
        exposure: visibility.exposure.unwrap_or(default_exposure),
        existing: visibility.gateway_ref.clone(),
        listeners: if visibility.listeners.is_empty() { implicit_listeners() } else { visibility.listeners.clone() },
        listeners_declared: !visibility.listeners.is_empty(),
        addresses: visibility.addresses.clone(),
        labels: text(visibility.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()),
        annotations: text(
            visibility.annotations.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        ),
    }
}

fn implicit_listeners() -> Vec<Listener> {
    let listener = |name: DnsLabel, port: Port| Listener {
        name,
        protocol: ListenerProtocol::Http,
        port,
        hostname: None,
        tls: None,
        redirect_to: None,
    };
    DnsLabel::new("http").ok().zip(Port::new(80).ok()).map(|(name, port)| listener(name, port)).into_iter().collect()
}
