//! The kinds that this adapter writes: Envoy Gateway's own (`gateway.envoyproxy.io/v1alpha1`), and those of Gateway API that
//! stand beside them.

use gateway_modules_core::object::{GroupVersionKind, Object};
use serde_json::Value;

/// API group of Envoy Gateway.
pub(crate) const GROUP: &str = "gateway.envoyproxy.io";
/// API group of Gateway API.
pub(crate) const GATEWAY_API: &str = "gateway.networking.k8s.io";

const fn kind(kind: &'static str) -> GroupVersionKind {
    GroupVersionKind::of(GROUP, "v1alpha1", kind)
}

pub(crate) const BACKEND_TRAFFIC_POLICY: GroupVersionKind = kind("BackendTrafficPolicy");
pub(crate) const CLIENT_TRAFFIC_POLICY: GroupVersionKind = kind("ClientTrafficPolicy");
pub(crate) const ENVOY_PROXY: GroupVersionKind = kind("EnvoyProxy");
pub(crate) const HTTP_ROUTE_FILTER: GroupVersionKind = kind("HTTPRouteFilter");
pub(crate) const SECURITY_POLICY: GroupVersionKind = kind("SecurityPolicy");
pub(crate) const GATEWAY_CLASS: GroupVersionKind = GroupVersionKind::of(GATEWAY_API, "v1", "GatewayClass");
/// `v1` as core writes it; Gateway API serves it since 1.5.
pub(crate) const REFERENCE_GRANT: GroupVersionKind = GroupVersionKind::of(GATEWAY_API, "v1", "ReferenceGrant");

/// An object with a spec.
pub(crate) fn object(kind: &GroupVersionKind, namespace: &str, name: &str, spec: Value) -> Object {
    Object::new(kind, Some(namespace), name).with_spec(spec)
}
