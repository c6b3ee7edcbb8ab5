//! The service against a real control plane: exposed by its API, routed by the controller beside it, told as it happens.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use futures::StreamExt;
use gateway_modules::core::{cluster::ClusterOptions, intent::crd::definitions};
use gateway_modules_controller::{ControllerOptions, ReconcilerOptions};
use gateway_modules_testkit::{
    Channel, ControlPlane, Options, StandIn, StandInOptions, crds, create_namespace, schemas_or_explain,
};
use http_body_util::BodyExt;
use kube::{
    Client,
    api::{Api, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    discovery::{Scope, pinned_kind},
};
use serde_json::{Value, json};
use tower::ServiceExt;

async fn create(client: &Client, object: Value) {
    let version = object["apiVersion"].as_str().unwrap();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
    let (resource, capabilities) = pinned_kind(client, &kind).await.unwrap();
    let api: Api<DynamicObject> = match (capabilities.scope, object["metadata"]["namespace"].as_str()) {
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, &resource),
        _ => Api::all_with(client.clone(), &resource),
    };
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    api.patch(&name, &PatchParams::apply("test"), &Patch::Apply(object)).await.unwrap();
}

async fn call(api: &Router, method: &str, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let answer = api.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

fn is_true(status: &Value, condition: &str) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.filter(|one| one["type"] == condition).any(|one| one["status"] == "True")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_exposed_watched_and_withdrawn() {
    let Some(schemas) = schemas_or_explain().unwrap() else { return };
    let control_plane = ControlPlane::start(Options::default()).await.unwrap();
    let client = control_plane.client().await.unwrap();
    crds::install_gateway_api(&client, &schemas, Channel::Standard).await.unwrap();
    crds::install_vendor(&client, &schemas, "kgateway").await.unwrap();
    crds::install(&client, definitions()).await.unwrap();
    for namespace in ["shop", "kgateway-system"] {
        create_namespace(&client, namespace).await.unwrap();
    }
    let stand_in = StandIn::start(control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    let port = json!([{"port": 8080}]);
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "catalog", "namespace": "shop"}, "spec": {"ports": port}});
    create(&client, service).await;
    tokio::time::sleep(Duration::from_secs(2)).await; // the definitions of the intents are served by then
    create(&client, json!({"apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "DataPlane", "metadata": {"name": "main"}, "spec": {}}))
        .await;

    let cluster = ClusterOptions::default().with_holder("test");
    let api = embed_in_a_service::api(client.clone(), cluster.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let controller = tokio::spawn(gateway_modules_controller::run(
        client.clone(),
        gateway_modules::registry().unwrap(),
        ControllerOptions::default().with_reconciler(ReconcilerOptions::default().with_cluster(cluster)),
        async { drop(stopped.await) },
    ));

    let catalog = "/components/shop/catalog";
    let spec = json!({"endpoints": [{"name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"],
        "hostnames": ["catalog.example.com"]}]});

    // A mistake is told with its field and mend, and nothing is stored.
    let mut wrong = spec.clone();
    wrong["endpoints"][0]["prot"] = json!(1);
    let (status, answer) = call(&api, "PUT", catalog, Some(&wrong)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer:#}");
    assert!(answer.to_string().contains("/spec/endpoints/0/prot"), "{answer:#}");
    assert_eq!(call(&api, "GET", catalog, None).await.0, StatusCode::NOT_FOUND);

    // A plan is data, and writes nothing.
    let mut planned = call(&api, "POST", &format!("{catalog}/plan"), Some(&spec)).await;
    // The class is accepted in a moment.
    for _ in 0..100 {
        if planned.0 == StatusCode::OK {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        planned = call(&api, "POST", &format!("{catalog}/plan"), Some(&spec)).await;
    }
    let (status, plan) = planned;
    assert_eq!(status, StatusCode::OK, "{plan:#}");
    assert!(plan.to_string().contains("HTTPRoute") && plan["plans"][0]["module"] == "kgateway", "{plan:#}");
    assert_eq!(call(&api, "GET", catalog, None).await.0, StatusCode::NOT_FOUND);

    // Exposed, and told as it happens, until it is ready with its address.
    let (status, answer) = call(&api, "PUT", catalog, Some(&spec)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer:#}");
    let request = Request::get(format!("{catalog}/events")).body(Body::empty()).unwrap();
    let mut events = api.clone().oneshot(request).await.unwrap().into_body().into_data_stream();
    let ready = tokio::time::timeout(Duration::from_secs(60), async {
        let mut count = 0;
        while let Some(Ok(frame)) = events.next().await {
            count += 1;
            let text = String::from_utf8_lossy(&frame).into_owned();
            let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
            let change: Value = serde_json::from_str(data).unwrap_or_default();
            if is_true(&change["status"], "Ready") {
                println!("ready after {count} events");
                return change;
            }
        }
        panic!("the stream ended");
    })
    .await
    .unwrap();
    assert!(ready["status"].to_string().contains("catalog.example.com"), "{ready:#}");
    let (_, shown) = call(&api, "GET", catalog, None).await;
    assert!(is_true(&shown["status"], "Ready"), "{shown:#}");

    // What no gateway here can do is refused on the component, with the reason.
    let mut secured = spec.clone();
    secured["endpoints"][0]["policies"] = json!({"rateLimitGlobal": {"requests": 5, "per": "1m", "service": {"redis": {"service": "redis", "port": 6379}}}});
    let (status, refused) = call(&api, "POST", &format!("{catalog}/plan"), Some(&secured)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused:#}");
    assert!(refused.to_string().contains("rateLimitGlobal"), "{refused:#}");

    // Somebody has a route of the same name already: that is said, nothing of it is touched, until it is handed over.
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let (resource, _) = pinned_kind(&client, &kind).await.unwrap();
    let routes: Api<DynamicObject> = Api::namespaced_with(client.clone(), "shop", &resource);
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "orders", "namespace": "shop"}, "spec": {"ports": [{"port": 8080}]}});
    create(&client, service).await;
    let mut orders = spec.clone();
    orders["endpoints"][0]["hostnames"] = json!(["orders.example.com"]);
    let (_, plan) = call(&api, "POST", "/components/shop/orders/plan", Some(&orders)).await;
    let steps = plan["plans"][0]["plan"]["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["owners"] == json!(["shop/orders"])), "only what is its own: {steps:#?}");
    let name = steps.iter().find(|step| step["key"]["kind"] == "HTTPRoute").unwrap()["key"]["name"].clone();
    let by_hand = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop"}, "spec": {"hostnames": ["by-hand.example.com"]}});
    create(&client, by_hand).await;
    let hosts = async || routes.get(name.as_str().unwrap()).await.unwrap().data["spec"]["hostnames"].clone();
    assert_eq!(call(&api, "PUT", "/components/shop/orders", Some(&orders)).await.0, StatusCode::ACCEPTED);
    for attempt in 0.. {
        let (_, shown) = call(&api, "GET", "/components/shop/orders", None).await;
        if shown["status"].to_string().contains("ApplyFailed") && shown["status"].to_string().contains("test") {
            break;
        }
        assert!(attempt < 300, "{shown:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(hosts().await, json!(["by-hand.example.com"]));
    // Another component is not asked for its consent.
    let (status, refused) = call(&api, "POST", &format!("{catalog}/adopt"), None).await;
    assert_eq!(status, StatusCode::CONFLICT, "{refused:#}");
    assert_eq!(hosts().await, json!(["by-hand.example.com"]));
    let (status, adopted) = call(&api, "POST", "/components/shop/orders/adopt", None).await;
    assert_eq!(status, StatusCode::OK, "{adopted:#}");
    assert_eq!(hosts().await, json!(["orders.example.com"]));
    for attempt in 0.. {
        if is_true(&call(&api, "GET", "/components/shop/orders", None).await.1["status"], "Ready") {
            break;
        }
        assert!(attempt < 300, "it is not ready");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(call(&api, "DELETE", "/components/shop/orders", None).await.0, StatusCode::ACCEPTED);

    // Withdrawn: the stream says so and ends, and the route goes.
    assert_eq!(call(&api, "DELETE", catalog, None).await.0, StatusCode::ACCEPTED);
    let deleted = tokio::time::timeout(Duration::from_secs(30), async {
        while let Some(Ok(frame)) = events.next().await {
            if String::from_utf8_lossy(&frame).contains("event: deleted") {
                return true;
            }
        }
        false
    })
    .await
    .unwrap();
    assert!(deleted);
    for attempt in 0.. {
        if routes.list(&Default::default()).await.unwrap().items.is_empty() {
            break;
        }
        assert!(attempt < 300, "the route stays");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    stop.send(()).unwrap();
    controller.await.unwrap().unwrap();
    stand_in.stop().await;
    control_plane.stop().await.unwrap();
}
