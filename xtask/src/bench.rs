//! `cargo xtask bench`: how long the work takes and how much memory, each beside a peer in the same run.

use std::{
    fmt::Write as _,
    path::PathBuf,
    process::{Command as Process, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use gateway_modules::{
    InstalledCrds, compile_offline,
    core::{
        channel::Channel,
        cluster::{ApplyOptions, Cluster, ClusterOptions},
        compile::Release,
        intent::{crd::definitions, load::Loader},
        plan::PlanOptions,
    },
};
use gateway_modules_controller::{Metrics, Reconciler, ReconcilerOptions, Snapshot};
use gateway_modules_testkit::{ControlPlane, Options, crds, create_namespace, schemas_or_explain};
use kube::{
    Client,
    api::{Api, DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
/// Requests at a time, ours and the peer's alike where it says so.
const AT_ONCE: usize = 8;
const RECORDS: &str = "kgateway-system";

/// Measures compile, plan, first apply and unchanged resync on a real control plane.
///
/// Figures of an unoptimised build say nothing: `cargo run --profile checked -p xtask -- bench`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo run --profile checked -p xtask -- bench --write\n  cargo xtask bench --components 100 --json figures.json"
)]
pub(crate) struct Arguments {
    /// How many components; may be repeated. Default 100, 1000 and 5000.
    #[arg(long, value_name = "NUMBER")]
    components: Vec<usize>,
    /// Writes the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes docs/performance.md.
    #[arg(long)]
    write: bool,
    /// Measures one size in this process and prints JSON.
    #[arg(long, hide = true, value_name = "NUMBER")]
    one: Option<usize>,
}

/// The figures of one size; times in milliseconds, memory in KiB.
#[derive(Serialize, Deserialize)]
struct Figures {
    components: usize,
    objects: usize,
    rendered_kib: usize,
    rows: Vec<Row>,
    compile_memory_kib: u64,
    controller_memory_kib: u64,
    resync_writes: usize,
}

/// One thing that is measured, beside its peer.
#[derive(Serialize, Deserialize)]
struct Row {
    what: String,
    ours_ms: f64,
    peer: String,
    peer_ms: f64,
}

impl Row {
    fn new(what: &str, ours: Duration, peer: &str, theirs: Duration) -> Self {
        let milliseconds = |time: Duration| (time.as_secs_f64() * 10_000.0).round() / 10.0;
        Self {
            what: what.to_owned(),
            ours_ms: milliseconds(ours),
            peer: peer.to_owned(),
            peer_ms: milliseconds(theirs),
        }
    }

    fn ratio(&self) -> f64 {
        self.ours_ms / self.peer_ms.max(0.1)
    }
}

fn message(error: impl std::fmt::Display) -> Error {
    Error::Message(error.to_string())
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    if let Some(components) = arguments.one {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(message)?;
        let figures = runtime.block_on(measure(components))?;
        println!("{}", serde_json::to_string(&figures).map_err(message)?);
        return Ok(());
    }
    let sizes = if arguments.components.is_empty() { vec![100, 1000, 5000] } else { arguments.components.clone() };
    let mut all = Vec::new();
    for size in sizes {
        all.push(in_own_process(size)?);
    }
    print!("{}", tables(&all));
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&all).map_err(message)?;
        std::fs::write(path, text + "\n").map_err(Error::io("write", path))?;
    }
    if arguments.write {
        std::fs::write(PAGE, page(&all)).map_err(Error::io("write", PAGE))?;
    }
    Ok(())
}

