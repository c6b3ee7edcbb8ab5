//! Gateways that are installed for planes (`gateway.install: managed`): the condition `Installed`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use gateway_modules::{
    InstalledCrds, Target,
    core::{
        installation::{Needs, Standing},
        intent::{DataPlane, status::DataPlaneStatus},
        module::{ClassesRead, GatewayModule, ModuleVersion},
    },
};
use k8s_openapi::jiff::Timestamp;
use kube::{ResourceExt, core::DynamicObject};
use serde_json::Value;

use crate::{
    Installer, Outcome, Reconciler, Snapshot,
    conditions::{Verdict, condition, find},
    installer::{InstallProblem, Order, Place, ProblemKind},
    isolate,
    reconcile::Judged,
    remote::secret_of,
    run::longer_pause,
    site::Site,
    status::{PlaneReport, PlaneView},
    stored,
};

/// Name of the condition.
pub(crate) const CONDITION: &str = "Installed";
/// Components in a message.
const SHOWN: usize = 8;
/// How often the removal of an installation is tried before its plane goes without: what has just been deleted may take a moment.
const TRIES: u32 = 6;

/// What this process knows of installations. All of it can be lost: a record has what matters.
#[derive(Default)]
pub(crate) struct Installations {
    /// By plane: the module, and what is needed of it.
    needs: Mutex<BTreeMap<String, (String, Needs)>>,
    /// What failed last, by cluster and module.
    attempts: Mutex<BTreeMap<(String, String), Attempt>>,
}

/// A try that failed.
struct Attempt {
    planes: BTreeMap<String, Option<Needs>>,
    failures: u32,
    due: Instant,
    verdict: Verdict,
}

/// How the installation of a plane's gateway is.
pub(crate) struct Managed {
    pub(crate) verdict: Verdict,
    /// Whether the plane can be served with what is there.
    pub(crate) serves: bool,
    /// Whether all that its policies need is known to be there; else it is told.
    pub(crate) meets_needs: bool,
    /// When to look again.
    pub(crate) again: Option<Duration>,
    /// The plane, as it is after its status was written on the way.
    pub(crate) object: Option<DynamicObject>,
}

impl Managed {
    /// A gateway that is there, or not, as it is recorded.
    const fn new(verdict: Verdict, serves: bool) -> Self {
        Self { verdict, serves, meets_needs: serves, again: None, object: None }
    }

    /// A gateway of which is not known what it has.
    fn unknown(verdict: Verdict, serves: bool) -> Self {
        Self { meets_needs: false, ..Self::new(verdict, serves) }
    }

    /// To be looked at again after a while.
    fn again(self, again: Duration) -> Self {
        Self { again: Some(again), ..self }
    }

    /// A plane that is not served before its gateway is there.
    pub(crate) fn judged(self) -> Judged {
        let message = self.verdict.message.clone();
        let mut report =
            PlaneReport::new(Verdict::no("NotInstalled", message.clone()), Verdict::unknown("NotResolved", ""));
        report.besides.push((CONDITION, self.verdict));
        let outcome = Outcome { again: self.again, ..Outcome::default() };
        let view = PlaneView { failure: Some(message), ..PlaneView::default() };
        Judged { object: self.object, ..Judged::new(outcome, report, view) }
    }
}

/// What a pass over a managed plane has found so far.
pub(crate) struct Pass<'a> {
    pub(crate) object: &'a DynamicObject,
    pub(crate) site: &'a Site,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) target: &'a Target,
    pub(crate) classes: &'a ClassesRead,
    pub(crate) crds: &'a InstalledCrds,
    pub(crate) needs: Needs,
    /// Whether the plane was applied before.
    pub(crate) recorded: bool,
}

/// Whether a stored plane wants its gateway to be installed; what else it says need not be readable.
pub(crate) fn is_managed(object: &DynamicObject) -> bool {
    object.data["spec"]["gateway"]["install"] == "managed"
}

fn named_module(object: &DynamicObject) -> Option<&str> {
    object.data["spec"]["gateway"]["module"].as_str()
}

/// The managed planes in the cluster of a plane that are there to stay.
fn beside<'a>(snapshot: &'a Snapshot, object: &DynamicObject) -> impl Iterator<Item = &'a DynamicObject> {
    let secret = secret_of(object);
    let beside = move |other: &&DynamicObject| is_managed(other) && secret_of(other) == secret;
    snapshot.present_planes().map(AsRef::as_ref).filter(beside)
}

