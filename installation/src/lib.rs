//! Gets gateways into clusters and out again: what a module declares ([`Installation`]) is planned against what is live,
//! carried out by Helm, Flux or Argo CD, recorded in the cluster, and taken away without a trace.
//!
//! Every step can be done twice; what was interrupted is mended by the next run.

mod argo_cd;
mod backend;
mod checks;
mod doctor;
mod error;
mod fetch;
mod flux;
mod helm;
mod helm_backend;
mod install;
mod managed;
mod manifests;
mod plan;
mod record;
mod settings;
mod uninstall;

use std::sync::Arc;

pub use gateway_modules_core::installation::Installation;

pub use self::{
    argo_cd::{ArgoCd, DEFAULT_NAMESPACE as ARGO_CD_NAMESPACE},
    backend::{Action, Backend, PlannedRelease, ReleaseState},
    checks::{CheckResult, State},
    doctor::{Condition, ModuleReport, doctor},
    error::{InstallError, Refusal},
    fetch::{ChartSettings, FetchedChart},
    flux::Flux,
    helm::{Helm, HelmOptions},
    install::{InstallOutcome, install},
    managed::{Keeper, Planes},
    manifests::manifests,
    plan::{InstallPlan, InstallRequest, PlannedDefinition, plan},
    record::{Phase, Record, RecordedRelease},
    settings::{BackendSettings, InstallSettings, ReadyBackend},
    uninstall::{Dependents, UninstallOutcome, dependents, depending, uninstall},
};

/// Told what happens, line by line.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;
