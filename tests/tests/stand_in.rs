//! The stand-in says what kgateway says, when kgateway says it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use gateway_modules_testkit::{
    Channel, ControlPlane, Options, StandIn, StandInOptions, crds, create_namespace, schemas_or_explain,
};
use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

struct Cluster {
    client: Client,
}

impl Cluster {
    fn api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), "team", &resource)
    }

    fn of(&self, kind: &str) -> Api<DynamicObject> {
        match kind {
            "Service" => self.api("", "v1", kind),
            "TrafficPolicy" => self.api("gateway.kgateway.dev", "v1alpha1", kind),
            _ => self.api("gateway.networking.k8s.io", "v1", kind),
        }
    }

    async fn apply(&self, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let kind = object.types.clone().unwrap().kind;
        let name = object.metadata.name.clone().unwrap();
        self.of(&kind).patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.unwrap();
    }

    async fn status(&self, kind: &str, name: &str) -> Value {
        self.of(kind).get(name).await.unwrap().data["status"].clone()
    }

    /// The status once it passes.
    async fn until(&self, kind: &str, name: &str, passes: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = self.status(kind, name).await;
            if passes(&status) {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "{kind} {name}: {status:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn condition<'a>(conditions: &'a Value, kind: &str) -> (&'a str, &'a str, i64) {
    let Some(found) = conditions.as_array().into_iter().flatten().find(|one| one["type"] == kind) else {
        return ("absent", "", 0);
    };
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    (text("status"), text("reason"), found["observedGeneration"].as_i64().unwrap_or_default())
}

fn parent(status: &Value, kind: &str) -> (String, String, i64) {
    let (status, reason, generation) = condition(&status["parents"][0]["conditions"], kind);
    (status.to_owned(), reason.to_owned(), generation)
}

fn route(backend: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "shop"},
        "spec": {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": backend, "port": 80}]}]},
    })
}

fn policy(name: &str, target: &str) -> Value {
    json!({
        "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "TrafficPolicy", "metadata": {"name": name},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": target}],
            "rateLimit": {"local": {"tokenBucket": {"maxTokens": 3, "tokensPerFill": 3, "fillInterval": "60s"}}},
        },
    })
}

async fn cluster(schemas: PathBuf) -> (ControlPlane, Cluster) {
    let control_plane = ControlPlane::start(Options::default().controller_manager(false)).await.unwrap();
    let client = control_plane.client().await.unwrap();
    crds::install_gateway_api(&client, &schemas, Channel::Standard).await.unwrap();
    crds::install_vendor(&client, &schemas, "kgateway").await.unwrap();
    create_namespace(&client, "team").await.unwrap();
    (control_plane, Cluster { client })
}

#[tokio::test]
async fn answers_gateways_routes_and_policies_as_kgateway_does() {
    let Some(schemas) = schemas_or_explain().unwrap() else { return };
    let (control_plane, cluster) = cluster(schemas).await;
    let stand_in = StandIn::start(control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());

    // A policy comes first: its target does not exist, and kgateway is silent.
    cluster.apply(policy("limit", "shop")).await;
    cluster
        .apply(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "edge"},
            "spec": {"gatewayClassName": "kgateway", "listeners": [
                {"name": "http", "protocol": "HTTP", "port": 80},
                {"name": "https", "protocol": "HTTPS", "port": 443, "tls": {"certificateRefs": [{"name": "none"}]}},
            ]},
        }))
        .await;
    let gateway =
        cluster.until("Gateway", "edge", |status| condition(&status["conditions"], "Programmed").0 == "True").await;
    assert_eq!(condition(&gateway["listeners"][0]["conditions"], "Programmed"), ("True", "Programmed", 1));
    assert_eq!(condition(&gateway["listeners"][1]["conditions"], "ResolvedRefs").1, "InvalidCertificateRef");
    assert!(gateway["addresses"][0]["value"].is_string());
    assert_eq!(cluster.status("TrafficPolicy", "limit").await, Value::Null);

    // Closed form: the route stands on a backend that does not exist, and the policy is acknowledged.
    cluster.apply(route("nowhere")).await;
    let status = cluster.until("HTTPRoute", "shop", |status| parent(status, "Accepted").0 == "True").await;
    assert_eq!(parent(&status, "ResolvedRefs"), ("False".to_owned(), "BackendNotFound".to_owned(), 1));
    let status = cluster.until("TrafficPolicy", "limit", |status| status["ancestors"].is_array()).await;
    let ancestor = &status["ancestors"][0];
    assert_eq!(ancestor["controllerName"], "kgateway.dev/kgateway");
    assert_eq!(condition(&ancestor["conditions"], "Accepted"), ("True", "Valid", 1));
    assert_eq!(condition(&ancestor["conditions"], "Attached").0, "True");
    cluster.until("Gateway", "edge", |status| status["listeners"][0]["attachedRoutes"] == 1).await;

    // Open: observedGeneration follows.
    cluster
        .apply(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": {"ports": [{"port": 80}]},
        }))
        .await;
    cluster.apply(route("shop")).await;
    cluster
        .until("HTTPRoute", "shop", |status| {
            parent(status, "ResolvedRefs") == ("True".into(), "ResolvedRefs".into(), 2)
        })
        .await;

    // A policy that is never acknowledged, while its neighbour is.
    stand_in.never_acknowledge("TrafficPolicy", "team", "ignored").await;
    cluster.apply(policy("ignored", "shop")).await;
    cluster.apply(policy("heard", "shop")).await;
    cluster.until("TrafficPolicy", "heard", |status| status["ancestors"].is_array()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(cluster.status("TrafficPolicy", "ignored").await, Value::Null);
    stand_in.acknowledge("TrafficPolicy", "team", "ignored").await;
    cluster.until("TrafficPolicy", "ignored", |status| status["ancestors"].is_array()).await;

    // Paused, it says nothing; what is quiet stays quiet: no write without a change.
    stand_in.pause().await;
    let before = control_plane.audit_log().await.unwrap().len();
    cluster.apply(route("nowhere")).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let writes = |log: &[gateway_modules_testkit::AuditEntry]| {
        log.iter().filter(|entry| entry.user == "gateway-stand-in" && entry.is_write()).count()
    };
    assert_eq!(writes(&control_plane.audit_log().await.unwrap()[before..]), 0);
    stand_in.resume().await;
    cluster.until("HTTPRoute", "shop", |status| parent(status, "ResolvedRefs").1 == "BackendNotFound").await;
    let before = control_plane.audit_log().await.unwrap().len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(writes(&control_plane.audit_log().await.unwrap()[before..]), 0);

    // The target goes: empty again.
    cluster.of("HTTPRoute").delete("shop", &DeleteParams::default()).await.unwrap();
    cluster.until("TrafficPolicy", "limit", |status| status["ancestors"].as_array().is_none_or(Vec::is_empty)).await;
    stand_in.stop().await;
}
