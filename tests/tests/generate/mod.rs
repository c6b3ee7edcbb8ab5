//! Intents for the property tests: data planes, components, endpoints of all types, rules, policies on all layers.

use gateway_modules::core::{
    capability::{
        Capabilities, CapabilityName,
        names::{gateway_api, project},
    },
    intent::policies::PolicyKind,
};
use gateway_modules_testkit::samples;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A form of a policy: its kind, and the fields of `policies` that it needs.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) kind: PolicyKind,
    pub(crate) fields: Map<String, Value>,
}

/// All forms of the samples.
pub(crate) fn forms() -> Vec<Form> {
    samples::all()
        .into_iter()
        .filter_map(|sample| {
            let endpoint = sample.documents.component().pointer("/spec/endpoints/0")?;
            let fields = endpoint.get("policies").and_then(Value::as_object).cloned().unwrap_or_default();
            Some(Form { kind: sample.kind, fields })
        })
        .collect()
}

/// An intent before its policies are chosen: they depend on the module.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Which module, version and channel.
    pub(crate) bench: usize,
    planes: Vec<Plane>,
    components: Vec<Component>,
}

#[derive(Clone, Debug)]
struct Plane {
    visibilities: usize,
    https: bool,
    shared_host: bool,
    defaults: Vec<Pick>,
    overrides: Vec<Pick>,
}

#[derive(Clone, Debug)]
struct Component {
    namespace: usize,
    plane: usize,
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug)]
struct Endpoint {
    /// Whatever the gateway has; else what it has.
    any: bool,
    kind: usize,
    visibilities: usize,
    base_path: bool,
    hostname: bool,
    rules: Vec<Rule>,
    policies: Vec<Pick>,
}

#[derive(Clone, Debug)]
struct Rule {
    /// Whatever the gateway has; else what it has.
    any: bool,
    matcher: usize,
    split: bool,
    policies: Vec<Pick>,
}

/// Which form: of those that the module emits, or of all.
#[derive(Clone, Debug)]
struct Pick {
    any: bool,
    index: usize,
}

/// The most visibilities that a plane has.
const VISIBILITIES: [&str; 3] = ["external", "internal", "partner"];

fn weighted(odds: u32) -> impl Strategy<Value = bool> {
    prop::bool::weighted(f64::from(odds) / 100.0)
}

fn picks(most: usize) -> impl Strategy<Value = Vec<Pick>> {
    let pick = (weighted(4), 0..10_000_usize).prop_map(|(any, index)| Pick { any, index });
    prop::collection::vec(pick, 0..=most)
}

fn rule() -> impl Strategy<Value = Rule> {
    let rarely = prop_oneof![3 => picks(0), 1 => picks(1)];
    (weighted(5), 0..9_usize, weighted(20), rarely).prop_map(|(any, matcher, split, policies)| Rule {
        any,
        matcher,
        split,
        policies,
    })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let kind = prop_oneof![12 => Just(0_usize), 1 => Just(1), 1 => Just(2), 2 => Just(3), 1 => Just(4), 1 => Just(5), 1 => Just(6)];
    let visibilities = prop_oneof![4 => Just(1_usize), 1 => Just(2), 1 => Just(3)];
    let rules = prop_oneof![2 => prop::collection::vec(rule(), 0..=0), 2 => prop::collection::vec(rule(), 1..=4)];
    let policies = prop_oneof![2 => picks(1), 2 => picks(2), 1 => picks(4)];
    (weighted(5), kind, visibilities, weighted(30), weighted(50), rules, policies).prop_map(
        |(any, kind, visibilities, base_path, hostname, rules, policies)| Endpoint {
            any,
            kind,
            visibilities,
            base_path,
            hostname,
            rules,
            policies,
        },
    )
}

/// Cases over so many benches.
pub(crate) fn cases(benches: usize) -> impl Strategy<Value = Case> {
    let plane = prop_oneof![2 => picks(0), 1 => picks(1)];
    let layer = prop_oneof![4 => picks(0), 1 => picks(1)];
    let plane = (1..=3_usize, weighted(30), weighted(15), plane, layer)
        .prop_map(|(visibilities, https, shared_host, defaults, overrides)| Plane {
            visibilities,
            https,
            shared_host,
            defaults,
            overrides,
        })
        .boxed();
    let endpoints =
        prop_oneof![3 => prop::collection::vec(endpoint(), 1..=1), 1 => prop::collection::vec(endpoint(), 2..=3)];
    let component = (0..6_usize, 0..2_usize, endpoints).prop_map(|(namespace, plane, endpoints)| Component {
        namespace,
        plane,
        endpoints,
    });
    let components =
        prop_oneof![3 => prop::collection::vec(component.clone(), 1..=1), 1 => prop::collection::vec(component, 2..=3)];
    (
        0..benches,
        prop_oneof![3 => prop::collection::vec(plane.clone(), 1..=1), 1 => prop::collection::vec(plane, 2..=2)],
        components,
    )
        .prop_map(|(bench, planes, components)| Case { bench, planes, components })
}

