//! What resolve returns: Gateways, routes and effective policies, vendor-free.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    intent::{
        Address, DocumentId, EndpointType, Exposure, FieldRef, GatewayReference, GatewaySelection, Listener, Match,
        policies::{Policies, PolicyKind},
    },
    types::{Hostname, HttpPath, Port, Weight},
};

/// One data plane with everything that is to run on it.
#[derive(Clone, Debug, PartialEq)]
pub struct DataPlaneTopology {
    /// Name of the plane.
    pub name: String,
    /// The document; the implicit plane has the name `default` and stands in no file.
    pub document: DocumentId,
    /// Whether the plane stands in a document.
    pub declared: bool,
    /// Which gateway serves it.
    pub gateway: GatewaySelection,
    /// Gateways, by visibility.
    pub gateways: Vec<GatewayTopology>,
    /// Routes, in the order of the components and endpoints.
    pub routes: Vec<RouteTopology>,
    /// Values that another layer's value replaces.
    pub overridden: Vec<Overridden>,
    /// Fields that steer the compilation and become no bytes of their own, each with what it decides.
    pub decisions: Vec<(FieldRef, String)>,
    /// Names of differences that are accepted, per endpoint (`None`: all endpoints), with the place of the acceptance.
    pub accepted: Vec<(Option<FieldRef>, String, FieldRef)>,
    /// Directions in which references between namespaces are allowed, with the place.
    pub allowed_references: Vec<(String, String, FieldRef)>,
    /// Namespaces whose routes the Gateways admit, with the place; none means all.
    pub allowed_namespaces: Vec<(String, FieldRef)>,
}

impl DataPlaneTopology {
    /// The routes that attach to a Gateway of the plane, in their order.
    pub fn routes_on<'a, 'g>(
        &'a self,
        gateway: &'g GatewayTopology,
    ) -> impl Iterator<Item = &'a RouteTopology> + use<'a, 'g> {
        self.routes.iter().filter(|route| route.binding.visibility == gateway.visibility)
    }

    /// Where all components of a Gateway run, if that is one namespace.
    pub fn namespace_on(&self, gateway: &GatewayTopology) -> Option<&str> {
        let mut namespaces = self.routes_on(gateway).map(|route| route.namespace.as_str());
        let first = namespaces.next()?;
        namespaces.all(|namespace| namespace == first).then_some(first)
    }

    /// Where the plane allows references from one namespace to another one, if it does.
    pub fn allowance(&self, from: &str, to: &str) -> Option<&FieldRef> {
        let mut all = self.allowed_references.iter();
        all.find_map(|(source, target, place)| (source == from && target == to).then_some(place))
    }

    /// Whether something in one namespace may name a Service of another: in its own always, else where the plane allows it.
    pub fn allows_reference(&self, from: &str, to: &str) -> bool {
        from == to || self.allowance(from, to).is_some()
    }
}

/// One Gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayTopology {
    /// Visibility, for example `external`.
    pub visibility: String,
    /// `/spec/visibilities/<name>` of the plane.
    pub source: FieldRef,
    /// Name of the Gateway object.
    pub name: String,
    /// Namespace as written; absent means the module's default.
    pub namespace: Option<String>,
    /// From where it can be reached.
    pub exposure: Exposure,
    /// An existing Gateway that is used and not managed.
    pub existing: Option<GatewayReference>,
    /// Listeners, never empty.
    pub listeners: Vec<Listener>,
    /// Whether the listeners stand in the document (else they are the implicit ones).
    pub listeners_declared: bool,
    /// Static addresses.
    pub addresses: Vec<Address>,
    /// Labels of the infrastructure.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the infrastructure.
    pub annotations: BTreeMap<String, String>,
}

/// What a route is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Namespace of the component.
    pub namespace: String,
    /// Component.
    pub component: String,
    /// Endpoint.
    pub endpoint: String,
    /// Visibility.
    pub visibility: String,
}

impl std::fmt::Display for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} {} ({})", self.namespace, self.component, self.endpoint, self.visibility)
    }
}

