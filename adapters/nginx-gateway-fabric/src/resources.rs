//! The vendor's kinds, as far as this adapter writes them (`gateway.nginx.org`).

use gateway_modules_core::object::{GroupVersionKind, Object};
use serde_json::Value;

/// API group of NGINX Gateway Fabric.
pub(crate) const GROUP: &str = "gateway.nginx.org";

pub(crate) const AUTHENTICATION_FILTER: GroupVersionKind =
    GroupVersionKind::of(GROUP, "v1alpha1", "AuthenticationFilter");
pub(crate) const CLIENT_SETTINGS_POLICY: GroupVersionKind =
    GroupVersionKind::of(GROUP, "v1alpha1", "ClientSettingsPolicy");
pub(crate) const OBSERVABILITY_POLICY: GroupVersionKind =
    GroupVersionKind::of(GROUP, "v1alpha2", "ObservabilityPolicy");
pub(crate) const PROXY_SETTINGS_POLICY: GroupVersionKind =
    GroupVersionKind::of(GROUP, "v1alpha1", "ProxySettingsPolicy");
pub(crate) const RATE_LIMIT_POLICY: GroupVersionKind = GroupVersionKind::of(GROUP, "v1alpha1", "RateLimitPolicy");
pub(crate) const UPSTREAM_SETTINGS_POLICY: GroupVersionKind =
    GroupVersionKind::of(GROUP, "v1alpha1", "UpstreamSettingsPolicy");
pub(crate) const NGINX_PROXY: GroupVersionKind = GroupVersionKind::of(GROUP, "v1alpha2", "NginxProxy");

/// An object with a spec.
pub(crate) fn object(kind: &GroupVersionKind, namespace: &str, name: &str, spec: Value) -> Object {
    Object::new(kind, Some(namespace), name).with_spec(spec)
}
