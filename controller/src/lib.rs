//! Keeps the data planes of a cluster as its DataPlanes and Components say.
//!
//! [`Reconciler`] brings one data plane in order, once: a platform service embeds it with its own watches. [`run`] is the
//! whole controller: watches, work queue, leader election, metrics. Both go the way of `gwm apply`, with the same ApplySet.

mod conditions;
mod http;
mod isolate;
mod metrics;
pub mod rbac;
mod reconcile;
mod run;
mod status;
mod stored;

pub use self::{
    metrics::Metrics,
    reconcile::{Outcome, ReconcileError, Reconciler, ReconcilerOptions, Snapshot},
    run::{ControllerError, ControllerOptions, LeaseOptions, run},
};

/// Finalizer of a DataPlane. A Component has none, so that no namespace ever waits for the controller.
pub const FINALIZER: &str = "gatewaymodules.dev/data-plane";
/// Field manager of status and finalizers.
pub const FIELD_MANAGER: &str = "gateway-modules-controller";
