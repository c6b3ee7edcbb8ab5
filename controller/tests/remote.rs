//! A data plane in another cluster, by a kubeconfig Secret: two real control planes. What is wrong with its credentials is told and
//! stops no other plane, and is over when the Secret changes.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use gateway_modules_testkit::{StandIn, StandInOptions};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use self::lab::{COMPONENT, DATA_PLANE, Lab, ROUTE, Running, by_watches_only, component, condition, plane, service};

const GATEWAY: (&str, &str) = ("gateway.networking.k8s.io/v1", "Gateway");

fn on(plane: &str, name: &str) -> Value {
    let mut component = component(name, &format!("{name}.example.com"));
    component["spec"]["dataPlanes"] = json!({"names": [plane]});
    component
}

async fn put_kubeconfig(hub: &Lab, kubeconfig: &Value) {
    hub.create(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "edge", "namespace": "kgateway-system"},
        "stringData": {"kubeconfig": kubeconfig.to_string()},
    }))
    .await;
}

/// Waits until the plane says why it is not served, and looks whether the other one still is.
async fn wait_for_reason(hub: &Lab, reason: &str, says: &str) {
    hub.wait(&format!("edge is {reason}"), async || {
        let edge = hub.api(DATA_PLANE, None).await.get("edge").await.unwrap();
        let found = condition(&edge, "Resolved");
        assert!(!found.2.contains("PRIVATE"), "{}", found.2);
        let told = found.1 == reason && found.2.contains(says) && condition(&edge, "Ready").0 != "True";
        if told { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    hub.wait_for_condition(COMPONENT, "catalog", "Ready", "Unknown").await;
    let main = hub.api(DATA_PLANE, None).await.get("main").await.unwrap();
    assert_eq!(condition(&main, "Ready").0, "True", "{:#}", main.data["status"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plane_in_another_cluster_comes_and_goes_with_its_secret() {
    let Some(hub) = Lab::start().await else { return };
    let Some(edge) = Lab::start().await else { return };
    let here = StandIn::start(hub.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    let there = StandIn::start(edge.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    for name in ["orders", "later"] {
        hub.create(service(name)).await;
    }
    edge.create(service("catalog")).await;
    let options = by_watches_only();
    let controller = Running::start(hub.restricted().await, options);
    hub.create(plane("main")).await;
    let mut remote = plane("edge");
    remote["spec"]["cluster"] = json!({"kubeconfigSecret": {"name": "edge"}});
    hub.create(remote.clone()).await;
    hub.create(on("main", "orders")).await;
    hub.create(on("edge", "catalog")).await;
    hub.wait_for_condition(COMPONENT, "orders", "Ready", "True").await;
    hub.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    wait_for_reason(&hub, "KubeconfigMissing", "kgateway-system/edge").await;

    // What would run a program or read a file is refused.
    let good = serde_json::to_value(edge.control_plane.kubeconfig().unwrap()).unwrap();
    let user = |user: Value| {
        let mut changed = good.clone();
        for entry in changed["users"].as_array_mut().unwrap() {
            entry["user"] = user.clone();
        }
        changed
    };
    put_kubeconfig(&hub, &user(json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "id"}})))
        .await;
    wait_for_reason(&hub, "KubeconfigRefused", "user.exec").await;
    put_kubeconfig(&hub, &user(json!({"tokenFile": "/etc/passwd"}))).await;
    wait_for_reason(&hub, "KubeconfigRefused", "user.tokenFile").await;

    // With the right one it is served there, and not here.
    put_kubeconfig(&hub, &good).await;
    hub.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    hub.wait_for_condition(DATA_PLANE, "edge", "Ready", "True").await;
    assert_eq!((hub.routes().await.len(), edge.routes().await.len()), (1, 1));
    let (route, spec) = edge.routes().await.remove(0);
    assert_eq!(spec["hostnames"], json!(["catalog.example.com"]));
    // It is watched there: a change by hand is repaired.
    let routes = edge.api(ROUTE, Some("shop")).await;
    let change = json!({"spec": {"hostnames": ["elsewhere.example.com"]}});
    routes.patch(&route, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    edge.wait("the change by hand is repaired", async || {
        match routes.get(&route).await.unwrap().data["spec"]["hostnames"].clone() {
            hosts if hosts == json!(["catalog.example.com"]) => Ok(()),
            hosts => Err(hosts.to_string()),
        }
    })
    .await;
    hub.wait_for_condition(DATA_PLANE, "edge", "Ready", "True").await;

    // Credentials that are no longer accepted; the other plane goes on. Back with the Secret.
    put_kubeconfig(&hub, &user(json!({"token": "PRIVATE-expired"}))).await;
    wait_for_reason(&hub, "CredentialsRejected", "401").await;
    hub.create(on("main", "later")).await;
    hub.wait_for_condition(COMPONENT, "later", "Ready", "True").await;
    put_kubeconfig(&hub, &good).await;
    hub.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;

    // Nobody there.
    let mut nowhere = good.clone();
    for entry in nowhere["clusters"].as_array_mut().unwrap() {
        entry["cluster"]["server"] = "https://127.0.0.1:1".into();
    }
    put_kubeconfig(&hub, &nowhere).await;
    wait_for_reason(&hub, "ClusterUnreachable", "").await;
    put_kubeconfig(&hub, &good).await;
    hub.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;

    // The Secret goes, and returns; nothing there is touched.
    let secrets = hub.api(("v1", "Secret"), Some("kgateway-system")).await;
    secrets.delete("edge", &DeleteParams::default()).await.unwrap();
    wait_for_reason(&hub, "KubeconfigMissing", "").await;
    assert_eq!(edge.routes().await.len(), 1);
    put_kubeconfig(&hub, &good).await;
    hub.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;

    // A plane does not move to another cluster and leave its objects behind.
    let error = hub.try_create(plane("edge")).await.err().map(|error| error.to_string());
    assert!(error.as_ref().is_some_and(|error| error.contains("cannot change")), "{error:?}");

    hub.api(DATA_PLANE, None).await.delete("edge", &DeleteParams::default()).await.unwrap();
    edge.wait("a deleted plane is cleaned up there", async || {
        let gateways = edge.api(GATEWAY, None).await.list(&Default::default()).await.unwrap().items.len();
        let left = (gateways, edge.routes().await.len());
        if left == (0, 0) { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    assert_eq!(hub.routes().await.len(), 2);
    controller.stop().await;
    here.stop().await;
    there.stop().await;
    hub.control_plane.stop().await.unwrap();
    edge.control_plane.stop().await.unwrap();
}
