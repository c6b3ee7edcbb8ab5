//! The whole controller: watches, work queue, leader election, metrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, channel::mpsc};
use gateway_modules::{
    Registry,
    core::{intent::schema::DocumentKind, object::GroupVersionKind, plan::LABEL_PART_OF},
};
use kube::{
    Client, ResourceExt,
    api::Api,
    core::{DynamicObject, GroupVersionKind as Gvk, PartialObjectMeta},
    discovery::pinned_kind,
};
use kube_lease_manager::LeaseManagerBuilder;
use kube_runtime::{
    Controller, WatchStreamExt,
    controller::{Action, Config},
    reflector::{self, Store, store::Writer},
    watcher,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
};

use crate::{
    Metrics,
    reconcile::{ReconcileError, Reconciler, ReconcilerOptions, Snapshot},
    stored,
};

const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// Watched from the start; what else a plane emits is watched once it does.
const WATCHED: &[GroupVersionKind] =
    &[GroupVersionKind::of(GATEWAY_API, "v1", "GatewayClass"), GroupVersionKind::of(GATEWAY_API, "v1", "Gateway")];
/// Longest pause between two tries of a plane that fails.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Events within this time make one reconciliation.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// Data planes at a time.
const PLANES_AT_ONCE: u16 = 4;

/// Leader election: which Lease, and how long it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseOptions {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who holds it: a name that no other instance has, for example that of the pod.
    pub identity: String,
    /// How long it outlives a killed holder. Default 15 s.
    pub duration: Duration,
    /// How long before its end it is renewed. Default 5 s.
    pub grace: Duration,
}

impl LeaseOptions {
    /// A Lease, held under an identity that no other instance has.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
            grace: Duration::from_secs(5),
        }
    }

    /// How long it outlives a killed holder, and how long before its end it is renewed.
    #[must_use]
    pub const fn with_times(mut self, duration: Duration, grace: Duration) -> Self {
        self.duration = duration;
        self.grace = grace;
        self
    }
}

/// How a controller runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControllerOptions {
    /// How each plane is reconciled.
    pub reconciler: ReconcilerOptions,
    /// Leader election; absent: this instance is the only one.
    pub lease: Option<LeaseOptions>,
    /// Where `/metrics`, `/healthz` and `/readyz` answer; absent: nowhere.
    pub address: Option<SocketAddr>,
}

impl ControllerOptions {
    /// How each plane is reconciled.
    #[must_use]
    pub fn with_reconciler(mut self, reconciler: ReconcilerOptions) -> Self {
        self.reconciler = reconciler;
        self
    }

    /// Leader election.
    #[must_use]
    pub fn with_lease(mut self, lease: LeaseOptions) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Where `/metrics`, `/healthz` and `/readyz` answer.
    #[must_use]
    pub const fn with_address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }
}

/// Why a controller has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControllerError {
    /// The port for metrics is not to be had.
    #[error("listening on {address}: {source}; choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The Lease is not to be had.
    #[error("the Lease {lease}: {message}")]
    Lease {
        /// `namespace/name`.
        lease: String,
        /// What went wrong.
        message: String,
    },
}

