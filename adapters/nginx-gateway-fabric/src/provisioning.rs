//! Class, `NginxProxy` of each Gateway, and what NGINX Gateway Fabric cannot be given.

use gateway_modules_core::{
    intent::{Address, Exposure, FieldRef, ListenerProtocol},
    module::{
        Context, GatewayEdit, ObjectHandle, ParameterObjects, Provisioned, Refusal, Refusals, Requirement, Resources,
        ServiceType, read_parameters, refuse_existing,
    },
    resolve::{DataPlaneTopology, GatewayTopology},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{proxy, resources::GROUP};

mod text;

/// Ports that NGINX itself has in the pod of a Gateway: metrics (`NginxProxy.spec.metrics.port`) and readiness.
const RESERVED_PORTS: [u16; 2] = [8081, 9113];
/// The class of the chart.
const CLASS: &str = "nginx";

/// Parameters of this module (`gateway.parameters`), for all Gateways that the plane manages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// Replicas of NGINX. Absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<u32>,
    /// Type of the Service of public Gateways; others always have `ClusterIP`. Absent: `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Class of the load balancer of public Gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
    /// Resources of NGINX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// The parameters of a plane.
///
/// # Errors
/// They are not what the schema says.
pub(crate) fn parameters(plane: &DataPlaneTopology) -> Result<Parameters, Refusal> {
    read_parameters(plane, "nginx-gateway-fabric")
}

pub(crate) fn provision(plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
    let selection = FieldRef::new(plane.document.clone(), "/spec/gateway");
    let parameters = parameters(plane)?;
    let mut refusals: Vec<Refusal> = plane.gateways.iter().flat_map(refuse).collect();
    refusals.extend(text::refuse(plane));
    if let (Some(_), Some(kind)) = (&parameters.load_balancer_class, parameters.service_type)
        && kind != ServiceType::LoadBalancer
    {
        let field = selection.child("parameters").child("loadBalancerClass");
        let reason = format!("a Service of type {} has no load balancer", kind.as_str());
        refusals.push(Refusal::new(field, reason, &["serviceType LoadBalancer"]));
    }
    if !refusals.is_empty() {
        return Err(Refusals(refusals));
    }

    let class = plane.gateway.class_name.as_ref().map_or(CLASS, |name| name.as_str());
    let mut provisioned = Provisioned::with_class(class);
    let mut made: Vec<(&GatewayTopology, ObjectHandle)> = Vec::new();
    for gateway in plane.gateways.iter().filter(|gateway| gateway.existing.is_none()) {
        let handle = provisioned.object(proxy::of(gateway, &parameters, cx));
        let edit = GatewayEdit::parameters(GROUP, "NginxProxy", &proxy::name(gateway, cx));
        provisioned.gateways.insert(gateway.visibility.clone(), edit);
        if plane.declared {
            provisioned.exact(gateway.source.child("exposure"), [handle.at("/spec/kubernetes/service/type")]);
        }
        made.push((gateway, handle));
    }
    cite_parameters(&parameters, &selection.child("parameters"), &made, &mut provisioned);
    require(plane, class, cx, &mut provisioned);
    Ok(provisioned)
}

/// Values of the chart `nginx-gateway-fabric`.
fn require(plane: &DataPlaneTopology, class: &str, cx: &Context<'_>, provisioned: &mut Provisioned) {
    if class != CLASS {
        provisioned.requires.push(Requirement {
            setting: "nginxGateway.gatewayClassName".to_owned(),
            value: class.to_owned(),
            reason: "the controller serves one class, and refuses others with GatewayClassConflict".to_owned(),
        });
    }
    // TLSRoute is experimental before 2.6 (Gateway API 1.4).
    let behind_flag = |protocol: ListenerProtocol| match protocol {
        ListenerProtocol::Tcp | ListenerProtocol::Udp => true,
        ListenerProtocol::Tls => cx.version.line() < (2, 6),
        ListenerProtocol::Http | ListenerProtocol::Https => false,
    };
    let managed = plane.gateways.iter().filter(|gateway| gateway.existing.is_none());
    if managed.flat_map(|gateway| &gateway.listeners).any(|listener| behind_flag(listener.protocol)) {
        provisioned.requires.push(Requirement {
            setting: "nginxGateway.gwAPIExperimentalFeatures.enable".to_owned(),
            value: "true".to_owned(),
            reason: "routes of the experimental channel are served with this flag only".to_owned(),
        });
    }
}

fn refuse(gateway: &GatewayTopology) -> Vec<Refusal> {
    if gateway.existing.is_some() {
        return refuse_existing(gateway).into_iter().collect();
    }
    let mut refusals = Vec::new();
    for (index, listener) in gateway.listeners.iter().enumerate() {
        if RESERVED_PORTS.contains(&listener.port.get()) {
            let reason = format!("NGINX uses port {} itself for metrics or readiness", listener.port);
            let field = gateway.source.child("listeners").child(index).child("port");
            refusals.push(Refusal::new(field, reason, &["another port than 8081 and 9113"]));
        }
    }
    for (index, address) in gateway.addresses.iter().enumerate() {
        if matches!(address, Address::Hostname(_)) {
            // `internal/controller/state/graph/gateway.go`: only type IPAddress is supported.
            let reason = "NGINX Gateway Fabric takes IP addresses only";
            let field = gateway.source.child("addresses").child(index);
            refusals.push(Refusal::new(field, reason, &["an address `ip`"]));
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
    let mut cite = |name: &str, exposure, pointer| provisioned.parameter(field.at(name), made, exposure, pointer);
    let public = Some(Exposure::Public);
    if parameters.replicas.is_some() {
        cite("/replicas", None, "/spec/kubernetes/deployment/replicas");
    }
    if parameters.service_type.is_some() {
        cite("/serviceType", public, "/spec/kubernetes/service/type");
    }
    if parameters.load_balancer_class.is_some() {
        cite("/loadBalancerClass", public, "/spec/kubernetes/service/loadBalancerClass");
    }
    if let Some(resources) = &parameters.resources {
        provisioned.resources(
            &field.child("resources"),
            resources,
            made,
            "/spec/kubernetes/deployment/container/resources",
        );
    }
}
