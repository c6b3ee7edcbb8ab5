//! What the suites of plan and apply share: a control plane, hand-built releases, a stand-in for a policy controller.

#![allow(dead_code, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use gateway_modules_core::{
    channel::Channel,
    cluster::{ApplyEvent, ApplyOptions, ApplyOutcome, Cluster, ClusterError, ClusterOptions},
    compile::{ClosedForm, Gate, GatePolicy, ModuleUse, Phase, Release, ReleaseObject, Role},
    intent::policies::PolicyKind,
    module::{Acknowledgement, ModuleVersion},
    object::{GroupVersionKind, Object, ObjectKey},
    plan::{Plan, PlanOptions},
    resolve::Binding,
};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

pub const ROUTE: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "HTTPRoute");
pub const GATEWAY: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "Gateway");
pub const CLASS: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "GatewayClass");
pub const POLICY: GroupVersionKind = GroupVersionKind::of("gateway.kgateway.dev", "v1alpha1", "TrafficPolicy");
pub const SERVICE: GroupVersionKind = GroupVersionKind::of("", "v1", "Service");
pub const SECRET: GroupVersionKind = GroupVersionKind::of("", "v1", "Secret");
pub const CONTROLLER: &str = "kgateway.dev/kgateway";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A client with a namespace, an installation and a class of its own; many share one control plane.
pub struct Lab {
    pub client: kube::Client,
    pub name: String,
    pub cluster: Cluster,
}

/// One write of the audit log.
#[derive(Clone, Debug)]
pub struct Write {
    pub verb: String,
    pub resource: String,
    pub name: String,
    pub code: u64,
    pub uri: String,
    pub body: Value,
}

impl Lab {
    /// `None` says why the suite cannot run.
    pub async fn new() -> Option<Self> {
        let Ok(path) = std::env::var("GATEWAY_MODULES_TEST_KUBECONFIG") else {
            assert!(std::env::var("CI").is_err(), "GATEWAY_MODULES_TEST_KUBECONFIG is not set");
            eprintln!("skipped: GATEWAY_MODULES_TEST_KUBECONFIG is not set");
            return None;
        };
        let config = kube::config::Kubeconfig::read_from(path).expect("kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.expect("config");
        let client = kube::Client::try_from(config).expect("client");
        let name = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let namespaces: Api<DynamicObject> =
            Api::all_with(client.clone(), &resource("", "v1", "Namespace", "namespaces"));
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let namespace = serde_json::from_value(namespace).expect("namespace");
        namespaces.create(&PostParams::default(), &namespace).await.expect("created");
        let cluster = Cluster::new(client.clone(), options(&name));
        let lab = Self { client, name, cluster };
        lab.put(&Object::new(&CLASS, None, &lab.name).with_spec(json!({"controllerName": CONTROLLER}))).await;
        Some(lab)
    }

    pub fn api(&self, kind: &GroupVersionKind) -> Api<DynamicObject> {
        let plural = match kind.kind.as_ref() {
            "TrafficPolicy" => "trafficpolicies".to_owned(),
            "GatewayClass" => "gatewayclasses".to_owned(),
            other => format!("{}s", other.to_lowercase()),
        };
        let resource = resource(&kind.group, &kind.version, &kind.kind, &plural);
        if kind.kind == "GatewayClass" {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &self.name, &resource)
        }
    }

    pub async fn put(&self, object: &Object) {
        let parameters = PatchParams::apply("somebody").force();
        let patch = Patch::Apply(object.to_value());
        self.api(&object.kind()).patch(object.name(), &parameters, &patch).await.expect("applied");
    }

    pub async fn get(&self, kind: &GroupVersionKind, name: &str) -> Option<Value> {
        let found = self.api(kind).get_opt(name).await.expect("read");
        found.map(|found| serde_json::to_value(found).expect("json"))
    }

    /// A change by hand, as `kubectl edit` makes it.
    pub async fn edit(&self, kind: &GroupVersionKind, name: &str, patch: Value) {
        let parameters = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
        let patch: Patch<Value> = Patch::Merge(patch);
        self.api(kind).patch(name, &parameters, &patch).await.expect("edited");
    }

    pub async fn delete(&self, kind: &GroupVersionKind, name: &str) {
        self.api(kind).delete(name, &Default::default()).await.expect("deleted");
    }

    pub async fn plan(&self, release: &Release) -> Plan {
        self.cluster.plan(release, PlanOptions::default()).await.expect("planned")
    }

