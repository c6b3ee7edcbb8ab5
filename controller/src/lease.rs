//! Leader election: which Lease, and whether it is held.

use std::time::Duration;

use gateway_modules::core::cluster::Cluster;
use tokio::{sync::watch, task::JoinHandle};

/// Until the Lease is asked for again after an error.
const PAUSE: Duration = Duration::from_secs(1);

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
    /// How long it outlives a killed holder; it is renewed three times as often. Default 15 s.
    pub duration: Duration,
}

impl LeaseOptions {
    /// A Lease, held under an identity that no other instance has.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
        }
    }

    /// How long it outlives a killed holder.
    #[must_use]
    pub const fn with_duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }
}

/// A candidacy; it ends when all receivers of `leads` are dropped.
pub(crate) struct Candidacy {
    /// Whether this instance may write.
    pub(crate) leads: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Candidacy {
    pub(crate) fn start(cluster: Cluster, options: LeaseOptions) -> Self {
        let (sender, leads) = watch::channel(false);
        Self { leads, task: tokio::spawn(stand(cluster, options, sender)) }
    }

    /// Gives the Lease back.
    pub(crate) async fn end(self) {
        drop(self.leads);
        // A task that was aborted with its runtime leaves a Lease that ends by itself.
        let _ = self.task.await;
    }
}

/// Stands for election again and again.
async fn stand(cluster: Cluster, options: LeaseOptions, leads: watch::Sender<bool>) {
    let LeaseOptions { namespace, name, identity, duration } = options;
    loop {
        let acquired = tokio::select! {
            acquired = cluster.acquire_leadership(&namespace, &name, &identity, duration) => acquired,
            () = leads.closed() => return,
        };
        match acquired {
            Ok(leadership) => {
                leads.send_replace(true);
                tokio::select! {
                    () = leadership.lost() => {}
                    () = leads.closed() => {}
                }
                leads.send_replace(false);
                leadership.release().await;
            }
            Err(error) => tracing::warn!(lease = format!("{namespace}/{name}"), %error, "the Lease is not to be had"),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = leads.closed() => return,
        }
    }
}
