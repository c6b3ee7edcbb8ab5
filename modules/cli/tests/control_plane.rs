//! `gwm` against a real control plane: what it renders is accepted, what it applies is what it said, in that order.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use gateway_modules_testkit::{
    AuditEntry, Channel, ControlPlane, LoopbackServer, Options, StandIn, StandInOptions, crds, create_namespace,
    schemas_or_explain,
};
use hyper::StatusCode;
use kube::{
    Client,
    api::{Api, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
    discovery::{Discovery, Scope},
};
use serde_json::{Value, json};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/intents");

/// A control plane with CRDs, and a kubeconfig for the program.
struct Lab {
    control_plane: ControlPlane,
    client: Client,
    folder: tempfile::TempDir,
}

impl Lab {
    async fn start(channel: Channel) -> Option<Self> {
        let schemas = schemas_or_explain().unwrap()?;
        let control_plane = ControlPlane::start(Options::default()).await.unwrap();
        let client = control_plane.client().await.unwrap();
        crds::install_gateway_api(&client, &schemas, channel).await.unwrap();
        crds::install_vendor(&client, &schemas, "kgateway").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = serde_json::to_string(&control_plane.kubeconfig().unwrap()).unwrap();
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
        Some(Self { control_plane, client, folder })
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Runs `gwm` with the kubeconfig of the control plane.
    fn gwm(&self, arguments: &[&str]) -> Output {
        gwm(arguments, Some(&self.kubeconfig()))
    }

    fn intent(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn writes_since(&self, start: usize) -> Vec<AuditEntry> {
        let log = self.control_plane.audit_log().await.unwrap();
        let ours = |entry: &AuditEntry| {
            entry.is_write()
                && entry.query.get("fieldManager").is_some_and(|manager| manager.starts_with("gateway-modules"))
                || (entry.is_write() && entry.user_agent.contains("gwm"))
        };
        log.into_iter().skip(start).filter(|entry| ours(entry) && !entry.resource.contains("leases")).collect()
    }

    async fn log_length(&self) -> usize {
        self.control_plane.audit_log().await.unwrap().len()
    }

    async fn api(&self, object: &Value) -> Api<DynamicObject> {
        let (group, version) = object["apiVersion"]
            .as_str()
            .unwrap()
            .split_once('/')
            .unwrap_or(("", object["apiVersion"].as_str().unwrap()));
        let kind = GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
        let (resource, capabilities) =
            Discovery::new(self.client.clone()).filter(&[group]).run().await.unwrap().resolve_gvk(&kind).unwrap();
        match (capabilities.scope, object["metadata"]["namespace"].as_str()) {
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            _ => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn create(&self, object: Value) {
        let api = self.api(&object).await;
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
}

fn gwm(arguments: &[&str], kubeconfig: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gwm"));
    command.args(arguments).env_remove("KUBECONFIG").env("NO_COLOR", "1");
    if let Some(kubeconfig) = kubeconfig {
        command.arg("--kubeconfig").arg(kubeconfig);
    }
    command.output().unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout:\n{stdout}\nstderr:\n{stderr}");
    stdout.into_owned() + &stderr
}

/// The objects that `gwm render` prints.
fn rendered(arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["render", "-o", "json"];
    all.extend_from_slice(arguments);
    let output = gwm(&all, None);
    expect(&output, 0);
    let releases: Value = serde_json::from_slice(&output.stdout).unwrap();
    let objects = releases["releases"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|release| release["objects"].as_array().unwrap().clone());
    objects.collect()
}

async fn dry_run_accepts_everything(channel: Channel, name: &str) {
    let Some(lab) = Lab::start(channel).await else { return };
    for namespace in ["gateways", "shop", "openchoreo-data-plane", "default"] {
        create_namespace(&lab.client, namespace).await.unwrap();
    }
    for namespace in [
        "dp-default-default-development-f8e58905",
        "dp-acme-shop-development-12d45ec4",
        "dp-acme-shop-production-2ca6d214",
    ] {
        create_namespace(&lab.client, namespace).await.unwrap();
    }
    let mut accepted = 0;
    for folder in ["shop", "fixtures"] {
        let path = format!("{EXAMPLES}/{folder}");
        for form in [
            &["-f", path.as_str(), "--channel", name][..],
            &["-f", path.as_str(), "--channel", name, "--allow-ungated"],
        ] {
            for object in rendered(form) {
                let api = lab.api(&object).await;
                let parameters = PatchParams { dry_run: true, ..PatchParams::apply("test").validation_strict() };
                let object_name = object["metadata"]["name"].as_str().unwrap();
                let result = api.patch(object_name, &parameters, &Patch::Apply(&object)).await;
                assert!(result.is_ok(), "{object:#}\n{}", result.unwrap_err());
                accepted += 1;
            }
        }
    }
    assert!(accepted > 80, "{accepted}");
    println!("{accepted} objects accepted, {name} channel");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_all_that_is_rendered_in_the_standard_channel() {
    dry_run_accepts_everything(Channel::Standard, "standard").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_all_that_is_rendered_in_the_experimental_channel() {
    dry_run_accepts_everything(Channel::Experimental, "experimental").await;
}

const INTENT: &str = r"
apiVersion: gatewaymodules.dev/v1alpha1
kind: Component
metadata: { name: catalog, namespace: shop }
spec:
  endpoints:
    - name: api
      type: HTTP
      port: 8080
      visibilities: [external, internal]
      policies:
        basicAuth: { credentials: { name: users } }
        timeouts: { request: 5s }
    - name: live
      type: WebSocket
      port: 8081
      visibilities: [external]
";

async fn shop(lab: &Lab) {
    for namespace in ["shop", "kgateway-system"] {
        create_namespace(&lab.client, namespace).await.unwrap();
    }
    lab.create(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "catalog", "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 8080}, {"name": "live", "port": 8081}]},
    }))
    .await;
    lab.create(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", "namespace": "shop"},
        "stringData": {"alice": "correct horse battery staple"},
    }))
    .await;
}

/// A change of a backend of a route in a write, `closed` when it does not exist on purpose.
fn backend(entry: &AuditEntry) -> Option<String> {
    let body = entry.request_object.as_ref()?;
    body.pointer("/spec/rules/0/backendRefs/0/name").and_then(Value::as_str).map(ToOwned::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_alone_is_applied_reported_and_deleted() {
    let Some(lab) = Lab::start(Channel::Standard).await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    shop(&lab).await;
    let intent = lab.intent("catalog.yaml", INTENT);
    wait_for_class(&lab).await;

    // First apply: the protected routes are closed, acknowledged, opened.
    let before = lab.log_length().await;
    let told = expect(&lab.gwm(&["apply", "-f", &intent]), 0);
    assert!(!told.contains("correct horse"), "a secret in the output");
    let writes = lab.writes_since(before).await;
    assert!(
        writes
            .iter()
            .all(|entry| entry.verb != "patch" || entry.query.get("force").is_none_or(|force| force != "true")),
        "no force"
    );
    let protected: Vec<_> = writes
        .iter()
        .filter(|entry| entry.resource == "httproutes" && entry.name.contains("catalog-api-external"))
        .collect();
    let backends: Vec<_> = protected.iter().filter_map(|entry| backend(entry)).collect();
    assert_eq!(backends, ["closed-until-policies-are-effective", "catalog"], "closed first, then open");
    assert!(
        protected.iter().all(|entry| entry.query.get("fieldValidation").is_some_and(|mode| mode == "Strict")),
        "{protected:#?}"
    );
    let policy =
        writes.iter().position(|entry| entry.resource == "trafficpolicies" && entry.name.contains("external")).unwrap();
    let opened = writes.iter().rposition(|entry| entry.name == protected[0].name).unwrap();
    assert!(policy < opened, "the policy is written before the route is opened");
    assert!(told.contains("closed") && told.contains("acknowledged") && told.contains("opened"), "{told}");

    // The Secret that kgateway reads is derived; the Service gets its appProtocol and nothing else.
    let service = lab
        .api(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop"}}))
        .await
        .get("catalog")
        .await
        .unwrap();
    assert_eq!(service.data["spec"]["ports"][1]["appProtocol"], "kubernetes.io/ws");
    assert!(service.data["spec"]["ports"][0].get("appProtocol").is_none());

    // Again: no write at all.
    let before = lab.log_length().await;
    expect(&lab.gwm(&["apply", "-f", &intent]), 0);
    let again = lab.writes_since(before).await;
    assert!(again.is_empty(), "{again:#?}");
    let plan = expect(&lab.gwm(&["plan", "-f", &intent]), 0);
    assert!(plan.contains("nothing to do"), "{plan}");

    // Status is Ready, with URLs and promises kept.
    let status = expect(&lab.gwm(&["status", "-f", &intent]), 0);
    assert!(status.contains("Ready") && status.contains("http://") && status.contains("P2 acknowledged"), "{status}");

    // A hand edit of an owned field shows as exactly that, and is repaired.
    let routes = lab.api(&json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"namespace": "shop"}})).await;
    let edit = json!({"spec": {"hostnames": ["elsewhere.example.com"]}});
    routes.patch(&protected[0].name, &PatchParams::default(), &Patch::Merge(edit)).await.unwrap();
    let plan = expect(&lab.gwm(&["plan", "-f", &intent, "--adopt"]), 0);
    assert!(plan.contains("elsewhere.example.com") && plan.contains(&protected[0].name), "{plan}");
    assert_eq!(plan.matches("~ update").count(), 1, "{plan}");
    expect(&lab.gwm(&["apply", "-f", &intent, "--adopt"]), 0);

    // A component that leaves the intent takes its objects with it, and nothing else.
    let other = lab.intent("catalog.yaml", &INTENT[..INTENT.find("    - name: live").unwrap()]);
    let plan = expect(&lab.gwm(&["plan", "-f", &other]), 0);
    assert_eq!(plan.matches("- delete").count(), 1, "{plan}");
    expect(&lab.gwm(&["apply", "-f", &other]), 0);
    let service = lab
        .api(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop"}}))
        .await
        .get("catalog")
        .await
        .unwrap();
    assert!(service.data["spec"]["ports"][1].get("appProtocol").is_none(), "the contribution is withdrawn");

    // Delete: everything goes, the user's Service and Secret stay.
    expect(&lab.gwm(&["delete", "--data-plane", "default"]), 0);
    for kind in [
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("gateway.networking.k8s.io/v1", "Gateway"),
        ("gateway.kgateway.dev/v1alpha1", "TrafficPolicy"),
    ] {
        let api = lab.api(&json!({"apiVersion": kind.0, "kind": kind.1, "metadata": {}})).await;
        let left = api.list(&Default::default()).await.unwrap().items;
        assert!(left.is_empty(), "{kind:?}: {left:#?}");
    }
    let secrets = lab
        .api(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "shop"}}))
        .await
        .list(&Default::default())
        .await
        .unwrap();
    assert_eq!(secrets.items.iter().map(|secret| secret.metadata.name.clone().unwrap()).collect::<Vec<_>>(), ["users"]);
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_collector_that_gets_no_spans_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_gwm"))
        .args(["controller", "--kubeconfig", "/nowhere"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        .output()
        .unwrap();
    let told = expect(&output, 1);
    assert!(told.contains("built without the feature `otlp`"), "{told}");
}

async fn wait_for_class(lab: &Lab) {
    let classes =
        lab.api(&json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {}})).await;
    for _ in 0..100 {
        let class = classes.get_opt("kgateway").await.unwrap();
        let conditions = class.as_ref().and_then(|class| class.data["status"]["conditions"].as_array());
        let accepted = |condition: &Value| condition["type"] == "Accepted" && condition["status"] == "True";
        if conditions.into_iter().flatten().any(accepted) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the stand-in made no GatewayClass, or did not accept it");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_controller_a_protected_route_stays_closed() {
    let Some(lab) = Lab::start(Channel::Standard).await else { return };
    shop(&lab).await;
    lab.create(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "kgateway"},
        "spec": {"controllerName": "kgateway.dev/kgateway"},
    }))
    .await;
    // A class that nobody has accepted is no target; only a plane that names the module has it.
    let intent = lab.intent("catalog.yaml", INTENT);
    let told = expect(&lab.gwm(&["plan", "-f", &intent]), 1);
    assert!(told.contains("no GatewayClass is accepted") && told.contains("kgateway"), "{told}");
    let plane = "apiVersion: gatewaymodules.dev/v1alpha1\nkind: DataPlane\nmetadata: { name: default }\n\
                 spec: { gateway: { module: kgateway } }\n---";
    let intent = lab.intent("catalog.yaml", &format!("{plane}{INTENT}"));
    let told = expect(&lab.gwm(&["apply", "-f", &intent, "--gate-timeout", "2"]), 4);
    assert!(told.contains("Blocked"), "{told}");
    let routes = lab.api(&json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"namespace": "shop"}})).await;
    for route in routes.list(&Default::default()).await.unwrap().items {
        let name = route.metadata.name.unwrap();
        let open = route.data["spec"]["rules"][0]["backendRefs"][0]["name"] == "catalog";
        assert_eq!(open, name.contains("live"), "{name}: only the unprotected route is open");
    }
    let status = expect(&lab.gwm(&["status", "-f", &intent]), 4);
    assert!(status.contains("Blocked"), "{status}");
    lab.control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_route_is_asked_for_its_refusal_and_an_answer_is_exit_4() {
    let Some(lab) = Lab::start(Channel::Standard).await else { return };
    let server = LoopbackServer::start().await.unwrap();
    let options = StandInOptions::kgateway().address("127.0.0.1");
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), options);
    shop(&lab).await;
    wait_for_class(&lab).await;
    let plane = format!(
        "apiVersion: gatewaymodules.dev/v1alpha1\nkind: DataPlane\nmetadata: {{ name: default }}\nspec:\n  \
         gateway: {{ module: kgateway }}\n  visibilities:\n    external: {{ listeners: [{{ name: http, protocol: HTTP, port: {} }}] }}\n---",
        server.http_port()
    );
    let component = "
