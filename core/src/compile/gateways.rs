//! Gateways, their listeners, the redirect of HTTP listeners, and who may attach.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Phase, Role,
    compilation::Compilation,
    standard::{GATEWAY, GROUP, HTTP_ROUTE, REFERENCE_GRANT},
};
use crate::{
    capability::names::{gateway_api, project},
    intent::{Address, Exposure, FieldRef, Listener, ListenerProtocol, TlsMode},
    module::{Citation, GatewayEdit, Provisioned, Verdict},
    object::{Object, ObjectKey},
    resolve::GatewayTopology,
};

/// Provisions the plane: class, parameters, Gateways.
pub(super) fn provision(compilation: &mut Compilation<'_>) {
    let input = compilation.input;
    check_isolation(compilation);
    let provisioned = match input.module.provision(input.plane, &compilation.context()) {
        Ok(provisioned) => provisioned,
        Err(refusals) => {
            for refusal in refusals.0 {
                compilation.refusal(refusal, "data plane");
            }
            Provisioned::default()
        }
    };
    compilation.class.clone_from(&provisioned.class_name);
    compilation.requires.extend(provisioned.requires.iter().cloned());
    if let Some(class) = &provisioned.class {
        compilation.add(class.clone(), Phase::Foundation, Role::Class, None);
    }
    let keys: Vec<ObjectKey> = provisioned
        .objects
        .iter()
        .map(|object| compilation.add(object.clone(), Phase::Foundation, Role::Parameters, None))
        .collect();
    for gateway in &input.plane.gateways {
        let edit = provisioned.gateways.get(&gateway.visibility).cloned().unwrap_or_default();
        emit(compilation, gateway, &edit);
    }
    claim_outcomes(compilation, &provisioned, &keys);
    claim_plane(compilation, provisioned.class.is_some());
}

/// Whether what is internal stays internal: two Gateways of a plane must not answer on each other's address.
fn check_isolation(compilation: &mut Compilation<'_>) {
    let plane = compilation.input.plane;
    let managed = |exposure: Exposure| {
        plane.gateways.iter().filter(move |gateway| gateway.exposure == exposure && gateway.existing.is_none())
    };
    for gateway in managed(Exposure::Cluster) {
        if !compilation.has(&project::GATEWAY_EXPOSURE_CLUSTER) {
            let (reason, _) = compilation.lack_text(
                "Gateway that is reachable from inside the cluster only",
                &[project::GATEWAY_EXPOSURE_CLUSTER],
            );
            let alternatives = vec![
                "another module: `gwm capabilities NAME` lists gateway/exposure/cluster where it is there".to_owned(),
                "set `exposure: Public` if the endpoints may be reached from outside".to_owned(),
            ];
            compilation.refuse(&gateway.source, &gateway.visibility, reason, alternatives);
        }
    }
    let mixed = managed(Exposure::Cluster).next().is_some() && managed(Exposure::Public).next().is_some();
    if mixed
        && !compilation.has(&project::GATEWAY_ISOLATION_ADDRESS)
        && !compilation.has(&project::GATEWAY_ISOLATION_PORT)
    {
        let reason = format!(
            "{} does not keep Gateways apart, so an internal endpoint would answer on an external address",
            compilation.gateway_title()
        );
        let alternatives = vec![
            "a data plane of its own for what is internal".to_owned(),
            "a module with gateway/isolation".to_owned(),
        ];
        for gateway in managed(Exposure::Cluster) {
            compilation.refuse(&gateway.source, &gateway.visibility, reason.clone(), alternatives.clone());
        }
    }
}

