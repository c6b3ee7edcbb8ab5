//! What goes wrong between the controller and its cluster: it says so, goes on by itself when it is over, and never serves a
//! route without its policy.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use gateway_modules::core::cluster::ClusterOptions;
use gateway_modules_controller::{ControllerOptions, LeaseOptions, ReconcilerOptions};
use gateway_modules_testkit::{
    Fault, FaultyProxy, ProxiedRequest, StandIn, StandInOptions, crds, protected_openings, schemas_or_explain,
};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use self::lab::{COMPONENT, DATA_PLANE, Lab, RECORDS, ROUTE, Running, component, condition, http, plane, service};

/// How long each fault lasts: time for several resyncs (2 s) and retries.
const FAULT: Duration = Duration::from_secs(5);

/// A connection without a byte for so long is given up; `gwm` waits 295 s, a little more than a watch without events lasts.
const SILENCE: Duration = Duration::from_secs(10);

fn options() -> ControllerOptions {
    let cluster = ClusterOptions::default()
        .with_namespace(RECORDS)
        .with_timeouts(Duration::from_secs(1), Duration::from_secs(2))
        .with_lock(Duration::from_secs(3), Duration::from_secs(4));
    let reconciler = ReconcilerOptions::default()
        .with_cluster(cluster)
        .with_intervals(Duration::from_secs(2), Duration::from_secs(1))
        .with_gate_timeout(Duration::from_secs(5));
    ControllerOptions::default().with_reconciler(reconciler)
}

/// A controller behind a proxy, with a plane and a component that are ready.
struct Story {
    lab: Lab,
    proxy: FaultyProxy,
    controller: Running,
    stand_in: StandIn,
    port: SocketAddr,
}

fn protected(name: &str) -> Value {
    let mut component = component(name, &format!("{name}.example.com"));
    component["spec"]["endpoints"][0]["policies"] = json!({"basicAuth": {"credentials": {"name": "users"}}});
    component
}