apiVersion: gatewaymodules.dev/v1alpha1
kind: Component
metadata: { name: catalog, namespace: shop }
spec:
  endpoints:
    - name: api
      type: HTTP
      port: 8080
      visibilities: [external]
      hostnames: [catalog.example.com]
      policies: { basicAuth: { credentials: { name: users } } }
";
    let intent = lab.intent("catalog.yaml", &format!("{plane}{component}"));
    server.answer("catalog.example.com", StatusCode::UNAUTHORIZED);
    expect(&lab.gwm(&["apply", "-f", &intent]), 0);
    assert!(server.requests().is_empty(), "nobody has asked for a probe");
    let told = expect(&lab.gwm(&["apply", "-f", &intent, "--probe"]), 0);
    assert!(told.contains("1 security policies were seen to refuse"), "{told}");
    let told = expect(&lab.gwm(&["status", "-f", &intent, "--probe"]), 0);
    assert!(told.contains("P3 observed") && told.contains("401 to GET"), "{told}");

    server.answer("catalog.example.com", StatusCode::OK);
    for command in ["apply", "status"] {
        let told = expect(&lab.gwm(&[command, "-f", &intent, "--probe"]), 4);
        assert!(told.contains("basic-auth of shop/catalog api (external) is open: 200 to GET"), "{told}");
    }
    let status = lab.gwm(&["status", "-f", &intent, "--probe", "-o", "json"]);
    expect(&status, 4);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status[0]["health"], &status[0]["endpoints"][0]["health"]), (&json!("open"), &json!("open")));
    assert_eq!(status[0]["promises"][0].get("achieved"), None, "{status:#}");

    server.answer("catalog.example.com", StatusCode::NOT_FOUND);
    let told = expect(&lab.gwm(&["status", "-f", &intent, "--probe"]), 4);
    assert!(told.contains("is not seen to refuse: 404 to GET") && told.contains("P2 acknowledged"), "{told}");
    expect(&lab.gwm(&["status", "-f", &intent]), 0);
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_planes_with_one_class_and_one_host_leave_each_other_alone() {
    let Some(lab) = Lab::start(Channel::Standard).await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    shop(&lab).await;
    wait_for_class(&lab).await;
    let plane = |name: &str| {
        format!(
            "apiVersion: gatewaymodules.dev/v1alpha1\nkind: DataPlane\nmetadata: {{ name: {name} }}\nspec: {{}}\n---\n\
             apiVersion: gatewaymodules.dev/v1alpha1\nkind: Component\nmetadata: {{ name: catalog, namespace: shop }}\n\
             spec:\n  endpoints:\n    - {{ name: api, type: HTTP, port: 8080, visibilities: [external], hostnames: [shop.example.com] }}\n"
        )
    };
    let (one, two) = (lab.intent("one.yaml", &plane("one")), lab.intent("two.yaml", &plane("two")));
    expect(&lab.gwm(&["apply", "-f", &one]), 0);
    let routes = lab.api(&json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"namespace": "shop"}})).await;
    let spec = |items: Vec<DynamicObject>| -> Vec<Value> {
        items
            .into_iter()
            .filter(|item| item.metadata.name.as_ref().unwrap().starts_with("one-"))
            .map(|item| item.data["spec"].clone())
            .collect()
    };
    let before = spec(routes.list(&Default::default()).await.unwrap().items);
    expect(&lab.gwm(&["apply", "-f", &two]), 0);
    expect(&lab.gwm(&["delete", "--data-plane", "two"]), 0);
    assert_eq!(before, spec(routes.list(&Default::default()).await.unwrap().items));
    let plan = expect(&lab.gwm(&["plan", "-f", &one]), 0);
    assert!(plan.contains("nothing to do"), "{plan}");
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_installed_is_shown_chosen_and_kept() {
    let Some(lab) = Lab::start(Channel::Standard).await else { return };
    shop(&lab).await;
    let told = expect(&lab.gwm(&["discover"]), 0);
    assert!(told.contains("no gateway is installed") && told.contains("standard"), "{told}");

    // A gateway that no module names goes to `generic`, with exactly what its class publishes.
    let acme =
        StandInOptions::new("acme.example/gateway").class("acme").makes_classes(true).supported_feature("HTTPRoute");
    let first = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), acme);
    let plain = INTENT.replace("        basicAuth: { credentials: { name: users } }\n", "");
    let plain = plain.replace("        timeouts: { request: 5s }\n", "").replace("      policies:\n", "");
    let plain = &plain[..plain.find("    - name: live").unwrap()].replace("[external, internal]", "[external]");
    let intent = lab.intent("catalog.yaml", plain);
    let mut told = String::new();
    for _ in 0..100 {
        told = expect(&lab.gwm(&["discover", "-o", "json"]), 0);
        if told.contains("\"class\": \"acme\"") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let found: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(found["choice"]["module"], "generic", "{told}");
    assert_eq!(found["classes"][0]["eligibility"]["verdict"], "eligible", "{told}");
    expect(&lab.gwm(&["apply", "-f", &intent]), 0);
    let cors = plain.to_owned() + "      policies: { cors: { allowOrigins: [\"https://example.com\"] } }\n";
    let refused = expect(&lab.gwm(&["plan", "-f", &lab.intent("cors.yaml", &cors)]), 3);
    assert!(refused.contains("cors"), "{refused}");

    // A second gateway, the default at that, changes nothing.
    let second = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    wait_for_class(&lab).await;
    let plan = expect(&lab.gwm(&["plan", "-f", &intent]), 0);
    assert!(plan.contains("nothing to do") && plan.contains("module generic") && plan.contains("chosen 20"), "{plan}");
    let told = expect(&lab.gwm(&["discover"]), 0);
    assert!(told.contains("acme.example/gateway") && told.contains("gets kgateway"), "{told}");

    // The class goes: an error, and nothing goes with it. Another module is an outage that must be allowed.
    first.stop().await;
    let classes =
        lab.api(&json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {}})).await;
    classes.delete("acme", &Default::default()).await.unwrap();
    let before = lab.log_length().await;
    let told = expect(&lab.gwm(&["apply", "-f", &intent]), 1);
    assert!(told.contains("acme"), "{told}");
    assert!(lab.writes_since(before).await.is_empty());
    let plane = "apiVersion: gatewaymodules.dev/v1alpha1\nkind: DataPlane\nmetadata: { name: default }\n\
                 spec: { gateway: { module: kgateway } }\n---";
    let moved = lab.intent("moved.yaml", &format!("{plane}{plain}"));
    let told = expect(&lab.gwm(&["apply", "-f", &moved]), 1);
    assert!(told.contains("--allow-outage"), "{told}");
    let plan = expect(&lab.gwm(&["plan", "-f", &moved, "--allow-outage"]), 0);
    assert!(plan.contains("delete") && plan.contains("create"), "{plan}");
    expect(&lab.gwm(&["apply", "-f", &moved, "--allow-outage"]), 0);
    let gateways =
        lab.api(&json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {}})).await;
    let left = gateways.list(&Default::default()).await.unwrap().items;
    assert!(left.iter().all(|gateway| gateway.data["spec"]["gatewayClassName"] == "kgateway"), "{left:#?}");
    second.stop().await;
    lab.control_plane.stop().await.unwrap();
}

#[test]
fn an_unreachable_api_server_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "users": [{"name": "x", "user": {}}],
    });
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let intent = format!("{EXAMPLES}/fixtures");
    let told = expect(&gwm(&["plan", "-f", &intent, "--request-timeout", "1"], Some(&kubeconfig)), 1);
    assert!(told.contains("reach") || told.contains("no answer"), "{told}");
}
