//! A frozen adapter for contract 1.0: it uses what that contract had, and nothing that was added since. It is never changed to
//! make it compile; a core that it does not compile with, or behaves otherwise with, has broken the contract.
//!
//! The gateway is imagined. It has what every conformant gateway has, and circuit breaking by a policy object.

use gateway_modules_core::{
    capability::{
        Capabilities, CapabilityName, Evidence, Granularity,
        names::{gateway_api as api, project},
    },
    intent::{Exposure, FieldRef, policies::PolicyKind},
    module::{
        Context, Difference, GatewayModule, Mapping, Maturity, Metadata, ModuleVersion, PolicyTarget, Provisioned,
        Refusal, Refusals, Scope,
    },
    object::{GroupVersionKind, Object},
    register_adapter,
    resolve::DataPlaneTopology,
};
use serde_json::{Map, Value, json};

const LIMITS: GroupVersionKind = GroupVersionKind::of("first.example", "v1", "LimitPolicy");

/// The module.
#[derive(Clone, Debug)]
pub struct FirstContract {
    metadata: Metadata,
}

impl FirstContract {
    /// The module.
    pub const fn new() -> Self {
        Self {
            metadata: Metadata {
                name: "first-contract",
                title: "First contract",
                controllers: &["first.example/gateway"],
                default_class: Some("first-contract"),
                default_namespace: "default",
                versions: &["1.0"],
                default_version: "1.0",
                maturity: Maturity::Experimental,
                homepage: "https://first.example",
            },
        }
    }
}

impl Default for FirstContract {
    fn default() -> Self {
        Self::new()
    }
}

impl GatewayModule for FirstContract {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn declared(&self, _: &ModuleVersion) -> Capabilities {
        let mut capabilities = Capabilities::new();
        for (name, granularity) in [
            (api::GATEWAY, Granularity::Gateway),
            (api::HTTP_ROUTE, Granularity::Rule),
            (api::REFERENCE_GRANT, Granularity::Backend),
            (project::LISTENER_HTTP, Granularity::Listener),
            (project::LISTENER_HTTPS, Granularity::Listener),
            (CapabilityName::policy(PolicyKind::HeaderModification), Granularity::Rule),
            (CapabilityName::policy(PolicyKind::Redirect), Granularity::Rule),
            (CapabilityName::policy(PolicyKind::TrafficSplit), Granularity::Rule),
            (CapabilityName::policy(PolicyKind::CircuitBreaking), Granularity::Rule),
        ] {
            capabilities.declare(name, granularity, Evidence::documentation("first.example", "1.0"));
        }
        capabilities
    }

    fn provision(&self, plane: &DataPlaneTopology, _: &Context<'_>) -> Result<Provisioned, Refusals> {
        let selection = FieldRef::new(plane.document.clone(), "/spec/gateway");
        let mut refusals: Vec<Refusal> = Vec::new();
        for name in plane.gateway.parameters.keys() {
            let field = selection.child("parameters").child(name.as_str());
            refusals.push(Refusal::new(field, "this module takes no parameters", &["no parameters"]));
        }
        for gateway in plane.gateways.iter().filter(|gateway| gateway.existing.is_some()) {
            if gateway.exposure == Exposure::Cluster {
                let reason = "nothing proves that an existing Gateway cannot be reached from outside the cluster";
                refusals.push(Refusal::new(gateway.source.child("exposure"), reason, &["exposure Public"]));
            }
        }
        if !refusals.is_empty() {
            return Err(Refusals(refusals));
        }
        let class = plane.gateway.class_name.as_ref().map_or("first-contract", |name| name.as_str());
        Ok(Provisioned::with_class(class))
    }

    fn map(&self, target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
        let mut mapping = Mapping::new();
        circuit_breaking(target, cx, &mut mapping);
        for kind in target.remaining.iter().filter(|kind| **kind != PolicyKind::CircuitBreaking) {
            if let Some(field) = target.policies.field(*kind) {
                let reason = format!("first.example has no {kind}");
                mapping.unsupported(field.clone(), reason, &["another module (`gwm compare`)"]);
            }
        }
        mapping
    }
}

fn circuit_breaking(target: &PolicyTarget<'_>, cx: &Context<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::CircuitBreaking;
    let Some(policy) = target.policies.circuit_breaking().filter(|_| target.must_map(kind)) else { return };
    let Scope::Route(route) = &target.scope else {
        let reason = "a LimitPolicy attaches to routes only";
        mapping.unsupported(policy.field.clone(), reason, &["the policy on an endpoint"]);
        return;
    };
    if !cx.has(&CapabilityName::policy(kind)) {
        let reason = "this version of first.example has no circuit breaking";
        mapping.unsupported(policy.field.clone(), reason, &["another module (`gwm compare`)"]);
        return;
    }
    let value = policy.value;
    let limits: Vec<(&str, u64)> = [
        ("maxConnections", value.max_connections),
        ("maxPendingRequests", value.max_pending_requests),
        ("maxRequests", value.max_requests),
        ("maxRetries", value.max_retries),
    ]
    .into_iter()
    .filter_map(|(name, limit)| Some((name, limit?.into())))
    .collect();
    let mut spec: Map<String, Value> = limits.iter().map(|(name, limit)| ((*name).to_owned(), (*limit).into())).collect();
    let references = route.target_refs().into_iter().map(|reference| {
        json!({ "group": reference.group, "kind": reference.kind, "name": reference.name, "rule": reference.section_name })
    });
    spec.insert("targetRefs".to_owned(), references.collect());
    let parts: Vec<&str> = target.id.iter().map(String::as_str).chain(["limits"]).collect();
    let namespace = route.route.namespace.as_str();
    let object = Object::new(&LIMITS, Some(namespace), &cx.name(&parts)).with_spec(Value::Object(spec));
    let handle = mapping.object(object, [kind]);
    for (name, _) in limits {
        let difference = Difference {
            name: "circuit-breaking/per-rule".to_owned(),
            text: "each rule has limits of its own".to_owned(),
            stricter: false,
        };
        mapping.approximate(policy.field.child(name), difference, [handle.at(format!("/spec/{name}"))]);
    }
}

register_adapter!("first-contract", FirstContract::new);
