//! The process that leads is killed (SIGKILL) after some write of about a thousand; the other takes over, and in the end
//! everything is as if nothing had happened.
//!
//! `GATEWAY_MODULES_KILLS=20` runs 20 seeds (one without it); `GATEWAY_MODULES_SEED` is the first.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use gateway_modules::core::intent::crd::definitions;
use gateway_modules_testkit::{
    Channel, ControlPlane, FaultyProxy, Options, StandIn, StandInOptions, crds, create_namespace, protected_openings,
    schemas_or_explain,
};
use kube::{
    Client,
    api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

const COMPONENTS: usize = 100;
const LONGEST: Duration = Duration::from_mins(4);
const RECORDS: &str = "kgateway-system";

/// What is compared in the end: everything that the controller makes or changes.
const KINDS: &[(&str, &str, &str)] = &[
    ("", "ConfigMap", "configmaps"),
    ("", "Secret", "secrets"),
    ("", "Service", "services"),
    ("gateway.networking.k8s.io", "Gateway", "gateways"),
    ("gateway.networking.k8s.io", "HTTPRoute", "httproutes"),
    ("gateway.kgateway.dev", "TrafficPolicy", "trafficpolicies"),
    ("gateway.kgateway.dev", "GatewayParameters", "gatewayparameters"),
    ("gatewaymodules.dev", "Component", "components"),
    ("gatewaymodules.dev", "DataPlane", "dataplanes"),
];

struct Lab {
    control_plane: ControlPlane,
    client: Client,
    folder: tempfile::TempDir,
}

fn api(client: &Client, group: &str, kind: &str, plural: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let version = match group {
        "gateway.kgateway.dev" | "gatewaymodules.dev" => "v1alpha1",
        _ => "v1",
    };
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// A `gwm controller` behind a proxy of its own; killed when dropped.
struct Instance {
    process: Child,
    proxy: FaultyProxy,
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SIGKILL: it has no time for anything.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Lab {
    async fn start() -> Option<Self> {
        let schemas = schemas_or_explain().unwrap()?;
        let control_plane = ControlPlane::start(Options::default()).await.unwrap();
        let client = control_plane.client().await.unwrap();
        crds::install_gateway_api(&client, &schemas, Channel::Standard).await.unwrap();
        crds::install_vendor(&client, &schemas, "kgateway").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("crds");
        std::fs::create_dir(&own).unwrap();
        for (index, definition) in definitions().into_iter().enumerate() {
            std::fs::write(own.join(format!("{index}.yaml")), definition.to_string()).unwrap();
        }
        crds::install_folder(&client, &own).await.unwrap();
        for namespace in ["shop", RECORDS] {
            create_namespace(&client, namespace).await.unwrap();
        }
        Some(Self { control_plane, client, folder })
    }

    async fn apply(&self, object: Value) {
        let (group, _) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap_or(("", ""));
        let kind = object["kind"].as_str().unwrap();
        let (_, _, plural) = KINDS.iter().find(|(_, of, _)| *of == kind).unwrap();
        let api = api(&self.client, group, kind, plural, object["metadata"]["namespace"].as_str());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        api.patch(&name, &PatchParams::apply("test").validation_strict(), &Patch::Apply(object)).await.unwrap();
    }

    /// A hundred components with a protected endpoint of each kind, and one without protection.
    async fn intents(&self) {
        let one = async |name: String| {
            self.apply(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
                "spec": {"ports": [{"name": "http", "port": 8080}, {"name": "live", "port": 8081}]},
            }))
            .await;
            let endpoint = |endpoint: &str, kind: &str, port: u16, policies: Value| {
                json!({
                    "name": endpoint, "type": kind, "port": port, "visibilities": ["external"],
                    "hostnames": [format!("{endpoint}.{name}.example.com")], "policies": policies,
                })
            };
            self.apply(json!({
                "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "Component",
                "metadata": {"name": name, "namespace": "shop"},
                "spec": {"endpoints": [
                    endpoint("api", "HTTP", 8080, json!({"basicAuth": {"credentials": {"name": "users"}}})),
                    endpoint("admin", "HTTP", 8080, json!({"ipAccess": {"allow": ["10.0.0.0/8"]}})),
                    endpoint("live", "WebSocket", 8081, json!({})),
                ]},
            }))
            .await;
        };
        self.apply(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", "namespace": "shop"},
            "stringData": {"alice": "correct horse battery staple"},
        }))
        .await;
        for number in 0..COMPONENTS {
            one(format!("component-{number:03}")).await;
        }
        self.apply(json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "DataPlane", "metadata": {"name": "main"},
            "spec": {"gateway": {"module": "kgateway"}},
        }))
        .await;
    }

    /// Nothing is left of a run; the controllers are dead.
    async fn clear(&self) {
        let planes = api(&self.client, "gatewaymodules.dev", "DataPlane", "dataplanes", None);
        if planes.get_opt("main").await.unwrap().is_some() {
            let patch = Patch::Merge(json!({"metadata": {"finalizers": []}}));
            planes.patch("main", &PatchParams::default(), &patch).await.unwrap();
            planes.delete("main", &DeleteParams::default()).await.unwrap();
        }
        // Routes first, as anybody would; none of them is open without its policy meanwhile.
        let routes = KINDS.iter().filter(|(_, kind, _)| *kind == "HTTPRoute");
        let others = KINDS.iter().filter(|(_, kind, _)| !matches!(*kind, "HTTPRoute" | "DataPlane"));
        for (group, kind, plural) in routes.chain(others).chain([&("coordination.k8s.io", "Lease", "leases")]) {
            for namespace in ["shop", RECORDS] {
                let api = api(&self.client, group, kind, plural, Some(namespace));
                for object in api.list_metadata(&ListParams::default()).await.unwrap() {
                    let name = object.metadata.name.unwrap();
                    // The derived Secrets say which version of it they are made from.
                    if name != "kube-root-ca.crt" && name != "users" {
                        let _ = api.delete(&name, &DeleteParams::default()).await;
                    }
                }
            }
        }
    }

    async fn instance(&self, name: &str) -> Instance {
        let proxy = FaultyProxy::start(self.control_plane.client_for(name, &["system:masters"]).await.unwrap());
        let proxy = proxy.await.unwrap();
        let path = self.folder.path().join(format!("{name}.kubeconfig"));
        std::fs::write(&path, serde_json::to_string(&proxy.kubeconfig().unwrap()).unwrap()).unwrap();
        let process = controller(&path, name, &self.folder.path().join(format!("{name}.log")));
        Instance { process, proxy }
    }

    async fn leader(&self) -> Option<String> {
        let leases = api(&self.client, "coordination.k8s.io", "Lease", "leases", Some(RECORDS));
        let lease = leases.get_opt("gateway-modules-controller-default").await.unwrap()?;
        lease.data["spec"]["holderIdentity"].as_str().map(ToOwned::to_owned)
    }

    async fn wait<T>(&self, what: &str, mut poll: impl AsyncFnMut() -> Result<T, String>) -> T {
        let start = Instant::now();
        loop {
            match poll().await {
                Ok(value) => return value,
                Err(last) => assert!(start.elapsed() < LONGEST, "{what} did not come: {last}\n{}", self.logs()),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn logs(&self) -> String {
        let tail = |name: &str| {
            let text = std::fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("-- {name}\n{}\n", lines[lines.len().saturating_sub(12)..].join("\n"))
        };
        ["undisturbed", "first", "second"].map(tail).concat()
    }

    async fn wait_until_led_by(&self, name: &str) {
        self.wait(&format!("{name} leads"), async || match self.leader().await {
            Some(leader) if leader == name => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    async fn wait_until_all_is_ready(&self) {
        let ready = |object: &DynamicObject| {
            let all = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
            all.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        };
        self.wait("everything is ready", async || {
            let plane = api(&self.client, "gatewaymodules.dev", "DataPlane", "dataplanes", None);
            let plane = plane.get("main").await.unwrap();
            let components = api(&self.client, "gatewaymodules.dev", "Component", "components", Some("shop"));
            let components = components.list(&ListParams::default()).await.unwrap().items;
            let count = components.iter().filter(|component| ready(component)).count();
            if ready(&plane) && count == COMPONENTS {
                Ok(())
            } else {
                Err(format!("{count} components are ready; {:#}", plane.data["status"]["conditions"]))
            }
        })
        .await;
    }

    /// Everything that the controller makes or changes, without what every run has of its own.
    async fn state(&self) -> BTreeMap<String, Value> {
        let mut state = BTreeMap::new();
        for (group, kind, plural) in KINDS {
            let api = api(&self.client, group, kind, plural, None);
            for object in api.list(&ListParams::default()).await.unwrap() {
                let namespace = object.metadata.namespace.clone().unwrap_or_default();
                let name = object.metadata.name.clone().unwrap_or_default();
                let others = name == "kube-root-ca.crt" || !["", "shop", RECORDS].contains(&namespace.as_str());
                if !others {
                    let value = serde_json::to_value(&object).unwrap();
                    state.insert(format!("{kind} {namespace}/{name}"), normalised(value));
                }
            }
        }
        state
    }
}

fn controller(kubeconfig: &Path, name: &str, log: &Path) -> Child {
    let log = File::create(log).unwrap();
    Command::new(env!("CARGO_BIN_EXE_gwm"))
        .args(["controller", "--record-namespace", RECORDS, "--address", "127.0.0.1:0", "--identity", name])
        .args(["--gate-timeout", "30", "--lease-duration", "3"])
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .env_remove("KUBECONFIG")
        .env("GWM_LOG", "info")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Without times, versions and identifiers; `managedFields` stay, with who owns what.
fn normalised(mut value: Value) -> Value {
    const OF_THE_RUN: &[&str] = &[
        "uid",
        "resourceVersion",
        "generation",
        "observedGeneration",
        "creationTimestamp",
        "lastTransitionTime",
        "time",
        "clusterIP",
        "clusterIPs",
    ];
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|name, _| !OF_THE_RUN.contains(&name.as_str()));
            for field in fields.values_mut() {
                let text = field.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
                *field = match text {
                    // Records are JSON in annotations and in ConfigMaps.
                    Some(inner) if inner.is_object() || inner.is_array() => normalised(inner),
                    _ => normalised(field.take()),
                };
            }
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                *item = normalised(item.take());
            }
            // Entries of managers stand in the order of their times.
            if items.iter().all(|item| item.get("manager").is_some()) {
                items.sort_by_key(ToString::to_string);
            }
        }
        _ => {}
    }
    value
}

fn difference(wanted: &BTreeMap<String, Value>, found: &BTreeMap<String, Value>) -> String {
    let mut lines = Vec::new();
    for (key, value) in wanted {
        match found.get(key) {
            None => lines.push(format!("missing: {key}")),
            Some(other) if other != value => {
                lines.push(format!("{key}\n  undisturbed: {value}\n  after the kill: {other}"))
            }
            Some(_) => {}
        }
    }
    lines.extend(found.keys().filter(|key| !wanted.contains_key(*key)).map(|key| format!("too much: {key}")));
    lines.truncate(6);
    lines.join("\n")
}

/// How far it is, in a line.
fn partial(state: &BTreeMap<String, Value>) -> String {
    let count = |kind: &str| state.keys().filter(|key| key.starts_with(kind)).count();
    let routes = || state.iter().filter(|(key, _)| key.starts_with("HTTPRoute "));
    let closed = routes().filter(|(_, route)| !open(route)).count();
    let told = |(key, value): &(&String, &Value)| key.starts_with("Component ") && value.get("status").is_some();
    let adapted = |(key, value): &(&String, &Value)| {
        key.starts_with("Service ") && value["spec"]["ports"].to_string().contains("appProtocol")
    };
    format!(
        "{} parents, {} Services adapted, {} Gateways, {} Secrets derived, {} policies, {} routes closed, {} open, {} components told",
        count("ConfigMap "),
        state.iter().filter(adapted).count(),
        count("Gateway "),
        count("Secret ").saturating_sub(1),
        count("TrafficPolicy "),
        closed,
        routes().count() - closed,
        state.iter().filter(told).count(),
    )
}

fn open(route: &Value) -> bool {
    route.pointer("/spec/rules/0/backendRefs/0/name").is_some_and(|name| name != "closed-until-policies-are-effective")
}

fn is_protected(route: &Value) -> bool {
    let name = route.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    name.contains("-api-external") || name.contains("-admin-external")
}

/// A small generator: its seed says everything.
fn random(seed: u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0xD1B5_4A32_D192_ED03);
    state ^= state >> 31;
    state = state.wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 29)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_completes_what_a_killed_leader_has_begun() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let kills = number("GATEWAY_MODULES_KILLS").unwrap_or(1);
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let first_seed = number("GATEWAY_MODULES_SEED").unwrap_or(today);
    let Some(lab) = Lab::start().await else { return };
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());

    // Undisturbed.
    lab.intents().await;
    let start = Instant::now();
    let before = lab.control_plane.audit_log().await.unwrap().len();
    let undisturbed = lab.instance("undisturbed").await;
    lab.wait_until_all_is_ready().await;
    let writes = undisturbed.proxy.writes();
    let log = lab.control_plane.audit_log().await.unwrap();
    let counted = log[before..].iter().filter(|entry| entry.user == "undisturbed" && entry.is_write()).count();
    println!("undisturbed: {writes} writes in {} ms ({counted} in the audit log)", start.elapsed().as_millis());
    assert!(writes >= 1000, "{writes}");
    assert!(counted.abs_diff(writes) <= 2, "the proxy counts as the API server does: {writes} and {counted}");
    assert_eq!(protected_openings(&log[before..], is_protected), Ok(2 * COMPONENTS));
    let wanted = lab.state().await;
    println!("undisturbed: {}", partial(&wanted));
    drop(undisturbed);

    for seed in first_seed..first_seed + kills {
        let after = usize::try_from(1 + random(seed) % 999).unwrap();
        let lose_answer = random(seed ^ 0xABCD).is_multiple_of(2);
        lab.clear().await;
        lab.intents().await;
        let before = lab.control_plane.audit_log().await.unwrap().len();
        let first = lab.instance("first").await;
        first.proxy.hold_after(after, lose_answer);
        lab.wait_until_led_by("first").await;
        let second = lab.instance("second").await;
        second.proxy.hold_after(0, false);
        tokio::time::timeout(LONGEST, first.proxy.held()).await.unwrap_or_else(|_| panic!("{}", lab.logs()));
        drop(first);
        let killed = Instant::now();
        let left = lab.state().await;
        println!("seed {seed}: killed after write {after} (answer lost: {lose_answer}): {}", partial(&left));
        assert_ne!(left, wanted, "something was left to do");

        // The second leads, and has not written yet.
        tokio::time::timeout(LONGEST, second.proxy.held()).await.unwrap_or_else(|_| panic!("{}", lab.logs()));
        let taken = lab.state().await;
        println!(
            "seed {seed}: before the first write of the second, {} ms later: {}",
            killed.elapsed().as_millis(),
            partial(&taken)
        );
        second.proxy.release();
        lab.wait_until_all_is_ready().await;
        println!(
            "seed {seed}: complete {} ms after the kill, {} writes more",
            killed.elapsed().as_millis(),
            second.proxy.writes()
        );
        let log = lab.control_plane.audit_log().await.unwrap();
        let openings = protected_openings(&log[before..], is_protected);
        assert_eq!(openings, Ok(2 * COMPONENTS), "seed {seed}");
        let found = lab.state().await;
        assert!(found == wanted, "seed {seed}\n{}", difference(&wanted, &found));
        drop(second);
    }
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}
