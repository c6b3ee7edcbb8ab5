//! A control plane, Helm, charts, and a look at everything in the cluster.

#![allow(dead_code, reason = "each suite uses its part")]

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gateway_modules_testkit::{Channel, ControlPlane, Inventory, Options, crds, go, schemas_or_explain};
use kube::{
    Client,
    api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Istio, with its own charts. The module of a release is not served; this is the last of the main branch.
pub(crate) const ISTIO: Vendor = Vendor {
    module: "istio.io/istio",
    version: "v0.0.0-20260827124520-eed52ebb66ad",
    charts: &["manifests/charts/base", "manifests/charts/istio-control/istio-discovery"],
};

/// A Go module with charts.
pub(crate) struct Vendor {
    pub(crate) module: &'static str,
    pub(crate) version: &'static str,
    pub(crate) charts: &'static [&'static str],
}

pub(crate) struct Lab {
    pub(crate) control_plane: ControlPlane,
    pub(crate) client: Client,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) helm: PathBuf,
}

impl Lab {
    pub(crate) async fn start() -> Option<Self> {
        let schemas = schemas_or_explain().unwrap()?;
        let helm = tokio::task::spawn_blocking(go::helm).await.unwrap().unwrap();
        let control_plane = ControlPlane::start(Options::default()).await.unwrap();
        let client = control_plane.client().await.unwrap();
        crds::install_gateway_api(&client, &schemas, Channel::Standard).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = serde_json::to_string(&control_plane.kubeconfig().unwrap()).unwrap();
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
        Some(Self { control_plane, client, folder, helm })
    }

