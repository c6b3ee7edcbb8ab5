//! The spans of a controller reach a collector by OTLP, the last of them when it is told to stop.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gateway_modules::core::intent::crd::definitions;
use gateway_modules_testkit::{
    Channel, ControlPlane, Options, StandIn, StandInOptions, crds, create_namespace, schemas_or_explain,
};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use kube::{
    Client,
    api::{Api, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    discovery::{Scope, pinned_kind},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value},
    trace::v1::{Span, status::StatusCode},
};
use prost::Message;
use serde_json::{Value, json};

const RECORDS: &str = "kgateway-system";
const PASSWORD: &str = "correct horse battery staple";
const COLLECTOR_KEY: &str = "key-of-the-collector";

/// One request to the collector.
struct Export {
    path: String,
    authorization: String,
    bytes: Bytes,
}

/// A collector: takes what comes at any path.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Export>>>);

impl Collector {
    async fn start() -> (Self, SocketAddr) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = Self::default();
        let own = collector.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let own = own.clone();
                tokio::spawn(http1::Builder::new().serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request: Request<Incoming>| {
                        let own = own.clone();
                        async move {
                            let header = request.headers().get("authorization");
                            let authorization = header.map_or("", |value| value.to_str().unwrap()).to_owned();
                            let path = request.uri().path().to_owned();
                            let bytes = request.into_body().collect().await.unwrap().to_bytes();
                            own.0.lock().unwrap().push(Export { path, authorization, bytes });
                            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                        }
                    }),
                ));
            }
        });
        (collector, address)
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let exports = self.0.lock().unwrap();
        exports.iter().map(|export| ExportTraceServiceRequest::decode(export.bytes.clone()).unwrap()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

async fn api(client: &Client, api_version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let (resource, capabilities) = pinned_kind(client, &GroupVersionKind::gvk(group, version, kind)).await.unwrap();
    match (capabilities.scope, namespace) {
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, &resource),
        _ => Api::all_with(client.clone(), &resource),
    }
}

async fn apply(client: &Client, object: Value) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
    let (version, kind) = (text("/apiVersion").unwrap(), text("/kind").unwrap());
    let api = api(client, &version, &kind, text("/metadata/namespace").as_deref()).await;
    api.patch(&text("/metadata/name").unwrap(), &PatchParams::apply("test"), &Patch::Apply(object)).await.unwrap();
}

