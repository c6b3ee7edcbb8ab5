//! Brings one data plane in order: load, resolve, compile, plan, apply, status.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt};
use gateway_modules::{
    InstalledCrds, Registry, Target,
    core::{
        cluster::{ApplyOptions, Cluster, ClusterError, ClusterOptions, Health},
        compile::Release,
        intent::{
            DataPlanePicker, GatewaySelection, Metadata,
            schema::DocumentKind,
            status::{ChosenModule, ComponentCount},
        },
        module::{ClassesRead, Fact, Installed, InstalledDefinitions, ModuleVersion, ReadError},
        object::GroupVersionKind,
        plan::PlanOptions,
        select::{Degraded, SelectError, Selected},
    },
};
use kube::{
    Client, ResourceExt,
    api::{Api, Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::{Value, json};

use crate::{
    FIELD_MANAGER, FINALIZER, Metrics,
    conditions::Verdict,
    isolate::{self, Candidate},
    status::{ComponentView, PlaneReport, PlaneView, component_status, component_view, fidelity},
    stored,
};

/// How long what is known of the CRDs is believed.
const CRDS_BELIEVED: Duration = Duration::from_secs(15);
/// How long the version of a gateway's controller is believed.
const VERSION_BELIEVED: Duration = Duration::from_mins(1);
/// Names in a message.
const SHOWN: usize = 8;
/// Status writes at a time.
const CONCURRENCY: usize = 8;

/// How a reconciler works.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconcilerOptions {
    /// Installation, namespace of the records, timeouts.
    pub cluster: ClusterOptions,
    /// How long an apply waits for the acknowledgement of a closed route. Default 10 s: the next reconciliation goes on.
    pub gate_timeout: Duration,
    /// When a ready plane is looked at again without an event. Default 5 minutes.
    pub resync: Duration,
    /// When a plane that is not ready is looked at again without an event. Default 10 s.
    pub retry: Duration,
}

impl Default for ReconcilerOptions {
    fn default() -> Self {
        Self {
            cluster: ClusterOptions::default(),
            gate_timeout: Duration::from_secs(10),
            resync: Duration::from_mins(5),
            retry: Duration::from_secs(10),
        }
    }
}

impl ReconcilerOptions {
    /// Installation, namespace of the records, timeouts.
    #[must_use]
    pub fn with_cluster(mut self, cluster: ClusterOptions) -> Self {
        self.cluster = cluster;
        self
    }

    /// When a plane is looked at again without an event: when it is ready, and when it is not.
    #[must_use]
    pub const fn with_intervals(mut self, resync: Duration, retry: Duration) -> Self {
        self.resync = resync;
        self.retry = retry;
        self
    }

    /// How long an apply waits for the acknowledgement of a closed route.
    #[must_use]
    pub const fn with_gate_timeout(mut self, timeout: Duration) -> Self {
        self.gate_timeout = timeout;
        self
    }
}

/// All stored intents, as read together. What is missing here is deleted from the gateway: a snapshot must be complete.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// All DataPlanes.
    pub data_planes: Vec<Arc<DynamicObject>>,
    /// All Components.
    pub components: Vec<Arc<DynamicObject>>,
}

/// What a reconciliation has achieved.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// How the plane is; absent when it is gone, or cannot be served as it is written.
    pub health: Option<Health>,
    /// Writes that changed an object, deletions included; status is not counted.
    pub writes: usize,
    /// When to look again, if nothing happens before; absent when the plane is gone.
    pub again: Option<Duration>,
    /// Kinds that the plane has objects of: what to watch.
    pub kinds: BTreeSet<GroupVersionKind>,
}

/// Why a reconciliation has ended early. The next one goes on where it ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The pipeline's way to the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Reading or writing an intent object.
    #[error("{action}: {source}")]
    Kube {
        /// What was tried.
        action: String,
        /// What went wrong.
        source: Box<kube::Error>,
    },
    /// What is installed could not be read.
    #[error("{0}")]
    Discovery(String),
    /// A status that is no JSON, which no status is.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Brings data planes in order, one at a time each, many at once.
