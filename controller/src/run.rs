//! The whole controller: watches, work queue, leader election, metrics.

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, channel::mpsc};
use gateway_modules::{
    Registry,
    core::{cluster::Cluster, intent::schema::DocumentKind},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Client, ResourceExt,
    api::Api,
    core::{DynamicObject, PartialObjectMeta},
};
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
    Installer, LeaseOptions, Metrics, ReconcileError, Reconciler, ReconcilerOptions, Snapshot, lease::Candidacy,
    remote::secret_of, site::Site, stored, watches::Watches,
};

/// Longest pause between two tries of a plane that fails.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Events within this time make one reconciliation.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// How long what is under way may take when told to stop: less than the 60 s of `deploy/`, so that the Lease is given back.
const GRACE: Duration = Duration::from_secs(40);

/// How a controller runs.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ControllerOptions {
    /// How each plane is reconciled.
    pub reconciler: ReconcilerOptions,
    /// Leader election; absent: this instance is the only one.
    pub lease: Option<LeaseOptions>,
    /// Where `/metrics`, `/healthz` and `/readyz` answer; absent: nowhere.
    pub address: Option<SocketAddr>,
    /// Who installs the gateways of planes that say `gateway.install: managed`; absent: nobody.
    pub installer: Option<Arc<dyn Installer>>,
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

    /// Who installs the gateways of planes that say `gateway.install: managed`.
    #[must_use]
    pub fn with_installer(mut self, installer: Arc<dyn Installer>) -> Self {
        self.installer = Some(installer);
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
}

