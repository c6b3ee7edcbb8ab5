//! Endpoints become routes, one per visibility.

use super::{
    Binding, DataPlaneTopology, GatewayTopology, Layer, Resolution, RouteTopology, RuleTopology,
    effective::{self, LayerPolicies},
    hostnames, rules,
};
use crate::{
    intent::{
        Component, DataPlane, Endpoint, EndpointOverride, EndpointType, FieldRef, Listener, ListenerProtocol, Rule,
        policies::{PathRewrite, Policies, RedirectPath},
    },
    names::{self, Name},
    types::Hostname,
};

pub(super) fn endpoint(
    resolution: &mut Resolution<'_>,
    topology: &mut DataPlaneTopology,
    plane: &DataPlane,
    component: &Component,
    index: usize,
) {
    let endpoint = &component.spec.endpoints[index];
    let field = component.field(&format!("/spec/endpoints/{index}"));
    let plane_override = plane_override(component, plane, endpoint);
    let (visibilities, visibility_field) = match &plane_override {
        Some((EndpointOverride { visibilities: Some(visibilities), .. }, at)) => {
            (visibilities, at.child("visibilities"))
        }
        _ => (&endpoint.visibilities, field.child("visibilities")),
    };
    if visibility_field != field.child("visibilities") {
        topology.decisions.push((
            field.child("visibilities"),
            format!("replaced on data plane {} by {visibility_field}", plane.metadata.name),
        ));
    }
    for (item, visibility) in visibilities.iter().enumerate() {
        let item_field = visibility_field.child(item);
        let Some(gateway) = topology.gateways.iter().find(|gateway| gateway.visibility == visibility.as_str()).cloned()
        else {
            let known: Vec<_> = topology.gateways.iter().map(|gateway| gateway.visibility.as_str()).collect();
            let message = format!("data plane {} has no visibility {visibility}", plane.metadata.name);
            resolution.error("GWM0302", &item_field, message, format!("write one of: {}", known.join(", ")));
            continue;
        };
        route(resolution, topology, plane, component, index, &gateway, plane_override.as_ref());
    }
}

fn plane_override<'a>(
    component: &'a Component,
    plane: &DataPlane,
    endpoint: &Endpoint,
) -> Option<(&'a EndpointOverride, FieldRef)> {
    component.spec.overrides.iter().enumerate().filter(|(_, item)| item.data_plane == plane.metadata.name).find_map(
        |(number, item)| {
            let position = item.endpoints.iter().position(|candidate| candidate.name == endpoint.name)?;
            Some((
                &item.endpoints[position],
                component.field(&format!("/spec/overrides/{number}/endpoints/{position}")),
            ))
        },
    )
}

