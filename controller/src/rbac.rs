//! The rights that a controller needs, and no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Rules of the ClusterRole of a controller whose modules emit these kinds (group and kind).
pub fn cluster_rules(emitted: &BTreeSet<(String, String)>) -> Vec<Value> {
    let mut rules = vec![
        json!({ "apiGroups": ["gatewaymodules.dev"], "resources": ["components", "dataplanes"], "verbs": ["list", "watch"] }),
        // The finalizer.
        json!({ "apiGroups": ["gatewaymodules.dev"], "resources": ["dataplanes"], "verbs": ["patch"] }),
        json!({ "apiGroups": ["gatewaymodules.dev"], "resources": ["components/status", "dataplanes/status"], "verbs": ["patch"] }),
        // Channel and versions of Gateway API.
        json!({ "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["list", "watch"] }),
        // The version of a gateway's controller, by its image.
        json!({ "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"] }),
        // Events on the intents; those on DataPlanes are in the namespace `default`.
        json!({ "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] }),
    ];
    let mut groups: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let own = emitted.iter().map(|(group, kind)| (group.as_str(), kind.as_str()));
    for (group, kind) in own.filter(|(_, kind)| !matches!(*kind, "Secret" | "Service")) {
        groups.entry(group).or_default().insert(plural(kind));
    }
    for (group, resources) in groups {
        let verbs = ["create", "delete", "get", "list", "patch", "watch"];
        rules.push(json!({ "apiGroups": [group], "resources": resources, "verbs": verbs }));
    }
    rules.extend([
        // Contributions (`appProtocol`); a Service is never created or deleted.
        json!({ "apiGroups": [""], "resources": ["services"], "verbs": ["get", "patch"] }),
        // Credentials in the form that the gateway reads are derived from the teams' Secrets.
        json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "delete", "get", "list", "patch"] }),
    ]);
    rules
}

/// Rules of the Role in the namespace of the records: what was applied, who applies, who leads.
pub fn record_rules() -> Vec<Value> {
    vec![
        json!({ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "delete", "get", "list", "update"] }),
        // Kubeconfigs of other clusters.
        json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"] }),
        json!({ "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "delete", "get", "update"] }),
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
