//! Fields of objects of others, derived Secrets, normalisation, and a cluster that does not do as it is asked.

#![allow(clippy::expect_used, clippy::panic, missing_docs)]

mod plan_apply_support;

use std::time::Duration;

use gateway_modules_core::{
    cluster::{Cluster, ClusterError, Health},
    compile::{Phase, Release, Role},
    intent::{DocumentId, FieldRef},
    module::{ClusterReader, Contribution, ContributionValue, DerivedSecret, SecretTransform},
    object::{GroupVersionKind, Object, ObjectKey},
    plan::PlanOptions,
};
use plan_apply_support::{Lab, ROUTE, SECRET, SERVICE, actions, binding, entry, options};
use serde_json::json;

fn field() -> FieldRef {
    FieldRef::new(DocumentId::Component { namespace: "shop".into(), name: "catalog".into() }, "/spec/endpoints/0")
}

fn with_protocol(lab: &Lab, protocol: Option<&str>) -> Release {
    let mut release = lab.release("prod", vec![lab.gateway("gw")]);
    release.contributions = protocol
        .into_iter()
        .map(|protocol| Contribution {
            target: ObjectKey { kind: SERVICE, namespace: Some(lab.name.clone()), name: "backend".into() },
            value: ContributionValue::AppProtocol { port: 80, protocol: protocol.into() },
            reason: "WebSocket".into(),
            source: field(),
        })
        .collect();
    release
}

fn service(lab: &Lab, protocol: Option<&str>) -> Object {
    let mut port = json!({"name": "http", "port": 80});
    if let Some(protocol) = protocol {
        port["appProtocol"] = protocol.into();
    }
    Object::new(&SERVICE, Some(&lab.name), "backend").with_spec(json!({"ports": [port, {"name": "other", "port": 81}]}))
}

async fn protocol(lab: &Lab) -> serde_json::Value {
    lab.get(&SERVICE, "backend").await.expect("there")["spec"]["ports"][0]["appProtocol"].clone()
}

#[tokio::test]
async fn a_field_of_a_service_is_set_kept_and_withdrawn() {
    let Some(lab) = Lab::new().await else { return };
    let release = with_protocol(&lab, Some("kubernetes.io/ws"));
    let outcome = lab.apply(&release).await.expect("applied");
    assert!(outcome.blocked[0].reasons[0].contains("create it"), "{outcome:?}");
    lab.put(&service(&lab, None)).await;
    assert!(lab.apply(&release).await.expect("applied").is_complete());
    assert_eq!(protocol(&lab).await, "kubernetes.io/ws");
    assert!(lab.plan(&release).await.is_empty());
    lab.apply(&with_protocol(&lab, Some("kubernetes.io/h2c"))).await.expect("applied");
    assert_eq!(protocol(&lab).await, "kubernetes.io/h2c");
    let without = with_protocol(&lab, None);
    lab.apply(&without).await.expect("applied");
    assert_eq!(protocol(&lab).await, json!(null));
    assert!(lab.plan(&without).await.is_empty());
    assert!(lab.get(&SERVICE, "backend").await.is_some());
}

#[tokio::test]
async fn a_field_that_somebody_else_has_set_is_refused_and_given_back() {
    let Some(lab) = Lab::new().await else { return };
    lab.put(&service(&lab, Some("http"))).await;
    let release = with_protocol(&lab, Some("kubernetes.io/ws"));
    let plan = lab.plan(&release).await;
    let error = lab.cluster.apply_to_end(&plan, lab.options()).await.expect_err("refused").to_string();
    assert!(error.contains("\"http\"") && error.contains("somebody") && error.contains("kubernetes.io/ws"), "{error}");
    let plan = lab.cluster.plan(&release, PlanOptions::default().with_adopt(true)).await.expect("planned");
    lab.cluster.apply_to_end(&plan, lab.options()).await.expect("taken over");
    assert_eq!(protocol(&lab).await, "kubernetes.io/ws");
    for plan in lab.cluster.plan_delete("prod").await.expect("planned") {
        lab.cluster.apply_to_end(&plan, lab.options()).await.expect("deleted");
    }
    assert_eq!(protocol(&lab).await, "http");
}

