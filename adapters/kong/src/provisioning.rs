//! Class, parameters of each Gateway, and what Kong cannot be given.

use std::collections::BTreeMap;

use gateway_modules_core::{
    intent::{Exposure, FieldRef, ListenerProtocol},
    module::{
        Context, GatewayEdit, ObjectHandle, ParameterObjects, Provisioned, Refusal, Refusals, ServiceType,
        read_parameters, refuse_existing,
    },
    object::Object,
    resolve::{DataPlaneTopology, GatewayTopology},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    CONTROLLER,
    resources::{GATEWAY_CLASS, GATEWAY_CONFIGURATION, OPERATOR},
};

/// Ports that the proxy's container has itself: HTTP, HTTPS, Admin API, status. A stream listener opens its own port there.
const RESERVED_PORTS: [u16; 4] = [8000, 8100, 8443, 8444];
/// Characters of a path that mean something else in PCRE: the router `traditional_compatible` gets an exact path as a
/// pattern, unescaped (`subtranslator/httproute.go`, `generateKongRoutePathFromHTTPRouteMatch`).
const PATTERN_CHARACTERS: [char; 5] = ['+', '*', '(', ')', '$'];

/// Parameters of this module (`gateway.parameters`), for all Gateways that the plane manages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// How the proxy routes. `expressions` also matches methods and query parameters. Absent: the gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<Router>,
    /// Whether the proxy is instrumented for tracing, without which policy `tracing` has no effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tracing: bool,
    /// Replicas of the proxy. Absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<u32>,
    /// Type of the Service of public Gateways; others always have `ClusterIP`. Absent: `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
}

/// How the proxy routes (`KONG_ROUTER_FLAVOR`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Router {
    /// By the fields of Kong's routes.
    TraditionalCompatible,
    /// By expressions.
    Expressions,
}

impl Parameters {
    pub(crate) fn of(parameters: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        serde_json::from_value(Value::Object(parameters.clone()))
    }
}

pub(crate) fn provision(plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
    let selection = FieldRef::new(plane.document.clone(), "/spec/gateway");
    let parameters: Parameters = read_parameters(plane, "kong")?;
    let mut refusals: Vec<Refusal> = plane.gateways.iter().flat_map(refuse).collect();
    refusals.extend(matches(plane, &parameters, cx));
    if !refusals.is_empty() {
        return Err(Refusals(refusals));
    }
    let named = plane.gateway.class_name.as_ref();
    let mut provisioned = Provisioned::with_class(named.map_or("kong", |name| name.as_str()));
    if named.is_none() {
        // The same for every plane: parameters go to each Gateway.
        let class = Object::new(&GATEWAY_CLASS, None, "kong");
        provisioned.class = Some(class.with_spec(json!({ "controllerName": CONTROLLER })));
    }
    let mut made: Vec<(&GatewayTopology, ObjectHandle)> = Vec::new();
    for gateway in plane.gateways.iter().filter(|gateway| gateway.existing.is_none()) {
        let namespace = cx.gateway_namespace(gateway);
        let name = cx.name(&["gateway", &namespace, &gateway.name]);
        let object = Object::new(&GATEWAY_CONFIGURATION, Some(&namespace), &name);
        let handle = provisioned.object(object.with_spec(spec(gateway, &parameters)));
        let edit = GatewayEdit::parameters(OPERATOR, "GatewayConfiguration", &name);
        provisioned.gateways.insert(gateway.visibility.clone(), edit);
        if plane.declared {
            provisioned.exact(gateway.source.child("exposure"), [handle.at(SERVICE_TYPE)]);
        }
        made.push((gateway, handle));
    }
    cite_parameters(&parameters, &selection.child("parameters"), &made, &mut provisioned);
    Ok(provisioned)
}

const SERVICE_TYPE: &str = "/spec/dataPlaneOptions/network/services/ingress/type";

/// The Service's type is always written: the class may have parameters of its own, and exposure must not depend on them.
fn spec(gateway: &GatewayTopology, parameters: &Parameters) -> Value {
    let kind = ServiceType::for_exposure(parameters.service_type, gateway.exposure).as_str();
    let mut options = json!({ "network": { "services": { "ingress": { "type": kind } } } });
    if let Some(replicas) = parameters.replicas {
        options["deployment"]["replicas"] = replicas.into();
    }
    let env: Vec<Value> =
        environment(parameters).into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    if !env.is_empty() {
        // The proxy's container has this name (`pkg/consts/dataplane.go`, DataPlaneProxyContainerName).
        options["deployment"]["podTemplateSpec"] =
            json!({ "spec": { "containers": [{ "name": "proxy", "env": env }] } });
    }
    json!({ "dataPlaneOptions": options })
}

