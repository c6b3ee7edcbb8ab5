//! Puts manifests of a lab into its cluster.

use kube::{
    Client,
    api::{Api, ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::Value;

use crate::Error;

/// Applies the documents of a YAML text, in their order.
///
/// # Errors
/// When the text is no YAML of objects, or the API server refuses one.
pub async fn apply(client: &Client, text: &str) -> Result<(), Error> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| Error::Lab(error.to_string()))?;
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        apply_one(client, document).await?;
    }
    Ok(())
}

/// Applies one object.
///
/// # Errors
/// When it is no object, or the API server refuses it.
pub async fn apply_one(client: &Client, document: Value) -> Result<(), Error> {
    let object: DynamicObject =
        serde_json::from_value(document).map_err(|error| Error::Lab(format!("no Kubernetes object: {error}")))?;
    let name = object.metadata.name.clone().unwrap_or_default();
    let types = object.types.clone().unwrap_or_default();
    let action = format!("apply {} {name}", types.kind);
    let api = api(client, &types.api_version, &types.kind, object.metadata.namespace.as_deref());
    api.patch(&name, &PatchParams::apply("gateway-modules-lab").force(), &Patch::Apply(&object))
        .await
        .map(drop)
        .map_err(Error::kube(action))
}

/// Objects of a kind, in a namespace or in all.
pub fn api(client: &Client, version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), &plural(kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// English, as far as Kubernetes speaks it.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) if !kind.ends_with("ay") => format!("{stem}ies"),
        _ if kind.ends_with('s') => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}
