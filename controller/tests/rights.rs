//! The rights under `deploy/`: each is needed, and where one is missing the controller names it.
//!
//! `GATEWAY_MODULES_RIGHTS=services` tries only the resources with that in their name.
//!
//! The controller runs with the token of its ServiceAccount. Rules (group, resource, verb) are taken away one after the other,
//! of several modules at once: each module has a data plane of its own, and is told of its own rule alone.

#![allow(clippy::unwrap_used, clippy::panic)]

mod emitted;
mod lab;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gateway_modules::core::channel::Channel;
use gateway_modules_controller::{ControllerOptions, LeaseOptions, ReconcilerOptions};
use gateway_modules_testkit::{
    StandIn, StandInOptions, crds, create_namespace, samples::Documents, schemas_or_explain,
};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use self::lab::{COMPONENT, DATA_PLANE, Lab, RECORDS, Running, condition, rights, service, single_rules};

const ACCOUNT: &str = "controller";
/// What is not noticed in this time after everything was done is not noticed at all.
const LONGEST: Duration = Duration::from_secs(10);
const MANAGED: &str = "app.kubernetes.io/managed-by=gateway-modules";

/// A right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    group: String,
    resource: String,
    verb: String,
}

impl Rule {
    fn new(group: &str, resource: &str, verb: &str) -> Self {
        Self { group: group.to_owned(), resource: resource.to_owned(), verb: verb.to_owned() }
    }

    /// Whether a text says that this right is missing.
    fn is_named_in(&self, text: &str) -> bool {
        let Self { group, resource, verb } = self;
        let qualified = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        [
            // The API server's words, our error's, and those of a fact that could not be read.
            format!("cannot {verb} resource \"{resource}\" in API group \"{group}\""),
            format!("not allowed: {verb} {resource}"),
            format!("{verb} {qualified}"),
        ]
        .iter()
        .any(|words| text.contains(words))
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}{}{}", self.verb, self.resource, if self.group.is_empty() { "" } else { "." }, self.group)
    }
}

/// What the controller logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn since(&self, start: usize) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()[start..]).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Suite {
    lab: Lab,
    log: Log,
    /// Rule, and where it was named.
    table: Vec<(Rule, String)>,
}

/// Documents of one module that make an object of a kind.
struct Job {
    module: String,
    /// `group/version`.
    version: String,
    group: String,
    kind: String,
    resource: String,
    documents: Vec<Value>,
}

impl Job {
    fn rule(&self, verb: &str) -> Rule {
        Rule::new(&self.group, &self.resource, verb)
    }
}

fn options(lease: bool) -> ControllerOptions {
    let cluster = gateway_modules::core::cluster::ClusterOptions::default().with_namespace(RECORDS);
    let reconciler = ReconcilerOptions::default()
        .with_cluster(cluster)
        .with_intervals(Duration::from_secs(2), Duration::from_secs(1))
        .with_gate_timeout(Duration::from_millis(500));
    let options = ControllerOptions::default().with_reconciler(reconciler);
    if !lease {
        return options;
    }
    let lease = LeaseOptions::new(RECORDS, "controller", "only");
    options.with_lease(lease.with_duration(Duration::from_secs(3)))
}

impl Suite {
    /// Sets the rights and waits until the API server goes by them.
    async fn without(&self, rules: &[Rule], restored: &[Rule]) {
        let gone = |group: &str, resource: &str, verb: &str| rules.contains(&Rule::new(group, resource, verb));
        self.lab.roles(ACCOUNT, &|group, resource, verb| !gone(group, resource, verb)).await;
        for (all, wanted) in [(rules, false), (restored, true)] {
            for rule in all.iter().filter(|rule| wanted || !restored.contains(rule)) {
                self.lab.wait(&format!("{rule}: {wanted}"), async || self.is_allowed(rule, wanted).await).await;
            }
        }
    }

