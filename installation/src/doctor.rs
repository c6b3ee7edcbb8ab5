//! What is installed, what is missing or does not fit, and what to do next.

use gateway_modules_core::{
    cluster::Cluster,
    installation::{GatewayApiInstalled, InstallationOptions, Known},
    module::{GatewayModule, ModuleVersion},
    object::ObjectKey,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    CheckResult, InstallError, Phase, Record, State,
    checks::{GATEWAY_CLASS, accepted, evaluate},
    plan::CRD,
};

/// How a module's gateway is in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// It is not there.
    NotInstalled,
    /// It was installed by this program, and works.
    Installed,
    /// It was installed by somebody else, and its class is accepted.
    External,
    /// An installation or its removal was interrupted.
    Incomplete,
    /// It is there, and something does not fit.
    Unhealthy,
}

impl Condition {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotInstalled => "not installed",
            Self::Installed => "installed",
            Self::External => "external",
            Self::Incomplete => "incomplete",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What is known about a module's gateway in a cluster.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleReport {
    /// Module.
    pub module: String,
    /// How it is.
    pub condition: Condition,
    /// Version that was installed by this program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What installed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Classes of its controllers, with whether they are accepted.
    pub classes: Vec<(String, bool)>,
    /// What was looked at.
    pub checks: Vec<CheckResult>,
    /// Values that are set and known from documentation alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unverified_values: Vec<String>,
    /// What to do next.
    pub next: Vec<String>,
}

/// Looks at a module's gateway in a cluster.
///
/// # Errors
/// The cluster does not answer.
pub async fn doctor(cluster: &Cluster, module: &dyn GatewayModule) -> Result<ModuleReport, InstallError> {
    let metadata = module.metadata();
    let record = Record::read(cluster, metadata.name).await?;
    let live: Vec<Value> = cluster.list_objects(&GATEWAY_CLASS, "").await?;
    let classes: Vec<(String, bool)> = live
        .iter()
        .filter(|class| metadata.controllers.contains(&class["spec"]["controllerName"].as_str().unwrap_or_default()))
        .map(|class| (class["metadata"]["name"].as_str().unwrap_or_default().to_owned(), accepted(class) == Some(true)))
        .collect();
    let version = record.as_ref().map_or(metadata.default_version, |record| record.version.as_str());
    let version = ModuleVersion::new(version)
        .map_err(|message| InstallError::Unreadable { place: "the record".to_owned(), message })?;
    let declared = module.installation(&version, &InstallationOptions::default());

    let mut checks = Vec::new();
    let mut unverified_values = Vec::new();
    let mut next = Vec::new();
    let there = record.is_some() || !classes.is_empty();
    match &declared {
        Ok(installation) => {
            checks
                .push(gateway_api(cluster, installation.gateway_api.at_least, installation.gateway_api.source).await?);
            // What must be absent before an installation is there after it.
            if !there {
                checks.extend(evaluate(cluster, &installation.prerequisites).await?);
            }
            if record.is_some() {
                checks.extend(evaluate(cluster, &installation.post_checks).await?);
            }
            let values = installation.charts.iter().flat_map(|chart| &chart.values);
            let unverified =
                values.filter(|value| value.value.is_some() && matches!(value.known, Known::Unverified { .. }));
            unverified_values.extend(unverified.map(|value| value.path.to_owned()));
        }
        Err(reason) => {
            if there {
                tracing::debug!(%reason, "no installation to look at");
            }
        }
    }
    let blocked = checks.iter().any(CheckResult::blocks);
    let condition = match &record {
        Some(record) if record.phase != Phase::Installed => Condition::Incomplete,
        Some(_) if blocked => Condition::Unhealthy,
        Some(_) => Condition::Installed,
        None if classes.iter().any(|(_, accepted)| *accepted) => Condition::External,
        None if !classes.is_empty() => Condition::Unhealthy,
        None => Condition::NotInstalled,
    };
    match (condition, &record, &declared) {
        (Condition::Incomplete, Some(record), _) => {
            let command = if record.phase == Phase::Uninstalling { "uninstall" } else { "install" };
            next.push(format!("gwm {command} {}: it goes on where it stopped", metadata.name));
        }
        (Condition::NotInstalled, _, Ok(_)) if !blocked => next.push(format!("gwm install {}", metadata.name)),
        (Condition::NotInstalled, _, Err(reason)) => next.push(reason.to_string()),
        (Condition::Unhealthy, None, _) => next.push(format!(
            "no controller has accepted the class: `gwm install {} --adopt`, or see the controller's logs",
            metadata.name
        )),
        _ => {}
    }
    if condition != Condition::External {
        next.extend(checks.iter().filter(|check| check.state == State::Fails).filter_map(|check| check.next.clone()));
    }
    next.dedup();
    Ok(ModuleReport {
        module: metadata.name.to_owned(),
        condition,
        version: record.as_ref().map(|record| record.version.clone()),
        backend: record.map(|record| record.backend),
        classes,
        checks,
        unverified_values,
        next,
    })
}

async fn gateway_api(cluster: &Cluster, at_least: &str, source: &str) -> Result<CheckResult, InstallError> {
    let key = ObjectKey { kind: CRD, namespace: None, name: "httproutes.gateway.networking.k8s.io".to_owned() };
    let live = cluster.get_object(&key).await?;
    let result = |state, message: String, next: Option<String>| CheckResult {
        name: "gateway api",
        state,
        required: true,
        message,
        next,
    };
    let install = format!(
        "install standard-install.yaml of a release of Gateway API {at_least} or newer, or name that file with \
         `gwm install --gateway-api FILE`"
    );
    Ok(match live.as_ref().map(GatewayApiInstalled::of) {
        None => result(State::Fails, "the Gateway API definitions are not in the cluster".to_owned(), Some(install)),
        Some(None) => result(State::Unknown, "the Gateway API definitions do not say which they are".to_owned(), None),
        Some(Some(there)) => {
            let enough = ModuleVersion::new(at_least).is_ok_and(|least| there.version.line() >= least.line());
            let text = format!("Gateway API {}, {} channel", there.version, there.channel);
            if enough {
                result(State::Holds, text, None)
            } else {
                result(State::Fails, format!("{text}, and {at_least} is needed ({source})"), Some(install))
            }
        }
    })
}
