//! Gateways on the one Traefik of the installation: which entry points they take, and what cannot be had.

use std::collections::BTreeMap;

use gateway_modules_core::{
    intent::{EndpointType, Exposure, FieldRef, Listener, ListenerProtocol},
    module::{Citation, Context, FieldOutcome, Provisioned, Refusal, Refusals, Requirement, Verdict, refuse_existing},
    resolve::{DataPlaneTopology, GatewayTopology},
};

use crate::parameters::{EntryPoint, EntryPointProtocol, Parameters};

/// Listeners by entry point, with the visibility and the place of each.
type Taken<'a> = BTreeMap<&'a str, Vec<(&'a GatewayTopology, usize)>>;

pub(crate) fn provision(plane: &DataPlaneTopology, _: &Context<'_>) -> Result<Provisioned, Refusals> {
    let selection = FieldRef::new(plane.document.clone(), "/spec/gateway");
    let parameters = Parameters::read(&plane.gateway.parameters)
        .map_err(|error| Refusal::new(selection.child("parameters"), error, &["gwm modules traefik"]))?;
    let entry_points = selection.child("parameters").child("entryPoints");
    let mut refusals = check_entry_points(&parameters, &entry_points);
    refusals.extend(check_routes(plane));
    let mut taken = Taken::new();
    for gateway in &plane.gateways {
        match &gateway.existing {
            Some(_) => refusals.extend(refuse_existing(gateway)),
            None => {
                for (index, listener) in gateway.listeners.iter().enumerate() {
                    match entry_point_of(&parameters, gateway, index, listener) {
                        Ok(name) => taken.entry(name).or_default().push((gateway, index)),
                        Err(refusal) => refusals.push(refusal),
                    }
                }
            }
        }
    }
    refusals.extend(check_collisions(&taken));
    if !refusals.is_empty() {
        return Err(Refusals(refusals));
    }

    let class = plane.gateway.class_name.as_ref().map_or("traefik", |name| name.as_str());
    let mut provisioned = Provisioned::with_class(class);
    let enabled = |setting: &str, reason: &str| Requirement {
        setting: setting.to_owned(),
        value: "true".to_owned(),
        reason: reason.to_owned(),
    };
    provisioned.requires.push(enabled("providers.kubernetesGateway.enabled", "Traefik serves Gateway API only then"));
    for (name, listeners) in &taken {
        let Some(entry_point) = parameters.entry_points.get(*name) else { continue };
        provisioned.requires.extend(requirements(name, entry_point));
        for (gateway, index) in listeners {
            let edit = provisioned.gateways.entry(gateway.visibility.clone()).or_default();
            edit.listener_ports.insert(gateway.listeners[*index].port.get(), entry_point.port.get());
        }
    }
    if plane.declared {
        cite(plane, &parameters, &selection.child("parameters"), &taken, &mut provisioned);
    }
    Ok(provisioned)
}

/// Contradictions in the parameters themselves.
fn check_entry_points(parameters: &Parameters, field: &FieldRef) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut ports: BTreeMap<u16, &str> = BTreeMap::new();
    let mut exposed: BTreeMap<(u16, bool), &str> = BTreeMap::new();
    for (name, entry_point) in &parameters.entry_points {
        let valid = !name.is_empty()
            && name.len() <= 63
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !valid {
            let reason = "the chart takes names of lower-case letters, digits and `-` for ports";
            refusals.push(Refusal::new(field.child(name), reason, &["for example web"]));
        }
        if let Some(other) = ports.insert(entry_point.port.get(), name) {
            let reason = format!("entry point {other} has port {} already", entry_point.port);
            refusals.push(Refusal::new(field.child(name).child("port"), reason, &["another port"]));
        }
        let key = (entry_point.exposed_port(), entry_point.exposure == Exposure::Public);
        if let Some(other) = exposed.insert(key, name) {
            let reason = format!("clients reach entry point {other} by port {} already", entry_point.exposed_port());
            refusals.push(Refusal::new(field.child(name), reason, &["another exposedPort"]));
        }
    }
    refusals
}

/// What core would realise by standard fields that Traefik has for HTTPRoute only.
fn check_routes(plane: &DataPlaneTopology) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for route in plane.routes.iter().filter(|route| route.kind == EndpointType::Grpc) {
        for rule in &route.rules {
            if let Some(policy) = rule.policies.backend_tls() {
                // `grpcroute.go`, loadGRPCServers: the scheme comes from appProtocol alone, no BackendTLSPolicy is read.
                let reason =
                    "Traefik applies BackendTLSPolicy to HTTPRoute only, so a gRPC backend would not be verified";
                refusals.push(Refusal::new(
                    policy.field.clone(),
                    reason,
                    &["an endpoint of type HTTP", "module kgateway"],
                ));
            }
            if let Some(policy) = rule.policies.header_modification().filter(|it| !it.value.response.is_empty()) {
                // `grpcroute.go`, loadGRPCMiddlewares: any other filter makes the rule answer Unavailable.
                let reason = "Traefik changes request headers only on GRPCRoute; the filter would make every call fail";
                refusals.push(Refusal::new(policy.field.child("response"), reason, &["request headers only"]));
            }
        }
    }
    refusals.dedup();
    refusals
}

