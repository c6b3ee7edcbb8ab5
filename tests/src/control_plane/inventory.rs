//! Everything that is in a cluster, to be compared with what was there before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::{Discovery, verbs};
use serde_json::Value;

use crate::Error;

/// Every object by kind, namespace and name, without what Kubernetes changes by itself (status, versions, annotations, events,
/// leases), and without custom resource definitions and the API services that the server makes of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory(BTreeMap<String, Value>);

const SKIPPED: [&str; 4] = ["CustomResourceDefinition", "APIService", "Event", "Lease"];
const CHANGING: [&str; 4] = ["managedFields", "resourceVersion", "generation", "annotations"];

impl Inventory {
    /// Takes it.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn take(client: &Client) -> Result<Self, Error> {
        let mut all = BTreeMap::new();
        let discovery = Discovery::new(client.clone()).run().await.map_err(Error::kube("discover all kinds"))?;
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                if !capabilities.supports_operation(verbs::LIST) || SKIPPED.contains(&resource.kind.as_str()) {
                    continue;
                }
                let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
                let listed = api.list(&ListParams::default()).await;
                for object in listed.map_err(Error::kube(format!("list all {}", resource.plural)))? {
                    let namespace = object.metadata.namespace.clone().unwrap_or_default();
                    let name = object.metadata.name.clone().unwrap_or_default();
                    let mut value = serde_json::to_value(&object).unwrap_or_default();
                    if let Some(fields) = value.as_object_mut() {
                        fields.remove("status");
                    }
                    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
                        metadata.retain(|field, _| !CHANGING.contains(&field.as_str()));
                    }
                    all.insert(format!("{}.{} {namespace}/{name}", resource.kind, resource.group), value);
                }
            }
        }
        Ok(Self(all))
    }

    /// Takes it once nothing has come, gone or changed for a second: controllers go on with what was asked of them before.
    ///
    /// # Errors
    /// When the API server does not answer, or something still changes after that time ([`Error::Different`]).
    pub async fn take_settled(client: &Client, longest: Duration) -> Result<Self, Error> {
        let start = Instant::now();
        let mut before = Self::take(client).await?;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = Self::take(client).await?;
            if now == before {
                return Ok(now);
            }
            if start.elapsed() >= longest {
                return Err(Error::Different(before.difference(&now)));
            }
            before = now;
        }
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, which no working cluster has.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until the cluster has exactly this again: Kubernetes removes some things a little later. Else says what differs.
    ///
    /// # Errors
    /// When the API server does not answer, or not all is equal in time ([`Error::Different`]).
    pub async fn wait_until_again(&self, client: &Client, longest: Duration) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            let now = Self::take(client).await?;
            if now == *self {
                return Ok(());
            }
            if start.elapsed() >= longest {
                return Err(Error::Different(self.difference(&now)));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn difference(&self, now: &Self) -> String {
        let added = now.0.keys().filter(|key| !self.0.contains_key(*key)).map(|key| format!("new: {key}"));
        let removed = self.0.keys().filter(|key| !now.0.contains_key(*key)).map(|key| format!("gone: {key}"));
        let changed = now.0.iter().filter_map(|(key, value)| {
            let before = self.0.get(key).filter(|before| *before != value)?;
            Some(format!("changed: {key}\n  before: {before}\n  now: {value}"))
        });
        added.chain(removed).chain(changed).collect::<Vec<_>>().join("\n")
    }
}
