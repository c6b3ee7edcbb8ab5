//! Class, parameters and standing policies of each Gateway, and what Istio cannot be given.

use gateway_modules_core::{
    intent::{
        Address, Exposure, FieldRef,
        policies::{HashKey, LoadBalancing, LoadBalancingAlgorithm, SessionAffinity},
    },
    module::{
        Citation, Context, FieldOutcome, GatewayEdit, ObjectHandle, ParameterObjects, Provisioned, Refusal, Refusals,
        ServiceType, Verdict, refuse_existing,
    },
    object::Object,
    resolve::{DataPlaneTopology, GatewayTopology},
};
use serde_json::{Value, json};

use crate::{
    access::Standing,
    parameters::{self, Parameters},
    policies::{client_certificate, providers},
    resources::CONFIG_MAP,
};

/// Ports that the proxy itself has in the pod of a Gateway: status (15021, also on its Service), administration, statistics
/// and telemetry (istio.io, "Ports used by Istio").
const RESERVED_PORTS: [u16; 4] = [15000, 15020, 15021, 15090];
/// Istio names Deployment and Service `<gateway>-<class>`, and labels their pods with it.
const MAX_NAME: usize = 63;
/// Classes that serve no routes from outside.
pub(crate) const OTHER_CLASSES: [&str; 3] = ["istio-waypoint", "istio-remote", "istio-east-west"];
const SERVICE_TYPE: &str = "networking.istio.io/service-type";

pub(crate) fn provision(plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
    let selection = FieldRef::new(plane.document.clone(), "/spec/gateway");
    let parameters = parameters::read(plane)?;
    let class = plane.gateway.class_name.as_ref().map_or("istio", |name| name.as_str());
    let mut refusals: Vec<Refusal> = plane.gateways.iter().flat_map(|gateway| refuse(gateway, class)).collect();
    if OTHER_CLASSES.contains(&class) {
        let reason = "the class is for a mesh or for a remote control plane, and serves no routes from outside";
        refusals.push(Refusal::new(selection.child("className"), reason, &["istio"]));
    }
    if !refusals.is_empty() {
        return Err(Refusals(refusals));
    }

    let mut provisioned = Provisioned::with_class(class);
    let mut made: Vec<(&GatewayTopology, ObjectHandle)> = Vec::new();
    for gateway in plane.gateways.iter().filter(|gateway| gateway.existing.is_none()) {
        let namespace = cx.gateway_namespace(gateway);
        let name = cx.name(&["gateway", &namespace, &gateway.name]);
        let kind = service_type(gateway, &parameters);
        let data = data(kind, sees_clients(plane, gateway), &parameters);
        let handle = provisioned.object(Object::new(&CONFIG_MAP, Some(&namespace), &name).with_field("data", data));
        let mut edit = GatewayEdit::parameters("", "ConfigMap", &name);
        edit.annotations.insert(SERVICE_TYPE.to_owned(), kind.to_owned());
        edit.tls_options = client_certificate::options(plane, gateway, &parameters, cx);
        if plane.declared {
            let annotation = Citation::Gateway {
                visibility: gateway.visibility.clone(),
                pointer: "/metadata/annotations/networking.istio.io~1service-type".to_owned(),
            };
            provisioned.exact(gateway.source.child("exposure"), [annotation, handle.at("/data/service")]);
        }
        if !edit.tls_options.is_empty() {
            provisioned.requires.extend(client_certificate::requirements(gateway, &parameters));
        }
        provisioned.gateways.insert(gateway.visibility.clone(), edit);
        made.push((gateway, handle));

        let standing = Standing::of(plane, gateway);
        for object in standing.custom_policies(|entry| providers::authorization(&parameters, entry.need.external?), cx)
        {
            provisioned.object(object);
        }
        for object in standing.request_authentication(cx).into_iter().chain(standing.policies(cx)) {
            provisioned.object(object);
        }
    }
    cite_parameters(&parameters, &selection.child("parameters"), &made, &mut provisioned);
    Ok(provisioned)
}

