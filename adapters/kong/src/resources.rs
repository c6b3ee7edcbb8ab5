//! The vendor's kinds, as far as this adapter writes them.

use gateway_modules_core::object::{GroupVersionKind, Object};
use serde_json::Value;

/// API group of plugins and upstream policies.
pub(crate) const CONFIGURATION: &str = "configuration.konghq.com";
/// API group of the operator's own kinds.
pub(crate) const OPERATOR: &str = "gateway-operator.konghq.com";

pub(crate) const KONG_PLUGIN: GroupVersionKind = GroupVersionKind::of(CONFIGURATION, "v1", "KongPlugin");
pub(crate) const KONG_UPSTREAM_POLICY: GroupVersionKind =
    GroupVersionKind::of(CONFIGURATION, "v1beta1", "KongUpstreamPolicy");
pub(crate) const GATEWAY_CONFIGURATION: GroupVersionKind =
    GroupVersionKind::of(OPERATOR, "v2beta1", "GatewayConfiguration");
pub(crate) const GATEWAY_CLASS: GroupVersionKind =
    GroupVersionKind::of("gateway.networking.k8s.io", "v1", "GatewayClass");
pub(crate) const SERVICE: GroupVersionKind = GroupVersionKind::of("", "v1", "Service");

/// A `KongPlugin`, which has no spec.
pub(crate) fn plugin(namespace: &str, name: &str, plugin: &str, config: Value) -> Object {
    Object::new(&KONG_PLUGIN, Some(namespace), name).with_field("plugin", plugin.into()).with_field("config", config)
}
