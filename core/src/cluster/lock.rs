//! One apply at a time per set: a Lease beside the set's parent.
//!
//! A dead holder is told by a Lease that does not change for its whole duration, as seen by the waiting one: no clock of
//! another machine is trusted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::{client::Http, error::ClusterError};
use crate::{
    object::{GroupVersionKind, ObjectKey},
    plan::{LABEL_INSTALLATION, SetIdentity},
};

const LEASE: GroupVersionKind = GroupVersionKind::of("coordination.k8s.io", "v1", "Lease");
const MANAGER: &str = "gateway-modules-lock";

/// A held lock. It is renewed in the background, and given back when dropped.
pub(crate) struct Lock {
    set: String,
    held: watch::Receiver<bool>,
    release: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

/// How long a lock is waited for, and how long it outlives its holder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LockTimes {
    pub(crate) duration: Duration,
    pub(crate) wait: Duration,
    /// Between two looks at a lock of somebody else.
    pub(crate) poll: Duration,
}

impl LockTimes {
    /// Between two looks at the lock of an apply, which is soon given back.
    pub(crate) const POLL: Duration = Duration::from_millis(250);
}

impl Lock {
    pub(crate) async fn acquire(
        http: &Arc<Http>,
        set: &SetIdentity,
        holder: &str,
        times: LockTimes,
    ) -> Result<Self, ClusterError> {
        let key = ObjectKey { kind: LEASE, namespace: Some(set.namespace.clone()), name: set.name.clone() };
        let lease = |version: Option<&str>| {
            let now = format!("{:.6}", Timestamp::now());
            let mut lease = json!({
                "apiVersion": LEASE.api_version(), "kind": LEASE.kind,
                "metadata": {"name": set.name, "namespace": set.namespace, "labels": {LABEL_INSTALLATION: set.installation}},
                "spec": {"holderIdentity": holder, "leaseDurationSeconds": times.duration.as_secs().max(1),
                    "acquireTime": now, "renewTime": now},
            });
            if let Some(version) = version {
                lease["metadata"]["resourceVersion"] = version.into();
            }
            lease
        };
        let start = Instant::now();
        let mut seen: Option<(String, Instant)> = None;
        let mut absent = true;
        let held = loop {
            if absent {
                match http.create(&lease(None), MANAGER).await {
                    Ok(lease) => break lease,
                    Err(ClusterError::Appeared { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            let other = http.get(&key).await?;
            absent = other.is_none();
            let Some(other) = other else { continue };
            let version = other["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
            let outlives = Duration::from_secs(other["spec"]["leaseDurationSeconds"].as_u64().unwrap_or(1));
            match &seen {
                Some((known, since)) if *known == version => {
                    if since.elapsed() >= outlives {
                        match http.replace(&lease(Some(&version)), MANAGER).await {
                            Ok(lease) => break lease,
                            Err(ClusterError::Outdated { .. }) => seen = None,
                            Err(error) => return Err(error),
                        }
                    }
                }
                _ => seen = Some((version, Instant::now())),
            }
            if start.elapsed() >= times.wait.max(outlives + Duration::from_secs(2)) {
                return Err(ClusterError::Locked {
                    set: set.to_string(),
                    holder: other["spec"]["holderIdentity"].as_str().unwrap_or("somebody").to_owned(),
                    lease: format!("{}/{}", set.namespace, set.name),
                });
            }
            tokio::time::sleep(times.poll).await;
        };
        let (holds, flag) = watch::channel(true);
        let (release, released) = oneshot::channel();
        let task = tokio::spawn(keep(Arc::clone(http), key, held, times.duration, holds, released));
        Ok(Self { set: set.to_string(), held: flag, release: Some(release), task: Some(task) })
    }

    /// Whether the lock is still held.
    pub(crate) fn check(&self) -> Result<(), ClusterError> {
        if *self.held.borrow() { Ok(()) } else { Err(ClusterError::LockLost { set: self.set.clone() }) }
    }

    /// Waits until the lock is lost.
    pub(crate) async fn lost(&self) {
        // Without its keeper nobody renews it.
        let _ = self.held.clone().wait_for(|held| !*held).await;
    }

    /// Gives the lock back and waits until that is done.
    pub(crate) async fn release(mut self) {
        drop(self.release.take());
        if let Some(task) = self.task.take() {
            // A task that was aborted with its runtime leaves a Lease that ends by itself.
            let _ = task.await;
        }
    }
}

/// Renews until the sender is dropped (the holder is done, or was cancelled), then deletes the Lease.
async fn keep(
    http: Arc<Http>,
    key: ObjectKey,
    mut lease: Value,
    duration: Duration,
    holds: watch::Sender<bool>,
    mut released: oneshot::Receiver<()>,
) {
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            _ = &mut released => break,
            () = tokio::time::sleep(duration / 3) => {}
        }
        lease["spec"]["renewTime"] = format!("{:.6}", Timestamp::now()).into();
        // A request and its retries may last longer than the Lease, and then somebody else has it.
        let asked = Instant::now();
        let believed = duration * 9 / 10;
        let left = believed.saturating_sub(renewed.elapsed());
        match tokio::time::timeout(left, http.replace(&lease, MANAGER)).await {
            Ok(Ok(new)) => {
                lease = new;
                renewed = asked;
            }
            Ok(Err(ClusterError::Outdated { .. } | ClusterError::Server { code: 404, .. })) => {
                holds.send_replace(false);
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the lock could not be renewed"),
            Err(_) => {}
        }
        if renewed.elapsed() >= believed {
            tracing::warn!(lease = %key, "the lock is lost: it could not be renewed in time");
            holds.send_replace(false);
            return;
        }
    }
    let uid = lease["metadata"]["uid"].as_str();
    if let Err(error) = http.delete(&key, uid, false).await {
        tracing::warn!(%error, "the lock could not be given back; it ends by itself");
    }
}
