//! Installations that a controller keeps for data planes: how one is, what is done about it, and when it goes.

use std::{collections::BTreeMap, fmt, sync::Arc};

use gateway_modules_core::{
    cluster::Cluster,
    installation::{Installation, InstallationOptions, Needs, Standing, Test, United, satisfies, unite},
    module::{GatewayModule, ModuleVersion},
    object::ObjectKey,
};
use serde_json::Value;

use crate::{
    BackendSettings, InstallError, InstallRequest, InstallSettings, Phase, Progress, Record, Refusal,
    checks::{CheckResult, GATEWAY_CLASS, accepted, evaluate, key},
    install, plan,
    plan::{against_record, wanted},
    uninstall::{depending, uninstall},
};

/// The data planes that a module's gateway is kept for, with what each needs; absent: it is not known yet, and what is recorded of
/// it stays.
pub type Planes = BTreeMap<String, Option<Needs>>;

/// Keeps the gateways of data planes, one installation of a module for all planes of a cluster.
#[derive(Clone)]
pub struct Keeper {
    settings: InstallSettings,
    backend: BackendSettings,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may hold secrets.
        f.debug_struct("Keeper").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// What is asked for, beside what is recorded.
struct Asked {
    request: InstallRequest,
    united: United,
    hash: String,
    by_hand: Vec<String>,
}

impl Keeper {
    /// With settings that hold for every module. Values are for the charts that they name.
    pub const fn new(settings: InstallSettings, backend: BackendSettings) -> Self {
        Self { settings, backend }
    }

    /// How the installation is, for one of its planes. Reads the cluster alone: no chart is fetched and no program runs.
    ///
    /// # Errors
    /// The module is not installed this way, or the cluster does not answer.
    pub async fn standing(
        &self,
        cluster: &Cluster,
        module: &Arc<dyn GatewayModule>,
        plane: &str,
        planes: &Planes,
    ) -> Result<Standing, InstallError> {
        let record = Record::read(cluster, module.metadata().name).await?;
        if record.is_none()
            && let Some(class) = accepted_class(cluster, module.as_ref()).await?
        {
            return Ok(Standing::External { class });
        }
        let asked = self.asked(cluster, module, record.as_ref(), planes).await?;
        let own = planes.get(plane).cloned().flatten().unwrap_or_default();
        let serves = record.as_ref().is_some_and(|record| serves(record, &own));
        if let Some(contradiction) = asked.united.contradictions.get(plane) {
            return Ok(Standing::Contradicts { contradiction: contradiction.clone(), serves });
        }
        let to = asked.request.installation.version.clone();
        let from = record.as_ref().filter(|record| record.asked.is_some());
        let from = from.and_then(|record| ModuleVersion::new(&record.version).ok());
        let done = record.as_ref().is_some_and(|record| {
            record.phase == Phase::Installed
                && record.asked.as_ref() == Some(&asked.hash)
                && record.planes == asked.united.planes
        });
        if !done || self.gone(cluster, &asked.request.installation).await?.is_some() {
            return Ok(Standing::Differs { from, to, serves });
        }
        let checks = evaluate(cluster, &asked.request.installation.post_checks).await?;
        let missing = checks.iter().filter(|check| check.blocks()).map(CheckResult::refusal);
        Ok(Standing::AsAsked {
            version: to,
            missing: missing.map(|refusal| refusal.to_string()).collect(),
            by_hand: asked.by_hand,
        })
    }

    /// Brings the installation in order: installs, upgrades or mends it. Nobody waits until it works: [`Self::standing`] tells.
    ///
    /// # Errors
    /// It is refused, or a step fails; the next run goes on.
    pub async fn keep(
        &self,
        cluster: &Cluster,
        kubeconfig: Option<&str>,
        module: &Arc<dyn GatewayModule>,
        planes: &Planes,
        progress: &Progress,
    ) -> Result<(), InstallError> {
        let record = Record::read(cluster, module.metadata().name).await?;
        let mut asked = self.asked(cluster, module, record.as_ref(), planes).await?;
        asked.request.again = self.gone(cluster, &asked.request.installation).await?.is_some();
        if let Some(mut record) = record.clone().filter(|record| {
            record.phase == Phase::Installed && record.asked.as_ref() == Some(&asked.hash) && !asked.request.again
        }) {
            // Only who it is for has changed.
            record.planes = asked.united.planes;
            return record.write(cluster).await;
        }
        let ready = self.backend.ready(kubeconfig).await?;
        let refusals = against_record(record.as_ref(), ready.backend.as_ref(), &asked.request);
        if !refusals.is_empty() {
            return Err(InstallError::Refused(refusals));
        }
        let plan = plan(cluster, ready.backend.as_ref(), ready.helm.as_ref(), &asked.request).await?;
        install(cluster, ready.backend.as_ref(), &plan, None, progress).await?;
        match self.gone(cluster, &asked.request.installation).await? {
            None => Ok(()),
            // Else it would be carried out again and again.
            Some(missing) => Err(InstallError::Failed {
                action: format!("installing {}", plan.module),
                message: format!("all releases are there, and {missing} is not"),
                next: "see whether the values give it another name, or something in the cluster deletes it".to_owned(),
            }),
        }
    }