    pub async fn apply(&self, release: &Release) -> Result<ApplyOutcome, ClusterError> {
        let plan = self.plan(release).await;
        self.cluster.apply_to_end(&plan, self.options()).await
    }

    pub fn options(&self) -> ApplyOptions {
        ApplyOptions::default().with_gate_timeout(Duration::from_secs(10)).with_delete_timeout(Duration::from_secs(10))
    }

    /// Writes that touch this lab's namespace, in order, without dry runs, locks and statuses.
    pub async fn writes(&self) -> Vec<Write> {
        // The log is written behind the answer.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let path = std::env::var("GATEWAY_MODULES_TEST_AUDIT_LOG").expect("audit log");
        let log = std::fs::read_to_string(path).expect("audit log");
        let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries
            .filter(|entry| {
                let uri = entry["requestURI"].as_str().unwrap_or_default();
                let object = &entry["objectRef"];
                entry["objectRef"]["namespace"] == self.name.as_str()
                    && ["create", "update", "patch", "delete"].iter().any(|verb| entry["verb"] == *verb)
                    && !uri.contains("dryRun=All")
                    && uri.contains("fieldManager=gateway-modules")
                    && object["subresource"].is_null()
                    && object["resource"] != "leases"
                    || entry["verb"] == "delete"
                        && object["namespace"] == self.name.as_str()
                        && object["resource"] != "leases"
            })
            .map(|entry| Write {
                verb: entry["verb"].as_str().unwrap_or_default().to_owned(),
                resource: entry["objectRef"]["resource"].as_str().unwrap_or_default().to_owned(),
                name: entry["objectRef"]["name"].as_str().unwrap_or_default().to_owned(),
                code: entry["responseStatus"]["code"].as_u64().unwrap_or_default(),
                uri: entry["requestURI"].as_str().unwrap_or_default().to_owned(),
                body: entry["requestObject"].clone(),
            })
            .collect()
    }

