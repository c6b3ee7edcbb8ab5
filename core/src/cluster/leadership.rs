//! Leader election: the lock of an apply, for as long as a process lives.
//!
//! A dead leader is told by a Lease that does not change, as seen by the one that waits: no clock of another machine is
//! trusted, so that one that is wrong by an hour neither keeps everybody waiting nor makes two leaders.

use std::time::Duration;

use super::{
    Cluster, ClusterError,
    lock::{Lock, LockTimes},
};
use crate::plan::SetIdentity;

/// A held Lease. It is renewed in the background, and given back when dropped.
pub struct Leadership(Lock);

impl Leadership {
    /// Waits until the Lease is lost: somebody has taken or deleted it, or it could not be renewed in time.
    pub async fn lost(&self) {
        self.0.lost().await;
    }

    /// Gives the Lease back and waits until that is done.
    pub async fn release(self) {
        self.0.release().await;
    }
}

impl Cluster {
    /// Waits, for as long as it takes, until this process holds a Lease; `duration` is how long it outlives a killed holder.
    ///
    /// # Errors
    /// The cluster does not answer, or a right on Leases is missing.
    pub async fn acquire_leadership(
        &self,
        namespace: &str,
        name: &str,
        identity: &str,
        duration: Duration,
    ) -> Result<Leadership, ClusterError> {
        let lease = SetIdentity {
            installation: self.options.installation.clone(),
            data_plane: None,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let times = LockTimes { duration, wait: Duration::MAX, poll: duration / 8 };
        Lock::acquire(&self.http, &lease, identity, times).await.map(Leadership)
    }
}