/// A `gwm controller` that sends nothing before it is told to stop.
fn controller(kubeconfig: &Path, collector: SocketAddr, log: &Path) -> std::process::Child {
    let log = std::fs::File::create(log).unwrap();
    Command::new(env!("CARGO_BIN_EXE_gwm"))
        .args(["controller", "--record-namespace", RECORDS, "--address", "127.0.0.1:0", "--no-leader-election"])
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .env_remove("KUBECONFIG")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
        .env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer {COLLECTOR_KEY}"))
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

#[test]
fn what_cannot_be_spoken_is_refused_and_nothing_is_sent_to_nobody() {
    let said = |variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gwm"))
            .args(["controller", "--kubeconfig", "/nowhere"])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let (code, told) = said(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    assert!(code == 2 && told.contains("http/protobuf"), "{code}: {told}");
    // Without a collector, or with the SDK disabled, the protocol is nobody's business.
    for variables in
        [&[][..], &[endpoint, ("OTEL_SDK_DISABLED", "true")], &[endpoint, ("OTEL_TRACES_EXPORTER", "none")]]
    {
        let mut variables = variables.to_vec();
        variables.push(("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"));
        let (code, told) = said(&variables);
        assert!(code == 1 && told.contains("/nowhere"), "{code}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconciliation_is_a_trace_and_the_last_spans_are_sent_before_the_end() {
    let Some(schemas) = schemas_or_explain().unwrap() else { return };
    let control_plane = ControlPlane::start(Options::default()).await.unwrap();
    let client = control_plane.client().await.unwrap();
    crds::install_gateway_api(&client, &schemas, Channel::Standard).await.unwrap();
    crds::install_vendor(&client, &schemas, "kgateway").await.unwrap();
    crds::install(&client, definitions()).await.unwrap();
    for namespace in ["shop", RECORDS] {
        create_namespace(&client, namespace).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await; // the definitions of the intents are served by then
    let stand_in = StandIn::start(control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    apply(
        &client,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", "namespace": "shop"},
            "stringData": {"alice": PASSWORD}}),
    )
    .await;
    apply(
        &client,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "catalog", "namespace": "shop"},
            "spec": {"ports": [{"port": 8080}]}}),
    )
    .await;
    let own = "gatewaymodules.dev/v1alpha1";
    apply(
        &client,
        json!({"apiVersion": own, "kind": "DataPlane", "metadata": {"name": "main"},
            "spec": {"gateway": {"module": "kgateway"}}}),
    )
    .await;
    apply(
        &client,
        json!({"apiVersion": own, "kind": "Component", "metadata": {"name": "catalog", "namespace": "shop"},
            "spec": {"dataPlanes": {"names": ["main"]}, "endpoints": [{"name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"],
                "policies": {"basicAuth": {"credentials": {"name": "users"}}}}]}}),
    )
    .await;
    // A plane that cannot be reconciled: who would serve it does not answer.
    let nobody = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "a", "user": {"token": PASSWORD}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]});
    apply(
        &client,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "far", "namespace": RECORDS},
            "stringData": {"kubeconfig": nobody.to_string()}}),
    )
    .await;
    apply(
        &client,
        json!({"apiVersion": own, "kind": "DataPlane", "metadata": {"name": "far"},
            "spec": {"cluster": {"kubeconfigSecret": {"name": "far"}}}}),
    )
    .await;

    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, serde_json::to_string(&control_plane.kubeconfig().unwrap()).unwrap()).unwrap();
    let log = folder.path().join("log");
    let (collector, address) = Collector::start().await;
    let mut process = controller(&kubeconfig, address, &log);
    let planes = api(&client, own, "DataPlane", None).await;
    let start = Instant::now();
    for (plane, wanted) in [("main", "Programmed"), ("far", "ClusterUnreachable")] {
        loop {
            let status = planes.get(plane).await.unwrap().data["status"].clone();
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            if conditions.iter().any(|condition| condition["reason"] == wanted) {
                break;
            }
            let said = std::fs::read_to_string(&log).unwrap();
            assert!(start.elapsed() < Duration::from_secs(90), "{plane} is not {wanted}: {status:#}\n{said}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    assert!(collector.requests().is_empty(), "nothing is sent before its time");
    let pid = rustix::process::Pid::from_child(&process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = tokio::task::spawn_blocking(move || process.wait().unwrap()).await.unwrap();
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(status.success(), "{status}: {said}");

    let requests = collector.requests();
    let spans = collector.spans();
    println!("{} spans in {} requests", spans.len(), requests.len());
    let resource = requests[0].resource_spans[0].resource.clone().unwrap().attributes;
    assert_eq!(attribute(&resource, "service.name"), "gateway-modules-controller");
    assert_eq!(attribute(&resource, "deployment.environment.name"), "test");
    let reconciliations = |plane: &str| -> Vec<&Span> {
        let of = |span: &&Span| span.name == "reconcile" && attribute(&span.attributes, "data_plane") == plane;
        spans.iter().filter(of).collect()
    };
    // The pass that has written: one trace, with what it consists of in its order.
    let main = reconciliations("main");
    let writes = |span: &Span| attribute(&span.attributes, "writes").parse::<u32>().unwrap_or_default();
    let root = main.iter().find(|span| writes(span) > 0 && span.status.as_ref().is_none_or(|status| status.code == 0));
    let root = root.unwrap_or_else(|| panic!("{main:#?}"));
    assert!(root.parent_span_id.is_empty(), "{root:#?}");
    assert_eq!(attribute(&root.attributes, "module"), "kgateway");
    let mut children: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == root.span_id).collect();
    children.sort_by_key(|span| span.start_time_unix_nano);
    let names: Vec<&str> = children.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["discover", "compile", "plan", "apply", "status"]);
    for child in children {
        assert_eq!(child.trace_id, root.trace_id);
        let within = root.start_time_unix_nano..=root.end_time_unix_nano;
        assert!(within.contains(&child.start_time_unix_nano) && within.contains(&child.end_time_unix_nano));
    }
    assert!(main.iter().any(|span| attribute(&span.attributes, "outcome") == "ready"), "{main:#?}");
    let far = reconciliations("far");
    let failed = far.iter().find(|span| attribute(&span.attributes, "outcome") == "error").unwrap();
    assert_eq!(failed.status.clone().unwrap().code, StatusCode::Error as i32);
    // Only what is ours is published, and of that nothing which a Secret holds.
    for name in spans.iter().map(|span| span.name.as_str()) {
        let known = ["reconcile", "discover", "compile", "plan", "apply", "status"];
        assert!(known.contains(&name), "{name}");
    }
    for export in collector.0.lock().unwrap().iter() {
        assert_eq!(export.path, "/v1/traces");
        assert_eq!(export.authorization, format!("Bearer {COLLECTOR_KEY}"));
        for secret in [PASSWORD, COLLECTOR_KEY] {
            let found = export.bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a secret is in a span");
        }
    }
    assert!(!said.contains(COLLECTOR_KEY) && !said.contains(PASSWORD), "{said}");
    stand_in.stop().await;
    control_plane.stop().await.unwrap();
}
