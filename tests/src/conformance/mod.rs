//! Capability tables against the official conformance reports of Gateway API.
//!
//! A table that claims what the gateway's own report denies is wrong, and one that lacks what the report shows makes the
//! module refuse what its gateway can do. Where a module knows better than a report, an [`Exception`] says why.

mod folder;
mod report;

use std::collections::BTreeSet;

use gateway_modules_core::{
    capability::{Capabilities, CapabilityName, names::gateway_api},
    module::{GatewayModule, ModuleVersion},
};
use serde::Deserialize;
use serde_json::{Map, Value};

pub use self::{
    folder::{Checked, Settings, Setup},
    report::ConformanceReport,
};

/// Where a table and a report may differ, with the reason.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exception {
    /// The module.
    pub module: String,
    /// The feature.
    pub feature: String,
    /// Only for reports of this minor line, for example `1.30`; absent for all.
    #[serde(default)]
    pub line: Option<String>,
    /// Why the table is right.
    pub why: String,
}

/// One place where a table and a report differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The table claims what the report denies.
    OverClaim(CapabilityName),
    /// The report shows what the table lacks.
    UnderClaim(CapabilityName),
    /// The report names a feature that Gateway API, as this crate knows it, has not.
    UnknownFeature(CapabilityName),
}

impl Difference {
    /// The feature.
    pub fn feature(&self) -> &CapabilityName {
        match self {
            Self::OverClaim(feature) | Self::UnderClaim(feature) | Self::UnknownFeature(feature) => feature,
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OverClaim(feature) => write!(
                f,
                "{feature}: the table claims it and the report denies it: take it out of the table of this version, or say \
                 in an exception why the table is right"
            ),
            Self::UnderClaim(feature) => write!(
                f,
                "{feature}: the report shows it and the table lacks it: declare it with the report as evidence, or say in \
                 an exception why the module does not use it"
            ),
            Self::UnknownFeature(feature) => {
                write!(
                    f,
                    "{feature}: no feature of Gateway API that this test kit knows: a newer report needs a newer list"
                )
            }
        }
    }
}

/// What a comparison found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Comparison {
    /// Features that table and report agree to have.
    pub agreed: BTreeSet<CapabilityName>,
    /// Features that the table claims and of which the report says neither.
    pub unreported: BTreeSet<CapabilityName>,
    /// Where they differ.
    pub differences: Vec<Difference>,
}

/// Compares what a module says of the reported version, in the reported channel, with the report. Features of meshes are left
/// out, since a mesh is no target of this project.
///
/// # Errors
/// The version of the report is none.
pub fn compare(
    report: &ConformanceReport,
    module: &dyn GatewayModule,
    parameters: &Map<String, Value>,
) -> Result<Comparison, String> {
    let version = ModuleVersion::new(&report.version)?;
    let mut table = module.declared(&version);
    table.extend(module.claimed(parameters));
    if !report.experimental {
        table.retain_standard_channel();
    }
    let mut comparison = Comparison::default();
    for feature in gateway_api::ALL.iter().filter(|feature| !is_of_meshes(feature)) {
        comparison.add(feature, &table, report);
    }
    let unknown = report
        .supported
        .iter()
        .chain(&report.unsupported)
        .filter(|name| !is_of_meshes(name) && !gateway_api::ALL.contains(name));
    comparison.differences.extend(unknown.cloned().map(Difference::UnknownFeature));
    Ok(comparison)
}

impl Comparison {
    fn add(&mut self, feature: &CapabilityName, table: &Capabilities, report: &ConformanceReport) {
        match (table.has(feature), report.says(feature)) {
            (true, Some(true)) => {
                self.agreed.insert(feature.clone());
            }
            (true, Some(false)) => self.differences.push(Difference::OverClaim(feature.clone())),
            (false, Some(true)) => self.differences.push(Difference::UnderClaim(feature.clone())),
            (true, None) => {
                self.unreported.insert(feature.clone());
            }
            (false, _) => {}
        }
    }
}

fn is_of_meshes(feature: &CapabilityName) -> bool {
    feature.as_str().starts_with("Mesh")
}