/// What a module can do, to choose policies by.
pub(crate) struct Choice<'a> {
    pub(crate) emitted: &'a [Form],
    pub(crate) all: &'a [Form],
    pub(crate) class: bool,
    pub(crate) parameters: &'a Map<String, Value>,
    /// Whether the gateway keeps the Gateways of a plane apart.
    pub(crate) isolated: bool,
    /// Whether a Gateway can be reachable from inside the cluster only, as one is that is not `external`.
    pub(crate) inside_only: bool,
    pub(crate) capabilities: &'a Capabilities,
}

/// What each type of endpoint needs of a gateway.
fn needs(kind: usize) -> Vec<CapabilityName> {
    match kind {
        1 => vec![gateway_api::HTTP_ROUTE_BACKEND_PROTOCOL_WEB_SOCKET],
        3 => vec![gateway_api::GRPC_ROUTE],
        4 => vec![gateway_api::TLS_ROUTE, project::LISTENER_TLS],
        5 => vec![gateway_api::TCP_ROUTE, project::LISTENER_TCP],
        6 => vec![gateway_api::UDP_ROUTE, project::LISTENER_UDP],
        _ => Vec::new(),
    }
}

impl Choice<'_> {
    fn has(&self, needed: &[CapabilityName]) -> bool {
        needed.iter().all(|name| self.capabilities.has(name))
    }

    /// The type of an endpoint: HTTP where the gateway has not what it would be.
    fn kind(&self, endpoint: &Endpoint) -> usize {
        if endpoint.any || self.has(&needs(endpoint.kind)) { endpoint.kind } else { 0 }
    }

    /// How a rule matches: by a prefix where the gateway has not how it would.
    fn matcher(&self, rule: &Rule) -> usize {
        let has = match rule.matcher {
            3 => self.has(&[gateway_api::HTTP_ROUTE_METHOD_MATCHING]),
            // No feature stands for headers alone; who matches no methods is found to fail at these too (Kong 2.2).
            4 => self.has(&[gateway_api::HTTP_ROUTE_METHOD_MATCHING]),
            5 => self.has(&[gateway_api::HTTP_ROUTE_QUERY_PARAM_MATCHING]),
            _ => true,
        };
        if rule.any || has { rule.matcher } else { 6 }
    }

    fn policies(&self, picks: &[Pick], fits: impl Fn(&Form) -> bool) -> Value {
        let mut policies = Map::new();
        for pick in picks {
            let pool = if pick.any || self.emitted.is_empty() { self.all } else { self.emitted };
            let pool: Vec<&Form> = pool.iter().filter(|form| fits(form)).collect();
            if !pool.is_empty() {
                policies.extend(pool[pick.index % pool.len()].fields.clone());
            }
        }
        Value::Object(policies)
    }
}

/// Kinds that gateways bind to a whole Gateway.
fn of_a_gateway(form: &Form) -> bool {
    matches!(form.kind, PolicyKind::ClientCertificate | PolicyKind::AccessLog | PolicyKind::Tracing)
}

impl Case {
    /// The documents, with policies that suit the module more often than not.
    pub(crate) fn documents(&self, choice: &Choice<'_>) -> Vec<Value> {
        let types = |plane: usize| -> Vec<usize> {
            let served = self.components.iter().filter(|component| component.plane % self.planes.len() == plane);
            served.flat_map(|component| component.endpoints.iter().map(|endpoint| choice.kind(endpoint))).collect()
        };
        let planes = self.planes.iter().enumerate();
        let mut documents: Vec<Value> =
            planes.map(|(index, plane)| plane.document(index, &types(index), choice)).collect();
        for (index, component) in self.components.iter().enumerate() {
            let plane = component.plane % self.planes.len();
            documents.push(component.document(index, plane, self, choice));
        }
        documents
    }

    fn endpoints(&self) -> usize {
        self.components.iter().map(|component| component.endpoints.len()).sum()
    }
}

