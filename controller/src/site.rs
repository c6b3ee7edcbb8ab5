//! A cluster that data planes are in, with what is known of its gateways.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use gateway_modules::{
    Registry, Target,
    core::{
        cluster::{Cluster, ClusterOptions},
        intent::GatewaySelection,
        module::{ClassesRead, Fact, InstalledDefinitions, ModuleVersion, ReadError},
        plan::Selection,
        select::SelectError,
    },
};
use kube::Client;
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

use crate::ReconcileError;

/// How long what is known of the CRDs is believed, where no watch tells that they change.
const CRDS_BELIEVED: Duration = Duration::from_secs(15);
/// How long the version of a gateway's controller is believed.
const VERSION_BELIEVED: Duration = Duration::from_secs(20);
/// Data planes at a time. Each cluster has its own: one that does not answer keeps no other waiting.
const PLANES_AT_ONCE: usize = 4;

/// A cluster that data planes are in, with what is known of its gateways.
pub(crate) struct Site {
    pub(crate) client: Client,
    pub(crate) cluster: Cluster,
    /// The kubeconfig, with its credentials, of a cluster that is not the controller's own.
    pub(crate) kubeconfig: Option<String>,
    definitions: Mutex<Option<(Instant, InstalledDefinitions)>>,
    /// By module.
    versions: Mutex<BTreeMap<String, (Instant, Fact<ModuleVersion>)>>,
    work: Semaphore,
    installing: Mutex<()>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").finish_non_exhaustive()
    }
}

impl Site {
    pub(crate) fn new(client: Client, options: ClusterOptions) -> Self {
        Self {
            cluster: Cluster::new(client.clone(), options),
            client,
            kubeconfig: None,
            definitions: Mutex::default(),
            versions: Mutex::default(),
            work: Semaphore::new(PLANES_AT_ONCE),
            installing: Mutex::default(),
        }
    }

    /// With the kubeconfig that the client was made from.
    pub(crate) fn with_kubeconfig(mut self, text: &str) -> Self {
        self.kubeconfig = Some(text.to_owned());
        self
    }

    /// Waits for one of the places for work on a plane of the cluster.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.work.acquire().await.ok()
    }

    /// Waits until no gateway is being installed or removed in the cluster.
    pub(crate) async fn installing(&self) -> MutexGuard<'_, ()> {
        self.installing.lock().await
    }

    /// A gateway has come or gone: what is known is read again.
    pub(crate) async fn forget(&self) {
        self.forget_definitions().await;
        self.versions.lock().await.clear();
    }

    /// The CRDs.
    pub(crate) async fn definitions(&self) -> Result<InstalledDefinitions, ReconcileError> {
        let mut known = self.definitions.lock().await;
        if let Some((since, definitions)) = known.as_ref()
            && since.elapsed() < CRDS_BELIEVED
        {
            return Ok(definitions.clone());
        }
        let definitions = InstalledDefinitions::read(&self.cluster.reader()).await.map_err(discovery)?;
        // Without Gateway API it is looked again at once: a gateway may be about to bring it.
        let believed = definitions.gateway_api().is_none_or(|served| !served.is_empty());
        *known = believed.then(|| (Instant::now(), definitions.clone()));
        Ok(definitions)
    }

    /// Somebody has changed a CRD: what is known is read again.
    pub(crate) async fn forget_definitions(&self) {
        *self.definitions.lock().await = None;
    }

    /// The GatewayClasses: few, and read each time, since a choice waits for their events.
    pub(crate) async fn classes(&self) -> Result<ClassesRead, ReconcileError> {
        ClassesRead::read(&self.cluster.reader()).await.map_err(discovery)
    }

    /// The gateway of a plane: by what is installed now and what was recorded.
    pub(crate) async fn target(
        &self,
        registry: &Registry,
        gateway: &GatewaySelection,
        classes: &ClassesRead,
        recorded: Option<&Selection>,
    ) -> Result<Result<Target, SelectError>, ReconcileError> {
        let mut target = match Target::choose(registry, classes, gateway, recorded) {
            Ok(target) => target,
            Err(error) => return Ok(Err(error)),
        };
        let mut versions = self.versions.lock().await;
        let known = versions.get(&target.selected.module).filter(|(since, _)| since.elapsed() < VERSION_BELIEVED);
        if let Some((_, version)) = known {
            target.version.clone_from(version);
        } else {
            target.read_version(registry, &self.cluster.reader()).await.map_err(discovery)?;
            versions.insert(target.selected.module.clone(), (Instant::now(), target.version.clone()));
        }
        Ok(Ok(target))
    }
}

fn discovery(error: ReadError) -> ReconcileError {
    ReconcileError::Discovery(error.to_string())
}