/// Memory is that of the process at its highest, so that each size has its own.
fn in_own_process(size: usize) -> Result<Figures, Error> {
    let program = std::env::current_exe().map_err(message)?;
    let output = Process::new(program)
        .args(["bench", "--one", &size.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .map_err(message)?;
    if !output.status.success() {
        return Err(Error::Message(format!("{size} components: {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(message)
}

/// Half of them have a policy object of their own, all have a route with a timeout. None waits for an acknowledgement, which
/// would measure the gateway.
fn intents(components: usize) -> String {
    let mut text = "apiVersion: gatewaymodules.dev/v1alpha1\nkind: DataPlane\nmetadata: {name: main}\nspec: {gateway: {module: kgateway}}\n".to_owned();
    for number in 0..components {
        text.push_str("---\n");
        text.push_str(&component(number).to_string());
        text.push('\n');
    }
    text
}

fn component(number: usize) -> Value {
    let mut policies = json!({"timeouts": {"request": "5s"}});
    if number.is_multiple_of(2) {
        policies["rateLimit"] = json!({"requests": 100, "per": "1m"});
    }
    json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": format!("component-{number:05}"), "namespace": "shop"},
        "spec": {"endpoints": [{
            "name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"],
            "hostnames": [format!("component-{number:05}.example.com")], "policies": policies,
        }]},
    })
}

async fn measure(components: usize) -> Result<Figures, Error> {
    let Some(schemas) = schemas_or_explain()? else {
        return Err(Error::Message("there is nothing to measure without them".to_owned()));
    };
    let registry = gateway_modules::registry().map_err(message)?;
    let text = intents(components);
    let mut rows = Vec::new();

    // Load and compile, beside reading the YAML: work of one thread, in its own time.
    let start = busy()?;
    let intent = Loader::new().text("bench.yaml", &text).finish().map_err(message)?.intent;
    let loading = busy()?.saturating_sub(start);
    rows.push(Row::new("load and check the intents", loading, "parse the same YAML (serde-saphyr)", parse(&text)?));
    let start = busy()?;
    let crds = InstalledCrds::assumed(Channel::Standard);
    let mut planes = compile_offline(&intent, &registry, &crds).map_err(message)?;
    let compiling = busy()?.saturating_sub(start);
    let compile_memory_kib = memory()?;
    let plane = planes.pop().ok_or_else(|| Error::Message("no plane".to_owned()))?;
    let diagnostics = plane.compiled.diagnostics;
    let release = plane.compiled.release.ok_or_else(|| message(diagnostics))?;
    drop(intent);
    let rendered = rendered(&release)?;
    let (count, rendered_kib) = (release.objects.len(), rendered.len() / 1024);
    rows.push(Row::new("compile", compiling, "parse the rendered YAML (serde-saphyr)", parse(&rendered)?));

    let control_plane = ControlPlane::start(Options::default()).await?;
    let (client, ours) = (control_plane.client().await?, control_plane.client_for("ours", &["system:masters"]).await?);
    prepare(&client, &schemas).await?;

    // The same objects in another namespace, applied one after the other and changed by nobody.
    let objects: Vec<Value> = release.objects.iter().map(|entry| entry.object.to_value()).collect();
    let start = Instant::now();
    apply_all(&client, &objects, "shop-of-the-peer", 1).await?;
    let peer_first = start.elapsed();
    let start = Instant::now();
    apply_all(&client, &objects, "shop-of-the-peer", 1).await?;
    let peer_again = start.elapsed();
    let start = Instant::now();
    list(&client, "gateway.networking.k8s.io", "HTTPRoute", "httproutes", "shop-of-the-peer").await?;
    list(&client, "gateway.kgateway.dev", "TrafficPolicy", "trafficpolicies", "shop-of-the-peer").await?;
    let peer_list = start.elapsed();
    remove_gateways(&client).await?;

    let cluster = Cluster::new(ours.clone(), ClusterOptions::default().with_namespace(RECORDS));
    let start = Instant::now();
    let plan = cluster.plan(&release, PlanOptions::default()).await.map_err(message)?;
    let planning = start.elapsed();
    rows.push(Row::new("plan the first apply", planning, "list as many objects (kube)", peer_list));
    let start = Instant::now();
    cluster.apply_to_end(&plan, ApplyOptions::default()).await.map_err(message)?;
    rows.push(Row::new("first apply", start.elapsed(), "server-side apply one by one (kube)", peer_first));
    let start = Instant::now();
    let plan = cluster.plan(&release, PlanOptions::default()).await.map_err(message)?;
    let unchanged = start.elapsed();
    if !plan.is_empty() {
        return Err(Error::Message(format!("the second plan is not empty: {plan}")));
    }
    rows.push(Row::new("plan when nothing has changed", unchanged, "server-side apply one by one (kube)", peer_again));
    drop((plan, release, rendered, objects));

    // The controller's own work, on intents in the cluster.
    let stored: Vec<Value> = (0..components).map(component).collect();
    apply_all(&client, &stored, "shop", AT_ONCE).await?;
    let plane = json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "DataPlane", "metadata": {"name": "main"},
        "spec": {"gateway": {"module": "kgateway"}},
    });
    apply_all(&client, &[plane], "shop", 1).await?;
    let options = ReconcilerOptions::default().with_cluster(ClusterOptions::default().with_namespace(RECORDS));
    let registry = gateway_modules::registry().map_err(message)?;
    let reconciler = Reconciler::new(ours, registry, options, Arc::new(Metrics::default()));
    let start = Instant::now();
    reconciler.reconcile("main", &snapshot(&client).await?).await.map_err(message)?;
    let first = start.elapsed();
    rows.push(Row::new(
        "controller: first reconciliation, a status for each",
        first,
        "server-side apply one by one (kube)",
        peer_first,
    ));
    // The finalizer moves the plane's version.
    reconciler.reconcile("main", &snapshot(&client).await?).await.map_err(message)?;
    let snapshot = snapshot(&client).await?;
    let before = control_plane.audit_log().await?.len();
    let start = Instant::now();
    reconciler.reconcile("main", &snapshot).await.map_err(message)?;
    let resync = start.elapsed();
    rows.push(Row::new("controller: unchanged resync", resync, "server-side apply one by one (kube)", peer_again));
    let log = control_plane.audit_log().await?;
    let writes = log[before..].iter().filter(|entry| entry.user == "ours" && entry.is_write());
    let resync_writes = writes.count();
    let controller_memory_kib = memory()?;
    control_plane.stop().await?;
    if resync_writes > 0 {
        return Err(Error::Message(format!("an unchanged resync has made {resync_writes} writes")));
    }
    Ok(Figures {
        components,
        objects: count,
        rendered_kib,
        rows,
        compile_memory_kib,
        controller_memory_kib,
        resync_writes,
    })
}

/// How long serde-saphyr takes for a text of many documents.
fn parse(text: &str) -> Result<Duration, Error> {
    let start = busy()?;
    // Its budget against hostile files ends at a thousand documents.
    let options = serde_saphyr::options! { budget: None };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).map_err(message)?;
    let took = busy()?.saturating_sub(start);
    if documents.is_empty() { Err(Error::Message("nothing was parsed".to_owned())) } else { Ok(took) }
}

