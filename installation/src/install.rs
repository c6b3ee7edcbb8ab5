//! Carries a plan out.

use std::time::{Duration, Instant};

use gateway_modules_core::{
    cluster::{Cluster, ClusterError},
    installation::{DefinitionChange, Definitions},
    object::ObjectKey,
};
use serde::Serialize;
use serde_json::json;

use crate::{
    Action, Backend, CheckResult, InstallError, InstallPlan, Phase, Progress, Record, RecordedRelease, State,
    checks::evaluate, plan::CRD,
};

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstallOutcome {
    /// Module.
    pub module: String,
    /// Version of the gateway.
    pub version: String,
    /// What holds now; empty when nobody waited.
    pub checks: Vec<CheckResult>,
}

/// How often is looked whether all works.
const LOOK: Duration = Duration::from_secs(1);
/// How long a definition may take until it is served.
const ESTABLISHED: Duration = Duration::from_mins(1);

/// Carries a plan out: definitions, namespaces, releases, class; then waits until the gateway works.
///
/// The record is written before the first change, so that whatever is interrupted is mended by the next run, and can be
/// taken away by an uninstall.
///
/// # Errors
/// The plan is refused, a step fails, or the gateway does not work in time ([`InstallError::NotReady`]: all is installed).
pub async fn install(
    cluster: &Cluster,
    backend: &dyn Backend,
    plan: &InstallPlan,
    wait: Option<Duration>,
    progress: &Progress,
) -> Result<InstallOutcome, InstallError> {
    if !plan.refusals.is_empty() {
        return Err(InstallError::Refused(plan.refusals.clone()));
    }
    let lock = cluster.lock_installation(&plan.module).await?;
    let result = carry_out(cluster, backend, plan, progress).await;
    lock.release().await;
    result?;
    let checks = match wait {
        None => Vec::new(),
        Some(longest) => wait_until_ready(cluster, plan, longest, progress).await?,
    };
    Ok(InstallOutcome { module: plan.module.clone(), version: plan.version.to_string(), checks })
}

async fn carry_out(
    cluster: &Cluster,
    backend: &dyn Backend,
    plan: &InstallPlan,
    progress: &Progress,
) -> Result<(), InstallError> {
    let before = Record::read(cluster, &plan.module).await?;
    let mut record = begun(plan, before.as_ref());
    record.write(cluster).await?;
    for definition in &plan.definitions {
        match &definition.change {
            DefinitionChange::Create | DefinitionChange::Update => {
                progress(&format!("definition {}", definition.name));
                apply_definition(cluster, &definition.object).await?;
            }
            DefinitionChange::Keep { reason } => progress(&format!("definition {} stays: {reason}", definition.name)),
            DefinitionChange::Refuse { .. } => {}
        }
    }
    let applied = plan
        .definitions
        .iter()
        .filter(|definition| matches!(definition.change, DefinitionChange::Create | DefinitionChange::Update));
    for definition in applied {
        established(cluster, &definition.name).await?;
    }
    for namespace in &plan.namespaces {
        progress(&format!("namespace {namespace}"));
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        cluster.apply_object(&object, false, false).await?;
    }
    for release in &plan.releases {
        let chart = &release.chart;
        if release.action == Action::Unchanged {
            progress(&format!("release {} is as it should be", chart.release));
        } else if !(chart.definitions == Definitions::Only && backend.leaves_definitions()) {
            progress(&format!("release {} in {}: {} {}", chart.release, chart.namespace, chart.name, chart.version));
            backend.apply(cluster, release, progress).await?;
        }
        // Step by step, so that a run that is interrupted does not do this one again.
        let done = recorded(release);
        record.releases.retain(|old| (&old.release, &old.namespace) != (&done.release, &done.namespace));
        record.releases.push(done);
        record.write(cluster).await?;
    }
    if let Some(class) = &plan.class {
        progress(&format!("GatewayClass {}", class.name()));
        cluster.apply_object(&class.to_value(), false, false).await?;
    }
    record.phase = Phase::Installed;
    record.version = plan.version.to_string();
    record.asked = Some(plan.asked.clone());
    record.planes.clone_from(&plan.planes);
    record.write(cluster).await
}

