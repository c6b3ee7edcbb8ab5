//! The rights that a controller needs, and no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Kinds that the core itself writes, whatever the module.
const OF_CORE: &[(&str, &str)] = &[
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("gateway.networking.k8s.io", "GRPCRoute"),
    ("gateway.networking.k8s.io", "TLSRoute"),
    ("gateway.networking.k8s.io", "TCPRoute"),
    ("gateway.networking.k8s.io", "UDPRoute"),
    ("gateway.networking.k8s.io", "ReferenceGrant"),
    ("gateway.networking.k8s.io", "BackendTLSPolicy"),
];

/// Rules of the ClusterRole of a controller whose modules emit these kinds (group and kind).
pub fn cluster_rules(emitted: &BTreeSet<(String, String)>) -> Vec<Value> {
    let mut rules = vec![
        json!({ "apiGroups": ["gatewaymodules.dev"], "resources": ["components", "dataplanes"], "verbs": ["get", "list", "watch"] }),
        // The finalizer.
        json!({ "apiGroups": ["gatewaymodules.dev"], "resources": ["dataplanes"], "verbs": ["patch"] }),
        json!({ "apiGroups": ["gatewaymodules.dev"], "resources": ["components/status", "dataplanes/status"], "verbs": ["patch"] }),
        // Channel and versions of Gateway API.
        json!({ "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["get", "list"] }),
        // The version of a gateway's controller, by its image.
        json!({ "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"] }),
        // Contributions (`appProtocol`); a Service is never created or deleted.
        json!({ "apiGroups": [""], "resources": ["services"], "verbs": ["get", "patch"] }),
        // Credentials in the form that the gateway reads are derived from the teams' Secrets.
        json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "delete", "get", "list", "patch"] }),
    ];
    let mut groups: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let own = emitted.iter().map(|(group, kind)| (group.as_str(), kind.as_str()));
    for (group, kind) in own.chain(OF_CORE.iter().copied()).filter(|(_, kind)| !matches!(*kind, "Secret" | "Service")) {
        groups.entry(group).or_default().insert(plural(kind));
    }
    for (group, resources) in groups {
        let verbs = ["create", "delete", "get", "list", "patch", "watch"];
        rules.push(json!({ "apiGroups": [group], "resources": resources, "verbs": verbs }));
    }
    rules
}

/// Rules of the Role in the namespace of the records: what was applied, who applies, who leads.
pub fn record_rules() -> Vec<Value> {
    let verbs = ["create", "delete", "get", "list", "patch", "update"];
    vec![
        json!({ "apiGroups": [""], "resources": ["configmaps"], "verbs": verbs }),
        json!({ "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"] }),
    ]
}

/// Resource name of a kind, as all kinds that modules emit form it.
fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ if lower.ends_with("parameters") => lower,
        _ if lower.ends_with('s') => format!("{lower}es"),
        _ => format!("{lower}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals() {
        for (kind, resource) in [
            ("TrafficPolicy", "trafficpolicies"),
            ("GatewayClass", "gatewayclasses"),
            ("Backend", "backends"),
            ("GatewayParameters", "gatewayparameters"),
            ("NginxProxy", "nginxproxies"),
        ] {
            assert_eq!(plural(kind), resource);
        }
    }
}