fn emit(compilation: &mut Compilation<'_>, gateway: &GatewayTopology, edit: &GatewayEdit) {
    if let Some(existing) = &gateway.existing {
        let what = format!(
            "the existing Gateway {}/{} to which routes attach; it is not managed",
            existing.namespace, existing.name
        );
        compilation.ledger.decides(gateway.source.child("gatewayRef"), what);
        for field in ["exposure", "listeners", "namespace", "addresses", "labels", "annotations"] {
            compilation
                .ledger
                .decides(gateway.source.child(field), "describes an existing Gateway, which is not managed");
        }
        return;
    }
    let namespace = compilation.gateway_namespace(gateway);
    let mut object = Object::new(&GATEWAY, Some(&namespace), &gateway.name);
    let key = object.key();
    let place = gateway.visibility.clone();
    let mut spec = Map::new();
    let class = edit.class_name.clone().unwrap_or_else(|| compilation.class.clone());
    spec.insert("gatewayClassName".into(), class.into());
    spec.insert("listeners".into(), listeners(compilation, gateway, edit, &key, &namespace));
    if let Some(infrastructure) = infrastructure(compilation, gateway, edit, &key) {
        spec.insert("infrastructure".into(), infrastructure);
    }
    if !gateway.addresses.is_empty() {
        let addresses: Vec<Value> = gateway
            .addresses
            .iter()
            .map(|address| match address {
                Address::Ip(ip) => json!({"type": "IPAddress", "value": ip.to_string()}),
                Address::Hostname(host) => json!({"type": "Hostname", "value": host.as_str()}),
            })
            .collect();
        spec.insert("addresses".into(), addresses.into());
        let field = gateway.source.child("addresses");
        if compilation.has(&gateway_api::GATEWAY_STATIC_ADDRESSES) {
            for index in 0..gateway.addresses.len() {
                compilation.exact(field.child(index), &place, &key, format!("/spec/addresses/{index}"));
            }
        } else {
            let (reason, alternatives) =
                compilation.lack_text("static addresses", &[gateway_api::GATEWAY_STATIC_ADDRESSES]);
            compilation.refuse(&field, &place, reason, alternatives);
        }
    }
    object = object.with_spec(Value::Object(spec));
    for (name, value) in &edit.annotations {
        object.set_annotation(name, value);
    }
    compilation.add(object, Phase::Gateways, Role::Gateway { visibility: place.clone() }, None);
    compilation.exact(gateway.source.child("namespace"), &place, &key, "/metadata/namespace");
    if gateway.exposure == Exposure::Public {
        compilation.ledger.decides(
            gateway.source.child("exposure"),
            "the Gateway is reachable from outside, as the module makes it by default",
        );
    }
    redirects(compilation, gateway, &key, &namespace);
}

fn infrastructure(
    compilation: &mut Compilation<'_>,
    gateway: &GatewayTopology,
    edit: &GatewayEdit,
    key: &ObjectKey,
) -> Option<Value> {
    let mut infrastructure = Map::new();
    for (field, map) in [("labels", &gateway.labels), ("annotations", &gateway.annotations)] {
        if map.is_empty() {
            continue;
        }
        infrastructure.insert(field.into(), json!(map));
        let source = gateway.source.child(field);
        if compilation.has(&gateway_api::GATEWAY_INFRASTRUCTURE_PROPAGATION) {
            for name in map.keys() {
                let pointer = format!("/spec/infrastructure/{field}/{}", name.replace('~', "~0").replace('/', "~1"));
                compilation.exact(source.child(name), &gateway.visibility, key, pointer);
            }
        } else {
            let missing = [gateway_api::GATEWAY_INFRASTRUCTURE_PROPAGATION];
            let (reason, alternatives) =
                compilation.lack_text("labels and annotations of the infrastructure", &missing);
            compilation.refuse(&source, &gateway.visibility, reason, alternatives);
        }
    }
    if let Some((group, kind, name)) = &edit.parameters_ref {
        infrastructure.insert("parametersRef".into(), json!({"group": group, "kind": kind, "name": name}));
    }
    (!infrastructure.is_empty()).then_some(Value::Object(infrastructure))
}

