//! A set of CRDs: which kinds there are, which versions are served, and their schemas.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde::Serialize;
use serde_json::Value;

use super::{SchemaError, cel::Rules, structure::Structure};
use crate::{
    channel::Channel,
    object::{GroupKind, GroupVersionKind},
};

/// Folder of the Gateway API CRDs; it has one folder for each channel.
const GATEWAY_API: &str = "gateway-api";
/// Annotation of Gateway API CRDs with the version of the bundle, for example `v1.6.1`.
const BUNDLE_VERSION: &str = "gateway.networking.k8s.io/bundle-version";
/// Annotation of Gateway API CRDs with the channel.
const CHANNEL: &str = "gateway.networking.k8s.io/channel";

/// Whether objects of a kind live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Every object is in a namespace.
    Namespaced,
    /// No object is in a namespace.
    Cluster,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Namespaced { "Namespaced" } else { "Cluster" })
    }
}

/// One version of a CRD.
#[derive(Debug)]
pub struct CrdVersion {
    served: bool,
    schema: Value,
    compiled: OnceLock<Compiled>,
}

/// What checks objects of one version of a CRD.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) structure: Result<Structure, String>,
    pub(super) rules: Rules,
}

impl CrdVersion {
    /// Whether the API server offers this version.
    pub fn is_served(&self) -> bool {
        self.served
    }

    /// The `openAPIV3Schema`; `null` if the CRD ships none.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// Number of CEL rules in the schema, and those that cannot be compiled, each with the reason.
    pub fn rule_census(&self) -> (usize, Vec<(String, String)>) {
        self.compiled().rules.census()
    }

    pub(super) fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| Compiled {
            structure: Structure::compile(&self.schema),
            rules: Rules::compile(&self.schema),
        })
    }
}

/// One `CustomResourceDefinition`.
#[derive(Debug)]
pub struct Crd {
    group_kind: GroupKind,
    scope: Scope,
    storage_version: String,
    versions: BTreeMap<String, CrdVersion>,
    bundle_version: Option<String>,
    channel: Option<String>,
    origin: String,
}

impl Crd {
    /// Group and kind of the objects.
    pub fn group_kind(&self) -> &GroupKind {
        &self.group_kind
    }

    /// Whether the objects live in a namespace.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The version in which the cluster stores objects.
    pub fn storage_version(&self) -> &str {
        &self.storage_version
    }

    /// All versions by name, served or not.
    pub fn versions(&self) -> &BTreeMap<String, CrdVersion> {
        &self.versions
    }

    /// Version of the Gateway API bundle (annotation `gateway.networking.k8s.io/bundle-version`).
    pub fn bundle_version(&self) -> Option<&str> {
        self.bundle_version.as_deref()
    }

    /// Channel of the Gateway API (annotation `gateway.networking.k8s.io/channel`), as it is written there.
    pub fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    /// The file the CRD came from, or `cluster`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    fn parse(mut crd: Value, origin: &str) -> Result<Self, SchemaError> {
        let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let invalid = |reason: String| SchemaError::InvalidCrd {
            origin: origin.to_owned(),
            name: text("/metadata/name").unwrap_or_default(),
            reason,
        };
        if let Some(api_version) = text("/apiVersion").filter(|version| version != "apiextensions.k8s.io/v1") {
            return Err(invalid(format!("apiVersion is {api_version}, only apiextensions.k8s.io/v1 is supported")));
        }
        let required = |pointer: &str| text(pointer).ok_or_else(|| invalid(format!("{pointer} is missing")));
        let group_kind = GroupKind { group: required("/spec/group")?, kind: required("/spec/names/kind")? };
        let scope = match required("/spec/scope")?.as_str() {
            "Namespaced" => Scope::Namespaced,
            "Cluster" => Scope::Cluster,
            other => return Err(invalid(format!("/spec/scope is `{other}`, not Namespaced or Cluster"))),
        };
        let annotation = |name: &str| Some(crd.pointer("/metadata/annotations")?.get(name)?.as_str()?.to_owned());
        let (bundle_version, channel) = (annotation(BUNDLE_VERSION), annotation(CHANNEL));
        let name = text("/metadata/name").unwrap_or_default();
        let invalid = |reason: &str| SchemaError::InvalidCrd {
            origin: origin.to_owned(),
            name: name.clone(),
            reason: reason.to_owned(),
        };
        let mut versions = BTreeMap::new();
        let mut storage_version = None;
        for version in crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut).into_iter().flatten() {
            let schema = version.pointer_mut("/schema/openAPIV3Schema").map(Value::take).unwrap_or_default();
            let is_true = |field: &str| version.get(field).and_then(Value::as_bool) == Some(true);
            let Some(name) = version.get("name").and_then(Value::as_str) else {
                return Err(invalid("a version has no name"));
            };
            if is_true("storage") {
                storage_version = Some(name.to_owned());
            }
            let parsed = CrdVersion { served: is_true("served"), schema, compiled: OnceLock::new() };
            versions.insert(name.to_owned(), parsed);
        }
        let storage_version = storage_version.ok_or_else(|| invalid("no version has `storage: true`"))?;
        Ok(Self { group_kind, scope, storage_version, versions, bundle_version, channel, origin: origin.to_owned() })
    }
}