/// The record before the first change: whatever may be made from now on is in it.
fn begun(plan: &InstallPlan, before: Option<&Record>) -> Record {
    let mut record = before.cloned().unwrap_or_else(|| Record {
        module: plan.module.clone(),
        version: plan.version.to_string(),
        backend: plan.backend.to_owned(),
        phase: Phase::Installing,
        releases: Vec::new(),
        namespaces: Default::default(),
        class: None,
        asked: None,
        planes: Default::default(),
        by_controller: plan.by_controller,
    });
    record.phase = Phase::Installing;
    for plane in plan.planes.keys() {
        // What it needs is recorded when it is there.
        record.planes.entry(plane.clone()).or_default();
    }
    record.namespaces.extend(plan.namespaces.iter().cloned());
    record.class = plan.class.as_ref().map(|class| class.name().to_owned()).or(record.class);
    for release in &plan.releases {
        if !record.has(&release.chart.release, &release.chart.namespace) {
            // The hash is that of nothing, so that it is not taken for done.
            record.releases.push(RecordedRelease { hash: String::new(), ..recorded(release) });
        }
    }
    record
}

fn recorded(release: &crate::PlannedRelease) -> RecordedRelease {
    RecordedRelease {
        release: release.chart.release.clone(),
        namespace: release.chart.namespace.clone(),
        chart: release.chart.name.clone(),
        version: release.chart.version.clone(),
        digest: release.fetched.as_ref().and_then(|fetched| fetched.digest.clone()),
        hash: release.hash.clone(),
        definitions_only: release.chart.definitions == Definitions::Only,
    }
}

async fn apply_definition(cluster: &Cluster, object: &serde_json::Value) -> Result<(), InstallError> {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        // Left over from generators; the API server owns it.
        fields.remove("status");
    }
    // The fields of a definition belong to whoever installs the newer one, which has been compared.
    match cluster.apply_object(&object, true, false).await {
        Ok(_) => Ok(()),
        Err(ClusterError::Invalid { object, message }) if message.contains("safe-upgrades") => {
            Err(InstallError::Refused(vec![crate::Refusal::new(
                object,
                message,
                "the cluster's admission policy protects its Gateway API definitions: use those that are there",
            )]))
        }
        Err(error) => Err(error.into()),
    }
}

async fn established(cluster: &Cluster, name: &str) -> Result<(), InstallError> {
    let start = Instant::now();
    let key = ObjectKey { kind: CRD, namespace: None, name: name.to_owned() };
    loop {
        let definition = cluster.get_object(&key).await?;
        let conditions = definition.as_ref().and_then(|found| found.pointer("/status/conditions")?.as_array());
        let established = conditions.is_some_and(|conditions| {
            conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True")
        });
        if established {
            return Ok(());
        }
        if start.elapsed() >= ESTABLISHED {
            return Err(InstallError::Failed {
                action: format!("waiting for the definition {name}"),
                message: "the API server does not serve it".to_owned(),
                next: format!("see the conditions of `kubectl describe crd {name}`, then run this again"),
            });
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn wait_until_ready(
    cluster: &Cluster,
    plan: &InstallPlan,
    longest: Duration,
    progress: &Progress,
) -> Result<Vec<CheckResult>, InstallError> {
    let start = Instant::now();
    let mut told: Vec<(String, State)> = Vec::new();
    loop {
        let checks = evaluate(cluster, &plan.installation.post_checks).await?;
        for check in &checks {
            if !told.contains(&(check.message.clone(), check.state)) {
                let word = if check.state == State::Holds { "ok" } else { "waiting" };
                progress(&format!("{word}: {}", check.message));
                told.push((check.message.clone(), check.state));
            }
        }
        if !checks.iter().any(CheckResult::blocks) {
            return Ok(checks);
        }
        if start.elapsed() >= longest {
            let missing = checks.iter().filter(|check| check.blocks()).map(CheckResult::refusal).collect();
            return Err(InstallError::NotReady(missing, longest.as_secs()));
        }
        tokio::time::sleep(LOOK.min(longest)).await;
    }
}
