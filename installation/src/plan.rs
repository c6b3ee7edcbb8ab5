//! What an installation would change. Reads, and writes nothing.

use std::{collections::BTreeMap, sync::Arc};

use gateway_modules_core::{
    cluster::Cluster,
    installation::{
        Class, DefinitionChange, Definitions, GATEWAY_API_GROUP, GatewayApiInstalled, Installation, Needs, ValueError,
        compare_definition, dropped_values, fold_requirement, merge_values,
    },
    module::{GatewayModule, ModuleVersion, Requirement},
    object::{GroupVersionKind, Object, ObjectKey},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Action, Backend, ChartSettings, CheckResult, Helm, InstallError, PlannedRelease, Record, Refusal, ReleaseState,
    checks::{GATEWAY_CLASS, accepted, evaluate},
    fetch::{definitions, fetch, origin},
    helm::Target,
    helm_backend::write_values,
    record::hash,
};

pub(crate) const NAMESPACE: GroupVersionKind = GroupVersionKind::of("", "v1", "Namespace");
pub(crate) const CRD: GroupVersionKind = GroupVersionKind::of("apiextensions.k8s.io", "v1", "CustomResourceDefinition");

/// What is to be installed, and how.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each allows one thing")]
pub struct InstallRequest {
    /// The module.
    pub module: Arc<dyn GatewayModule>,
    /// What it declares for the version.
    pub installation: Installation,
    /// Values of the user: by chart, with the file that they are from.
    pub values: BTreeMap<String, (String, Value)>,
    /// What policies need, besides what the data planes of a controller do.
    pub requirements: Vec<Requirement>,
    /// The data planes that a controller keeps it for, with what each needs; absent: those that are recorded.
    pub planes: Option<BTreeMap<String, Needs>>,
    /// Where charts are from.
    pub charts: ChartSettings,
    /// Gateway API definitions that may be installed: the documents of a release of Gateway API.
    pub gateway_api: Vec<Value>,
    /// Take over releases and classes that somebody else has made.
    pub adopt: bool,
    /// Install an older version over a newer one.
    pub allow_downgrade: bool,
    /// Drop values that the release has and that are not asked for now.
    pub reset_values: bool,
    /// Carry out also what is as it was asked for: something of it has gone.
    pub again: bool,
}

/// A definition, and what happens to it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedDefinition {
    /// Its name.
    pub name: String,
    /// What happens.
    #[serde(flatten)]
    pub change: DefinitionChange,
    /// The definition.
    #[serde(skip)]
    pub(crate) object: Value,
}

/// What an installation would change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstallPlan {
    /// Module.
    pub module: String,
    /// Version of the gateway.
    pub version: ModuleVersion,
    /// Version that is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What carries it out.
    pub backend: &'static str,
    /// Namespaces that are not there yet.
    pub namespaces: Vec<String>,
    /// Definitions beside the charts.
    pub definitions: Vec<PlannedDefinition>,
    /// Releases, in order.
    pub releases: Vec<PlannedRelease>,
    /// The class that is made because nobody else makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Object>,
    /// What was looked at before.
    pub checks: Vec<CheckResult>,
    /// What policies need and no value of the chart decides.
    pub by_hand: Vec<Requirement>,
    /// What stands in the way; nothing is installed while there is any.
    pub refusals: Vec<Refusal>,
    /// Data planes that a controller keeps it for.
    #[serde(skip)]
    pub(crate) planes: BTreeMap<String, Needs>,
    /// Whether a controller asks.
    #[serde(skip)]
    pub(crate) by_controller: bool,
    /// Hash over all that is asked for.
    #[serde(skip)]
    pub(crate) asked: String,
    /// What the module declares.
    #[serde(skip)]
    pub(crate) installation: Installation,
    /// Keeps fetched charts until all is done.
    #[serde(skip)]
    pub(crate) _folder: Arc<tempfile::TempDir>,
}

impl InstallPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
            && self.definitions.iter().all(|definition| matches!(definition.change, DefinitionChange::Keep { .. }))
            && self.releases.iter().all(|release| release.action == Action::Unchanged)
    }
}

