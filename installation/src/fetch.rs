//! Charts are fetched, and looked at, before anything is changed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use gateway_modules_core::installation::{Chart, ChartSource};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    error::InstallError,
    helm::{Helm, Place},
};

/// Where charts come from, when not from their vendors.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ChartSettings {
    /// A registry that has all charts under their own names: `oci://…`.
    pub registry: Option<String>,
    /// A folder with archives (`NAME-VERSION.tgz`) or unpacked charts (`NAME/`).
    pub folder: Option<PathBuf>,
    /// Digests that charts must have, by name: `sha256:…` of the archive, or of the manifest in a registry.
    pub digests: BTreeMap<String, String>,
    /// Install although the chart does not know a value that the module sets.
    pub allow_unknown_values: bool,
}

/// A chart on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FetchedChart {
    /// Archive or folder.
    #[serde(skip)]
    pub path: PathBuf,
    /// Where it is from.
    pub place: String,
    /// Digest: of the manifest where it is from a registry, else of the archive; none for an unpacked folder.
    pub digest: Option<String>,
}

/// Where a chart comes from, for Flux and Argo CD, which fetch it themselves.
pub(crate) fn origin(chart: &Chart, settings: &ChartSettings) -> ChartSource {
    match &settings.registry {
        Some(registry) => ChartSource::Oci { registry: with_scheme(registry) },
        None => chart.source.clone(),
    }
}

fn with_scheme(registry: &str) -> String {
    if registry.starts_with("oci://") { registry.to_owned() } else { format!("oci://{registry}") }
}

/// Fetches a chart and looks whether it is what is expected.
pub(crate) async fn fetch(
    helm: &Helm,
    chart: &Chart,
    settings: &ChartSettings,
    folder: &Path,
) -> Result<FetchedChart, InstallError> {
    let fetched = match &settings.folder {
        Some(source) => in_folder(helm, chart, source).await?,
        None => pulled(helm, chart, settings, folder).await?,
    };
    if let Some(wanted) = settings.digests.get(&chart.name) {
        let archive = archive_digest(&fetched.path)?;
        let known: Vec<&String> = fetched.digest.iter().chain(&archive).collect();
        if !known.contains(&wanted) {
            let found =
                known.first().map_or_else(|| "none, since it is unpacked".to_owned(), |digest| (*digest).clone());
            return Err(InstallError::Digest { chart: chart.name.clone(), found, wanted: wanted.clone() });
        }
    }
    check_values(helm, chart, &fetched, settings).await?;
    Ok(fetched)
}

async fn pulled(
    helm: &Helm,
    chart: &Chart,
    settings: &ChartSettings,
    folder: &Path,
) -> Result<FetchedChart, InstallError> {
    let place = match origin(chart, settings) {
        ChartSource::Oci { registry } => Place::Registry(registry),
        ChartSource::Repository { url } => Place::Repository(url),
        other => {
            return Err(InstallError::Unreadable {
                place: chart.name.clone(),
                message: format!("this program does not know the source {other:?}"),
            });
        }
    };
    let told = helm.pull(&chart.name, &chart.version, &place, folder).await?;
    let path = archive(folder, chart);
    let digest = match told {
        Some(digest) => Some(digest),
        None => archive_digest(&path)?,
    };
    Ok(FetchedChart { path, place: place.address().to_owned(), digest })
}

fn archive(folder: &Path, chart: &Chart) -> PathBuf {
    folder.join(format!("{}-{}.tgz", chart.name, chart.version))
}

async fn in_folder(helm: &Helm, chart: &Chart, folder: &Path) -> Result<FetchedChart, InstallError> {
    let place = folder.display().to_string();
    let missing = |message: String| InstallError::ChartNotFound {
        chart: chart.name.clone(),
        version: chart.version.clone(),
        place: place.clone(),
        message,
        next: format!(
            "put {}-{}.tgz there (`helm pull` makes it), or name another folder with --charts",
            chart.name, chart.version
        ),
    };
    let path = archive(folder, chart);
    if path.is_file() {
        return Ok(FetchedChart { digest: archive_digest(&path)?, path, place });
    }
    let unpacked = folder.join(&chart.name);
    if unpacked.join("Chart.yaml").is_file() {
        let about: Value = yaml(&helm.show("chart", &unpacked).await?, "Chart.yaml")?;
        let version = about["version"].as_str().unwrap_or("unknown");
        if version == chart.version {
            return Ok(FetchedChart { path: unpacked, place, digest: None });
        }
        return Err(missing(format!("the folder {} has version {version}", chart.name)));
    }
    let entries = std::fs::read_dir(folder).map_err(|source| InstallError::File { path: folder.to_owned(), source })?;
    let mut others: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(&format!("{}-", chart.name)))
        .collect();
    others.sort();
    let there = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
    Err(missing(format!("the folder has {there} of that name")))
}

fn archive_digest(path: &Path) -> Result<Option<String>, InstallError> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|source| InstallError::File { path: path.to_owned(), source })?;
    let hash = Sha256::digest(&bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    Ok(Some(format!("sha256:{hash}")))
}

async fn check_values(
    helm: &Helm,
    chart: &Chart,
    fetched: &FetchedChart,
    settings: &ChartSettings,
) -> Result<(), InstallError> {
    let defaults: Value = yaml(&helm.show("values", &fetched.path).await?, "values.yaml")?;
    let paths: Vec<String> = chart.unknown_paths(&defaults).into_iter().map(ToOwned::to_owned).collect();
    if paths.is_empty() || settings.allow_unknown_values {
        return Ok(());
    }
    Err(InstallError::UnknownValues { chart: chart.name.clone(), version: chart.version.clone(), paths })
}

/// Reads one YAML document; an empty one is null.
pub(crate) fn yaml(text: &str, place: &str) -> Result<Value, InstallError> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(text)
        .map_err(|error| InstallError::Unreadable { place: place.to_owned(), message: error.to_string() })
}

/// The definitions among rendered documents. Documents that do not speak of any are not read: charts make much.
pub(crate) fn definitions(rendered: &str, place: &str) -> Result<Vec<Value>, InstallError> {
    const KIND: &str = "CustomResourceDefinition";
    let mut found = Vec::new();
    for text in rendered.split("\n---").filter(|text| text.contains(KIND)) {
        let document = yaml(text.trim_start_matches("---"), place)?;
        if document["kind"] == KIND {
            found.push(document);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_found_among_documents() {
        let rendered = "---\n# Source: a\nkind: Service\nmetadata: {name: CustomResourceDefinition}\n---\n# Source: b\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.test}\n--- \nkind: Service\n";
        let found = definitions(rendered, "test").expect("readable");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["metadata"]["name"], "a.test");
    }
}