pub struct Reconciler {
    client: Client,
    cluster: Cluster,
    registry: Registry,
    options: ReconcilerOptions,
    metrics: Arc<Metrics>,
    views: Mutex<BTreeMap<String, PlaneView>>,
    definitions: tokio::sync::Mutex<Option<(Instant, InstalledDefinitions)>>,
    /// By module.
    versions: tokio::sync::Mutex<BTreeMap<String, (Instant, Fact<ModuleVersion>)>>,
}

/// `namespace/name` of an object.
pub(crate) fn object_key(object: &DynamicObject) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

impl Reconciler {
    /// Over the caller's client, with the caller's modules.
    pub fn new(client: Client, registry: Registry, options: ReconcilerOptions, metrics: Arc<Metrics>) -> Self {
        Self {
            cluster: Cluster::new(client.clone(), options.cluster.clone()),
            client,
            registry,
            options,
            metrics,
            views: Mutex::default(),
            definitions: tokio::sync::Mutex::default(),
            versions: tokio::sync::Mutex::default(),
        }
    }

    /// Reconciles one data plane and tells on it, and on its components, what came of it.
    ///
    /// # Errors
    /// What is worth another try; it is told on the DataPlane too.
    pub async fn reconcile(&self, name: &str, snapshot: &Snapshot) -> Result<Outcome, ReconcileError> {
        let started = Instant::now();
        let result = self.reconcile_plane(name, snapshot).await;
        let word = match &result {
            Ok(Outcome { health: Some(Health::Ready), .. }) => "ready",
            Ok(_) => "not_ready",
            Err(_) => "error",
        };
        self.metrics.reconciled(name, word, started.elapsed());
        match &result {
            Ok(outcome) => tracing::info!(
                data_plane = name,
                health = outcome.health.map_or("none", Health::name),
                writes = outcome.writes,
                took_ms = started.elapsed().as_millis(),
                "reconciled"
            ),
            Err(error) => tracing::warn!(data_plane = name, %error, "not reconciled"),
        }
        result
    }

