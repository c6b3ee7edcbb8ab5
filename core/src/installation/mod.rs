//! How a gateway gets into a cluster: charts with their values, definitions, class, and what is checked before and after.
//!
//! Pure data that an adapter declares ([`GatewayModule::installation`](crate::module::GatewayModule::installation)); whoever
//! installs (Helm, Flux, Argo CD, a person) carries it out.

mod chart;
mod check;
mod definitions;
mod needs;
mod requirements;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use self::{
    chart::{Chart, ChartSource, ChartValue, Definitions, Known, ValueKind},
    check::{Check, Test},
    definitions::{DefinitionChange, GATEWAY_API_GROUP, GatewayApiInstalled, compare_definition},
    needs::{Contradiction, Needs, Standing, United, unite},
    requirements::{Unmet, fold_requirement, unmet},
    values::{ValueError, dropped_values, get_value, merge_values, set_value},
};
use crate::{channel::Channel, module::ModuleVersion, object::Object};

/// What an installation is asked to be like. Fields are added with defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstallationOptions {
    /// Channel of the Gateway API definitions in the cluster; kinds of the experimental channel need values at some gateways.
    pub channel: Channel,
    /// Registry, with a path where it has one, that holds the images under the vendor's own names; absent: the vendor's.
    pub image_registry: Option<String>,
    /// Names of Secrets, in the gateway's namespace, with which images are pulled.
    pub image_pull_secrets: Vec<String>,
    /// Version of the main chart, where it is not the one that the module knows for the gateway's version.
    pub chart_version: Option<String>,
}

impl InstallationOptions {
    /// Channel of the Gateway API definitions in the cluster.
    #[must_use]
    pub const fn with_channel(mut self, channel: Channel) -> Self {
        self.channel = channel;
        self
    }

    /// Registry that holds the images.
    #[must_use]
    pub fn with_image_registry(mut self, registry: Option<String>) -> Self {
        self.image_registry = registry;
        self
    }

    /// Version of the main chart.
    #[must_use]
    pub fn with_chart_version(mut self, version: Option<String>) -> Self {
        self.chart_version = version;
        self
    }

    /// Secrets with which images are pulled.
    #[must_use]
    pub fn with_image_pull_secrets(mut self, names: Vec<String>) -> Self {
        self.image_pull_secrets = names;
        self
    }
}

/// Why a module cannot be installed this way, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{reason}; {next}")]
#[serde(rename_all = "camelCase")]
pub struct NotInstallable {
    /// Why not.
    pub reason: String,
    /// What would work.
    pub next: String,
}

impl NotInstallable {
    /// A reason, and what would work.
    pub fn new(reason: impl Into<String>, next: impl Into<String>) -> Self {
        Self { reason: reason.into(), next: next.into() }
    }
}

/// What the gateway needs of the Gateway API definitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayApi {
    /// Oldest minor line that the version of the gateway works with, for example `1.5`.
    pub at_least: &'static str,
    /// Where that is stated.
    pub source: &'static str,
}

/// Who makes the GatewayClass.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "madeBy")]
#[non_exhaustive]
pub enum Class {
    /// A chart.
    Chart {
        /// Its name.
        name: String,
    },
    /// The controller, when it runs.
    Controller {
        /// Its name.
        name: String,
    },
    /// Nobody but the one who installs.
    Installer {
        /// The class.
        object: Object,
    },
}

impl Class {
    /// Name of the class.
    pub fn name(&self) -> &str {
        match self {
            Self::Chart { name } | Self::Controller { name } => name,
            Self::Installer { object } => object.name(),
        }
    }
}

/// Objects that the gateway makes when it runs, which no chart owns and which an uninstall must take away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// `group/version`.
    pub api_version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Where they are.
    pub place: LeftoverPlace,
    /// Name.
    pub name: &'static str,
    /// The vendor's source or documentation that says so.
    pub source: &'static str,
}

/// Where a leftover is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LeftoverPlace {
    /// It has no namespace.
    Cluster,
    /// The gateway's namespace.
    Own,
    /// Any namespace.
    Everywhere,
}