impl Reconciler {
    /// The installer, for a plane that wants one.
    pub(crate) fn installer_of(&self, object: &DynamicObject) -> Option<&Arc<dyn Installer>> {
        self.installer.as_ref().filter(|_| is_managed(object))
    }

    /// All modules.
    fn modules(&self) -> Vec<Arc<dyn GatewayModule>> {
        self.registry.iter().map(|(_, module)| Arc::clone(module)).collect()
    }

    /// Makes a managed plane say which gateway was installed for it, where its class is not accepted yet.
    pub(crate) async fn steer_to_installed(&self, plane: &mut DataPlane, object: &DynamicObject, site: &Site) {
        if let (Some(installer), None) = (self.installer_of(object), &plane.spec.gateway.module)
            && let Ok(Some(module)) = installer.module_of(site.place(), &self.modules(), &object.name_any()).await
        {
            plane.spec.gateway.module = module.parse().ok();
        }
    }

    /// Makes a managed plane be compiled for the version that is installed, whichever it wants: that one runs.
    ///
    /// # Errors
    /// Which one it is cannot be found out; nothing may be compiled then.
    pub(crate) async fn on_installed_version(
        &self,
        plane: &mut DataPlane,
        object: &DynamicObject,
        site: &Site,
        target: &Target,
    ) -> Result<(), Managed> {
        if let Some(installer) = self.installer_of(object)
            && let Ok(module) = self.registry.get(&target.selected.module)
        {
            let version = installer.version(site.place(), module.as_ref()).await;
            let unknown = |problem| Managed::unknown(told(&problem), false).again(self.options.retry);
            if let Some(version) = version.map_err(unknown)? {
                plane.spec.gateway.version = version.parse().ok();
            }
        }
        Ok(())
    }

    /// How the installation of a plane's gateway is, after what is to be done was done. Nothing for a plane that is not managed.
    pub(crate) async fn installed(&self, pass: Pass<'_>) -> Option<Managed> {
        is_managed(pass.object).then_some(())?;
        let Some(installer) = &self.installer else {
            let message = "this controller installs no gateways: let it be given an installer, or say `gateway.install: external`";
            return Some(Managed::unknown(Verdict::no("NotManaged", message), true));
        };
        let name = pass.object.name_any();
        let module = self.registry.get(&pass.target.selected.module).ok()?;
        let order = self.order(&pass, &name, &module);
        let retry = self.options.retry;
        let standing = match installer.standing(pass.site.place(), &order).await {
            Ok(standing) => standing,
            // What was served before goes on: nothing says that it no longer can.
            Err(problem) => return Some(Managed::unknown(told(&problem), pass.recorded).again(retry)),
        };
        Some(match standing {
            Standing::External { class } => {
                let message =
                    format!("somebody else has installed the gateway of GatewayClass {class}; it is used as it is");
                Managed::unknown(Verdict::yes("External", message), true)
            }
            Standing::AsAsked { version, missing, by_hand } if missing.is_empty() => {
                let mut lines = vec![format!("{} {version}", module.metadata().name)];
                let by_hand = by_hand.iter();
                lines.extend(by_hand.map(|need| format!("to be done by hand, since no value decides it: {need}")));
                Managed::new(Verdict::yes("Installed", lines.join("\n")), true)
            }
            Standing::AsAsked { missing, .. } => {
                Managed::new(Verdict::no("Installing", missing.join("\n")), pass.recorded).again(retry)
            }
            Standing::Contradicts { contradiction, serves } => {
                Managed::new(Verdict::no("Refused", contradiction.to_string()), serves).again(retry)
            }
            Standing::Differs { from, to, serves } => {
                self.bring_in_order(installer.as_ref(), &pass, &order, from.as_ref(), &to, serves).await
            }
            other => {
                let message = format!("this controller does not know how to deal with {other:?}");
                Managed::unknown(Verdict::no("Failed", message), pass.recorded).again(retry)
            }
        })
    }