fn route(
    resolution: &mut Resolution<'_>,
    topology: &mut DataPlaneTopology,
    plane: &DataPlane,
    component: &Component,
    index: usize,
    gateway: &GatewayTopology,
    plane_override: Option<&(&EndpointOverride, FieldRef)>,
) {
    let endpoint = &component.spec.endpoints[index];
    let field = component.field(&format!("/spec/endpoints/{index}"));
    let namespace =
        component.spec.target.namespace.as_ref().map_or(component.namespace(), |namespace| namespace.as_str());
    let binding = Binding {
        namespace: component.namespace().to_owned(),
        component: component.metadata.name.to_string(),
        endpoint: endpoint.name.to_string(),
        visibility: gateway.visibility.clone(),
    };
    let written = written_hostnames(endpoint, &field, plane_override);
    if let Some((EndpointOverride { hostnames: Some(_), .. }, at)) = plane_override {
        topology.decisions.push((
            field.child("hostnames"),
            format!("replaced on data plane {} by {}", plane.metadata.name, at.child("hostnames")),
        ));
    }
    let reach = match hostnames::reach(plane, &gateway.visibility, component, endpoint, written) {
        Ok(reach) => reach,
        Err((place, message)) => return resolution.error("GWM0303", &place, message, None),
    };
    let hosts: Vec<Hostname> = reach.hostnames.iter().map(|(host, _)| host.clone()).collect();
    let listeners = match listeners(endpoint, gateway, &hosts) {
        Ok(listeners) => listeners,
        Err((message, help)) => return resolution.error("GWM0304", &field.child("listener"), message, help),
    };
    let written_rules: Vec<Option<(&Rule, FieldRef)>> = if endpoint.rules.is_empty() {
        vec![None]
    } else {
        endpoint
            .rules
            .iter()
            .enumerate()
            .map(|(number, rule)| Some((rule, field.at(&format!("/rules/{number}")))))
            .collect()
    };
    let mut route_rules = Vec::new();
    for written in &written_rules {
        let rule = written.as_ref().map(|(rule, field)| (*rule, field));
        let layers = layers(plane, endpoint, &field, plane_override, rule);
        let (policies, overridden) = effective::merge(&layers, endpoint.kind, &binding);
        let parts = match rules::matches(endpoint, rule, reach.prefix.as_ref(), replaces_prefix(&policies.values)) {
            Ok(parts) => parts,
            Err((place, message)) => {
                resolution.error("GWM0305", &place.unwrap_or_else(|| field.clone()), message, None);
                continue;
            }
        };
        topology.overridden.extend(overridden);
        for part in parts {
            let backends = rules::backends(endpoint, &field, rule, component.metadata.name.as_str(), namespace);
            route_rules.push(RuleTopology {
                name: rules::name(rule.map(|(rule, _)| rule), &part),
                source: rule.map_or_else(|| field.clone(), |(_, field)| field.clone()),
                declared: rule.is_some(),
                matches: part.matches,
                implied_rewrite: part.rewrite,
                backends,
                policies: policies.clone(),
            });
        }
    }
    check_references(resolution, topology, plane, namespace, &route_rules);
    if route_rules.is_empty() {
        return;
    }
    topology.routes.push(RouteTopology {
        name: names::injective(
            &[
                plane.metadata.name.as_str(),
                component.namespace(),
                component.metadata.name.as_str(),
                endpoint.name.as_str(),
                &gateway.visibility,
            ],
            Name::LABEL,
        ),
        binding,
        source: field.clone(),
        kind: endpoint.kind,
        namespace: namespace.to_owned(),
        hostnames: reach.hostnames,
        listeners,
        listener_source: endpoint.listener.as_ref().map(|_| field.child("listener")),
        base_path: endpoint.base_path.clone().map(|path| (path, field.child("basePath"))),
        subscriptions: endpoint.subscriptions.then(|| field.child("subscriptions")),
        rules: route_rules,
    });
}

/// Whether a policy replaces the prefix that a match names.
fn replaces_prefix(policies: &Policies) -> bool {
    let rewrite = policies.url_rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref());
    let redirect = policies.redirect.as_ref().and_then(|redirect| redirect.path.as_ref());
    matches!(rewrite, Some(PathRewrite::ReplacePrefixMatch(_)))
        || matches!(redirect, Some(RedirectPath::ReplacePrefixMatch(_)))
}

fn written_hostnames(
    endpoint: &Endpoint,
    field: &FieldRef,
    plane_override: Option<&(&EndpointOverride, FieldRef)>,
) -> Vec<(Hostname, FieldRef)> {
    let (hosts, at) = match plane_override {
        Some((EndpointOverride { hostnames: Some(hosts), .. }, at)) => (hosts, at.child("hostnames")),
        _ => (&endpoint.hostnames, field.child("hostnames")),
    };
    hosts.iter().enumerate().map(|(item, host)| (host.clone(), at.child(item))).collect()
}

