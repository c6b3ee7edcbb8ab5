//! Where rules send requests: backend references, grants between namespaces, and what a Service must say of its protocol.

use serde_json::{Value, json};

use super::{
    compilation::Compilation,
    draft::{self, RuleDraft},
    gateways,
    standard::SERVICE,
};
use crate::{
    capability::names::gateway_api,
    intent::{EndpointType, FieldRef, policies::PolicyKind},
    module::{Contribution, ContributionValue, Verdict},
    object::ObjectKey,
    resolve::{self, RouteTopology},
};

/// Writes the backends of a rule, unless a policy answers without one.
pub(super) fn write(compilation: &mut Compilation<'_>, route: &RouteTopology, draft: &mut RuleDraft<'_>) {
    let place = draft::place(route, draft.rule);
    let policies = &draft.rule.policies;
    if policies.values.redirect.is_some() || policies.values.direct_response.is_some() {
        let kind = if policies.values.redirect.is_some() { PolicyKind::Redirect } else { PolicyKind::DirectResponse };
        for backend in draft.rule.backends.iter().filter(|backend| backend.declared) {
            let reason = format!("the rule answers by {kind} and asks no backend");
            compilation.ledger.claim(backend.source.clone(), &place, Verdict::Inactive { reason });
        }
        return;
    }
    for (index, backend) in draft.rule.backends.iter().enumerate() {
        let at = format!("/backendRefs/{index}");
        let mut value = json!({
            "group": "",
            "kind": "Service",
            "name": backend.service,
            "port": backend.port.get(),
        });
        if backend.declared || backend.weight.get() != 1 {
            value["weight"] = backend.weight.get().into();
        }
        if backend.namespace != route.namespace {
            value["namespace"] = backend.namespace.clone().into();
            grant_for(compilation, route, &backend.namespace, &backend.source.child("namespace"));
        }
        if backend.declared {
            for (name, pointer) in
                [("service", "name"), ("port", "port"), ("weight", "weight"), ("namespace", "namespace")]
            {
                // A namespace that is the route's own is not written: the name of the reference stands for it.
                let pointer = if value.get(pointer).is_some() { pointer } else { "name" };
                let claim = compilation.ledger.claim(backend.source.child(name), &place, Verdict::Exact);
                draft.cites.push((claim, format!("{at}/{pointer}")));
            }
        }
        for (own, name, pointer) in
            [(backend.endpoint_service, "service", "name"), (backend.endpoint_port, "port", "port")]
        {
            if own {
                let claim = compilation.ledger.claim(route.source.child(name), &place, Verdict::Exact);
                draft.cites.push((claim, format!("{at}/{pointer}")));
            }
        }
        draft.backends.push(value);
        contribute(compilation, route, &backend.namespace, &backend.service, backend.port.get());
    }
}

/// The ReferenceGrant for a Service in another namespace; resolve has checked that the platform allows it.
pub(super) fn grant_for(compilation: &mut Compilation<'_>, route: &RouteTopology, namespace: &str, field: &FieldRef) {
    let kind = match route.kind {
        EndpointType::Grpc => "GRPCRoute",
        EndpointType::Tls => "TLSRoute",
        EndpointType::Tcp => "TCPRoute",
        EndpointType::Udp => "UDPRoute",
        _ => "HTTPRoute",
    };
    let owner = resolve::owner(&route.source.document);
    let key = gateways::grant(compilation, (kind, &route.namespace), ("Service", namespace, None), Some(owner));
    let allowance = compilation.input.plane.allowance(&route.namespace, namespace).cloned();
    for field in allowance.into_iter().chain([field.clone()]) {
        let claim = compilation.ledger.claim(field, "reference grant", Verdict::Exact);
        compilation.ledger.cite(claim, key.clone(), "/spec/from/0/namespace");
        compilation.ledger.cite(claim, key.clone(), "/metadata/namespace");
    }
}

/// What the Service must say of its protocol, so that the gateway does not speak plain HTTP/1.1 to it (KEP-3726, GEP-1911).
fn contribute(compilation: &mut Compilation<'_>, route: &RouteTopology, namespace: &str, service: &str, port: u16) {
    let (protocol, feature, field, what) = match route.kind {
        EndpointType::WebSocket => (
            "kubernetes.io/ws",
            gateway_api::HTTP_ROUTE_BACKEND_PROTOCOL_WEB_SOCKET,
            route.source.child("type"),
            "WebSocket endpoints",
        ),
        EndpointType::GraphQL => match &route.subscriptions {
            Some(field) => (
                "kubernetes.io/ws",
                gateway_api::HTTP_ROUTE_BACKEND_PROTOCOL_WEB_SOCKET,
                field.clone(),
                "subscriptions over WebSocket",
            ),
            None => return,
        },
        EndpointType::Grpc => (
            "kubernetes.io/h2c",
            // HTTPRouteBackendProtocolH2C is about HTTPRoute; what serves GRPCRoute speaks h2c to the backend.
            gateway_api::GRPC_ROUTE,
            route.source.child("type"),
            "GRPC endpoints",
        ),
        _ => return,
    };
    let place = route.binding.to_string();
    let missing = compilation.lacking(&[feature]);
    if !missing.is_empty() {
        let (reason, alternatives) = compilation.lack_text(what, &missing);
        compilation.refuse(&field, &place, reason, alternatives);
        return;
    }
    // A backend that is spoken to by TLS negotiates its protocol (ALPN), and an appProtocol of clear text would contradict it.
    let target = ObjectKey { kind: SERVICE, namespace: Some(namespace.to_owned()), name: service.to_owned() };
    let value = ContributionValue::AppProtocol { port, protocol: protocol.to_owned() };
    let pointer = value.pointer();
    let same_field = |other: &&Contribution| {
        other.target == target
            && matches!(&other.value, ContributionValue::AppProtocol { port: other, .. } if *other == port)
    };
    match compilation.contributions.iter().find(same_field).cloned() {
        Some(other) if other.value != value => {
            let message = format!(
                "port {port} of Service {namespace}/{service} would have to speak {protocol}, and another protocol for {}",
                other.source
            );
            let help = "use another port of the Service for one of the two endpoints".to_owned();
            compilation.invalid("GWM0402", &field, message, Some(help));
        }
        Some(_) => {}
        None => compilation.contributions.push(Contribution {
            target: target.clone(),
            value,
            reason: format!("{what} need it, so that the gateway speaks the right protocol to the Service"),
            source: field.clone(),
        }),
    }
    let claim = compilation.ledger.claim(field, &place, Verdict::Exact);
    compilation.ledger.cite_contribution(claim, target, pointer);
}

/// Backend references that stand for those of a rule.
pub(super) fn replaced_by(draft: &mut RuleDraft<'_>, backend_refs: &Value) {
    if let Some(items) = backend_refs.as_array() {
        draft.backends.clone_from(items);
        let rule = json!({ "backendRefs": items });
        for (_, pointer) in draft.cites.iter_mut().filter(|(_, pointer)| pointer.starts_with("/backendRefs/")) {
            // Bytes that are gone: what stands for them must change with them.
            if rule.pointer(pointer).is_none() {
                "/backendRefs".clone_into(pointer);
            }
        }
    }
}
