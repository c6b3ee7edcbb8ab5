//! Class, `EnvoyProxy` of each Gateway, and what Envoy Gateway cannot be given.

use gateway_modules_core::{
    intent::{Address, Exposure, FieldRef},
    module::{
        Context, FieldOutcome, GatewayEdit, ParameterObjects, Provisioned, Refusal, Refusals, ServiceType, Verdict,
        parameters_field, refuse_existing,
    },
    resolve::{DataPlaneTopology, GatewayTopology},
};

use crate::{
    CLASS,
    parameters::{self, Parameters},
    policies::client,
    proxy,
    resources::GROUP,
};

/// Ports of Envoy itself in its pod: administration, statistics, readiness (`internal/xds/bootstrap/bootstrap.go`) and the
/// shutdown manager (`internal/cmd/envoy/shutdown_manager.go`).
const RESERVED_PORTS: [u16; 4] = [19000, 19001, 19002, 19003];
/// A listener below 1024 gets this added inside the pod (`internal/gatewayapi/listener.go`, `wellKnownPortShift`).
const SHIFT: u16 = 10_000;
const PRIVILEGED: u16 = 1024;

pub(crate) fn provision(plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
    let parameters = parameters::of(plane)?;
    let mut refusals: Vec<Refusal> = plane.gateways.iter().flat_map(refuse).collect();
    if let (Some(_), Some(kind)) = (&parameters.load_balancer_class, parameters.service_type)
        && kind != ServiceType::LoadBalancer
    {
        let field = parameters_field(plane).child("loadBalancerClass");
        let reason = format!("a Service of type {} has no load balancer", kind.as_str());
        refusals.push(Refusal::new(field, reason, &["serviceType LoadBalancer"]));
    }
    if !refusals.is_empty() {
        return Err(Refusals(refusals));
    }

    // The installation makes the class of that name (`installation.rs`): one object has one owner.
    let class = plane.gateway.class_name.as_ref().map_or(CLASS, |name| name.as_str());
    let mut provisioned = Provisioned::with_class(class);
    let (mut proxies, mut clients) = (Vec::new(), Vec::new());
    for gateway in plane.gateways.iter().filter(|gateway| gateway.existing.is_none()) {
        let handle = provisioned.object(proxy::of(gateway, &parameters, cx));
        let edit = GatewayEdit::parameters(GROUP, "EnvoyProxy", &proxy::name(gateway, cx));
        provisioned.gateways.insert(gateway.visibility.clone(), edit);
        if plane.declared {
            let citation = handle.at("/spec/provider/kubernetes/envoyService/type");
            provisioned.exact(gateway.source.child("exposure"), [citation]);
        }
        proxies.push((gateway, handle));
        if let Some(client) = client::of_gateway(gateway, &parameters, cx) {
            clients.push((gateway, provisioned.object(client)));
        }
    }
    cite_parameters(&parameters, &parameters_field(plane), &proxies, &clients, &mut provisioned);
    Ok(provisioned)
}

fn refuse(gateway: &GatewayTopology) -> Vec<Refusal> {
    if gateway.existing.is_some() {
        return refuse_existing(gateway).into_iter().collect();
    }
    let mut refusals = Vec::new();
    let inside = |port: u16| if port < PRIVILEGED { port + SHIFT } else { port };
    for (index, listener) in gateway.listeners.iter().enumerate() {
        let port = listener.port.get();
        let field = || gateway.source.child("listeners").child(index).child("port");
        if RESERVED_PORTS.contains(&port) {
            let reason = format!("Envoy uses port {port} itself");
            refusals.push(Refusal::new(field(), reason, &["another port than 19000 to 19003"]));
        }
        let other = gateway
            .listeners
            .iter()
            .map(|other| other.port.get())
            .find(|other| *other != port && inside(*other) == inside(port));
        if let Some(other) = other.filter(|_| port >= PRIVILEGED) {
            let reason = format!("port {other} becomes {port} inside the pod (Envoy Gateway adds {SHIFT} below 1024)");
            refusals.push(Refusal::new(field(), reason, &["another port"]));
        }
    }
    let addresses = gateway.source.child("addresses");
    for (index, address) in gateway.addresses.iter().enumerate() {
        if matches!(address, Address::Hostname(_)) {
            // `internal/gatewayapi/address.go`: only type IPAddress is supported.
            let field = addresses.child(index);
            refusals.push(Refusal::new(field, "Envoy Gateway takes IP addresses only", &["an address `ip`"]));
        }
    }
    refusals
}

/// Each parameter is cited in all objects that carry it, or said to be without effect.
fn cite_parameters(
    parameters: &Parameters,
    field: &FieldRef,
    proxies: &ParameterObjects<'_>,
    clients: &ParameterObjects<'_>,
    provisioned: &mut Provisioned,
) {
    let mut cite = |name: &str, exposure, pointer: &str| {
        let pointer = format!("/spec/provider/kubernetes{pointer}");
        provisioned.parameter(field.at(name), proxies, exposure, &pointer);
    };
    let public = Some(Exposure::Public);
    if parameters.replicas.is_some() {
        cite("/replicas", None, "/envoyDeployment/replicas");
    }
    if parameters.service_type.is_some() {
        cite("/serviceType", public, "/envoyService/type");
    }
    if parameters.load_balancer_class.is_some() {
        cite("/loadBalancerClass", public, "/envoyService/loadBalancerClass");
    }
    if let Some(resources) = &parameters.resources {
        let pointer = "/spec/provider/kubernetes/envoyDeployment/container/resources";
        provisioned.resources(&field.child("resources"), resources, proxies, pointer);
    }
    if parameters.client_address.is_some() {
        let pointer = "/spec/clientIPDetection/xForwardedFor/numTrustedHops";
        provisioned.parameter(field.at("/clientAddress/trustedHops"), clients, None, pointer);
    }
    if parameters.rate_limit.is_some() {
        let verdict = Verdict::Decides { what: "which service global rate limits may count in".to_owned() };
        let field = field.child("rateLimit");
        provisioned.outcomes.push(FieldOutcome { field, verdict, citations: Vec::new() });
    }
}
