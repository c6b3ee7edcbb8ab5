//! The controller against a real control plane: intents become routes, status says so, nothing wrong spreads.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::time::Duration;

use gateway_modules_controller::LeaseOptions;
use gateway_modules_testkit::{StandIn, StandInOptions};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use self::lab::{COMPONENT, DATA_PLANE, Lab, ROUTE, Running, component, condition, http, options, plane, service};

#[tokio::test(flavor = "multi_thread")]
async fn intents_become_routes_and_what_is_wrong_stays_alone() {
    let Some(lab) = Lab::start().await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    lab.create(service("catalog")).await;
    lab.create(service("orders")).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let controller = Running::start(lab.restricted().await, options().with_address(port));

    // Without a plane a component says so.
    lab.create(component("catalog", "catalog.example.com")).await;
    let catalog = lab.wait_for_condition(COMPONENT, "catalog", "Resolved", "False").await;
    assert_eq!(condition(&catalog, "Resolved").1, "NoDataPlane");

    // With one it is served.
    lab.create(plane("main")).await;
    let catalog = lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    let url = &catalog.data["status"]["dataPlanes"][0]["endpoints"][0]["urls"][0];
    assert!(url.as_str().is_some_and(|url| url.contains("catalog.example.com")), "{:#}", catalog.data["status"]);
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    assert_eq!(main.data["status"]["module"]["name"], "kgateway", "{:#}", main.data["status"]);
    assert_eq!(main.data["status"]["components"], json!({"accepted": 1, "refused": 0}));

    // A second component that wants the same host is refused; the first is served on.
    lab.create(component("orders", "catalog.example.com")).await;
    let orders = lab.wait_for_condition(COMPONENT, "orders", "Resolved", "False").await;
    assert!(condition(&orders, "Resolved").2.contains("already taken"), "{:#}", orders.data["status"]);
    assert_eq!(condition(&orders, "Ready").0, "False");
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    lab.create(component("orders", "orders.example.com")).await;
    lab.wait_for_condition(COMPONENT, "orders", "Ready", "True").await;
    // Now it asks for what nobody can give: what was accepted before is served on.
    lab.create(component("orders", "catalog.example.com")).await;
    let orders = lab.wait_for_condition(COMPONENT, "orders", "Resolved", "False").await;
    assert!(condition(&orders, "Resolved").2.contains("still served"), "{:#}", orders.data["status"]);
    let routes = lab.routes().await;
    assert!(
        routes.iter().any(|(_, spec)| spec["hostnames"] == json!(["orders.example.com"])),
        "the last good form is served: {routes:#?}"
    );
    lab.create(component("orders", "orders.example.com")).await;
    lab.wait_for_condition(COMPONENT, "orders", "Ready", "True").await;

    // A protected endpoint is closed first, and opened when its policies are acknowledged; Secret and Service are as with gwm.
    let mut secure = lab.protected("orders", "orders.example.com").await;
    secure["spec"]["endpoints"][0]["type"] = "WebSocket".into();
    let before = lab.control_plane.audit_log().await.unwrap().len();
    lab.create(secure).await;
    lab.wait_for_condition(COMPONENT, "orders", "Ready", "True").await;
    let writes = lab.writes_since(before).await;
    let backends: Vec<&Value> = writes
        .iter()
        .filter(|entry| entry.resource == "httproutes")
        .filter_map(|entry| entry.request_object.as_ref()?.pointer("/spec/rules/0/backendRefs/0/name"))
        .collect();
    let policy = writes.iter().position(|entry| entry.resource == "trafficpolicies").unwrap();
    let opened = writes.iter().rposition(|entry| entry.resource == "httproutes").unwrap();
    assert!(policy < opened && backends.last() == Some(&&json!("orders")), "{backends:?}");
    assert!(
        writes
            .iter()
            .all(|entry| entry.query.get("force").is_none_or(|force| force != "true") || entry.subresource == "status"),
        "no force on objects"
    );
    lab.create(component("orders", "orders.example.com")).await;
    lab.wait_for_condition(COMPONENT, "orders", "Ready", "True").await;

    // Metrics and probes answer.
    assert!(http(port, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(http(port, "/readyz").await.starts_with("HTTP/1.1 200"));
    lab.comes_to_rest().await;
    let metrics = http(port, "/metrics").await;
    for line in [
        "gateway_modules_leader 1",
        "gateway_modules_data_plane_ready{data_plane=\"main\"} 1",
        "gateway_modules_reconciliations_total{data_plane=\"main\",result=\"ready\"}",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }

    // Several resyncs (2 s) later nothing was written.
    let before = lab.control_plane.audit_log().await.unwrap().len();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let writes = lab.writes_since(before).await;
    assert!(writes.is_empty(), "{writes:#?}");

    // A hand edit of an owned field is repaired, and a route that was deleted comes back.
    let routes = lab.api(ROUTE, Some("shop")).await;
    let all = lab.routes().await;
    let (name, _) = all.iter().find(|(_, spec)| spec["hostnames"] == json!(["catalog.example.com"])).unwrap();
    let edit = json!({"spec": {"hostnames": ["elsewhere.example.com"]}});
    routes.patch(name, &PatchParams::default(), &Patch::Merge(edit)).await.unwrap();
    lab.wait("the hand edit is repaired", async || {
        match routes.get(name).await.unwrap().data["spec"]["hostnames"].clone() {
            hosts if hosts == json!(["catalog.example.com"]) => Ok(()),
            hosts => Err(hosts.to_string()),
        }
    })
    .await;
    routes.delete(name, &DeleteParams::default()).await.unwrap();
    lab.wait("the deleted route comes back", async || match routes.get_opt(name).await.unwrap() {
        Some(_) => Ok(()),
        None => Err("gone".to_owned()),
    })
    .await;

    // A component that goes takes its routes along; it has no finalizer that could hold its namespace.
    let components = lab.api(COMPONENT, Some("shop")).await;
    assert!(components.get("orders").await.unwrap().metadata.finalizers.is_none());
    components.delete("orders", &DeleteParams::default()).await.unwrap();
    lab.wait("the routes of a deleted component go", async || match lab.routes().await {
        routes if routes.len() == 1 => Ok(()),
        routes => Err(format!("{routes:#?}")),
    })
    .await;

    // The plane takes everything along.
    lab.api(DATA_PLANE, None).await.delete("main", &DeleteParams::default()).await.unwrap();
    lab.wait("a deleted plane is cleaned up", async || {
        let planes = lab.api(DATA_PLANE, None).await.list(&Default::default()).await.unwrap().items;
        let gateways = lab.api(("gateway.networking.k8s.io/v1", "Gateway"), None).await;
        let gateways = gateways.list(&Default::default()).await.unwrap().items;
        let left = (planes.len(), gateways.len(), lab.routes().await.len());
        if left == (0, 0, 0) { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    lab.wait_for_condition(COMPONENT, "catalog", "Resolved", "False").await;
    controller.stop().await;
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_refuses_what_is_misspelt_and_keeps_what_is_right() {
    let Some(lab) = Lab::start().await else { return };
    // Every example is taken, with strict field validation, and nothing of it is pruned.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/intents");
    let loaded = gateway_modules::core::intent::load::Loader::new().path(folder).finish_unchecked().unwrap();
    let spec = |value: Value| value["spec"].clone();
    let components = loaded.intent.components.iter().map(|component| ("Component", component.to_json().unwrap()));
    let planes = loaded.intent.data_planes.iter().map(|plane| ("DataPlane", plane.to_json().unwrap()));
    let mut kept = 0;
    for (index, (kind, document)) in components.chain(planes).enumerate() {
        let mut wanted = spec(document);
        if kind == "DataPlane" {
            // A context of a kubeconfig means nothing in a cluster, and is refused there.
            wanted.as_object_mut().unwrap().remove("cluster");
        }
        let mut object = json!({
            "apiVersion": COMPONENT.0, "kind": kind, "metadata": {"name": format!("example-{index}")}, "spec": wanted,
        });
        if kind == "Component" {
            object["metadata"]["namespace"] = "shop".into();
        }
        let stored = lab.try_create(object.clone()).await.unwrap_or_else(|error| panic!("{object:#}\n{error}"));
        assert_eq!(stored.data["spec"], wanted, "something was pruned or defaulted");
        kept += 1;
    }
    assert!(kept > 5, "{kept}");
    println!("{kept} intents kept as they are");

    let bad = |field: &str, value: Value| {
        let mut object = component("bad", "bad.example.com");
        object["spec"]["endpoints"][0][field] = value;
        object
    };
    let mut twice = component("bad", "bad.example.com");
    let again = twice["spec"]["endpoints"][0].clone();
    twice["spec"]["endpoints"].as_array_mut().unwrap().push(again);
    let mut context = plane("bad");
    context["spec"]["cluster"] = json!({"context": "lab"});
    for (what, object, says) in [
        ("a misspelt field", bad("polices", json!({})), "polices"),
        ("an unknown type", bad("type", json!("Htttp")), "Unsupported value"),
        ("a port that is none", bad("port", json!(0)), "port"),
        (
            "two of an enum",
            bad(
                "policies",
                json!({"rateLimit": {"requests": 1, "per": "1m", "key": {"clientIp": {}, "endpoint": {}}}}),
            ),
            "oneOf",
        ),
        ("two endpoints of one name", twice, "duplicate"),
        ("a context", context, "kubeconfigSecret"),
        ("a name with a dot", component("a.b", "bad.example.com"), "DNS label"),
    ] {
        let error = lab.try_create(object).await.err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains(says)), "{what}: {error:?}");
    }
    lab.control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_controllers_one_works_and_the_other_takes_over() {
    let Some(lab) = Lab::start().await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    for name in ["catalog", "orders"] {
        lab.create(service(name)).await;
    }
    lab.create(plane("main")).await;
    let candidate = |name: &str| {
        let lease = LeaseOptions::new("kgateway-system", "controller", name).with_duration(Duration::from_secs(3));
        Running::start(lab.client.clone(), options().with_lease(lease))
    };
    let holder = async || {
        let leases = lab.api(("coordination.k8s.io/v1", "Lease"), Some("kgateway-system")).await;
        let lease = leases.get_opt("controller").await.unwrap();
        lease.and_then(|lease| lease.data["spec"]["holderIdentity"].as_str().map(ToOwned::to_owned)).unwrap_or_default()
    };
    let first = candidate("first");
    lab.wait("the first leads", async || match holder().await {
        name if name == "first" => Ok(()),
        name => Err(name),
    })
    .await;
    let second = candidate("second");
    lab.create(component("catalog", "catalog.example.com")).await;
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    assert_eq!(holder().await, "first");

    // The first ends in the middle of its work; the second goes on.
    first.task.abort();
    lab.wait("the second leads", async || match holder().await {
        name if name == "second" => Ok(()),
        name => Err(name),
    })
    .await;
    lab.create(component("orders", "orders.example.com")).await;
    lab.wait_for_condition(COMPONENT, "orders", "Ready", "True").await;
    assert_eq!(lab.routes().await.len(), 2);

    // Told to stop, it gives the Lease back.
    second.stop().await;
    let left = holder().await;
    assert_ne!(left, "second", "the Lease is given back");
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_cannot_do_is_refused_alone_and_without_a_gateway_nothing_is_healthy() {
    let Some(lab) = Lab::start().await else { return };
    lab.create(service("catalog")).await;
    lab.create(plane("main")).await;
    let controller = Running::start(lab.client.clone(), options());
    lab.create(component("catalog", "catalog.example.com")).await;
    // No class: nothing can be applied, and that is said.
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Programmed", "False").await;
    assert!(condition(&main, "Programmed").2.contains("GatewayClass"), "{:#}", main.data["status"]);
    let catalog = lab.api(COMPONENT, Some("shop")).await.get("catalog").await.unwrap();
    assert_ne!(condition(&catalog, "Ready").0, "True", "unknown is never healthy");
    // A gateway that is installed while the controller runs is taken, without a restart.
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;

    // A visibility that the plane has not: that component alone is not served.
    let mut wrong = component("wrong", "wrong.example.com");
    wrong["spec"]["endpoints"][0]["visibilities"] = json!(["nowhere"]);
    lab.create(wrong).await;
    let wrong = lab.wait_for_condition(COMPONENT, "wrong", "Ready", "False").await;
    assert!(condition(&wrong, "Ready").2.contains("False"), "{:#}", wrong.data["status"]);
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;
    controller.stop().await;
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}
