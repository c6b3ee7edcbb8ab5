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
        channel::Channel,
        cluster::{ApplyEvent, ApplyOptions, ApplyOutcome, ClusterError, Health},
        compile::Release,
        installation::Needs,
        intent::{
            DataPlane, Probe,
            status::{ChosenModule, ComponentCount},
        },
        module::{ClassesRead, Installed, InstalledDefinitions},
        object::GroupVersionKind,
        plan::{Plan, PlanOptions, Selection},
        select::{Degraded, SelectError, Selected},
    },
};
use kube::{Client, ResourceExt, core::DynamicObject};
use serde_json::Value;
use tracing::{Instrument, Span, field::Empty, info_span};

use crate::{
    Installer, Metrics, Outcome, ReconcileError, ReconcilerOptions, Snapshot,
    conditions::Verdict,
    drift::Drifted,
    events::Events,
    evidence::evidence,
    isolate::{self, Isolated},
    life::{CleanedUp, has_finalizer},
    managed::{self, Installations, Pass},
    probe::{self, Probes},
    remote::Remotes,
    site::Site,
    status::{ComponentView, ComponentViews, PlaneReport, PlaneView, fidelity},
    stored,
    upgraded::{self, Compiling, Upgrade},
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
    pub(crate) installer: Option<Arc<dyn Installer>>,
    pub(crate) installations: Installations,
    pub(crate) registry: Registry,
    pub(crate) metrics: Arc<Metrics>,
    probes: Probes,
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
    /// The plane, where its status was written on the way.
    pub(crate) object: Option<DynamicObject>,
}

impl Judged {
    /// Of a plane that is not served as it is written.
    pub(crate) const fn new(outcome: Outcome, report: PlaneReport, view: PlaneView) -> Self {
        Self { outcome, report, view, refused: None, success: false, error: None, object: None }
    }
}

