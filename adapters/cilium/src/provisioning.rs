//! Classes, and what Cilium cannot be given.
//!
//! Cilium takes parameters by the class only (`Gateway.spec.infrastructure.parametersRef` makes a Gateway invalid), so a
//! Gateway that needs any gets a class of its own, which no other Gateway uses.

use gateway_modules_core::{
    intent::{Exposure, FieldRef, ListenerProtocol},
    module::{
        Context, FieldOutcome, GatewayEdit, Provisioned, Refusal, Refusals, Requirement, Verdict, read_parameters,
    },
    object::{GroupVersionKind, Object},
    resolve::{DataPlaneTopology, GatewayTopology},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{CONTROLLER, access_log};

const GATEWAY_CLASS: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "GatewayClass");
const CLASS_CONFIG: GroupVersionKind = GroupVersionKind::of("cilium.io", "v2alpha1", "CiliumGatewayClassConfig");

/// Helm values without which no Gateway works (chart `cilium`, `values.yaml`, `gatewayAPI`).
const PREREQUISITES: [(&str, &str); 3] = [
    ("gatewayAPI.enabled", "Cilium watches no Gateway without it"),
    ("kubeProxyReplacement", "traffic to a Gateway's Service reaches Envoy by Cilium's own load balancing only"),
    ("l7Proxy", "Envoy serves the Gateways"),
];

/// Parameters of this module (`gateway.parameters`), for all Gateways that the plane manages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// Type of the Service. Absent: `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Class of the load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
}

/// How a Gateway is reached (`CiliumGatewayClassConfig .spec.service.type`; there is no `ClusterIP`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// By a load balancer.
    LoadBalancer,
    /// By a port of each node.
    NodePort,
}

impl Parameters {
    fn of(plane: &DataPlaneTopology) -> Result<Self, Refusal> {
        read_parameters(plane, "cilium")
    }
}

pub(crate) fn provision(plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
    let selection = FieldRef::new(plane.document.clone(), "/spec/gateway");
    let parameters = Parameters::of(plane)?;
    let mut refusals: Vec<Refusal> = plane.gateways.iter().flat_map(refuse).collect();
    refusals.extend(host_headers(plane));
    refusals.extend(timeouts_of_tries(plane));
    let own: Vec<&GatewayTopology> =
        plane.gateways.iter().filter(|gateway| class_spec(gateway, cx, &parameters).is_some()).collect();
    if plane.gateway.class_name.is_some() && !own.is_empty() {
        let reason =
            "Cilium takes parameters and access logs by the class only, and the named class is not this plane's";
        let alternatives =
            ["no className, so that each Gateway gets a class of its own", "no parameters and no accessLog"];
        refusals.push(Refusal::new(selection.child("className"), reason, &alternatives));
    }
    if !refusals.is_empty() {
        return Err(Refusals(refusals));
    }

    let class = plane.gateway.class_name.as_ref().map_or("cilium", |name| name.as_str());
    let mut provisioned = Provisioned::with_class(class);
    provisioned.requires.extend(PREREQUISITES.map(|(setting, reason)| Requirement {
        setting: setting.to_owned(),
        value: "true".to_owned(),
        reason: reason.to_owned(),
    }));
    let mut configs = Vec::new();
    for gateway in own {
        let Some((name, config)) = class_config(gateway, cx) else { continue };
        let reference = json!({
            "group": "cilium.io",
            "kind": "CiliumGatewayClassConfig",
            "namespace": cx.gateway_namespace(gateway),
            "name": name,
        });
        let class = Object::new(&GATEWAY_CLASS, None, &name)
            .with_spec(json!({ "controllerName": CONTROLLER, "parametersRef": reference }));
        provisioned.object(class);
        configs.push(provisioned.object(config));
        provisioned.gateways.insert(gateway.visibility.clone(), GatewayEdit::class(name));
    }
    let field = selection.child("parameters");
    let written = [
        ("serviceType", "/spec/service/type", parameters.service_type.is_some()),
        ("loadBalancerClass", "/spec/service/loadBalancerClass", parameters.load_balancer_class.is_some()),
    ];
    for (name, pointer, _) in written.into_iter().filter(|(_, _, written)| *written) {
        let citations: Vec<_> = configs.iter().map(|config| config.at(pointer)).collect();
        let field = field.child(name);
        if citations.is_empty() {
            let verdict = Verdict::Inactive { reason: "the plane manages no Gateway".to_owned() };
            provisioned.outcomes.push(FieldOutcome { field, verdict, citations });
        } else {
            provisioned.exact(field, citations);
        }
    }
    Ok(provisioned)
}

