//! What an adapter may know while it provisions and maps.

use super::ModuleVersion;
use crate::{
    capability::{Capabilities, CapabilityName},
    channel::Channel,
    names::{self, Name},
    resolve::{DataPlaneTopology, GatewayTopology},
};

/// The settled facts of one compilation: plane, version, capabilities, channel. Nothing here looks anything up.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Context<'a> {
    /// The plane.
    pub plane: &'a DataPlaneTopology,
    /// Version of the gateway.
    pub version: &'a ModuleVersion,
    /// What the gateway can do: declared, corrected by what was discovered and by the operator.
    pub capabilities: &'a Capabilities,
    /// Channel of the Gateway API CRDs.
    pub channel: Channel,
    /// Namespace of Gateways for which the plane names none.
    pub default_namespace: &'a str,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        plane: &'a DataPlaneTopology,
        version: &'a ModuleVersion,
        capabilities: &'a Capabilities,
        channel: Channel,
        default_namespace: &'a str,
    ) -> Self {
        Self { plane, version, capabilities, channel, default_namespace }
    }

    /// Whether the gateway has a capability.
    pub fn has(&self, name: &CapabilityName) -> bool {
        self.capabilities.has(name)
    }

    /// An injective name for an object of this plane, at most 63 characters: different parts never give the same name.
    pub fn name(&self, parts: &[&str]) -> String {
        let mut all = vec![self.plane.name.as_str()];
        all.extend_from_slice(parts);
        names::injective(&all, Name::LABEL)
    }

    /// Namespace of a Gateway.
    pub fn gateway_namespace(&self, gateway: &GatewayTopology) -> String {
        match (&gateway.existing, &gateway.namespace) {
            (Some(existing), _) => existing.namespace.to_string(),
            (None, Some(namespace)) => namespace.clone(),
            (None, None) => self.default_namespace.to_owned(),
        }
    }
}
