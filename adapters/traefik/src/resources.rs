//! The vendor's kinds (`traefik.io/v1alpha1`).

use gateway_modules_core::object::{GroupVersionKind, Object};
use serde_json::Value;

/// API group of Traefik.
pub(crate) const GROUP: &str = "traefik.io";

const fn kind(kind: &'static str) -> GroupVersionKind {
    GroupVersionKind::of(GROUP, "v1alpha1", kind)
}

pub(crate) const MIDDLEWARE: GroupVersionKind = kind("Middleware");
pub(crate) const TRAEFIK_SERVICE: GroupVersionKind = kind("TraefikService");
pub(crate) const SERVERS_TRANSPORT: GroupVersionKind = kind("ServersTransport");

/// An object with a spec.
pub(crate) fn object(kind: &GroupVersionKind, namespace: &str, name: &str, spec: Value) -> Object {
    Object::new(kind, Some(namespace), name).with_spec(spec)
}