/// The routes of one endpoint in one visibility.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTopology {
    /// What it is for.
    pub binding: Binding,
    /// The endpoint, `/spec/endpoints/<n>` of the component.
    pub source: FieldRef,
    /// What the endpoint speaks.
    pub kind: EndpointType,
    /// Base name of the route objects.
    pub name: String,
    /// Namespace of the route objects and of the Services.
    pub namespace: String,
    /// Host names, each with the field that it comes from.
    pub hostnames: Vec<(Hostname, FieldRef)>,
    /// Listeners of the Gateway that it attaches to, by name.
    pub listeners: Vec<String>,
    /// The field that chose the listeners, if one did.
    pub listener_source: Option<FieldRef>,
    /// Base path, and where it is written.
    pub base_path: Option<(HttpPath, FieldRef)>,
    /// GraphQL: subscriptions over WebSocket, and where it is written.
    pub subscriptions: Option<FieldRef>,
    /// Rules, never empty.
    pub rules: Vec<RuleTopology>,
}

/// One rule of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleTopology {
    /// Name, unique in the endpoint.
    pub name: String,
    /// The rule in the document; the endpoint where no rule is written.
    pub source: FieldRef,
    /// Whether the rule stands in the document.
    pub declared: bool,
    /// Matches with absolute paths, each with its field where it is written. Empty for TLS, TCP and UDP.
    pub matches: Vec<(Match, Option<FieldRef>)>,
    /// The path that the gateway must show the backend instead of the matched one (shared host), unless a policy says else.
    pub implied_rewrite: Option<ImpliedRewrite>,
    /// Where requests go.
    pub backends: Vec<BackendTopology>,
    /// What is in force.
    pub policies: EffectivePolicies,
}

/// The rewrite that a shared host needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImpliedRewrite {
    /// All matches are prefixes: each matched prefix becomes this path.
    Prefix(HttpPath),
    /// The one match is exact: the path becomes this one.
    Full(HttpPath),
}

/// A backend of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTopology {
    /// Service.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// Its port.
    pub port: Port,
    /// Weight.
    pub weight: Weight,
    /// The backend in the document; the endpoint where no backend is written.
    pub source: FieldRef,
    /// Whether the backend stands in the document.
    pub declared: bool,
    /// Whether the Service is that of the endpoint.
    pub endpoint_service: bool,
    /// Whether the port is that of the endpoint.
    pub endpoint_port: bool,
}

/// Layer that a policy comes from (GEP-713), most binding last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Layer {
    /// `policies.defaults` of the data plane.
    DataPlaneDefault,
    /// The endpoint.
    Endpoint,
    /// `overrides` of the component for this plane.
    PlaneOverride,
    /// The rule.
    Rule,
    /// `policies.overrides` of the data plane.
    DataPlaneOverride,
}

/// Where an effective policy comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// The policy in its document, for example `/spec/endpoints/0/policies/rateLimit`.
    pub field: FieldRef,
    /// The layer.
    pub layer: Layer,
}

/// The policies in force for a target, each with its provenance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EffectivePolicies {
    /// The values.
    pub values: Policies,
    /// Where each comes from; one entry per kind that is set.
    pub provenance: BTreeMap<PolicyKind, Provenance>,
}

impl EffectivePolicies {
    /// Kinds in force.
    pub fn kinds(&self) -> BTreeSet<PolicyKind> {
        self.provenance.keys().copied().collect()
    }

    /// Where a kind comes from.
    pub fn field(&self, kind: PolicyKind) -> Option<&FieldRef> {
        self.provenance.get(&kind).map(|provenance| &provenance.field)
    }
}

/// One effective policy: its value and the field it stands in.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective<'a, T> {
    /// The value.
    pub value: &'a T,
    /// The policy in its document.
    pub field: &'a FieldRef,
    /// The layer it comes from.
    pub layer: Layer,
}

/// A value that another layer's value replaces, for one endpoint or rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overridden {
    /// The policy that is not in force.
    pub field: FieldRef,
    /// The one that is.
    pub by: FieldRef,
    /// Where.
    pub binding: Binding,
}
