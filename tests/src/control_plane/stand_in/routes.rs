//! Which routes hang on which Gateways, and the status of routes.

use serde_json::{Value, json};

use super::conditions::{self, Says};
use super::snapshot::{Item, NULL, ROUTES, Snapshot};
use super::{GATEWAY_API, StandInOptions};

/// A route's parent reference to a Gateway of this controller.
pub(crate) struct Attachment<'a> {
    pub(crate) route: &'a Item,
    pub(crate) gateway: &'a Item,
    reference: &'a Value,
    /// The listeners that take the route, or why none does.
    listeners: Result<Vec<&'a str>, (&'static str, &'static str)>,
}

impl Attachment<'_> {
    pub(crate) fn is_accepted(&self) -> bool {
        self.listeners.is_ok()
    }

    pub(crate) fn is_accepted_by(&self, gateway: &Item, listener: &str) -> bool {
        self.gateway.key() == gateway.key() && self.listeners.as_ref().is_ok_and(|names| names.contains(&listener))
    }
}

pub(crate) fn attach(snapshot: &Snapshot) -> Vec<Attachment<'_>> {
    snapshot
        .routes
        .iter()
        .flat_map(|route| array(&route.spec()["parentRefs"]).iter().map(move |reference| (route, reference)))
        .filter(|(_, reference)| {
            reference["group"].as_str().unwrap_or(GATEWAY_API) == GATEWAY_API
                && reference["kind"].as_str().unwrap_or("Gateway") == "Gateway"
        })
        .filter_map(|(route, reference)| {
            let namespace = reference["namespace"].as_str().unwrap_or(route.namespace());
            let gateway = snapshot.gateway(namespace, reference["name"].as_str()?)?;
            let listeners = accepting(snapshot, route, gateway, reference);
            Some(Attachment { route, gateway, reference, listeners })
        })
        .collect()
}

fn accepting<'a>(
    snapshot: &Snapshot,
    route: &Item,
    gateway: &'a Item,
    reference: &Value,
) -> Result<Vec<&'a str>, (&'static str, &'static str)> {
    let named: Vec<&Value> = listeners(gateway)
        .iter()
        .filter(|listener| reference["sectionName"].is_null() || reference["sectionName"] == listener["name"])
        .filter(|listener| reference["port"].is_null() || reference["port"] == listener["port"])
        .collect();
    if named.is_empty() {
        return Err(("NoMatchingParent", "the Gateway has no such listener"));
    }
    let allowed: Vec<&str> = named
        .into_iter()
        .filter(|listener| kinds(listener).contains(&route.resource.kind.as_str()))
        .filter(|listener| allows_namespace(snapshot, gateway, listener, route.namespace()))
        .filter_map(|listener| listener["name"].as_str())
        .collect();
    if allowed.is_empty() {
        return Err(("NotAllowedByListeners", "no listener takes routes of this kind from this namespace"));
    }
    Ok(allowed)
}

fn allows_namespace(snapshot: &Snapshot, gateway: &Item, listener: &Value, namespace: &str) -> bool {
    let allowed = &listener["allowedRoutes"]["namespaces"];
    match allowed["from"].as_str().unwrap_or("Same") {
        "All" => true,
        "Same" => gateway.namespace() == namespace,
        "Selector" => snapshot.selects(&allowed["selector"], namespace),
        _ => false,
    }
}

pub(crate) fn listeners(gateway: &Item) -> &[Value] {
    array(&gateway.spec()["listeners"])
}

/// The kinds of routes that a listener takes.
pub(crate) fn kinds(listener: &Value) -> Vec<&'static str> {
    let possible: &[&str] = match listener["protocol"].as_str().unwrap_or_default() {
        "HTTP" | "HTTPS" => &["HTTPRoute", "GRPCRoute"],
        "TLS" if listener["tls"]["mode"] == "Passthrough" => &["TLSRoute"],
        "TLS" => &["TLSRoute", "TCPRoute"],
        "TCP" => &["TCPRoute"],
        "UDP" => &["UDPRoute"],
        _ => &[],
    };
    let listed = array(&listener["allowedRoutes"]["kinds"]);
    ROUTES
        .into_iter()
        .filter(|kind| possible.contains(kind))
        .filter(|kind| listed.is_empty() || listed.iter().any(|one| one["kind"] == *kind))
        .collect()
}

