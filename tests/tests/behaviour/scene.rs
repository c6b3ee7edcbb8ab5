//! One gateway of the lab with its data plane: an intent goes through the real pipeline, requests through the gateway.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use gateway_modules::{
    InstalledCrds, compile_offline,
    core::{
        capability::Capabilities,
        cluster::{ApplyOptions, Cluster, ClusterOptions, Health},
        compile::Release,
        intent::load::Loader,
        module::Verdict,
        plan::PlanOptions,
    },
};
use gateway_modules_testkit::lab::{
    backends,
    gateways::{self, Gateway, Stand},
    manifests,
    request::{Answer, Get},
};
use kube::Client;
use serde_json::{Value, json};

pub type Shown<T = String> = Result<T, String>;

/// How long a gateway may take to serve what was applied.
const SETTLE: Duration = Duration::from_secs(20);

/// What came of a compilation.
pub enum Compiled {
    Release { release: Box<Release>, accepted: Vec<String> },
    Refused(Vec<String>),
}

pub struct Scene {
    pub gateway: &'static Gateway,
    pub declared: Capabilities,
    pub external: SocketAddr,
    pub internal: SocketAddr,
    client: Client,
    cluster: Cluster,
    crds: InstalledCrds,
}

impl Scene {
    pub async fn new(client: Client, gateway: &'static Gateway) -> Shown<Self> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        backends::install(&client).await.map_err(|error| text(&error))?;
        let cluster = Cluster::new(client.clone(), ClusterOptions::default());
        let crds = InstalledCrds::discover(&cluster.reader()).await.map_err(|error| text(&error))?;
        let registry = gateway_modules::registry().map_err(|error| text(&error))?;
        let module = registry.get(gateway.module).map_err(|error| text(&error))?;
        let declared = gateway_modules::declared(&*module, Some(gateway.version))?;
        let mut addresses = Vec::new();
        for visibility in ["external", "internal"] {
            let found = gateways::addresses(&client, gateway, visibility).await.map_err(|error| text(&error))?;
            addresses.push(found.iter().find(|(name, _)| name == "http").ok_or("no port named http")?.1);
        }
        Ok(Self { gateway, declared, external: addresses[0], internal: addresses[1], client, cluster, crds })
    }

    /// The data plane, and a component with the endpoint's fields laid over the usual ones.
    pub fn documents(&self, endpoint: &Value) -> Vec<Value> {
        let Stand::Runs { gateway, .. } = &self.gateway.stand else { return Vec::new() };
        let visibility = |domain: &str, exposure: &str| {
            json!({"namespace": "gateways", "domain": domain, "exposure": exposure,
                "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]})
        };
        let plane = json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1",
            "kind": "DataPlane",
            "metadata": {"name": "lab"},
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
    pub fn compile(&self, endpoint: &Value) -> Shown<Compiled> {
        let mut accepted: BTreeSet<String> = BTreeSet::new();
        loop {
            let mut endpoint = endpoint.clone();
            endpoint["accept"] = json!(accepted);
            let mut loader = Loader::new();
            for (index, document) in self.documents(&endpoint).iter().enumerate() {
                loader = loader.text(&format!("{index}.json"), &document.to_string());
            }
            let intent = loader.finish().map_err(|error| error.to_string())?.intent;
            let registry = gateway_modules::registry().map_err(|error| error.to_string())?;
            let planes = compile_offline(&intent, &registry, &self.crds).map_err(|error| error.to_string())?;
            let compiled = planes.into_iter().next().ok_or("no plane")?.compiled;
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
    pub async fn apply(&self, endpoint: &Value) -> Shown<Vec<String>> {
        match self.compile(endpoint)? {
            Compiled::Refused(reasons) => Err(format!("refused: {}", reasons.join("; "))),
            Compiled::Release { release, accepted } => {
                self.apply_release(&release).await?;
                Ok(accepted)
            }
        }
    }

    async fn apply_release(&self, release: &Release) -> Shown<()> {
        let plan = self.cluster.plan(release, PlanOptions::default()).await.map_err(|error| error.to_string())?;
        let options = ApplyOptions::default().with_gate_timeout(SETTLE);
        let outcome = self.cluster.apply_to_end(&plan, options).await.map_err(|error| error.to_string())?;
        if !outcome.is_complete() {
            return Err(format!("blocked: {:?}", outcome.blocked));
        }
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

    /// Waits until the external address serves the host with anything but 404.
    pub async fn served(&self, host: &str) -> Shown<()> {
        self.served_at(host, "/").await
    }

    pub async fn served_at(&self, host: &str, path: &str) -> Shown<()> {
        let start = Instant::now();
        loop {
            let answer = self.get(host, path).send().await.map_err(|error| error.to_string())?;
            if answer.status != 404 {
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

    pub fn get(&self, host: &str, path: &str) -> Get {
        Get::new(self.external, host, path)
    }

    /// The kinds of objects with the project's label in the components' namespace.
    pub async fn routes(&self) -> Shown<usize> {
        let api = manifests::api(&self.client, "gateway.networking.k8s.io/v1", "HTTPRoute", Some(backends::NAMESPACE));
        Ok(api.list(&kube::api::ListParams::default()).await.map_err(|error| error.to_string())?.items.len())
    }

    /// Kills the gateway's pods, without notice.
    pub async fn kill_gateway(&self) -> Shown<usize> {
        let Stand::Runs { deployment: (namespace, _), .. } = &self.gateway.stand else { return Ok(0) };
        let api = manifests::api(&self.client, "v1", "Pod", Some(namespace));
        let pods = api.list(&kube::api::ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let now = kube::api::DeleteParams { grace_period_seconds: Some(0), ..Default::default() };
        for pod in &pods {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            api.delete(name, &now).await.map_err(|error| error.to_string())?;
        }
        Ok(pods.len())
    }

    /// Takes everything of the plane away.
    pub async fn clear(&self) -> Shown<()> {
        for plan in self.cluster.plan_delete("lab").await.map_err(|error| error.to_string())? {
            let done = self.cluster.apply_to_end(&plan, ApplyOptions::default()).await;
            done.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// How many requests with a key the echo server has seen, asked past the gateway.
    pub async fn count(&self, service: &str, key: &str) -> Shown<u64> {
        let api = manifests::api(&self.client, "v1", "Service", Some(backends::NAMESPACE));
        let service = api.get(service).await.map_err(|error| error.to_string())?;
        let address = service.data.pointer("/spec/clusterIP").and_then(Value::as_str).unwrap_or_default();
        let address = address.parse().map_err(|_| "the Service has no address")?;
        let answer = Get::new(SocketAddr::new(address, 8080), "backend", &format!("/-/count/{key}")).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        String::from_utf8_lossy(&answer.body).parse().map_err(|_| "no count".to_owned())
    }
}

pub async fn send(get: &Get) -> Shown<Answer> {
    get.send().await.map_err(|error| error.to_string())
}

/// An expectation that says what was seen instead.
pub fn expect(holds: bool, what: &str, seen: &dyn std::fmt::Debug) -> Shown<()> {
    if holds { Ok(()) } else { Err(format!("{what}; seen: {seen:?}")) }
}