fn listeners(
    compilation: &mut Compilation<'_>,
    gateway: &GatewayTopology,
    edit: &GatewayEdit,
    key: &ObjectKey,
    namespace: &str,
) -> Value {
    let source = gateway.source.child("listeners");
    let allowed = allowed_routes(compilation, gateway, key, namespace);
    let mut emitted = Vec::new();
    for (index, listener) in gateway.listeners.iter().enumerate() {
        let field = source.child(index);
        let at = format!("/spec/listeners/{index}");
        let needed = match listener.protocol {
            ListenerProtocol::Http => project::LISTENER_HTTP,
            ListenerProtocol::Https => project::LISTENER_HTTPS,
            ListenerProtocol::Tls => project::LISTENER_TLS,
            ListenerProtocol::Tcp => project::LISTENER_TCP,
            ListenerProtocol::Udp => project::LISTENER_UDP,
        };
        if !compilation.has(&needed) {
            let (reason, alternatives) =
                compilation.lack_text(&format!("{} listeners", listener.protocol.as_str()), &[needed]);
            compilation.refuse(&field.child("protocol"), &gateway.visibility, reason, alternatives);
        }
        let mut value = json!({
            "name": listener.name.as_str(),
            "protocol": listener.protocol.as_str(),
            "port": edit.listener_ports.get(&listener.port.get()).copied().unwrap_or(listener.port.get()),
            "allowedRoutes": allowed.clone(),
        });
        if let Some(hostname) = &listener.hostname {
            value["hostname"] = hostname.as_str().into();
        }
        if let Some(tls) = tls(compilation, gateway, listener, edit, &field, &at, key, namespace) {
            value["tls"] = tls;
        }
        if gateway.listeners_declared {
            for (name, pointer) in
                [("name", "name"), ("protocol", "protocol"), ("port", "port"), ("hostname", "hostname")]
            {
                if value.get(pointer).is_some() {
                    compilation.exact(field.child(name), &gateway.visibility, key, format!("{at}/{pointer}"));
                }
            }
        }
        emitted.push(value);
    }
    Value::Array(emitted)
}

/// Which namespaces may attach routes: those that the platform allows, and the Gateway's own for its redirects.
fn allowed_routes(
    compilation: &mut Compilation<'_>,
    gateway: &GatewayTopology,
    key: &ObjectKey,
    namespace: &str,
) -> Value {
    let plane = compilation.input.plane;
    if plane.allowed_namespaces.is_empty() {
        return json!({"namespaces": {"from": "All"}});
    }
    let mut namespaces: Vec<&str> = plane.allowed_namespaces.iter().map(|(name, _)| name.as_str()).collect();
    namespaces.extend(plane.routes_on(gateway).map(|route| route.namespace.as_str()));
    if gateway.listeners.iter().any(|listener| listener.redirect_to.is_some()) {
        namespaces.push(namespace);
    }
    namespaces.sort_unstable();
    namespaces.dedup();
    for (name, field) in &plane.allowed_namespaces {
        let position = namespaces.iter().position(|candidate| candidate == name).unwrap_or_default();
        for index in 0..gateway.listeners.len() {
            let pointer = format!(
                "/spec/listeners/{index}/allowedRoutes/namespaces/selector/matchExpressions/0/values/{position}"
            );
            compilation.exact(field.clone(), &gateway.visibility, key, pointer);
        }
    }
    json!({"namespaces": {"from": "Selector", "selector": {"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}
    ]}}})
}

#[allow(clippy::too_many_arguments)] // the parts of one listener, each needed once
fn tls(
    compilation: &mut Compilation<'_>,
    gateway: &GatewayTopology,
    listener: &Listener,
    edit: &GatewayEdit,
    field: &FieldRef,
    at: &str,
    key: &ObjectKey,
    namespace: &str,
) -> Option<Value> {
    let tls = listener.tls.as_ref()?;
    let source = field.child("tls");
    let mode = match tls.mode {
        TlsMode::Terminate => "Terminate",
        TlsMode::Passthrough => "Passthrough",
    };
    if listener.protocol == ListenerProtocol::Tls
        && tls.mode == TlsMode::Terminate
        && !compilation.has(&gateway_api::TLS_ROUTE_MODE_TERMINATE)
    {
        let (reason, alternatives) =
            compilation.lack_text("TLS listeners that terminate", &[gateway_api::TLS_ROUTE_MODE_TERMINATE]);
        compilation.refuse(&source.child("mode"), &gateway.visibility, reason, alternatives);
    }
    compilation.exact(source.child("mode"), &gateway.visibility, key, format!("{at}/tls/mode"));
    let mut value = json!({"mode": mode});
    if !tls.certificates.is_empty() {
        let references: Vec<Value> = tls
            .certificates
            .iter()
            .map(|certificate| {
                let mut reference = json!({"group": "", "kind": "Secret", "name": certificate.name.as_str()});
                if let Some(other) = &certificate.namespace {
                    reference["namespace"] = other.as_str().into();
                }
                reference
            })
            .collect();
        value["certificateRefs"] = references.into();
        for (index, certificate) in tls.certificates.iter().enumerate() {
            let place = source.child("certificates").child(index);
            compilation.exact(place, &gateway.visibility, key, format!("{at}/tls/certificateRefs/{index}"));
            if let Some(other) = certificate.namespace.as_ref().filter(|other| other.as_str() != namespace) {
                grant(
                    compilation,
                    ("Gateway", namespace),
                    ("Secret", other.as_str(), Some(certificate.name.as_str())),
                    None,
                );
            }
        }
    }
    if !edit.tls_options.is_empty() {
        value["options"] = json!(edit.tls_options);
    }
    Some(value)
}

