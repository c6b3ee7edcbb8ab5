//! One gateway of the lab with its data plane: an intent goes through the real pipeline, requests through the gateway.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_STANDARD};
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
    api::{Api, DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::protocols;
use crate::lab::{
    backends, certificates,
    gateways::{self, Gateway, Services, Stand},
    manifests,
    request::{Answer, Get, Trust},
};

pub(super) type Shown<T = String> = Result<T, String>;

/// How long a gateway may take to serve what was applied: a second or two, and ten times that on a machine that does much
/// else. Limits end a suite that hangs; none of them is a finding about a gateway.
pub(super) const SETTLE: Duration = Duration::from_secs(120);

/// How long an answer is waited for that may not come yet.
const ANSWER: Duration = Duration::from_secs(5);

/// How long an apply waits for a word that a broken gateway does not give.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

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
    written: Mutex<Written>,
}

/// What was applied last.
struct Written {
    /// The endpoint's name.
    name: String,
    /// How proxies speak to its backends ([`BACKENDS`]).
    backends: Value,
    /// How long what has changed takes.
    settles: Duration,
    /// When it is in force, as far as time tells.
    in_force: Instant,
}

/// Fields of an endpoint that say how proxies speak to its backends.
const BACKENDS: [&str; 8] = [
    "/type",
    "/policies/circuitBreaking",
    "/policies/connectionLimit",
    "/policies/loadBalancing",
    "/policies/sessionAffinity",
    "/policies/healthCheck",
    "/policies/outlierDetection",
    "/policies/backendTls",
];

impl Scene {
    /// Starts the backends, and applies a first endpoint: some gateways have addresses only when there is a data plane.
    pub(super) async fn new(client: Client, module: Arc<dyn GatewayModule>, gateway: &'static Gateway) -> Shown<Self> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        backends::install(&client).await.map_err(|error| text(&error))?;
        let cluster = Cluster::new(client.clone(), ClusterOptions::default());
        let definitions = InstalledDefinitions::read(&cluster.reader()).await.map_err(|error| text(&error))?;
        let channel = definitions.channel.value.unwrap_or_default();
        let mut declared = module.declared(&ModuleVersion::new(gateway.version)?);
        if let Stand::Runs { gateway, .. } = &gateway.stand
            && let Some(parameters) = gateway()["parameters"].as_object()
        {
            declared.extend(module.claimed(parameters));
        }
        if channel == Channel::Standard {
            declared.retain_standard_channel();
        }
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let (external, internal, encrypted) = (nowhere, nowhere, None);
        let written =
            Written { name: String::new(), backends: Value::Null, settles: Duration::ZERO, in_force: Instant::now() };
        let written = Mutex::new(written);
        let mut scene =
            Self { gateway, declared, external, internal, encrypted, module, client, cluster, channel, written };
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

    /// A client that trusts the lab's authority and shows one of
    /// [`CLIENT_CERTIFICATES`](certificates::CLIENT_CERTIFICATES).
    pub(super) async fn client(&self, certificate: &str) -> Shown<Trust> {
        let authority = certificates::authority(&self.client, certificates::AUTHORITY).await;
        let authority = authority.map_err(|error| error.to_string())?;
        let secret = self.secret(backends::NAMESPACE, certificate).await?;
        let part = |name: &str| {
            let encoded = secret.data.pointer(&format!("/data/{name}")).and_then(Value::as_str);
            let bytes = BASE64_STANDARD.decode(encoded.unwrap_or_default()).map_err(|error| error.to_string())?;
            String::from_utf8(bytes).map_err(|error| error.to_string())
        };
        Trust::with_certificate(&authority, &part("tls.crt")?, &part("tls.key")?).map_err(|error| error.to_string())
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

    /// The external address with another port.
    pub(super) fn external_port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.external.ip(), port)
    }

