//! A cluster in memory, for the tests of what is read of one.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;

use super::{ClusterReader, ReadError};
use crate::object::GroupVersionKind;

/// A cluster of objects by kind, with kinds that may not be read.
#[derive(Default)]
pub(super) struct Held {
    pub(super) objects: BTreeMap<&'static str, Vec<Value>>,
    pub(super) forbidden: Vec<&'static str>,
}

#[async_trait]
impl ClusterReader for Held {
    async fn get(&self, kind: &GroupVersionKind, _: Option<&str>, name: &str) -> Result<Option<Value>, ReadError> {
        Ok(self.list(kind, None).await?.into_iter().find(|object| object["metadata"]["name"] == name))
    }

    async fn list(&self, kind: &GroupVersionKind, namespace: Option<&str>) -> Result<Vec<Value>, ReadError> {
        if self.forbidden.contains(&kind.kind.as_ref()) {
            return Err(ReadError::Forbidden { what: format!("all of {kind}") });
        }
        let all = self.objects.get(kind.kind.as_ref()).cloned().unwrap_or_default();
        let here = |object: &Value| namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace);
        Ok(all.into_iter().filter(here).collect())
    }
}

pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("a reader in memory does not wait"),
    }
}