/// The new status of every route that hangs, or hung, on a Gateway of this controller.
pub(crate) fn statuses<'a>(
    snapshot: &'a Snapshot,
    attachments: &[Attachment<'_>],
    options: &StandInOptions,
) -> Vec<(&'a Item, Value)> {
    snapshot
        .routes
        .iter()
        .filter_map(|route| {
            let before = array(&route.status()["parents"]);
            let ours = |parent: &&Value| parent["controllerName"] == options.controller.as_str();
            let mut parents: Vec<Value> = before.iter().filter(|parent| !ours(parent)).cloned().collect();
            let others = parents.len();
            for attachment in attachments.iter().filter(|attachment| attachment.route.key() == route.key()) {
                let old = before
                    .iter()
                    .filter(ours)
                    .find(|parent| &parent["parentRef"] == attachment.reference)
                    .unwrap_or(NULL);
                parents.push(parent_status(attachment, old, snapshot, options));
            }
            let touched = parents.len() > others || before.len() > others;
            touched.then(|| (route, json!({"parents": parents})))
        })
        .collect()
}

fn parent_status(attachment: &Attachment<'_>, old: &Value, snapshot: &Snapshot, options: &StandInOptions) -> Value {
    let accepted = match &attachment.listeners {
        Ok(_) => Says::yes("Accepted", "Accepted"),
        Err((reason, message)) => Says::no("Accepted", reason, *message),
    };
    let resolved =
        match backends(attachment.route).find_map(|backend| broken(attachment.route, backend, snapshot, options)) {
            None => Says::yes("ResolvedRefs", "ResolvedRefs"),
            Some((reason, message)) => Says::no("ResolvedRefs", reason, message),
        };
    json!({
        "parentRef": attachment.reference,
        "controllerName": options.controller,
        "conditions": conditions::merge(&old["conditions"], &[accepted, resolved], attachment.route.generation()),
    })
}

/// All backends of all rules, those of mirrors too.
pub(crate) fn backends(route: &Item) -> impl Iterator<Item = &Value> {
    array(&route.spec()["rules"]).iter().flat_map(|rule| {
        let refs = array(&rule["backendRefs"]);
        let filters = array(&rule["filters"]).iter().chain(refs.iter().flat_map(|backend| array(&backend["filters"])));
        let mirrors = filters.map(|filter| &filter["requestMirror"]["backendRef"]).filter(|backend| !backend.is_null());
        refs.iter().chain(mirrors)
    })
}

fn broken(
    route: &Item,
    backend: &Value,
    snapshot: &Snapshot,
    options: &StandInOptions,
) -> Option<(&'static str, String)> {
    let group = backend["group"].as_str().unwrap_or_default();
    let kind = backend["kind"].as_str().unwrap_or("Service");
    let name = backend["name"].as_str().unwrap_or_default();
    let namespace = backend["namespace"].as_str().unwrap_or(route.namespace());
    let is_service = group.is_empty() && kind == "Service";
    if !is_service && !options.backends.iter().any(|(known_group, known)| known_group == group && known == kind) {
        return Some(("InvalidKind", format!("backends of kind {kind} ({group:?}) are not known")));
    }
    if !snapshot.permits((GATEWAY_API, &route.resource.kind, route.namespace()), (group, kind, namespace, name)) {
        return Some(("RefNotPermitted", format!("no ReferenceGrant for {kind} {namespace}/{name}")));
    }
    if is_service && !snapshot.has_service(namespace, name) {
        return Some(("BackendNotFound", format!("no Service {namespace}/{name}")));
    }
    None
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