/// A set of CRDs, from a folder or from a cluster.
///
/// Loading reads and sorts the CRDs; the checks of a version are compiled when the first object of it is validated.
#[derive(Debug, Default)]
pub struct Schemas {
    crds: BTreeMap<GroupKind, Crd>,
}

impl Schemas {
    /// Reads every CRD of a folder and of the folders in it.
    ///
    /// A folder named `gateway-api` at the top has one folder for each channel, of which only that of `channel` is
    /// read. Files end in `.yaml`, `.yml` or `.json` and may hold several documents; documents that are no
    /// `CustomResourceDefinition` are skipped. A folder that symbolic links lead back to is read once.
    ///
    /// # Errors
    ///
    /// A file cannot be read or parsed, a CRD is incomplete, two CRDs define one kind, or there is no CRD at all.
    pub fn load_folder(path: &Path, channel: Channel) -> Result<Self, SchemaError> {
        let mut files = BTreeSet::new();
        let mut seen = BTreeSet::new();
        collect_files(path, Some(channel), &mut seen, &mut files)?;
        let mut schemas = Self::default();
        for (file, documents) in parse_files(&files.into_iter().collect::<Vec<_>>())? {
            for document in documents {
                if document.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition") {
                    schemas.insert(Crd::parse(document, &file.display().to_string())?)?;
                }
            }
        }
        if schemas.crds.is_empty() {
            return Err(SchemaError::Empty { path: path.to_owned() });
        }
        Ok(schemas)
    }

    /// From the CRDs of a live cluster.
    ///
    /// # Errors
    ///
    /// A value is no complete CRD, or two of them define one kind.
    pub fn from_crds(crds: Vec<Value>) -> Result<Self, SchemaError> {
        let mut schemas = Self::default();
        for crd in crds {
            schemas.insert(Crd::parse(crd, "cluster")?)?;
        }
        Ok(schemas)
    }

    fn insert(&mut self, crd: Crd) -> Result<(), SchemaError> {
        if let Some(first) = self.crds.get(&crd.group_kind) {
            return Err(SchemaError::Duplicate {
                group_kind: crd.group_kind,
                first: first.origin.clone(),
                second: crd.origin,
            });
        }
        self.crds.insert(crd.group_kind.clone(), crd);
        Ok(())
    }

    /// The CRD and the version of it that a kind names, if that version is served.
    pub fn get(&self, kind: &GroupVersionKind) -> Option<(&Crd, &CrdVersion)> {
        let crd = self.crds.get(&kind.group_kind())?;
        let version = crd.versions.get(kind.version.as_ref()).filter(|version| version.served)?;
        Some((crd, version))
    }

    /// The CRD of a kind, whatever its versions.
    pub fn crd(&self, group_kind: &GroupKind) -> Option<&Crd> {
        self.crds.get(group_kind)
    }

    /// All CRDs, by group and kind.
    pub fn crds(&self) -> impl Iterator<Item = &Crd> {
        self.crds.values()
    }

    /// Names of the versions that are served, of every kind that has one.
    pub fn served_versions(&self) -> BTreeMap<GroupKind, BTreeSet<String>> {
        let served = |group_kind| self.served_versions_of(group_kind).into_iter().map(str::to_owned).collect();
        let all = self.crds.keys().map(|group_kind| (group_kind.clone(), served(group_kind)));
        all.filter(|(_, served): &(_, BTreeSet<String>)| !served.is_empty()).collect()
    }

    /// Names of the versions of one kind that are served; empty if there is no such CRD.
    pub fn served_versions_of(&self, group_kind: &GroupKind) -> Vec<&str> {
        let versions = self.crds.get(group_kind).map(|crd| &crd.versions);
        let served = versions.into_iter().flatten().filter(|(_, version)| version.served);
        served.map(|(name, _)| name.as_str()).collect()
    }
}

/// Adds the files of a folder; `channel` is given at the top, where the folder of the Gateway API is special.
fn collect_files(
    folder: &Path,
    channel: Option<Channel>,
    seen: &mut BTreeSet<PathBuf>,
    files: &mut BTreeSet<PathBuf>,
) -> Result<(), SchemaError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SchemaError::Read { path, source }
    };
    if !seen.insert(folder.canonicalize().map_err(failed(folder))?) {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let extension = path.extension().and_then(|extension| extension.to_str());
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            match channel {
                Some(channel) if path.ends_with(GATEWAY_API) => {
                    collect_files(&path.join(channel.as_str()), None, seen, files)?;
                }
                _ => collect_files(&path, None, seen, files)?,
            }
        } else if matches!(extension, Some("yaml" | "yml" | "json")) {
            files.insert(path);
        }
    }
    Ok(())
}

