//! Single objects outside of data planes: what an installation of a gateway needs besides its charts.

use serde_json::Value;

use super::{
    Cluster, ClusterError,
    client::ApplyMode,
    lock::{Lock, LockTimes},
};
use crate::{
    names::{self, Name},
    object::{GroupVersionKind, ObjectKey},
    plan::SetIdentity,
};

/// Field manager of what is written here.
const MANAGER: &str = "gateway-modules-installation";

/// A held lock on the installation of one module; given back when dropped.
pub struct InstallationLock(Lock);

impl InstallationLock {
    /// Gives the lock back and waits until that is done.
    pub async fn release(self) {
        self.0.release().await;
    }
}

impl Cluster {
    /// Name of this installation of Gateway Modules, and the namespace of its records.
    pub fn identity(&self) -> (&str, &str) {
        (&self.options.installation, &self.options.namespace)
    }

    /// Major and minor version of the API server.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn server_version(&self) -> Result<(u32, u32), ClusterError> {
        let version = self.http.version().await?;
        let number = |field: &str| {
            let text = version[field].as_str().unwrap_or_default();
            // Some clouds write `27+`.
            text.trim_end_matches(|character: char| !character.is_ascii_digit()).parse().unwrap_or(0)
        };
        Ok((number("major"), number("minor")))
    }

    /// One object; `None` when it, or its kind, is not there.
    ///
    /// # Errors
    /// The cluster does not answer, or the object may not be read.
    pub async fn get_object(&self, key: &ObjectKey) -> Result<Option<Value>, ClusterError> {
        match self.http.get(key).await {
            Err(ClusterError::KindMissing { .. }) => Ok(None),
            other => other,
        }
    }

    /// All objects of a kind that have labels (a selector); empty when the kind is not there.
    ///
    /// # Errors
    /// The cluster does not answer, or the objects may not be read.
    pub async fn list_objects(&self, kind: &GroupVersionKind, labels: &str) -> Result<Vec<Value>, ClusterError> {
        match self.http.list(kind, None, labels, false).await {
            Err(ClusterError::KindMissing { .. }) => Ok(Vec::new()),
            other => other,
        }
    }

    /// Applies one object by server-side apply, with strict field validation.
    ///
    /// # Errors
    /// The server refuses it; [`ClusterError::Conflict`] names other managers of its fields, unless they are overruled.
    pub async fn apply_object(&self, object: &Value, overrule: bool, dry_run: bool) -> Result<Value, ClusterError> {
        self.http.apply(object, ApplyMode { manager: MANAGER, force: overrule, dry_run }).await
    }

    /// Deletes one object, if it is still the one with this uid; no error when it is not there.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn delete_object(&self, key: &ObjectKey, uid: Option<&str>) -> Result<(), ClusterError> {
        match self.http.delete(key, uid, false).await {
            Err(ClusterError::KindMissing { .. }) => Ok(()),
            other => other,
        }
    }

    /// One installation, upgrade or uninstallation of a module at a time.
    ///
    /// # Errors
    /// Somebody else holds the lock for longer than is waited.
    pub async fn lock_installation(&self, module: &str) -> Result<InstallationLock, ClusterError> {
        let set = SetIdentity {
            installation: self.options.installation.clone(),
            data_plane: None,
            namespace: self.options.namespace.clone(),
            name: names::injective(&["gwm-module", &self.options.installation, module], Name::LABEL),
        };
        let times =
            LockTimes { duration: self.options.lock_duration, wait: self.options.lock_wait, poll: LockTimes::POLL };
        Lock::acquire(&self.http, &set, &self.options.holder, times).await.map(InstallationLock)
    }
}
