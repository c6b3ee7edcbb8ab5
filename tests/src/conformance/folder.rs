//! A folder of reports against the modules of a registry.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use gateway_modules_core::module::Registry;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Comparison, ConformanceReport, Difference, Exception, compare};

/// What must be known to compare reports with modules; read from YAML.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// `implementation.project` of reports to the name of a module, where they differ.
    pub projects: BTreeMap<String, String>,
    /// How a reported gateway was set up.
    pub setups: Vec<Setup>,
    /// Where a table and a report may differ.
    pub exceptions: Vec<Exception>,
}

/// The parameters of a module that stand for how a reported gateway was set up.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Setup {
    /// The module.
    pub module: String,
    /// `mode` of the report.
    pub mode: String,
    /// `gateway.parameters`.
    pub parameters: Map<String, Value>,
}

/// A report that was compared.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Checked {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub report: ConformanceReport,
    /// The module; absent when no module of the registry is about this project.
    pub module: Option<String>,
    /// What the comparison found; differences that an exception allows are not in it.
    pub comparison: Comparison,
    /// Differences that an exception allows.
    pub excepted: Vec<Difference>,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// What is wrong with the YAML.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    /// Compares each report below a folder with its module.
    ///
    /// # Errors
    /// The folder or a report cannot be read, there is no report, or an exception is about no difference.
    pub fn check(&self, folder: &Path, registry: &Registry) -> Result<Vec<Checked>, String> {
        let mut used = BTreeSet::new();
        let mut all = Vec::new();
        for path in files(folder)? {
            let in_file = |error: String| format!("{}: {error}", path.display());
            let text = fs::read_to_string(&path).map_err(|error| in_file(error.to_string()))?;
            let report = ConformanceReport::read(&text).map_err(in_file)?;
            let name = self.projects.get(&report.project).unwrap_or(&report.project).clone();
            let Ok(module) = registry.get(&name) else {
                let comparison = Comparison::default();
                all.push(Checked { path, report, module: None, comparison, excepted: Vec::new() });
                continue;
            };
            let parameters = self.parameters(&name, &report.mode);
            let mut comparison = compare(&report, module.as_ref(), &parameters).map_err(in_file)?;
            let (excepted, differences) =
                std::mem::take(&mut comparison.differences).into_iter().partition(|difference| {
                    let found =
                        self.exceptions.iter().position(|exception| exception.allows(&name, &report, difference));
                    used.extend(found);
                    found.is_some()
                });
            comparison.differences = differences;
            all.push(Checked { path, report, module: Some(name), comparison, excepted });
        }
        if all.is_empty() {
            return Err(format!("{}: there is no conformance report", folder.display()));
        }
        let checked: BTreeSet<_> = all.iter().filter_map(|one| one.module.as_deref()).collect();
        let stale = self
            .exceptions
            .iter()
            .enumerate()
            .find(|(index, exception)| checked.contains(exception.module.as_str()) && !used.contains(index));
        match stale {
            Some((_, exception)) => Err(format!(
                "the exception of {} for {} is about no difference: take it out",
                exception.feature, exception.module
            )),
            None => Ok(all),
        }
    }

    fn parameters(&self, module: &str, mode: &str) -> Map<String, Value> {
        let found = self.setups.iter().find(|setup| setup.module == module && setup.mode == mode);
        found.map(|setup| setup.parameters.clone()).unwrap_or_default()
    }
}

impl Exception {
    fn allows(&self, module: &str, report: &ConformanceReport, difference: &Difference) -> bool {
        let bare = report.version.trim_start_matches('v');
        let of_line = self.line.as_ref().is_none_or(|line| bare == line || bare.starts_with(&format!("{line}.")));
        self.module == module && self.feature == difference.feature().as_str() && of_line
    }
}

/// YAML files below a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