fn entry_point_of<'a>(
    parameters: &'a Parameters,
    gateway: &GatewayTopology,
    index: usize,
    listener: &Listener,
) -> Result<&'a str, Refusal> {
    let field = gateway.source.child("listeners").child(index).child("port");
    let port = listener.port.get();
    let Some((name, entry_point)) = parameters.entry_point(gateway.exposure, port) else {
        let (what, exposure) = match gateway.exposure {
            Exposure::Public => ("an entry point", "Public"),
            Exposure::Cluster => ("an entry point that only a Service of type ClusterIP leads to", "Cluster"),
        };
        let known: Vec<String> = parameters
            .entry_points
            .iter()
            .filter(|(_, entry_point)| entry_point.exposure == gateway.exposure)
            .map(|(name, entry_point)| format!("{name} ({})", entry_point.exposed_port()))
            .collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let reason = format!(
            "listener {} of visibility {} needs {what} on port {port}; the entry points with exposure {exposure} are: {known}",
            listener.name, gateway.visibility
        );
        let declare = format!(
            "gateway.parameters.entryPoints with `{{ port: …, exposedPort: {port}, exposure: {exposure} }}`, and the entry \
             point in the installation"
        );
        return Err(Refusal::new(field, reason, &[declare.as_str(), "a port of an entry point"]));
    };
    if listener.protocol == ListenerProtocol::Http && entry_point.protocol == EntryPointProtocol::Https {
        // `kubernetes.go`, entryPointName: an entry point with TLS is passed over for HTTP listeners.
        let reason = format!("entry point {name} has TLS of its own, and Traefik takes no HTTP listener on it");
        return Err(Refusal::new(field, reason, &["a listener with protocol HTTPS", "an entry point without TLS"]));
    }
    Ok(name)
}

/// All Gateways are one Traefik: routes of two on one entry point would answer on each other's Gateway. And two ports that
/// clients use cannot be one port of the container.
fn check_collisions(taken: &Taken<'_>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (name, listeners) in taken {
        let Some((first, first_index)) = listeners.first() else { continue };
        for (gateway, index) in listeners {
            let field = gateway.source.child("listeners").child(index).child("port");
            if gateway.visibility != first.visibility {
                let reason = format!(
                    "visibilities {} and {} would share entry point {name}, and each would answer for the other's endpoints",
                    first.visibility, gateway.visibility
                );
                refusals.push(Refusal::new(field, reason, &["an entry point for each visibility", "one visibility"]));
            } else if gateway.listeners[*index].port != first.listeners[*first_index].port {
                let reason = format!("entry point {name} is named by two ports, and it is one port of the container");
                refusals.push(Refusal::new(field, reason, &["the same port for both listeners"]));
            }
        }
    }
    refusals
}

/// What the chart must be given for an entry point.
fn requirements(name: &str, entry_point: &EntryPoint) -> Vec<Requirement> {
    let requirement =
        |setting: String, value: String, reason: &str| Requirement { setting, value, reason: reason.to_owned() };
    let port = "Traefik finds the entry point of a listener by its port";
    let mut requirements = vec![
        requirement(format!("ports.{name}.port"), entry_point.port.to_string(), port),
        requirement(
            format!("ports.{name}.exposedPort"),
            entry_point.exposed_port().to_string(),
            "clients use this port of the Service",
        ),
    ];
    if entry_point.exposure == Exposure::Public {
        let reason = "the visibility is reached by the Service of the chart";
        requirements.push(requirement(format!("ports.{name}.expose.default"), "true".to_owned(), reason));
    } else {
        let reason = "the visibility must not be reachable from outside the cluster";
        let values = [
            (format!("ports.{name}.expose.default"), "false"),
            (format!("ports.{name}.expose.internal"), "true"),
            ("service.additionalServices.internal.type".to_owned(), "ClusterIP"),
        ];
        requirements.extend(values.map(|(setting, value)| requirement(setting, value.to_owned(), reason)));
    }
    requirements
}

/// Each parameter is cited in the listeners that it steers, or said to steer none.
fn cite(
    plane: &DataPlaneTopology,
    parameters: &Parameters,
    field: &FieldRef,
    taken: &Taken<'_>,
    provisioned: &mut Provisioned,
) {
    let decides = |field: FieldRef, what: &str| FieldOutcome {
        field,
        verdict: Verdict::Decides { what: what.to_owned() },
        citations: Vec::new(),
    };
    let inactive = |field: FieldRef, reason: &str| FieldOutcome {
        field,
        verdict: Verdict::Inactive { reason: reason.to_owned() },
        citations: Vec::new(),
    };
    for (gateway, index) in taken.values().flatten() {
        if gateway.exposure == Exposure::Cluster {
            let pointer = format!("/spec/listeners/{index}/port");
            let citation = Citation::Gateway { visibility: gateway.visibility.clone(), pointer };
            provisioned.exact(gateway.source.child("exposure"), [citation]);
        }
    }
    let written = plane.gateway.parameters.get("entryPoints").and_then(serde_json::Value::as_object);
    for name in written.into_iter().flat_map(|map| map.keys()) {
        let field = field.child("entryPoints").child(name);
        let Some(listeners) = taken.get(name.as_str()) else {
            provisioned.outcomes.push(inactive(field, "no listener of the plane uses the entry point"));
            continue;
        };
        let citations: Vec<Citation> = listeners
            .iter()
            .map(|(gateway, index)| Citation::Gateway {
                visibility: gateway.visibility.clone(),
                pointer: format!("/spec/listeners/{index}/port"),
            })
            .collect();
        provisioned.exact(field.child("port"), citations);
        provisioned.outcomes.push(decides(field, "which listeners the entry point is for"));
    }
    if written.is_some_and(serde_json::Map::is_empty) {
        provisioned.outcomes.push(decides(field.child("entryPoints"), "nothing: there is no entry point"));
    }
    for (name, on) in [("accessLog", parameters.access_log), ("tracing", parameters.tracing)] {
        let what = if on { "that the installation has it" } else { "that the installation does not have it" };
        provisioned.outcomes.push(decides(field.child(name), what));
    }
}