/// Plans an installation or an upgrade. `helm` fetches and renders charts; without one, what is in them is not looked at.
///
/// # Errors
/// Charts cannot be had, values are wrong, or the cluster does not answer. What stands in the way is no error but
/// [`InstallPlan::refusals`].
pub async fn plan(
    cluster: &Cluster,
    backend: &dyn Backend,
    helm: Option<&Helm>,
    request: &InstallRequest,
) -> Result<InstallPlan, InstallError> {
    let installation = &request.installation;
    let metadata = request.module.metadata();
    let record = Record::read(cluster, metadata.name).await?;
    let recorded_planes = record.as_ref().map(|record| record.planes.clone()).unwrap_or_default();
    let planes = request.planes.clone().unwrap_or_else(|| recorded_planes.clone());
    let Wanted { values: mut wanted, by_hand, hash: asked } = wanted(request, &planes)?;
    let mut before = self::wanted(request, &recorded_planes)?.values;
    let folder =
        Arc::new(tempfile::tempdir().map_err(|source| InstallError::File { path: std::env::temp_dir(), source })?);
    let kubernetes = cluster.server_version().await?;
    let mut refusals = Vec::new();

    // Cluster first: what is refused is refused before anything is fetched.
    let mut checks = evaluate(cluster, &installation.prerequisites).await?;
    if record.is_some() {
        // An installation of our own is no reason against itself.
        checks.iter_mut().filter(|check| check.name == "no other network").for_each(|check| check.required = false);
    }
    refusals.extend(checks.iter().filter(|check| check.blocks()).map(CheckResult::refusal));
    refusals.extend(backend.lacks(cluster).await?);
    refusals.extend(against_record(record.as_ref(), backend, request));
    let mut planned_definitions = gateway_api(cluster, request, &mut refusals).await?;
    if record.is_none() && !request.adopt {
        refusals.extend(against_classes(cluster, request).await?);
    }
    let mut namespaces = Vec::new();
    for namespace in installation.namespaces() {
        let key = ObjectKey { kind: NAMESPACE, namespace: None, name: namespace.to_owned() };
        match cluster.get_object(&key).await? {
            None => namespaces.push(namespace.to_owned()),
            Some(live) if live["metadata"]["deletionTimestamp"].is_string() => refusals.push(Refusal::new(
                format!("namespace {namespace}"),
                "it is being deleted",
                "wait until it is gone, then run this again",
            )),
            Some(_) => {}
        }
    }

    let mut releases: Vec<PlannedRelease> = Vec::new();
    for chart in &installation.charts {
        let values = wanted.remove(&chart.name).unwrap_or_default();
        let (mut fetched, mut rendered) = (None, String::new());
        if let Some(helm) = helm {
            let found = fetch(helm, chart, &request.charts, folder.path()).await?;
            let file = write_values(&values)?;
            let target =
                Target { name: &chart.release, namespace: &chart.namespace, chart: &found.path, values: file.path() };
            rendered = helm.template(&target, kubernetes).await?;
            let offered = definitions(&rendered, &chart.name)?;
            planned_definitions.extend(compare(cluster, chart.definitions, offered, &mut refusals).await?);
            fetched = Some(found);
        }
        let digest = fetched.as_ref().and_then(|fetched| fetched.digest.as_deref());
        let hash = hash(&json!([chart.name, chart.version, digest, values]));
        let action = action(cluster, backend, record.as_ref(), request, chart, &hash, &mut refusals).await?;
        if action == Action::Upgrade
            && !request.reset_values
            && let Some(recorded) = record.as_ref().and_then(|record| record.release(&chart.release, &chart.namespace))
        {
            let mut dropped = dropped_values(&backend.values(cluster, recorded).await?, &values);
            // What a controller has set for its planes goes with what they need.
            let withdrawn = dropped_values(&before.remove(&chart.name).unwrap_or_default(), &values);
            dropped.retain(|path| !withdrawn.contains(path));
            if !dropped.is_empty() {
                refusals.push(Refusal::new(
                    format!("release {} in {}", chart.release, chart.namespace),
                    format!("it has values that are not asked for now, and would lose them: {}", dropped.join(", ")),
                    "name the values file (--values) and the intents (-f) that they are from, or drop them with --reset-values",
                ));
            }
        }
        releases.push(PlannedRelease {
            action,
            chart: chart.clone(),
            origin: origin(chart, &request.charts),
            values,
            fetched,
            pinned: request.charts.digests.get(&chart.name).cloned(),
            rendered,
            hash,
            after: releases.last().map(|before| before.chart.release.clone()),
        });
    }
    let class = match &installation.class {
        Class::Installer { object } => Some(object.clone()),
        _ => None,
    };
    Ok(InstallPlan {
        module: metadata.name.to_owned(),
        version: installation.version.clone(),
        from: record.map(|record| record.version),
        backend: backend.name(),
        namespaces,
        definitions: planned_definitions,
        releases,
        class,
        checks,
        by_hand,
        refusals,
        planes,
        by_controller: request.planes.is_some(),
        asked,
        installation: installation.clone(),
        _folder: folder,
    })
}

/// What is asked for.
pub(crate) struct Wanted {
    /// All values, by chart.
    pub(crate) values: BTreeMap<String, Value>,
    /// What policies need and no value decides.
    pub(crate) by_hand: Vec<Requirement>,
    /// Hash over all of it, as far as it is known without fetching a chart.
    pub(crate) hash: String,
}

