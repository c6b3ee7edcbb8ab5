//! Looks whether what an installation declares holds in a cluster.

use gateway_modules_core::{
    cluster::{Cluster, ClusterError},
    installation::{Check, Test},
    object::{GroupVersionKind, ObjectKey},
};
use serde::Serialize;
use serde_json::Value;

use crate::Refusal;

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It holds.
    Holds,
    /// It cannot be known.
    Unknown,
    /// It does not hold.
    Fails,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// What is checked.
    pub name: &'static str,
    /// What was found.
    pub state: State,
    /// Whether nothing works without it.
    pub required: bool,
    /// In words.
    pub message: String,
    /// What to do when it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl CheckResult {
    /// Whether it stands in the way.
    pub fn blocks(&self) -> bool {
        self.required && self.state == State::Fails
    }

    pub(crate) fn refusal(&self) -> Refusal {
        Refusal::new(self.name, &self.message, self.next.clone().unwrap_or_default())
    }
}

const CRD: GroupVersionKind = GroupVersionKind::of("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
pub(crate) const GATEWAY_CLASS: GroupVersionKind =
    GroupVersionKind::of("gateway.networking.k8s.io", "v1", "GatewayClass");
const SERVICE: GroupVersionKind = GroupVersionKind::of("", "v1", "Service");

/// Looks at all checks of a list.
pub(crate) async fn evaluate(cluster: &Cluster, checks: &[Check]) -> Result<Vec<CheckResult>, ClusterError> {
    let mut results = Vec::new();
    for check in checks {
        let (state, found) = match look(cluster, &check.test).await {
            Ok(found) => found,
            Err(ClusterError::Forbidden { .. }) => (State::Unknown, "what is looked at may not be read".to_owned()),
            Err(error) => return Err(error),
        };
        let message = if state == State::Holds { found } else { format!("{found}: {}", check.reason) };
        let next = (state != State::Holds).then(|| check.next.clone());
        results.push(CheckResult { name: check.name, state, required: check.required, message, next });
    }
    Ok(results)
}

async fn look(cluster: &Cluster, test: &Test) -> Result<(State, String), ClusterError> {
    let holds = |holds: bool| if holds { State::Holds } else { State::Fails };
    Ok(match test {
        Test::KubernetesAtLeast { minor } => {
            let (major, found) = cluster.server_version().await?;
            (holds(major > 1 || found >= *minor), format!("the API server is Kubernetes {major}.{found}"))
        }
        Test::Absent { api_version, kind, namespace, name } => {
            let key = key(api_version, kind, namespace.as_deref(), name);
            let there = cluster.get_object(&key).await?.is_some();
            (holds(!there), format!("{key} is {}", if there { "there" } else { "not there" }))
        }
        Test::Field { api_version, kind, namespace, name, pointer, value } => {
            let key = key(api_version, kind, namespace.as_deref(), name);
            let object = cluster.get_object(&key).await?;
            let found = object.as_ref().and_then(|object| object.pointer(pointer));
            let text = found.map(|found| found.as_str().map_or_else(|| found.to_string(), ToOwned::to_owned));
            let fits = text.as_deref() == Some(*value);
            (holds(fits), format!("{key} has {pointer} {}", text.unwrap_or_else(|| "not set".to_owned())))
        }
        Test::LoadBalancers => load_balancers(&cluster.list_objects(&SERVICE, "").await?),
        Test::ClassAccepted { name } => {
            let key = ObjectKey { kind: GATEWAY_CLASS, namespace: None, name: name.clone() };
            match cluster.get_object(&key).await? {
                None => (State::Fails, format!("{key} is not there")),
                Some(class) => match accepted(&class) {
                    Some(true) => (State::Holds, format!("{key} is accepted")),
                    Some(false) => (State::Fails, format!("{key} is not accepted")),
                    None => (State::Fails, format!("{key} has no answer from a controller")),
                },
            }
        }
        Test::Ready { kind, namespace, name } => {
            let key = key("apps/v1", kind, Some(namespace), name);
            match cluster.get_object(&key).await? {
                None => (State::Fails, format!("{key} is not there")),
                Some(object) => {
                    let (ready, text) = ready(&object);
                    (holds(ready), format!("{key}: {text}"))
                }
            }
        }
        Test::Served { names } => {
            let mut missing = Vec::new();
            for name in *names {
                let key = ObjectKey { kind: CRD, namespace: None, name: (*name).to_owned() };
                let definition = cluster.get_object(&key).await?;
                if definition.is_none_or(|definition| condition(&definition, "Established") != Some(true)) {
                    missing.push(*name);
                }
            }
            let text = if missing.is_empty() {
                format!("{} definitions are served", names.len())
            } else {
                format!("not served: {}", missing.join(", "))
            };
            (holds(missing.is_empty()), text)
        }
        other => (State::Unknown, format!("this program does not know how to look at {other:?}")),
    })
}

pub(crate) fn key(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey {
        kind: GroupVersionKind::from_api_version(api_version, kind),
        namespace: namespace.map(ToOwned::to_owned),
        name: name.to_owned(),
    }
}

fn load_balancers(services: &[Value]) -> (State, String) {
    let wanted: Vec<&Value> = services.iter().filter(|service| service["spec"]["type"] == "LoadBalancer").collect();
    let served = wanted.iter().any(|service| {
        service.pointer("/status/loadBalancer/ingress").and_then(Value::as_array).is_some_and(|list| !list.is_empty())
    });
    match (wanted.len(), served) {
        (0, _) => (State::Unknown, "no Service of type LoadBalancer is there to tell".to_owned()),
        (_, true) => (State::Holds, "a Service of type LoadBalancer has an address".to_owned()),
        (count, false) => (State::Fails, format!("none of {count} Services of type LoadBalancer has an address")),
    }
}

fn condition(object: &Value, kind: &str) -> Option<bool> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind).map(|condition| condition["status"] == "True")
}

/// Whether a controller has accepted a class; `None` when none has answered. The API server itself writes `Unknown`.
pub(crate) fn accepted(class: &Value) -> Option<bool> {
    let conditions = class.pointer("/status/conditions")?.as_array()?;
    let accepted = conditions.iter().find(|condition| condition["type"] == "Accepted")?;
    match accepted["status"].as_str()? {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

fn ready(object: &Value) -> (bool, String) {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64);
    let (wanted, ready) = if object["kind"] == "DaemonSet" {
        (number("/status/desiredNumberScheduled"), number("/status/numberReady"))
    } else {
        (Some(number("/spec/replicas").unwrap_or(1)), number("/status/readyReplicas"))
    };
    let observed = number("/status/observedGeneration") >= number("/metadata/generation");
    let (wanted, ready) = (wanted.unwrap_or(0), ready.unwrap_or(0));
    // A DaemonSet without nodes is as ready as it can be only once its controller has seen it.
    (
        observed && ready >= wanted && number("/status/observedGeneration").is_some(),
        format!("{ready} of {wanted} ready"),
    )
}
