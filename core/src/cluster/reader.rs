//! The neutral reader of a cluster, on kube.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::{client::Http, error::ClusterError};
use crate::{
    module::{ClusterReader, ReadError},
    object::{GroupVersionKind, ObjectKey},
};

/// Reads objects of a cluster for the modules' discovery.
#[derive(Clone)]
pub struct KubeReader(pub(super) Arc<Http>);

#[async_trait]
impl ClusterReader for KubeReader {
    async fn get(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, ReadError> {
        let key = ObjectKey { kind: kind.clone(), namespace: namespace.map(ToOwned::to_owned), name: name.to_owned() };
        absent_is_none(self.0.get(&key).await, &key.to_string()).map(Option::flatten)
    }

    async fn list(&self, kind: &GroupVersionKind, namespace: Option<&str>) -> Result<Vec<Value>, ReadError> {
        let listed = self.0.list(kind, namespace, "", false).await;
        absent_is_none(listed, &format!("all of {kind}")).map(Option::unwrap_or_default)
    }
}

fn absent_is_none<T>(result: Result<T, ClusterError>, what: &str) -> Result<Option<T>, ReadError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(ClusterError::KindMissing { .. }) => Ok(None),
        Err(ClusterError::Forbidden { .. }) => Err(ReadError::Forbidden { what: what.to_owned() }),
        Err(error) => Err(ReadError::Unavailable { what: what.to_owned(), message: error.to_string() }),
    }
}