/// Name of the Gateway's own class and of its parameters, and the parameters; `None` for one that needs none.
pub(crate) fn class_config(gateway: &GatewayTopology, cx: &Context<'_>) -> Option<(String, Object)> {
    // `provision` has refused parameters that cannot be read.
    let spec = class_spec(gateway, cx, &Parameters::of(cx.plane).ok()?)?;
    let namespace = cx.gateway_namespace(gateway);
    let name = cx.name(&["class", &namespace, &gateway.name]);
    let config = Object::new(&CLASS_CONFIG, Some(&namespace), &name).with_spec(spec);
    Some((name, config))
}

fn class_spec(gateway: &GatewayTopology, cx: &Context<'_>, parameters: &Parameters) -> Option<Value> {
    let log = access_log::of_gateway(gateway, cx);
    if gateway.existing.is_some() || (log.is_none() && *parameters == Parameters::default()) {
        return None;
    }
    let kind = match parameters.service_type.unwrap_or(ServiceType::LoadBalancer) {
        ServiceType::LoadBalancer => "LoadBalancer",
        ServiceType::NodePort => "NodePort",
    };
    let mut spec = json!({ "service": { "type": kind } });
    if let Some(class) = &parameters.load_balancer_class {
        spec["service"]["loadBalancerClass"] = class.as_str().into();
    }
    if let Some(log) = log {
        spec["telemetry"] = access_log::telemetry(log, gateway, cx);
    }
    Some(spec)
}

fn refuse(gateway: &GatewayTopology) -> Vec<Refusal> {
    if gateway.existing.is_some() {
        return if gateway.exposure == Exposure::Cluster {
            let reason = "nothing proves that an existing Gateway cannot be reached from outside the cluster";
            let alternatives = ["exposure Public, if that is what it is"];
            vec![Refusal::new(gateway.source.child("exposure"), reason, &alternatives)]
        } else {
            Vec::new()
        };
    }
    let mut refusals = Vec::new();
    for (index, listener) in gateway.listeners.iter().enumerate() {
        let certificates = listener.tls.as_ref().map_or(0, |tls| tls.certificates.len());
        // Admission policy `gateway.cilium.io` of the chart.
        if listener.protocol == ListenerProtocol::Https && certificates != 1 {
            let field = gateway.source.child("listeners").child(index).child("tls").child("certificates");
            let reason = "Cilium admits exactly one certificate in a listener";
            refusals.push(Refusal::new(field, reason, &["one listener for each certificate"]));
        }
    }
    refusals
}

/// Cilium does not accept a route that sets `Host` (reason `UnsupportedValue`); the rewrite of the host is a filter.
fn host_headers(plane: &DataPlaneTopology) -> Vec<Refusal> {
    let rules = plane.routes.iter().flat_map(|route| &route.rules);
    let mut refusals: Vec<Refusal> = rules
        .filter_map(|rule| rule.policies.header_modification())
        .filter(|policy| {
            let request = &policy.value.request;
            request.set.iter().chain(&request.add).any(|header| header.name.as_str().eq_ignore_ascii_case("host"))
        })
        .map(|policy| {
            let reason = "Cilium does not accept a route that changes the header Host";
            Refusal::new(policy.field.child("request"), reason, &["urlRewrite.hostname"])
        })
        .collect();
    refusals.dedup();
    refusals
}

/// Cilium writes the timeout of one try as Envoy's timeout of the whole route, retries included
/// (`operator/pkg/model/translation/envoy_virtual_host.go`, timeoutMutation; docs/findings.md, 33).
fn timeouts_of_tries(plane: &DataPlaneTopology) -> Vec<Refusal> {
    let rules = plane.routes.iter().flat_map(|route| &route.rules);
    let mut refusals: Vec<Refusal> = rules
        .filter(|rule| rule.policies.retry().is_some())
        .filter_map(|rule| rule.policies.timeouts())
        .filter(|policy| policy.value.backend_request.is_some())
        .map(|policy| {
            let reason = "Cilium takes the time of one try for that of all tries together, so that a try that takes it is never repeated";
            Refusal::new(policy.field.child("backendRequest"), reason, &["timeouts.request", "no retry", "module kgateway"])
        })
        .collect();
    refusals.dedup();
    refusals
}
