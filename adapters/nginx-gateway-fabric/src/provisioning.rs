//! Class, `NginxProxy` of each Gateway, and what NGINX Gateway Fabric cannot be given.

use std::collections::BTreeMap;

use gateway_modules_core::{
    intent::{Address, Exposure, FieldRef, ListenerProtocol},
    module::{Context, FieldOutcome, GatewayEdit, ObjectHandle, Provisioned, Refusal, Refusals, Requirement, Verdict},
    resolve::{DataPlaneTopology, GatewayTopology},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// How a public Gateway is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// By a load balancer of the cluster's provider.
    LoadBalancer,
    /// By a port of each node.
    NodePort,
    /// By something of the platform that stands before it.
    #[serde(rename = "ClusterIP")]
    ClusterIp,
}

impl ServiceType {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::NodePort => "NodePort",
            Self::ClusterIp => "ClusterIP",
        }
    }
}

/// Resources of NGINX (Kubernetes `ResourceRequirements`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// What it is given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, String>,
    /// What it may not exceed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, String>,
}

/// The parameters of a plane.
///
/// # Errors
/// They are not what the schema says.
pub(crate) fn parameters(plane: &DataPlaneTopology) -> Result<Parameters, serde_json::Error> {
    serde_json::from_value(Value::Object(plane.gateway.parameters.clone()))
}

pub(crate) fn provision(plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
    let selection = FieldRef::new(plane.document.clone(), "/spec/gateway");
    let parameters = parameters(plane).map_err(|error| {
        Refusal::new(selection.child("parameters"), error.to_string(), &["gwm modules nginx-gateway-fabric"])
    })?;
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
        // What its Service looks like, and who may change it, is not ours to know; visibility is a security policy.
        return if gateway.exposure == Exposure::Cluster {
            let reason = "nothing proves that an existing Gateway cannot be reached from outside the cluster";
            let alternatives = ["a Gateway that this plane manages", "exposure Public, if that is what it is"];
            vec![Refusal::new(gateway.source.child("exposure"), reason, &alternatives)]
        } else {
            Vec::new()
        };
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
    made: &[(&GatewayTopology, ObjectHandle)],
    provisioned: &mut Provisioned,
) {
    let public = |gateway: &GatewayTopology| gateway.exposure == Exposure::Public;
    let mut cite = |name: &str, only_public: bool, pointer: &str| {
        let citations: Vec<_> = made
            .iter()
            .filter(|(gateway, _)| !only_public || public(gateway))
            .map(|(_, handle)| handle.at(pointer))
            .collect();
        let field = field.at(name);
        if citations.is_empty() {
            let what = if only_public { "public Gateway" } else { "Gateway" };
            let verdict = Verdict::Inactive { reason: format!("the plane manages no {what}") };
            provisioned.outcomes.push(FieldOutcome { field, verdict, citations });
        } else {
            provisioned.exact(field, citations);
        }
    };
    if parameters.replicas.is_some() {
        cite("/replicas", false, "/spec/kubernetes/deployment/replicas");
    }
    if parameters.service_type.is_some() {
        cite("/serviceType", true, "/spec/kubernetes/service/type");
    }
    if parameters.load_balancer_class.is_some() {
        cite("/loadBalancerClass", true, "/spec/kubernetes/service/loadBalancerClass");
    }
    if let Some(resources) = &parameters.resources {
        if !resources.requests.is_empty() {
            cite("/resources/requests", false, "/spec/kubernetes/deployment/container/resources/requests");
        }
        if !resources.limits.is_empty() {
            cite("/resources/limits", false, "/spec/kubernetes/deployment/container/resources/limits");
        }
    }
}
