//! What fails is said, on a real control plane: an error leaves nothing healthy behind, the metrics count no failure as a success,
//! and who has lost the Lease writes nothing more.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::{net::SocketAddr, time::Duration};

use gateway_modules_controller::LeaseOptions;
use gateway_modules_testkit::{StandIn, StandInOptions};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use self::lab::{COMPONENT, DATA_PLANE, Lab, Running, component, condition, http, options, plane, service};

const LEASE: (&str, &str) = ("coordination.k8s.io/v1", "Lease");
const CLUSTER_ROLE: (&str, &str) = ("rbac.authorization.k8s.io/v1", "ClusterRole");
const ROLE_BINDING: (&str, &str) = ("rbac.authorization.k8s.io/v1", "RoleBinding");

fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The value of a metric; none while nobody listens yet.
async fn metric(address: SocketAddr, name: &str) -> Option<f64> {
    tokio::net::TcpStream::connect(address).await.ok()?;
    let text = http(address, "/metrics").await;
    let line = text.lines().find(|line| line.starts_with(&format!("gateway_modules_{name}")))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_said_and_counted_and_a_lost_lease_ends_the_writes() {
    let Some(lab) = Lab::start().await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    lab.create(service("catalog")).await;
    lab.create(service("orders")).await;
    errors_are_told(&lab).await;
    a_lost_lease_ends_the_writes(&lab, &stand_in).await;
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}

async fn errors_are_told(lab: &Lab) {
    let port = free_port();
    let controller = Running::start(lab.restricted().await, options().with_address(port));
    lab.create(plane("main")).await;
    lab.create(component("catalog", "catalog.example.com")).await;
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    lab.create(component("orders", "catalog.example.com")).await;
    lab.wait_for_condition(COMPONENT, "orders", "Resolved", "False").await;
    lab.wait("the refusal is counted", async || match metric(port, "components_refused").await {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    // A plane that cannot be served as it is written: no success, and what was refused is not suddenly in order.
    let mut wrong = plane("main");
    wrong["spec"]["gateway"]["module"] = "nobody".into();
    lab.create(wrong).await;
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Ready", "False").await;
    assert_eq!(condition(&main, "Resolved").1, "UnknownModule");
    let success = metric(port, "last_success_timestamp_seconds").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(metric(port, "last_success_timestamp_seconds").await, Some(success), "a failed pass is no success");
    assert_eq!(metric(port, "components_refused").await, Some(1.0), "nobody knows better");
    assert_eq!(metric(port, "data_plane_ready").await, Some(0.0));

    lab.create(plane("main")).await;
    lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    assert!(metric(port, "last_success_timestamp_seconds").await.unwrap() > success);

    // The records cannot be read: nothing is known, and nothing stays healthy.
    let bindings = lab.api(ROLE_BINDING, Some("kgateway-system")).await;
    let binding = bindings.get("gateway-modules-controller").await.unwrap();
    bindings.delete("gateway-modules-controller", &DeleteParams::default()).await.unwrap();
    let roles = lab.api(CLUSTER_ROLE, None).await;
    let role = roles.get("gateway-modules-controller").await.unwrap();
    let mut rules = role.data["rules"].clone();
    rules.as_array_mut().unwrap().retain(|rule| rule["resources"] != json!(["configmaps"]));
    let rules = Patch::Merge(json!({ "rules": rules }));
    roles.patch("gateway-modules-controller", &PatchParams::default(), &rules).await.unwrap();
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Ready", "Unknown").await;
    let (_, reason, message) = condition(&main, "Resolved");
    assert!(reason == "ReconcileFailed" && message.contains("configmaps"), "{:#}", main.data["status"]);
    let catalog = lab.wait_for_condition(COMPONENT, "catalog", "Ready", "Unknown").await;
    assert!(condition(&catalog, "Programmed").2.contains("configmaps"), "{:#}", catalog.data["status"]);
    assert_eq!(metric(port, "data_plane_ready").await, Some(0.0));
    let rules = Patch::Merge(json!({ "rules": role.data["rules"] }));
    roles.patch("gateway-modules-controller", &PatchParams::default(), &rules).await.unwrap();
    let mut again = json!({"apiVersion": ROLE_BINDING.0, "kind": ROLE_BINDING.1,
        "metadata": {"name": "gateway-modules-controller", "namespace": "kgateway-system"}});
    for field in ["roleRef", "subjects"] {
        again[field] = binding.data[field].clone();
    }
    lab.create(again).await;
    lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    lab.api(COMPONENT, Some("shop")).await.delete("orders", &DeleteParams::default()).await.unwrap();
    controller.stop().await;
}

async fn a_lost_lease_ends_the_writes(lab: &Lab, stand_in: &StandIn) {
    let port = free_port();
    let lease = LeaseOptions::new("kgateway-system", "controller", "first").with_duration(Duration::from_secs(3));
    let mut options = options().with_lease(lease).with_address(port);
    options.reconciler = options.reconciler.with_gate_timeout(Duration::from_secs(60));
    let controller = Running::start(lab.client.clone(), options);
    lab.wait("the first leads", async || match metric(port, "leader").await {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    // An apply that waits: the gateway's controller is down, so the protected route stays closed.
    stand_in.pause().await;
    let mut secure = lab.protected("orders", "orders.example.com").await;
    secure["spec"]["endpoints"][0]["type"] = "WebSocket".into();
    lab.create(secure).await;
    let closed = lab
        .wait("the route is written closed", async || {
            let routes = lab.routes().await;
            let found = routes.iter().find(|(_, spec)| spec["hostnames"] == json!(["orders.example.com"]));
            found.cloned().ok_or_else(|| format!("{routes:#?}"))
        })
        .await;
    assert_ne!(closed.1["rules"][0]["backendRefs"][0]["name"], "orders", "{:#}", closed.1);

    let leases = lab.api(LEASE, Some("kgateway-system")).await;
    let stolen = json!({"spec": {
        "holderIdentity": "thief", "leaseDurationSeconds": 600,
        "renewTime": format!("{:.6}", k8s_openapi::jiff::Timestamp::now()),
    }});
    leases.patch("controller", &PatchParams::default(), &Patch::Merge(stolen)).await.unwrap();
    lab.wait("the first no longer leads", async || match metric(port, "leader").await {
        Some(0.0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let before = lab.control_plane.audit_log().await.unwrap().len();
    stand_in.resume().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let writes = lab.writes_since(before).await;
    let writes: Vec<_> = writes.iter().filter(|entry| entry.resource != "leases").collect();
    assert!(writes.is_empty(), "{writes:#?}");
    let routes = lab.routes().await;
    assert!(routes.contains(&closed), "the route is opened by nobody: {routes:#?}");
    controller.stop().await;
}
