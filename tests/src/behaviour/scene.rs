//! One gateway of the lab with its data plane: an intent goes through the real pipeline, requests through the gateway.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use gateway_modules_core::{
    capability::{Capabilities, names::project::LISTENER_HTTPS},
    channel::Channel,
    cluster::{ApplyOptions, Cluster, ClusterOptions, Health},
    compile::{CompileInput, Release, compile},
    intent::load::Loader,
    module::{GatewayModule, InstalledDefinitions, ModuleVersion, Verdict},
    plan::PlanOptions,
    resolve::resolve,
};
use kube::{
    Client,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::lab::{
    backends, certificates,
    gateways::{self, Gateway, Stand},
    manifests,
    request::{Answer, Get, Trust},
};

pub(super) type Shown<T = String> = Result<T, String>;

/// How long a gateway may take to serve what was applied: a second or two, and ten times that on a machine that does much
/// else. Limits end a suite that hangs; none of them is a finding about a gateway.
pub(super) const SETTLE: Duration = Duration::from_secs(120);

/// How long a refusal may be that of a route that the gateway does not know yet.
const REFUSED: Duration = Duration::from_secs(4);

/// How long pods may take to come or to go; 30 s is what Kubernetes gives them to end.
const RESCALE: Duration = Duration::from_secs(180);

/// What came of a compilation.
pub(super) enum Compiled {
    Release { release: Box<Release>, accepted: Vec<String> },
    Refused(Vec<String>),
}

pub(super) struct Scene {
    pub(super) gateway: &'static Gateway,
    pub(super) declared: Capabilities,
    pub(super) external: SocketAddr,
    pub(super) internal: SocketAddr,
    /// The external address, where it has an encrypted port.
    pub(super) encrypted: Option<SocketAddr>,
    module: Arc<dyn GatewayModule>,
    client: Client,
    cluster: Cluster,
    channel: Channel,
}

impl Scene {
    /// Starts the backends, and applies a first endpoint: some gateways have addresses only when there is a data plane.
    pub(super) async fn new(client: Client, module: Arc<dyn GatewayModule>, gateway: &'static Gateway) -> Shown<Self> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        backends::install(&client).await.map_err(|error| text(&error))?;
        let cluster = Cluster::new(client.clone(), ClusterOptions::default());
        let definitions = InstalledDefinitions::read(&cluster.reader()).await.map_err(|error| text(&error))?;
        let channel = definitions.channel.value.unwrap_or_default();
        let mut declared = module.declared(&ModuleVersion::new(gateway.version)?);
        if channel == Channel::Standard {
            declared.retain_standard_channel();
        }
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let (external, internal, encrypted) = (nowhere, nowhere, None);
        let mut scene = Self { gateway, declared, external, internal, encrypted, module, client, cluster, channel };
        scene.apply(&json!({"hostnames": ["first.lab.example.com"]})).await?;
        scene.external = scene.address("external", "http").await?;
        scene.internal = scene.address("internal", "http").await?;
        scene.encrypted = scene.address("external", "https").await.ok();
        Ok(scene)
    }

    /// A client that trusts the lab's authority.
    pub(super) async fn trust(&self) -> Shown<Trust> {
        let authority = certificates::authority(&self.client, certificates::AUTHORITY).await;
        Trust::of(&authority.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
    }

    /// A client that trusts another.
    pub(super) async fn stranger(&self) -> Shown<Trust> {
        let authority = certificates::authority(&self.client, certificates::STRANGER).await;
        Trust::of(&authority.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
    }

    async fn address(&self, visibility: &str, port: &str) -> Shown<SocketAddr> {
        let found = gateways::addresses(&self.client, self.gateway, visibility).await;
        let found = found.map_err(|error| error.to_string())?;
        // Envoy Gateway writes the port's number after the listener's name.
        let named = |name: &str| name.strip_prefix(port).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        Ok(found.iter().find(|(name, _)| named(name)).ok_or_else(|| format!("no port named {port}"))?.1)
    }

    /// The data plane, and a component with the endpoint's fields laid over the usual ones.
    pub(super) fn documents(&self, endpoint: &Value) -> Vec<Value> {
        let Stand::Runs { gateway, .. } = &self.gateway.stand else { return Vec::new() };
        let visibility = |domain: &str, exposure: &str| {
            let mut listeners = vec![json!({"name": "http", "protocol": "HTTP", "port": 80})];
            if exposure == "Public" && self.declared.has(&LISTENER_HTTPS) {
                let certificates = json!([{"name": certificates::LISTENER}]);
                listeners.push(
                    json!({"name": "https", "protocol": "HTTPS", "port": 443, "tls": {"certificates": certificates}}),
                );
            }
            json!({"namespace": certificates::GATEWAYS, "domain": domain, "exposure": exposure, "listeners": listeners})
        };
        let plane = json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1",
            "kind": "DataPlane",
            "metadata": {"name": gateways::PLANE},
            "spec": {"gateway": gateway(), "visibilities": {
                "external": visibility("lab.example.com", "Public"),
                "internal": visibility("internal.example.com", "Cluster"),
            }},
        });
        let mut usual = json!({"name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"]});
        for (field, value) in endpoint.as_object().into_iter().flatten() {
            usual[field] = value.clone();
        }
        let component = json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1",
            "kind": "Component",
            "metadata": {"name": "api", "namespace": backends::NAMESPACE},
            "spec": {"endpoints": [usual]},
        });
        vec![plane, component]
    }

    /// Compiles; differences are accepted by name, as an author would who has read them, and told.
    pub(super) fn compile(&self, endpoint: &Value) -> Shown<Compiled> {
        let mut accepted: BTreeSet<String> = BTreeSet::new();
        loop {
            let mut endpoint = endpoint.clone();
            endpoint["accept"] = json!(accepted);
            let mut loader = Loader::new();
            for (index, document) in self.documents(&endpoint).iter().enumerate() {
                loader = loader.text(&format!("{index}.json"), &document.to_string());
            }
            let intent = loader.finish().map_err(|error| error.to_string())?.intent;
            let planes = resolve(&intent).map_err(|error| error.to_string())?;
            let plane = planes.first().ok_or("no plane")?;
            let compiled = compile(&CompileInput::offline(&intent, plane, &*self.module, self.channel)?);
            if let Some(release) = compiled.release {
                let accepted = accepted.into_iter().collect();
                return Ok(Compiled::Release { release: Box::new(release), accepted });
            }
            let outcomes = || compiled.report.entries.iter().flat_map(|entry| &entry.outcomes);
            let refusals: Vec<String> = outcomes()
                .filter_map(|outcome| match &outcome.verdict {
                    Verdict::Unsupported { reason, .. } => Some(reason.clone()),
                    _ => None,
                })
                .collect();
            let before = accepted.len();
            for outcome in outcomes() {
                if let Verdict::Approximate { differences } = &outcome.verdict {
                    accepted.extend(differences.iter().map(|difference| difference.name.clone()));
                }
            }
            if !refusals.is_empty() {
                return Ok(Compiled::Refused(refusals));
            }
            if accepted.len() == before {
                return Err(format!("no release and no refusal: {}", compiled.diagnostics));
            }
        }
    }

    /// Compiles and applies, and waits until the controller says that all is ready.
    pub(super) async fn apply(&self, endpoint: &Value) -> Shown<Vec<String>> {
        match self.compile(endpoint)? {
            Compiled::Refused(reasons) => Err(format!("refused: {}", reasons.join("; "))),
            Compiled::Release { release, accepted } => {
                self.apply_release(&release).await?;
                Ok(accepted)
            }
        }
    }

    /// Compiles and applies, and does not look at what the controller says.
    pub(super) async fn write(&self, endpoint: &Value) -> Shown<()> {
        match self.compile(endpoint)? {
            Compiled::Refused(reasons) => Err(format!("refused: {}", reasons.join("; "))),
            Compiled::Release { release, .. } => self.write_release(&release).await,
        }
    }

    async fn write_release(&self, release: &Release) -> Shown<()> {
        let plan = self.cluster.plan(release, PlanOptions::default()).await.map_err(|error| error.to_string())?;
        let options = ApplyOptions::default().with_gate_timeout(SETTLE);
        let outcome = self.cluster.apply_to_end(&plan, options).await.map_err(|error| error.to_string())?;
        if !outcome.is_complete() {
            return Err(format!("blocked: {:?}", outcome.blocked));
        }
        Ok(())
    }

    async fn apply_release(&self, release: &Release) -> Shown<()> {
        self.write_release(release).await?;
        let start = Instant::now();
        loop {
            let status = self.cluster.status(release).await.map_err(|error| error.to_string())?;
            if status.health == Health::Ready {
                return Ok(());
            }
            if start.elapsed() > SETTLE {
                return Err(format!("not ready: {:?}", status.reasons));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What a request gets that is for no route.
    pub(super) fn unknown(&self) -> u16 {
        if let Stand::Runs { unknown, .. } = self.gateway.stand { unknown } else { 404 }
    }

    /// Waits until the external address serves the host.
    pub(super) async fn served(&self, host: &str) -> Shown<()> {
        self.served_at(host, "/").await
    }

    pub(super) async fn served_at(&self, host: &str, path: &str) -> Shown<()> {
        let start = Instant::now();
        loop {
            let answer = self.get(host, path).send().await.map_err(|error| error.to_string())?;
            // Where an unknown route gets the answer of a refusal, only time tells them apart.
            let refused = answer.status == self.unknown() && answer.status != 404;
            if answer.status != 404 && !(refused && start.elapsed() < REFUSED) {
                if let Stand::Runs { settles, .. } = self.gateway.stand {
                    tokio::time::sleep(settles).await;
                }
                return Ok(());
            }
            if start.elapsed() > SETTLE {
                return Err(format!("{host} answers 404 after {} s", SETTLE.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn get(&self, host: &str, path: &str) -> Get {
        Get::new(self.external, host, path)
    }

    /// The kinds of objects with the project's label in the components' namespace.
    pub(super) async fn routes(&self) -> Shown<usize> {
        let api = manifests::api(&self.client, "gateway.networking.k8s.io/v1", "HTTPRoute", Some(backends::NAMESPACE));
        Ok(api.list(&kube::api::ListParams::default()).await.map_err(|error| error.to_string())?.items.len())
    }

    /// Kills the gateway's pods, without notice.
    pub(super) async fn kill_gateway(&self) -> Shown<usize> {
        let Stand::Runs { proxies: (namespace, selector), .. } = &self.gateway.stand else { return Ok(0) };
        let api = manifests::api(&self.client, "v1", "Pod", Some(namespace));
        let pods = api
            .list(&kube::api::ListParams::default().labels(selector))
            .await
            .map_err(|error| error.to_string())?
            .items;
        let now = kube::api::DeleteParams { grace_period_seconds: Some(0), ..Default::default() };
        for pod in &pods {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            api.delete(name, &now).await.map_err(|error| error.to_string())?;
        }
        Ok(pods.len())
    }

    /// Scales a Deployment, and waits until as many pods are ready, and no others are left.
    pub(super) async fn scale(&self, namespace: &str, name: &str, replicas: u32) -> Shown<()> {
        let text = |error: kube::Error| error.to_string();
        let api = manifests::api(&self.client, "apps/v1", "Deployment", Some(namespace));
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        api.patch(name, &PatchParams::default(), &patch).await.map_err(text)?;
        let start = Instant::now();
        loop {
            let found = api.get(name).await.map_err(text)?;
            let number = |pointer: &str| found.data.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
            let observed = i64::try_from(number("/status/observedGeneration")).ok();
            let ready = number("/status/readyReplicas") == u64::from(replicas);
            let seen = observed == found.metadata.generation && number("/status/replicas") == u64::from(replicas);
            if ready && seen {
                return Ok(());
            }
            if start.elapsed() > RESCALE {
                return Err(format!("{namespace}/{name} has not {replicas} replicas after {} s", RESCALE.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A Secret.
    pub(super) async fn secret(&self, namespace: &str, name: &str) -> Shown<DynamicObject> {
        let api = manifests::api(&self.client, "v1", "Secret", Some(namespace));
        api.get(name).await.map_err(|error| error.to_string())
    }

    /// Puts other content into a Secret.
    pub(super) async fn replace_secret(&self, secret: &DynamicObject, content: Value) -> Shown<()> {
        let api = manifests::api(&self.client, "v1", "Secret", secret.metadata.namespace.as_deref());
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let done = api.patch(name, &PatchParams::default(), &Patch::Merge(content)).await;
        done.map(drop).map_err(|error| error.to_string())
    }

    /// Takes everything of the plane away.
    pub(super) async fn clear(&self) -> Shown<()> {
        for plan in self.cluster.plan_delete("lab").await.map_err(|error| error.to_string())? {
            let done = self.cluster.apply_to_end(&plan, ApplyOptions::default()).await;
            done.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// How many requests with a key the echo server has seen, asked past the gateway.
    pub(super) async fn count(&self, service: &str, key: &str) -> Shown<u64> {
        let answer = self.ask(service, &format!("/-/count/{key}"), Vec::new()).await?;
        String::from_utf8_lossy(&answer.body).parse().map_err(|_| "no count".to_owned())
    }

    /// Asks a backend past the gateway.
    pub(super) async fn ask(&self, service: &str, path: &str, body: Vec<u8>) -> Shown<Answer> {
        let api = manifests::api(&self.client, "v1", "Service", Some(backends::NAMESPACE));
        let service = api.get(service).await.map_err(|error| error.to_string())?;
        let address = service.data.pointer("/spec/clusterIP").and_then(Value::as_str).unwrap_or_default();
        let address = address.parse().map_err(|_| "the Service has no address")?;
        send(&Get::new(SocketAddr::new(address, 8080), "backend", path).body(body)).await
    }

    /// Conditions of the route of a host, as `Accepted=True`, with the reason of those that are not true.
    pub(super) async fn conditions(&self, host: &str) -> Shown<Vec<String>> {
        let api = manifests::api(&self.client, "gateway.networking.k8s.io/v1", "HTTPRoute", Some(backends::NAMESPACE));
        let routes = api.list(&kube::api::ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let route = routes.iter().find(|route| route.data["spec"]["hostnames"] == json!([host]));
        let conditions = route.and_then(|route| route.data.pointer("/status/parents/0/conditions")?.as_array());
        let told = |condition: &Value| {
            let text = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
            let reason = if text("status") == "True" { String::new() } else { format!(" ({})", text("reason")) };
            format!("{}={}{reason}", text("type"), text("status"))
        };
        Ok(conditions.into_iter().flatten().map(told).collect())
    }
}

tokio::task_local! {
    /// How long the answers of the current line took.
    pub(super) static TIMES: RefCell<Vec<Duration>>;
    /// Whether the last answer was that of a gateway which has no way to a backend yet.
    pub(super) static CLOSED: Cell<bool>;
}

pub(super) async fn send(get: &Get) -> Shown<Answer> {
    let answer = get.send().await.map_err(|error| error.to_string())?;
    // Outside a line nobody asks.
    let _ = TIMES.try_with(|times| times.borrow_mut().push(answer.took));
    let closed = [404, 500, 503].contains(&answer.status) && !answer.reached_backend();
    let _ = CLOSED.try_with(|last| last.set(closed));
    Ok(answer)
}

/// An expectation that says what was seen instead.
pub(super) fn expect(holds: bool, what: &str, seen: &dyn std::fmt::Debug) -> Shown<()> {
    if holds { Ok(()) } else { Err(format!("{what}; seen: {seen:?}")) }
}
