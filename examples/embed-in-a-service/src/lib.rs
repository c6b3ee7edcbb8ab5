//! A platform service with an API of its own: teams say which components they expose, and see how that goes. Routing is the
//! library's: the service stores intents as objects of the cluster and runs the controller in its own process.
//!
//! | request | what it does |
//! |---|---|
//! | `PUT /components/{team}/{name}` | exposes a component; the body is the `spec` of a `Component` |
//! | `POST /components/{team}/{name}/plan` | what that would change in the cluster, as data; nothing is written |
//! | `POST /components/{team}/{name}/adopt` | takes over what somebody else has made and the component needs |
//! | `GET /components/{team}/{name}` | the component with its conditions and addresses |
//! | `GET /components/{team}/{name}/events` | its status as it changes (server-sent events) |
//! | `DELETE /components/{team}/{name}` | takes it away |

mod refusal;
mod store;

use std::convert::Infallible;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{Sse, sse::Event},
    routing::{get, post, put},
};
use futures::{Stream, StreamExt, stream};
use gateway_modules::{
    compile_installed,
    core::{
        cluster::{ApplyOptions, Cluster, ClusterOptions},
        plan::{Action, PlanOptions, Step},
    },
};
use kube::Client;
use kube_runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};

pub use self::{refusal::Refusal, store::Key};

/// What the handlers share.
#[derive(Clone)]
struct Service {
    client: Client,
    /// Where the records of the controller are.
    cluster: ClusterOptions,
}

/// The API over the caller's own client. `cluster` must be what the controller is told as well, so that plans and applies
/// are about the same records.
pub fn api(client: Client, cluster: ClusterOptions) -> Router {
    Router::new()
        .route("/components/{namespace}/{name}", put(expose).get(show).delete(withdraw))
        .route("/components/{namespace}/{name}/plan", post(plan))
        .route("/components/{namespace}/{name}/adopt", post(adopt))
        .route("/components/{namespace}/{name}/events", get(events))
        .with_state(Service { client, cluster })
}

type Names = Path<(String, String)>;

fn key(Path((namespace, name)): Names) -> Key {
    Key { namespace, name }
}

/// What clients see of a component.
fn shown(object: &kube::api::DynamicObject) -> Value {
    json!({
        "name": object.metadata.name,
        "generation": object.metadata.generation,
        "spec": object.data["spec"],
        "status": object.data.get("status").cloned().unwrap_or_default(),
    })
}

async fn expose(
    State(service): State<Service>,
    names: Names,
    Json(spec): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let key = key(names);
    // The loader says every mistake at once, with field and mend; the API server would say less.
    store::intent_with(&service.client, &key, &spec).await?;
    let object = store::put(&service.client, &key, &spec).await?;
    Ok((StatusCode::ACCEPTED, Json(shown(&object))))
}

async fn show(State(service): State<Service>, names: Names) -> Result<Json<Value>, Refusal> {
    let key = key(names);
    Ok(Json(shown(&store::components(&service.client, &key.namespace).get(&key.name).await?)))
}

async fn withdraw(State(service): State<Service>, names: Names) -> Result<StatusCode, Refusal> {
    store::delete(&service.client, &key(names)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// What the controller would do for the component, for each data plane: compiled for the gateway that is installed, planned
/// against what is live.
async fn plan(State(service): State<Service>, names: Names, Json(spec): Json<Value>) -> Result<Json<Value>, Refusal> {
    let key = key(names);
    let intent = store::intent_with(&service.client, &key, &spec).await?;
    let cluster = Cluster::new(service.client.clone(), service.cluster.clone());
    let registry = gateway_modules::registry()?;
    let mut plans = Vec::new();
    for chosen in compile_installed(&intent, &registry, &cluster, None, |_| true).await? {
        let release = chosen.compiled.compiled.into_release()?;
        let mut plan = cluster.plan(&release, PlanOptions::default()).await?;
        // A team sees what is its own.
        plan.steps.retain(|step| step.owners.contains(&key.to_string()));
        plans.push(json!({
            "dataPlane": release.data_plane,
            "module": release.module.name,
            "reason": chosen.target.selected.reason.to_string(),
            "plan": plan,
        }));
    }
    Ok(Json(json!({"plans": plans})))
}

/// Applies the stored intents once with the consent that the controller never gives by itself: objects and fields of others
/// that the component needs are taken over. Where others of the plane would take something over as well, it is refused.
async fn adopt(State(service): State<Service>, names: Names) -> Result<Json<Value>, Refusal> {
    let key = key(names);
    let stored = store::components(&service.client, &key.namespace).get(&key.name).await?;
    let intent = store::intent_with(&service.client, &key, &stored.data["spec"]).await?;
    let cluster = Cluster::new(service.client.clone(), service.cluster.clone());
    let registry = gateway_modules::registry()?;
    let mut writes = 0;
    for chosen in compile_installed(&intent, &registry, &cluster, None, |_| true).await? {
        let reason = chosen.target.selected.reason.to_string();
        let release = chosen.compiled.compiled.into_release()?;
        let plan = cluster.plan_chosen(&release, &reason, PlanOptions::default().with_adopt(true)).await?;
        let taken = |step: &&Step| matches!(step.action, Action::Adopt { .. }) || step.contested().next().is_some();
        let foreign = plan.steps.iter().filter(taken).filter(|step| !step.owners.contains(&key.to_string()));
        let foreign: Vec<String> = foreign.map(|step| step.key.to_string()).collect();
        if !foreign.is_empty() {
            return Err(Refusal::Foreign(foreign));
        }
        writes += cluster.apply_to_end(&plan, ApplyOptions::default()).await?.writes;
    }
    Ok(Json(json!({"writes": writes})))
}

/// The status of a component, each time that it changes, until it is deleted.
async fn events(
    State(service): State<Service>,
    names: Names,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let key = key(names);
    let api = store::components(&service.client, &key.namespace);
    api.get(&key.name).await?;
    let config = watcher::Config::default().fields(&format!("metadata.name={}", key.name));
    let changes = watcher(api, config).default_backoff().filter_map(async |event| match event {
        Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
            Some(Some(json!({"generation": object.metadata.generation, "status": object.data["status"]})))
        }
        Ok(watcher::Event::Delete(_)) => Some(None),
        // The watch recovers by itself.
        _ => None,
    });
    let mut last = Value::Null;
    let told = changes.take_while(|change| std::future::ready(change.is_some())).filter_map(move |change| {
        let change = change.filter(|change| *change != last);
        if let Some(change) = &change {
            last = change.clone();
        }
        std::future::ready(change)
    });
    let end = stream::once(std::future::ready(Event::default().event("deleted").data("")));
    let stream = told.map(|change| Event::default().event("status").data(change.to_string())).chain(end).map(Ok);
    Ok(Sse::new(stream))
}