    /// Packages charts of a Go module as the vendor's release does, which writes the version into them; gives the folder.
    pub(crate) fn package(&self, vendor: &Vendor, version: &str) -> String {
        let module = go::module(vendor.module, vendor.version).unwrap();
        let folder = self.folder.path().join("charts");
        std::fs::create_dir_all(&folder).unwrap();
        for chart in vendor.charts {
            let mut command = Command::new(&self.helm);
            command.args(["package", "--version", version, "--app-version", version, "--destination"]);
            let output = command.arg(&folder).arg(module.join(chart)).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        folder.to_str().unwrap().to_owned()
    }

    pub(crate) fn helm(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.helm);
        command.arg("--kubeconfig").arg(self.folder.path().join("kubeconfig")).args(arguments).output().unwrap()
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn executable(&self, path: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs `gwm` until a Job is there, then kills it and the Helm that it runs: their process group, which is this one's.
    pub(crate) async fn killed(&self, arguments: &[String], namespace: &str, job: &str) {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(env!("CARGO_BIN_EXE_gwm"));
        command.args(arguments).env_remove("KUBECONFIG").process_group(0);
        command.arg("--kubeconfig").arg(self.folder.path().join("kubeconfig")).arg("--helm").arg(&self.helm);
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        let jobs = self.api("batch/v1", "Job", "jobs", Some(namespace));
        let start = Instant::now();
        while jobs.get_opt(job).await.unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(30) && child.try_wait().unwrap().is_none());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let group = child.id().to_string();
        assert!(Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status().unwrap().success());
        child.wait().unwrap();
    }

    /// Runs `gwm`; tokio's threads go on meanwhile.
    pub(crate) fn gwm(&self, arguments: &[&str]) -> Output {
        let start = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gwm"));
        command.args(arguments).env_remove("KUBECONFIG").env("NO_COLOR", "1");
        command.env("GATEWAY_MODULES_HELM", &self.helm);
        if !arguments.contains(&"--kubeconfig") {
            command.arg("--kubeconfig").arg(self.folder.path().join("kubeconfig"));
        }
        if ["install", "upgrade", "uninstall"].contains(&arguments[0]) && !arguments.contains(&"--helm") {
            command.arg("--helm").arg(&self.helm);
        }
        let output = tokio::task::block_in_place(|| command.output().unwrap());
        println!("{:.1} s: gwm {}", start.elapsed().as_secs_f32(), arguments.join(" "));
        output
    }

    pub(crate) fn api(
        &self,
        api_version: &str,
        kind: &str,
        plural: &str,
        namespace: Option<&str>,
    ) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    pub(crate) async fn create(&self, object: Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let namespace = text("/metadata/namespace");
        let api =
            self.api(&api_version, &kind, &plural(&kind), Some(namespace.as_str()).filter(|name| !name.is_empty()));
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    pub(crate) async fn delete(&self, api_version: &str, kind: &str, namespace: &str, name: &str) {
        let namespace = Some(namespace).filter(|name| !name.is_empty());
        self.api(api_version, kind, &plural(kind), namespace).delete(name, &DeleteParams::background()).await.unwrap();
    }

    pub(crate) async fn everything(&self) -> Inventory {
        let all = Inventory::take_settled(&self.client, Duration::from_secs(30)).await.unwrap();
        assert!(all.len() > 50, "{}", all.len());
        all
    }

    /// Waits until Kubernetes has made all Pods of a Deployment, which it does some time after it was created.
    pub(crate) async fn has_pods(&self, namespace: &str, deployment: &str) {
        let start = std::time::Instant::now();
        loop {
            let object = self.get("apps/v1", "Deployment", namespace, deployment).await;
            if object["status"]["replicas"].is_number() && object["status"]["replicas"] == object["spec"]["replicas"] {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{deployment} has no Pods: {}", object["status"]);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn unchanged_since(&self, before: &Inventory) {
        if let Err(difference) = before.wait_until_again(&self.client, Duration::from_secs(30)).await {
            panic!("{difference}");
        }
    }

    pub(crate) async fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Value {
        let object = self.api(api_version, kind, &plural(kind), Some(namespace)).get(name).await.unwrap();
        serde_json::to_value(object).unwrap()
    }

    /// Installs the definitions of the intents.
    pub(crate) async fn intent_definitions(&self) {
        crds::install(&self.client, gateway_modules::core::intent::crd::definitions()).await.unwrap();
    }

    /// Installs the definitions of Flux and Argo CD, from their own Go modules.
    pub(crate) async fn git_ops_definitions(&self) {
        let (release, sources, application) = tokio::task::spawn_blocking(|| {
            let sources = go::module("github.com/fluxcd/source-controller", "v1.9.6").unwrap().join("config/crd/bases");
            let argo_cd = go::module("github.com/argoproj/argo-cd/v3", "v3.4.13").unwrap();
            (go::flux_helm_release().unwrap(), sources, argo_cd.join("manifests/crds/application-crd.yaml"))
        })
        .await
        .unwrap();
        let folder = self.folder.path().join("git-ops");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("release.yaml"), release).unwrap();
        std::fs::copy(application, folder.join("application.yaml")).unwrap();
        for name in ["helmrepositories", "ocirepositories"] {
            let file = format!("source.toolkit.fluxcd.io_{name}.yaml");
            std::fs::copy(sources.join(&file), folder.join(&file)).unwrap();
        }
        crds::install_folder(&self.client, &folder).await.unwrap();
    }

    /// A stand-in for Argo CD's controller: what is being deleted loses its finalizer.
    pub(crate) fn without_finalizers(&self, backend: &str) -> Kubelet {
        let stop = Arc::new(AtomicBool::new(backend != "argo-cd"));
        let applications = self.api("argoproj.io/v1alpha1", "Application", "applications", Some("argocd"));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Acquire) {
                for application in applications.list(&ListParams::default()).await.unwrap() {
                    if application.metadata.deletion_timestamp.is_some() {
                        let none = json!({"metadata": {"finalizers": null}});
                        let name = application.metadata.name.unwrap_or_default();
                        let _ = applications.patch(&name, &PatchParams::default(), &Patch::Merge(&none)).await;
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        Kubelet { stop, task }
    }

    /// A registry on loopback that asks for a password, with charts.
    pub(crate) async fn registry(&self, charts: &str, names: &[&str]) -> Registry {
        let program = tokio::task::spawn_blocking(go::registry).await.unwrap().unwrap();
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        // The password is `correct horse`; bcrypt is all that the registry reads.
        let users = self.file("users", "alice:$2a$04$2LcBMIuh/r.IhclT8gYhHeqknfRxF/MTK54u7XZH9Sx6zW8bITupy\n");
        let storage = self.folder.path().join("storage");
        let config = json!({
            "version": "0.1", "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": storage}},
            "auth": {"htpasswd": {"realm": "charts", "path": users}},
            "http": {"addr": address},
        });
        let config = self.file("registry.yaml", &config.to_string());
        let mut command = Command::new(program);
        command.args(["serve", &config]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let process = command.spawn().unwrap();
        let start = Instant::now();
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let credentials = self.folder.path().join("credentials.json").to_str().unwrap().to_owned();
        let run = |arguments: &[&str]| {
            let output =
                Command::new(&self.helm).args(arguments).args(["--registry-config", &credentials]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        run(&["registry", "login", &address, "--plain-http", "--username", "alice", "--password", "correct horse"]);
        for name in names {
            let folder = self.folder.path().to_str().unwrap();
            run(&["package", &format!("{charts}/{name}"), "--destination", folder]);
            let mirror = format!("oci://{address}/mirror");
            run(&["push", &format!("{folder}/{name}-v2.4.3.tgz"), &mirror, "--plain-http"]);
        }
        Registry { process, address, credentials }
    }

    /// A stand-in for nodes and for the gateway's controller: Pods become ready, the class is made and accepted.
    pub(crate) fn kubelet(&self, class: &'static str, controller: &'static str) -> Kubelet {
        let stop = Arc::new(AtomicBool::new(false));
        let pods = self.api("v1", "Pod", "pods", None);
        let classes = self.api("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", None);
        let (client, stopped) = (self.client.clone(), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Acquire) {
                for pod in pods.list(&ListParams::default()).await.unwrap() {
                    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
                    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Pod"), "pods");
                    let own: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
                    let status =
                        json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
                    let name = pod.metadata.name.unwrap_or_default();
                    let _ = own.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await;
                }
                let made = json!({
                    "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
                    "metadata": {"name": class}, "spec": {"controllerName": controller},
                });
                let _ = classes.create(&PostParams::default(), &serde_json::from_value(made).unwrap()).await;
                let accepted = json!({"status": {"conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted",
                    "message": "stand-in", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
                let _ = classes.patch_status(class, &PatchParams::default(), &Patch::Merge(&accepted)).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        Kubelet { stop, task }
    }
}

/// See [`Lab::registry`]; it ends when this is dropped.
pub(crate) struct Registry {
    process: std::process::Child,
    pub(crate) address: String,
    pub(crate) credentials: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// See [`Lab::kubelet`].
pub(crate) struct Kubelet {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Kubelet {
    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.task.await.unwrap();
    }
}

pub(crate) fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if lower.ends_with("class") || lower.ends_with('y') {
        if let Some(stem) = lower.strip_suffix('y').filter(|_| !lower.ends_with("ay")) {
            return format!("{stem}ies");
        }
        return format!("{lower}{}", if lower.ends_with("class") { "es" } else { "s" });
    }
    format!("{lower}s")
}

#[track_caller]
pub(crate) fn expect(output: &Output, code: i32) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout:\n{stdout}\nstderr:\n{stderr}");
    stdout.into_owned() + &stderr
}

/// Charts with the names and value paths of kgateway's: nothing of the vendor's can be had where this runs.
pub(crate) fn small_charts(lab: &Lab) -> String {
    small_charts_of(lab, "2.4.3")
}

pub(crate) fn small_charts_of(lab: &Lab, version: &str) -> String {
    let small = format!("small-{version}");
    let chart = |name: &str| format!("apiVersion: v2\nname: {name}\nversion: v{version}\nappVersion: {version}\n");
    lab.file(&format!("{small}/kgateway-crds/Chart.yaml"), &chart("kgateway-crds"));
    lab.file(&format!("{small}/kgateway-crds/values.yaml"), "");
    for name in ["trafficpolicies", "gatewayparameters"] {
        lab.file(&format!("{small}/kgateway-crds/templates/{name}.yaml"), &definition(name, &["v1alpha1"]).to_string());
    }
    lab.file(&format!("{small}/kgateway/Chart.yaml"), &chart("kgateway"));
    lab.file(
        &format!("{small}/kgateway/values.yaml"),
        "image: {registry: example.invalid}\nimagePullSecrets: []\ncontroller: {replicaCount: 1, extraEnv: {}}\nvalidation: {level: standard}\n",
    );
    lab.file(
        &format!("{small}/kgateway/templates/deployment.yaml"),
        r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: kgateway, namespace: {{ .Release.Namespace }}}
spec:
  replicas: {{ .Values.controller.replicaCount }}
  selector: {matchLabels: {app: kgateway}}
  template:
    metadata: {labels: {app: kgateway}}
    spec:
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets: {{ toJson . }}
      {{- end }}
      containers: [{name: controller, image: "{{ .Values.image.registry }}/kgateway:{{ .Chart.AppVersion }}"}]
{{- if .Values.controller.extraEnv.BREAK }}
---
apiVersion: v1
kind: Service
metadata: {name: Not A Name}
{{- end }}
{{- if .Values.controller.extraEnv.HANG }}
---
apiVersion: batch/v1
kind: Job
metadata: {name: hang, annotations: {"helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": before-hook-creation}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: hang, image: example.invalid/hang}]}}}
{{- end }}
"#,
    );
    lab.folder.path().join(small).to_str().unwrap().to_owned()
}

pub(crate) fn definition(plural: &str, versions: &[&str]) -> serde_json::Value {
    let kind = if plural == "trafficpolicies" { "TrafficPolicy" } else { "GatewayParameters" };
    let versions: Vec<_> = versions
        .iter()
        .enumerate()
        .map(|(index, name)| {
            json!({"name": name, "served": true, "storage": index == 0,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
        })
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.gateway.kgateway.dev")},
        "spec": {"group": "gateway.kgateway.dev", "scope": "Namespaced", "versions": versions,
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()}},
    })
}