/// A ReferenceGrant from a kind in one namespace to a kind (one object, where it is named) in another.
pub(super) fn grant(
    compilation: &mut Compilation<'_>,
    from: (&str, &str),
    to: (&str, &str, Option<&str>),
    owner: Option<String>,
) -> ObjectKey {
    let (from_kind, from_namespace) = from;
    let (to_kind, to_namespace, to_name) = to;
    let mut target = json!({"group": "", "kind": to_kind});
    if let Some(name) = to_name {
        target["name"] = name.into();
    }
    let parts = ["grant", from_kind, from_namespace, to_kind, to_namespace, to_name.unwrap_or_default()];
    let name = compilation.context().name(&parts);
    let kind = super::standard::served_version(compilation.input, "ReferenceGrant").unwrap_or(REFERENCE_GRANT);
    let object = Object::new(&kind, Some(to_namespace), &name).with_spec(json!({
        "from": [{"group": GROUP, "kind": from_kind, "namespace": from_namespace}],
        "to": [target],
    }));
    compilation.add(object, Phase::Foundation, Role::ReferenceGrant, owner)
}

/// One HTTPRoute per HTTP listener that redirects to an HTTPS listener.
fn redirects(compilation: &mut Compilation<'_>, gateway: &GatewayTopology, gateway_key: &ObjectKey, namespace: &str) {
    let ports: BTreeMap<&str, u16> =
        gateway.listeners.iter().map(|listener| (listener.name.as_str(), listener.port.get())).collect();
    for (index, listener) in gateway.listeners.iter().enumerate() {
        let Some(target) = &listener.redirect_to else { continue };
        let field = gateway.source.child("listeners").child(index).child("redirectTo");
        let port = ports.get(target.as_str()).copied().unwrap_or(443);
        let mut needed = vec![gateway_api::HTTP_ROUTE_SCHEME_REDIRECT];
        if port != 443 {
            needed.push(gateway_api::HTTP_ROUTE_PORT_REDIRECT);
        }
        let missing = compilation.lacking(&needed);
        if !missing.is_empty() {
            let (reason, alternatives) = compilation.lack_text("redirect from HTTP to HTTPS", &missing);
            compilation.refuse(&field, &gateway.visibility, reason, alternatives);
            continue;
        }
        let name = compilation.context().name(&["redirect", &gateway.visibility, listener.name.as_str()]);
        let object = Object::new(&HTTP_ROUTE, Some(namespace), &name).with_spec(json!({
            "parentRefs": [{"group": GROUP, "kind": "Gateway", "namespace": namespace, "name": gateway.name, "sectionName": listener.name.as_str()}],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "port": port, "statusCode": 301}}],
            }],
        }));
        let role = Role::RedirectRoute { visibility: gateway.visibility.clone() };
        let key = compilation.add(object, Phase::Routes, role, None);
        let claim = compilation.exact(field, &gateway.visibility, &key, "/spec/rules/0/filters/0/requestRedirect/port");
        compilation.ledger.cite(claim, key, "/spec/parentRefs/0/sectionName");
        let _ = gateway_key;
    }
}

