//! How a reconciler works, what it is given and what it answers.

use std::{collections::BTreeSet, time::Duration};

use gateway_modules::core::{
    cluster::{ClusterError, ClusterOptions, Health},
    object::GroupVersionKind,
};

/// How a reconciler works.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconcilerOptions {
    /// Installation, namespace of the records, timeouts.
    pub cluster: ClusterOptions,
    /// How long an apply waits for the acknowledgement of a closed route. Default 10 s: the next reconciliation goes on.
    pub gate_timeout: Duration,
    /// When a ready plane is looked at again without an event. Default 5 minutes.
    pub resync: Duration,
    /// When a plane that is not ready is looked at again without an event. Default 10 s.
    pub retry: Duration,
}

impl Default for ReconcilerOptions {
    fn default() -> Self {
        Self {
            cluster: ClusterOptions::default(),
            gate_timeout: Duration::from_secs(10),
            resync: Duration::from_mins(5),
            retry: Duration::from_secs(10),
        }
    }
}

impl ReconcilerOptions {
    /// Installation, namespace of the records, timeouts.
    #[must_use]
    pub fn with_cluster(mut self, cluster: ClusterOptions) -> Self {
        self.cluster = cluster;
        self
    }

    /// When a plane is looked at again without an event: when it is ready, and when it is not.
    #[must_use]
    pub const fn with_intervals(mut self, resync: Duration, retry: Duration) -> Self {
        self.resync = resync;
        self.retry = retry;
        self
    }

    /// How long an apply waits for the acknowledgement of a closed route.
    #[must_use]
    pub const fn with_gate_timeout(mut self, timeout: Duration) -> Self {
        self.gate_timeout = timeout;
        self
    }
}

/// What a reconciliation has achieved.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// How the plane is; absent when it is gone, or cannot be served as it is written.
    pub health: Option<Health>,
    /// Writes that changed an object, deletions included; status is not counted.
    pub writes: usize,
    /// When to look again, if nothing happens before; absent when the plane is gone.
    pub again: Option<Duration>,
    /// Kinds that the plane has objects of: what to watch.
    pub kinds: BTreeSet<GroupVersionKind>,
}

/// Why a reconciliation has ended early. The next one goes on where it ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The pipeline's way to the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Reading or writing an intent object.
    #[error("{action}: {source}")]
    Kube {
        /// What was tried.
        action: String,
        /// What went wrong.
        source: Box<kube::Error>,
    },
    /// What is installed could not be read.
    #[error("{0}")]
    Discovery(String),
    /// A status that is no JSON, which no status is.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl ReconcileError {
    pub(crate) fn kube(action: String, error: kube::Error) -> Self {
        Self::Kube { action, source: Box::new(error) }
    }

    /// One word for programs, as a condition tells it.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Cluster(ClusterError::Unauthorized { .. }) => "CredentialsRejected",
            Self::Cluster(ClusterError::Unreachable { .. } | ClusterError::Timeout { .. }) => "ClusterUnreachable",
            _ => "ReconcileFailed",
        }
    }
}