    /// What the managed planes of the cluster ask of a module, as far as it is known.
    fn order(&self, pass: &Pass<'_>, name: &str, module: &Arc<dyn GatewayModule>) -> Order {
        let own = module.metadata().name;
        let mut known = self.installations.needs.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned(), (own.to_owned(), pass.needs.clone()));
        let planes = beside(pass.snapshot, pass.object)
            .filter_map(|other| {
                let plane = other.name_any();
                let known = known.get(&plane);
                let of_another = |module: &str| module != own;
                if named_module(other).is_some_and(of_another) || known.is_some_and(|(module, _)| of_another(module)) {
                    return None;
                }
                Some((plane, known.map(|(_, needs)| needs.clone())))
            })
            .collect();
        Order { module: Arc::clone(module), plane: name.to_owned(), planes }
    }

    async fn bring_in_order(
        &self,
        installer: &dyn Installer,
        pass: &Pass<'_>,
        order: &Order,
        from: Option<&ModuleVersion>,
        to: &ModuleVersion,
        serves: bool,
    ) -> Managed {
        let module = order.module.metadata().name;
        let key = (secret_of(pass.object).unwrap_or_default(), module.to_owned());
        if let Some((verdict, left)) = self.waiting(&key, order) {
            return Managed::new(verdict, serves).again(left);
        }
        let done = match from.filter(|from| *from != to) {
            Some(from) => self.losses(pass, order, from, to).await,
            None => Ok(()),
        };
        let mut object = None;
        let done = match done {
            Err(lost) => Err(InstallProblem::new(ProblemKind::Refused, lost)),
            Ok(()) => {
                let words = from.map_or_else(String::new, |from| format!(" (installed: {from})"));
                object = self.tell_installing(pass.object, format!("{module} {to}{words}")).await;
                // One at a time in a cluster. Whoever waits here finds its work done, or goes on with it.
                let _one = pass.site.installing().await;
                installer.keep(pass.site.place(), order).await
            }
        };
        self.metrics.installed(done.is_ok());
        match done {
            Ok(()) => {
                pass.site.forget().await;
                self.installations.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                let verdict = Verdict::no("Installing", format!("{module} {to} is there; it is waited until it works"));
                Managed { object, ..Managed::new(verdict, serves).again(self.options.retry) }
            }
            Err(problem) => {
                tracing::warn!(data_plane = order.plane, module, %problem, "not installed");
                let mut attempts = self.installations.attempts.lock().unwrap_or_else(PoisonError::into_inner);
                let failures = attempts.get(&key).map_or(1, |last| last.failures.saturating_add(1));
                let pause = longer_pause(self.options.retry, failures);
                let verdict = told(&problem);
                let planes = order.planes.clone();
                attempts
                    .insert(key, Attempt { planes, failures, due: Instant::now() + pause, verdict: verdict.clone() });
                Managed { object, ..Managed::new(verdict, serves).again(pause) }
            }
        }
    }

    /// What failed a short while ago for the very same order is not tried again yet.
    fn waiting(&self, key: &(String, String), order: &Order) -> Option<(Verdict, Duration)> {
        let attempts = self.installations.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let last = attempts.get(key).filter(|last| last.planes == order.planes)?;
        let left = last.due.checked_duration_since(Instant::now())?;
        Some((last.verdict.clone(), left))
    }

    /// Refuses a version that can no longer do what the live intents of the cluster's planes ask of this one.
    async fn losses(
        &self,
        pass: &Pass<'_>,
        order: &Order,
        from: &ModuleVersion,
        to: &ModuleVersion,
    ) -> Result<(), String> {
        let module = order.module.metadata().name;
        let mut lost = Vec::new();
        let here = pass.snapshot.present_planes().filter(|other| secret_of(other) == secret_of(pass.object));
        for object in here {
            let name = object.name_any();
            let on_it = object.data.pointer("/status/module/name").is_some_and(|told| told == module);
            let Some(plane) = stored::data_plane(object).ok().filter(|_| on_it || name == order.plane) else {
                continue;
            };
            let recorded = pass.site.cluster.selection(&name).await.map_err(|error| error.to_string())?;
            let target = Target::choose(&self.registry, pass.classes, &plane.spec.gateway, recorded.as_ref());
            let target = target.unwrap_or_else(|_| pass.target.clone());
            let compile = |version: &ModuleVersion| {
                let mut plane = plane.clone();
                plane.spec.gateway.version = version.as_str().parse().ok();
                let candidates = pass.snapshot.served(&name).candidates;
                // The kinds of the new version come with it.
                isolate::compile(&plane, candidates, &self.registry, &target, pass.crds, &|_| true)
            };
            match (compile(from), compile(to)) {
                (Ok(before), Ok(after)) => {
                    let newly = after.refusals.iter().filter(|(key, _)| !before.refusals.contains_key(*key));
                    lost.extend(newly.map(|(key, refusal)| format!("data plane {name}, {key}: {}", refusal.message)));
                }
                (Ok(_), Err(refusal)) => lost.push(format!("data plane {name}: {}", refusal.message)),
                (Err(_), _) => {}
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        let more = lost.len().saturating_sub(SHOWN);
        lost.truncate(SHOWN);
        let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
        Err(format!(
            "{module} {to} cannot do what {from} does for live intents, so {from} stays:\n{}{more}\nchange these, or name another \
             version in gateway.version",
            lost.join("\n")
        ))
    }

    /// Tells that an installation is under way, which may take minutes; gives the plane as it is then. What failed before stays told
    /// until something has come of it.
    async fn tell_installing(&self, object: &DynamicObject, message: String) -> Option<DynamicObject> {
        let previous = object.data.pointer("/status/conditions").unwrap_or(&Value::Null);
        match find(previous, CONDITION).and_then(|told| told["reason"].as_str()) {
            None | Some("Installed" | "External" | "NotManaged") => {
                self.tell_condition(object, Verdict::no("Installing", message)).await
            }
            _ => None,
        }
    }

    /// Writes one condition beside what was told before; gives the plane as it is then.
    async fn tell_condition(&self, object: &DynamicObject, verdict: Verdict) -> Option<DynamicObject> {
        let mut status: DataPlaneStatus = object
            .data
            .get("status")
            .and_then(|status| serde_json::from_value(status.clone()).ok())
            .unwrap_or_default();
        let previous = object.data.pointer("/status/conditions").cloned().unwrap_or_default();
        status.conditions.retain(|told| told.kind != CONDITION);
        status.conditions.push(condition(&previous, stored::generation(object), CONDITION, verdict));
        match self.write_plane_status(object, status).await {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(data_plane = object.name_any(), %error, "how its installation is could not be told");
                None
            }
        }
    }

    /// A managed plane has gone: an installation that nobody uses any more goes too. What stands in the way is told, and after a
    /// while keeps no plane from going: `Err` is a plane that waits, `Ok` the plane as it is after its status was written.
    pub(crate) async fn leave_installation(
        &self,
        object: &DynamicObject,
        snapshot: &Snapshot,
        site: &Site,
    ) -> Result<Option<DynamicObject>, Judged> {
        let Some(installer) = self.installer_of(object) else { return Ok(None) };
        let name = object.name_any();
        let left: BTreeMap<String, Option<String>> = beside(snapshot, object)
            .map(|other| (other.name_any(), named_module(other).map(ToOwned::to_owned)))
            .collect();
        let gone = {
            let _one = site.installing().await;
            installer.leave(site.place(), &self.modules(), &name, &left).await
        };
        let problem = match gone {
            Ok(removed) => {
                if !removed.is_empty() {
                    tracing::info!(data_plane = name, modules = removed.join(", "), "uninstalled");
                    self.metrics.installed(true);
                    site.forget().await;
                }
                return Ok(None);
            }
            Err(problem) => problem,
        };
        self.metrics.installed(false);
        tracing::warn!(data_plane = name, %problem, "not uninstalled");
        let verdict = Verdict::no("NotUninstalled", problem.message);
        let since = object.metadata.deletion_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
        let waited = Timestamp::now().duration_since(since).unsigned_abs();
        if Timestamp::now() < since || waited < self.options.retry.saturating_mul(TRIES) {
            let message = "the gateway that was installed for the plane is being removed";
            let mut report = PlaneReport::new(Verdict::yes("Resolved", ""), Verdict::no("Deleting", message));
            report.programmed = Verdict::no("Deleting", verdict.message);
            let outcome = Outcome { again: Some(self.options.retry), ..Outcome::default() };
            let view = PlaneView { failure: Some(message.to_owned()), ..PlaneView::default() };
            return Err(Judged::new(outcome, report, view));
        }
        Ok(self.tell_condition(object, verdict).await)
    }

    pub(crate) fn forget_needs(&self, name: &str) {
        self.installations.needs.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

fn told(problem: &InstallProblem) -> Verdict {
    Verdict::no(problem.kind.reason(), problem.message.clone())
}

impl Site {
    /// The cluster, for an installer.
    pub(crate) fn place(&self) -> Place<'_> {
        Place::new(&self.cluster, self.kubeconfig.as_deref())
    }
}