#[tokio::test]
async fn a_derived_secret_follows_its_source_and_is_never_shown() {
    let Some(lab) = Lab::new().await else { return };
    let mut release = lab.release("prod", vec![lab.gateway("gw")]);
    release.derived_secrets.push(DerivedSecret {
        namespace: lab.name.clone(),
        source: "users".into(),
        name: "users-htpasswd".into(),
        transform: SecretTransform::HtpasswdSha1 { key: ".htpasswd".into() },
        labels: [("kind".to_owned(), "htpasswd".to_owned())].into(),
        field: field(),
    });
    let outcome = lab.apply(&release).await.expect("applied");
    assert!(outcome.blocked[0].reasons[0].contains("users"), "{outcome:?}");
    let source = |password: &str| {
        Object::new(&SECRET, Some(&lab.name), "users").with_field("stringData", json!({"alice": password}))
    };
    lab.put(&source("password")).await;
    let plan = lab.plan(&release).await;
    assert!(lab.cluster.apply_to_end(&plan, lab.options()).await.expect("applied").is_complete());
    let derived = lab.get(&SECRET, "users-htpasswd").await.expect("there");
    // base64 of `alice:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=` and a line break
    assert_eq!(derived["data"][".htpasswd"], "YWxpY2U6e1NIQX1XNnBoNU1tNVB6OEdnaVVMYlBnekczN21qOWc9Cg==");
    assert_eq!(derived["metadata"]["labels"]["kind"], "htpasswd");
    assert!(lab.plan(&release).await.is_empty());
    lab.put(&source("other")).await;
    let plan = lab.plan(&release).await;
    let shown = format!("{plan} {}", serde_json::to_string(&plan).expect("json"));
    assert!(shown.contains("has changed") && !shown.contains("W6ph5") && !shown.contains("alice"), "{shown}");
    lab.cluster.apply_to_end(&plan, lab.options()).await.expect("applied");
    assert_ne!(lab.get(&SECRET, "users-htpasswd").await.expect("there")["data"], derived["data"]);
    lab.edit(&SECRET, "users-htpasswd", json!({"data": {".htpasswd": "ZXZpbA=="}})).await;
    assert!(!lab.plan(&release).await.is_empty());
    lab.apply(&release).await.expect("mended");
    assert!(lab.plan(&release).await.is_empty());
    let without = lab.release("prod", vec![lab.gateway("gw")]);
    lab.apply(&without).await.expect("applied");
    assert!(lab.get(&SECRET, "users-htpasswd").await.is_none());
    assert!(lab.get(&SECRET, "users").await.is_some());
}

#[tokio::test]
async fn what_the_server_writes_in_another_way_is_no_difference() {
    let Some(lab) = Lab::new().await else { return };
    let parameters = GroupVersionKind::of("gateway.kgateway.dev", "v1alpha1", "GatewayParameters");
    let resources = json!({"kube": {"envoyContainer": {"resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}}},
        "service": {"ports": [{"port": 80, "nodePort": 30080}]}}});
    let deployment = GroupVersionKind::of("apps", "v1", "Deployment");
    // A built-in kind, where the server writes quantities its own way.
    let labels = json!({"app": "a"});
    let normalised = Object::new(&deployment, Some(&lab.name), "d").with_spec(json!({"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [
        {"name": "c", "image": "none", "resources": {"requests": {"cpu": "1000m", "memory": "0.5Gi"}}}]}}}));
    let release = lab.release(
        "prod",
        vec![
            entry(
                Object::new(&parameters, Some(&lab.name), "params").with_spec(resources),
                Phase::Foundation,
                Role::Parameters,
            ),
            entry(service(&lab, None), Phase::Foundation, Role::Parameters),
            entry(normalised, Phase::Foundation, Role::Parameters),
            lab.gateway("gw"),
            lab.route("a", "a.example.com"),
        ],
    );
    lab.apply(&release).await.expect("applied");
    let plan = lab.plan(&release).await;
    assert!(plan.is_empty(), "{plan}");
}

#[tokio::test]
async fn unknown_fields_kinds_and_namespaces_are_named() {
    let Some(lab) = Lab::new().await else { return };
    let mut release = lab.release("prod", vec![lab.route("a", "a.example.com")]);
    if let Some(rule) = release.objects[0].object.pointer_mut("/spec/rules/0") {
        rule["retry"] = json!({"attempts": 2});
    }
    let error = lab.apply(&release).await.expect_err("unknown field");
    assert!(matches!(&error, ClusterError::FieldUnknown { message, .. } if message.contains("retry")), "{error}");
    assert!(lab.get(&ROUTE, "a").await.is_none());
    let kind = GroupVersionKind::of("nowhere.example.com", "v1", "Thing");
    let thing = entry(Object::new(&kind, Some(&lab.name), "t"), Phase::Policies, Role::Policy { kinds: Vec::new() });
    let release = lab.release("prod", vec![thing]);
    let error = lab.cluster.plan(&release, PlanOptions::default()).await.expect_err("kind missing");
    assert!(
        matches!(&error, ClusterError::KindMissing { .. }) && error.to_string().contains("nowhere.example.com"),
        "{error}"
    );
    let mut elsewhere = lab.route("a", "a.example.com");
    elsewhere.object =
        Object::new(&ROUTE, Some("no-such-namespace"), "a").with_spec(elsewhere.object.to_value()["spec"].clone());
    let release = lab.release("other", vec![elsewhere]);
    let error = lab.apply(&release).await.expect_err("namespace missing");
    assert!(
        matches!(&error, ClusterError::NamespaceMissing { namespace } if namespace == "no-such-namespace"),
        "{error}"
    );
}

