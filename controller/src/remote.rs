//! The cluster that a data plane is in: the controller's own, or another one by a kubeconfig Secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use gateway_modules::core::intent::{ClusterReference, SecretReference};
use k8s_openapi::api::core::v1::Secret;
use kube::{api::Api, core::DynamicObject};

use crate::{
    ReconcileError, Reconciler, Snapshot, conditions::Verdict, kubeconfig, reconcile::Stop, site::Site, stored,
};

/// For one request to another cluster, and for one with its retries: who does not answer is told soon, and looked at again.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(20));

/// A cluster by its Secret.
#[derive(Debug)]
pub(crate) struct Remote {
    /// Version of the Secret that the client was made from.
    version: String,
    site: Arc<Site>,
}

/// Clusters besides the controller's own, by the name of their Secret.
pub(crate) type Remotes = BTreeMap<String, Remote>;

/// Name of the Secret of a plane's cluster, if it is another one than the controller's.
pub(crate) fn secret_of(object: &DynamicObject) -> Option<String> {
    match stored::cluster(object) {
        Ok(Some(ClusterReference::KubeconfigSecret(reference))) => Some(reference.name.to_string()),
        _ => None,
    }
}

fn given_up(reason: &'static str, message: String) -> Stop {
    Stop::GivenUp(Verdict::no(reason, message))
}

impl Reconciler {
    /// The cluster of a plane.
    pub(crate) async fn site(&self, object: &DynamicObject) -> Result<Arc<Site>, Stop> {
        match stored::cluster(object).map_err(|message| given_up("Invalid", message))? {
            None => Ok(Arc::clone(&self.local)),
            Some(ClusterReference::Context(_)) => {
                let message = "a context is one of a kubeconfig file; name a kubeconfigSecret";
                Err(given_up("Unsupported", message.to_owned()))
            }
            Some(ClusterReference::KubeconfigSecret(reference)) => self.remote(&reference).await,
        }
    }

    async fn remote(&self, reference: &SecretReference) -> Result<Arc<Site>, Stop> {
        let namespace = &self.options.cluster.namespace;
        let name = reference.name.to_string();
        if let Some(other) = reference.namespace.as_ref().filter(|other| other.as_str() != namespace) {
            let message = format!(
                "Secret {other}/{name}: kubeconfigs are read from the controller's own namespace, {namespace}, where no \
                 tenant writes; put it there and leave `namespace` out"
            );
            return Err(given_up("KubeconfigRefused", message));
        }
        let secrets: Api<Secret> = Api::namespaced(self.local.client.clone(), namespace);
        let secret = secrets
            .get_opt(&name)
            .await
            .map_err(|error| ReconcileError::kube(format!("Secret {namespace}/{name}"), error))?;
        let Some(secret) = secret else {
            self.remotes.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            let message =
                format!("Secret {namespace}/{name} with the kubeconfig of the cluster is not there: create it");
            return Err(given_up("KubeconfigMissing", message));
        };
        let version = format!(
            "{}/{}",
            secret.metadata.uid.unwrap_or_default(),
            secret.metadata.resource_version.unwrap_or_default()
        );
        if let Some(known) = self.remotes.lock().unwrap_or_else(PoisonError::into_inner).get(&name)
            && known.version == version
        {
            return Ok(Arc::clone(&known.site));
        }
        let data = secret.data.unwrap_or_default();
        let text = kubeconfig::KEYS.iter().find_map(|key| data.get(*key));
        let Some(text) = text.and_then(|text| std::str::from_utf8(&text.0).ok()) else {
            let message =
                format!("Secret {namespace}/{name} has no kubeconfig under the key {}", kubeconfig::KEYS.join(" or "));
            return Err(given_up("KubeconfigInvalid", message));
        };
        let client = kubeconfig::client(text)
            .await
            .map_err(|error| given_up(error.reason(), format!("Secret {namespace}/{name}: {error}")))?;
        let options = self.options.cluster.clone().with_timeouts(
            self.options.cluster.request_timeout.min(TIMEOUTS.0),
            self.options.cluster.total_timeout.min(TIMEOUTS.1),
        );
        let site = Arc::new(Site::new(client, options).with_kubeconfig(text));
        let remote = Remote { version, site: Arc::clone(&site) };
        self.remotes.lock().unwrap_or_else(PoisonError::into_inner).insert(name, remote);
        Ok(site)
    }

    pub(crate) fn local_site(&self) -> Arc<Site> {
        Arc::clone(&self.local)
    }

    /// The clusters of a snapshot's planes that could be spoken to, by the name of their Secret; the controller's own has none.
    pub(crate) fn sites(&self, snapshot: &Snapshot) -> BTreeMap<String, Arc<Site>> {
        let wanted: BTreeSet<String> = snapshot.data_planes.iter().filter_map(|object| secret_of(object)).collect();
        let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        remotes.retain(|name, _| wanted.contains(name));
        let mut sites: BTreeMap<String, Arc<Site>> =
            remotes.iter().map(|(name, remote)| (name.clone(), Arc::clone(&remote.site))).collect();
        sites.insert(String::new(), Arc::clone(&self.local));
        sites
    }
}
