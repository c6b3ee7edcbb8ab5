//! A stand-in for a gateway's controller: it writes the status that the controller would write, and nothing else.
//!
//! Some gateways cannot run where tests run, yet what is tested waits for their word: a policy that must be
//! acknowledged before a route opens, a Gateway that must be programmed. The stand-in gives that word by the
//! published rules of Gateway API and, for policies, in the vendor's dialect. **No traffic flows, and it is no proof
//! that the real gateway understands the objects.**
//!
//! What it does, on every object of its `GatewayClass`es, with `observedGeneration`:
//! - `GatewayClass`: `Accepted`, and `supportedFeatures` if told; makes the class if told, as kgateway does.
//! - `Gateway`: `Accepted`, `Programmed`, an address, and each listener with its kinds, its number of routes and
//!   whether its certificates exist.
//! - Routes (HTTP, gRPC, TLS, TCP, UDP), for each parent that is such a Gateway: `Accepted` (listener, namespace, kind),
//!   `ResolvedRefs` (`BackendNotFound`, `InvalidKind`, `RefNotPermitted` without a `ReferenceGrant`). A parent that
//!   does not exist gets no status.
//! - Policies of the kinds it is told, once a target exists and hangs on such a Gateway: `status.ancestors` with that
//!   Gateway. Before that the status is empty, and empty again when the last target goes.
//!
//! What it does not do: hostname intersection, listener conflicts, `ListenerSet`, policies that select targets by
//! label, checks of what is in a policy, filters with `ExtensionRef`.

mod conditions;
mod gateways;
mod policies;
mod routes;
mod snapshot;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use self::snapshot::{Item, Kinds, Snapshot};
use crate::Error;

const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// How often the kinds that are served are looked up again: definitions may be installed later.
const TURNS_PER_LOOKUP: usize = 20;

/// Whom a stand-in stands in for.
#[derive(Debug, Clone)]
pub struct StandInOptions {
    controller: String,
    classes: Vec<String>,
    makes_classes: bool,
    features: Vec<String>,
    address: String,
    policies: Vec<(String, String)>,
    policy_reason: String,
    attached: bool,
    backends: Vec<(String, String)>,
    interval: Duration,
}

impl StandInOptions {
    /// A controller by the name that `GatewayClass`es carry in `spec.controllerName`.
    ///
    /// It acts for all classes with that name, knows no policies, and looks every 100 ms.
    pub fn new(controller_name: impl Into<String>) -> Self {
        Self {
            controller: controller_name.into(),
            classes: Vec::new(),
            makes_classes: false,
            features: Vec::new(),
            // TEST-NET-3: nobody's.
            address: "203.0.113.10".to_owned(),
            policies: Vec::new(),
            policy_reason: "Accepted".to_owned(),
            attached: false,
            backends: Vec::new(),
            interval: Duration::from_millis(100),
        }
    }

    /// kgateway: makes its class `kgateway`, and says `Accepted` with reason `Valid`, and `Attached`, on its policies.
    pub fn kgateway() -> Self {
        let mut options =
            Self::new("kgateway.dev/kgateway").class("kgateway").backend_kind("gateway.kgateway.dev", "Backend");
        options.makes_classes = true;
        "Valid".clone_into(&mut options.policy_reason);
        options.attached = true;
        ["TrafficPolicy", "ListenerPolicy", "HTTPListenerPolicy", "BackendConfigPolicy"]
            .into_iter()
            .fold(options, |options, kind| options.policy_kind("gateway.kgateway.dev", kind))
            .policy_kind(GATEWAY_API, "BackendTLSPolicy")
    }

    /// Acts for this class and others that are named this way, and for no other.
    #[must_use]
    pub fn class(mut self, name: impl Into<String>) -> Self {
        self.classes.push(name.into());
        self
    }

    /// Makes the named classes where they are missing, as controllers do that bring their own.
    #[must_use]
    pub fn makes_classes(mut self, yes: bool) -> Self {
        self.makes_classes = yes;
        self
    }

    /// One more name in `supportedFeatures` of the classes, such as `HTTPRouteCORS`.
    #[must_use]
    pub fn supported_feature(mut self, name: impl Into<String>) -> Self {
        self.features.push(name.into());
        self
    }

    /// The IP address that Gateways get; one of TEST-NET-3 by default.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// One more kind of policy to answer: one with `spec.targetRefs` (or `spec.targetRef`) and `status.ancestors`.
    #[must_use]
    pub fn policy_kind(mut self, group: impl Into<String>, kind: impl Into<String>) -> Self {
        self.policies.push((group.into(), kind.into()));
        self
    }

    /// The reason of `Accepted=True` on policies; `Accepted` by default.
    #[must_use]
    pub fn policy_reason(mut self, reason: impl Into<String>) -> Self {
        self.policy_reason = reason.into();
        self
    }

    /// Whether policies get a second condition, `Attached`.
    #[must_use]
    pub fn attached(mut self, yes: bool) -> Self {
        self.attached = yes;
        self
    }

    /// One more kind of backend beside `Service`; its objects are taken to exist.
    #[must_use]
    pub fn backend_kind(mut self, group: impl Into<String>, kind: impl Into<String>) -> Self {
        self.backends.push((group.into(), kind.into()));
        self
    }

    /// The pause between two looks.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }
}