#[tokio::test]
async fn missing_rights_bad_credentials_and_a_silent_server_are_told_apart() {
    let Some(lab) = Lab::new().await else { return };
    let client = |url: &str, token: &str| {
        let mut config = kube::Config::new(url.parse().expect("url"));
        config.accept_invalid_certs = true;
        config.auth_info = serde_json::from_value(json!({"token": token})).expect("credentials");
        kube::Client::try_from(config).expect("client")
    };
    let kubeconfig = lab.control_plane.kubeconfig().expect("kubeconfig");
    let server = kubeconfig.clusters[0].cluster.as_ref().and_then(|cluster| cluster.server.clone()).expect("server");
    let release = lab.release("prod", vec![lab.gateway("gw")]);
    let short = || options(&lab.name).with_timeouts(Duration::from_millis(300), Duration::from_millis(600));
    let plan = |client| {
        let (cluster, release) = (Cluster::new(client, short()), release.clone());
        async move { cluster.plan(&release, PlanOptions::default()).await.expect_err("refused") }
    };
    let error = plan(lab.control_plane.client_for("tenant", &[]).await.expect("client")).await;
    assert!(matches!(&error, ClusterError::Forbidden { verb: "list", .. }), "{error}");
    assert!(error.to_string().contains("resources: [\"configmaps\"], verbs: [\"list\"]"), "{error}");
    let error = plan(client(&server, "expired")).await;
    assert!(matches!(&error, ClusterError::Unauthorized { .. }), "{error}");
    let error = plan(client("https://127.0.0.1:1", "x")).await;
    assert!(matches!(&error, ClusterError::Unreachable { .. }), "{error}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}", silent.local_addr().expect("address"));
    let error = plan(client(&url, "x")).await;
    assert!(matches!(&error, ClusterError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn the_status_is_never_healthy_without_a_controller() {
    let Some(lab) = Lab::new().await else { return };
    let mut release = lab.release("prod", vec![lab.gateway("gw"), lab.route("a", "a.example.com")]);
    let status = lab.cluster.status(&release).await.expect("status");
    assert_eq!(status.health, Health::Unknown, "{status:?}");
    lab.apply(&release).await.expect("applied");
    let status = lab.cluster.status(&release).await.expect("status");
    // The CRD of Gateway writes `Unknown`/`Pending` by default.
    assert_eq!(status.health, Health::Unknown, "{status:?}");
    lab.put(&service(&lab, None)).await;
    let _stand_in = lab.stand_in().await;
    let mut status = lab.cluster.status(&release).await.expect("status");
    for _ in 0..50 {
        if status.health == Health::Ready {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        status = lab.cluster.status(&release).await.expect("status");
    }
    assert_eq!(status.health, Health::Ready, "{:?}", status.reasons);
    assert_eq!(status.endpoints[0].urls, ["http://a.example.com/"]);
    assert_eq!(status.endpoints[0].binding, Some(binding("a")));
    assert_eq!(status.gateways[0].addresses, ["203.0.113.10"]);
    assert_eq!(lab.cluster.status_of("prod").await.expect("status").health, Health::Ready);
    release.objects[1].object = lab.route_object("a", "b.example.com", "backend");
    let status = lab.cluster.status(&release).await.expect("status");
    assert_eq!(status.health, Health::Progressing, "{:?}", status.reasons);
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_the_reader_reads() {
    let Some(lab) = Lab::new().await else { return };
    let release = lab.release("prod", vec![lab.gateway("gw")]);
    let plan = lab.plan(&release).await;
    assert_eq!(actions(&plan), ["create gw"]);
    lab.cluster.apply_to_end(&plan, lab.options().with_dry_run(true)).await.expect("asked");
    assert!(lab.writes().await.is_empty());
    let reader = lab.cluster.reader();
    let class = reader.get(&plan_apply_support::CLASS, None, &lab.name).await.expect("read").expect("there");
    assert_eq!(class["spec"]["controllerName"], lab.controller.as_str());
    let missing = GroupVersionKind::of("nowhere.example.com", "v1", "Thing");
    assert!(reader.list(&missing, None).await.expect("read").is_empty());
}
