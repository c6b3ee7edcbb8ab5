//! What is installed becomes the target, on a real control plane.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::time::{Duration, Instant};

use gateway_modules_testkit::{StandIn, StandInOptions, crds, create_namespace, schemas_or_explain};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use self::lab::{COMPONENT, DATA_PLANE, Lab, Running, component, condition, options, service};

const GATEWAY: (&str, &str) = ("gateway.networking.k8s.io/v1", "Gateway");
const CLASS: (&str, &str) = ("gateway.networking.k8s.io/v1", "GatewayClass");

fn plane(gateway: Value) -> Value {
    json!({"apiVersion": DATA_PLANE.0, "kind": DATA_PLANE.1, "metadata": {"name": "main"}, "spec": {"gateway": gateway}})
}

fn nginx() -> StandInOptions {
    StandInOptions::new("gateway.nginx.org/nginx-gateway-controller").class("nginx").makes_classes(true)
}

/// Writes to objects; what the controller says in a status is none.
async fn writes_to_objects(lab: &Lab, start: usize) -> Vec<String> {
    let writes = lab.writes_since(start).await;
    let objects = writes.into_iter().filter(|entry| entry.subresource != "status" && entry.resource != "leases");
    objects.map(|entry| format!("{} {} {}", entry.verb, entry.resource, entry.name)).collect()
}

