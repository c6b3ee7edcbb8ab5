//! Intents live in the cluster, as objects: the service itself stores nothing.

use gateway_modules::core::intent::{GROUP, Intent, VERSION, load::Loader};
use kube::{
    Client,
    api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::Refusal;

/// Field manager of what clients of the service have asked for.
const MANAGER: &str = "embed-in-a-service";

/// One component of a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Namespace: the team.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Key {
    /// The object that a specification stands for.
    pub fn document(&self, spec: &Value) -> Value {
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Component",
            "metadata": {"namespace": self.namespace, "name": self.name},
            "spec": spec,
        })
    }
}

fn resource(kind: &str) -> ApiResource {
    let plural = format!("{}s", kind.to_lowercase());
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), &plural)
}

/// The components of a namespace.
pub(crate) fn components(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource("Component"))
}

/// Writes a component.
///
/// # Errors
/// The API server refuses it, or does not answer.
pub(crate) async fn put(client: &Client, key: &Key, spec: &Value) -> Result<DynamicObject, Refusal> {
    let parameters = PatchParams::apply(MANAGER).force().validation_strict();
    let api = components(client, &key.namespace);
    Ok(api.patch(&key.name, &parameters, &Patch::Apply(key.document(spec))).await?)
}

/// Deletes a component.
///
/// # Errors
/// There is none, or the API server does not answer.
pub(crate) async fn delete(client: &Client, key: &Key) -> Result<(), Refusal> {
    components(client, &key.namespace).delete(&key.name, &DeleteParams::default()).await?;
    Ok(())
}

/// All intents of the cluster, with one component as it would be.
///
/// # Errors
/// The API server does not answer, or the component is no valid intent. What others have stored and cannot be read is left
/// out, as the controller does.
pub(crate) async fn intent_with(client: &Client, key: &Key, spec: &Value) -> Result<Intent, Refusal> {
    let mut documents = Vec::new();
    for kind in ["DataPlane", "Component"] {
        let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
        for object in all.list(&ListParams::default()).await? {
            let metadata = &object.metadata;
            if kind == "Component"
                && metadata.name.as_deref() == Some(&key.name)
                && metadata.namespace.as_deref() == Some(&key.namespace)
            {
                continue;
            }
            let mut own = json!({"name": metadata.name, "labels": metadata.labels.clone().unwrap_or_default()});
            if let Some(namespace) = &metadata.namespace {
                own["namespace"] = json!(namespace);
            }
            let document = json!({
                "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": own, "spec": object.data["spec"],
            });
            if Loader::new().text("stored", &document.to_string()).finish().is_ok() {
                documents.push(document);
            }
        }
    }
    let mut loader = Loader::new().text("request", &key.document(spec).to_string());
    for document in documents {
        loader = loader.text("stored", &document.to_string());
    }
    Ok(loader.finish().map_err(Refusal::Invalid)?.intent)
}
