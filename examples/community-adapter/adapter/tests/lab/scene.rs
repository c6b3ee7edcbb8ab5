//! A data plane on the lab's gateway: an intent goes through the real pipeline, requests through the gateway.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use gateway_modules::{
    InstalledCrds, Registry, compile_offline,
    core::{
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

/// How long the gateway may take to serve what was applied.
const SETTLE: Duration = Duration::from_secs(60);

/// One gateway of the lab.
pub struct Scene {
    gateway: &'static Gateway,
    client: Client,
    cluster: Cluster,
    crds: InstalledCrds,
    registry: Registry,
    external: Option<SocketAddr>,
}

impl Scene {
    pub async fn new(client: Client, gateway: &'static Gateway) -> Shown<Self> {
        let cluster = Cluster::new(client.clone(), ClusterOptions::default());
        let crds = InstalledCrds::discover(&cluster.reader()).await.map_err(|error| error.to_string())?;
        let mut registry = Registry::new();
        gateway_module_envoy_gateway::register(&mut registry).map_err(|error| error.to_string())?;
        Ok(Self { gateway, client, cluster, crds, registry, external: None })
    }

    pub async fn manifest(&self, object: Value) -> Shown<()> {
        manifests::apply_one(&self.client, object).await.map_err(|error| error.to_string())
    }

    fn documents(&self, endpoint: &Value) -> Vec<Value> {
        let Stand::Runs { gateway, .. } = &self.gateway.stand else { return Vec::new() };
        let visibility = |domain: &str, exposure: &str| {
            json!({"namespace": "gateways", "domain": domain, "exposure": exposure,
                "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]})
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

    /// Compiles; differences are accepted by name, as an author would who has read them.
    fn compile(&self, endpoint: &Value) -> Shown<(Release, BTreeSet<String>)> {
        let mut accepted: BTreeSet<String> = BTreeSet::new();
        loop {
            let mut endpoint = endpoint.clone();
            endpoint["accept"] = json!(accepted);
            let mut loader = Loader::new();
            for (index, document) in self.documents(&endpoint).iter().enumerate() {
                loader = loader.text(&format!("{index}.json"), &document.to_string());
            }
            let intent = loader.finish().map_err(|error| error.to_string())?.intent;
            let planes = compile_offline(&intent, &self.registry, &self.crds).map_err(|error| error.to_string())?;
            let compiled = planes.into_iter().next().ok_or("no plane")?.compiled;
            if let Some(release) = compiled.release {
                return Ok((release, accepted));
            }
            let before = accepted.len();
            for outcome in compiled.report.entries.iter().flat_map(|entry| &entry.outcomes) {
                if let Verdict::Approximate { differences } = &outcome.verdict {
                    accepted.extend(differences.iter().map(|difference| difference.name.clone()));
                }
            }
            if accepted.len() == before {
                return Err(format!("refused: {}", compiled.diagnostics));
            }
        }
    }

    /// Compiles and applies, and waits until the controller says that all is ready and the host is served.
    pub async fn apply(&mut self, host: &str, path: &str, endpoint: &Value) -> Shown<BTreeSet<String>> {
        let (release, accepted) = self.compile(endpoint)?;
        let plan = self.cluster.plan(&release, PlanOptions::default()).await.map_err(|error| error.to_string())?;
        let options = ApplyOptions::default().with_gate_timeout(SETTLE);
        let outcome = self.cluster.apply_to_end(&plan, options).await.map_err(|error| error.to_string())?;
        if !outcome.is_complete() {
            return Err(format!("blocked: {:?}", outcome.blocked));
        }
        let start = Instant::now();
        loop {
            let status = self.cluster.status(&release).await.map_err(|error| error.to_string())?;
            if status.health == Health::Ready {
                break;
            }
            if start.elapsed() > SETTLE {
                return Err(format!("not ready: {:?}", status.reasons));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if self.external.is_none() {
            let found = gateways::addresses(&self.client, self.gateway, "external").await;
            let found = found.map_err(|error| error.to_string())?;
            self.external = Some(found.first().ok_or("the Service has no port")?.1);
        }
        loop {
            if let Ok(answer) = self.get(host, path)?.send().await
                && answer.status != 404
            {
                break;
            }
            if start.elapsed() > SETTLE {
                return Err(format!("{host} is not served after {} s", SETTLE.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if let Stand::Runs { settles, .. } = self.gateway.stand {
            tokio::time::sleep(settles.usually).await;
        }
        Ok(accepted)
    }

    pub fn get(&self, host: &str, path: &str) -> Shown<Get> {
        Ok(Get::new(self.external.ok_or("no address yet")?, host, path))
    }

    /// Type of the Service of a visibility.
    pub async fn service_type(&self, visibility: &str) -> Shown<String> {
        let api = manifests::api(&self.client, "v1", "Service", Some("envoy-gateway-system"));
        let label = "gateway.envoyproxy.io/owning-gateway-name";
        let list =
            api.list(&kube::api::ListParams::default().labels(label)).await.map_err(|error| error.to_string())?;
        // The name of a Gateway has a hash at its end.
        let start = format!("{}-{visibility}-", gateways::PLANE);
        let owner = |service: &kube::api::DynamicObject| service.metadata.labels.as_ref()?.get(label).cloned();
        let own = |service: &&kube::api::DynamicObject| owner(service).is_some_and(|name| name.starts_with(&start));
        let service = list.items.iter().find(own).ok_or_else(|| format!("no Service of {visibility}"))?;
        Ok(service.data["spec"]["type"].as_str().unwrap_or_default().to_owned())
    }

    /// Takes everything of the plane away.
    pub async fn clear(&self) -> Shown<()> {
        for plan in self.cluster.plan_delete(gateways::PLANE).await.map_err(|error| error.to_string())? {
            let done = self.cluster.apply_to_end(&plan, ApplyOptions::default()).await;
            done.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

pub async fn send(get: &Get) -> Shown<Answer> {
    get.send().await.map_err(|error| error.to_string())
}

/// An expectation that says what was seen instead.
pub fn expect(holds: bool, what: &str, seen: &dyn std::fmt::Debug) -> Shown<()> {
    if holds { Ok(()) } else { Err(format!("{what}; seen: {seen:?}")) }
}
