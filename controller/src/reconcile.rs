//! Brings one data plane in order: load, resolve, compile, plan, apply, status.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use futures::StreamExt;
use gateway_modules::{
    InstalledCrds, Registry, Target,
    core::{
        cluster::{ApplyEvent, ApplyOptions, ApplyOutcome, ClusterError, Health},
        compile::Release,
        intent::status::{ChosenModule, ComponentCount},
        module::Installed,
        object::GroupVersionKind,
        plan::{Plan, PlanOptions},
        select::{Degraded, Selected},
    },
};
use kube::{Client, ResourceExt, core::DynamicObject};
use serde_json::Value;

use crate::{
    Metrics, Outcome, ReconcileError, ReconcilerOptions, Snapshot,
    conditions::Verdict,
    drift::Drifted,
    events::Events,
    isolate::{self, Isolated},
    life::has_finalizer,
    remote::Remotes,
    site::Site,
    status::{ComponentView, PlaneReport, PlaneView, component_view, fidelity},
    stored,
};

/// Names in a message.
const SHOWN: usize = 8;

/// Brings data planes in order, one at a time each, many at once.
pub struct Reconciler {
    pub(crate) local: Arc<Site>,
    pub(crate) options: ReconcilerOptions,
    pub(crate) events: Events,
    pub(crate) views: Mutex<BTreeMap<String, PlaneView>>,
    pub(crate) remotes: Mutex<Remotes>,
    registry: Registry,
    metrics: Arc<Metrics>,
}

/// What a pass over a plane has found, to be told.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) outcome: Outcome,
    pub(crate) report: PlaneReport,
    pub(crate) view: PlaneView,
    /// Components that are not served as they are written, where they could be judged.
    pub(crate) refused: Option<usize>,
    /// Whether the plane is as it is written.
    pub(crate) success: bool,
    /// What is worth another try.
    pub(crate) error: Option<ReconcileError>,
}

impl Judged {
    /// Of a plane that is not served as it is written.
    pub(crate) const fn new(outcome: Outcome, report: PlaneReport, view: PlaneView) -> Self {
        Self { outcome, report, view, refused: None, success: false, error: None }
    }
}

/// Why a plane is not brought in order. Nothing is written and nothing is deleted then.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It cannot be served as it is written, or as the cluster is.
    GivenUp(Verdict),
    /// Something failed: another try may help.
    Failed(ReconcileError),
}

impl From<ReconcileError> for Stop {
    fn from(error: ReconcileError) -> Self {
        Self::Failed(error)
    }
}

impl From<ClusterError> for Stop {
    fn from(error: ClusterError) -> Self {
        Self::Failed(error.into())
    }
}