/// What is installed, and which gateway a plane gets of it.
struct Found {
    definitions: InstalledDefinitions,
    crds: InstalledCrds,
    classes: ClassesRead,
    target: Target,
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
            installer: None,
            installations: Installations::default(),
            probes: Probes::default(),
            registry,
            metrics,
        }
    }

    /// With one who installs the gateways of planes that say `gateway.install: managed`.
    #[must_use]
    pub fn with_installer(mut self, installer: Arc<dyn Installer>) -> Self {
        self.installer = Some(installer);
        self
    }

    /// Reconciles one data plane and tells on it, and on its components, what came of it.
    ///
    /// # Errors
    /// What is worth another try; it is told on the DataPlane too.
    pub async fn reconcile(&self, name: &str, snapshot: &Snapshot) -> Result<Outcome, ReconcileError> {
        let span = info_span!(
            "reconcile",
            data_plane = name,
            outcome = Empty,
            writes = Empty,
            module = Empty,
            otel.status_code = Empty,
            otel.status_description = Empty
        );
        self.reconcile_and_count(name, snapshot).instrument(span).await
    }

    async fn reconcile_and_count(&self, name: &str, snapshot: &Snapshot) -> Result<Outcome, ReconcileError> {
        let started = Instant::now();
        let result = self.reconcile_plane(name, snapshot).await;
        let word = match &result {
            Ok(Outcome { health: Some(Health::Ready), .. }) => "ready",
            Ok(_) => "not_ready",
            Err(_) => "error",
        };
        self.metrics.reconciled(name, word, started.elapsed());
        let span = Span::current();
        match &result {
            Ok(outcome) => {
                tracing::info!(
                    health = outcome.health.map_or("none", Health::name),
                    writes = outcome.writes,
                    took_ms = started.elapsed().as_millis(),
                    "reconciled"
                );
                span.record("writes", outcome.writes);
            }
            Err(error) => {
                tracing::warn!(%error, "not reconciled");
                span.record("otel.status_code", "error").record("otel.status_description", error.to_string());
            }
        }
        span.record("outcome", word);
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
            match self.clean_up(object, snapshot).await {
                Ok(CleanedUp::Not(judged)) => *judged,
                Ok(CleanedUp::Gone(told)) => {
                    self.forget(name);
                    self.remove_finalizer(told.as_deref().unwrap_or(object)).await?;
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
        let object = judged.object.as_ref().unwrap_or(object);
        let name = object.name_any();
        let ready = judged.outcome.health == Some(Health::Ready);
        self.metrics.state(&name, ready, judged.refused, judged.success);
        self.views.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), judged.view);
        let plane = self.tell_plane(object, judged.report).await;
        let components = self.tell_components(snapshot).await;
        match judged.error {
            Some(error) => {
                for untold in [plane.err(), components.err()].into_iter().flatten() {
                    tracing::warn!(error = %untold, "the failure could not be told");
                }
                Err(error)
            }
            None => plane.and(components).map(|()| judged.outcome),
        }
    }

    async fn serve(&self, object: &DynamicObject, snapshot: &Snapshot) -> Result<Judged, Stop> {
        let name = object.name_any();
        self.add_finalizer(object).await?;
        let mut plane = stored::data_plane(object).map_err(|message| Stop::GivenUp(Verdict::no("Invalid", message)))?;
        let site = self.site(object).await?;
        let site = site.as_ref();
        let recorded = site.cluster.selection(&name).await?;
        let mut turn = site.turn().await;
        let Found { definitions, crds, classes, target } =
            self.discover(object, &mut plane, site, recorded.as_ref()).instrument(info_span!("discover")).await?;
        Span::current().record("module", &target.selected.module);
        let version = plane.spec.gateway.version.as_ref().map(ToString::to_string);
        if let Err(unknown) = self.on_installed_version(&mut plane, object, site, &target).await {
            return Ok(unknown.judged());
        }
        let served = snapshot.served(&name);
        let serves = |kind: &GroupVersionKind| {
            let known = definitions.served.as_ref();
            kind.group.is_empty()
                || known.is_none_or(|known| {
                    known.get(&kind.group_kind()).is_some_and(|versions| versions.contains(kind.version.as_ref()))
                })
        };
        // Compiling is pure and may take a while.
        let isolated = info_span!("compile", components = served.candidates.len())
            .in_scope(|| isolate::compile(&plane, served.candidates, &self.registry, &target, &crds, &serves))
            .map_err(|refusal| {
                let reason = if refusal.refused { "Refused" } else { "Invalid" };
                Stop::GivenUp(Verdict::no(reason, refusal.message))
            })?;
        let Some(release) = &isolated.plane.compiled.release else {
            return Err(Stop::GivenUp(Verdict::no("Invalid", "the plane has no release")));
        };
        if managed::is_managed(object) {
            // An installation takes minutes, and keeps no other plane of the cluster waiting.
            turn = None;
        }
        let managed = self
            .installed(Pass {
                object,
                site,
                snapshot,
                target: &target,
                classes: &classes,
                crds: &crds,
                needs: Needs { version, requires: release.requires.clone() },
                recorded: recorded.is_some(),
            })
            .await;
        let managed = match managed {
            Some(managed) if !managed.serves => return Ok(managed.judged()),
            managed => managed,
        };
        if turn.is_none() {
            turn = site.turn().await;
        }
        let chosen = ChosenModule {
            name: release.module.name.clone(),
            version: release.module.version.to_string(),
            class: release.module.class.clone(),
            reason: target.selected.reason.to_string(),
            evidence: evidence(&target, &classes, &definitions),
        };
        let upgrade = upgraded::other_version(object, &chosen).map(|from| {
            let refusals = &isolated.refusals;
            let compiling =
                Compiling { plane: &plane, registry: &self.registry, target: &target, crds: &crds, refusals };
            Upgrade::compare(&compiling, snapshot.served(&name).candidates, from, &chosen)
        });
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
            match site.cluster.plan_chosen(release, &chosen.reason, options).instrument(info_span!("plan")).await {
                Ok(plan) => {
                    drifted = Drifted::new(plane.spec.drift, &plan.drift);
                    self.apply(site, plan, &drifted, &mut outcome.writes).instrument(info_span!("apply")).await
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
            Ok(()) => site.cluster.status(release).instrument(info_span!("status")).await,
            Err(error) => Err(error.clone()),
        };
        let status = match status {
            Ok(status) if plane.spec.probe == Probe::Refusals => {
                let written = outcome.writes > 0;
                self.probes.look(site, release, status, written, &self.options).instrument(info_span!("probe")).await
            }
            other => other,
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
        let previous = object.data.pointer("/status/conditions").unwrap_or(&Value::Null);
        besides.push((upgraded::CONDITION, upgraded::verdict(upgrade.as_ref(), previous)));
        if writes {
            besides.push(("Drifted", drifted.verdict(plane.spec.drift, applied.is_ok(), previous)));
            self.metrics.drift(&name, drifted.left.len(), if applied.is_ok() { drifted.repaired.len() } else { 0 });
        }
        if plane.spec.probe == Probe::Refusals
            && let Ok(status) = &status
        {
            besides.push((probe::CONDITION, probe::verdict(&status.probes)));
        }
        let mut again = None;
        let looked_after = managed.as_ref().is_some_and(|managed| managed.meets_needs);
        let mut told = None;
        if let Some(managed) = managed {
            besides.push((managed::CONDITION, managed.verdict));
            told = managed.object;
            again = managed.again;
        }
        let refused = isolated.refusals.len();
        let total = served.generations.len();
        let views = status.as_ref().map(ComponentViews::of);
        let components = served.generations.into_iter().map(|(key, generation)| {
            let (namespace, name) = key.split_once('/').unwrap_or_default();
            let (programmed, endpoints) = match &views {
                Ok(views) => {
                    let (verdict, endpoints) = views.view(namespace, name);
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
            upgraded: upgrade.as_ref().map(Upgrade::by_component),
            components: components.collect(),
        };
        outcome.health =
            status.as_ref().ok().map(|status| if unserved.is_some() { Health::Degraded } else { status.health });
        if outcome.health == Some(Health::Ready) {
            outcome.again = Some(again.unwrap_or(self.options.resync));
        }
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let report = PlaneReport {
            resolved: Verdict::yes("Resolved", ""),
            accepted: accepted(&isolated, total, &served.unreadable, looked_after),
            programmed,
            besides,
            module: Some(chosen),
            fidelity: Some(fidelity(&isolated.plane.compiled.report.summary())),
            components: Some(ComponentCount { accepted: number(total - refused), refused: number(refused) }),
            status: status.as_ref().ok().cloned(),
        };
        let success = writes && status.is_ok();
        let error = status.err().map(Into::into);
        drop(turn);
        Ok(Judged { outcome, report, view, refused: Some(refused), success, error, object: told })
    }

    /// What is installed in the cluster of a plane, and which gateway the plane gets. A plane whose gateway the controller installs is
    /// steered to what was installed for it.
    async fn discover(
        &self,
        object: &DynamicObject,
        plane: &mut DataPlane,
        site: &Site,
        recorded: Option<&Selection>,
    ) -> Result<Found, Stop> {
        let definitions = site.definitions().await?;
        let crds = match InstalledCrds::of(&definitions) {
            Ok(crds) => crds,
            // They may come with the gateway.
            Err(_) if self.installer_of(object).is_some() => InstalledCrds::assumed(Channel::default()),
            Err(error) => return Err(Stop::GivenUp(Verdict::no("GatewayAPIMissing", error.to_string()))),
        };
        let classes = site.classes().await?;
        let mut target = site.target(&self.registry, &plane.spec.gateway, &classes, recorded).await?;
        if matches!(target, Err(SelectError::NotAccepted { .. })) {
            self.steer_to_installed(plane, object, site).await;
            target = site.target(&self.registry, &plane.spec.gateway, &classes, recorded).await?;
        }
        let target = target.map_err(|error| Stop::GivenUp(Verdict::no(error.reason(), error.to_string())))?;
        Ok(Found { definitions, crds, classes, target })
    }

    async fn apply(&self, site: &Site, plan: Plan, drifted: &Drifted, writes: &mut usize) -> Result<(), ClusterError> {
        for drift in &drifted.repaired {
            tracing::warn!(%drift, "changed by hand");
        }
        let plan = if drifted.left.is_empty() { plan } else { plan.without_repair() };
        if plan.is_empty() {
            return Ok(());
        }
        let done = self.carry_out(site, &plan, writes).await?;
        for blocked in &done.blocked {
            tracing::warn!(object = blocked.object, reasons = ?blocked.reasons, "blocked");
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
        self.forget_needs(name);
        self.views.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.metrics.forget(name);
        self.probes.forget(name);
    }
}

/// Whether the components of a plane are served as they are written. What is needed of the installation is told, unless it is
/// looked after.
fn accepted(isolated: &Isolated, total: usize, unreadable: &[String], looked_after: bool) -> Verdict {
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
    if !looked_after {
        notes.extend(isolated.requirements().take(SHOWN));
    }
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
    let discovered = if unread.is_empty() {
        Verdict::yes("Read", target.selected.notes.join("\n"))
    } else {
        Verdict::no("NotAllRead", unread.join("\n"))
    };
    vec![("Degraded", degraded), ("SwitchAvailable", switch), ("Discovered", discovered)]
}