impl Plane {
    fn document(&self, index: usize, types: &[usize], choice: &Choice<'_>) -> Value {
        let mut visibilities = Map::new();
        let count = if choice.isolated { self.visibilities } else { 1 };
        for name in VISIBILITIES.iter().take(count) {
            let mut listeners = vec![if self.https {
                json!({ "name": "https", "protocol": "HTTPS", "port": 443, "tls": { "certificates": [{ "name": "c" }] } })
            } else {
                json!({ "name": "http", "protocol": "HTTP", "port": 80 })
            }];
            for (kind, listener) in [
                (4, json!({ "name": "tls", "protocol": "TLS", "port": 9443, "tls": { "mode": "Passthrough" } })),
                (5, json!({ "name": "tcp", "protocol": "TCP", "port": 5432 })),
                (6, json!({ "name": "udp", "protocol": "UDP", "port": 53 })),
            ] {
                // Only where an endpoint needs it: a gateway without such listeners refuses the whole plane.
                if types.contains(&kind) {
                    listeners.push(listener);
                }
            }
            let style = if self.shared_host { "Shared" } else { "PerEndpoint" };
            let domain = format!("{name}.p{index}.example.com");
            visibilities.insert(
                (*name).to_owned(),
                json!({ "namespace": "gateways", "domain": domain, "hostnameStyle": style, "listeners": listeners }),
            );
            if !choice.inside_only {
                visibilities[*name]["exposure"] = "Public".into();
            }
        }
        let fits = |form: &Form| self.https || form.kind != PolicyKind::ClientCertificate;
        let mut spec = json!({
            "visibilities": visibilities,
            "policies": {
                "defaults": choice.policies(&self.defaults, fits),
                "overrides": choice.policies(&self.overrides, fits),
            },
            "allowedReferences": [{ "from": "gateways", "to": "observability" }],
            "gateway": { "parameters": choice.parameters },
        });
        if choice.class {
            spec["gateway"]["className"] = "class".into();
        }
        json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1",
            "kind": "DataPlane",
            "metadata": { "name": format!("p{index}") },
            "spec": spec,
        })
    }
}

impl Component {
    fn document(&self, index: usize, plane: usize, case: &Case, choice: &Choice<'_>) -> Value {
        let endpoints: Vec<Value> = self
            .endpoints
            .iter()
            .enumerate()
            .map(|(number, endpoint)| endpoint.value(number, index, plane, case, choice))
            .collect();
        // More often than not where the services of the samples are, which an installation may have to know by name.
        let namespace = ["shop", "shop", "shop", "shop", "a", "a-b"][self.namespace % 6];
        json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1",
            "kind": "Component",
            "metadata": { "name": format!("c{index}"), "namespace": namespace },
            "spec": { "dataPlanes": { "names": [format!("p{plane}")] }, "endpoints": endpoints },
        })
    }
}

impl Endpoint {
    fn value(&self, number: usize, component: usize, plane: usize, case: &Case, choice: &Choice<'_>) -> Value {
        let kind = ["HTTP", "WebSocket", "GraphQL", "GRPC", "TLS", "TCP", "UDP"][choice.kind(self)];
        let number_of_kind = choice.kind(self);
        let plane = &case.planes[plane];
        let there = if choice.isolated { plane.visibilities } else { 1 };
        let visibilities: Vec<&str> = VISIBILITIES.iter().copied().take(self.visibilities.min(there)).collect();
        let single = case.endpoints() == 1 && self.rules.is_empty();
        let http = number_of_kind < 3;
        let fits = |form: &Form| {
            // Not every gateway verifies the backends of GRPCRoutes.
            let grpc = form.kind.is_security() && (self.any || form.kind != PolicyKind::BackendTls);
            let listener = plane.https || form.kind != PolicyKind::ClientCertificate;
            (http || (number_of_kind == 3 && grpc)) && listener && (single || !of_a_gateway(form))
        };
        let mut endpoint = json!({
            "name": format!("e{number}"),
            "type": kind,
            "port": 8080 + number,
            "service": format!("s{component}-{number}"),
            "visibilities": visibilities,
            "policies": choice.policies(&self.policies, fits),
        });
        if self.base_path && http {
            endpoint["basePath"] = "/base".into();
        }
        if self.hostname && number_of_kind < 5 {
            endpoint["hostnames"] = json!([format!("e{number}-c{component}.example.org")]);
        }
        if http && !self.rules.is_empty() {
            let rules = self.rules.iter().enumerate().map(|(at, rule)| rule.value(at, choice, &fits));
            endpoint["rules"] = rules.collect();
        }
        endpoint
    }
}

impl Rule {
    fn value(&self, at: usize, choice: &Choice<'_>, fits: &dyn Fn(&Form) -> bool) -> Value {
        let path = |kind: &str, path: String| json!({ "path": { kind: path } });
        let matches = match choice.matcher(self) {
            0 => vec![],
            1 => vec![path("exact", format!("/x{at}"))],
            2 => vec![path("prefix", format!("/p{at}")), path("prefix", format!("/q{at}"))],
            3 => vec![json!({ "path": { "prefix": format!("/m{at}") }, "method": "GET" })],
            4 => vec![
                json!({ "path": { "prefix": format!("/h{at}") }, "headers": [{ "name": "X-A", "value": { "exact": "b" } }] }),
            ],
            5 => vec![
                json!({ "path": { "prefix": "/same" }, "queryParams": [{ "name": "a", "value": { "exact": at.to_string() } }] }),
            ],
            _ => vec![path("prefix", format!("/r{at}"))],
        };
        let mut rule = json!({
            "name": format!("r{at}"),
            "matches": matches,
            // Policies of whole Gateways have no place on a rule.
            "policies": choice.policies(&self.policies, |form| fits(form) && !of_a_gateway(form)),
        });
        if self.split {
            rule["backends"] = json!([{ "service": format!("split-{at}"), "weight": 3 }, { "service": format!("next-{at}"), "weight": 1 }]);
        }
        rule
    }
}
