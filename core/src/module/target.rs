//! What a policy is bound to, as an adapter sees it.

use std::collections::BTreeSet;

use super::{Context, Mapping};
use crate::{
    intent::{FieldRef, policies::PolicyKind},
    object::GroupVersionKind,
    resolve::{EffectivePolicies, GatewayTopology, RouteTopology, RuleTopology},
};

/// One target with its whole effective policy set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PolicyTarget<'a> {
    /// What the policies are bound to.
    pub scope: Scope<'a>,
    /// Everything in force for the target.
    pub policies: &'a EffectivePolicies,
    /// Kinds that the adapter must realise or refuse; the others core has realised by standard fields, or they are bound
    /// to another scope.
    pub remaining: BTreeSet<PolicyKind>,
    /// A text that identifies the target among all of the plane; part of the names of objects made for it.
    pub id: Vec<String>,
}

impl<'a> PolicyTarget<'a> {
    pub(crate) fn new(
        scope: Scope<'a>,
        policies: &'a EffectivePolicies,
        remaining: BTreeSet<PolicyKind>,
        id: Vec<String>,
    ) -> Self {
        Self { scope, policies, remaining, id }
    }

    /// Whether a kind is for the adapter to realise or refuse.
    pub fn must_map(&self, kind: PolicyKind) -> bool {
        self.remaining.contains(&kind)
    }

    /// A name for an object that is made for this target alone, at most 63 characters; the suffix tells several apart.
    pub fn name(&self, cx: &Context<'_>, suffix: &[&str]) -> String {
        let parts: Vec<&str> = self.id.iter().map(String::as_str).chain(suffix.iter().copied()).collect();
        cx.name(&parts)
    }

    /// The kinds that an adapter must answer for and has said nothing about yet, with their fields: to be refused with a
    /// reason of the adapter's own, since core's can only say that there is no mapping.
    pub fn unanswered(&self, mapping: &Mapping) -> Vec<(PolicyKind, FieldRef)> {
        let fields = self.remaining.iter().filter_map(|kind| Some((*kind, self.policies.field(*kind)?.clone())));
        fields.filter(|(_, field)| !mapping.answers(field)).collect()
    }
}

/// What a policy is bound to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Scope<'a> {
    /// Rules of the route objects of one endpoint in one visibility.
    Route(RouteScope<'a>),
    /// A Service, for all routes to it.
    Backend(BackendScope),
    /// A Gateway, or one of its listeners, for all routes on it.
    Gateway(GatewayScope<'a>),
}

/// Rules of the route objects of one endpoint in one visibility.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteScope<'a> {
    /// The route, vendor-free.
    pub route: &'a RouteTopology,
    /// The Gateway it attaches to.
    pub gateway: &'a GatewayTopology,
    /// Namespace of that Gateway.
    pub gateway_namespace: &'a str,
    /// The rules that are meant.
    pub rules: Vec<&'a RuleTopology>,
    /// Whether these are all rules of the endpoint.
    pub all_rules: bool,
    /// The route objects that hold those rules.
    pub objects: Vec<RouteObjectRef>,
}

/// One route object and those of its rules that are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteObjectRef {
    /// Kind and version.
    pub kind: GroupVersionKind,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Names of the rules that are meant (`rules[].name`), in the order of the object.
    pub rules: Vec<String>,
    /// Whether these are all rules of the object.
    pub all_rules: bool,
}

/// A `targetRef` for gateways whose policies attach that way (GEP-713).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTargetRef {
    /// API group of the route.
    pub group: String,
    /// Kind of the route.
    pub kind: String,
    /// Name of the route.
    pub name: String,
    /// Name of a rule; absent for the whole route.
    pub section_name: Option<String>,
}

impl RouteScope<'_> {
    /// The route objects, or their rules by name where only some are meant, as `targetRefs`.
    pub fn target_refs(&self) -> Vec<RouteTargetRef> {
        let reference = |object: &RouteObjectRef, section_name: Option<String>| RouteTargetRef {
            group: object.kind.group.to_string(),
            kind: object.kind.kind.to_string(),
            name: object.name.clone(),
            section_name,
        };
        self.objects
            .iter()
            .flat_map(|object| {
                if object.all_rules {
                    vec![reference(object, None)]
                } else {
                    object.rules.iter().map(|rule| reference(object, Some(rule.clone()))).collect()
                }
            })
            .collect()
    }
}

/// A Service, for all routes to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct BackendScope {
    /// Namespace of the Service.
    pub namespace: String,
    /// Service.
    pub service: String,
    /// Ports that routes name.
    pub ports: BTreeSet<u16>,
    /// Whether an endpoint of type GRPC is behind it.
    pub grpc: bool,
}

impl BackendScope {
    pub(crate) fn new(namespace: String, service: String) -> Self {
        Self { namespace, service, ports: BTreeSet::new(), grpc: false }
    }
}

/// A Gateway, or one of its listeners, for all routes on it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GatewayScope<'a> {
    /// The Gateway.
    pub gateway: &'a GatewayTopology,
    /// Its namespace.
    pub gateway_namespace: &'a str,
    /// One listener by name; absent for all.
    pub listener: Option<String>,
}

impl<'a> GatewayScope<'a> {
    pub(crate) fn new(gateway: &'a GatewayTopology, gateway_namespace: &'a str, listener: Option<String>) -> Self {
        Self { gateway, gateway_namespace, listener }
    }
}

impl<'a> RouteScope<'a> {
    pub(crate) fn new(
        route: &'a RouteTopology,
        gateway: &'a GatewayTopology,
        gateway_namespace: &'a str,
        rules: Vec<&'a RuleTopology>,
        objects: Vec<RouteObjectRef>,
    ) -> Self {
        let all_rules = rules.len() == route.rules.len();
        Self { route, gateway, gateway_namespace, rules, all_rules, objects }
    }
}