/// Verdicts of the module about fields of the plane.
fn claim_outcomes(compilation: &mut Compilation<'_>, provisioned: &Provisioned, keys: &[ObjectKey]) {
    for outcome in &provisioned.outcomes {
        let claim = compilation.ledger.claim(outcome.field.clone(), "data plane", outcome.verdict.clone());
        for citation in &outcome.citations {
            match citation {
                Citation::Object { index, pointer } => {
                    if let Some(key) = keys.get(*index) {
                        compilation.ledger.cite(claim, key.clone(), pointer.clone());
                    }
                }
                Citation::Gateway { visibility, pointer } => {
                    let gateway =
                        compilation.input.plane.gateways.iter().find(|gateway| gateway.visibility == *visibility);
                    if let Some(gateway) = gateway {
                        let namespace = compilation.gateway_namespace(gateway);
                        let key = Object::new(&GATEWAY, Some(&namespace), &gateway.name).key();
                        compilation.ledger.cite(claim, key, pointer.clone());
                    }
                }
                Citation::Provisioned { object, pointer } => {
                    compilation.ledger.cite(claim, object.clone(), pointer.clone());
                }
                Citation::Edit { .. } | Citation::Fragment { .. } | Citation::Contribution { .. } => {}
            }
        }
    }
}

/// The fields of the plane that core itself uses.
fn claim_plane(compilation: &mut Compilation<'_>, class_made: bool) {
    let plane = compilation.input.plane;
    if !plane.declared {
        return;
    }
    let at = |pointer: &str| FieldRef::new(plane.document.clone(), pointer);
    compilation.ledger.decides(at("/metadata/name"), "the data plane, and the names of what is made for it");
    if compilation.is_leaf(&at("/spec")) {
        compilation.ledger.decides(at("/spec"), "nothing: the data plane is as the defaults say");
    }
    compilation.ledger.decides(at("/metadata/labels"), "which components select the data plane");
    compilation.ledger.decides(at("/metadata/annotations"), "nothing; kept for tools");
    compilation.ledger.decides(at("/spec/gateway/module"), "the module");
    compilation.ledger.decides(at("/spec/gateway/version"), "the capabilities of the gateway");
    compilation.ledger.decides(at("/spec/gateway/install"), "whether the controller installs the gateway");
    compilation.ledger.decides(at("/spec/cluster"), "the cluster that the release is applied to");
    compilation.ledger.decides(at("/spec/drift"), "what the controller does about changes by hand");
    compilation.ledger.decides(at("/spec/probe"), "whether the controller asks protected routes without credentials");
    let class = at("/spec/gateway/className");
    let managed: Vec<_> = plane.gateways.iter().filter(|gateway| gateway.existing.is_none()).collect();
    // A comparison leaves out what is for the module that the plane names.
    let reason = || "it is for the module that the data plane names, and this is another".to_owned();
    if plane.gateway.parameters.is_empty() {
        compilation.ledger.claim(at("/spec/gateway/parameters"), "", Verdict::Inactive { reason: reason() });
    }
    if plane.gateway.class_name.is_none() {
        compilation.ledger.claim(class, "", Verdict::Inactive { reason: reason() });
    } else {
        let claim = compilation.ledger.claim(class, "data plane", Verdict::Exact);
        for gateway in &managed {
            let namespace = compilation.gateway_namespace(gateway);
            compilation.ledger.cite(
                claim,
                Object::new(&GATEWAY, Some(&namespace), &gateway.name).key(),
                "/spec/gatewayClassName",
            );
        }
        if managed.is_empty() && !class_made {
            compilation.ledger.decides(at("/spec/gateway/className"), "the class of the existing Gateways");
        }
    }
    for gateway in &plane.gateways {
        for field in ["domain", "hostnameStyle"] {
            let field = gateway.source.child(field);
            let domain = gateway.source.child("domain");
            let used =
                plane.routes_on(gateway).any(|route| route.hostnames.iter().any(|(_, source)| *source == domain));
            if !used {
                let reason = "every endpoint of the visibility names its own hosts, or none has a host".to_owned();
                compilation.ledger.claim(field, "", Verdict::Inactive { reason });
            }
        }
        // An empty visibility is a leaf of its own: it asks for the Gateway. One that says something has other leaves, and
        // must not cover them by a claim from above.
        let namespace = compilation.gateway_namespace(gateway);
        if gateway.existing.is_none() && compilation.is_leaf(&gateway.source) {
            let key = Object::new(&GATEWAY, Some(&namespace), &gateway.name).key();
            compilation.exact(gateway.source.clone(), &gateway.visibility, &key, "/metadata/name");
        }
    }
    for (_, _, field) in &plane.allowed_references {
        if !compilation.ledger.touches(field) {
            let reason = "no route of this release names a Service across these namespaces".to_owned();
            compilation.ledger.claim(field.clone(), "allowance", Verdict::Inactive { reason });
        }
    }
}