/// The installation of one version of a gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Installation {
    /// Version of the gateway.
    pub version: ModuleVersion,
    /// Charts, in the order in which they are installed; they go in the opposite order.
    pub charts: Vec<Chart>,
    /// What it needs of the Gateway API definitions.
    pub gateway_api: GatewayApi,
    /// Who makes the GatewayClass.
    pub class: Class,
    /// What must hold before.
    pub prerequisites: Vec<Check>,
    /// What holds when it works.
    pub post_checks: Vec<Check>,
    /// What it leaves behind.
    pub leftovers: Vec<Leftover>,
}

impl Installation {
    /// An installation by charts, with nothing to check.
    pub fn new(version: ModuleVersion, charts: Vec<Chart>, gateway_api: GatewayApi, class: Class) -> Self {
        Self {
            version,
            charts,
            gateway_api,
            class,
            prerequisites: Vec::new(),
            post_checks: Vec::new(),
            leftovers: Vec::new(),
        }
    }

    /// Namespaces of the charts.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        self.charts.iter().map(|chart| chart.namespace.as_str()).collect()
    }

    /// Labels the pods that carry requests, for platforms whose network policies admit only such pods.
    ///
    /// # Errors
    /// The pods are made for each Gateway, and not by a chart.
    pub fn label_pods(&mut self, labels: &BTreeMap<String, String>) -> Result<(), NotInstallable> {
        let mut labelled = labels.is_empty();
        for chart in &mut self.charts {
            let own = chart.values.iter_mut().filter(|value| chart.pod_labels.contains(&value.path));
            for value in own {
                value.value = Some(serde_json::json!(labels));
                labelled = true;
            }
        }
        if labelled {
            return Ok(());
        }
        Err(NotInstallable::new(
            "the pods that carry requests are made for each Gateway and take their labels from it, so no chart has them",
            "write the labels into the data plane, for each of its `visibilities` that needs them: `labels: { KEY: VALUE }`",
        ))
    }

    /// The chart whose values a values file without a name means: the last one, since those before it only prepare.
    pub fn main_chart(&self) -> Option<&Chart> {
        self.charts.last()
    }
}

/// Whether a version is written in full, and does not stand for a line.
fn is_patch_release(version: &ModuleVersion) -> bool {
    version.as_str().split(['-', '+']).next().is_some_and(|numbers| numbers.split('.').count() >= 3)
}

/// Whether an installed version is what is asked for: a line (`2.4`) is any patch release of it.
pub fn satisfies(installed: &ModuleVersion, wanted: &ModuleVersion) -> bool {
    if is_patch_release(wanted) { installed == wanted } else { installed.line() == wanted.line() }
}

/// The patch release to install for a version: itself when it is a patch release, else the newest that is known of its line.
///
/// # Errors
/// A line without a known patch release.
pub fn patch_release(version: &ModuleVersion, known: &[&str]) -> Result<String, NotInstallable> {
    if is_patch_release(version) {
        return Ok(version.as_str().to_owned());
    }
    let found = known
        .iter()
        .find(|candidate| ModuleVersion::new(candidate).is_ok_and(|candidate| candidate.line() == version.line()));
    found.map(|found| (*found).to_owned()).ok_or_else(|| {
        NotInstallable::new(
            format!("no patch release of {version} is known"),
            format!("name one in full, for example `--version {}.{}.0`", version.line().0, version.line().1),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_for_its_newest_known_patch_release() {
        let version = |text: &str| ModuleVersion::new(text).expect("valid");
        assert_eq!(patch_release(&version("2.4"), &["2.3.9", "2.4.3"]), Ok("2.4.3".to_owned()));
        assert_eq!(patch_release(&version("2.4.1"), &["2.4.3"]), Ok("2.4.1".to_owned()));
        assert_eq!(patch_release(&version("2.4.0-rc.1"), &[]), Ok("2.4.0-rc.1".to_owned()));
        assert!(patch_release(&version("2.5"), &["2.4.3"]).is_err());
        for (wanted, same) in [("2.4", true), ("2.4.3", true), ("2.4.2", false), ("2.5", false)] {
            assert_eq!(satisfies(&version("2.4.3"), &version(wanted)), same, "{wanted}");
        }
    }
}
