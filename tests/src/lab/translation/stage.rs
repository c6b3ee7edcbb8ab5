//! A control plane with Cilium's operator, and the way of an intent through the pipeline into it.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use gateway_modules_core::{
    channel::Channel,
    cluster::{ApplyOptions, Cluster, ClusterOptions, Health},
    compile::{Compiled, Release},
    module::GatewayModule,
    plan::PlanOptions,
};
use kube::{
    Client,
    api::{Api, DeleteParams, DynamicObject, ListParams},
};
use serde_json::{Value, json};
use tokio::task::{AbortHandle, spawn_blocking};

use crate::{
    ControlPlane, Error, Form, Options,
    control_plane::{local, process::Group},
    crds, create_namespace, go,
    lab::{balancer, manifests},
    samples::Documents,
};

pub(super) const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";
pub(super) const CLASS: &str = "cilium";
/// Of the samples.
pub(super) const GATEWAYS: &str = "gateways";
pub(super) const COMPONENTS: &str = "shop";
const OPERATOR: &str = "cilium-gateway-operator";
/// Where the operator copies certificates for the agents, as the chart names it.
const SECRETS: &str = "cilium-secrets";

/// How long the operator may take for what it does within a second on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long something is looked for that is not to come.
pub(super) const NEVER: Duration = Duration::from_secs(6);

pub(super) struct Stage {
    channel: Channel,
    pub(super) module: Arc<dyn GatewayModule>,
    client: Client,
    cluster: Cluster,
    operator: Mutex<Group>,
    addresses: AbortHandle,
    // The last to go: the others talk to it.
    _control_plane: ControlPlane,
}

impl Stage {
    /// Starts both, with the definitions of Gateway API in a channel and those of Cilium.
    pub(super) async fn start(module: Arc<dyn GatewayModule>, schemas: &Path, channel: Channel) -> Result<Self, Error> {
        let program = spawn_blocking(go::cilium_operator).await??;
        let control_plane = ControlPlane::start(Options::default().form(Form::Local).audit(false)).await?;
        let client = control_plane.client().await?;
        let definitions =
            if channel == Channel::Standard { crds::Channel::Standard } else { crds::Channel::Experimental };
        crds::install_gateway_api(&client, schemas, definitions).await?;
        crds::install_vendor(&client, schemas, "cilium").await?;
        for namespace in [GATEWAYS, COMPONENTS, SECRETS] {
            create_namespace(&client, namespace).await?;
        }
        // The chart makes it (`templates/cilium-gateway-api-class.yaml`).
        let class = json!({"controllerName": module.metadata().controllers.first()});
        let class =
            json!({"apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": {"name": CLASS}, "spec": class});
        manifests::apply_one(&client, class).await?;

        let mut group = Group::new()?;
        let kubeconfig = group.folder().join("kubeconfig");
        let text =
            serde_json::to_string(&control_plane.kubeconfig()?).map_err(|error| Error::Lab(error.to_string()))?;
        local::write_private(&kubeconfig, &text)?;
        let mut command = Command::new(program);
        command.arg("--k8s-kubeconfig-path").arg(&kubeconfig).args(["--gateway-api-secrets-namespace", SECRETS]);
        group.spawn(OPERATOR, command)?;
        let stage = Self {
            channel,
            module,
            cluster: Cluster::new(client.clone(), ClusterOptions::default()),
            operator: Mutex::new(group),
            addresses: tokio::spawn(balancer::run(client.clone())).abort_handle(),
            client,
            _control_plane: control_plane,
        };
        let accepted =
            stage.until(async || stage.condition("GatewayClass", None, CLASS, "Accepted", "True").await).await;
        accepted.map_err(|error| Error::Lab(format!("the operator does not accept its class: {error}")))?;
        Ok(stage)
    }

