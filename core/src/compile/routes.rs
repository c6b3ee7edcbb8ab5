//! Route objects: drafts, policies, parts, and the form in which they are closed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    ClosedForm, Gate, Phase, Role, backends,
    compilation::Compilation,
    draft::{self, RuleDraft},
    matches, policies, split,
    standard::{self, GROUP},
    standard_policies::{self, Attempt},
};
use crate::{
    capability::{
        CapabilityName, Granularity,
        names::{gateway_api, project},
    },
    intent::{EndpointType, policies::PolicyKind},
    module::{RouteObjectRef, Verdict},
    object::{GroupVersionKind, Object, ObjectKey},
    resolve::{self, GatewayTopology, RouteTopology},
};

/// A route in the making: its rules, and which kinds adapters must still realise for each.
pub(super) struct RouteDraft<'a> {
    pub(super) route: &'a RouteTopology,
    pub(super) gateway: &'a GatewayTopology,
    pub(super) gateway_namespace: String,
    pub(super) kind: GroupVersionKind,
    pub(super) rules: Vec<RuleDraft<'a>>,
    /// Kinds that standard fields of the route have not realised, per rule, with the features that were missing.
    pub(super) remaining: Vec<BTreeMap<PolicyKind, Vec<CapabilityName>>>,
    pub(super) parts: Vec<split::Part>,
    /// Annotations of the route objects: single values, and items of lists.
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) annotation_items: BTreeMap<String, BTreeSet<String>>,
}

impl RouteDraft<'_> {
    /// Name of the object of a part.
    pub(super) fn object_name(&self, part: &split::Part) -> String {
        if part.suffix.is_empty() {
            self.route.name.clone()
        } else {
            crate::names::injective(&[&self.route.name, &part.suffix], crate::names::Name::LABEL)
        }
    }

    /// References to the objects that hold some of the rules.
    pub(super) fn object_refs(&self, rules: &BTreeSet<usize>) -> Vec<RouteObjectRef> {
        self.parts
            .iter()
            .filter_map(|part| {
                let meant: Vec<usize> = part.rules.iter().copied().filter(|index| rules.contains(index)).collect();
                (!meant.is_empty()).then(|| RouteObjectRef {
                    kind: self.kind.clone(),
                    namespace: self.route.namespace.clone(),
                    name: self.object_name(part),
                    rules: meant.iter().map(|index| self.rules[*index].rule.name.clone()).collect(),
                    all_rules: meant.len() == part.rules.len(),
                })
            })
            .collect()
    }
}

/// Drafts every route of the plane with what standard fields can say.
pub(super) fn draft<'a>(compilation: &mut Compilation<'a>) -> Vec<RouteDraft<'a>> {
    let plane = compilation.input.plane;
    plane.routes.iter().filter_map(|route| draft_one(compilation, route)).collect()
}

fn draft_one<'a>(compilation: &mut Compilation<'a>, route: &'a RouteTopology) -> Option<RouteDraft<'a>> {
    let plane = compilation.input.plane;
    let gateway = plane.gateways.iter().find(|gateway| gateway.visibility == route.binding.visibility)?;
    let place = route.binding.to_string();
    let (name, feature) = match route.kind {
        EndpointType::Grpc => ("GRPCRoute", gateway_api::GRPC_ROUTE),
        EndpointType::Tls => ("TLSRoute", gateway_api::TLS_ROUTE),
        EndpointType::Tcp => ("TCPRoute", gateway_api::TCP_ROUTE),
        EndpointType::Udp => ("UDPRoute", gateway_api::UDP_ROUTE),
        _ => ("HTTPRoute", gateway_api::HTTP_ROUTE),
    };
    let missing = compilation.lacking(&[feature]);
    let kind = if missing.is_empty() {
        standard::served_version(compilation.input, name).map_err(|reason| (reason, Vec::new()))
    } else {
        Err(compilation.lack_text(&format!("{} endpoints", route.kind.as_str()), &missing))
    };
    let kind = match kind {
        Ok(kind) => kind,
        Err((reason, alternatives)) => {
            // Everything of the endpoint falls with it in this place.
            compilation.refuse(&route.source, &place, reason, alternatives);
            return None;
        }
    };
    let mut rules = Vec::new();
    let mut remaining = Vec::new();
    for rule in &route.rules {
        let mut draft = RuleDraft::new(rule);
        draft.named = match route.kind {
            EndpointType::Grpc => compilation.has(&project::GRPC_NAMED_ROUTE_RULE),
            kind if kind.is_http() => compilation.has(&gateway_api::HTTP_ROUTE_NAMED_ROUTE_RULE),
            _ => false,
        };
        if rule.declared {
            let field = rule.source.child("name");
            if draft.named {
                let claim = compilation.ledger.claim(field, draft::place(route, rule), Verdict::Exact);
                draft.cites.push((claim, "/name".to_owned()));
            } else {
                compilation
                    .ledger
                    .decides(field, "the name of the rule in reports; the gateway ignores names of rules");
            }
        }
        matches::write(compilation, route, &mut draft);
        backends::write(compilation, route, &mut draft);
        let mut left = BTreeMap::new();
        for kind in rule.policies.kinds() {
            if let Attempt::Left(missing) = standard_policies::attempt(compilation, route, &mut draft, kind) {
                left.insert(kind, missing);
            }
        }
        standard_policies::implied_rewrite(compilation, route, &mut draft);
        rules.push(draft);
        remaining.push(left);
    }
    let gateway_namespace = compilation.gateway_namespace(gateway);
    let mut draft = RouteDraft {
        route,
        gateway,
        gateway_namespace,
        kind,
        rules,
        remaining,
        parts: Vec::new(),
        annotations: BTreeMap::new(),
        annotation_items: BTreeMap::new(),
    };
    divide(compilation, &mut draft);
    Some(draft)
}