async fn class_of_gateway(lab: &Lab) -> Vec<Value> {
    let gateways = lab.api(GATEWAY, None).await.list(&Default::default()).await.unwrap();
    gateways.items.into_iter().map(|gateway| gateway.data["spec"]["gatewayClassName"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_installed_becomes_the_target_and_stays_it() {
    let Some(lab) = Lab::start().await else { return };
    let schemas = schemas_or_explain().unwrap().unwrap();
    crds::install_vendor(&lab.client, &schemas, "nginx-gateway-fabric").await.unwrap();
    create_namespace(&lab.client, "nginx-gateway").await.unwrap();
    lab.create(service("catalog")).await;
    let controller = Running::start(lab.restricted().await, options());

    // Intents, and no gateway: nothing is written, and that is said.
    lab.create(plane(json!({}))).await;
    let mut catalog = component("catalog", "catalog.example.com");
    // Without the policy, of which NGINX Gateway Fabric makes something else.
    catalog["spec"]["endpoints"][0].as_object_mut().unwrap().remove("policies");
    lab.create(catalog).await;
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Programmed", "False").await;
    assert!(condition(&main, "Programmed").2.contains("GatewayClass"), "{:#}", main.data["status"]);
    assert!(lab.routes().await.is_empty());

    // One is installed while the controller runs.
    let started = Instant::now();
    let first = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), nginx());
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    println!("from the first gateway to served routes: {} ms", started.elapsed().as_millis());
    assert_eq!(class_of_gateway(&lab).await, [json!("nginx")]);
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    assert_eq!(main.data["status"]["module"]["name"], "nginx-gateway-fabric", "{:#}", main.data["status"]);
    assert_eq!(condition(&main, "SwitchAvailable").0, "False");
    let records = lab.api(("v1", "ConfigMap"), Some("kgateway-system")).await.list(&Default::default()).await.unwrap();
    let recorded = records.items.iter().any(|record| {
        let text = record.data["data"].to_string();
        text.contains("the only gateway that is installed") && text.contains("time")
    });
    assert!(recorded, "the choice is recorded with its reason and time: {:#?}", records.items);

    // A second one, and the default at that: no write.
    lab.comes_to_rest().await;
    let before = lab.control_plane.audit_log().await.unwrap().len();
    let routes = lab.routes().await;
    let started = Instant::now();
    let second = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    let main = lab.wait_for_condition(DATA_PLANE, "main", "SwitchAvailable", "True").await;
    println!("from the second gateway to SwitchAvailable: {} ms", started.elapsed().as_millis());
    assert!(condition(&main, "SwitchAvailable").2.contains("kgateway"), "{:#}", main.data["status"]);
    assert!(
        condition(&main, "Discovered").2.contains("version"),
        "no Deployment tells the version: {:#}",
        main.data["status"]
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(writes_to_objects(&lab, before).await, Vec::<String>::new());

    // The first goes: nothing is pruned, nothing moves, nothing is healthy.
    let before = lab.control_plane.audit_log().await.unwrap().len();
    let started = Instant::now();
    first.stop().await;
    lab.api(CLASS, None).await.delete("nginx", &DeleteParams::default()).await.unwrap();
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Degraded", "True").await;
    println!("from the end of the first gateway to Degraded: {} ms", started.elapsed().as_millis());
    assert_eq!(condition(&main, "Degraded").1, "ClassVanished", "{:#}", main.data["status"]);
    assert_eq!(condition(&main, "Ready").0, "False");
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "False").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(writes_to_objects(&lab, before).await, Vec::<String>::new());
    assert_eq!(lab.routes().await, routes, "nothing is pruned");
    assert_eq!(class_of_gateway(&lab).await, [json!("nginx")]);

    // Another restart of the controller does not forget the choice.
    controller.stop().await;
    let controller = Running::start(lab.client.clone(), options());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(writes_to_objects(&lab, before).await, Vec::<String>::new());

    // It comes back, and all is as it was.
    let first = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), nginx());
    lab.wait_for_condition(DATA_PLANE, "main", "Degraded", "False").await;
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;

    // Who names another module is told of the outage, and nothing moves.
    let before = lab.control_plane.audit_log().await.unwrap().len();
    lab.create(plane(json!({"module": "kgateway"}))).await;
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Programmed", "False").await;
    assert!(condition(&main, "Programmed").2.contains("--allow-outage"), "{:#}", main.data["status"]);
    let writes = writes_to_objects(&lab, before).await;
    assert!(writes.is_empty(), "{writes:#?}");
    controller.stop().await;
    first.stop().await;
    second.stop().await;
    lab.control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_named_and_nothing_is_guessed() {
    let Some(lab) = Lab::start().await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    lab.create(service("catalog")).await;
    let client =
        lab.restricted_without("limited", &["gatewayclasses", "customresourcedefinitions", "deployments"]).await;
    let controller = Running::start(client, options());
    lab.create(plane(json!({}))).await;
    lab.create(component("catalog", "catalog.example.com")).await;
    // kgateway is there, and would be the default; it is not taken blindly.
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Resolved", "False").await;
    let (_, reason, message) = condition(&main, "Resolved");
    assert_eq!(reason, "ClassesUnreadable", "{:#}", main.data["status"]);
    assert!(message.contains("list gatewayclasses.gateway.networking.k8s.io"), "{message}");
    assert!(lab.routes().await.is_empty());
    // With the module named it goes on, and says what it does not know.
    lab.create(plane(json!({"module": "kgateway"}))).await;
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Discovered", "False").await;
    let (_, _, message) = condition(&main, "Discovered");
    for word in ["gatewayclasses", "customresourcedefinitions", "deployments", "taken to be standard"] {
        assert!(message.contains(word), "{word}: {message}");
    }
    controller.stop().await;
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_controller_cannot_read_keeps_its_routes() {
    let Some(lab) = Lab::start().await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    lab.create(service("catalog")).await;
    lab.create(service("orders")).await;
    lab.create(plane(json!({"module": "kgateway"}))).await;
    lab.create(component("catalog", "catalog.example.com")).await;
    let controller = Running::start(lab.client.clone(), options());
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    controller.stop().await;
    let before = lab.routes().await;
    assert_eq!(before.len(), 1);

    // As after an upgrade: a specification that was accepted by another version, and that this one cannot read.
    let definitions = lab.api(("apiextensions.k8s.io/v1", "CustomResourceDefinition"), None).await;
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let patch = json!([{
        "op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec", "value": anything,
    }]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(patch).unwrap());
    definitions.patch("components.gatewaymodules.dev", &PatchParams::default(), &patch).await.unwrap();
    let components = lab.api(COMPONENT, Some("shop")).await;
    let patch = json!([{"op": "replace", "path": "/spec/endpoints/0/port", "value": "eighty"}]);
    lab.wait("the API server takes any specification", async || {
        let patch: Patch<()> = Patch::Json(serde_json::from_value(patch.clone()).unwrap());
        components.patch("catalog", &PatchParams::default(), &patch).await.map_err(|error| error.to_string())
    })
    .await;
    let catalog = components.get("catalog").await.unwrap();
    let last = json!({"generation": catalog.metadata.generation, "spec": catalog.data["spec"]});
    let patch = Patch::Merge(json!({"status": {"lastAccepted": last}}));
    components.patch_status("catalog", &PatchParams::default(), &patch).await.unwrap();

    let controller = Running::start(lab.client.clone(), options());
    let catalog = lab.wait_for_condition(COMPONENT, "catalog", "Resolved", "False").await;
    assert!(condition(&catalog, "Resolved").2.contains("kept"), "{:#}", catalog.data["status"]);
    lab.create(component("orders", "orders.example.com")).await;
    lab.wait_for_condition(COMPONENT, "orders", "Ready", "True").await;
    let main = lab.api(DATA_PLANE, None).await.get("main").await.unwrap();
    assert!(condition(&main, "Accepted").2.contains("shop/catalog"), "{:#}", main.data["status"]);
    let routes = lab.routes().await;
    assert!(routes.len() == 2 && before.iter().all(|route| routes.contains(route)), "{routes:#?}");

    // It goes when it is deleted, although nothing knew what it had.
    components.delete("catalog", &DeleteParams::default()).await.unwrap();
    lab.wait("its routes go with it", async || match lab.routes().await.len() {
        1 => Ok(()),
        number => Err(number.to_string()),
    })
    .await;
    controller.stop().await;
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}