    /// Asks again until there is an answer, or the patience is over, or the operator has ended.
    pub(super) async fn until<T>(&self, ask: impl AsyncFn() -> Result<T, String>) -> Result<T, String> {
        let start = Instant::now();
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) if start.elapsed() > PATIENCE => {
                    return Err(format!("{error}, after {} s", PATIENCE.as_secs()));
                }
                Err(_) => {}
            }
            self.operator.lock().unwrap_or_else(PoisonError::into_inner).check().map_err(|error| error.to_string())?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Compiles; differences are accepted by name, as an author would who has read them.
    pub(super) fn compile(&self, documents: &Documents) -> Result<Compiled, String> {
        let bench = super::bench(&*self.module, self.channel);
        bench.compile_accepting(documents).map(|(compiled, _)| compiled).map_err(|refused| refused.0.to_string())
    }

    /// Plans, applies and waits until all conditions say that the release is in force. The Services that routes name are there.
    pub(super) async fn apply(&self, release: &Release) -> Result<(), String> {
        for object in &release.objects {
            let namespace = object.object.namespace().unwrap_or_default();
            for (namespace, name, port) in services(&object.object.to_value(), namespace) {
                self.service(&namespace, &name, port).await?;
            }
        }
        let plan = self.cluster.plan(release, PlanOptions::default()).await.map_err(|error| error.to_string())?;
        let options = ApplyOptions::default().with_gate_timeout(NEVER);
        let outcome = self.cluster.apply_to_end(&plan, options).await.map_err(|error| error.to_string())?;
        if !outcome.is_complete() {
            return Err(format!("blocked: {:?}", outcome.blocked));
        }
        self.until(async || {
            let status = self.cluster.status(release).await.map_err(|error| error.to_string())?;
            if status.health == Health::Ready {
                Ok(())
            } else {
                Err(format!("{}: {:?}", status.health, status.reasons))
            }
        })
        .await
    }

    /// Takes everything of a plane away, and what the operator has made of it.
    pub(super) async fn clear(&self, plane: &str) -> Result<(), String> {
        for plan in self.cluster.plan_delete(plane).await.map_err(|error| error.to_string())? {
            let done = self.cluster.apply_to_end(&plan, ApplyOptions::default()).await;
            done.map_err(|error| error.to_string())?;
        }
        self.until(async || self.nothing().await).await
    }

    /// Neither routes, nor Gateways, nor anything that the operator makes of them.
    pub(super) async fn nothing(&self) -> Result<(), String> {
        let kinds = [(GATEWAY_API, "HTTPRoute"), (GATEWAY_API, "Gateway"), ("cilium.io/v2", "CiliumEnvoyConfig")];
        for (version, kind) in kinds {
            let found = manifests::api(&self.client, version, kind, None).list(&ListParams::default()).await;
            let found = found.map_err(|error| error.to_string())?.items.len();
            if found > 0 {
                return Err(format!("{found} of kind {kind}"));
            }
        }
        Ok(())
    }

    pub(super) async fn service(&self, namespace: &str, name: &str, port: u64) -> Result<(), String> {
        let ports = json!([{"name": "http", "port": port}]);
        self.put(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name},
            "spec": {"ports": ports},
        }))
        .await
    }

    /// Applies an object by hand.
    pub(super) async fn put(&self, object: Value) -> Result<(), String> {
        manifests::apply_one(&self.client, object).await.map_err(|error| error.to_string())
    }

    pub(super) async fn delete(&self, version: &str, kind: &str, namespace: &str, name: &str) -> Result<(), String> {
        let done = self.api(version, kind, Some(namespace)).delete(name, &DeleteParams::default()).await;
        done.map(drop).map_err(|error| error.to_string())
    }

    pub(super) async fn get(
        &self,
        version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Value, String> {
        let found = self.api(version, kind, namespace).get(name).await.map_err(|error| error.to_string())?;
        serde_json::to_value(found).map_err(|error| error.to_string())
    }

    fn api(&self, version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        manifests::api(&self.client, version, kind, namespace)
    }

    /// What the operator makes of a Gateway.
    pub(super) async fn envoy_config(&self, gateway: &str) -> Result<Value, String> {
        self.get("cilium.io/v2", "CiliumEnvoyConfig", Some(GATEWAYS), &format!("cilium-gateway-{gateway}")).await
    }

    /// Whether a condition of an object, or of the first parent of a route, says this of the generation that is there.
    pub(super) async fn condition(
        &self,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        condition: &str,
        status: &str,
    ) -> Result<(), String> {
        let object = self.get(GATEWAY_API, kind, namespace, name).await?;
        let lists = ["/status/conditions", "/status/parents/0/conditions", "/status/ancestors/0/conditions"];
        let conditions = lists.iter().find_map(|list| object.pointer(list)?.as_array());
        let found = conditions.into_iter().flatten().find(|found| found["type"] == condition);
        let found = found.ok_or_else(|| format!("{kind} {name} has no condition {condition}"))?;
        if found["status"] == status && found["observedGeneration"] == object["metadata"]["generation"] {
            Ok(())
        } else {
            Err(format!("{kind} {name}: {found}, of generation {}", object["metadata"]["generation"]))
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.addresses.abort();
    }
}

/// Namespace, name and port of each Service that an object refers to.
fn services(object: &Value, namespace: &str) -> Vec<(String, String, u64)> {
    let mut found = Vec::new();
    match object {
        Value::Object(fields) => {
            for (name, value) in fields {
                let references = match (name.as_str(), value) {
                    ("backendRefs", Value::Array(references)) => references.iter().collect(),
                    ("backendRef", reference) => vec![reference],
                    _ => Vec::new(),
                };
                found.extend(references.iter().filter_map(|reference| {
                    let text = |field: &str| reference[field].as_str().map(ToOwned::to_owned);
                    let namespace = text("namespace").unwrap_or_else(|| namespace.to_owned());
                    Some((namespace, text("name")?, reference["port"].as_u64()?))
                }));
                found.extend(services(value, namespace));
            }
        }
        Value::Array(items) => found.extend(items.iter().flat_map(|item| services(item, namespace))),
        _ => {}
    }
    found
}