/// Parses files on all processors; the result is in the order of the files.
fn parse_files(files: &[PathBuf]) -> Result<Vec<(PathBuf, Vec<Value>)>, SchemaError> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(files.len()).min(8);
    let next = AtomicUsize::new(0);
    let parsed = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, file)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    files.get(index).map(|file| (index, file))
                } {
                    let result = parse_file(file);
                    let mut parsed = parsed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    parsed.insert(index, result);
                }
            });
        }
    });
    let parsed = parsed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    parsed.into_iter().map(|(index, result)| Ok((files[index].clone(), result?))).collect()
}

fn parse_file(path: &Path) -> Result<Vec<Value>, SchemaError> {
    let text = fs::read_to_string(path).map_err(|source| SchemaError::Read { path: path.to_owned(), source })?;
    serde_saphyr::from_multiple(&text)
        .map_err(|error| SchemaError::Yaml { path: path.to_owned(), message: error.to_string() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    fn crd(group: &str, kind: &str) -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "x", "annotations": {BUNDLE_VERSION: "v1.6.1", CHANNEL: "standard"}},
            "spec": {"group": group, "names": {"kind": kind}, "scope": "Namespaced", "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}},
                {"name": "v1alpha2", "served": false, "storage": false},
            ]},
        })
    }

    /// A folder that is removed at the end of the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let path = std::env::temp_dir().join(format!("gateway-modules-{name}-{}", std::process::id()));
            for (file, text) in files {
                let file = path.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn versions_scope_and_annotations_are_recorded() {
        let schemas = Schemas::from_crds(vec![crd("g.io", "K")]).unwrap();
        let group_kind = GroupKind { group: "g.io".into(), kind: "K".into() };
        let crd = schemas.crd(&group_kind).unwrap();
        assert_eq!((crd.scope(), crd.storage_version()), (Scope::Namespaced, "v1"));
        assert_eq!((crd.bundle_version(), crd.channel()), (Some("v1.6.1"), Some("standard")));
        assert_eq!(schemas.served_versions_of(&group_kind), ["v1"]);
        assert_eq!(schemas.served_versions(), [(group_kind, ["v1".to_owned()].into())].into());
        assert!(schemas.get(&GroupVersionKind::of("g.io", "v1", "K")).is_some());
        assert!(schemas.get(&GroupVersionKind::of("g.io", "v1alpha2", "K")).is_none());
    }

    #[test]
    fn incomplete_and_duplicate_crds_are_errors() {
        let duplicate = Schemas::from_crds(vec![crd("g.io", "K"), crd("g.io", "K")]);
        assert!(matches!(duplicate, Err(SchemaError::Duplicate { .. })));
        let mut broken = crd("g.io", "K");
        broken["spec"]["scope"] = json!("Galaxy");
        assert!(Schemas::from_crds(vec![broken]).unwrap_err().to_string().contains("Galaxy"));
    }

    #[test]
    fn a_folder_is_read_by_channel_and_once() {
        let [standard, experimental, other] =
            [("a", "S"), ("a", "E"), ("b", "O")].map(|(group, kind)| crd(group, kind).to_string());
        let several = format!("kind: Policy\n---\n{other}\n---\n");
        let folder = Folder::new(
            "channels",
            &[
                ("gateway-api/standard/s.yaml", standard.as_str()),
                ("gateway-api/experimental/e.yaml", experimental.as_str()),
                ("vendor/deep/o.yml", several.as_str()),
                ("vendor/README.md", "no: [yaml"),
            ],
        );
        #[cfg(unix)]
        std::os::unix::fs::symlink(&folder.0, folder.0.join("vendor/loop")).unwrap();
        let kinds = |channel| {
            let schemas = Schemas::load_folder(&folder.0, channel).unwrap();
            schemas.crds().map(|crd| crd.group_kind().kind.clone()).collect::<Vec<_>>()
        };
        assert_eq!(kinds(Channel::Standard), ["S", "O"]);
        assert_eq!(kinds(Channel::Experimental), ["E", "O"]);
    }

    #[test]
    fn errors_name_the_file() {
        let broken = Folder::new("broken", &[("bad.yaml", "a: [b")]);
        assert!(
            Schemas::load_folder(&broken.0, Channel::Standard).unwrap_err().to_string().contains("bad.yaml"),
            "the message names the file"
        );
        let empty = Folder::new("empty", &[("other.yaml", "kind: Secret")]);
        assert!(matches!(Schemas::load_folder(&empty.0, Channel::Standard), Err(SchemaError::Empty { .. })));
        let missing = Schemas::load_folder(Path::new("no-such-folder"), Channel::Standard);
        assert!(matches!(missing, Err(SchemaError::Read { .. })));
    }
}
