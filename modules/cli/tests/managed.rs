//! `gwm controller` installs, upgrades, mends and removes gateways of planes that say `gateway.install: managed`, on a real control
//! plane, by the real Helm, with the vendor's own charts of Istio and small ones with kgateway's value paths.
//!
//! There are no nodes: see [`Kubelet`](installation_support::Kubelet).

#![allow(clippy::unwrap_used, clippy::panic)]

mod installation_support;

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use gateway_modules::core::cluster::{Cluster, ClusterOptions};
use gateway_modules_installation::{Phase, Record};
use gateway_modules_testkit::{AuditEntry, create_namespace};
use installation_support::{ISTIO, Lab, expect, plural, small_charts};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

const VERSION: &str = "gatewaymodules.dev/v1alpha1";

/// A `gwm controller`, which is killed when dropped, and the Helm that it runs, which tells each of its calls.
struct Controller {
    process: Child,
    calls: PathBuf,
    log: PathBuf,
}

impl Drop for Controller {
    fn drop(&mut self) {
        // SIGKILL to the process group: Helm as well.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}

impl Controller {
    fn start(lab: &Lab, more: &[&str]) -> Self {
        Self::start_as(lab, "kubeconfig", more)
    }

    fn start_as(lab: &Lab, kubeconfig: &str, more: &[&str]) -> Self {
        Self::start_electing(lab, kubeconfig, &[&["--no-leader-election"], more].concat())
    }

    fn start_electing(lab: &Lab, kubeconfig: &str, more: &[&str]) -> Self {
        use std::os::unix::process::CommandExt;
        let (calls, log) = (lab.folder.path().join("helm-calls"), lab.folder.path().join("controller.log"));
        let helm = lab.file(
            "helm-that-tells",
            &format!("#!/bin/sh\necho \"$@\" >> {}\nexec {} \"$@\"\n", calls.display(), lab.helm.display()),
        );
        lab.executable(&helm);
        let mut command = Command::new(env!("CARGO_BIN_EXE_gwm"));
        command.args(["controller", "--address", "127.0.0.1:0", "--resync", "2", "--helm", &helm]);
        command.arg("--kubeconfig").arg(lab.folder.path().join(kubeconfig)).args(more).env_remove("KUBECONFIG");
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).process_group(0);
        Self { process: command.spawn().unwrap(), calls, log }
    }

    /// How often Helm was called.
    fn calls(&self) -> usize {
        std::fs::read_to_string(&self.calls).unwrap_or_default().lines().count()
    }

    fn logged(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn plane(name: &str, gateway: Value) -> Value {
    json!({"apiVersion": VERSION, "kind": "DataPlane", "metadata": {"name": name}, "spec": {"gateway": gateway}})
}

fn component(name: &str, plane: &str, policies: Value) -> Value {
    json!({
        "apiVersion": VERSION, "kind": "Component", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"dataPlanes": {"names": [plane]}, "endpoints": [{
            "name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"], "policies": policies,
        }]},
    })
}

fn traced(port: u16) -> Value {
    json!({"tracing": {"service": "collector", "namespace": "tracing", "port": port, "sampling": 10}})
}

fn istio(version: &str, port: u16) -> Value {
    let provider = json!({"opentelemetry": {"service": "collector.tracing.svc.cluster.local", "port": port}});
    json!({
        "module": "istio", "version": version, "install": "managed",
        "parameters": {"extensionProviders": {"collector": provider}},
    })
}

/// Waits for something, and says what the controller logs when it does not come.
async fn wait<T>(controller: &Controller, what: &str, mut poll: impl AsyncFnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match poll().await {
            Ok(value) => {
                println!("{what}: {:.1} s", start.elapsed().as_secs_f32());
                return value;
            }
            Err(last) => {
                assert!(
                    start.elapsed() < Duration::from_mins(4),
                    "{what} did not come: {last}\n{}",
                    controller.logged()
                );
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn apply(lab: &Lab, object: Value) {
    let (kind, namespace) = (object["kind"].as_str().unwrap(), object["metadata"]["namespace"].as_str());
    let api = lab.api(object["apiVersion"].as_str().unwrap(), kind, &plural(kind), namespace);
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    api.patch(&name, &PatchParams::apply("test").validation_strict().force(), &Patch::Apply(object)).await.unwrap();
}

fn condition(status: &Value, name: &str) -> (String, String, String) {
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    let all = status["conditions"].as_array().cloned().unwrap_or_default();
    let found = all.iter().find(|condition| condition["type"] == name);
    found.map_or_else(Default::default, |found| (text(found, "status"), text(found, "reason"), text(found, "message")))
}

/// Waits until a condition of a plane has a reason and a message with some words.
async fn told(lab: &Lab, controller: &Controller, plane: &str, kind: &str, reason: &str, words: &[&str]) -> String {
    let planes = lab.api(VERSION, "DataPlane", "dataplanes", None);
    wait(controller, &format!("{plane} {kind} {reason}"), async || {
        let status = planes.get(plane).await.unwrap().data["status"].clone();
        let (_, found, message) = condition(&status, kind);
        if found == reason && words.iter().all(|word| message.contains(word)) {
            Ok(message)
        } else {
            Err(format!("{status:#}"))
        }
    })
    .await
}

async fn record(lab: &Lab, module: &str) -> Option<Record> {
    Record::read(&Cluster::new(lab.client.clone(), ClusterOptions::default()), module).await.unwrap()
}

/// Waits until the record of a module is as it should be.
async fn recorded(lab: &Lab, controller: &Controller, module: &str, is: impl Fn(&Record) -> bool) -> Record {
    wait(controller, &format!("record of {module}"), async || match record(lab, module).await {
        Some(record) if is(&record) => Ok(record),
        other => Err(format!("{other:#?}")),
    })
    .await
}

fn values(lab: &Lab, release: &str, namespace: &str) -> Value {
    let text = expect(&lab.helm(&["get", "values", release, "-n", namespace, "-o", "json"]), 0);
    serde_json::from_str(&text).unwrap()
}

async fn writes(lab: &Lab) -> usize {
    let ours = |entry: &&AuditEntry| {
        entry.is_write() && entry.query.get("fieldManager").is_some_and(|name| name.starts_with("gateway-modules"))
    };
    lab.control_plane.audit_log().await.unwrap().iter().filter(ours).count()
}

/// Waits until six seconds have passed without a write or a call of Helm: on a busy machine the last passes come late.
async fn comes_to_rest(lab: &Lab, controller: &Controller) {
    wait(controller, "rest", async || {
        let before = (controller.calls(), writes(lab).await);
        tokio::time::sleep(Duration::from_secs(6)).await;
        match (controller.calls(), writes(lab).await) {
            after if after == before => Ok(()),
            after => Err(format!("calls of Helm and writes: {before:?}, then {after:?}")),
        }
    })
    .await;
}

async fn gone(lab: &Lab, controller: &Controller, plane: &str) {
    let planes = lab.api(VERSION, "DataPlane", "dataplanes", None);
    planes.delete(plane, &DeleteParams::default()).await.unwrap();
    wait(controller, &format!("{plane} is gone"), async || {
        planes.get_opt(plane).await.unwrap().map_or(Ok(()), |plane| Err(format!("{:#}", plane.data["status"])))
    })
    .await;
}

async fn events(lab: &Lab, plane: &str) -> Vec<(String, String)> {
    let all = lab.api("events.k8s.io/v1", "Event", "events", None).list(&ListParams::default()).await.unwrap();
    let about = all.into_iter().filter(|event| event.data["regarding"]["name"] == plane);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    about.map(|event| (text(&event.data["reason"]), text(&event.data["note"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn istio_comes_with_its_plane_follows_it_and_goes_with_it() {
    let Some(lab) = Lab::start().await else { return };
    lab.intent_definitions().await;
    create_namespace(&lab.client, "shop").await.unwrap();
    let charts = lab.package(&ISTIO, "1.30.3");
    lab.package(&ISTIO, "1.31.0");
    let before = lab.everything().await;
    let controller = Controller::start(&lab, &["--charts", &charts]);

    // What the plane's policies need is in the first installation, which is told while it is under way.
    apply(&lab, plane("main", istio("1.30", 4317))).await;
    apply(&lab, component("catalog", "main", traced(4317))).await;
    told(&lab, &controller, "main", "Installed", "Installing", &[]).await;
    let first = recorded(&lab, &controller, "istio", |record| {
        record.phase == Phase::Installed && record.planes.get("main").is_some_and(|needs| !needs.requires.is_empty())
    })
    .await;
    assert!(first.by_controller && first.version == "1.30.3", "{first:#?}");
    assert_eq!(values(&lab, "istiod", "istio-system")["meshConfig"]["extensionProviders"][0]["name"], "collector");
    told(&lab, &controller, "main", "Resolved", "NotInstalled", &["0 of 1 ready"]).await;
    let kubelet = lab.kubelet("istio", "istio.io/gateway-controller");
    let message = told(&lab, &controller, "main", "Installed", "Installed", &["istio 1.30.3"]).await;
    assert!(!message.contains("by hand"), "{message}");
    told(&lab, &controller, "main", "Accepted", "Accepted", &[]).await;
    let routes = lab.api("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", None);
    wait(&controller, "a route", async || match routes.list(&ListParams::default()).await.unwrap().items.len() {
        1 => Ok(()),
        count => Err(format!("{count} routes")),
    })
    .await;

    // What is as it should be is looked at again and again, without a write and without Helm.
    comes_to_rest(&lab, &controller).await;
    let (calls, written) = (controller.calls(), writes(&lab).await);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!((controller.calls(), writes(&lab).await), (calls, written), "{}", controller.logged());
    println!("helm was called {calls} times for the installation, and not since");

    // A second plane shares the installation; what contradicts the first is refused with both names, and the first is served on.
    apply(&lab, plane("other", istio("1.30.3", 9999))).await;
    apply(&lab, component("orders", "other", traced(9999))).await;
    told(&lab, &controller, "other", "Installed", "Refused", &["data planes other and main", "extensionProviders"])
        .await;
    told(&lab, &controller, "main", "Installed", "Installed", &[]).await;
    apply(&lab, plane("other", istio("1.30.3", 4317))).await;
    apply(&lab, component("orders", "other", traced(4317))).await;
    told(&lab, &controller, "other", "Installed", "Installed", &[]).await;
    assert_eq!(record(&lab, "istio").await.unwrap().planes.len(), 2);
    let doctor = String::from_utf8_lossy(&lab.gwm(&["doctor", "istio"]).stdout).into_owned();
    assert!(doctor.contains("kept by the controller for the data planes: main, other"), "{doctor}");

    // Another version: both must want it, and then it is an upgrade. It never goes back by itself.
    apply(&lab, plane("main", istio("1.31.0", 4317))).await;
    told(&lab, &controller, "main", "Installed", "Refused", &["gateway.version", "1.30.3 for other"]).await;
    apply(&lab, plane("other", istio("1.31", 4317))).await;
    recorded(&lab, &controller, "istio", |record| record.version == "1.31.0" && record.phase == Phase::Installed).await;
    told(&lab, &controller, "main", "Installed", "Installed", &["istio 1.31.0"]).await;
    told(&lab, &controller, "other", "Installed", "Installed", &["istio 1.31.0"]).await;
    apply(&lab, plane("other", istio("1.31.0", 4317))).await;
    gone(&lab, &controller, "other").await;
    apply(&lab, plane("main", istio("1.30.3", 4317))).await;
    told(&lab, &controller, "main", "Installed", "Refused", &["1.31.0 is installed, and 1.30.3 is older"]).await;
    apply(&lab, plane("main", istio("1.31.0", 4317))).await;
    told(&lab, &controller, "main", "Installed", "Installed", &["istio 1.31.0"]).await;

    // A policy that goes takes with it what it needed.
    assert!(values(&lab, "istiod", "istio-system")["meshConfig"]["extensionProviders"].is_array());
    apply(&lab, component("catalog", "main", json!({"timeouts": {"request": "5s"}}))).await;
    let parameterless = json!({"module": "istio", "version": "1.31.0", "install": "managed"});
    apply(&lab, plane("main", parameterless)).await;
    wait(&controller, "no provider", async || {
        let values = values(&lab, "istiod", "istio-system");
        if values["meshConfig"].is_null() { Ok(()) } else { Err(format!("{values:#}")) }
    })
    .await;

    // With the last plane everything goes but definitions.
    told(&lab, &controller, "main", "Installed", "Installed", &[]).await;
    kubelet.stop().await;
    gone(&lab, &controller, "main").await;
    assert_eq!(record(&lab, "istio").await, None);
    for name in ["catalog", "orders"] {
        lab.delete(VERSION, "Component", "shop", name).await;
    }
    lab.unchanged_since(&before).await;
    let told: Vec<String> = events(&lab, "main").await.into_iter().map(|(reason, _)| reason).collect();
    for reason in ["Installing", "Installed", "Refused"] {
        assert!(told.iter().any(|told| told == reason), "{reason}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_and_mended_and_keeps_no_other_plane_waiting() {
    let Some(lab) = Lab::start().await else { return };
    lab.intent_definitions().await;
    create_namespace(&lab.client, "shop").await.unwrap();
    let charts = small_charts(&lab);
    let before = lab.everything().await;

    // The default gateway, and no chart of it.
    let empty = lab.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let controller = Controller::start(&lab, &["--charts", empty.to_str().unwrap()]);
    apply(&lab, plane("main", json!({"install": "managed"}))).await;
    told(&lab, &controller, "main", "Installed", "Failed", &["chart kgateway-crds v2.4.3 is not in", "--charts"]).await;
    told(&lab, &controller, "main", "Resolved", "NotInstalled", &[]).await;
    // It is tried again, later and later.
    let calls = controller.calls();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(controller.calls() <= calls + 4, "{} calls, then {}", calls, controller.calls());
    // The others go on.
    apply(&lab, plane("external", json!({"module": "istio"}))).await;
    told(&lab, &controller, "external", "Accepted", "Accepted", &[]).await;
    let planes = lab.api(VERSION, "DataPlane", "dataplanes", None);
    let external = planes.get("external").await.unwrap();
    assert_eq!(condition(&external.data["status"], "Installed").1, "", "{:#}", external.data["status"]);
    let events = events(&lab, "main").await;
    assert!(events.iter().any(|(reason, note)| reason == "Failed" && note.contains("kgateway-crds")), "{events:?}");
    gone(&lab, &controller, "external").await;
    drop(controller);

    // Killed, and Helm with it, while a hook is waited for.
    let hang = lab.file("hang.yaml", "controller: {extraEnv: {HANG: yes}}");
    let controller = Controller::start(&lab, &["--charts", &charts, "--values", &format!("kgateway={hang}")]);
    let jobs = lab.api("batch/v1", "Job", "jobs", Some("kgateway-system"));
    wait(&controller, "the hook", async || {
        jobs.get_opt("hang").await.unwrap().map(|_| ()).ok_or_else(|| "no Job".to_owned())
    })
    .await;
    drop(controller);
    let killed = record(&lab, "kgateway").await.unwrap();
    assert!(killed.phase == Phase::Installing && killed.by_controller, "{killed:#?}");
    lab.delete("batch/v1", "Job", "kgateway-system", "hang").await;
    let controller = Controller::start(&lab, &["--charts", &charts]);
    recorded(&lab, &controller, "kgateway", |record| record.phase == Phase::Installed).await;
    let releases = expect(&lab.helm(&["list", "-A", "-o", "json"]), 0);
    let releases: Value = serde_json::from_str(&releases).unwrap();
    assert_eq!((releases.as_array().unwrap().len(), &releases[0]["status"]), (1, &json!("deployed")), "{releases:#}");
    let kubelet = lab.kubelet("kgateway", "kgateway.dev/kgateway");
    told(&lab, &controller, "main", "Installed", "Installed", &["kgateway 2.4.3"]).await;
    assert_eq!(condition(&planes.get("main").await.unwrap().data["status"], "Resolved").0, "True");

    // A version that cannot do what the live intents ask is refused by their names; the gateway and the plane stay as they are.
    apply(&lab, component("catalog", "main", json!({"ipAccess": {"allow": ["10.0.0.0/8"]}}))).await;
    apply(&lab, component("orders", "main", json!({"timeouts": {"request": "5s"}}))).await;
    let routes = lab.api("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", None);
    wait(&controller, "both routes", async || match routes.list(&ListParams::default()).await.unwrap().items.len() {
        2 => Ok(()),
        count => Err(format!("{count} routes")),
    })
    .await;
    let calls = controller.calls();
    apply(&lab, plane("main", json!({"install": "managed", "version": "2.3.1"}))).await;
    let words = ["kgateway 2.3.1 cannot do what 2.4.3 does", "data plane main, shop/catalog: ", "so 2.4.3 stays"];
    let message = told(&lab, &controller, "main", "Installed", "Refused", &words).await;
    assert!(!message.contains("orders") && controller.calls() == calls, "{message}");
    assert_eq!(condition(&planes.get("main").await.unwrap().data["status"], "Resolved").0, "True");
    apply(&lab, plane("main", json!({"install": "managed", "version": "2.4"}))).await;
    told(&lab, &controller, "main", "Installed", "Installed", &["kgateway 2.4.3"]).await;
    for name in ["catalog", "orders"] {
        lab.delete(VERSION, "Component", "shop", name).await;
    }

    // What somebody takes away comes again.
    lab.delete("apps/v1", "Deployment", "kgateway-system", "kgateway").await;
    wait(&controller, "the Deployment", async || {
        let api = lab.api("apps/v1", "Deployment", "deployments", Some("kgateway-system"));
        api.get_opt("kgateway").await.unwrap().map(|_| ()).ok_or_else(|| "no Deployment".to_owned())
    })
    .await;
    told(&lab, &controller, "main", "Installed", "Installed", &[]).await;

    // While a Gateway of others is on it, it stays; the plane goes all the same, and says why.
    lab.create(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"gatewayClassName": "kgateway", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    }))
    .await;
    gone(&lab, &controller, "main").await;
    wait(&controller, "the Event", async || {
        let all = crate::events(&lab, "main").await;
        let found = all.iter().any(|(reason, note)| reason == "NotUninstalled" && note.contains("Gateway default/web"));
        if found { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    assert_eq!(record(&lab, "kgateway").await.unwrap().phase, Phase::Installed);
    lab.delete("gateway.networking.k8s.io/v1", "Gateway", "default", "web").await;
    drop(controller);
    kubelet.stop().await;
    expect(&lab.gwm(&["uninstall", "kgateway"]), 0);
    lab.unchanged_since(&before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_of_somebody_else_is_used_as_it_is() {
    let Some(lab) = Lab::start().await else { return };
    lab.intent_definitions().await;
    let charts = small_charts(&lab);
    let kubelet = lab.kubelet("kgateway", "kgateway.dev/kgateway");
    let classes = lab.api("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", None);
    create_namespace(&lab.client, "kgateway-system").await.unwrap();
    let controller = Controller::start(&lab, &["--charts", &charts]);
    wait(&controller, "the class", async || {
        classes.get_opt("kgateway").await.unwrap().map(|_| ()).ok_or_else(|| "no class".to_owned())
    })
    .await;
    apply(&lab, plane("main", json!({"module": "kgateway", "install": "managed"}))).await;
    told(&lab, &controller, "main", "Installed", "External", &["GatewayClass kgateway"]).await;
    // What `gwm install` has made is taken on, and is not the controller's to take away.
    expect(&lab.gwm(&["install", "kgateway", "--charts", &charts, "--adopt", "--no-wait"]), 0);
    told(&lab, &controller, "main", "Installed", "Installed", &["kgateway 2.4.3"]).await;
    let taken = recorded(&lab, &controller, "kgateway", |record| record.planes.contains_key("main")).await;
    assert!(!taken.by_controller, "{taken:#?}");
    gone(&lab, &controller, "main").await;
    let left = record(&lab, "kgateway").await.unwrap();
    assert!(left.planes.is_empty() && left.phase == Phase::Installed, "{left:#?}");
    // On the command line the field is told, and nothing is installed for it.
    let file = lab.file("plane.yaml", &plane("main", json!({"module": "istio", "install": "managed"})).to_string());
    let noted = String::from_utf8_lossy(&lab.gwm(&["plan", "-f", &file]).stderr).into_owned();
    assert!(
        noted.contains("`gateway.install: managed` is for the controller") && noted.contains("gwm install istio"),
        "{noted}"
    );
    kubelet.stop().await;
}

/// A kubeconfig with the token of the controller's ServiceAccount and the rights under `deploy/`.
async fn with_rights_under_deploy(lab: &Lab) -> String {
    create_namespace(&lab.client, "gateway-modules").await.unwrap();
    for document in deployed("rbac.yaml") {
        apply(lab, document).await;
    }
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let uri = "/api/v1/namespaces/gateway-modules/serviceaccounts/gateway-modules-controller/token";
    let request = http::Request::post(uri).body(body.to_string().into_bytes()).unwrap();
    let answer: Value = lab.client.request(request).await.unwrap();
    let mut kubeconfig = serde_json::to_value(lab.control_plane.kubeconfig().unwrap()).unwrap();
    kubeconfig["users"][0]["user"] = json!({"token": answer["status"]["token"]});
    lab.file("restricted", &kubeconfig.to_string());
    "restricted".to_owned()
}

fn deployed(file: &str) -> Vec<Value> {
    let path = format!("{}/../../deploy/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_install_is_one_that_must_be_given() {
    let Some(lab) = Lab::start().await else { return };
    lab.intent_definitions().await;
    let charts = small_charts(&lab);
    let kubeconfig = with_rights_under_deploy(&lab).await;
    let before = lab.everything().await;
    let arguments = ["--charts", &charts, "--record-namespace", "gateway-modules"];
    let controller = Controller::start_as(&lab, &kubeconfig, &arguments);
    apply(&lab, plane("main", json!({"install": "managed"}))).await;
    let words = ["not allowed: get customresourcedefinitions", "deploy/installation.yaml", "gateway.install: external"];
    told(&lab, &controller, "main", "Installed", "RightMissing", &words).await;
    assert_eq!(controller.calls(), 0, "nothing was begun");
    for document in deployed("installation.yaml") {
        apply(&lab, document).await;
    }
    told(&lab, &controller, "main", "Installed", "Installing", &["0 of 1 ready"]).await;
    let kubelet = lab.kubelet("kgateway", "kgateway.dev/kgateway");
    told(&lab, &controller, "main", "Installed", "Installed", &["kgateway 2.4.3"]).await;
    kubelet.stop().await;
    gone(&lab, &controller, "main").await;
    let binding = "gateway-modules-controller-installation";
    lab.delete("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "", binding).await;
    lab.unchanged_since(&before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_another_cluster_helm_gets_the_kubeconfig_of_the_secret() {
    let (Some(hub), Some(edge)) = (Lab::start().await, Lab::start().await) else { return };
    hub.intent_definitions().await;
    let charts = small_charts(&hub);
    let (here, there) = (hub.everything().await, edge.everything().await);
    let controller = Controller::start(&hub, &["--charts", &charts]);
    let kubeconfig = serde_json::to_string(&edge.control_plane.kubeconfig().unwrap()).unwrap();
    apply(
        &hub,
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "edge", "namespace": "default"},
            "stringData": {"kubeconfig": kubeconfig},
        }),
    )
    .await;
    let mut remote = plane("remote", json!({"install": "managed"}));
    remote["spec"]["cluster"] = json!({"kubeconfigSecret": {"name": "edge"}});
    apply(&hub, remote).await;
    recorded(&edge, &controller, "kgateway", |record| record.phase == Phase::Installed).await;
    let kubelet = edge.kubelet("kgateway", "kgateway.dev/kgateway");
    told(&hub, &controller, "remote", "Installed", "Installed", &["kgateway 2.4.3"]).await;
    assert_eq!(record(&hub, "kgateway").await, None);
    kubelet.stop().await;
    gone(&hub, &controller, "remote").await;
    edge.unchanged_since(&there).await;
    hub.delete("v1", "Secret", "default", "edge").await;
    hub.unchanged_since(&here).await;
    // The file with the credentials is gone too; its name is all that Helm's arguments have of them.
    let calls = std::fs::read_to_string(&controller.calls).unwrap();
    let files: Vec<&str> =
        calls.lines().filter_map(|call| call.strip_prefix("--kubeconfig ")?.split(' ').next()).collect();
    assert!(!files.is_empty() && files.iter().all(|file| !std::path::Path::new(file).exists()), "{calls}");
}

/// Processes of Helm that a controller runs.
fn helms(controller: &Controller) -> usize {
    let group = controller.process.id().to_string();
    let output = Command::new("pgrep").args(["-g", &group, "-x", "helm"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_lease_a_controller_loses_the_helm_that_runs() {
    let Some(lab) = Lab::start().await else { return };
    lab.intent_definitions().await;
    let charts = small_charts(&lab);
    let hang = lab.file("hang.yaml", "controller: {extraEnv: {HANG: yes}}");
    let leading = ["--charts", &charts, "--values", &format!("kgateway={hang}"), "--lease-duration", "3"];
    let controller = Controller::start_electing(&lab, "kubeconfig", &leading);
    apply(&lab, plane("main", json!({"install": "managed"}))).await;
    let jobs = lab.api("batch/v1", "Job", "jobs", Some("kgateway-system"));
    wait(&controller, "the hook", async || {
        jobs.get_opt("hang").await.unwrap().map(|_| ()).ok_or_else(|| "no Job".to_owned())
    })
    .await;
    assert_eq!(helms(&controller), 1);
    // Somebody else leads now.
    let leases = lab.api("coordination.k8s.io/v1", "Lease", "leases", Some("default"));
    let taken = json!({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 600}});
    let name = "gateway-modules-controller-default";
    leases.patch(name, &PatchParams::default(), &Patch::Merge(&taken)).await.unwrap();
    wait(&controller, "Helm has ended", async || match helms(&controller) {
        0 => Ok(()),
        count => Err(format!("{count} run")),
    })
    .await;
    // The lock of the installation is given back, and nothing begins while somebody else leads.
    wait(&controller, "the lock is free", async || {
        let left: Vec<String> = leases
            .list(&ListParams::default())
            .await
            .unwrap()
            .into_iter()
            .filter_map(|lease| lease.metadata.name)
            .collect();
        if left == [name] { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    let calls = controller.calls();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!((controller.calls(), helms(&controller)), (calls, 0), "{}", controller.logged());
    assert_eq!(record(&lab, "kgateway").await.unwrap().phase, Phase::Installing);
    // The next leader begins anew.
    drop(controller);
    lab.delete("coordination.k8s.io/v1", "Lease", "default", name).await;
    lab.delete("batch/v1", "Job", "kgateway-system", "hang").await;
    let controller = Controller::start_electing(&lab, "kubeconfig", &["--charts", &charts]);
    recorded(&lab, &controller, "kgateway", |record| record.phase == Phase::Installed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_is_given_its_objects_and_left_alone() {
    let Some(lab) = Lab::start().await else { return };
    lab.intent_definitions().await;
    lab.git_ops_definitions().await;
    let controller = Controller::start(&lab, &["--backend", "flux"]);
    apply(&lab, plane("main", json!({"module": "kgateway", "install": "managed"}))).await;
    told(&lab, &controller, "main", "Installed", "Installing", &["Deployment"]).await;
    let release = lab.get("helm.toolkit.fluxcd.io/v2", "HelmRelease", "kgateway-system", "kgateway").await;
    assert_eq!(release["spec"]["releaseName"], "kgateway", "{release:#}");
    comes_to_rest(&lab, &controller).await;
    let written = writes(&lab).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!((controller.calls(), writes(&lab).await), (0, written), "{}", controller.logged());
}
