//! Who installs the gateways of planes that say `gateway.install: managed`: a hook, so that a service which installs gateways by itself
//! carries nothing of it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use gateway_modules::core::{
    cluster::Cluster,
    installation::{Needs, Standing},
    module::GatewayModule,
};

/// A cluster in which gateways are installed.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Place<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Its kubeconfig, with its credentials, where it is not the controller's own cluster: for programs.
    pub kubeconfig: Option<&'a str>,
}

impl<'a> Place<'a> {
    pub(crate) const fn new(cluster: &'a Cluster, kubeconfig: Option<&'a str>) -> Self {
        Self { cluster, kubeconfig }
    }
}

/// What the managed planes of a cluster ask of one module's gateway.
#[derive(Clone)]
#[non_exhaustive]
pub struct Order {
    /// The module.
    pub module: Arc<dyn GatewayModule>,
    /// The plane in whose name it is asked.
    pub plane: String,
    /// All planes that may be on it, with what each needs; absent: it is not known yet, and what is recorded of it stays.
    pub planes: BTreeMap<String, Option<Needs>>,
}

/// Why an installation is not as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct InstallProblem {
    /// What kind of problem.
    pub kind: ProblemKind,
    /// Why, with the next step.
    pub message: String,
}

impl InstallProblem {
    /// A problem.
    pub fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// What kind of problem an installation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// Something stands in the way; nothing was changed.
    Refused,
    /// A right is missing.
    RightMissing,
    /// A step failed; the next try goes on.
    Failed,
}

impl ProblemKind {
    /// One word for programs, as the condition `Installed` tells it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Refused => "Refused",
            Self::RightMissing => "RightMissing",
            Self::Failed => "Failed",
        }
    }
}

/// Installs gateways, one for all planes of a cluster that are on a module. Never called twice at once for one cluster; a call is
/// dropped where it is when the controller no longer leads.
#[async_trait]
pub trait Installer: fmt::Debug + Send + Sync {
    /// The version that is recorded as installed.
    ///
    /// # Errors
    /// The record cannot be read.
    async fn version(&self, place: Place<'_>, module: &dyn GatewayModule) -> Result<Option<String>, InstallProblem>;

    /// The module whose record names a plane, of these.
    ///
    /// # Errors
    /// A record cannot be read.
    async fn module_of(
        &self,
        place: Place<'_>,
        modules: &[Arc<dyn GatewayModule>],
        plane: &str,
    ) -> Result<Option<String>, InstallProblem>;

    /// How the installation is. Writes nothing and runs no program: it is asked at each look at a plane.
    ///
    /// # Errors
    /// It cannot be found out.
    async fn standing(&self, place: Place<'_>, order: &Order) -> Result<Standing, InstallProblem>;

    /// Brings it in order. Nobody waits until the gateway works.
    ///
    /// # Errors
    /// It is refused, or a step fails.
    async fn keep(&self, place: Place<'_>, order: &Order) -> Result<(), InstallProblem>;

    /// A plane has gone: takes away what was installed and is used by none of the planes that are `left`, each with the module that
    /// it names. Gives the modules whose gateways went.
    ///
    /// # Errors
    /// Something else depends on one of them, or a step fails.
    async fn leave(
        &self,
        place: Place<'_>,
        modules: &[Arc<dyn GatewayModule>],
        plane: &str,
        left: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<String>, InstallProblem>;
}