fn rendered(release: &Release) -> Result<String, Error> {
    let mut text = String::new();
    for entry in &release.objects {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&entry.object.to_value()).map_err(message)?);
    }
    Ok(text)
}

/// How long this thread has run on a processor: other work on the machine does not count.
fn busy() -> Result<Duration, Error> {
    let path = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let number = text.split_whitespace().next().and_then(|number| number.parse().ok());
    number.map(Duration::from_nanos).ok_or_else(|| Error::Message(format!("{path} has no number")))
}

/// The highest memory of this process so far (`VmHWM`).
fn memory() -> Result<u64, Error> {
    let path = "/proc/self/status";
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| Error::Message(format!("{path} has no VmHWM")))
}

async fn prepare(client: &Client, schemas: &std::path::Path) -> Result<(), Error> {
    crds::install_gateway_api(client, schemas, crds::Channel::Standard).await?;
    crds::install_vendor(client, schemas, "kgateway").await?;
    let folder = tempfile::tempdir().map_err(message)?;
    for (index, definition) in definitions().into_iter().enumerate() {
        let path = folder.path().join(format!("{index}.yaml"));
        std::fs::write(&path, definition.to_string()).map_err(Error::io("write", path))?;
    }
    crds::install_folder(client, folder.path()).await?;
    for namespace in ["shop", "shop-of-the-peer", RECORDS] {
        create_namespace(client, namespace).await?;
    }
    // A class that nobody serves: what is measured ends at the API server.
    let class = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "kgateway"},
        "spec": {"controllerName": "kgateway.dev/kgateway"},
    });
    apply_all(client, &[class], "shop", 1).await?;
    let accepted = json!({"status": {"conditions": [{
        "type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}});
    let resource = resource("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses");
    let classes: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    classes.patch_status("kgateway", &PatchParams::default(), &Patch::Merge(accepted)).await.map_err(message)?;
    Ok(())
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// Server-side apply, what is namespaced in one namespace; several at a time, in order.
async fn apply_all(client: &Client, objects: &[Value], namespace: &str, at_once: usize) -> Result<(), Error> {
    let parameters = PatchParams::apply("peer").validation_strict();
    let mut requests = Vec::new();
    for object in objects {
        let mut object = object.clone();
        let (group, version) =
            object["apiVersion"].as_str().and_then(|text| text.split_once('/')).unwrap_or(("", "v1"));
        let kind = object["kind"].as_str().unwrap_or_default();
        let plural = match kind {
            "TrafficPolicy" => "trafficpolicies".to_owned(),
            "GatewayClass" => "gatewayclasses".to_owned(),
            "GatewayParameters" => "gatewayparameters".to_owned(),
            kind => format!("{}s", kind.to_lowercase()),
        };
        let resource = resource(group, version, kind, &plural);
        let own = match object["metadata"]["namespace"].as_str() {
            Some("shop") => Some(namespace.to_owned()),
            other => other.map(ToOwned::to_owned),
        };
        let api: Api<DynamicObject> = match &own {
            Some(own) => Api::namespaced_with(client.clone(), own, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        if let Some(own) = own {
            object["metadata"]["namespace"] = own.into();
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let parameters = &parameters;
        requests.push(async move { api.patch(&name, parameters, &Patch::Apply(&object)).await.map(drop) });
    }
    stream::iter(requests).buffered(at_once).try_for_each(|()| async { Ok(()) }).await.map_err(message)
}

async fn list(client: &Client, group: &str, kind: &str, plural: &str, namespace: &str) -> Result<(), Error> {
    let version = if group == "gateway.kgateway.dev" { "v1alpha1" } else { "v1" };
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource(group, version, kind, plural));
    api.list(&ListParams::default()).await.map(drop).map_err(message)
}

/// The peer's Gateway has our Gateway's name.
async fn remove_gateways(client: &Client) -> Result<(), Error> {
    for (group, version, kind, plural) in [
        ("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
        ("gateway.kgateway.dev", "v1alpha1", "GatewayParameters", "gatewayparameters"),
    ] {
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), RECORDS, &resource(group, version, kind, plural));
        api.delete_collection(&Default::default(), &ListParams::default()).await.map_err(message)?;
    }
    Ok(())
}

async fn snapshot(client: &Client) -> Result<Snapshot, Error> {
    let all = async |kind: &str, plural: &str| -> Result<Vec<Arc<DynamicObject>>, Error> {
        let resource = resource("gatewaymodules.dev", "v1alpha1", kind, plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let listed = api.list(&ListParams::default()).await.map_err(message)?;
        Ok(listed.items.into_iter().map(Arc::new).collect())
    };
    let data_planes = all("DataPlane", "dataplanes").await?;
    Ok(Snapshot { data_planes, components: all("Component", "components").await? })
}

fn tables(all: &[Figures]) -> String {
    let mut text = String::new();
    for figures in all {
        let _ = write!(
            text,
            "\n## {} components ({} objects, {} KiB of YAML)\n\n| what | ms | peer | ms | ratio |\n| --- | ---: | --- | ---: | ---: |\n",
            figures.components, figures.objects, figures.rendered_kib
        );
        for row in &figures.rows {
            let _ = writeln!(
                text,
                "| {} | {:.1} | {} | {:.1} | {:.2} |",
                row.what,
                row.ours_ms,
                row.peer,
                row.peer_ms,
                row.ratio()
            );
        }
        let _ = writeln!(
            text,
            "\nMemory at its highest: {} MiB after compiling, {} MiB in the end, with the controller's reconciliations. \
             Writes of the unchanged resync: {}.",
            figures.compile_memory_kib / 1024,
            figures.controller_memory_kib / 1024,
            figures.resync_writes
        );
    }
    text
}

fn page(all: &[Figures]) -> String {
    let build = if cfg!(debug_assertions) { "built with debug assertions" } else { "built without debug assertions" };
    format!(
        "<!-- Made by `cargo run --profile checked -p xtask -- bench --write`. -->\n# Performance\n\n\
         One data plane on kgateway; each component has one route, each second one a policy object beside it. The API server,\n\
         etcd and the program share the machine ({cores} cores, {build}), and other work may run on it: what counts is the ratio to\n\
         the peer, which was measured in the same run. Loading, compiling and parsing are in processor time, all else is by the clock.\n\
         The peer of an apply is the same objects, sent by server-side apply one\n\
         after the other with `kube` and strict field validation, as `kubectl apply --server-side` does it.\n{tables}",
        cores = std::thread::available_parallelism().map_or(1, usize::from),
        tables = tables(all)
    )
}