fn refuse(gateway: &GatewayTopology, class: &str) -> Vec<Refusal> {
    if gateway.existing.is_some() {
        return refuse_existing(gateway).into_iter().collect();
    }
    let mut refusals = Vec::new();
    let longest = MAX_NAME.saturating_sub(class.len() + 1);
    if gateway.name.len() > longest {
        let reason = format!(
            "the Gateway would be named {}, and Istio makes a Service {}-{class} of it, longer than 63 characters",
            gateway.name, gateway.name
        );
        refusals.push(Refusal::new(gateway.source.clone(), reason, &["a shorter name of the plane or visibility"]));
    }
    for (index, address) in gateway.addresses.iter().enumerate() {
        if matches!(address, Address::Hostname(_)) {
            let reason = "with an address that is a host name Istio makes no proxy, and expects a Service that exists";
            let field = gateway.source.child("addresses").child(index);
            refusals.push(Refusal::new(field, reason, &["an IP address", "no address"]));
        }
    }
    for (index, listener) in gateway.listeners.iter().enumerate() {
        if RESERVED_PORTS.contains(&listener.port.get()) {
            let reason = format!("the proxy uses port {} itself", listener.port);
            let field = gateway.source.child("listeners").child(index).child("port");
            refusals.push(Refusal::new(field, reason, &["another port than 15000, 15020, 15021 and 15090"]));
        }
    }
    refusals
}

fn service_type(gateway: &GatewayTopology, parameters: &Parameters) -> &'static str {
    ServiceType::for_exposure(parameters.service_type, gateway.exposure).as_str()
}

/// Whether a policy of the Gateway asks for the addresses of clients.
fn sees_clients(plane: &DataPlaneTopology, gateway: &GatewayTopology) -> bool {
    plane.routes_on(gateway).flat_map(|route| &route.rules).any(|rule| {
        let values = &rule.policies.values;
        let by_address = |balancing: &LoadBalancing| {
            matches!(balancing.algorithm, LoadBalancingAlgorithm::ConsistentHash(HashKey::ClientIp {}))
        };
        values.ip_access.is_some()
            || values.load_balancing.as_ref().is_some_and(by_address)
            || matches!(values.session_affinity, Some(SessionAffinity::ClientIp {}))
    })
}

/// What is merged into the Deployment and the Service that Istio makes (strategic merge). The Service's type is always
/// written: the class may have defaults of its own, which win over the annotation, and exposure must not depend on them.
/// Where a policy needs them, the Service keeps the addresses of clients: by default a node forwards with its own
/// (istio.io tasks/security/authorization/authz-ingress), and a list of refused addresses would refuse nobody.
fn data(kind: &str, sees_clients: bool, parameters: &Parameters) -> Value {
    let mut service = json!({ "spec": { "type": kind } });
    if sees_clients && kind != ServiceType::ClusterIp.as_str() {
        service["spec"]["externalTrafficPolicy"] = "Local".into();
    }
    let mut data = json!({ "service": text(&service) });
    let mut spec = json!({});
    if let Some(replicas) = parameters.replicas {
        spec["replicas"] = replicas.into();
    }
    if let Some(resources) = &parameters.resources {
        spec["template"] = json!({ "spec": { "containers": [{ "name": "istio-proxy", "resources": resources }] } });
    }
    if spec != json!({}) {
        data["deployment"] = text(&json!({ "spec": spec })).into();
    }
    data
}

/// The values of the ConfigMap are YAML texts, and JSON is YAML.
fn text(value: &Value) -> String {
    value.to_string()
}

/// Each parameter is cited in all objects that carry it, or said to be without effect.
fn cite_parameters(
    parameters: &Parameters,
    field: &FieldRef,
    made: &ParameterObjects<'_>,
    provisioned: &mut Provisioned,
) {
    let mut cite = |name: &str, exposure, pointer| provisioned.parameter(field.at(name), made, exposure, pointer);
    if parameters.replicas.is_some() {
        cite("/replicas", None, "/data/deployment");
    }
    if parameters.service_type.is_some() {
        cite("/serviceType", Some(Exposure::Public), "/data/service");
    }
    if parameters.resources.is_some() {
        cite("/resources", None, "/data/deployment");
    }
    for (name, what) in [
        ("extensionProviders", "which providers of the mesh configuration policies may name"),
        ("clientCertificateAuthorities", "whether listeners ask for client certificates"),
    ] {
        let verdict = Verdict::Decides { what: what.to_owned() };
        provisioned.outcomes.push(FieldOutcome { field: field.child(name), verdict, citations: Vec::new() });
    }
}