impl Story {
    async fn start() -> Option<Self> {
        let lab = Lab::start().await?;
        let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let proxy = FaultyProxy::start(lab.restricted().await).await.unwrap();
        let controller = Running::start(proxy.client(Some(SILENCE)).await.unwrap(), options().with_address(port));
        lab.create(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", "namespace": "shop"},
            "stringData": {"alice": "correct horse battery staple"},
        }))
        .await;
        lab.create(plane("main")).await;
        let story = Self { lab, proxy, controller, stand_in, port };
        story.component("first").await;
        story.ready("first").await;
        Some(story)
    }

    async fn component(&self, name: &str) {
        self.lab.create(service(name)).await;
        self.lab.create(protected(name)).await;
    }

    async fn ready(&self, name: &str) {
        self.lab.wait_for_condition(COMPONENT, name, "Ready", "True").await;
    }

    /// How many reconciliations have ended with an error, by the metrics.
    async fn errors(&self) -> u64 {
        let metrics = http(self.port, "/metrics").await;
        let lines = metrics.lines().filter(|line| {
            line.starts_with("gateway_modules_reconciliations_total{") && line.contains("result=\"error\"")
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// While the fault lasts a component is created; when it is over, it becomes ready, closed until then.
    async fn survives(&self, what: &str, name: &str, lasts: Duration) {
        let (before, met) = (self.errors().await, self.proxy.faults());
        self.component(name).await;
        tokio::time::sleep(lasts).await;
        let errors = self.errors().await - before;
        self.proxy.heal();
        let healed = Instant::now();
        self.ready(name).await;
        self.ready("first").await;
        let met = self.proxy.faults() - met;
        println!(
            "== {what}: {met} requests met it, {errors} failed reconciliations counted, ready {} ms after it was over",
            healed.elapsed().as_millis()
        );
        self.never_open().await;
    }

    async fn never_open(&self) {
        let log = self.lab.control_plane.audit_log().await.unwrap();
        let openings = protected_openings(&log, |_| true);
        assert!(openings.is_ok(), "{openings:?}");
    }

    async fn end(self) {
        self.controller.stop().await;
        self.stand_in.stop().await;
        self.lab.control_plane.stop().await.unwrap();
    }
}

fn status(code: u16, retry_after: Option<u64>) -> Fault {
    Fault::Status { code, retry_after: retry_after.map(Duration::from_secs) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_fails_in_many_ways_is_outlived() {
    let Some(story) = Story::start().await else { return };

    // `GATEWAY_MODULES_OUTAGE=60` makes it a minute.
    let outage = std::env::var("GATEWAY_MODULES_OUTAGE").ok().and_then(|text| text.parse().ok());
    let before = story.errors().await;
    story.proxy.go_away();
    story.survives("gone", "gone", outage.map_or(FAULT, Duration::from_secs)).await;
    assert!(story.errors().await > before, "it is counted");

    let before = story.errors().await;
    story.proxy.fail(|_: &ProxiedRequest| Some(Fault::Hang));
    tokio::time::sleep(Duration::from_millis(500)).await;
    story.proxy.cut();
    story.survives("hangs", "hangs", FAULT).await;
    assert!(story.errors().await > before, "it is counted");

    story.proxy.fail(|_: &ProxiedRequest| Some(status(429, Some(1))));
    story.proxy.cut();
    story.survives("429", "too-many", FAULT).await;

    let before = story.errors().await;
    story.proxy.fail(|_: &ProxiedRequest| Some(status(500, None)));
    story.proxy.cut();
    story.survives("500", "broken", FAULT).await;
    assert!(story.errors().await > before, "it is counted");

    let before = story.errors().await;
    story.proxy.fail(|_: &ProxiedRequest| Some(status(401, None)));
    story.proxy.cut();
    story.survives("401: expired credentials", "expired", FAULT).await;
    assert!(story.errors().await > before, "it is counted");

    // Watches that start and say at once that their version is too old.
    story.proxy.fail(|request| request.is_watch().then_some(Fault::Expired));
    story.proxy.cut();
    story.survives("410 on every watch", "old-version", FAULT).await;
    story.proxy.fail(|request| request.is_watch().then(|| status(410, None)));
    story.proxy.cut();
    story.survives("410 instead of every watch", "older-version", FAULT).await;

    // Every third write fails, and it converges while they do.
    let count = AtomicUsize::new(0);
    story.proxy.fail(move |request| {
        (request.is_write() && count.fetch_add(1, Ordering::Relaxed) % 3 == 2).then(|| status(500, None))
    });
    story.component("every-third").await;
    story.ready("every-third").await;
    story.proxy.heal();
    println!("== every third write: 500, and ready all the same");

    // Connections are cut all the time.
    story.component("cut").await;
    for _ in 0..20 {
        story.proxy.cut();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    story.ready("cut").await;
    story.never_open().await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanishes_from_the_cluster_is_told_and_taken_up_again() {
    let Some(story) = Story::start().await else { return };
    let lab = &story.lab;
    let schemas = schemas_or_explain().unwrap().unwrap();
    let definitions = lab.api(("apiextensions.k8s.io/v1", "CustomResourceDefinition"), None).await;

    // A class that comes and goes: nothing is deleted for it.
    let classes = lab.api(("gateway.networking.k8s.io/v1", "GatewayClass"), None).await;
    let before = lab.control_plane.audit_log().await.unwrap().len();
    for _ in 0..10 {
        let _ = classes.delete("kgateway", &DeleteParams::default()).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    story.component("flapping").await;
    story.ready("flapping").await;
    story.ready("first").await;
    let deleted: Vec<String> = lab
        .writes_since(before)
        .await
        .iter()
        .filter(|entry| entry.verb == "delete")
        .map(|entry| format!("{} {}", entry.resource, entry.name))
        .collect();
    assert!(deleted.is_empty(), "{deleted:?}");
    println!("== a class that flaps: nothing deleted");

    // Twenty bad components keep none of the good ones from being served.
    for number in 0..20 {
        let mut bad = component(&format!("bad-{number}"), &format!("bad-{number}.example.com"));
        bad["spec"]["endpoints"][0]["visibilities"] = json!(["nowhere"]);
        lab.create(bad).await;
    }
    story.component("beside").await;
    story.ready("beside").await;
    let bad = lab.wait_for_condition(COMPONENT, "bad-7", "Ready", "False").await;
    assert!(condition(&bad, "Resolved").2.contains("nowhere"), "{:#}", bad.data["status"]);
    let main = lab.api(DATA_PLANE, None).await.get("main").await.unwrap();
    assert!(condition(&main, "Accepted").2.contains("20 of 23 components"), "{:#}", main.data["status"]);
    println!("== 20 bad components beside 3 good ones");
    let components = lab.api(COMPONENT, Some("shop")).await;
    for number in 0..20 {
        components.delete(&format!("bad-{number}"), &DeleteParams::default()).await.unwrap();
    }
    story.never_open().await;

    // The kind of the policies vanishes, and the policies with it: that is said, and no route stays open.
    let open = async || {
        let routes = lab.api(ROUTE, Some("shop")).await.list(&ListParams::default()).await.unwrap();
        let open = |route: &&kube::api::DynamicObject| {
            let backend = &route.data["spec"]["rules"][0]["backendRefs"][0]["name"];
            backend.is_string() && backend != "closed-until-policies-are-effective"
        };
        routes.items.iter().filter(open).count()
    };
    assert_eq!(open().await, 3);
    let vanished = Instant::now();
    definitions.delete("trafficpolicies.gateway.kgateway.dev", &DeleteParams::default()).await.unwrap();
    lab.wait("no route is open without its kind of policy", async || match open().await {
        0 => Ok(()),
        number => Err(format!("{number} open: {}", told(lab).await)),
    })
    .await;
    println!("== the kind of the policies vanished: closed after {} ms", vanished.elapsed().as_millis());
    // Doors first, words after.
    lab.wait("the vanished kind is told", async || {
        let told = told(lab).await;
        if told.contains("TrafficPolicy") { Ok(()) } else { Err(told) }
    })
    .await;
    crds::install_vendor(&lab.client, &schemas, "kgateway").await.unwrap();
    for name in ["first", "flapping", "beside"] {
        story.ready(name).await;
    }
    assert_eq!(open().await, 3);

    // The kind of the routes vanishes.
    definitions.delete("httproutes.gateway.networking.k8s.io", &DeleteParams::default()).await.unwrap();
    lab.wait("it is said that HTTPRoute is missing", async || match told(lab).await {
        text if text.contains("HTTPRoute") || text.contains("httproutes") => Ok(()),
        text => Err(text),
    })
    .await;
    println!("== the kind of the routes vanished; told: {}", told(lab).await);
    crds::install_gateway_api(&lab.client, &schemas, gateway_modules_testkit::Channel::Standard).await.unwrap();
    served(lab, ROUTE).await;
    lab.wait("the routes are there again", async || match open().await {
        3 => Ok(()),
        number => Err(format!("{number}: {}", told(lab).await)),
    })
    .await;

    // The kind of the intents vanishes, and the components with it.
    definitions.delete("components.gatewaymodules.dev", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(FAULT).await;
    for definition in gateway_modules::core::intent::crd::definitions() {
        lab.create(definition).await;
    }
    served(lab, COMPONENT).await;
    lab.wait("components are taken again", async || {
        lab.try_create(protected("first")).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    story.ready("first").await;
    println!("== the kind of the intents vanished and came back");
    story.end().await;
}

/// Waits until a kind is served again: a definition is there before the API server tells of its kind.
async fn served(lab: &Lab, (version, kind): (&str, &str)) {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = kube::core::GroupVersionKind::gvk(group, version, kind);
    lab.wait("the kind is served again", async || {
        kube::discovery::pinned_kind(&lab.client, &kind).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

/// What the plane and its components say is wrong.
async fn told(lab: &Lab) -> String {
    let mut all = vec![lab.api(DATA_PLANE, None).await.get("main").await.unwrap()];
    all.extend(lab.api(COMPONENT, Some("shop")).await.list(&ListParams::default()).await.unwrap().items);
    let mut texts = std::collections::BTreeSet::new();
    for object in all {
        for found in object.data["status"]["conditions"].as_array().into_iter().flatten() {
            if found["status"] != "True" && found["type"] != "Discovered" {
                texts.insert(found["message"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
    texts.into_iter().collect::<Vec<_>>().join(" | ")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_controllers_at_once_agree_and_a_wrong_clock_stops_nobody() {
    let Some(story) = Story::start().await else { return };
    let lab = &story.lab;

    // Without leader election, by mistake.
    let other = Running::start(lab.client.clone(), options());
    for name in ["one", "two", "three"] {
        story.component(name).await;
    }
    for name in ["one", "two", "three"] {
        story.ready(name).await;
    }
    lab.comes_to_rest().await;
    let before = lab.control_plane.audit_log().await.unwrap().len();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let writes = lab.writes_since(before).await;
    assert!(writes.is_empty(), "two at once disturb each other: {writes:#?}");
    story.never_open().await;
    other.stop().await;
    println!("== two at once agree");

    // A holder that died and whose clock was an hour ahead, and one whose clock was an hour behind.
    let leases = lab.api(("coordination.k8s.io/v1", "Lease"), Some(RECORDS)).await;
    for (what, offset) in [("ahead", 3600), ("behind", -3600)] {
        let offset = k8s_openapi::jiff::SignedDuration::from_secs(offset);
        let now = format!("{:.6}", k8s_openapi::jiff::Timestamp::now() + offset);
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": what, "namespace": RECORDS},
            "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 3, "acquireTime": now, "renewTime": now},
        });
        leases.patch(what, &PatchParams::apply("test"), &Patch::Apply(lease)).await.unwrap();
        let lease = LeaseOptions::new(RECORDS, what, "alive").with_duration(Duration::from_secs(3));
        let controller = Running::start(lab.client.clone(), options().with_lease(lease));
        lab.wait(&format!("the Lease of a dead holder whose clock was {what} is taken"), async || {
            let lease = leases.get(what).await.unwrap();
            match lease.data["spec"]["holderIdentity"].as_str() {
                Some("alive") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        controller.stop().await;
    }

    // However far it has come.
    let mut slowest = Duration::ZERO;
    for after in [0, 1, 2, 5, 10, 20, 30, 40, 60, 80, 120, 200, 400] {
        let lease = LeaseOptions::new(RECORDS, "stopped", format!("after-{after}"));
        let controller = Running::start(lab.client.clone(), options().with_lease(lease));
        tokio::time::sleep(Duration::from_millis(after)).await;
        let told = std::time::Instant::now();
        controller.stop().await;
        slowest = slowest.max(told.elapsed());
    }
    println!("the slowest of 13 stops, 0 to 400 ms after the start: {} ms", slowest.as_millis());
    story.end().await;
}