fn layers<'a>(
    plane: &'a DataPlane,
    endpoint: &'a Endpoint,
    field: &FieldRef,
    plane_override: Option<&(&'a EndpointOverride, FieldRef)>,
    rule: Option<(&'a Rule, &FieldRef)>,
) -> Vec<LayerPolicies<'a>> {
    let layer = |layer, policies: &'a Policies, field: FieldRef| LayerPolicies { layer, policies, field };
    let mut layers = vec![
        layer(Layer::DataPlaneDefault, &plane.spec.policies.defaults, plane.field("/spec/policies/defaults")),
        layer(Layer::Endpoint, &endpoint.policies, field.child("policies")),
        layer(Layer::DataPlaneOverride, &plane.spec.policies.overrides, plane.field("/spec/policies/overrides")),
    ];
    if let Some((item, at)) = plane_override {
        layers.push(layer(Layer::PlaneOverride, &item.policies, at.child("policies")));
    }
    if let Some((rule, at)) = rule {
        layers.push(layer(Layer::Rule, &rule.policies, at.child("policies")));
    }
    layers
}

/// The listeners that a route attaches to, by name.
fn listeners(
    endpoint: &Endpoint,
    gateway: &GatewayTopology,
    hosts: &[Hostname],
) -> Result<Vec<String>, (String, String)> {
    let wanted: &[ListenerProtocol] = match endpoint.kind {
        EndpointType::Tls => &[ListenerProtocol::Tls],
        EndpointType::Tcp => &[ListenerProtocol::Tcp],
        EndpointType::Udp => &[ListenerProtocol::Udp],
        _ => &[ListenerProtocol::Http, ListenerProtocol::Https],
    };
    let serves = |listener: &&Listener| {
        wanted.contains(&listener.protocol)
            && listener.redirect_to.is_none()
            && endpoint.listener.as_ref().is_none_or(|name| *name == listener.name)
            && listener
                .hostname
                .as_ref()
                .is_none_or(|own| hosts.is_empty() || hosts.iter().any(|host| host.overlaps(own)))
    };
    let found: Vec<_> = gateway.listeners.iter().filter(serves).collect();
    let protocols = wanted.iter().map(|protocol| protocol.as_str()).collect::<Vec<_>>().join(" or ");
    match (found.len(), endpoint.kind) {
        (0, _) => Err((
            format!("visibility {} has no {protocols} listener for the endpoint", gateway.visibility),
            format!("add a listener of protocol {protocols} to the visibility in the data plane"),
        )),
        (2.., EndpointType::Tcp | EndpointType::Udp) => Err((
            format!("visibility {} has several {protocols} listeners", gateway.visibility),
            format!("name one: {}", found.iter().map(|listener| listener.name.as_str()).collect::<Vec<_>>().join(", ")),
        )),
        _ => Ok(found.iter().map(|listener| listener.name.to_string()).collect()),
    }
}

/// A route may name a Service of another namespace only where the platform has said so: a ReferenceGrant opens the Services
/// of one tenant to another.
fn check_references(
    resolution: &mut Resolution<'_>,
    topology: &DataPlaneTopology,
    plane: &DataPlane,
    namespace: &str,
    rules: &[RuleTopology],
) {
    let allowed = |to: &str| topology.allows_reference(namespace, to);
    let mut foreign: Vec<(FieldRef, String)> = Vec::new();
    for rule in rules {
        for backend in rule.backends.iter().filter(|backend| backend.namespace != namespace) {
            foreign.push((backend.source.child("namespace"), backend.namespace.clone()));
        }
        if let Some(mirror) = rule.policies.mirror() {
            for (index, backend) in mirror.value.backends.iter().enumerate() {
                if let Some(other) = backend.namespace.as_ref().filter(|other| other.as_str() != namespace) {
                    foreign.push((mirror.field.at(&format!("/backends/{index}/namespace")), other.to_string()));
                }
            }
        }
    }
    for (field, to) in foreign {
        if !allowed(&to) {
            let message = format!("a route in namespace {namespace} may not name a Service in namespace {to}");
            let help = format!(
                "the platform may allow it in DataPlane {}: `allowedReferences: [{{from: {namespace}, to: {to}}}]`",
                plane.metadata.name
            );
            resolution.error("GWM0306", &field, message, help);
        }
    }
}
