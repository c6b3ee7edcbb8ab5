//! Installs custom resource definitions, and the admission policies that come with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// The release channels of Gateway API. One control plane takes one: `safe-upgrades` refuses most changes between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Stable fields and kinds.
    Standard,
    /// These and all that may still change.
    Experimental,
}

impl Channel {
    /// The folder of the channel below `gateway-api`.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Experimental => "experimental",
        }
    }
}

const FIELD_MANAGER: &str = "gateway-modules-testkit";
const AT_ONCE: usize = 8;
const TIMEOUT: Duration = Duration::from_mins(1);

/// Installs Gateway API, with its `safe-upgrades` policy, from a folder laid out as
/// [`schemas_or_explain`](crate::schemas_or_explain) finds it; gives the names of the definitions.
///
/// # Errors
/// As [`install_folder`].
pub async fn install_gateway_api(client: &Client, schemas: &Path, channel: Channel) -> Result<Vec<String>, Error> {
    install_folder(client, &schemas.join("gateway-api").join(channel.folder())).await
}

/// Installs the definitions of a vendor, such as `kgateway`, from the same folder.
///
/// # Errors
/// As [`install_folder`].
pub async fn install_vendor(client: &Client, schemas: &Path, vendor: &str) -> Result<Vec<String>, Error> {
    install_folder(client, &schemas.join(vendor)).await
}

/// Installs every manifest of a folder (not of folders in it) by server-side apply and waits until the definitions
/// are established; gives their names.
///
/// # Errors
/// When a file cannot be read, holds another kind than definitions and validating admission policies, is refused, or
/// when a definition is not established within 60 s.
pub async fn install_folder(client: &Client, folder: &Path) -> Result<Vec<String>, Error> {
    let folder = folder.to_owned();
    install_all(client, tokio::task::spawn_blocking(move || read(&folder)).await??).await
}

/// Installs definitions that are not in a folder, such as those of the intent types, and waits until they are established; gives
/// their names.
///
/// # Errors
/// As [`install_folder`].
pub async fn install(client: &Client, definitions: Vec<Value>) -> Result<Vec<String>, Error> {
    let unfit = |reason| Error::Manifest { path: PathBuf::from("a definition"), reason };
    let manifests = definitions.into_iter().map(manifest).collect::<Result<_, _>>().map_err(unfit)?;
    install_all(client, manifests).await
}

async fn install_all(client: &Client, manifests: Vec<Manifest>) -> Result<Vec<String>, Error> {
    // Policies last: a policy that is not observed yet lets everything pass, one that is would see half an installation.
    let (definitions, policies): (Vec<_>, Vec<_>) =
        manifests.into_iter().partition(|manifest| manifest.resource.kind == "CustomResourceDefinition");
    let names: Vec<String> = definitions.iter().map(|manifest| manifest.name.clone()).collect();
    for step in [definitions, policies] {
        stream::iter(step)
            .map(|manifest| apply(client, manifest))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
    }
    established(client, &names).await?;
    Ok(names)
}

struct Manifest {
    resource: ApiResource,
    name: String,
    object: DynamicObject,
}

fn read(folder: &Path) -> Result<Vec<Manifest>, Error> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(Error::io("read", folder))?
        .map(|entry| entry.map(|entry| entry.path()).map_err(Error::io("read", folder)))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
    paths.sort();
    let mut manifests = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            .map_err(|error| Error::Manifest { path: path.clone(), reason: error.to_string() })?;
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            manifests.push(manifest(document).map_err(|reason| Error::Manifest { path: path.clone(), reason })?);
        }
    }
    if manifests.is_empty() {
        return Err(Error::Manifest { path: folder.to_owned(), reason: "no YAML manifest in this folder".to_owned() });
    }
    Ok(manifests)
}

fn manifest(mut document: Value) -> Result<Manifest, String> {
    // Left over from generators; the API server owns it.
    if let Some(fields) = document.as_object_mut() {
        fields.remove("status");
    }
    let object: DynamicObject = serde_json::from_value(document).map_err(|error| error.to_string())?;
    let types = object.types.clone().unwrap_or_default();
    let (group, plural) = match types.kind.as_str() {
        "CustomResourceDefinition" => ("apiextensions.k8s.io", "customresourcedefinitions"),
        "ValidatingAdmissionPolicy" => ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
        "ValidatingAdmissionPolicyBinding" => ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
        other => {
            return Err(format!(
                "kind {other:?}; only custom resource definitions and validating admission policies belong here"
            ));
        }
    };
    let gvk = GroupVersionKind::try_from(&types).map_err(|error| error.to_string())?;
    if gvk.group != group {
        return Err(format!("{} of group {:?}; it belongs to {group}", types.kind, gvk.group));
    }
    let name = object.metadata.name.clone().ok_or("no metadata.name")?;
    Ok(Manifest { resource: ApiResource::from_gvk_with_plural(&gvk, plural), name, object })
}

async fn apply(client: &Client, manifest: Manifest) -> Result<(), Error> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &manifest.resource);
    api.patch(&manifest.name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&manifest.object))
        .await
        .map(drop)
        .map_err(Error::kube(format!("install {} {}", manifest.resource.kind, manifest.name)))
}

/// The conditions alone: a definition can be a megabyte.
#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    status: DefinitionStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct DefinitionStatus {
    /// `null` until the first controller has looked at the definition.
    conditions: Option<Vec<Condition>>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

async fn established(client: &Client, names: &[String]) -> Result<(), Error> {
    let start = Instant::now();
    let mut waiting: Vec<&String> = names.iter().collect();
    loop {
        let done: Vec<bool> = stream::iter(waiting.clone())
            .map(|name| is_established(client, name))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut done = done.into_iter();
        waiting.retain(|_| !done.next().unwrap_or(false));
        if waiting.is_empty() {
            return Ok(());
        }
        if start.elapsed() > TIMEOUT {
            let names = waiting.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Error::NotEstablished { names, seconds: TIMEOUT.as_secs() });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn is_established(client: &Client, name: &str) -> Result<bool, Error> {
    let failed = || Error::kube(format!("read CustomResourceDefinition {name}"));
    let request = http::Request::get(format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"))
        .body(Vec::new())
        .map_err(|error| failed()(kube::Error::HttpError(error)))?;
    let definition: Definition = client.request(request).await.map_err(failed())?;
    Ok(definition
        .status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.r#type == "Established" && condition.status == "True"))
}