/// What a request asks for, with what data planes need.
pub(crate) fn wanted(request: &InstallRequest, planes: &BTreeMap<String, Needs>) -> Result<Wanted, InstallError> {
    let written = values(request)?;
    let installation = &request.installation;
    let main = installation.main_chart().map(|chart| chart.name.as_str());
    let (mut all, mut by_hand, mut charts) = (BTreeMap::new(), Vec::new(), Vec::new());
    for chart in &installation.charts {
        let mut values = written.get(&chart.name).cloned().unwrap_or_else(|| chart.set_values());
        if main == Some(&chart.name) {
            let needs = request.requirements.iter().chain(planes.values().flat_map(|needs| &needs.requires));
            by_hand.extend(needs.filter(|need| !fold_requirement(chart, &mut values, need)).cloned());
        }
        let pinned = request.charts.digests.get(&chart.name);
        charts.push(json!([chart.release, chart.namespace, chart.name, chart.version, pinned, values]));
        all.insert(chart.name.clone(), values);
    }
    by_hand.sort();
    by_hand.dedup();
    let about = |object: &Value| json!([object["metadata"]["name"], object["metadata"]["annotations"]]);
    let definitions: Vec<Value> = request.gateway_api.iter().map(about).collect();
    let hash = hash(&json!([installation.version, charts, definitions]));
    Ok(Wanted { values: all, by_hand, hash })
}

/// Values by chart: the module's, with the user's over them.
fn values(request: &InstallRequest) -> Result<BTreeMap<String, Value>, InstallError> {
    let mut all = BTreeMap::new();
    for (name, (file, written)) in &request.values {
        let Some(chart) = request.installation.charts.iter().find(|chart| chart.name == *name) else {
            let names: Vec<_> = request.installation.charts.iter().map(|chart| chart.name.as_str()).collect();
            return Err(InstallError::Unreadable {
                place: file.clone(),
                message: format!("the gateway has no chart {name}; it has {}", names.join(", ")),
            });
        };
        let errors: Vec<ValueError> = chart.value_errors(written);
        if !errors.is_empty() {
            return Err(InstallError::Values { file: file.clone(), errors });
        }
        let mut values = chart.set_values();
        if !written.is_null() {
            merge_values(&mut values, written);
        }
        all.insert(name.clone(), values);
    }
    Ok(all)
}

pub(crate) fn against_record(record: Option<&Record>, backend: &dyn Backend, request: &InstallRequest) -> Vec<Refusal> {
    let Some(record) = record else { return Vec::new() };
    let name = request.module.metadata().name;
    let mut refusals = Vec::new();
    if record.backend != backend.name() {
        refusals.push(Refusal::new(
            format!("module {name}"),
            format!("it was installed by {}, and {} would make it a second time", record.backend, backend.name()),
            format!("go on with --backend {}, or `gwm uninstall {name}` first", record.backend),
        ));
    }
    let older = ModuleVersion::new(&record.version).is_ok_and(|there| request.installation.version < there);
    if older && !request.allow_downgrade {
        refusals.push(Refusal::new(
            format!("module {name}"),
            format!("{} is installed, and {} is older", record.version, request.installation.version),
            "name the installed version or a newer one; --allow-downgrade goes back, where the vendor supports that",
        ));
    }
    refusals
}

/// What happens to the standard definitions, and whether what is there is enough.
async fn gateway_api(
    cluster: &Cluster,
    request: &InstallRequest,
    refusals: &mut Vec<Refusal>,
) -> Result<Vec<PlannedDefinition>, InstallError> {
    let need = &request.installation.gateway_api;
    let offered: Vec<&Value> = request.gateway_api.iter().filter(|object| is_standard(object)).collect();
    let mut planned = Vec::new();
    for object in &offered {
        planned.push(planned_definition(cluster, (*object).clone(), refusals).await?);
    }
    let key = ObjectKey { kind: CRD, namespace: None, name: format!("httproutes.{GATEWAY_API_GROUP}") };
    let live = cluster.get_object(&key).await?;
    let will_be = planned.iter().find(|definition| definition.name == key.name);
    let after = match will_be {
        Some(PlannedDefinition { change: DefinitionChange::Create | DefinitionChange::Update, object, .. }) => {
            Some(object)
        }
        _ => live.as_ref(),
    };
    let title = request.module.metadata().title;
    let subject = "Gateway API definitions";
    let channel = live.as_ref().and_then(GatewayApiInstalled::of).map_or("standard", |there| there.channel.as_str());
    let next = format!(
        "install {channel}-install.yaml of a release of Gateway API {} or newer \
         (https://github.com/kubernetes-sigs/gateway-api/releases), or name that file with --gateway-api",
        need.at_least
    );
    match after.map(GatewayApiInstalled::of) {
        None => refusals.push(Refusal::new(subject, "they are not in the cluster", next)),
        Some(Some(installed)) => {
            if ModuleVersion::new(need.at_least).is_ok_and(|least| installed.version.line() < least.line()) {
                let reason = format!(
                    "{title} {} needs {} or newer ({}), and the cluster has {}",
                    request.installation.version, need.at_least, need.source, installed.version
                );
                refusals.push(Refusal::new(subject, reason, next));
            }
        }
        // They do not say which they are: nothing can be held against them.
        Some(None) => {}
    }
    Ok(planned)
}

