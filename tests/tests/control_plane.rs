//! The control plane itself: it serves, it is separate from others, and nothing of it is left behind.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, panic, thread};

use gateway_modules_testkit::{
    Channel, ControlPlane, Error, Form, Options, crds, create_namespace, schemas_or_explain,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ApiResource, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::json;

/// Processes that mention the folder in their command line.
fn processes(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}

/// Nothing may be left; what ends by itself gets some seconds.
fn assert_gone(folder: &Path, within: Duration) {
    let start = Instant::now();
    while folder.exists() || !processes(folder).is_empty() {
        assert!(
            start.elapsed() < within,
            "left behind after {within:?}: folder {}, processes {:#?}",
            folder.exists(),
            processes(folder)
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// The smallest control plane, for tests about its end.
fn small() -> Options {
    Options::default().form(Form::Local).controller_manager(false).audit(false)
}

fn is_denied(result: kube::Result<impl Sized>) -> bool {
    matches!(result, Err(kube::Error::Api(status)) if status.code == 403)
}

/// In whichever form `GATEWAY_MODULES_CONTROL_PLANE` asks for.
#[tokio::test]
async fn serves_writes_conflicts_users_and_an_audit_log() {
    let control_plane = ControlPlane::start(Options::default()).await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_namespace(&client, "team").await.unwrap();
    create_namespace(&client, "team").await.unwrap();

    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "team");
    let map = |value: &str| ConfigMap {
        metadata: ObjectMeta { name: Some("settings".to_owned()), ..ObjectMeta::default() },
        data: Some([("key".to_owned(), value.to_owned())].into()),
        ..ConfigMap::default()
    };
    let ours = PatchParams::apply("ours").validation_strict();
    maps.patch("settings", &ours, &Patch::Apply(map("a"))).await.unwrap();
    maps.patch("settings", &PatchParams { dry_run: true, ..ours.clone() }, &Patch::Apply(map("b"))).await.unwrap();
    let conflict = maps.patch("settings", &PatchParams::apply("theirs"), &Patch::Apply(map("b"))).await.unwrap_err();
    assert!(matches!(&conflict, kube::Error::Api(status) if status.code == 409), "{conflict}");

    for groups in [&[][..], &["developers"], &["developers", "operators"]] {
        let limited = control_plane.client_for("jane", groups).await.unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(limited, "team");
        assert!(is_denied(maps.get("settings").await), "{groups:?}");
    }

    let log = control_plane.audit_log().await.unwrap();
    let writes: Vec<_> = log.iter().filter(|entry| entry.user == "admin" && entry.resource == "configmaps").collect();
    let [applied, dry, refused] = writes.as_slice() else { panic!("{writes:#?}") };
    assert_eq!(
        (applied.verb.as_str(), applied.namespace.as_str(), applied.name.as_str()),
        ("patch", "team", "settings")
    );
    assert_eq!(applied.query["fieldValidation"], "Strict");
    assert_eq!(applied.query["fieldManager"], "ours");
    assert_eq!(applied.request_object.as_ref().unwrap()["data"], json!({"key": "a"}));
    assert!(applied.is_write() && applied.succeeded());
    assert!(dry.dry_run && !dry.is_write());
    assert_eq!(refused.code, 409);
    assert!(applied.timestamp <= dry.timestamp && dry.timestamp <= refused.timestamp);
    assert_eq!(log.iter().filter(|entry| entry.user == "jane" && entry.code == 403).count(), 3);
    control_plane.stop().await.unwrap();
}

#[tokio::test]
async fn installs_definitions_that_reject_what_the_rules_forbid() {
    let Some(schemas) = schemas_or_explain().unwrap() else { return };
    let control_plane = ControlPlane::start(Options::default().controller_manager(false)).await.unwrap();
    let client = control_plane.client().await.unwrap();
    let names = crds::install_gateway_api(&client, &schemas, Channel::Standard).await.unwrap();
    assert!(names.iter().any(|name| name == "httproutes.gateway.networking.k8s.io"), "{names:?}");

    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"));
    let routes: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    let route = |redirects: bool| {
        let mut filters = vec![json!({"type": "URLRewrite", "urlRewrite": {"hostname": "example.com"}})];
        if redirects {
            filters.push(json!({"type": "RequestRedirect", "requestRedirect": {"port": 443}}));
        }
        let name = if redirects { "bad" } else { "good" };
        DynamicObject::new(name, &resource).data(json!({"spec": {"rules": [{"filters": filters}]}}))
    };
    routes.create(&PostParams::default(), &route(false)).await.unwrap();
    let refused = routes.create(&PostParams::default(), &route(true)).await.unwrap_err();
    assert!(refused.to_string().contains("but not both"), "{refused}");

    // The policy of the release guards it; it is compiled some moments after it is stored.
    let start = Instant::now();
    loop {
        match crds::install_gateway_api(&client, &schemas, Channel::Experimental).await {
            Err(Error::Kube { source, .. }) => {
                assert!(source.to_string().contains("standard channel"), "{source}");
                break;
            }
            other => assert!(start.elapsed() < Duration::from_secs(5), "safe-upgrades let it pass: {other:?}"),
        }
    }
}

#[tokio::test]
async fn two_at_once_are_separate_and_leave_nothing() {
    let (one, two) = tokio::join!(ControlPlane::start(small()), ControlPlane::start(small()));
    let (one, two) = (one.unwrap(), two.unwrap());
    create_namespace(&one.client().await.unwrap(), "only-here").await.unwrap();
    let namespaces: Api<DynamicObject> = Api::all_with(
        two.client().await.unwrap(),
        &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace")),
    );
    assert!(namespaces.get_opt("only-here").await.unwrap().is_none());
    assert!(matches!(one.audit_log().await, Err(Error::AuditOff)));

    let folders = [&one, &two].map(|control_plane| control_plane.folder().unwrap().to_owned());
    assert!(folders.iter().all(|folder| processes(folder).len() >= 2));
    one.stop().await.unwrap();
    assert_gone(&folders[0], Duration::ZERO);
    assert!(processes(&folders[1]).len() >= 2, "stopping one must not stop the other");

    let panicked = thread::spawn(move || {
        let _held = two;
        panic::resume_unwind(Box::new("a test fails"));
    });
    assert!(panicked.join().is_err());
    assert_gone(&folders[1], Duration::ZERO);
}

const HOLDER: &str = "GATEWAY_MODULES_TEST_HOLDER";

/// Not a test: the process that the next test kills. It writes the folder's name to the file in the variable.
#[tokio::test]
async fn holder() {
    let Some(answer) = std::env::var_os(HOLDER) else { return };
    let control_plane = ControlPlane::start(small()).await.unwrap();
    fs::write(answer, control_plane.folder().unwrap().to_str().unwrap()).unwrap();
    tokio::time::sleep(Duration::from_mins(10)).await;
}

#[test]
fn a_killed_process_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let answer = temporary.path().join("folder");
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holder"])
        .env(HOLDER, &answer)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let folder = loop {
        if let Some(folder) = fs::read_to_string(&answer).ok().filter(|folder| !folder.is_empty()) {
            break PathBuf::from(folder);
        }
        assert!(start.elapsed() < Duration::from_mins(15) && holder.try_wait().unwrap().is_none(), "no control plane");
        thread::sleep(Duration::from_millis(50));
    };
    assert!(processes(&folder).len() >= 2);
    // SIGKILL: no destructor, no handler.
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_gone(&folder, Duration::from_secs(10));
}

/// In a container a killed process leaves nothing either: it held a connection.
#[cfg(feature = "testcontainers")]
mod container {
    use super::*;

    const HOLDER: &str = "GATEWAY_MODULES_TEST_CONTAINER_HOLDER";

    /// Whether the API server answers: nothing else of the container can be seen from here.
    fn answers(server: &str) -> bool {
        let address = server.trim_start_matches("https://").parse().unwrap();
        std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    }

    #[tokio::test]
    async fn holder() {
        let Some(answer) = std::env::var_os(HOLDER) else { return };
        let control_plane = ControlPlane::start(small().form(Form::Container)).await.unwrap();
        let kubeconfig = control_plane.kubeconfig().unwrap();
        let server = kubeconfig.clusters[0].cluster.clone().unwrap().server.unwrap();
        fs::write(answer, server).unwrap();
        tokio::time::sleep(Duration::from_mins(10)).await;
    }

    /// Without a daemon this is skipped, except where `CI` is `true`.
    #[test]
    fn a_killed_process_leaves_no_container() {
        let daemon = std::env::var_os("DOCKER_HOST").is_some() || Path::new("/var/run/docker.sock").exists();
        if !daemon && std::env::var("CI").as_deref() != Ok("true") {
            eprintln!(
                "skipped: this test needs Docker: set DOCKER_HOST (`cargo xtask docker up` starts a private daemon)"
            );
            return;
        }
        let temporary = tempfile::tempdir().unwrap();
        let answer = temporary.path().join("server");
        let mut holder = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "container::holder"])
            .env(HOLDER, &answer)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        let server = loop {
            if let Some(server) = fs::read_to_string(&answer).ok().filter(|server| !server.is_empty()) {
                break server;
            }
            assert!(
                start.elapsed() < Duration::from_mins(15) && holder.try_wait().unwrap().is_none(),
                "no control plane"
            );
            thread::sleep(Duration::from_millis(50));
        };
        assert!(answers(&server));
        holder.kill().unwrap();
        holder.wait().unwrap();
        let killed = Instant::now();
        while answers(&server) {
            assert!(killed.elapsed() < Duration::from_secs(10), "the container still runs");
            thread::sleep(Duration::from_millis(50));
        }
    }
}