    async fn is_allowed(&self, rule: &Rule, wanted: bool) -> Result<(), String> {
        let (resource, subresource) = rule.resource.split_once('/').unwrap_or((&rule.resource, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": format!("system:serviceaccount:{RECORDS}:{ACCOUNT}"),
                "resourceAttributes": {
                    "group": rule.group, "resource": resource, "subresource": subresource, "verb": rule.verb,
                    "namespace": RECORDS,
                },
            },
        });
        let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews");
        let request = request.body(review.to_string().into_bytes()).unwrap();
        let answer: Value = self.lab.client.request(request).await.unwrap();
        if answer["status"]["allowed"] == wanted { Ok(()) } else { Err(answer["status"].to_string()) }
    }

    /// Where it is said that a right is missing.
    async fn seen(&self, rule: &Rule, plane: &str, since: usize) -> Option<String> {
        let planes = self.lab.api(DATA_PLANE, None).await;
        let mut objects: Vec<_> = planes.get_opt(plane).await.unwrap().into_iter().collect();
        objects.extend(self.lab.api(COMPONENT, None).await.list(&ListParams::default()).await.unwrap().items);
        for object in objects {
            let kind = object.types.clone().map_or_else(|| "Component".to_owned(), |types| types.kind);
            for found in object.data["status"]["conditions"].as_array().into_iter().flatten() {
                if rule.is_named_in(found["message"].as_str().unwrap_or_default()) {
                    let reason = found["reason"].as_str().unwrap_or_default();
                    return Some(format!(
                        "condition {} ({reason}) of {kind}",
                        found["type"].as_str().unwrap_or_default()
                    ));
                }
            }
        }
        let log = self.log.since(since);
        let line = log.lines().find(|line| rule.is_named_in(line))?;
        let level = ["ERROR", "WARN", "INFO"].into_iter().find(|level| line.contains(level)).unwrap_or("?");
        Some(format!("log ({level})"))
    }

    /// Makes the controller look at a plane.
    async fn poke(&self, plane: &str) {
        let patch = json!({"metadata": {"annotations": {"poked": format!("{:?}", Instant::now())}}});
        let planes = self.lab.api(DATA_PLANE, None).await;
        let _ = planes.patch(plane, &PatchParams::default(), &Patch::Merge(patch)).await;
    }

    /// Waits until each rule is named, and takes that down.
    async fn expect(&mut self, jobs: &[Job], verb: &str, since: usize) {
        let start = Instant::now();
        let mut open: Vec<&Job> = jobs.iter().collect();
        let mut poked = Instant::now();
        while !open.is_empty() {
            let mut still = Vec::new();
            for job in open {
                match self.seen(&job.rule(verb), &job.module, since).await {
                    Some(place) => {
                        println!("{}: {place}, {} ms", job.rule(verb), start.elapsed().as_millis());
                        self.table.push((job.rule(verb), place));
                    }
                    None => still.push(job),
                }
            }
            open = still;
            if start.elapsed() > LONGEST {
                for job in open {
                    println!(
                        "{}: nowhere; the end of the log:\n{}\n{}",
                        job.rule(verb),
                        self.tail(),
                        self.log.since(0).lines().filter(|line| line.contains(verb)).collect::<Vec<_>>().join("\n")
                    );
                    self.table.push((job.rule(verb), "nowhere".to_owned()));
                }
                return;
            }
            if poked.elapsed() > Duration::from_secs(2) {
                for job in &open {
                    self.poke(&job.module).await;
                }
                poked = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a plane is applied and no right is missing any more.
    async fn settled(&self, plane: &str) {
        let mut poked = Instant::now();
        self.lab
            .wait(&format!("{plane} settles"), async || {
                if poked.elapsed() > Duration::from_secs(2) {
                    self.poke(plane).await;
                    poked = Instant::now();
                }
                let found = self.lab.api(DATA_PLANE, None).await.get(plane).await.unwrap();
                let (_, reason, message) = condition(&found, "Programmed");
                let known = found.data["status"]["module"].is_object();
                if known && reason != "ApplyFailed" && !message.contains("not allowed") {
                    Ok(())
                } else {
                    Err(format!("{:#}", found.data["status"]))
                }
            })
            .await;
    }

    async fn gone(&self, plane: &str) {
        let planes = self.lab.api(DATA_PLANE, None).await;
        let mut poked = Instant::now();
        self.lab
            .wait(&format!("{plane} goes"), async || {
                if poked.elapsed() > Duration::from_secs(1) {
                    self.poke(plane).await;
                    poked = Instant::now();
                }
                match planes.get_opt(plane).await.unwrap() {
                    None => Ok(()),
                    Some(found) => Err(format!("{:#}\n{}", found.data["status"], self.tail())),
                }
            })
            .await;
        let components = self.lab.api(COMPONENT, Some("shop")).await;
        for component in components.list(&ListParams::default()).await.unwrap() {
            let name = component.metadata.name.unwrap();
            if name.starts_with(&format!("{plane}-")) {
                components.delete(&name, &DeleteParams::default()).await.unwrap();
            }
        }
    }

    fn tail(&self) -> String {
        let log = self.log.since(0);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// All verbs of a kind of each of the jobs, whose modules differ.
    async fn round(&mut self, jobs: &[Job]) {
        let rules = |verb: &str| -> Vec<Rule> { jobs.iter().map(|job| job.rule(verb)).collect() };
        let all = rules("watch");
        self.without(&all, &[]).await;
        let mut mark = self.log.len();
        let controller = Running::start(self.lab.account(ACCOUNT).await, options(false));
        for document in jobs.iter().flat_map(|job| &job.documents) {
            self.lab.create(document.clone()).await;
        }
        self.expect(jobs, "watch", mark).await;
        for job in jobs {
            self.settled(&job.module).await;
        }
        // From here on the objects are not there.
        let mut before = all;
        for verb in ["patch", "create", "get", "list"] {
            mark = self.log.len();
            let now = rules(verb);
            self.without(&now, &before).await;
            if verb == "patch" {
                self.remove_objects(jobs).await;
            }
            for job in jobs {
                self.poke(&job.module).await;
            }
            self.expect(jobs, verb, mark).await;
            for job in jobs {
                let plane = self.lab.api(DATA_PLANE, None).await.get(&job.module).await.unwrap();
                assert_ne!(condition(&plane, "Ready").0, "True", "{}: {:#}", job.rule(verb), plane.data["status"]);
            }
            before = now;
        }
        let now = rules("delete");
        self.without(&[], &before).await;
        for job in jobs {
            self.poke(&job.module).await;
            self.settled(&job.module).await;
        }
        self.without(&now, &[]).await;
        mark = self.log.len();
        let planes = self.lab.api(DATA_PLANE, None).await;
        for job in jobs {
            planes.delete(&job.module, &DeleteParams::default()).await.unwrap();
        }
        self.expect(jobs, "delete", mark).await;
        self.without(&[], &now).await;
        for job in jobs {
            self.gone(&job.module).await;
        }
        controller.stop().await;
    }

    async fn remove_objects(&self, jobs: &[Job]) {
        for job in jobs {
            let kind = (job.version.as_str(), job.kind.as_str());
            let api = self.lab.api(kind, None).await;
            for object in api.list(&ListParams::default().labels(MANAGED)).await.unwrap() {
                let (namespace, name) = (object.metadata.namespace.clone(), object.metadata.name.clone().unwrap());
                let one = self.lab.api(kind, namespace.as_deref()).await;
                one.delete(&name, &DeleteParams::default()).await.unwrap();
            }
        }
    }

    /// One life of a plane with a fresh controller that lacks one right: says where it is named, if anywhere.
    async fn life(&mut self, rule: &Rule) {
        if rule.resource == "leases" {
            // Somebody has died with it, so that it is taken over.
            self.lab
                .create(json!({
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": {"name": "controller", "namespace": RECORDS},
                    "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 1},
                }))
                .await;
        }
        self.without(std::slice::from_ref(rule), &[]).await;
        let mark = self.log.len();
        let mut controller = Running::start(self.lab.account(ACCOUNT).await, options(true));
        self.lab.create(main_component()).await;
        self.lab.create(lab::plane("main")).await;
        let start = Instant::now();
        let mut deleted = false;
        let planes = self.lab.api(DATA_PLANE, None).await;
        let mut place = None;
        while place.is_none() && start.elapsed() < LONGEST {
            place = self.seen(rule, "main", mark).await;
            if controller.task.is_finished() {
                // It may end itself with a named error, and be started again; it does not panic.
                let ended = (&mut controller.task).await.unwrap();
                let text = ended.as_ref().err().map(ToString::to_string).unwrap_or_default();
                if rule.is_named_in(&text) {
                    place = Some(format!("it ends: {}", text.chars().take(60).collect::<String>()));
                }
                controller = Running::start(self.lab.account(ACCOUNT).await, options(true));
            }
            match planes.get_opt("main").await.unwrap() {
                None => break,
                Some(plane) if !deleted && condition(&plane, "Ready").0 == "True" && place.is_none() => {
                    // Whatever is told late is told after a resync.
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    place = self.seen(rule, "main", mark).await;
                    planes.delete("main", &DeleteParams::default()).await.unwrap();
                    deleted = true;
                }
                Some(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.table.push((rule.clone(), place.unwrap_or_else(|| "nowhere".to_owned())));
        self.without(&[], std::slice::from_ref(rule)).await;
        if controller.task.is_finished() {
            controller = Running::start(self.lab.account(ACCOUNT).await, options(true));
        }
        // Given back, it goes on by itself, to the end.
        if !deleted {
            self.lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
            planes.delete("main", &DeleteParams::default()).await.unwrap();
        }
        self.gone("main").await;
        controller.stop().await;
    }
}

/// A component with what only few kinds need: a derived Secret, and a Service that is changed.
fn main_component() -> Value {
    json!({
        "apiVersion": COMPONENT.0, "kind": COMPONENT.1, "metadata": {"name": "main-catalog", "namespace": "shop"},
        "spec": {"dataPlanes": {"names": ["main"]}, "endpoints": [
            {
                "name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"],
                "hostnames": ["main.example.com"], "policies": {"basicAuth": {"credentials": {"name": "users"}}},
            },
            {"name": "live", "type": "WebSocket", "port": 8080, "visibilities": ["external"]},
        ]},
    })
}

/// Documents for every kind of every module: the first that make it; and all namespaces that they need.
fn jobs() -> (Vec<Job>, BTreeSet<String>) {
    let mut found: BTreeMap<(String, String), (String, String, Documents)> = BTreeMap::new();
    let mut own: BTreeSet<(String, String)> = BTreeSet::new();
    let mut namespaces = BTreeSet::new();
    emitted::visit(&[Channel::Standard], &mut |module, _, documents, release| {
        if module == "generic" || documents.plane()["spec"].get("cluster").is_some() {
            return;
        }
        namespaces.extend(release.objects.iter().filter_map(|entry| entry.key().namespace));
        for entry in &release.objects {
            let kind = entry.object.kind();
            let key = (kind.group.to_string(), kind.kind.to_string());
            // Kinds that all have are tried with kgateway.
            if module == "kgateway" && own.insert(key.clone()) || !found.contains_key(&key) {
                found.insert(key, (kind.api_version(), module.to_owned(), documents.clone()));
            }
        }
    });
    let resources: BTreeMap<(String, String), String> = rights()
        .iter()
        .flat_map(|document| document["rules"].as_array().cloned().unwrap_or_default())
        .flat_map(|rule| single_rules(&rule))
        .map(|(group, resource, _)| ((group.clone(), singular(&resource)), resource))
        .collect();
    let job = |((group, kind), (version, module, documents)): ((String, String), (String, String, Documents))| {
        let resource = resources.get(&(group.clone(), kind.to_lowercase()));
        let resource = resource.unwrap_or_else(|| panic!("no right for {kind}.{group}")).clone();
        let documents = documents.iter().map(|document| of_plane(document, &module)).collect();
        Job { module, version, group, kind, resource, documents }
    };
    // Secrets are derived, and Services changed, in a life of their own.
    let own = |((_, kind), _): &((String, String), _)| !matches!(kind.as_str(), "Secret" | "Service");
    (found.into_iter().filter(own).map(job).collect(), namespaces)
}

/// The kind, in lower case, that a plural is of.
fn singular(plural: &str) -> String {
    let stem = |end: &str| plural.strip_suffix(end);
    match (stem("ies"), stem("sses"), stem("xies")) {
        (_, Some(stem), _) => format!("{stem}ss"),
        (Some(stem), ..) => format!("{stem}y"),
        _ if plural.ends_with("parameters") => plural.to_owned(),
        _ => stem("s").unwrap_or(plural).to_owned(),
    }
}

/// The document, for a plane named as its module.
fn of_plane(document: &Value, module: &str) -> Value {
    let mut document = document.clone();
    if document["kind"] == "DataPlane" {
        document["metadata"]["name"] = module.into();
    } else {
        let name = format!("{module}-{}", document["metadata"]["name"].as_str().unwrap());
        document["metadata"]["name"] = name.into();
        document["metadata"]["namespace"] = "shop".into();
        document["spec"]["dataPlanes"] = json!({"names": [module]});
        document["spec"].as_object_mut().unwrap().remove("overrides");
    }
    document
}

/// Rights that this story does not come to need: the kubeconfigs of other clusters (`remote.rs`), and an Event that is told
/// again (`events.rs`).
const ELSEWHERE: [&str; 2] = ["watch secrets", "patch events.events.k8s.io"];

#[ignore = "over 200 lives of a controller, six minutes: .ci/run --full"]
#[tokio::test(flavor = "multi_thread")]
async fn each_right_is_needed_and_named_where_it_is_missing() {
    let Some(lab) = Lab::start().await else { return };
    let start = Instant::now();
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .with_writer(move || writer.clone())
        .init();
    let looking = tokio::task::spawn_blocking(jobs);
    let schemas = schemas_or_explain().unwrap().unwrap();
    for vendor in ["cilium", "istio", "kong", "nginx-gateway-fabric", "traefik"] {
        crds::install_vendor(&lab.client, &schemas, vendor).await.unwrap();
    }
    let registry = gateway_modules::registry().unwrap();
    for module in registry.names() {
        let module = registry.get(module).unwrap();
        let metadata = module.metadata();
        // No gateway runs, but kgateway's stand-in: for the others an accepted class is enough to be applied.
        if let (Some(class), Some(controller), false) =
            (metadata.default_class, metadata.controllers.first(), metadata.name == "kgateway")
        {
            lab.accepted_class(class, controller).await;
        }
    }
    let stand_in = StandIn::start(lab.control_plane.stand_in_client().await.unwrap(), StandInOptions::kgateway());
    lab.create(service("main-catalog")).await;
    lab.create(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", "namespace": "shop"},
        "stringData": {"alice": "correct horse battery staple"},
    }))
    .await;
    let (mut jobs, namespaces) = looking.await.unwrap();
    for namespace in namespaces {
        // Some are there.
        let _ = create_namespace(&lab.client, &namespace).await;
    }
    println!("ready after {} ms", start.elapsed().as_millis());
    let mut suite = Suite { lab, log, table: Vec::new() };

    let only = std::env::var("GATEWAY_MODULES_RIGHTS").unwrap_or_default();
    jobs.retain(|job| job.resource.contains(&only));

    // Kinds of one module, beside those of others; kinds of Gateway API are everybody's, and come alone.
    // So are ConfigMaps, in which the records are.
    let (shared, own): (Vec<Job>, Vec<Job>) =
        jobs.into_iter().partition(|job| matches!(job.group.as_str(), "" | "gateway.networking.k8s.io"));
    let mut by_module: BTreeMap<String, Vec<Job>> = BTreeMap::new();
    for job in own {
        by_module.entry(job.module.clone()).or_default().push(job);
    }
    let mut rounds: Vec<Vec<Job>> = shared.into_iter().map(|job| vec![job]).collect();
    while by_module.values().any(|jobs| !jobs.is_empty()) {
        rounds.push(by_module.values_mut().filter_map(Vec::pop).collect());
    }
    for round in rounds {
        let names: Vec<String> = round.iter().map(|job| format!("{} ({})", job.kind, job.module)).collect();
        let since = Instant::now();
        suite.round(&round).await;
        println!("== {}: {} ms", names.join(", "), since.elapsed().as_millis());
    }

    // What is left: everything else that the roles allow, each in a life of its own.
    let known: BTreeSet<Rule> = suite.table.iter().map(|(rule, _)| rule.clone()).collect();
    let all: BTreeSet<Rule> = rights()
        .iter()
        .flat_map(|document| document["rules"].as_array().cloned().unwrap_or_default())
        .flat_map(|rule| single_rules(&rule))
        .map(|(group, resource, verb)| Rule { group, resource, verb })
        .collect();
    for rule in all.difference(&known).filter(|rule| rule.resource.contains(&only)) {
        let since = Instant::now();
        suite.life(rule).await;
        println!("== {rule}: {} ms", since.elapsed().as_millis());
    }
    suite.table.sort();
    println!("\n{} rights in {} s", suite.table.len(), start.elapsed().as_secs());
    for (rule, place) in &suite.table {
        let rule = rule.to_string();
        println!("{rule:<70} {place}");
    }
    let surplus: Vec<String> =
        suite.table.iter().filter(|(_, place)| place == "nowhere").map(|(rule, _)| rule.to_string()).collect();
    let surplus: Vec<_> = surplus.into_iter().filter(|rule| !ELSEWHERE.contains(&rule.as_str())).collect();
    assert!(surplus.is_empty(), "nobody notices that these are missing: {surplus:#?}");
    stand_in.stop().await;
    suite.lab.control_plane.stop().await.unwrap();
}
