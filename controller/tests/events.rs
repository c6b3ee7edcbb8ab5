//! Events, on a real control plane and with the rights under `deploy/`: one when a condition changes, none for a pass that finds
//! everything as it was, and nothing of a Secret.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::time::Duration;

use gateway_modules_testkit::{StandIn, StandInOptions};
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use self::lab::{COMPONENT, DATA_PLANE, Lab, Running, component, options, plane, service};

const EVENT: (&str, &str) = ("events.k8s.io/v1", "Event");
const CLASS: (&str, &str) = ("gateway.networking.k8s.io/v1", "GatewayClass");
const PASSWORD: &str = "correct horse battery staple";

/// Kind and name of the object, type, reason, note.
async fn events(lab: &Lab) -> Vec<[String; 5]> {
    let all = lab.api(EVENT, None).await.list(&ListParams::default()).await.unwrap().items;
    let ours = all.into_iter().filter(|event| event.data["reportingController"] == "gateway-modules-controller");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ours.map(|event| {
        let about = &event.data["regarding"];
        [&about["kind"], &about["name"], &event.data["type"], &event.data["reason"], &event.data["note"]].map(text)
    })
    .collect()
}

async fn wait_for(lab: &Lab, wanted: [&str; 4], says: &str) {
    lab.wait(&format!("event {wanted:?}"), async || {
        let all = events(lab).await;
        let found = all.iter().any(|event| event[..4] == wanted && event[4].contains(says));
        if found { Ok(()) } else { Err(format!("{all:#?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_condition_is_an_event_and_an_unchanged_one_is_none() {
    let Some(lab) = Lab::start().await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    lab.create(service("catalog")).await;
    lab.create(service("orders")).await;
    let controller = Running::start(lab.restricted().await, options());
    lab.create(plane("main")).await;
    lab.create(component("catalog", "catalog.example.com")).await;
    wait_for(&lab, ["Component", "catalog", "Normal", "Programmed"], "").await;
    wait_for(&lab, ["DataPlane", "main", "Normal", "Programmed"], "").await;

    lab.create(component("orders", "catalog.example.com")).await;
    wait_for(&lab, ["Component", "orders", "Warning", "Invalid"], "already taken").await;
    wait_for(&lab, ["DataPlane", "main", "Warning", "ComponentsRefused"], "shop/orders").await;

    // A protected endpoint that waits for its policy.
    stand_in.pause().await;
    lab.create(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", "namespace": "shop"},
        "stringData": {"alice": PASSWORD},
    }))
    .await;
    let mut secure = component("orders", "orders.example.com");
    secure["spec"]["endpoints"][0]["policies"] = json!({"basicAuth": {"credentials": {"name": "users"}}});
    secure["spec"]["endpoints"][0]["type"] = "WebSocket".into();
    lab.create(secure).await;
    wait_for(&lab, ["Component", "orders", "Warning", "Blocked"], "").await;
    stand_in.resume().await;
    wait_for(&lab, ["Component", "orders", "Normal", "Programmed"], "").await;
    lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;

    // Passes that find everything as it was say nothing.
    lab.comes_to_rest().await;
    let before = lab.control_plane.audit_log().await.unwrap().len();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let log = lab.control_plane.audit_log().await.unwrap();
    let written: Vec<_> =
        log.iter().skip(before).filter(|entry| entry.resource == "events" && entry.is_write()).collect();
    assert!(written.is_empty(), "{written:#?}");

    stand_in.stop().await;
    lab.api(CLASS, None).await.delete("kgateway", &DeleteParams::default()).await.unwrap();
    wait_for(&lab, ["DataPlane", "main", "Warning", "ClassVanished"], "GatewayClass kgateway").await;
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "False").await;

    let all = events(&lab).await;
    assert!(!all.iter().flatten().any(|text| text.contains(PASSWORD) || text.contains("htpasswd")), "{all:#?}");
    println!("{} events", all.len());
    controller.stop().await;
    lab.control_plane.stop().await.unwrap();
}