    async fn reconcile_plane(&self, name: &str, snapshot: &Snapshot) -> Result<Outcome, ReconcileError> {
        let Some(object) = snapshot.data_planes.iter().find(|plane| plane.name_any() == name) else {
            self.forget(name);
            self.tell_components(snapshot).await?;
            return Ok(Outcome::default());
        };
        if stored::is_going(object) {
            return self.clean_up(object, snapshot).await;
        }
        self.add_finalizer(object).await?;
        let plane = match stored::data_plane(object) {
            Ok(plane) => plane,
            Err(message) => {
                let verdict = Verdict::no("Invalid", message.clone());
                return self.give_up(object, snapshot, verdict, message).await;
            }
        };
        if plane.spec.cluster.is_some() {
            let message =
                "a plane in another cluster (`cluster`) is not served by the controller yet; leave it out".to_owned();
            return self.give_up(object, snapshot, Verdict::no("Unsupported", message.clone()), message).await;
        }
        let definitions = self.definitions().await?;
        let crds = match InstalledCrds::of(&definitions) {
            Ok(crds) => crds,
            Err(error) => {
                let message = error.to_string();
                let verdict = Verdict::no("GatewayAPIMissing", message.clone());
                return self.give_up(object, snapshot, verdict, message).await;
            }
        };
        // Few, and read each time: a choice waits for their events.
        let classes = ClassesRead::read(&self.cluster.reader()).await.map_err(discovery)?;
        let target = match self.target(name, &plane.spec.gateway, &classes).await? {
            Ok(target) => target,
            Err(error) => {
                let message = error.to_string();
                let verdict = Verdict::no(error.reason(), message.clone());
                return self.give_up(object, snapshot, verdict, message).await;
            }
        };
        let views = snapshot.components.iter().filter(|object| !stored::is_going(object));
        let mut generations = BTreeMap::new();
        let mut candidates = Vec::new();
        let mut unreadable = Vec::new();
        let planes = plane_metadata(snapshot);
        for object in views {
            let decoded = stored::component(object);
            let last = stored::last_accepted(object);
            let (component, fallback, incumbent) = match (decoded, last) {
                (Ok(component), last) => {
                    let incumbent = last.is_none() && object.data.pointer("/status/lastAccepted").is_some();
                    (component, last.map(|(_, component)| component), incumbent)
                }
                // It cannot be read; what was accepted before is served on. Its status says so by itself.
                (Err(_), Some((_, component))) => (component, None, true),
                (Err(_), None) => {
                    // It was served before, and this controller cannot say what it had: nothing may be pruned for it.
                    if stored::was_accepted(object) {
                        unreadable.push(object_key(object));
                    }
                    continue;
                }
            };
            if served_by(component.spec.data_planes.as_ref(), &planes).iter().any(|served| served == name) {
                generations.insert(object_key(object), stored::generation(object));
                let created = object.creation_timestamp().map(|time| time.0.to_string()).unwrap_or_default();
                candidates.push(Candidate { component, fallback, incumbent, created });
            }
        }
        // Compiling is pure and may take a while.
        let isolated = match isolate::compile(&plane, candidates, &self.registry, &target, &crds) {
            Ok(isolated) => isolated,
            Err(refusal) => {
                let reason = if refusal.refused { "Refused" } else { "Invalid" };
                return self
                    .give_up(object, snapshot, Verdict::no(reason, refusal.message.clone()), refusal.message)
                    .await;
            }
        };
        let Some(release) = &isolated.plane.compiled.release else { return Ok(Outcome::default()) };
        let chosen = ChosenModule {
            name: release.module.name.clone(),
            version: release.module.version.to_string(),
            class: release.module.class.clone(),
            reason: target.selected.reason.to_string(),
        };
        let degraded = missed(&target.selected, release);
        let mut outcome = Outcome {
            kinds: release.objects.iter().map(|entry| entry.object.kind()).collect(),
            again: Some(self.options.retry),
            ..Outcome::default()
        };
        let options = PlanOptions::default().with_repair(true).with_keep(!unreadable.is_empty());
        let applied = if degraded.is_some_and(Degraded::stops_writes) {
            Ok(())
        } else {
            self.apply(release, &chosen.reason, options, &mut outcome).await
        };
        let status = match &applied {
            Ok(()) => self.cluster.status(release).await,
            Err(error) => Err(error.clone()),
        };
        let summary = fidelity(&isolated.plane.compiled.report.summary());
        let refused = isolated.refusals.len();
        let total = generations.len();
        // Whatever a Gateway's status says: nobody keeps it true.
        let unserved = degraded.map(|degraded| Verdict::no(degraded.reason(), degraded.to_string()));
        let (programmed, failure) = match (&unserved, &status) {
            (Some(verdict), Ok(_)) => (verdict.clone(), None),
            (None, Ok(status)) => {
                let reasons: Vec<String> = status
                    .reasons
                    .iter()
                    .take(8)
                    .map(|reason| format!("{}: {} ({})", reason.object, reason.message, reason.next))
                    .collect();
                (Verdict::of_health(status.health, reasons.join("\n")), None)
            }
            (_, Err(error)) => (Verdict::no("ApplyFailed", error.to_string()), Some(error.to_string())),
        };
        let components = generations.into_iter().map(|(key, generation)| {
            let (namespace, name) = key.split_once('/').unwrap_or_default();
            let (programmed, endpoints) = match &status {
                Ok(status) => {
                    let (verdict, endpoints) = component_view(status, namespace, name);
                    (unserved.clone().unwrap_or(verdict), endpoints)
                }
                Err(error) => (Verdict::unknown("ApplyFailed", error.to_string()), Vec::new()),
            };
            let refusal = isolated.refusals.get(&key).cloned();
            (key.clone(), ComponentView { generation, refusal, programmed, endpoints })
        });
        let view = PlaneView {
            module: Some(chosen.name.clone()),
            fidelity: None,
            failure: None,
            components: components.collect(),
        };
        self.remember(name, view);
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let mut refusals = Vec::new();
        if refused > 0 {
            let names: Vec<&str> = isolated.refusals.keys().take(SHOWN).map(String::as_str).collect();
            refusals.push(format!("{refused} of {total} components are refused: {}", names.join(", ")));
        }
        if !unreadable.is_empty() {
            let names: Vec<&str> = unreadable.iter().take(SHOWN).map(String::as_str).collect();
            refusals.push(format!(
                "{} accepted components cannot be read by this controller, so nothing is deleted: {}",
                unreadable.len(),
                names.join(", ")
            ));
        }
        let accepted = if refusals.is_empty() {
            Verdict::yes("Accepted", "")
        } else {
            Verdict::yes("ComponentsRefused", refusals.join("\n"))
        };
        let health = |health| if unserved.is_some() { Health::Degraded } else { health };
        outcome.health = status.as_ref().ok().map(|status| health(status.health));
        let ready = outcome.health == Some(Health::Ready);
        let report = PlaneReport {
            resolved: Verdict::yes("Resolved", ""),
            accepted,
            programmed,
            besides: besides(&target, unserved, &Installed::new(classes, definitions)),
            module: Some(chosen),
            fidelity: Some(summary),
            components: Some(ComponentCount { accepted: number(total - refused), refused: number(refused) }),
            status: status.as_ref().ok().cloned(),
        };
        self.tell_plane(object, report).await?;
        self.tell_components(snapshot).await?;
        self.metrics.state(name, ready, refused, outcome.writes);
        if failure.is_some() {
            applied?;
            status?;
        }
        if ready {
            outcome.again = Some(self.options.resync);
        }
        Ok(outcome)
    }