/// Settles which rules stand in which object.
fn divide(compilation: &mut Compilation<'_>, draft: &mut RouteDraft<'_>) {
    let rules: Vec<_> = draft.rules.iter().map(|draft| draft.rule).collect();
    let groups: Vec<String> = draft
        .rules
        .iter()
        .zip(&draft.remaining)
        .map(|(rule, remaining)| {
            // Policies that the gateway binds to whole routes: rules may share a route only if these are the same.
            let route_wide = remaining.keys().filter(|kind| {
                compilation
                    .input
                    .capabilities
                    .get(&CapabilityName::policy(**kind))
                    .is_some_and(|capability| capability.granularity == Granularity::Route)
            });
            policies::fingerprint(&rule.rule.policies, &route_wide.copied().collect())
        })
        .collect();
    match split::parts(&rules, &groups) {
        Ok(parts) => draft.parts = parts,
        Err(tie) => {
            let message = format!("{} and {} cannot be told apart: {}", tie.first, tie.second, tie.reason);
            let help = "make the conditions exclusive (path, method, number of headers), or put the rules in endpoints with hosts of their own";
            compilation.invalid("GWM0401", &tie.second, message, Some(help.to_owned()));
            draft.parts = vec![split::Part { rules: (0..draft.rules.len()).collect(), suffix: String::new() }];
        }
    }
}

/// Writes the objects of a route, and claims the fields that say what and where it is. Returns their identities.
pub(super) fn write(compilation: &mut Compilation<'_>, draft: &RouteDraft<'_>) -> Vec<ObjectKey> {
    let route = draft.route;
    let owner = resolve::owner(&route.source.document);
    let mut keys = Vec::new();
    for part in &draft.parts {
        let mut object = Object::new(&draft.kind, Some(&route.namespace), &draft.object_name(part));
        let key = object.key();
        for (name, value) in [
            ("component", &route.binding.component),
            ("endpoint", &route.binding.endpoint),
            ("visibility", &route.binding.visibility),
        ] {
            object.set_label(&format!("gatewaymodules.dev/{name}"), value);
        }
        for (name, value) in &draft.annotations {
            object.set_annotation(name, value);
        }
        for (name, items) in &draft.annotation_items {
            object.set_annotation(name, &items.iter().cloned().collect::<Vec<_>>().join(","));
        }
        let mut spec = Map::new();
        spec.insert("parentRefs".into(), parent_refs(draft));
        if !route.hostnames.is_empty() {
            spec.insert("hostnames".into(), route.hostnames.iter().map(|(host, _)| host.as_str()).collect());
        }
        let mut closed = spec.clone();
        let mut rules = Vec::new();
        for (position, index) in part.rules.iter().enumerate() {
            let (rule, cites) = draft.rules[*index].write();
            rules.push(rule);
            for (claim, pointer) in cites {
                compilation.ledger.cite(claim, key.clone(), format!("/spec/rules/{position}{pointer}"));
            }
        }
        spec.insert("rules".into(), rules.into());
        let closed_rules: Vec<Value> = part.rules.iter().map(|index| draft.rules[*index].write_closed(None)).collect();
        closed.insert("rules".into(), closed_rules.into());
        let closed = object.clone().with_spec(Value::Object(closed));
        compilation.add(
            object.with_spec(Value::Object(spec)),
            Phase::Routes,
            Role::Route { binding: route.binding.clone() },
            Some(owner.clone()),
        );
        compilation.set_gate(&key, Gate { closed: ClosedForm(closed), policies: Vec::new() });
        claim_identity(compilation, draft, &key);
        keys.push(key);
    }
    keys
}

