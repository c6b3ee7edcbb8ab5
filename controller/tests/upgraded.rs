//! The gateway gets another version while its routes are served, on a real control plane.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use gateway_modules_testkit::{StandIn, StandInOptions};
use kube::{
    api::{Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::{Value, json};

use self::lab::{COMPONENT, DATA_PLANE, Lab, Running, component, condition, options, plane, service};

/// The Deployment of the gateway's controller, from which its version is read.
fn controller_of(version: &str) -> Value {
    let labels = json!({"app": "kgateway"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "kgateway", "namespace": "kgateway-system"},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "controller", "image": format!("registry.example.com/kgateway:v{version}")}]},
        }},
    })
}

async fn events(lab: &Lab, reason: &str) -> Vec<String> {
    let events = lab.api(("events.k8s.io/v1", "Event"), None).await.list(&Default::default()).await.unwrap();
    let of = |event: &DynamicObject| event.data["reason"] == reason;
    events.items.iter().filter(|event| of(event)).map(|event| event.data["note"].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_of_the_gateway_says_for_each_policy_what_it_makes_of_it() {
    let Some(lab) = Lab::start().await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    lab.create(controller_of("2.4.0")).await;
    for name in ["office", "plain"] {
        lab.create(service(name)).await;
    }
    let controller = Running::start(lab.restricted().await, options());
    lab.create(plane("main")).await;
    let mut office = component("office", "office.example.com");
    office["spec"]["endpoints"][0]["policies"]["ipAccess"] = json!({"allow": ["10.0.0.0/8"]});
    lab.create(office).await;
    lab.create(component("plain", "plain.example.com")).await;
    for name in ["office", "plain"] {
        lab.wait_for_condition(COMPONENT, name, "Ready", "True").await;
    }
    // The pass that makes the class may be the one that finds all ready; the next has read the class.
    lab.comes_to_rest().await;
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    assert_eq!(main.data["status"]["module"]["version"], "2.4.0", "{:#}", main.data["status"]);
    assert_eq!(condition(&main, "VerdictsChanged").1, "SameVersion", "{:#}", main.data["status"]);
    let evidence = main.data["status"]["module"]["evidence"].to_string();
    for part in
        ["version 2.4.0: ", "GatewayClass kgateway of kgateway.dev/kgateway", "Gateway API v1.", "channel standard: "]
    {
        assert!(evidence.contains(part), "{part}: {evidence}");
    }

    // CRDs of a version that the gateway does not know: told, and no reason to stop.
    let unknown = json!({"status": {"conditions": [
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z"},
        {"type": "SupportedVersion", "status": "False", "reason": "UnsupportedVersion", "message": "newer than 1.4",
            "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"},
    ]}});
    let classes = lab.api(("gateway.networking.k8s.io/v1", "GatewayClass"), None).await;
    classes.patch_status("kgateway", &PatchParams::default(), &Patch::Merge(unknown)).await.unwrap();
    lab.wait("the version that is not supported is told", async || {
        let main = lab.api(DATA_PLANE, None).await.get("main").await.unwrap();
        let told = |text: &str| text.contains("SupportedVersion=False UnsupportedVersion: newer than 1.4");
        let evidence = main.data["status"]["module"]["evidence"].to_string();
        let all = told(&condition(&main, "Discovered").2) && told(&evidence) && condition(&main, "Ready").0 == "True";
        if all { Ok(()) } else { Err(format!("{:#}", main.data["status"])) }
    })
    .await;

    // Back to a version that has no address lists: the route that needs one is not served, and all is said.
    lab.create(controller_of("2.3.1")).await;
    let office = lab.wait_for_condition(COMPONENT, "office", "VerdictsChanged", "True").await;
    let (_, _, message) = condition(&office, "VerdictsChanged");
    for part in ["DataPlane main: from kgateway 2.4.0 to 2.3.1:", "shop/office api ip-access: refused, was exact ("] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(condition(&office, "Accepted").0, "False", "{:#}", office.data["status"]);
    let main = lab.wait_for_condition(DATA_PLANE, "main", "VerdictsChanged", "True").await;
    let (_, reason, message) = condition(&main, "VerdictsChanged");
    assert_eq!(reason, "VersionChanged");
    assert_eq!(message.lines().count(), 2, "only that policy has changed: {message}");
    let plain = lab.wait_for_condition(COMPONENT, "plain", "Ready", "True").await;
    assert_eq!(condition(&plain, "VerdictsChanged").0, "", "nothing of it has changed: {:#}", plain.data["status"]);
    lab.wait("the route without its policy is gone", async || match lab.routes().await {
        routes if routes.iter().any(|(_, spec)| spec["hostnames"][0] == "office.example.com") => {
            Err(format!("{routes:#?}"))
        }
        routes if routes.len() == 1 => Ok(()),
        routes => Err(format!("only the other one stays: {routes:#?}")),
    })
    .await;
    lab.wait("there are events", async || match events(&lab, "VerdictsChanged").await {
        told if told.len() == 2 && told.iter().all(|note| note.contains("ip-access")) => Ok(()),
        told => Err(format!("{told:#?}")),
    })
    .await;

    // It stays told, whatever passes over it, until the next version.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let main = lab.wait_for_condition(DATA_PLANE, "main", "VerdictsChanged", "True").await;
    assert!(condition(&main, "VerdictsChanged").2.contains("refused, was exact"), "{:#}", main.data["status"]);
    lab.create(controller_of("2.4.1")).await;
    lab.wait_for_condition(COMPONENT, "office", "Ready", "True").await;
    let office = lab.wait_for_condition(COMPONENT, "office", "VerdictsChanged", "True").await;
    assert!(condition(&office, "VerdictsChanged").2.contains("ip-access: exact, was refused"), "{office:#?}");

    // And a version that changes nothing says so.
    lab.create(controller_of("2.4.2")).await;
    let main = lab.wait_for_condition(DATA_PLANE, "main", "VerdictsChanged", "False").await;
    assert!(
        condition(&main, "VerdictsChanged").2.contains("from kgateway 2.4.1 to 2.4.2"),
        "{:#}",
        main.data["status"]
    );
    lab.wait("nothing is told on the component", async || {
        let office = lab.api(COMPONENT, Some("shop")).await.get("office").await.unwrap();
        match condition(&office, "VerdictsChanged").0.as_str() {
            "" => Ok(()),
            _ => Err(format!("{:#}", office.data["status"])),
        }
    })
    .await;
    controller.stop().await;
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}
