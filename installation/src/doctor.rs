//! What is installed, what is missing or does not fit, and what to do next.

use gateway_modules_core::{
    cluster::Cluster,
    installation::{InstallationOptions, Known},
    module::{
        ClassesRead, Fact, GatewayModule, Installed, InstalledClass, ModuleVersion, ReadError, Unread,
        controller_version,
    },
};
use serde::Serialize;

use crate::{CheckResult, InstallError, Phase, Record, State, checks::evaluate};

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
    /// The classes may not be read, so whether somebody else has installed it is not known.
    Unknown,
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
            Self::Unknown => "unknown",
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
    /// Version that runs, by the image of its controller; absent while it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Fact<ModuleVersion>>,
    /// What installed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Data planes that a controller keeps it for; none where people have installed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub planes: Vec<String>,
    /// Classes of its controllers, with whether they are accepted.
    pub classes: Vec<(String, bool)>,
    /// What was looked at.
    pub checks: Vec<CheckResult>,
    /// Values that are set and known from documentation alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unverified_values: Vec<String>,
    /// What to do next.
    pub next: Vec<String>,
    /// What could not be read, and what follows from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

/// Looks at a module's gateway in a cluster, of which `installed` has been read.
///
/// # Errors
/// The cluster does not answer.
pub async fn doctor(
    cluster: &Cluster,
    module: &dyn GatewayModule,
    installed: &Installed,
) -> Result<ModuleReport, InstallError> {
    let metadata = module.metadata();
    let record = Record::read(cluster, metadata.name).await?;
    let own: Vec<&InstalledClass> = installed
        .classes
        .known()
        .iter()
        .filter(|class| metadata.controllers.contains(&class.controller.as_str()))
        .collect();
    let classes: Vec<(String, bool)> =
        own.iter().map(|class| (class.name.clone(), class.accepted == Some(true))).collect();
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
            checks.push(gateway_api(installed, installation.gateway_api.at_least, installation.gateway_api.source));
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
    let running = if there {
        let unreadable = |error: ReadError| InstallError::Unreadable {
            place: "the cluster's Deployments".to_owned(),
            message: error.to_string(),
        };
        let images = module.controller_images();
        Some(controller_version(images, metadata.default_namespace, &cluster.reader()).await.map_err(unreadable)?)
    } else {
        None
    };
    if let Some(running) = running.as_ref().and_then(|fact| fact.value.as_ref()) {
        let recorded = record.as_ref().map(|_| &version);
        checks.extend(fits(module, running, recorded));
    }
    checks.extend(own.iter().filter(|class| class.supported_version == Some(false)).map(|class| CheckResult {
        name: "supported version",
        state: State::Fails,
        required: false,
        message: format!("GatewayClass {}: {}", class.name, class.message),
        next: Some("bring the gateway or the Gateway API definitions to versions that fit".to_owned()),
    }));
    let unreadable = matches!(installed.classes, ClassesRead::Unreadable { .. });
    let blocked = checks.iter().any(CheckResult::blocks);
    let condition = match &record {
        Some(record) if record.phase != Phase::Installed => Condition::Incomplete,
        Some(_) if blocked => Condition::Unhealthy,
        Some(_) => Condition::Installed,
        None if classes.iter().any(|(_, accepted)| *accepted) => Condition::External,
        None if !classes.is_empty() => Condition::Unhealthy,
        None if unreadable => Condition::Unknown,
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
        (Condition::Unknown, ..) => {
            next.push("let these credentials list gatewayclasses.gateway.networking.k8s.io".to_owned());
        }
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
        running,
        planes: record.iter().flat_map(|record| record.planes.keys().cloned()).collect(),
        backend: record.map(|record| record.backend),
        classes,
        checks,
        unverified_values,
        next,
        unread: installed.unread(),
    })
}

/// Whether the version that runs is the one that was installed, and one that the module knows. Neither stops a gateway from working.
fn fits(module: &dyn GatewayModule, running: &ModuleVersion, recorded: Option<&ModuleVersion>) -> Vec<CheckResult> {
    let metadata = module.metadata();
    let warning = |message: String, next: String| CheckResult {
        name: "version",
        state: State::Fails,
        required: false,
        message,
        next: Some(next),
    };
    let mut found = Vec::new();
    if let Some(recorded) = recorded.filter(|recorded| recorded.line() != running.line()) {
        found.push(warning(
            format!("{recorded} was installed, and {running} runs"),
            format!(
                "wait until an upgrade has ended, or `gwm upgrade {} --version VERSION` with the one that is wanted",
                metadata.name
            ),
        ));
    }
    if let Some((nearest, reason)) = metadata.nearest_line(running) {
        found.push(warning(
            reason,
            format!("name a known line in the plane's `gateway.version`, or check what differs from {nearest}"),
        ));
    }
    found
}

fn gateway_api(installed: &Installed, at_least: &str, source: &str) -> CheckResult {
    let definitions = &installed.definitions;
    // Not there is known, where the definitions may be listed or the one of HTTPRoute was looked for.
    let absent =
        definitions.bundle_version.value.is_none() && definitions.gateway_api().is_some_and(|kinds| kinds.is_empty());
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
    let version = definitions.bundle_version.value.as_deref().and_then(|text| ModuleVersion::new(text).ok());
    match version {
        None if absent => {
            result(State::Fails, "the Gateway API definitions are not in the cluster".to_owned(), Some(install))
        }
        None => result(
            State::Unknown,
            format!("which Gateway API definitions are there is not known ({})", definitions.bundle_version.source),
            None,
        ),
        Some(there) => {
            let enough = ModuleVersion::new(at_least).is_ok_and(|least| there.line() >= least.line());
            let channel = definitions.channel.value.map_or_else(|| "unknown".to_owned(), |channel| channel.to_string());
            let text = format!("Gateway API {there}, {channel} channel");
            if enough {
                result(State::Holds, text, None)
            } else {
                result(State::Fails, format!("{text}, and {at_least} is needed ({source})"), Some(install))
            }
        }
    }
}