    /// The gateway of a plane: by what is installed now and what was recorded.
    async fn target(
        &self,
        plane: &str,
        gateway: &GatewaySelection,
        classes: &ClassesRead,
    ) -> Result<Result<Target, SelectError>, ReconcileError> {
        let recorded = self.cluster.selection(plane).await?;
        let mut target = match Target::choose(&self.registry, classes, gateway, recorded.as_ref()) {
            Ok(target) => target,
            Err(error) => return Ok(Err(error)),
        };
        let mut versions = self.versions.lock().await;
        let known = versions.get(&target.selected.module).filter(|(since, _)| since.elapsed() < VERSION_BELIEVED);
        if let Some((_, version)) = known {
            target.version.clone_from(version);
        } else {
            target.read_version(&self.registry, &self.cluster.reader()).await.map_err(discovery)?;
            versions.insert(target.selected.module.clone(), (Instant::now(), target.version.clone()));
        }
        Ok(Ok(target))
    }

    async fn definitions(&self) -> Result<InstalledDefinitions, ReconcileError> {
        let mut known = self.definitions.lock().await;
        if let Some((since, definitions)) = known.as_ref()
            && since.elapsed() < CRDS_BELIEVED
        {
            return Ok(definitions.clone());
        }
        let definitions = InstalledDefinitions::read(&self.cluster.reader()).await.map_err(discovery)?;
        // Without Gateway API it is looked again at once: a gateway may be about to bring it.
        let believed = definitions.gateway_api().is_none_or(|served| !served.is_empty());
        *known = believed.then(|| (Instant::now(), definitions.clone()));
        Ok(definitions)
    }

    async fn apply(
        &self,
        release: &Release,
        reason: &str,
        options: PlanOptions,
        outcome: &mut Outcome,
    ) -> Result<(), ClusterError> {
        let plan = self.cluster.plan_chosen(release, reason, options).await?;
        if plan.is_empty() {
            return Ok(());
        }
        let options = ApplyOptions::default().with_gate_timeout(self.options.gate_timeout);
        let done = self.cluster.apply_to_end(&plan, options).await?;
        outcome.writes += done.writes;
        for blocked in &done.blocked {
            tracing::warn!(data_plane = release.data_plane, object = blocked.object, reasons = ?blocked.reasons, "blocked");
        }
        Ok(())
    }

    /// Nothing is written and nothing is deleted; the plane says why.
    async fn give_up(
        &self,
        object: &DynamicObject,
        snapshot: &Snapshot,
        verdict: Verdict,
        failure: String,
    ) -> Result<Outcome, ReconcileError> {
        let name = object.name_any();
        let refused = verdict.reason == "Refused";
        let waiting = || Verdict::unknown("NotAccepted", "what was applied before stays as it is");
        let report = PlaneReport {
            resolved: if refused { Verdict::yes("Resolved", "") } else { verdict.clone() },
            accepted: if refused { verdict } else { Verdict::unknown("NotResolved", "") },
            programmed: waiting(),
            besides: Vec::new(),
            module: None,
            fidelity: None,
            components: None,
            status: None,
        };
        self.remember(&name, PlaneView { failure: Some(failure), ..PlaneView::default() });
        self.metrics.state(&name, false, 0, 0);
        self.tell_plane(object, report).await?;
        self.tell_components(snapshot).await?;
        Ok(Outcome { again: Some(self.options.retry), ..Outcome::default() })
    }