    /// The data plane, and a component with the endpoint's fields laid over the usual ones. `listeners` among them are no
    /// field of an endpoint: the external visibility has these instead of its usual ones.
    pub(super) fn documents(&self, endpoint: &Value) -> Vec<Value> {
        let Stand::Runs { gateway, .. } = &self.gateway.stand else { return Vec::new() };
        let visibility = |domain: &str, exposure: &str| {
            let mut listeners = vec![json!({"name": "http", "protocol": "HTTP", "port": 80})];
            if exposure == "Public" && self.declared.has(&LISTENER_HTTPS) {
                listeners.push(protocols::https());
            }
            json!({"namespace": certificates::GATEWAYS, "domain": domain, "exposure": exposure, "listeners": listeners})
        };
        let mut plane = json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1",
            "kind": "DataPlane",
            "metadata": {"name": gateways::PLANE},
            // Where the Gateway itself is to speak to a collector.
            "spec": {"gateway": gateway(),
                "allowedReferences": [{"from": certificates::GATEWAYS, "to": backends::NAMESPACE}], "visibilities": {
                "external": visibility("lab.example.com", "Public"),
                "internal": visibility("internal.example.com", "Cluster"),
            }},
        });
        let name = endpoint_name(endpoint);
        let mut usual = json!({"name": name, "type": "HTTP", "port": 8080, "visibilities": ["external"]});
        for (field, value) in endpoint.as_object().into_iter().flatten() {
            if field == "listeners" {
                plane["spec"]["visibilities"]["external"]["listeners"] = value.clone();
            } else {
                usual[field] = value.clone();
            }
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
                self.changes(endpoint);
                self.apply_release(&release).await?;
                Ok(accepted)
            }
        }
    }

    /// Compiles and applies, and does not look at what the controller says; what it is to acknowledge is not waited for long.
    pub(super) async fn write(&self, endpoint: &Value) -> Shown<()> {
        match self.compile(endpoint)? {
            Compiled::Refused(reasons) => Err(format!("refused: {}", reasons.join("; "))),
            Compiled::Release { release, .. } => {
                self.changes(endpoint);
                self.write_release(&release, UNACKNOWLEDGED).await
            }
        }
    }

    /// Looks at what is going to be another than before: what proxies do with backends that they have already may take them longer.
    fn changes(&self, endpoint: &Value) {
        let Stand::Runs { settles, .. } = self.gateway.stand else { return };
        let name = endpoint_name(endpoint);
        let backends: Value = BACKENDS.iter().map(|pointer| endpoint.pointer(pointer).cloned()).collect();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = written.name == name && written.backends != backends;
        written.settles = if changed { settles.backends } else { settles.usually };
        (written.name, written.backends) = (name.to_owned(), backends);
    }

    fn settles_from_now(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.in_force = Instant::now() + written.settles;
    }

    async fn write_release(&self, release: &Release, gate: Duration) -> Shown<()> {
        let plan = self.cluster.plan(release, PlanOptions::default()).await.map_err(|error| error.to_string())?;
        let options = ApplyOptions::default().with_gate_timeout(gate);
        let outcome = self.cluster.apply_to_end(&plan, options).await.map_err(|error| error.to_string())?;
        if !outcome.is_complete() {
            return Err(format!("blocked: {:?}", outcome.blocked));
        }
        self.settles_from_now();
        Ok(())
    }

    async fn apply_release(&self, release: &Release) -> Shown<()> {
        self.write_release(release, SETTLE).await?;
        let start = Instant::now();
        loop {
            let status = self.cluster.status(release).await.map_err(|error| error.to_string())?;
            if status.health == Health::Ready {
                self.settles_from_now();
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
            let answer = tokio::time::timeout(ANSWER, self.get(host, path).send()).await;
            let status = answer.ok().and_then(Result::ok).map(|answer| answer.status);
            let waits = match status {
                // A proxy that has just been made may not listen yet.
                None | Some(404) => true,
                // Where an unknown route gets the answer of a refusal, only time tells them apart.
                Some(status) => status == self.unknown() && start.elapsed() < REFUSED,
            };
            if !waits {
                let in_force = self.written.lock().unwrap_or_else(PoisonError::into_inner).in_force;
                tokio::time::sleep_until(in_force.into()).await;
                return Ok(());
            }
            if start.elapsed() > SETTLE {
                let seen = status.map_or_else(|| "nothing".to_owned(), |status| status.to_string());
                return Err(format!("{host} answers {seen} after {} s", SETTLE.as_secs()));
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
        Ok(api.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items.len())
    }

    /// Objects of a kind with the label of the gateway's proxies, and where they are.
    async fn of_proxies(&self, version: &str, kind: &str) -> Shown<(Api<DynamicObject>, Vec<DynamicObject>)> {
        let Stand::Runs { proxies: (namespace, selector), .. } = &self.gateway.stand else {
            return Err("the gateway does not run".to_owned());
        };
        let api = manifests::api(&self.client, version, kind, Some(namespace));
        let found = api.list(&ListParams::default().labels(selector)).await.map_err(|error| error.to_string())?;
        Ok((api, found.items))
    }

    /// What all containers of the gateway's proxies have written in the last two minutes.
    pub(super) async fn logs(&self) -> Shown {
        let (_, pods) = self.of_proxies("v1", "Pod").await?;
        let mut all = String::new();
        for pod in &pods {
            let (namespace, name) = (pod.metadata.namespace.as_deref(), pod.metadata.name.as_deref());
            let place =
                format!("/api/v1/namespaces/{}/pods/{}", namespace.unwrap_or_default(), name.unwrap_or_default());
            let containers = pod.data.pointer("/spec/containers").and_then(Value::as_array);
            for container in containers.into_iter().flatten().filter_map(|container| container["name"].as_str()) {
                let request = http::Request::get(format!("{place}/log?container={container}&sinceSeconds=120"));
                let request = request.body(Vec::new()).map_err(|error| error.to_string())?;
                match self.client.request_text(request).await {
                    Ok(text) => all += &text,
                    // Not started yet, or gone by now: a replica of another step.
                    Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        Ok(all)
    }

    /// Scales the gateway's proxies, and gives the external port 80 of each when there are so many and no others are left. Where
    /// they are not known, that is the external address.
    pub(super) async fn replicas(&self, replicas: usize) -> Shown<Vec<SocketAddr>> {
        if matches!(self.gateway.stand, Stand::Runs { services: Services::InStatus(_), .. }) {
            return Ok(vec![self.external]);
        }
        let (api, deployments) = self.of_proxies("apps/v1", "Deployment").await?;
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        for deployment in &deployments {
            let name = deployment.metadata.name.as_deref().unwrap_or_default();
            api.patch(name, &PatchParams::default(), &patch).await.map_err(|error| error.to_string())?;
        }
        let start = Instant::now();
        loop {
            let (_, pods) = self.of_proxies("v1", "Pod").await?;
            let found = gateways::replicas(&self.client, self.gateway, "external", 80).await;
            let found = found.map_err(|error| error.to_string())?;
            if found.len() == replicas && pods.len() == replicas * deployments.len() {
                return Ok(found);
            }
            expect(start.elapsed() < RESCALE, &format!("{replicas} proxies"), &found)?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until each of these proxies serves the host: one that has just come may not know its route yet.
    pub(super) async fn served_by_all(&self, replicas: &[SocketAddr], host: &str) -> Shown<()> {
        for replica in replicas {
            let (get, start) = (Get::new(*replica, host, "/"), Instant::now());
            while get.send().await.map_or(0, |answer| answer.status) != 200 {
                expect(start.elapsed() < SETTLE, "the other replica serves the route", replica)?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// Kills the gateway's pods, without notice.
    pub(super) async fn kill_gateway(&self) -> Shown<usize> {
        let (api, pods) = self.of_proxies("v1", "Pod").await?;
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
        let routes = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
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

/// Tries until it works, where a listener may not be there yet.
pub(super) async fn eventually<T, F: Future<Output = Shown<T>>>(attempt: impl Fn() -> F) -> Shown<T> {
    let start = Instant::now();
    loop {
        let tried = tokio::time::timeout(ANSWER, attempt()).await.map_err(|_| "no answer in time".to_owned());
        match tried.and_then(|tried| tried) {
            Err(error) if start.elapsed() > SETTLE => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            shown => return shown,
        }
    }
}

/// An endpoint is named by the first label of its host: each case has a route of its own, whose backends are new to the proxies.
fn endpoint_name(endpoint: &Value) -> &str {
    let host = endpoint.pointer("/hostnames/0").and_then(Value::as_str);
    host.and_then(|host| host.split('.').next()).unwrap_or("api")
}

/// A key that the backends have not counted yet, also when they have seen another run of the suite.
pub(super) fn fresh(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{name}-{now}")
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
