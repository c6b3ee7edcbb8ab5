//! Changes by hand on a real control plane: repaired, reported or ignored as the DataPlane says, and never left where a security
//! policy stands on the object.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::time::Duration;

use gateway_modules_testkit::{StandIn, StandInOptions};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use self::lab::{COMPONENT, DATA_PLANE, Lab, ROUTE, Running, component, condition, options, plane, service};

const TRAFFIC_POLICY: (&str, &str) = ("gateway.kgateway.dev/v1alpha1", "TrafficPolicy");

fn with_mode(mode: &str) -> Value {
    let mut plane = plane("main");
    plane["spec"]["drift"] = mode.into();
    plane
}

async fn route_of(lab: &Lab, host: &str) -> String {
    lab.wait("the route is there", async || {
        let routes = lab.routes().await;
        let found = routes.iter().find(|(_, spec)| spec["hostnames"] == json!([host]));
        found.map(|(name, _)| name.clone()).ok_or_else(|| format!("{routes:#?}"))
    })
    .await
}

/// As somebody does with `kubectl edit`.
async fn by_hand(lab: &Lab, kind: (&str, &str), name: &str, change: Value) {
    let parameters = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    lab.api(kind, Some("shop")).await.patch(name, &parameters, &Patch::Merge(change)).await.unwrap();
}

async fn hosts(lab: &Lab, route: &str) -> Value {
    lab.api(ROUTE, Some("shop")).await.get(route).await.unwrap().data["spec"]["hostnames"].clone()
}

async fn wait_for_hosts(lab: &Lab, route: &str, wanted: &str) {
    lab.wait("the host is as it is written", async || match hosts(lab, route).await {
        hosts if hosts == json!([wanted]) => Ok(()),
        hosts => Err(hosts.to_string()),
    })
    .await;
}

/// Waits until the condition `Drifted` has a reason and names something.
async fn wait_for_drifted(lab: &Lab, status: &str, reason: &str, says: &[&str]) {
    lab.wait(&format!("Drifted={status} {reason}"), async || {
        let main = lab.api(DATA_PLANE, None).await.get("main").await.unwrap();
        let found = condition(&main, "Drifted");
        let told = found.0 == status && found.1 == reason && says.iter().all(|word| found.2.contains(word));
        if told { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_hand_is_repaired_reported_or_ignored_as_the_plane_says() {
    let Some(lab) = Lab::start().await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    lab.create(service("catalog")).await;
    lab.create(service("orders")).await;
    let controller = Running::start(lab.restricted().await, options());
    lab.create(plane("main")).await;
    lab.create(component("catalog", "catalog.example.com")).await;
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    let route = route_of(&lab, "catalog.example.com").await;
    wait_for_drifted(&lab, "False", "AsApplied", &[]).await;
    let elsewhere = || json!({"spec": {"hostnames": ["elsewhere.example.com"]}});

    // Repaired, which is the default.
    by_hand(&lab, ROUTE, &route, elsewhere()).await;
    wait_for_drifted(&lab, "False", "Repaired", &["HTTPRoute", &route, "spec.hostnames"]).await;
    assert_eq!(hosts(&lab, &route).await, json!(["catalog.example.com"]));
    lab.api(ROUTE, Some("shop")).await.delete(&route, &DeleteParams::default()).await.unwrap();
    wait_for_drifted(&lab, "False", "Repaired", &[&route, "deleted"]).await;
    wait_for_hosts(&lab, &route, "catalog.example.com").await;
    lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    // It stays told, and is no reason for another write.
    lab.comes_to_rest().await;
    let before = lab.control_plane.audit_log().await.unwrap().len();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(lab.writes_since(before).await.is_empty());
    wait_for_drifted(&lab, "False", "Repaired", &["deleted"]).await;

    // Reported and left.
    lab.create(with_mode("report")).await;
    lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    by_hand(&lab, ROUTE, &route, elsewhere()).await;
    wait_for_drifted(&lab, "True", "Reported", &[&route, "spec.hostnames"]).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(hosts(&lab, &route).await, json!(["elsewhere.example.com"]));
    // The rest of the plane goes on, and a new intent of the object is written as a whole.
    lab.create(component("orders", "orders.example.com")).await;
    lab.wait_for_condition(COMPONENT, "orders", "Ready", "True").await;
    assert_eq!(hosts(&lab, &route).await, json!(["elsewhere.example.com"]));
    let mut slower = component("catalog", "catalog.example.com");
    slower["spec"]["endpoints"][0]["policies"]["timeouts"]["request"] = "9s".into();
    lab.create(slower).await;
    wait_for_hosts(&lab, &route, "catalog.example.com").await;
    wait_for_drifted(&lab, "False", "AsApplied", &[]).await;

    // What a security policy stands on is repaired all the same.
    let secure = lab.protected("orders", "orders.example.com").await;
    lab.create(secure).await;
    lab.wait_for_condition(COMPONENT, "orders", "Ready", "True").await;
    let policies = lab.api(TRAFFIC_POLICY, Some("shop")).await;
    let all = policies.list(&Default::default()).await.unwrap().items;
    let policy = all.iter().find(|policy| !policy.data["spec"]["basicAuth"].is_null()).unwrap();
    let name = policy.metadata.name.clone().unwrap();
    by_hand(&lab, TRAFFIC_POLICY, &name, json!({"spec": {"basicAuth": null}})).await;
    wait_for_drifted(&lab, "False", "Repaired", &[&name, "basicAuth"]).await;
    assert_eq!(policies.get(&name).await.unwrap().data["spec"], policy.data["spec"]);

    // Ignored.
    lab.create(with_mode("ignore")).await;
    lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    by_hand(&lab, ROUTE, &route, elsewhere()).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(hosts(&lab, &route).await, json!(["elsewhere.example.com"]));
    let main = lab.api(DATA_PLANE, None).await.get("main").await.unwrap();
    assert_ne!(condition(&main, "Drifted").0, "True");

    // And back: repaired.
    lab.create(with_mode("repair")).await;
    wait_for_hosts(&lab, &route, "catalog.example.com").await;
    controller.stop().await;
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}