/// A running stand-in; it stops when this is dropped.
pub struct StandIn {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    /// Held during a look, so that an order is in force when its call returns. `true`: paused.
    turn: tokio::sync::Mutex<bool>,
    /// Kind, namespace and name of policies that are never answered.
    ignored: Mutex<BTreeSet<(String, String, String)>>,
}

impl StandIn {
    /// Starts a stand-in on the current Tokio runtime. It needs rights to read what it looks at and to write status;
    /// [`ControlPlane::stand_in_client`](crate::ControlPlane::stand_in_client) has them.
    ///
    /// It can start before the definitions are installed. Failed requests are logged as warnings (tracing) and made again.
    pub fn start(client: Client, options: StandInOptions) -> Self {
        let shared = Arc::new(Shared { turn: tokio::sync::Mutex::new(false), ignored: Mutex::default() });
        let task = tokio::spawn(run(client, options, Arc::clone(&shared)));
        Self { shared, task }
    }

    /// Writes nothing from now on, until [`resume`](Self::resume): a controller that is down.
    pub async fn pause(&self) {
        *self.shared.turn.lock().await = true;
    }

    /// Goes on after [`pause`](Self::pause).
    pub async fn resume(&self) {
        *self.shared.turn.lock().await = false;
    }

    /// Never answers this policy from now on; a status that it has already stays.
    pub async fn never_acknowledge(&self, kind: &str, namespace: &str, name: &str) {
        let _between_turns = self.shared.turn.lock().await;
        self.shared.ignored().insert((kind.to_owned(), namespace.to_owned(), name.to_owned()));
    }

    /// Answers this policy again.
    pub async fn acknowledge(&self, kind: &str, namespace: &str, name: &str) {
        let _between_turns = self.shared.turn.lock().await;
        self.shared.ignored().remove(&(kind.to_owned(), namespace.to_owned(), name.to_owned()));
    }

    /// Stops it and waits until it has.
    pub async fn stop(mut self) {
        self.task.abort();
        // Cancelled is what was asked for.
        let _ = (&mut self.task).await;
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn ignored(&self) -> std::sync::MutexGuard<'_, BTreeSet<(String, String, String)>> {
        self.ignored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(client: Client, options: StandInOptions, shared: Arc<Shared>) {
    let mut kinds = Kinds::default();
    for turn in 0_usize.. {
        {
            let paused = shared.turn.lock().await;
            if !*paused && let Err(error) = look(&client, &options, &shared, &mut kinds, turn).await {
                tracing::warn!(%error, controller = options.controller, "stand-in: looking again");
            }
        }
        tokio::time::sleep(options.interval).await;
    }
}

async fn look(
    client: &Client,
    options: &StandInOptions,
    shared: &Shared,
    kinds: &mut Kinds,
    turn: usize,
) -> Result<(), Error> {
    if turn.is_multiple_of(TURNS_PER_LOOKUP) || !kinds.has_gateways() {
        *kinds = Kinds::look_up(client, options).await?;
    }
    if !kinds.has_gateways() {
        return Ok(());
    }
    let snapshot = Snapshot::take(client, kinds, options).await?;
    if options.makes_classes {
        for name in snapshot.missing_classes(options) {
            make_class(client, kinds, options, name).await?;
        }
    }
    let ignored = shared.ignored().clone();
    for (item, status) in wanted(&snapshot, options, &ignored) {
        if item.status() != &status {
            write(client, item, status).await?;
        }
    }
    Ok(())
}

/// The status of every object that is this controller's business.
fn wanted<'a>(
    snapshot: &'a Snapshot,
    options: &StandInOptions,
    ignored: &BTreeSet<(String, String, String)>,
) -> Vec<(&'a Item, Value)> {
    let attachments = routes::attach(snapshot);
    let mut wanted = Vec::new();
    wanted.extend(snapshot.classes.iter().map(|class| (class, gateways::class_status(class, options))));
    wanted.extend(
        snapshot.gateways.iter().map(|gateway| (gateway, gateways::status(gateway, snapshot, &attachments, options))),
    );
    wanted.extend(routes::statuses(snapshot, &attachments, options));
    wanted.extend(
        snapshot
            .policies
            .iter()
            .filter(|policy| !ignored.contains(&policy.key()))
            .map(|policy| (policy, policies::status(policy, snapshot, &attachments, options))),
    );
    wanted
}

async fn make_class(client: &Client, kinds: &Kinds, options: &StandInOptions, name: &str) -> Result<(), Error> {
    let Some(resource) = kinds.resource(GATEWAY_API, "GatewayClass") else { return Ok(()) };
    let class = DynamicObject::new(name, resource).data(json!({"spec": {"controllerName": options.controller}}));
    let classes: Api<DynamicObject> = Api::all_with(client.clone(), resource);
    match classes.create(&PostParams::default(), &class).await {
        Ok(_) => Ok(()),
        // Somebody else was faster.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(Error::kube(format!("create GatewayClass {name}"))(error)),
    }
}

async fn write(client: &Client, item: &Item, status: Value) -> Result<(), Error> {
    let (_, namespace, name) = item.key();
    let api: Api<DynamicObject> = match namespace.as_str() {
        "" => Api::all_with(client.clone(), &item.resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &item.resource),
    };
    // The resource version makes an outdated answer fail instead of hiding a newer one.
    let patch = json!({"metadata": {"resourceVersion": item.object.metadata.resource_version}, "status": status});
    match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        // Changed or gone meanwhile: the next look sees it.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(Error::kube(format!("write the status of {} {namespace}/{name}", item.resource.kind))(error)),
    }
}
