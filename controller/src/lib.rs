//! Keeps the data planes of a cluster as its DataPlanes and Components say.
//!
//! [`Reconciler`] brings one data plane in order, once: a platform service embeds it with its own watches. [`run`] is the
//! whole controller: watches, work queue, leader election, metrics. Both go the way of `gwm apply`, with the same ApplySet.

mod conditions;
mod drift;
pub mod events;
mod evidence;
mod http;
#[cfg(feature = "installation")]
mod installation;
mod installer;
mod isolate;
mod kubeconfig;
mod lease;
mod life;
mod managed;
mod metrics;
mod options;
mod probe;
pub mod rbac;
mod reconcile;
mod remote;
mod rights;
mod run;
mod site;
mod snapshot;
mod status;
mod stored;
mod tell;
mod upgraded;
mod watches;

pub use self::{
    conditions::CONDITIONS,
    installer::{InstallProblem, Installer, Order, Place, ProblemKind},
    lease::LeaseOptions,
    metrics::Metrics,
    options::{Outcome, ReconcileError, ReconcilerOptions},
    reconcile::Reconciler,
    run::{ControllerError, ControllerOptions, run},
    snapshot::Snapshot,
};

/// Finalizer of a DataPlane. A Component has none, so that no namespace ever waits for the controller.
pub const FINALIZER: &str = "gatewaymodules.dev/data-plane";
/// Field manager of status and finalizers.
pub const FIELD_MANAGER: &str = "gateway-modules-controller";
