//! Namespaces for tests. They are not removed: the control plane is.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::json;

use crate::Error;

/// Makes a namespace; one that is there already is fine.
///
/// # Errors
/// When the API server refuses.
pub async fn create_namespace(client: &Client, name: &str) -> Result<(), Error> {
    create_labelled_namespace(client, name, &[]).await
}

/// Makes a namespace with labels, for Gateways that admit routes by namespace selector. One that is there stays as it is.
///
/// # Errors
/// When the API server refuses.
pub async fn create_labelled_namespace(client: &Client, name: &str, labels: &[(&str, &str)]) -> Result<(), Error> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
    let mut namespace = DynamicObject::new(name, &resource).data(json!({}));
    namespace.metadata.labels =
        Some(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
    let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    match namespaces.create(&PostParams::default(), &namespace).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(Error::kube(format!("create namespace {name}"))(error)),
    }
}