    async fn clean_up(&self, object: &DynamicObject, snapshot: &Snapshot) -> Result<Outcome, ReconcileError> {
        let name = object.name_any();
        if !object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
            self.forget(&name);
            return Ok(Outcome::default());
        }
        let mut outcome = Outcome { again: Some(self.options.retry), ..Outcome::default() };
        let mut blocked = Vec::new();
        for plan in self.cluster.plan_delete(&name).await? {
            let options = ApplyOptions::default().with_gate_timeout(self.options.gate_timeout);
            let done = self.cluster.apply_to_end(&plan, options).await?;
            outcome.writes += done.writes;
            blocked.extend(
                done.blocked.into_iter().map(|blocked| format!("{}: {}", blocked.object, blocked.reasons.join("; "))),
            );
        }
        if !blocked.is_empty() {
            let report = PlaneReport {
                resolved: Verdict::yes("Resolved", ""),
                accepted: Verdict::no("Deleting", "the plane is being deleted"),
                programmed: Verdict::no("Deleting", blocked.join("\n")),
                besides: Vec::new(),
                module: None,
                fidelity: None,
                components: None,
                status: None,
            };
            self.tell_plane(object, report).await?;
            return Ok(outcome);
        }
        self.forget(&name);
        let left: Vec<&String> = object.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
        self.patch_finalizers(object, json!(left)).await?;
        self.tell_components(snapshot).await?;
        Ok(Outcome { again: None, ..outcome })
    }

    async fn add_finalizer(&self, object: &DynamicObject) -> Result<(), ReconcileError> {
        if object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        let all: Vec<&str> = object.finalizers().iter().map(String::as_str).chain([FINALIZER]).collect();
        self.patch_finalizers(object, json!(all)).await
    }

    async fn patch_finalizers(&self, object: &DynamicObject, finalizers: Value) -> Result<(), ReconcileError> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &stored::resource(DocumentKind::DataPlane));
        let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": object.resource_version() } });
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch(&object.name_any(), &parameters, &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            // Gone already.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(failed(format!("finalizers of DataPlane {}", object.name_any()), error)),
        }
    }

    async fn tell_plane(&self, object: &DynamicObject, report: PlaneReport) -> Result<(), ReconcileError> {
        let status = serde_json::to_value(report.into_status(object))?;
        self.write_status(object, DocumentKind::DataPlane, status).await
    }

    /// Tells every component how it is. Writes only what has changed.
    ///
    /// # Errors
    /// The API server does not take a status.
    pub async fn tell_components(&self, snapshot: &Snapshot) -> Result<(), ReconcileError> {
        let planes = plane_metadata(snapshot);
        let statuses: Vec<(&Arc<DynamicObject>, Value)> = {
            let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
            let mut statuses = Vec::new();
            for object in snapshot.components.iter().filter(|object| !stored::is_going(object)) {
                let served = match stored::component(object) {
                    Err(message) if stored::was_accepted(object) => {
                        Err(Verdict::no("Invalid", format!("{message}; what was applied for it before is kept")))
                    }
                    Err(message) => Err(Verdict::no("Invalid", message)),
                    Ok(component) => {
                        let served = served_by(component.spec.data_planes.as_ref(), &planes);
                        if served.is_empty() {
                            let names: Vec<&str> = planes.iter().map(|plane| plane.name.as_str()).collect();
                            let message = match names.as_slice() {
                                [] => "there is no DataPlane: create one".to_owned(),
                                names => {
                                    format!("no data plane serves the component: name one of {}", names.join(", "))
                                }
                            };
                            Err(Verdict::no("NoDataPlane", message))
                        } else {
                            Ok(served.into_iter().map(|name| (name.clone(), views.get(&name))).collect())
                        }
                    }
                };
                statuses.push((object, serde_json::to_value(component_status(object, served))?));
            }
            statuses
        };
        let mut pending = Vec::new();
        for (object, status) in statuses {
            pending.push(self.write_status(object, DocumentKind::Component, status).boxed());
        }
        let mut writes = futures::stream::iter(pending).buffer_unordered(CONCURRENCY);
        let mut first = Ok(());
        while let Some(result) = writes.next().await {
            if first.is_ok() {
                first = result;
            }
        }
        first
    }

    async fn write_status(
        &self,
        object: &DynamicObject,
        kind: DocumentKind,
        status: Value,
    ) -> Result<(), ReconcileError> {
        if object.data.get("status") == Some(&status) {
            return Ok(());
        }
        let resource = stored::resource(kind);
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        // About this very object: what was changed since has an event of its own, and a newer status is not overwritten.
        let patch = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": { "name": object.name_any(), "namespace": object.namespace(), "resourceVersion": object.resource_version() },
            "status": status,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        match api.patch_status(&object.name_any(), &parameters, &Patch::Apply(patch)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => Err(failed(format!("status of {kind} {}", object_key(object)), error)),
        }
    }

    fn remember(&self, name: &str, view: PlaneView) {
        self.views.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), view);
    }

    fn forget(&self, name: &str) {
        self.views.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.metrics.forget(name);
    }
}