    /// A data plane has gone. Installations that a controller has made and that none of the planes that are left uses are taken away;
    /// `left` are these planes, each with the module that it names.
    ///
    /// # Errors
    /// Something else depends on one, or a step fails.
    pub async fn leave(
        &self,
        cluster: &Cluster,
        kubeconfig: Option<&str>,
        modules: &[Arc<dyn GatewayModule>],
        plane: &str,
        left: &BTreeMap<String, Option<String>>,
        progress: &Progress,
    ) -> Result<Vec<String>, InstallError> {
        let mut removed = Vec::new();
        for module in modules {
            let name = module.metadata().name;
            let Some(mut record) = Record::read(cluster, name).await? else { continue };
            if record.planes.remove(plane).is_some() {
                record.write(cluster).await?;
            }
            // One that names no module may be about to use it.
            let used = record.planes.keys().any(|other| left.contains_key(other))
                || left.values().any(|named| named.as_deref().is_none_or(|named| named == name));
            if !record.by_controller || used {
                continue;
            }
            let depending = depending(cluster, module.as_ref()).await?;
            if !depending.is_empty() {
                return Err(InstallError::Refused(vec![Refusal::new(
                    format!("module {name}"),
                    format!("it stays, since nobody would serve {}", depending.join(", ")),
                    format!("move or delete them, then `gwm uninstall {name}`"),
                )]));
            }
            let ready = self.backend.ready(kubeconfig).await?;
            let version = ModuleVersion::new(&record.version)
                .map_err(|message| InstallError::Unreadable { place: "the record".to_owned(), message })?;
            let installation = module.installation(&version, &InstallationOptions::default()).ok();
            uninstall(cluster, ready.backend.as_ref(), module.as_ref(), installation.as_ref(), progress).await?;
            removed.push(name.to_owned());
        }
        Ok(removed)
    }

    /// A workload that an installation has and that is not there. Flux and Argo CD make and mend them by themselves, in their time.
    async fn gone(&self, cluster: &Cluster, installation: &Installation) -> Result<Option<ObjectKey>, InstallError> {
        if !matches!(self.backend, BackendSettings::Helm(_)) {
            return Ok(None);
        }
        for check in &installation.post_checks {
            if let Test::Ready { kind, namespace, name } = &check.test {
                let key = key("apps/v1", kind, Some(namespace), name);
                if cluster.get_object(&key).await?.is_none() {
                    return Ok(Some(key));
                }
            }
        }
        Ok(None)
    }

    /// What is asked for: of a plane that is not known yet, what is recorded.
    async fn asked(
        &self,
        cluster: &Cluster,
        module: &Arc<dyn GatewayModule>,
        record: Option<&Record>,
        planes: &Planes,
    ) -> Result<Asked, InstallError> {
        let recorded = record.map(|record| record.planes.clone()).unwrap_or_default();
        let known = |(name, needs): (&String, &Option<Needs>)| {
            Some((name.clone(), needs.as_ref().or_else(|| recorded.get(name))?.clone()))
        };
        let united = unite(&planes.iter().filter_map(known).collect(), &recorded);
        let unreadable = |message| InstallError::Unreadable { place: "gateway.version".to_owned(), message };
        let named = united.version.as_deref().map(ModuleVersion::new).transpose().map_err(unreadable)?;
        let installed = record.and_then(|record| ModuleVersion::new(&record.version).ok());
        let version = match (named, installed) {
            // A line is any patch release of it, and without a wish nothing is upgraded.
            (Some(named), Some(installed)) if satisfies(&installed, &named) => installed,
            (None, Some(installed)) => installed,
            (Some(named), _) => named,
            (None, None) => ModuleVersion::new(module.metadata().default_version).map_err(unreadable)?,
        };
        let mut request = self.settings.request(cluster, Arc::clone(module), &version).await?;
        request.values.retain(|name, _| request.installation.charts.iter().any(|chart| chart.name == *name));
        request.planes = Some(united.planes.clone());
        let wanted = wanted(&request, &united.planes)?;
        let by_hand = wanted.by_hand.iter().map(|need| format!("{} = {} ({})", need.setting, need.value, need.reason));
        Ok(Asked { by_hand: by_hand.collect(), hash: wanted.hash, request, united })
    }
}

/// Whether an installation, as it is recorded, has all that a plane's policies need.
fn serves(record: &Record, own: &Needs) -> bool {
    let met = own.requires.iter().all(|need| {
        let mut there = record.planes.values().flat_map(|needs| &needs.requires);
        there.any(|other| (&other.setting, &other.value) == (&need.setting, &need.value))
    });
    record.asked.is_some() && record.phase != Phase::Uninstalling && met
}

/// A class of the module's controllers that is accepted.
async fn accepted_class(cluster: &Cluster, module: &dyn GatewayModule) -> Result<Option<String>, InstallError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ours = |class: &Value| module.metadata().controllers.contains(&text(&class["spec"]["controllerName"]).as_str());
    let classes = cluster.list_objects(&GATEWAY_CLASS, "").await?;
    let found = classes.iter().find(|class| ours(class) && accepted(class) == Some(true));
    Ok(found.map(|class| text(&class["metadata"]["name"])))
}