    /// A controller that acknowledges policies whose route is there, until it is dropped.
    pub fn stand_in(&self) -> StandIn {
        let (policies, routes) = (self.api(&POLICY), self.api(&ROUTE));
        StandIn(tokio::spawn(async move {
            loop {
                // A conflict with a deletion is no harm here.
                let _ = acknowledge(&policies, &routes).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }))
    }

    pub fn release(&self, plane: &str, objects: Vec<ReleaseObject>) -> Release {
        let module = ModuleUse {
            name: "kgateway".into(),
            version: ModuleVersion::new("2.4").expect("version"),
            class: self.name.clone(),
            controller: Some(CONTROLLER.into()),
            channel: Channel::Standard,
            assumptions: Vec::new(),
        };
        let mut release = Release::new(plane, module);
        release.objects = objects;
        release
    }

    pub fn gateway(&self, name: &str) -> ReleaseObject {
        let spec = json!({"gatewayClassName": self.name, "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}]});
        entry(
            Object::new(&GATEWAY, Some(&self.name), name).with_spec(spec),
            Phase::Gateways,
            Role::Gateway { visibility: "external".into() },
        )
    }

    pub fn route(&self, name: &str, host: &str) -> ReleaseObject {
        entry(self.route_object(name, host, "backend"), Phase::Routes, Role::Route { binding: binding(name) })
    }

    pub fn route_object(&self, name: &str, host: &str, backend: &str) -> Object {
        // Without the fields that the server fills in, on purpose.
        Object::new(&ROUTE, Some(&self.name), name).with_spec(json!({
            "parentRefs": [{"name": "gw"}], "hostnames": [host],
            "rules": [{"backendRefs": [{"name": backend, "port": 80}], "timeouts": {"request": "5s"}}],
        }))
    }

    pub fn policy(&self, name: &str, route: &str, requests: u32) -> ReleaseObject {
        let spec = json!({
            "targetRefs": [{"group": ROUTE.group, "kind": ROUTE.kind, "name": route}],
            "rateLimit": {"local": {"tokenBucket": {"maxTokens": requests, "tokensPerFill": requests, "fillInterval": "1s"}}},
        });
        entry(
            Object::new(&POLICY, Some(&self.name), name).with_spec(spec),
            Phase::Policies,
            Role::Policy { kinds: vec![PolicyKind::BasicAuth] },
        )
    }

    pub fn gated(&self, name: &str, host: &str, policies: &[&str]) -> ReleaseObject {
        let mut entry = self.route(name, host);
        let policies = policies
            .iter()
            .map(|policy| GatePolicy {
                kind: PolicyKind::BasicAuth,
                object: ObjectKey { kind: POLICY, namespace: Some(self.name.clone()), name: (*policy).to_owned() },
                controller: CONTROLLER.into(),
                acknowledgement: Acknowledgement::PolicyAncestors,
            })
            .collect();
        entry.gate = Some(Gate { closed: ClosedForm(self.route_object(name, host, "nobody")), policies });
        entry
    }
}

pub struct StandIn(tokio::task::JoinHandle<()>);

impl Drop for StandIn {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn acknowledge(policies: &Api<DynamicObject>, routes: &Api<DynamicObject>) -> Result<(), kube::Error> {
    let condition = |name: &str, generation: Option<i64>| {
        json!({"type": name, "status": "True", "reason": "Valid", "message": "", "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let parameters = PatchParams::default();
    let routes_now = routes.list(&Default::default()).await?;
    for route in &routes_now {
        let name = route.metadata.name.clone().unwrap_or_default();
        let generation = route.metadata.generation;
        let observed = route.data["status"]["parents"][0]["conditions"][0]["observedGeneration"].as_i64();
        if observed != generation {
            let parents: Vec<Value> = route.data["spec"]["parentRefs"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|parent| {
                    json!({"parentRef": parent, "controllerName": CONTROLLER,
                    "conditions": [condition("Accepted", generation), condition("ResolvedRefs", generation)]})
                })
                .collect();
            let status: Patch<Value> = Patch::Merge(json!({"status": {"parents": parents}}));
            routes.patch_status(&name, &parameters, &status).await?;
        }
    }
    for policy in policies.list(&Default::default()).await? {
        let name = policy.metadata.name.clone().unwrap_or_default();
        let generation = policy.metadata.generation;
        let target = policy.data["spec"]["targetRefs"][0]["name"].as_str().unwrap_or_default();
        let there = routes_now.iter().any(|route| route.metadata.name.as_deref() == Some(target));
        let observed = policy.data["status"]["ancestors"][0]["conditions"][0]["observedGeneration"].as_i64();
        if there && observed != generation {
            let status: Patch<Value> = Patch::Merge(json!({"status": {"ancestors": [{
                "ancestorRef": {"group": ROUTE.group, "kind": "Gateway", "name": "gw"}, "controllerName": CONTROLLER,
                "conditions": [condition("Accepted", generation), condition("Attached", generation)]}]}}));
            policies.patch_status(&name, &parameters, &status).await?;
        }
    }
    Ok(())
}

pub fn options(name: &str) -> ClusterOptions {
    ClusterOptions::default()
        .with_installation(name)
        .with_namespace(name)
        .with_timeouts(Duration::from_secs(5), Duration::from_secs(10))
        .with_lock(Duration::from_secs(3), Duration::from_secs(10))
}

pub fn entry(object: Object, phase: Phase, role: Role) -> ReleaseObject {
    ReleaseObject { object, phase, role, owners: BTreeSet::new(), gate: None }
}

pub fn binding(endpoint: &str) -> Binding {
    Binding {
        namespace: "shop".into(),
        component: "catalog".into(),
        endpoint: endpoint.into(),
        visibility: "external".into(),
    }
}

pub fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: if group.is_empty() { version.into() } else { format!("{group}/{version}") },
        kind: kind.into(),
        plural: plural.into(),
    }
}

/// Actions by object, for what is not unchanged.
pub fn actions(plan: &Plan) -> Vec<String> {
    let changed = plan.steps.iter().filter(|step| step.action.name() != "unchanged");
    changed.map(|step| format!("{} {}", step.action.name(), step.key.name)).collect()
}

/// Name of an event with its object, for assertions about order.
pub fn names(events: &[ApplyEvent]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| match event {
            ApplyEvent::Written { object } => Some(format!("written {}", object.name)),
            ApplyEvent::Closed { route } => Some(format!("closed {}", route.name)),
            ApplyEvent::Acknowledged { route } => Some(format!("acknowledged {}", route.name)),
            ApplyEvent::Opened { route } => Some(format!("opened {}", route.name)),
            ApplyEvent::Deleted { object } => Some(format!("deleted {}", object.name)),
            ApplyEvent::Kept { object, .. } => Some(format!("kept {}", object.name)),
            ApplyEvent::Blocked { blocked } => Some(format!("blocked {}", blocked.object)),
            _ => None,
        })
        .collect()
}