fn discovery(error: ReadError) -> ReconcileError {
    ReconcileError::Discovery(error.to_string())
}

/// What is wrong with the class of a plane, unless the release itself makes that class.
fn missed<'a>(selected: &'a Selected, release: &Release) -> Option<&'a Degraded> {
    let made = release.objects.iter().any(|entry| {
        let key = entry.key();
        key.kind.kind == "GatewayClass" && Some(&key.name) == selected.class.as_ref()
    });
    selected.degraded.as_ref().filter(|degraded| !made || !matches!(degraded, Degraded::ClassVanished { .. }))
}

/// The conditions that a plane has besides those of every intent.
fn besides(target: &Target, unserved: Option<Verdict>, installed: &Installed) -> Vec<(&'static str, Verdict)> {
    let degraded = unserved
        .map_or_else(|| Verdict::no("ClassAccepted", ""), |verdict| Verdict::yes(verdict.reason, verdict.message));
    let others: Vec<String> = target.selected.switch_available.iter().take(SHOWN).map(ToString::to_string).collect();
    let switch = if others.is_empty() {
        Verdict::no("NoOtherGateway", "")
    } else {
        let message = format!("the plane stays where it is; it could move to {}", others.join(", "));
        Verdict::yes("OtherGatewayInstalled", message)
    };
    let mut unread: Vec<String> = installed.unread().iter().map(ToString::to_string).collect();
    if target.version.value.is_none() {
        unread
            .push(format!("the version of the gateway: {}; it is taken as recorded or assumed", target.version.source));
    }
    let discovered =
        if unread.is_empty() { Verdict::yes("Read", "") } else { Verdict::no("NotAllRead", unread.join("\n")) };
    vec![("Degraded", degraded), ("SwitchAvailable", switch), ("Discovered", discovered)]
}

fn failed(action: String, error: kube::Error) -> ReconcileError {
    ReconcileError::Kube { action, source: Box::new(error) }
}

/// Names and labels of all planes, also of those whose specification cannot be read.
fn plane_metadata(snapshot: &Snapshot) -> Vec<Metadata> {
    let metadata = |object: &Arc<DynamicObject>| {
        serde_json::from_value(json!({ "name": object.name_any(), "labels": object.labels() })).ok()
    };
    let planes = snapshot.data_planes.iter().filter(|object| !stored::is_going(object));
    let mut planes: Vec<Metadata> = planes.filter_map(metadata).collect();
    planes.sort_by(|a, b| a.name.cmp(&b.name));
    planes
}

/// The planes that serve a component: what its picker says, or the only plane there is.
fn served_by(picker: Option<&DataPlanePicker>, planes: &[Metadata]) -> Vec<String> {
    let chosen = |plane: &&Metadata| match picker {
        None => planes.len() == 1,
        Some(DataPlanePicker::Names(names)) => names.contains(&plane.name),
        Some(DataPlanePicker::MatchLabels(labels)) => {
            labels.iter().all(|(key, value)| plane.labels.get(key) == Some(value))
        }
    };
    planes.iter().filter(chosen).map(|plane| plane.name.to_string()).collect()
}