/// Runs until `shutdown` is ready; then ends what is under way and gives the Lease back.
///
/// # Errors
/// The port or the Lease is not to be had. Whatever happens later is retried, told on the objects and counted.
pub async fn run(
    client: Client,
    registry: Registry,
    options: ControllerOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ControllerError> {
    let metrics = Arc::new(Metrics::default());
    let ready = Arc::new(AtomicBool::new(false));
    let mut background = JoinSet::new();
    if let Some(address) = options.address {
        let listen = |source| ControllerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        background.spawn(crate::http::serve(listener, Arc::clone(&metrics), Arc::clone(&ready)));
    }
    let reconciler =
        Arc::new(Reconciler::new(client.clone(), registry, options.reconciler.clone(), Arc::clone(&metrics)));
    let (stop, mut stopped) = watch::channel(false);
    let work = async {
        let Some(lease) = &options.lease else {
            ready.store(true, Ordering::Release);
            metrics.lead(true);
            lead(&client, &reconciler, stopped.clone()).await;
            return Ok(());
        };
        let failed =
            |message: String| ControllerError::Lease { lease: format!("{}/{}", lease.namespace, lease.name), message };
        let manager = LeaseManagerBuilder::new(client.clone(), lease.name.clone())
            .with_namespace(lease.namespace.clone())
            .with_identity(lease.identity.clone())
            .with_duration(lease.duration.as_secs().max(2))
            .with_grace(lease.grace.as_secs().max(1))
            .build()
            .await
            .map_err(|error| failed(error.to_string()))?;
        let (leads, keeper) = manager.watch().await;
        ready.store(true, Ordering::Release);
        campaign(&client, &reconciler, &metrics, leads, &mut stopped).await;
        // The receiver is gone: the keeper gives the Lease back.
        match keeper.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    };
    let signal = async {
        shutdown.await;
        tracing::info!("shutting down");
        let _ = stop.send(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = work => result,
        () = signal => Ok(()),
    }
}

/// Works while this instance leads, and waits while it does not.
async fn campaign(
    client: &Client,
    reconciler: &Arc<Reconciler>,
    metrics: &Arc<Metrics>,
    mut leads: watch::Receiver<bool>,
    stopped: &mut watch::Receiver<bool>,
) {
    while !*stopped.borrow() {
        if *leads.borrow_and_update() {
            tracing::info!("leading");
            metrics.lead(true);
            let (end, ended) = watch::channel(false);
            let watched = async {
                loop {
                    tokio::select! {
                        changed = leads.changed() => if changed.is_err() || !*leads.borrow() { break },
                        changed = stopped.changed() => if changed.is_err() || *stopped.borrow() { break },
                    }
                }
                let _ = end.send(true);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = lead(client, reconciler, ended) => {}
                () = watched => {}
            }
            metrics.lead(false);
            tracing::info!("no longer leading");
        } else {
            tokio::select! {
                changed = leads.changed() => if changed.is_err() { return },
                _ = stopped.changed() => {}
            }
        }
    }
}

/// What the reconciliations of one term share.
struct Term {
    reconciler: Arc<Reconciler>,
    client: Client,
    planes: Store<DynamicObject>,
    components: Store<DynamicObject>,
    failures: Mutex<BTreeMap<String, u32>>,
    watched: Mutex<BTreeSet<GroupVersionKind>>,
    tasks: Mutex<JoinSet<()>>,
    trigger: mpsc::UnboundedSender<()>,
}

/// Watches and reconciles until told to stop; what is under way is brought to its end.
async fn lead(client: &Client, reconciler: &Arc<Reconciler>, mut stopped: watch::Receiver<bool>) {
    let resource = stored::resource(DocumentKind::DataPlane);
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let controller = Controller::new_with(api, watcher::Config::default(), resource.clone());
    let (trigger, triggers) = mpsc::unbounded();

    let resource = stored::resource(DocumentKind::Component);
    let writer: Writer<DynamicObject> = Writer::new(resource.clone());
    let components = writer.as_reader();
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let stream = reflector::reflector(writer, watcher::watcher(api, watcher::Config::default())).default_backoff();
    let term = Arc::new(Term {
        reconciler: Arc::clone(reconciler),
        client: client.clone(),
        planes: controller.store(),
        components,
        failures: Mutex::default(),
        watched: Mutex::default(),
        tasks: Mutex::default(),
        trigger: trigger.clone(),
    });
    let changed = Arc::new(Notify::new());
    let notify = Arc::clone(&changed);
    term.spawn(async move {
        let mut stream = std::pin::pin!(stream.touched_objects());
        while let Some(event) = stream.next().await {
            match event {
                Ok(_) => {
                    let _ = trigger.unbounded_send(());
                    notify.notify_one();
                }
                Err(error) => tracing::warn!(%error, "the watch of Components is taken up again"),
            }
        }
    });
    // Without a plane nobody else tells the components. A task of its own: it waits for the watch above.
    let orphans = Arc::downgrade(&term);
    term.spawn(async move {
        loop {
            changed.notified().await;
            tokio::time::sleep(DEBOUNCE).await;
            let Some(term) = orphans.upgrade() else { return };
            if let Some(snapshot) = term.snapshot().await
                && snapshot.data_planes.is_empty()
                && let Err(error) = term.reconciler.tell_components(&snapshot).await
            {
                tracing::warn!(%error, "components could not be told");
            }
        }
    });
    for kind in WATCHED {
        term.watch(kind).await;
    }
    let config = Config::default().debounce(DEBOUNCE).concurrency(PLANES_AT_ONCE);
    let ended = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    controller
        .with_config(config)
        .reconcile_all_on(triggers)
        .graceful_shutdown_on(ended)
        .run(reconcile, pause, Arc::clone(&term))
        .for_each(|_| std::future::ready(()))
        .await;
    term.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
}

async fn reconcile(plane: Arc<DynamicObject>, term: Arc<Term>) -> Result<Action, ReconcileError> {
    let name = plane.name_any();
    // A snapshot that is not complete would delete what it does not show.
    let Some(snapshot) = term.snapshot().await else { return Ok(Action::requeue(Duration::from_secs(1))) };
    // Gateway API may have come with a gateway since the start.
    for kind in WATCHED {
        term.watch(kind).await;
    }
    let outcome = term.reconciler.reconcile(&name, &snapshot).await?;
    term.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    for kind in &outcome.kinds {
        term.watch(kind).await;
    }
    Ok(outcome.again.map_or_else(Action::await_change, Action::requeue))
}

/// Twice as long after each failure in a row.
fn pause(plane: Arc<DynamicObject>, _: &ReconcileError, term: Arc<Term>) -> Action {
    let mut failures = term.failures.lock().unwrap_or_else(PoisonError::into_inner);
    let count = failures.entry(plane.name_any()).or_default();
    *count = count.saturating_add(1);
    Action::requeue(Duration::from_secs(1).saturating_mul(1 << (*count - 1).min(9)).min(LONGEST_PAUSE))
}

impl Term {
    /// All intents, once both watches have shown everything.
    async fn snapshot(&self) -> Option<Snapshot> {
        self.components.wait_until_ready().await.ok()?;
        self.planes.wait_until_ready().await.ok()?;
        Some(Snapshot { data_planes: self.planes.state(), components: self.components.state() })
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    /// Watches our objects of a kind, and all GatewayClasses; metadata is enough, since status moves it too.
    async fn watch(&self, kind: &GroupVersionKind) {
        // Secrets of a cluster are not read for the sake of an event; the resync finds what was changed.
        if kind.kind == "Secret" || !self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(kind.clone()) {
            return;
        }
        let gvk = Gvk::gvk(&kind.group, &kind.version, &kind.kind);
        let resource = match pinned_kind(&self.client, &gvk).await {
            Ok((resource, _)) => resource,
            Err(error) => {
                tracing::debug!(kind = %kind.kind, %error, "not served yet, and not watched");
                self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(kind);
                return;
            }
        };
        let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(self.client.clone(), &resource);
        let config = if kind.kind == "GatewayClass" {
            watcher::Config::default()
        } else {
            watcher::Config::default().labels(LABEL_PART_OF)
        };
        let trigger = self.trigger.clone();
        let name = kind.kind.to_string();
        self.spawn(async move {
            let mut stream = std::pin::pin!(watcher::watcher(api, config).default_backoff().touched_objects());
            while let Some(event) = stream.next().await {
                match event {
                    Ok(_) => drop(trigger.unbounded_send(())),
                    Err(error) => tracing::warn!(kind = name, %error, "a watch is taken up again"),
                }
            }
        });
    }
}