fn is_standard(object: &Value) -> bool {
    object["kind"] == "CustomResourceDefinition" && object["spec"]["group"] == GATEWAY_API_GROUP
}

async fn planned_definition(
    cluster: &Cluster,
    object: Value,
    refusals: &mut Vec<Refusal>,
) -> Result<PlannedDefinition, InstallError> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let key = ObjectKey { kind: CRD, namespace: None, name: name.clone() };
    let change = compare_definition(cluster.get_object(&key).await?.as_ref(), &object);
    if let DefinitionChange::Refuse { reason, next } = &change {
        refusals.push(Refusal::new(format!("definition {name}"), reason, next));
    }
    Ok(PlannedDefinition { name, change, object })
}

/// The definitions of a chart. Those that Helm itself applies are only compared.
async fn compare(
    cluster: &Cluster,
    place: Definitions,
    offered: Vec<Value>,
    refusals: &mut Vec<Refusal>,
) -> Result<Vec<PlannedDefinition>, InstallError> {
    let mut planned = Vec::new();
    for object in offered {
        // Standard definitions are not the gateway's to bring: another gateway may need other ones.
        if is_standard(&object) && place != Definitions::Templates {
            continue;
        }
        let definition = planned_definition(cluster, object, refusals).await?;
        if matches!(place, Definitions::Folder | Definitions::Only) {
            planned.push(definition);
        }
    }
    Ok(planned)
}

/// A class of the same name with another controller, or a controller that somebody else has installed.
async fn against_classes(cluster: &Cluster, request: &InstallRequest) -> Result<Vec<Refusal>, InstallError> {
    let metadata = request.module.metadata();
    let wanted = request.installation.class.name();
    let mut refusals = Vec::new();
    for class in cluster.list_objects(&GATEWAY_CLASS, "").await? {
        let name = class["metadata"]["name"].as_str().unwrap_or_default();
        let controller = class["spec"]["controllerName"].as_str().unwrap_or_default();
        let ours = metadata.controllers.contains(&controller);
        if name == wanted && !ours {
            refusals.push(Refusal::new(
                format!("GatewayClass {name}"),
                format!("it belongs to the controller {controller}"),
                "remove or rename it; a class is served by one controller",
            ));
        } else if ours && accepted(&class) == Some(true) {
            refusals.push(Refusal::new(
                format!("GatewayClass {name}"),
                format!("a {} that was not installed by this program serves it", metadata.title),
                "use it as it is (nothing need be installed), remove it first, or take it over with --adopt",
            ));
        }
    }
    Ok(refusals)
}

async fn action(
    cluster: &Cluster,
    backend: &dyn Backend,
    record: Option<&Record>,
    request: &InstallRequest,
    chart: &gateway_modules_core::installation::Chart,
    hash: &str,
    refusals: &mut Vec<Refusal>,
) -> Result<Action, InstallError> {
    let recorded = record.and_then(|record| record.release(&chart.release, &chart.namespace));
    if chart.definitions == Definitions::Only && backend.leaves_definitions() {
        let same = recorded.is_some_and(|recorded| recorded.hash == hash);
        return Ok(if same { Action::Unchanged } else { Action::Install });
    }
    let state = backend.state(cluster, &chart.release, &chart.namespace).await?;
    if state != ReleaseState::Absent && recorded.is_none() && !request.adopt {
        refusals.push(Refusal::new(
            format!("release {} in {}", chart.release, chart.namespace),
            "it is there, and this program has not made it",
            "use it as it is, remove it first, or take it over with --adopt (its values are replaced)",
        ));
    }
    Ok(match state {
        ReleaseState::Absent => Action::Install,
        ReleaseState::Deployed if !request.again && recorded.is_some_and(|recorded| recorded.hash == hash) => {
            Action::Unchanged
        }
        ReleaseState::Deployed | ReleaseState::Changing { .. } => Action::Upgrade,
        ReleaseState::Broken { .. } => Action::Mend,
    })
}
