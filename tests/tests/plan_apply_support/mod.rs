//! What the suites of plan and apply share: a control plane, hand-built releases, a stand-in for a policy controller.

#![allow(dead_code, clippy::expect_used, clippy::panic, clippy::unused_self, missing_docs, unreachable_pub)]

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use gateway_modules_core::{
    channel::Channel,
    cluster::{ApplyEvent, ApplyOptions, ApplyOutcome, Cluster, ClusterError, ClusterOptions},
    compile::{CLOSED_BACKEND, ClosedForm, Gate, GatePolicy, ModuleUse, Phase, Release, ReleaseObject, Role},
    intent::policies::PolicyKind,
    module::{Acknowledgement, ModuleVersion},
    object::{GroupVersionKind, Object, ObjectKey},
    plan::{Plan, PlanOptions},
    resolve::Binding,
};
use gateway_modules_testkit::{
    AuditEntry, ControlPlane, Options, StandIn, StandInOptions, crds, create_namespace, schemas_or_explain,
};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub const ROUTE: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "HTTPRoute");
pub const GATEWAY: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "Gateway");
pub const CLASS: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "GatewayClass");
pub const POLICY: GroupVersionKind = GroupVersionKind::of("gateway.kgateway.dev", "v1alpha1", "TrafficPolicy");
pub const SERVICE: GroupVersionKind = GroupVersionKind::of("", "v1", "Service");
pub const SECRET: GroupVersionKind = GroupVersionKind::of("", "v1", "Secret");
static NEXT: AtomicU32 = AtomicU32::new(0);
/// One for the whole suite; it ends with the process.
static CONTROL_PLANE: OnceCell<Option<ControlPlane>> = OnceCell::const_new();

async fn control_plane() -> Option<&'static ControlPlane> {
    let start = || async {
        let schemas = schemas_or_explain().expect("schemas")?;
        let options = Options::default().controller_manager(false);
        let control_plane = ControlPlane::start(options).await.expect("control plane");
        let client = control_plane.client().await.expect("client");
        crds::install_gateway_api(&client, &schemas, crds::Channel::Standard).await.expect("definitions");
        crds::install_vendor(&client, &schemas, "kgateway").await.expect("definitions");
        Some(control_plane)
    };
    CONTROL_PLANE.get_or_init(start).await.as_ref()
}

/// A client with a namespace, an installation, a class and a controller of its own; many share one control plane.
pub struct Lab {
    pub control_plane: &'static ControlPlane,
    pub client: kube::Client,
    pub name: String,
    pub controller: String,
    pub cluster: Cluster,
}

impl Lab {
    /// `None` when the suite cannot run, which is told.
    pub async fn new() -> Option<Self> {
        let control_plane = control_plane().await?;
        let client = control_plane.client().await.expect("client");
        let name = format!("lab-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        create_namespace(&client, &name).await.expect("namespace");
        let cluster = Cluster::new(client.clone(), options(&name));
        let controller = format!("example.com/{name}");
        let lab = Self { control_plane, client, name, controller, cluster };
        lab.put(&Object::new(&CLASS, None, &lab.name).with_spec(json!({"controllerName": lab.controller}))).await;
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
        self.api(kind).delete(name, &DeleteParams::default()).await.expect("deleted");
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

    /// Writes of ours that touch this lab's namespace, in order, without locks.
    pub async fn writes(&self) -> Vec<AuditEntry> {
        // The log is written behind the answer.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let log = self.control_plane.audit_log().await.expect("audit log");
        let of_ours = |entry: &AuditEntry| {
            let manager = entry.query.get("fieldManager").is_some_and(|manager| manager.starts_with("gateway-modules"));
            entry.is_write()
                && entry.namespace == self.name
                && entry.subresource.is_empty()
                && entry.resource != "leases"
                && (manager || entry.verb == "delete")
        };
        log.into_iter().filter(of_ours).collect()
    }

    /// A controller of this lab's class that acknowledges policies whose route is there, until it is dropped.
    pub async fn stand_in(&self) -> StandIn {
        let client = self.control_plane.stand_in_client().await.expect("client");
        let options = StandInOptions::new(&self.controller)
            .attached(true)
            .policy_kind(&*POLICY.group, &*POLICY.kind)
            .interval(Duration::from_millis(50));
        StandIn::start(client, options)
    }

    pub fn release(&self, plane: &str, objects: Vec<ReleaseObject>) -> Release {
        let module = ModuleUse {
            name: "kgateway".into(),
            version: ModuleVersion::new("2.4").expect("version"),
            class: self.name.clone(),
            controller: Some(self.controller.clone()),
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
                controller: self.controller.clone(),
                acknowledgement: Acknowledgement::PolicyAncestors,
            })
            .collect();
        entry.gate = Some(Gate { closed: ClosedForm(self.route_object(name, host, CLOSED_BACKEND)), policies });
        entry
    }
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
