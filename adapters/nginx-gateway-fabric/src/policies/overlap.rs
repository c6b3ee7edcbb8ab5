//! NGINX has one location per host, port and path, so a policy of one route would reach another that shares it. NGINX Gateway
//! Fabric refuses such a policy (`TargetConflict`, `internal/controller/state/graph/policies.go`).

use std::collections::BTreeSet;

use gateway_modules_core::{
    intent::{FieldRef, Match, PathMatch},
    module::{Mapping, RouteScope},
    resolve::{RouteTopology, RuleTopology},
};

use super::Job;

/// Refuses at `field` where another route of the plane shares host, listener and path with the target; says whether it did.
pub(crate) fn refuse(job: Job<'_>, route: &RouteScope<'_>, field: &FieldRef, mapping: &mut Mapping) -> bool {
    let own = paths(route.rules.iter().copied());
    for other in &job.cx.plane.routes {
        if !same_server(route.route, other) {
            continue;
        }
        let others = other.rules.iter().filter(|rule| !is_meant(route, other, rule));
        if let Some(path) = paths(others).intersection(&own).next() {
            mapping.unsupported(
                field.clone(),
                format!(
                    "{} shares the path {path} of a host with this target, and NGINX Gateway Fabric refuses policies on such \
                     routes (TargetConflict)",
                    other.binding
                ),
                &["the same policy for both", "a path or a host of its own for the endpoint or rule"],
            );
            return true;
        }
    }
    false
}

fn is_meant(route: &RouteScope<'_>, other: &RouteTopology, rule: &RuleTopology) -> bool {
    route.route.binding == other.binding && route.rules.iter().any(|meant| meant.name == rule.name)
}

fn same_server(one: &RouteTopology, other: &RouteTopology) -> bool {
    let hosts = |route: &RouteTopology| -> BTreeSet<String> {
        route.hostnames.iter().map(|(host, _)| host.as_str().to_owned()).collect()
    };
    let (own, others) = (hosts(one), hosts(other));
    let same_host = (own.is_empty() && others.is_empty()) || !own.is_disjoint(&others);
    let listeners: BTreeSet<&String> = one.listeners.iter().collect();
    one.binding.visibility == other.binding.visibility
        && same_host
        && other.listeners.iter().any(|listener| listeners.contains(listener))
        && (one.kind.is_http() || one.kind == gateway_modules_core::intent::EndpointType::Grpc)
        && (other.kind.is_http() || other.kind == gateway_modules_core::intent::EndpointType::Grpc)
}

fn paths<'a>(rules: impl Iterator<Item = &'a RuleTopology>) -> BTreeSet<String> {
    rules
        .flat_map(|rule| {
            let mut paths: Vec<String> = rule.matches.iter().map(|(condition, _)| path(condition)).collect();
            if paths.is_empty() {
                paths.push("/".to_owned());
            }
            paths
        })
        .collect()
}

/// The value of the path, whatever its type, as NGINX Gateway Fabric compares it.
fn path(condition: &Match) -> String {
    match (&condition.path, &condition.grpc) {
        (Some(PathMatch::Exact(path) | PathMatch::Prefix(path)), _) => path.as_str().to_owned(),
        (Some(PathMatch::RegularExpression(pattern)), _) => pattern.as_str().to_owned(),
        (None, Some(grpc)) => {
            let service = grpc.service.as_ref().map_or("", |service| service.as_str());
            let method = grpc.method.as_ref().map_or("", |method| method.as_str());
            format!("/{service}/{method}")
        }
        (None, None) => "/".to_owned(),
    }
}
