//! CRDs that come and go, and a GatewayClass that flaps, on a real control plane: seen at once, and no reason for a write.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::time::{Duration, Instant};

use gateway_modules_testkit::{StandIn, StandInOptions, crds, schemas_or_explain};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use self::lab::{COMPONENT, DATA_PLANE, Lab, Running, by_watches_only, component, condition, plane, service};

const CRD: (&str, &str) = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
const CLASS: (&str, &str) = ("gateway.networking.k8s.io/v1", "GatewayClass");
const POLICIES: &str = "trafficpolicies.gateway.kgateway.dev";

#[tokio::test(flavor = "multi_thread")]
async fn a_crd_is_seen_when_it_comes_and_goes_and_a_class_that_flaps_makes_no_write() {
    let Some(lab) = Lab::start().await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    lab.create(service("catalog")).await;
    let options = by_watches_only();
    let controller = Running::start(lab.restricted().await, options);
    lab.create(plane("main")).await;
    let mut limited = component("catalog", "catalog.example.com");
    limited["spec"]["endpoints"][0]["policies"] =
        json!({"rateLimit": {"requests": 5, "per": "1m", "key": {"endpoint": {}}}});
    let definitions = lab.api(CRD, None).await;

    // The CRD of the vendor's policies is not there yet.
    definitions.delete(POLICIES, &DeleteParams::default()).await.unwrap();
    lab.wait("the CRD is gone", async || match definitions.get_opt(POLICIES).await.unwrap() {
        None => Ok(()),
        Some(_) => Err("still there".to_owned()),
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    lab.create(limited.clone()).await;
    lab.wait("without the CRD it is not healthy, and says why", async || {
        let catalog = lab.api(COMPONENT, Some("shop")).await.get("catalog").await.unwrap();
        let said = catalog.data["status"]["conditions"].to_string();
        let told = condition(&catalog, "Ready").0 != "True" && said.contains("TrafficPolicy");
        if told { Ok(()) } else { Err(said) }
    })
    .await;

    let schemas = schemas_or_explain().unwrap().unwrap();
    crds::install_vendor(&lab.client, &schemas, "kgateway").await.unwrap();
    let installed = Instant::now();
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    println!("Ready {} ms after the CRDs were installed", installed.elapsed().as_millis());

    // It goes while it is used: nothing stays healthy. It returns: so does the policy.
    definitions.delete(POLICIES, &DeleteParams::default()).await.unwrap();
    let started = Instant::now();
    lab.wait("nothing is healthy without it", async || {
        let catalog = lab.api(COMPONENT, Some("shop")).await.get("catalog").await.unwrap();
        if condition(&catalog, "Ready").0 == "True" { Err(format!("{:#}", catalog.data["status"])) } else { Ok(()) }
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(10), "it was seen late: {:?}", started.elapsed());
    crds::install_vendor(&lab.client, &schemas, "kgateway").await.unwrap();
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;

    // A class that flaps: told, and no object is written.
    lab.comes_to_rest().await;
    stand_in.pause().await;
    let before = lab.control_plane.audit_log().await.unwrap().len();
    let classes = lab.api(CLASS, None).await;
    let accepted = classes.get("kgateway").await.unwrap().data["status"].clone();
    for _ in 0..5 {
        let mut status = accepted.clone();
        for condition in status["conditions"].as_array_mut().unwrap() {
            condition["status"] = "False".into();
        }
        status["supportedFeatures"] = json!([]);
        for status in [status, accepted.clone()] {
            let patch = Patch::Merge(json!({ "status": status }));
            classes.patch_status("kgateway", &PatchParams::default(), &patch).await.unwrap();
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }
    lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    let writes = lab.writes_since(before).await;
    let told = writes.iter().filter(|entry| entry.subresource == "status").count();
    let writes: Vec<String> = writes
        .iter()
        .filter(|entry| entry.subresource != "status" && !matches!(entry.resource.as_str(), "leases" | "events"))
        .map(|entry| format!("{} {} {}", entry.verb, entry.resource, entry.name))
        .collect();
    assert!(writes.is_empty(), "{writes:#?}");
    assert!(told > 0, "the class was seen to flap");
    controller.stop().await;
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}