fn environment(parameters: &Parameters) -> BTreeMap<&'static str, &'static str> {
    let mut environment = BTreeMap::new();
    if let Some(router) = parameters.router {
        let flavor = match router {
            Router::TraditionalCompatible => "traditional_compatible",
            Router::Expressions => "expressions",
        };
        environment.insert("KONG_ROUTER_FLAVOR", flavor);
    }
    if parameters.tracing {
        environment.insert("KONG_TRACING_INSTRUMENTATIONS", "all");
        // Each plugin samples for itself.
        environment.insert("KONG_TRACING_SAMPLING_RATE", "1.0");
    }
    environment
}

fn refuse(gateway: &GatewayTopology) -> Vec<Refusal> {
    if gateway.existing.is_some() {
        return refuse_existing(gateway).into_iter().collect();
    }
    let mut refusals = Vec::new();
    for (index, listener) in gateway.listeners.iter().enumerate() {
        let field = gateway.source.child("listeners").child(index);
        let others = gateway.listeners.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other);
        let http = matches!(listener.protocol, ListenerProtocol::Http | ListenerProtocol::Https);
        if listener.protocol == ListenerProtocol::Tls && others.clone().any(|other| other.port == listener.port) {
            let reason = "Kong cannot share the port of a TLS listener (Kong/kong-operator issue 3511)";
            refusals.push(Refusal::new(field.child("port"), reason, &["a port of its own"]));
        }
        if !http && RESERVED_PORTS.contains(&listener.port.get()) {
            let reason = format!("the proxy uses port {} itself", listener.port);
            refusals.push(Refusal::new(field.child("port"), reason, &["another port than 8000, 8100, 8443 and 8444"]));
        }
        let same_host = |other: &gateway_modules_core::intent::Listener| {
            other.hostname.is_some() && other.hostname == listener.hostname && other.port != listener.port
        };
        if others.clone().any(same_host) {
            let reason = "Kong takes two listeners of one host name for a conflict, whatever their ports \
                          (controller_reconciler_utils.go, setConflicted)";
            let alternatives = ["no hostname in the listeners: the routes have theirs"];
            refusals.push(Refusal::new(field.child("hostname"), reason, &alternatives));
        }
        if listener.tls.as_ref().is_some_and(|tls| tls.certificates.len() > 1) {
            let reason = "Kong takes one certificate in a listener (reason TooManyTLSSecrets)";
            refusals.push(Refusal::new(field.at("/tls/certificates"), reason, &["one listener for each certificate"]));
        }
    }
    refusals
}

/// Matches that the router reads otherwise than they are meant.
fn matches(plane: &DataPlaneTopology, parameters: &Parameters, cx: &Context<'_>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let rules = plane.routes.iter().flat_map(|route| route.rules.iter().map(move |rule| (route, rule)));
    for (route, (matched, field)) in
        rules.flat_map(|(route, rule)| rule.matches.iter().map(move |matched| (route, matched)))
    {
        let field = field.as_ref().unwrap_or(&route.source);
        if cx.version.line() < (2, 3) && !matched.headers.is_empty() {
            let reason =
                "Kong Operator 2.2 does not pass the tests of header matches (report 2.2.0, HTTPRouteHeaderMatching)";
            refusals.push(Refusal::new(field.child("headers"), reason, &["version 2.3"]));
        }
        let path = serde_json::to_value(&matched.path).unwrap_or_default().to_string();
        if parameters.router != Some(Router::Expressions) && path.contains(PATTERN_CHARACTERS) {
            let reason =
                "Kong's router takes the path for a regular expression, in which + * ( ) $ mean something else";
            refusals.push(Refusal::new(field.clone(), reason, &["parameters.router: expressions"]));
        }
    }
    refusals
}

/// Each parameter is cited in all objects that carry it, or said to be without effect.
fn cite_parameters(
    parameters: &Parameters,
    field: &FieldRef,
    made: &ParameterObjects<'_>,
    provisioned: &mut Provisioned,
) {
    let proxy = "/spec/dataPlaneOptions/deployment/podTemplateSpec/spec/containers/0/env";
    let environment: Vec<&str> = environment(parameters).into_keys().collect();
    let variable = |name: &str| environment.iter().position(|other| *other == name).unwrap_or_default();
    let written = [
        ("router", format!("{proxy}/{}", variable("KONG_ROUTER_FLAVOR")), None, parameters.router.is_some()),
        ("tracing", format!("{proxy}/{}", variable("KONG_TRACING_INSTRUMENTATIONS")), None, parameters.tracing),
        ("replicas", "/spec/dataPlaneOptions/deployment/replicas".into(), None, parameters.replicas.is_some()),
        ("serviceType", SERVICE_TYPE.into(), Some(Exposure::Public), parameters.service_type.is_some()),
    ];
    for (name, pointer, exposure, _) in written.into_iter().filter(|(_, _, _, written)| *written) {
        provisioned.parameter(field.child(name), made, exposure, &pointer);
    }
}