impl Reconciler {
    /// Over the caller's client, with the caller's modules.
    pub fn new(client: Client, registry: Registry, options: ReconcilerOptions, metrics: Arc<Metrics>) -> Self {
        Self {
            events: Events::new(client.clone(), &options.cluster.holder),
            local: Arc::new(Site::new(client, options.cluster.clone())),
            options,
            views: Mutex::default(),
            remotes: Mutex::default(),
            registry,
            metrics,
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
        let judged = if !stored::is_going(object) {
            self.serve(object, snapshot).await.unwrap_or_else(|stop| self.stopped(stop))
        } else if !has_finalizer(object) {
            self.forget(name);
            return Ok(Outcome::default());
        } else {
            match self.clean_up(object).await {
                Ok(Some(judged)) => judged,
                Ok(None) => {
                    self.forget(name);
                    self.remove_finalizer(object).await?;
                    self.tell_components(snapshot).await?;
                    return Ok(Outcome::default());
                }
                Err(stop) => self.stopped(stop),
            }
        };
        self.tell(object, snapshot, judged).await
    }

    /// Nothing is written and nothing is deleted; the plane says why, and nothing about it stays healthy.
    fn stopped(&self, stop: Stop) -> Judged {
        let (report, failure, error) = match stop {
            Stop::GivenUp(verdict) => {
                let failure = verdict.message.clone();
                let report = if verdict.reason == "Refused" {
                    PlaneReport::new(Verdict::yes("Resolved", ""), verdict)
                } else {
                    PlaneReport::new(verdict, Verdict::unknown("NotResolved", ""))
                };
                (report, failure, None)
            }
            Stop::Failed(error) => {
                let verdict = Verdict::unknown(error.reason(), error.to_string());
                let mut report = PlaneReport::new(verdict, Verdict::unknown("NotResolved", ""));
                report.programmed = Verdict::unknown(error.reason(), "how it is could not be found out");
                (report, error.to_string(), Some(error))
            }
        };
        let outcome = Outcome { again: Some(self.options.retry), ..Outcome::default() };
        let view = PlaneView { failure: Some(failure), ..PlaneView::default() };
        Judged { error, ..Judged::new(outcome, report, view) }
    }

    async fn tell(
        &self,
        object: &DynamicObject,
        snapshot: &Snapshot,
        judged: Judged,
    ) -> Result<Outcome, ReconcileError> {
        let name = object.name_any();
        let ready = judged.outcome.health == Some(Health::Ready);
        self.metrics.state(&name, ready, judged.refused, judged.success);
        self.views.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), judged.view);
        let plane = self.tell_plane(object, judged.report).await;
        let components = self.tell_components(snapshot).await;
        match judged.error {
            Some(error) => {
                for untold in [plane.err(), components.err()].into_iter().flatten() {
                    tracing::warn!(data_plane = name, error = %untold, "the failure could not be told");
                }
                Err(error)
            }
            None => plane.and(components).map(|()| judged.outcome),
        }
    }

    async fn serve(&self, object: &DynamicObject, snapshot: &Snapshot) -> Result<Judged, Stop> {
        let name = object.name_any();
        self.add_finalizer(object).await?;
        let plane = stored::data_plane(object).map_err(|message| Stop::GivenUp(Verdict::no("Invalid", message)))?;
        let site = self.site(object).await?;
        let site = site.as_ref();
        let recorded = site.cluster.selection(&name).await?;
        let _turn = site.turn().await;
        let definitions = site.definitions().await?;
        let crds = InstalledCrds::of(&definitions)
            .map_err(|error| Stop::GivenUp(Verdict::no("GatewayAPIMissing", error.to_string())))?;
        let classes = site.classes().await?;
        let target = site
            .target(&self.registry, &plane.spec.gateway, &classes, recorded.as_ref())
            .await?
            .map_err(|error| Stop::GivenUp(Verdict::no(error.reason(), error.to_string())))?;
        let served = snapshot.served(&name);
        let serves = |kind: &GroupVersionKind| {
            let known = definitions.served.as_ref();
            kind.group.is_empty()
                || known.is_none_or(|known| {
                    known.get(&kind.group_kind()).is_some_and(|versions| versions.contains(kind.version.as_ref()))
                })
        };
        // Compiling is pure and may take a while.
        let isolated = isolate::compile(&plane, served.candidates, &self.registry, &target, &crds, &serves).map_err(
            |refusal| {
                let reason = if refusal.refused { "Refused" } else { "Invalid" };
                Stop::GivenUp(Verdict::no(reason, refusal.message))
            },
        )?;
        let Some(release) = &isolated.plane.compiled.release else {
            return Err(Stop::GivenUp(Verdict::no("Invalid", "the plane has no release")));
        };
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
        let writes = !degraded.is_some_and(Degraded::stops_writes);
        let mut drifted = Drifted::default();
        let applied = if writes {
            let options = PlanOptions::default().with_repair(true).with_keep(!served.unreadable.is_empty());
            match site.cluster.plan_chosen(release, &chosen.reason, options).await {
                Ok(plan) => {
                    drifted = Drifted::new(plane.spec.drift, &plan.drift);
                    self.apply(site, plan, &drifted, &mut outcome.writes).await
                }
                Err(error) => Err(error),
            }
        } else {
            Ok(())
        };
        if matches!(applied, Err(ClusterError::KindMissing { .. })) {
            site.forget_definitions().await;
        }
        let status = match &applied {
            Ok(()) => site.cluster.status(release).await,
            Err(error) => Err(error.clone()),
        };
        // Whatever a Gateway's status says: nobody keeps it true.
        let unserved = degraded.map(|degraded| Verdict::no(degraded.reason(), degraded.to_string()));
        let programmed = match (&unserved, &status) {
            (_, Err(error)) => Verdict::no("ApplyFailed", error.to_string()),
            (Some(verdict), Ok(_)) => verdict.clone(),
            (None, Ok(status)) => {
                let reasons: Vec<String> = status
                    .reasons
                    .iter()
                    .take(SHOWN)
                    .map(|reason| format!("{}: {} ({})", reason.object, reason.message, reason.next))
                    .collect();
                Verdict::of_health(status.health, reasons.join("\n"))
            }
        };
        let mut besides = besides(&target, unserved.clone(), &Installed::new(classes, definitions));
        if writes {
            let previous = object.data.pointer("/status/conditions").unwrap_or(&Value::Null);
            besides.push(("Drifted", drifted.verdict(plane.spec.drift, applied.is_ok(), previous)));
            self.metrics.drift(&name, drifted.left.len(), if applied.is_ok() { drifted.repaired.len() } else { 0 });
        }
        let refused = isolated.refusals.len();
        let total = served.generations.len();
        let components = served.generations.into_iter().map(|(key, generation)| {
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
        outcome.health =
            status.as_ref().ok().map(|status| if unserved.is_some() { Health::Degraded } else { status.health });
        if outcome.health == Some(Health::Ready) {
            outcome.again = Some(self.options.resync);
        }
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let report = PlaneReport {
            resolved: Verdict::yes("Resolved", ""),
            accepted: accepted(&isolated, total, &served.unreadable),
            programmed,
            besides,
            module: Some(chosen),
            fidelity: Some(fidelity(&isolated.plane.compiled.report.summary())),
            components: Some(ComponentCount { accepted: number(total - refused), refused: number(refused) }),
            status: status.as_ref().ok().cloned(),
        };
        let success = writes && status.is_ok();
        let error = status.err().map(Into::into);
        Ok(Judged { outcome, report, view, refused: Some(refused), success, error })
    }

    async fn apply(&self, site: &Site, plan: Plan, drifted: &Drifted, writes: &mut usize) -> Result<(), ClusterError> {
        for drift in &drifted.repaired {
            tracing::warn!(data_plane = plan.data_plane, %drift, "changed by hand");
        }
        let plan = if drifted.left.is_empty() { plan } else { plan.without_repair() };
        if plan.is_empty() {
            return Ok(());
        }
        let done = self.carry_out(site, &plan, writes).await?;
        for blocked in &done.blocked {
            tracing::warn!(data_plane = plan.data_plane, object = blocked.object, reasons = ?blocked.reasons, "blocked");
        }
        Ok(())
    }

    /// Carries out a plan to its end. Writes are counted as they are made, whatever comes of the rest.
    pub(crate) async fn carry_out(
        &self,
        site: &Site,
        plan: &Plan,
        writes: &mut usize,
    ) -> Result<ApplyOutcome, ClusterError> {
        let options = ApplyOptions::default().with_gate_timeout(self.options.gate_timeout);
        let mut events = Box::pin(site.cluster.apply(plan, options));
        let mut outcome = ApplyOutcome::default();
        while let Some(event) = events.next().await {
            match event? {
                ApplyEvent::Written { .. }
                | ApplyEvent::Closed { .. }
                | ApplyEvent::Opened { .. }
                | ApplyEvent::Contributed { .. }
                | ApplyEvent::Deleted { .. } => {
                    *writes += 1;
                    self.metrics.wrote(1);
                }
                ApplyEvent::Finished { outcome: last } => outcome = last,
                _ => {}
            }
        }
        Ok(outcome)
    }

    fn forget(&self, name: &str) {
        self.views.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.metrics.forget(name);
    }
}

/// Whether the components of a plane are served as they are written.
fn accepted(isolated: &Isolated, total: usize, unreadable: &[String]) -> Verdict {
    let mut notes = Vec::new();
    let refused = isolated.refusals.len();
    if refused > 0 {
        let names: Vec<&str> = isolated.refusals.keys().take(SHOWN).map(String::as_str).collect();
        notes.push(format!("{refused} of {total} components are refused: {}", names.join(", ")));
    }
    if !unreadable.is_empty() {
        let names: Vec<&str> = unreadable.iter().take(SHOWN).map(String::as_str).collect();
        notes.push(format!(
            "{} accepted components cannot be read by this controller, so nothing is deleted: {}",
            unreadable.len(),
            names.join(", ")
        ));
    }
    let reason = if notes.is_empty() { "Accepted" } else { "ComponentsRefused" };
    notes.extend(isolated.requirements().take(SHOWN));
    Verdict::yes(reason, notes.join("\n"))
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