fn parent_refs(draft: &RouteDraft<'_>) -> Value {
    draft
        .route
        .listeners
        .iter()
        .map(|listener| {
            json!({
                "group": GROUP,
                "kind": "Gateway",
                "namespace": draft.gateway_namespace,
                "name": draft.gateway.name,
                "sectionName": listener,
            })
        })
        .collect()
}

/// The fields that say what the route is, and where.
fn claim_identity(compilation: &mut Compilation<'_>, draft: &RouteDraft<'_>, key: &ObjectKey) {
    let route = draft.route;
    let place = route.binding.to_string();
    let document = |pointer: &str| crate::intent::FieldRef::new(route.source.document.clone(), pointer);
    compilation.exact(document("/metadata/name"), &place, key, "/metadata/labels/gatewaymodules.dev~1component");
    compilation.exact(document("/metadata/namespace"), &place, key, "/metadata/name");
    compilation.exact(document("/spec/target/namespace"), &place, key, "/metadata/namespace");
    compilation.ledger.decides(document("/metadata/labels"), "nothing; kept for tools");
    compilation.ledger.decides(document("/metadata/annotations"), "nothing; kept for tools");
    compilation.exact(route.source.child("name"), &place, key, "/metadata/labels/gatewaymodules.dev~1endpoint");
    let claim = compilation.exact(route.source.child("type"), &place, key, "/kind");
    let _ = claim;
    for field in visibility_fields(compilation, draft) {
        compilation.exact(field, &place, key, "/spec/parentRefs/0/name");
    }
    for (index, (_, field)) in route.hostnames.iter().enumerate() {
        compilation.exact(field.clone(), &place, key, format!("/spec/hostnames/{index}"));
        if field.pointer.ends_with("/domain") {
            let style = crate::intent::FieldRef::new(
                field.document.clone(),
                field.pointer.replace("/domain", "/hostnameStyle"),
            );
            compilation.exact(style, &place, key, format!("/spec/hostnames/{index}"));
        }
    }
    if let Some(field) = &route.listener_source {
        compilation.exact(field.clone(), &place, key, "/spec/parentRefs/0/sectionName");
    }
}

/// The items of `visibilities` that name this route's visibility.
fn visibility_fields(compilation: &Compilation<'_>, draft: &RouteDraft<'_>) -> Vec<crate::intent::FieldRef> {
    let route = draft.route;
    let document = compilation.documents.iter().find(|(document, _)| *document == route.source.document);
    let Some((_, value)) = document else { return Vec::new() };
    let mut lists = vec![route.source.child("visibilities")];
    for (number, item) in value.pointer("/spec/overrides").and_then(Value::as_array).into_iter().flatten().enumerate() {
        if item["dataPlane"] != compilation.input.plane.name.as_str() {
            continue;
        }
        for (index, endpoint) in item["endpoints"].as_array().into_iter().flatten().enumerate() {
            if endpoint["name"] == route.binding.endpoint.as_str() {
                let pointer = format!("/spec/overrides/{number}/endpoints/{index}/visibilities");
                lists.push(crate::intent::FieldRef::new(route.source.document.clone(), pointer));
            }
        }
    }
    lists
        .into_iter()
        .flat_map(|list| {
            let items = value.pointer(&list.pointer).and_then(Value::as_array).cloned().unwrap_or_default();
            items
                .into_iter()
                .enumerate()
                .filter(|(_, item)| *item == route.binding.visibility.as_str())
                .map(move |(index, _)| list.child(index))
                .collect::<Vec<_>>()
        })
        .collect()
}
