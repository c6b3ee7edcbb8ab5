//! Class, parameters of each Gateway, and what kgateway cannot be given.

use std::collections::BTreeMap;

use gateway_modules_core::{
    intent::{Exposure, FieldRef},
    module::{
        Context, GatewayEdit, ObjectHandle, ParameterObjects, Provisioned, Refusal, Refusals, Resources, ServiceType,
        read_parameters, refuse_existing,
    },
    resolve::{DataPlaneTopology, GatewayTopology},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resources::{
    ContainerParameters, DeploymentParameters, GATEWAY_PARAMETERS, GROUP, GatewayParametersSpec, KubeParameters,
    ResourceParameters, ServiceParameters, object,
};

/// Ports that Envoy itself has in the pod of a Gateway: a listener on one is accepted, and its Deployment never starts
/// (kgateway docs 2.4.x, setup/listeners).
const RESERVED_PORTS: [u16; 3] = [8082, 9091, 19000];
/// What the controller derives its Deployment, Service and labels from.
const MAX_GATEWAY_NAME: usize = 63;
/// The class for waypoints of a mesh, which is no gateway.
pub(crate) const WAYPOINT_CLASS: &str = "kgateway-waypoint";

/// Parameters of this module (`gateway.parameters`), for all Gateways that the plane manages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// Replicas of the proxy. Absent: one.
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
    /// Resources of the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

pub(crate) fn provision(plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
    let selection = FieldRef::new(plane.document.clone(), "/spec/gateway");
    let parameters: Parameters = read_parameters(plane, "kgateway")?;
    let mut refusals: Vec<Refusal> = plane.gateways.iter().flat_map(refuse).collect();
    let class = plane.gateway.class_name.as_ref().map_or("kgateway", |name| name.as_str());
    if class == WAYPOINT_CLASS {
        let reason = "the class is for waypoints of a mesh, which serve no routes from outside";
        refusals.push(Refusal::new(selection.child("className"), reason, &["kgateway"]));
    }
    if !refusals.is_empty() {
        return Err(Refusals(refusals));
    }

    let mut provisioned = Provisioned::with_class(class);
    let mut made: Vec<(&GatewayTopology, ObjectHandle)> = Vec::new();
    for gateway in plane.gateways.iter().filter(|gateway| gateway.existing.is_none()) {
        let namespace = cx.gateway_namespace(gateway);
        let name = cx.name(&["gateway", &namespace, &gateway.name]);
        let spec = spec(gateway, &parameters);
        let handle = provisioned.object(object(&GATEWAY_PARAMETERS, &namespace, &name, &spec));
        let edit = GatewayEdit::parameters(GROUP, "GatewayParameters", &name);
        provisioned.gateways.insert(gateway.visibility.clone(), edit);
        if plane.declared {
            provisioned.exact(gateway.source.child("exposure"), [handle.at("/spec/kube/service/type")]);
        }
        made.push((gateway, handle));
    }
    cite_parameters(&parameters, &selection.child("parameters"), &made, &mut provisioned);
    Ok(provisioned)
}

fn refuse(gateway: &GatewayTopology) -> Vec<Refusal> {
    if gateway.existing.is_some() {
        return refuse_existing(gateway).into_iter().collect();
    }
    let mut refusals = Vec::new();
    if gateway.name.len() > MAX_GATEWAY_NAME {
        let reason =
            format!("the Gateway would be named {}, longer than the 63 characters kgateway keeps", gateway.name);
        refusals.push(Refusal::new(gateway.source.clone(), reason, &["a shorter name of the plane or visibility"]));
    }
    for (index, listener) in gateway.listeners.iter().enumerate() {
        if RESERVED_PORTS.contains(&listener.port.get()) {
            let reason =
                format!("Envoy uses port {} itself, and the Gateway's Deployment would not start", listener.port);
            let field = gateway.source.child("listeners").child(index).child("port");
            refusals.push(Refusal::new(field, reason, &["another port than 8082, 9091 and 19000"]));
        }
    }
    refusals
}

/// The Service's type is always written: the class may have parameters of its own, and exposure must not depend on them.
fn spec(gateway: &GatewayTopology, parameters: &Parameters) -> GatewayParametersSpec {
    let public = gateway.exposure == Exposure::Public;
    let kind = ServiceType::for_exposure(parameters.service_type, gateway.exposure);
    let some = |map: &BTreeMap<String, String>| (!map.is_empty()).then(|| map.clone());
    GatewayParametersSpec {
        kube: Some(KubeParameters {
            deployment: parameters.replicas.map(|replicas| DeploymentParameters { replicas: Some(replicas) }),
            envoy_container: parameters.resources.as_ref().map(|resources| ContainerParameters {
                resources: Some(ResourceParameters {
                    requests: some(&resources.requests),
                    limits: some(&resources.limits),
                }),
            }),
            service: Some(ServiceParameters {
                r#type: Some(kind.as_str()),
                load_balancer_class: if public { parameters.load_balancer_class.clone() } else { None },
            }),
        }),
    }
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
        cite("/replicas", None, "/spec/kube/deployment/replicas");
    }
    if parameters.service_type.is_some() {
        cite("/serviceType", public, "/spec/kube/service/type");
    }
    if parameters.load_balancer_class.is_some() {
        cite("/loadBalancerClass", public, "/spec/kube/service/loadBalancerClass");
    }
    if let Some(resources) = &parameters.resources {
        provisioned.resources(&field.child("resources"), resources, made, "/spec/kube/envoyContainer/resources");
    }
}