/// Runs until `shutdown` is ready; then ends what is under way and gives the Lease back.
///
/// # Errors
/// The port is not to be had. Whatever happens later is retried, told on the objects and counted.
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
    let mut reconciler = Reconciler::new(client.clone(), registry, options.reconciler.clone(), Arc::clone(&metrics));
    reconciler.installer.clone_from(&options.installer);
    let reconciler = Arc::new(reconciler);
    let (stop, mut stopped) = watch::channel(false);
    let work = async {
        let Some(lease) = &options.lease else {
            ready.store(true, Ordering::Release);
            metrics.lead(true);
            lead(&client, &reconciler, stopped.clone()).await;
            return Ok(());
        };
        let cluster = Cluster::new(client.clone(), options.reconciler.cluster.clone());
        let candidacy = Candidacy::start(cluster, lease.clone());
        ready.store(true, Ordering::Release);
        campaign(&client, &reconciler, &metrics, candidacy.leads.clone(), &mut stopped).await;
        candidacy.end().await;
        Ok(())
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
            tokio::select! {
                // Told to stop: ends what is under way.
                () = lead(client, reconciler, stopped.clone()) => {}
                // Another instance may lead by now: what is under way ends where it is, before its next write.
                _ = leads.wait_for(|leads| !*leads) => {}
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
    /// By the name of the cluster's Secret; that of the controller's own is empty.
    watches: Mutex<BTreeMap<String, Arc<Watches>>>,
    secrets: AtomicBool,
    tasks: Mutex<JoinSet<()>>,
    trigger: mpsc::UnboundedSender<()>,
}

/// Watches and reconciles until told to stop; what is under way is brought to its end, if that can be had in time.
async fn lead(client: &Client, reconciler: &Arc<Reconciler>, stopped: watch::Receiver<bool>) {
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
        watches: Mutex::default(),
        secrets: AtomicBool::new(false),
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
    // Each cluster has its own places for work, so that one that does not answer keeps no other waiting.
    let controller = controller
        .with_config(Config::default().debounce(DEBOUNCE))
        .reconcile_all_on(triggers)
        .graceful_shutdown_on(told(stopped.clone()));
    let work = async {
        term.watches_of("", reconciler.local_site()).watch([]).await;
        let results = controller.run(reconcile, pause, Arc::clone(&term));
        results
            .for_each(|result| {
                // What went wrong in a reconciliation is told there; this is about the watch that starts them.
                if let Err(kube_runtime::controller::Error::QueueError(error)) = result {
                    tracing::warn!(%error, "the watch of DataPlanes is taken up again");
                }
                std::future::ready(())
            })
            .await;
    };
    let patience = async {
        told(stopped).await;
        // kube-runtime waits for the planes before it ends, and no longer asks for them: nothing is under way yet.
        if let Some(Ok(())) = term.planes.wait_until_ready().now_or_never() {
            tokio::time::sleep(GRACE).await;
            tracing::warn!("what was under way is given up; the next leader takes it up");
        }
    };
    tokio::select! {
        () = work => {}
        () = patience => {}
    }
    term.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
}

/// Waits until told to stop.
async fn told(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn reconcile(plane: Arc<DynamicObject>, term: Arc<Term>) -> Result<Action, ReconcileError> {
    let name = plane.name_any();
    // A snapshot that is not complete would delete what it does not show.
    let Some(snapshot) = term.snapshot().await else { return Ok(Action::requeue(Duration::from_secs(1))) };
    let secret = secret_of(&plane);
    if secret.is_some() {
        term.watch_secrets();
    }
    // Gateway API may have come with a gateway since the start.
    term.watches_of("", term.reconciler.local_site()).watch([]).await;
    let outcome = term.reconciler.reconcile(&name, &snapshot).await;
    let sites = term.reconciler.sites(&snapshot);
    term.watches.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| sites.contains_key(name));
    let key = secret.unwrap_or_default();
    if let Some(site) = sites.get(&key) {
        let kinds = outcome.as_ref().map(|outcome| outcome.kinds.clone()).unwrap_or_default();
        term.watches_of(&key, Arc::clone(site)).watch(&kinds).await;
    }
    let outcome = outcome?;
    term.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    Ok(outcome.again.map_or_else(Action::await_change, Action::requeue))
}

/// Twice as long after each failure in a row.
fn pause(plane: Arc<DynamicObject>, _: &ReconcileError, term: Arc<Term>) -> Action {
    let mut failures = term.failures.lock().unwrap_or_else(PoisonError::into_inner);
    let count = failures.entry(plane.name_any()).or_default();
    *count = count.saturating_add(1);
    Action::requeue(longer_pause(Duration::from_secs(1), *count))
}

/// The pause after some failures in a row, the first of which is followed by `first`.
pub(crate) fn longer_pause(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(9)).min(LONGEST_PAUSE)
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

    /// The watches on a cluster; new ones when its credentials have changed.
    fn watches_of(&self, secret: &str, site: Arc<Site>) -> Arc<Watches> {
        let mut all = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watches) = all.get(secret).filter(|watches| Arc::ptr_eq(&watches.site, &site)) {
            return Arc::clone(watches);
        }
        let watches = Arc::new(Watches::start(site, self.trigger.clone()));
        all.insert(secret.to_owned(), Arc::clone(&watches));
        watches
    }

    /// The kubeconfigs of other clusters, by metadata; from when the first plane needs one.
    fn watch_secrets(&self) {
        if self.secrets.swap(true, Ordering::AcqRel) {
            return;
        }
        let api: Api<PartialObjectMeta<Secret>> =
            Api::namespaced(self.client.clone(), &self.reconciler.options.cluster.namespace);
        let (trigger, planes) = (self.trigger.clone(), self.planes.clone());
        self.spawn(async move {
            let watch = watcher::watcher(api, watcher::Config::default());
            let mut stream = std::pin::pin!(watch.default_backoff().touched_objects());
            while let Some(event) = stream.next().await {
                match event {
                    Ok(secret) => {
                        let name = secret.name_any();
                        if planes.state().iter().any(|plane| secret_of(plane).as_ref() == Some(&name)) {
                            let _ = trigger.unbounded_send(());
                        }
                    }
                    Err(error) => tracing::warn!(%error, "the watch of kubeconfigs is taken up again"),
                }
            }
        });
    }
}
