//! Policies towards Services: a `TraefikService` in place of the backends of each rule.

use std::collections::{BTreeMap, BTreeSet};

use gateway_modules_core::{
    intent::{
        FieldRef,
        policies::{HashKey, LoadBalancingAlgorithm, PolicyKind, SessionAffinity},
    },
    module::{Difference, ObjectHandle, RouteEdit},
    resolve::{BackendTopology, RuleTopology},
    types::Duration,
};
use serde_json::{Map, Value, json};

use super::{Work, work::looser};
use crate::resources::{GROUP, SERVERS_TRANSPORT, TRAEFIK_SERVICE, object};

/// Kinds that need a `TraefikService`.
const KINDS: [PolicyKind; 5] = [
    PolicyKind::Timeout,
    PolicyKind::OutlierDetection,
    PolicyKind::LoadBalancing,
    PolicyKind::SessionAffinity,
    PolicyKind::Mirror,
];

/// What stands at each Service of the `TraefikService`, and where each field of the intent is in it.
#[derive(Default)]
struct Settings {
    service: Map<String, Value>,
    /// Field, differences, pointer below the service.
    cites: Vec<(FieldRef, Vec<Difference>, &'static str)>,
    /// `responseHeaderTimeout`, and its field.
    timeout: Option<(FieldRef, Duration)>,
}

pub(super) fn map(work: &mut Work<'_>) {
    let kinds: Vec<PolicyKind> = KINDS.into_iter().filter(|kind| work.target.must_map(*kind)).collect();
    if kinds.is_empty() || !are_possible(work, &kinds) {
        return;
    }
    let mut settings = Settings::default();
    timeout(work, &mut settings);
    outlier_detection(work, &mut settings);
    load_balancing(work, &mut settings);
    session_affinity(work, &mut settings);
    let mirrors = mirrors(work);
    if settings.cites.is_empty() && settings.timeout.is_none() && mirrors.is_none() {
        return;
    }
    let transport = servers_transport(work, &mut settings);
    // One for each Service and port, whichever rules lead there: weights stay in the route.
    let mut made: BTreeMap<(String, u16), Stand> = BTreeMap::new();
    let rules: Vec<&RuleTopology> = work.scope.rules.clone();
    for rule in rules {
        let mut references = Vec::new();
        for backend in &rule.backends {
            let key = (backend.service.clone(), backend.port.get());
            let stand = match made.get(&key) {
                Some(stand) => stand.clone(),
                None => traefik_service(work, backend, &settings, mirrors.as_deref(), &kinds),
            };
            references.push(reference(backend, &stand.name));
            if let Some((object, pointer)) = stand.service.filter(|_| backend.declared) {
                work.exact(backend.source.child("service"), object, pointer);
            }
            made.insert(key, stand);
        }
        // A rule that answers by itself has no backends.
        if !references.is_empty() {
            let kind = kinds.first().copied().unwrap_or(PolicyKind::LoadBalancing);
            let backend_refs = Value::Array(references);
            work.mapping.edit(RouteEdit::Backends { kind, rules: vec![rule.name.clone()], backend_refs });
        }
    }
    if let Some((object, field)) = transport {
        let text = "Traefik limits the wait for the first byte of the answer (forwardingTimeouts.responseHeaderTimeout), not \
                    the time until its last";
        let difference = looser("timeout/until-response-headers", text);
        work.approximate(field, difference, object, "/forwardingTimeouts/responseHeaderTimeout");
    }
}

/// The `backendRef` that stands for a Service. Traefik does not read its port; it says which one is meant.
fn reference(backend: &BackendTopology, name: &str) -> Value {
    let mut reference = json!({ "group": GROUP, "kind": "TraefikService", "name": name, "port": backend.port.get() });
    if backend.declared || backend.weight.get() != 1 {
        reference["weight"] = backend.weight.get().into();
    }
    reference
}

/// Refuses all kinds where a `TraefikService` would lose something.
fn are_possible(work: &mut Work<'_>, kinds: &[PolicyKind]) -> bool {
    let route = work.scope.route;
    let own = work.namespace();
    let backends: Vec<&BackendTopology> = work.scope.rules.iter().flat_map(|rule| &rule.backends).collect();
    let mut services: BTreeSet<(String, String)> =
        backends.iter().map(|backend| (backend.namespace.clone(), backend.service.clone())).collect();
    if let Some(policy) = work.target.policies.mirror() {
        services.extend(policy.value.backends.iter().map(|backend| {
            let namespace = backend.namespace.as_ref().map_or(own, |namespace| namespace.as_str());
            (namespace.to_owned(), backend.service.to_string())
        }));
    }
    let encrypted = work.cx.plane.routes.iter().flat_map(|route| &route.rules).find_map(|rule| {
        rule.policies.backend_tls()?;
        rule.backends
            .iter()
            .find(|backend| services.contains(&(backend.namespace.clone(), backend.service.clone())))
            .map(|backend| backend.service.clone())
    });
    let (reason, alternatives): (String, [&str; 2]) = if !route.kind.is_http() {
        // `grpcroute.go`, loadGRPCBackendRef: "only Kubernetes services are supported".
        let reason = "Traefik takes a TraefikService on HTTPRoute only".to_owned();
        (reason, ["an endpoint of type HTTP", "module kgateway or istio"])
    } else if let Some(service) = encrypted {
        // BackendTLSPolicy is read where an HTTPRoute names a Service, and a TraefikService is not that.
        let reason =
            format!("it needs a TraefikService, which would reach Service {service} without the TLS of backendTls");
        (reason, ["no backendTls for the Service", "module kgateway"])
    } else if services.iter().any(|(namespace, _)| namespace != own) {
        // `kubernetes_http.go`, nameAndService: allowCrossNamespace is off by default, and it would open all namespaces.
        let reason = "it needs a TraefikService, which names Services of its own namespace only".to_owned();
        (reason, ["a Service in the namespace of the component", "module kgateway"])
    } else {
        return true;
    };
    for kind in kinds {
        if let Some(field) = work.target.policies.field(*kind).cloned() {
            work.unsupported(field, reason.clone(), &alternatives);
        }
    }
    false
}

/// A `ServersTransport` with the time limit, and the field to cite there.
fn servers_transport(work: &mut Work<'_>, settings: &mut Settings) -> Option<(ObjectHandle, FieldRef)> {
    let (field, limit) = settings.timeout.take()?;
    let name = work.name(&["transport"]);
    let spec = json!({ "forwardingTimeouts": { "responseHeaderTimeout": limit.to_string() } });
    let object = object(&SERVERS_TRANSPORT, work.namespace(), &name, spec);
    settings.service.insert("serversTransport".into(), name.into());
    Some((work.mapping.object(object, vec![PolicyKind::Timeout]), field))
}

/// A `TraefikService` that stands for a Service.
#[derive(Clone)]
struct Stand {
    /// Name to refer to.
    name: String,
    /// Where the name of the Service is.
    service: Option<(ObjectHandle, &'static str)>,
}

/// What stands for a Service: its settings, and before it the mirrors.
fn traefik_service(
    work: &mut Work<'_>,
    backend: &BackendTopology,
    settings: &Settings,
    mirrors: Option<&[(Value, FieldRef)]>,
    kinds: &[PolicyKind],
) -> Stand {
    let port = backend.port.to_string();
    let mut service = settings.service.clone();
    service.insert("kind".into(), "Service".into());
    service.insert("name".into(), backend.service.clone().into());
    service.insert("port".into(), backend.port.get().into());
    // Traefik would guess TLS from a port 443 or a name `https`, and not verify it.
    service.insert("scheme".into(), "http".into());
    let mut main = Value::Object(service);
    let mut stand = Stand { name: String::new(), service: None };
    if !settings.service.is_empty() {
        let name = work.name(&["service", &backend.service, &port]);
        let spec = json!({ "weighted": { "services": [main] } });
        let object = object(&TRAEFIK_SERVICE, work.namespace(), &name, spec);
        let of: Vec<PolicyKind> = kinds.iter().copied().filter(|kind| *kind != PolicyKind::Mirror).collect();
        let handle = work.mapping.object(object, of);
        for (field, differences, pointer) in &settings.cites {
            work.emitted(field.clone(), differences.clone(), handle, &format!("/weighted/services/0{pointer}"));
        }
        main = json!({ "kind": "TraefikService", "name": name });
        stand = Stand { name, service: Some((handle, "/weighted/services/0/name")) };
    }
    if let Some(mirrors) = mirrors {
        stand.name = work.name(&["mirroring", &backend.service, &port]);
        let list: Vec<Value> = mirrors
            .iter()
            .map(|(mirror, _)| {
                let mut mirror = mirror.clone();
                if mirror.get("port").is_none() {
                    mirror["port"] = backend.port.get().into();
                }
                mirror
            })
            .collect();
        main["mirrors"] = list.into();
        let object = object(&TRAEFIK_SERVICE, work.namespace(), &stand.name, json!({ "mirroring": main }));
        let handle = work.mapping.object(object, vec![PolicyKind::Mirror]);
        stand.service.get_or_insert((handle, "/mirroring/name"));
        for (index, (_, field)) in mirrors.iter().enumerate() {
            work.exact(field.clone(), handle, &format!("/mirroring/mirrors/{index}"));
        }
    }
    stand
}

fn timeout(work: &mut Work<'_>, settings: &mut Settings) {
    let target = work.target;
    let Some(policy) = target.policies.timeouts().filter(|_| target.must_map(PolicyKind::Timeout)) else { return };
    let (field, value) = (policy.field, policy.value);
    if value.request.is_some() {
        // Seen with requests: `timeouts.request` has no effect (facts/lab.md §3).
        let reason = "Traefik has no limit for the whole request";
        work.unsupported(
            field.child("request"),
            reason,
            &["timeouts.backendRequest", "module kgateway, cilium or istio"],
        );
    }
    // `0s` is no limit to both.
    if let Some(limit) = value.backend_request {
        settings.timeout = Some((field.child("backendRequest"), limit));
    }
}

fn outlier_detection(work: &mut Work<'_>, settings: &mut Settings) {
    let kind = PolicyKind::OutlierDetection;
    let target = work.target;
    let Some(policy) = target.policies.outlier_detection().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if value.interval.is_some() {
        work.inactive(field.child("interval"), "Traefik looks at each answer at once, not at intervals");
    }
    let window = value.base_ejection_time.unwrap_or(Duration::from_secs(30));
    if window.as_millis() == 0 {
        work.unsupported(field.child("baseEjectionTime"), "Traefik takes no window of 0", &["30s"]);
        return;
    }
    let failed = i32::try_from(value.consecutive_5xx).ok().filter(|failed| *failed > 0);
    let Some(failed) = failed else {
        work.unsupported(field.child("consecutive5xx"), "Traefik takes 1 to 2147483647", &["5"]);
        return;
    };
    settings.service.insert(
        "passiveHealthCheck".into(),
        json!({ "maxFailedAttempts": failed, "failureWindow": window.to_string() }),
    );
    let text = format!(
        "failures in a row count only when they fall within {window}, failed connections count too, and an endpoint \
         stays out for {window} each time, also when it fails again and again"
    );
    let mut differences = vec![looser("outlier-detection/failure-window", text)];
    if let Some(share) = value.max_ejection_percent {
        let text = format!("Traefik may take out all endpoints at once, not {} % of them at most", share.get());
        differences.push(looser("outlier-detection/no-largest-share", text));
        let reason = "Traefik has no largest share of endpoints, which the difference of consecutive5xx says";
        work.inactive(field.child("maxEjectionPercent"), reason);
    }
    let pointer = "/passiveHealthCheck/maxFailedAttempts";
    settings.cites.push((field.child("consecutive5xx"), differences, pointer));
    if value.base_ejection_time.is_some() {
        settings.cites.push((field.child("baseEjectionTime"), Vec::new(), "/passiveHealthCheck/failureWindow"));
    }
}

fn load_balancing(work: &mut Work<'_>, settings: &mut Settings) {
    let kind = PolicyKind::LoadBalancing;
    let target = work.target;
    let Some(policy) = target.policies.load_balancing().filter(|_| target.must_map(kind)) else { return };
    let field = policy.field.child("algorithm");
    let strategy = match &policy.value.algorithm {
        LoadBalancingAlgorithm::RoundRobin {} => "wrr",
        // The one with fewer requests of two random ones (`loadbalancer/p2c`).
        LoadBalancingAlgorithm::LeastRequest {} => "p2c",
        // Rendezvous hashing of the client's address (`loadbalancer/hrw`).
        LoadBalancingAlgorithm::ConsistentHash(HashKey::ClientIp {}) => "hrw",
        LoadBalancingAlgorithm::Random {} => {
            work.unsupported(field, "Traefik does not choose at random", &["roundRobin", "leastRequest"]);
            return;
        }
        LoadBalancingAlgorithm::ConsistentHash(_) => {
            let reason = "Traefik hashes the address of the client only (strategy hrw)";
            work.unsupported(field, reason, &["consistentHash.clientIp", "sessionAffinity.cookie", "module kgateway"]);
            return;
        }
    };
    settings.service.insert("strategy".into(), strategy.into());
    settings.cites.push((field, Vec::new(), "/strategy"));
}

fn session_affinity(work: &mut Work<'_>, settings: &mut Settings) {
    let kind = PolicyKind::SessionAffinity;
    let target = work.target;
    let Some(policy) = target.policies.session_affinity().filter(|_| target.must_map(kind)) else { return };
    let field = policy.field;
    let SessionAffinity::Cookie { name, ttl } = policy.value else {
        let alternatives = ["cookie", "loadBalancing.algorithm.consistentHash.clientIp"];
        work.unsupported(field.clone(), "Traefik keeps a client on an endpoint by a cookie only", &alternatives);
        return;
    };
    let place = field.child("cookie");
    if !is_cookie_name(name.as_str()) {
        work.unsupported(
            place.child("name"),
            "the name of a cookie is a token of RFC 6265",
            &["letters, digits, - and _"],
        );
        return;
    }
    if work.scope.rules.iter().any(|rule| rule.backends.len() > 1) {
        let reason = "with several Services Traefik needs a second cookie for the choice of the Service";
        work.unsupported(field.clone(), reason, &["one Service behind the rule", "module kgateway"]);
        return;
    }
    let mut cookie = json!({ "name": name.as_str(), "httpOnly": true, "path": "/" });
    settings.cites.push((place.child("name"), Vec::new(), "/sticky/cookie/name"));
    if let Some(ttl) = ttl {
        let seconds =
            ttl.as_whole_secs().and_then(|seconds| i32::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
        let Some(seconds) = seconds else {
            // Zero is a cookie of the browser session.
            work.unsupported(place.child("ttl"), "Traefik takes whole seconds from 1", &["1h", "no ttl"]);
            return;
        };
        cookie["maxAge"] = seconds.into();
        settings.cites.push((place.child("ttl"), Vec::new(), "/sticky/cookie/maxAge"));
    }
    settings.service.insert("sticky".into(), json!({ "cookie": cookie }));
}

/// A token of RFC 9110: Go writes no cookie with another name.
fn is_cookie_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The mirrors, each with its place in the intent.
fn mirrors(work: &Work<'_>) -> Option<Vec<(Value, FieldRef)>> {
    let target = work.target;
    let policy = target.policies.mirror().filter(|_| target.must_map(PolicyKind::Mirror))?;
    let list = policy.field.child("backends");
    let mirrors = policy
        .value
        .backends
        .iter()
        .enumerate()
        .map(|(index, backend)| {
            let mut mirror = json!({
                "kind": "Service",
                "name": backend.service.as_str(),
                "scheme": "http",
                "percent": backend.percent.get(),
            });
            if let Some(port) = backend.port {
                mirror["port"] = port.get().into();
            }
            (mirror, list.child(index))
        })
        .collect();
    Some(mirrors)
}
