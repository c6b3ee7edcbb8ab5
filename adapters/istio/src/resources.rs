//! The vendor's kinds, as far as this adapter writes them.

use std::collections::BTreeSet;

use gateway_modules_core::object::{GroupVersionKind, Object};
use serde::Serialize;
use serde_json::{Value, json};

/// API group of Gateway API.
pub(crate) const GATEWAY_API: &str = "gateway.networking.k8s.io";

pub(crate) const AUTHORIZATION_POLICY: GroupVersionKind =
    GroupVersionKind::of("security.istio.io", "v1", "AuthorizationPolicy");
pub(crate) const REQUEST_AUTHENTICATION: GroupVersionKind =
    GroupVersionKind::of("security.istio.io", "v1", "RequestAuthentication");
pub(crate) const DESTINATION_RULE: GroupVersionKind =
    GroupVersionKind::of("networking.istio.io", "v1", "DestinationRule");
pub(crate) const TELEMETRY: GroupVersionKind = GroupVersionKind::of("telemetry.istio.io", "v1", "Telemetry");
pub(crate) const CONFIG_MAP: GroupVersionKind = GroupVersionKind::of("", "v1", "ConfigMap");
pub(crate) const GATEWAY: GroupVersionKind = GroupVersionKind::of(GATEWAY_API, "v1", "Gateway");

/// An object with a typed spec.
pub(crate) fn object(kind: &GroupVersionKind, namespace: &str, name: &str, spec: &impl Serialize) -> Object {
    // The specs here hold maps with text keys and finite numbers only, so they always are JSON.
    Object::new(kind, Some(namespace), name).with_spec(serde_json::to_value(spec).unwrap_or_default())
}

/// `targetRefs` of a policy: one Gateway, in the policy's namespace. Istio's policies never refer to routes.
pub(crate) fn gateway_refs(gateway: &str) -> Value {
    json!([{ "group": GATEWAY_API, "kind": "Gateway", "name": gateway }])
}

/// `AuthorizationPolicy.spec.rules[]`
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct AccessRule {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) from: Vec<From>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) to: Vec<To>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) when: Vec<Condition>,
}

/// `rules[].from[]`
#[derive(Clone, Debug, Serialize)]
pub(crate) struct From {
    pub(crate) source: Source,
}

/// `rules[].from[].source`
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Source {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) remote_ip_blocks: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_remote_ip_blocks: Vec<String>,
}

/// `rules[].to[]`
#[derive(Clone, Debug, Serialize)]
pub(crate) struct To {
    pub(crate) operation: Operation,
}

/// `rules[].to[].operation`: everything that is written must hold; of each list one item. Empty means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operation {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) hosts: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) not_hosts: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) ports: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) methods: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) not_methods: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) paths: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) not_paths: BTreeSet<String>,
}

/// `rules[].when[]`
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Condition {
    pub(crate) key: String,
    pub(crate) values: Vec<String>,
}

/// `RequestAuthentication.spec.jwtRules[]`
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JwtRule {
    pub(crate) issuer: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) audiences: Vec<String>,
    pub(crate) jwks_uri: String,
    pub(crate) forward_original_token: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) output_claim_to_headers: Vec<ClaimHeader>,
}

/// `jwtRules[].outputClaimToHeaders[]`
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClaimHeader {
    pub(crate) header: String,
    pub(crate) claim: String,
}
