//! A real control plane with the CRDs that the controller's suites need, and a controller in this process.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each suite uses its part")]

use std::{collections::BTreeMap, time::Duration};

use gateway_modules::core::{cluster::ClusterOptions, intent::crd::definitions};
use gateway_modules_controller::{ControllerError, ControllerOptions, ReconcilerOptions, run};
use gateway_modules_testkit::{AuditEntry, Channel, ControlPlane, Options, crds, create_namespace, schemas_or_explain};
use kube::{
    Client, Config,
    api::{Api, DynamicObject, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::GroupVersionKind,
    discovery::{Scope, pinned_kind},
};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

pub(crate) const ROUTE: (&str, &str) = ("gateway.networking.k8s.io/v1", "HTTPRoute");
pub(crate) const COMPONENT: (&str, &str) = ("gatewaymodules.dev/v1alpha1", "Component");
pub(crate) const DATA_PLANE: (&str, &str) = ("gatewaymodules.dev/v1alpha1", "DataPlane");

/// Namespace of the records.
pub(crate) const RECORDS: &str = "kgateway-system";

/// A control plane with the CRDs of Gateway API, kgateway and the intents.
pub(crate) struct Lab {
    pub(crate) control_plane: ControlPlane,
    pub(crate) client: Client,
}

impl Lab {
    pub(crate) async fn start() -> Option<Self> {
        let schemas = schemas_or_explain().unwrap()?;
        let control_plane = ControlPlane::start(Options::default()).await.unwrap();
        let client = control_plane.client().await.unwrap();
        crds::install_gateway_api(&client, &schemas, Channel::Standard).await.unwrap();
        crds::install_vendor(&client, &schemas, "kgateway").await.unwrap();
        let lab = Self { control_plane, client };
        for definition in definitions() {
            lab.create(definition).await;
        }
        for namespace in ["shop", "kgateway-system"] {
            create_namespace(&lab.client, namespace).await.unwrap();
        }
        lab.wait("the CRDs are established", async || {
            let crds = lab.api(("apiextensions.k8s.io/v1", "CustomResourceDefinition"), None).await;
            for name in ["components.gatewaymodules.dev", "dataplanes.gatewaymodules.dev"] {
                let crd = crds.get(name).await.unwrap();
                if condition(&crd, "Established").0 != "True" {
                    return Err(format!("{:#}", crd.data["status"]));
                }
                assert_ne!(condition(&crd, "NonStructuralSchema").0, "True", "{:#}", crd.data["status"]);
            }
            Ok(())
        })
        .await;
        Some(lab)
    }

    pub(crate) async fn api(&self, (version, kind): (&str, &str), namespace: Option<&str>) -> Api<DynamicObject> {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let (resource, capabilities) =
            pinned_kind(&self.client, &GroupVersionKind::gvk(group, version, kind)).await.unwrap();
        match (capabilities.scope, namespace) {
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            _ => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// A GatewayClass that its controller has accepted, although nobody runs.
    pub(crate) async fn accepted_class(&self, name: &str, controller: &str) {
        let class = ("gateway.networking.k8s.io/v1", "GatewayClass");
        self.create(json!({
            "apiVersion": class.0, "kind": class.1, "metadata": {"name": name}, "spec": {"controllerName": controller},
        }))
        .await;
        let accepted = json!({"status": {"conditions": [{
            "type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}});
        let classes = self.api(class, None).await;
        classes.patch_status(name, &PatchParams::default(), &Patch::Merge(accepted)).await.unwrap();
    }

    /// A component whose endpoint asks for a password, and the Secret with the users.
    pub(crate) async fn protected(&self, name: &str, host: &str) -> Value {
        self.create(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", "namespace": "shop"},
            "stringData": {"alice": "correct horse battery staple"},
        }))
        .await;
        let mut secure = component(name, host);
        secure["spec"]["endpoints"][0]["policies"] = json!({"basicAuth": {"credentials": {"name": "users"}}});
        secure
    }

    /// A client of the ServiceAccount under `deploy/`, with its rights and no others.
    pub(crate) async fn restricted(&self) -> Client {
        self.restricted_without("controller", &[]).await
    }

    /// As [`restricted`](Self::restricted), without any right on some resources.
    pub(crate) async fn restricted_without(&self, account: &str, without: &[&str]) -> Client {
        self.roles(account, &|_, resource, _| !without.contains(&resource)).await;
        self.account(account).await
    }

    /// The documents of `deploy/rbac.yaml` for a ServiceAccount, with the rules (group, resource, verb) that are kept.
    pub(crate) async fn roles(&self, account: &str, keep: &(dyn Fn(&str, &str, &str) -> bool + Sync)) {
        for mut document in rights() {
            if let Some(rules) = document.get("rules").and_then(Value::as_array) {
                let all = rules.iter().flat_map(single_rules);
                let kept = all.filter(|(group, resource, verb)| keep(group, resource, verb));
                let mut by_resource: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
                for (group, resource, verb) in kept {
                    by_resource.entry((group, resource)).or_default().push(verb);
                }
                document["rules"] = by_resource
                    .into_iter()
                    .map(|((group, resource), verbs)| {
                        json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
                    })
                    .collect();
            }
            if document["kind"] == "ServiceAccount" {
                document["metadata"]["name"] = account.into();
            }
            if let Some(subject) = document.pointer_mut("/subjects/0/name") {
                *subject = account.into();
            }
            self.create(document).await;
        }
    }

    /// A client with the token of a ServiceAccount in the namespace of the records.
    pub(crate) async fn account(&self, name: &str) -> Client {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let uri = format!("/api/v1/namespaces/{RECORDS}/serviceaccounts/{name}/token");
        let request = http::Request::post(uri).body(body.to_string().into_bytes()).unwrap();
        let answer: Value = self.client.request(request).await.unwrap();
        let mut kubeconfig = serde_json::to_value(self.control_plane.kubeconfig().unwrap()).unwrap();
        kubeconfig["users"][0]["user"] = json!({"token": answer["status"]["token"]});
        let kubeconfig = Kubeconfig::from_yaml(&kubeconfig.to_string()).unwrap();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        config.proxy_url = None;
        Client::try_from(config).unwrap()
    }

    pub(crate) async fn try_create(&self, object: Value) -> Result<DynamicObject, kube::Error> {
        let kind = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let api = self.api(kind, object["metadata"]["namespace"].as_str()).await;
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        // Strict field validation, as kubectl does.
        let parameters = PatchParams::apply("test").validation_strict();
        api.patch(&name, &parameters, &Patch::Apply(object)).await
    }

    pub(crate) async fn create(&self, object: Value) {
        let shown = object.to_string();
        self.try_create(object).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
    }

    pub(crate) async fn wait<T>(&self, what: &str, mut poll: impl AsyncFnMut() -> Result<T, String>) -> T {
        let start = std::time::Instant::now();
        loop {
            match poll().await {
                Ok(value) => {
                    println!("{what}: {} ms", start.elapsed().as_millis());
                    return value;
                }
                Err(last) => assert!(start.elapsed() < Duration::from_secs(60), "{what} did not come: {last}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn wait_for_condition(
        &self,
        kind: (&str, &str),
        name: &str,
        wanted: &str,
        status: &str,
    ) -> DynamicObject {
        let api = self.api(kind, Some("shop")).await;
        self.wait(&format!("{} {name} {wanted}={status}", kind.1), async || {
            let object = api.get(name).await.unwrap();
            let generation = object.metadata.generation.unwrap_or_default();
            let about = object.data["status"]["observedGeneration"].as_i64().unwrap_or_default();
            if condition(&object, wanted).0 == status && about == generation {
                Ok(object)
            } else {
                Err(format!("{:#}", object.data["status"]))
            }
        })
        .await
    }

    /// Names of our routes, with their hosts.
    pub(crate) async fn routes(&self) -> Vec<(String, Value)> {
        let routes = self.api(ROUTE, None).await.list(&Default::default()).await.unwrap();
        routes.items.into_iter().map(|route| (route.metadata.name.unwrap(), route.data["spec"].clone())).collect()
    }

    /// Waits until three seconds have passed without a write: on a busy machine the last passes over a change come late.
    pub(crate) async fn comes_to_rest(&self) {
        self.wait("rest", async || {
            let before = self.control_plane.audit_log().await.unwrap().len();
            tokio::time::sleep(Duration::from_secs(3)).await;
            let writes = self.writes_since(before).await;
            if writes.is_empty() { Ok(()) } else { Err(format!("{writes:#?}")) }
        })
        .await;
    }

    pub(crate) async fn writes_since(&self, start: usize) -> Vec<AuditEntry> {
        let log = self.control_plane.audit_log().await.unwrap();
        let ours = |entry: &AuditEntry| {
            entry.is_write() && entry.query.get("fieldManager").is_some_and(|name| name.starts_with("gateway-modules"))
        };
        log.into_iter().skip(start).filter(ours).collect()
    }
}

/// The documents of `deploy/rbac.yaml`; the records of these tests are elsewhere.
pub(crate) fn rights() -> Vec<Value> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/rbac.yaml")).unwrap();
    let text = text.replace("namespace: gateway-modules", &format!("namespace: {RECORDS}"));
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

/// What a rule allows: group, resource and verb, one by one.
pub(crate) fn single_rules(rule: &Value) -> Vec<(String, String, String)> {
    let texts = |field: &str| -> Vec<String> {
        rule[field].as_array().into_iter().flatten().filter_map(|text| text.as_str().map(ToOwned::to_owned)).collect()
    };
    let mut all = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            all.extend(texts("verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
        }
    }
    all
}

pub(crate) fn condition(object: &DynamicObject, name: &str) -> (String, String, String) {
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    let conditions = object.data["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == name);
    found.map_or_else(Default::default, |found| (text(found, "status"), text(found, "reason"), text(found, "message")))
}

/// The answer to a GET.
pub(crate) async fn http(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: controller\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A controller in this process.
pub(crate) struct Running {
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<Result<(), ControllerError>>,
}

impl Running {
    pub(crate) fn start(client: Client, options: ControllerOptions) -> Self {
        let registry = gateway_modules::registry().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _ = stopped.await;
        };
        Self { stop, task: tokio::spawn(async move { run(client, registry, options, shutdown).await }) }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        tokio::time::timeout(Duration::from_secs(30), self.task).await.unwrap().unwrap().unwrap();
    }
}

/// As [`options`], without a resync that could stand in for a watch.
pub(crate) fn by_watches_only() -> ControllerOptions {
    let mut options = options();
    options.reconciler = ReconcilerOptions::default()
        .with_cluster(options.reconciler.cluster)
        .with_intervals(Duration::from_secs(600), Duration::from_secs(600));
    options
}

pub(crate) fn options() -> ControllerOptions {
    let reconciler = ReconcilerOptions::default()
        .with_cluster(ClusterOptions::default().with_namespace("kgateway-system"))
        .with_intervals(Duration::from_secs(2), Duration::from_secs(1))
        .with_gate_timeout(Duration::from_secs(5));
    ControllerOptions::default().with_reconciler(reconciler)
}

pub(crate) fn plane(name: &str) -> Value {
    json!({"apiVersion": DATA_PLANE.0, "kind": DATA_PLANE.1, "metadata": {"name": name}, "spec": {"gateway": {"module": "kgateway"}}})
}

pub(crate) fn component(name: &str, host: &str) -> Value {
    json!({
        "apiVersion": COMPONENT.0, "kind": COMPONENT.1, "metadata": {"name": name, "namespace": "shop"},
        "spec": {"endpoints": [{
            "name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"], "hostnames": [host],
            "policies": {"timeouts": {"request": "5s"}},
        }]},
    })
}

pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 8080}]},
    })
}
