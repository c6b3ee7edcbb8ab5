//! Where a cluster with nodes comes from. Suites do not know which it is.

use std::path::PathBuf;

use kube::config::Kubeconfig;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Lab, artifacts};
use crate::{ControlPlane, Error};

/// A cluster for suites.
pub trait ClusterProvider: Send + Sync {
    /// What it is, for a person.
    fn describe(&self) -> String;

    /// With all rights.
    ///
    /// # Errors
    /// When it cannot be read.
    fn kubeconfig(&self) -> Result<Kubeconfig, Error>;

    /// Brings archives of images to its nodes, where that is in somebody's power here.
    ///
    /// # Errors
    /// When a node does not take one.
    fn import(&self, images: &[PathBuf]) -> Result<(), Error>;

    /// Puts the calling thread where the addresses of the cluster are reached.
    ///
    /// # Errors
    /// When it cannot.
    fn enter(&self) -> Result<(), Error>;

    /// Whether gateways that are in no public package registry run there, since its nodes can have their images.
    fn has_images_of_vendors(&self) -> bool {
        false
    }
}

/// Runs a future on a thread that is where the addresses of the cluster are reached, as are all threads that it starts.
///
/// # Errors
/// When that place cannot be entered. A panic of the future goes on in the caller.
pub fn run_in<W, F>(provider: &dyn ClusterProvider, work: W) -> Result<F::Output, Error>
where
    W: FnOnce() -> F + Send,
    F: Future<Output: Send>,
{
    let inside = || {
        provider.enter()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(Error::io("start", "a runtime"))?;
        Ok(runtime.block_on(work()))
    };
    std::thread::scope(|scope| match scope.spawn(inside).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// The local node.
impl ClusterProvider for Lab {
    fn describe(&self) -> String {
        format!("the lab `{}`", self.state.name())
    }

    fn kubeconfig(&self) -> Result<Kubeconfig, Error> {
        Self::kubeconfig(self)
    }

    fn import(&self, images: &[PathBuf]) -> Result<(), Error> {
        artifacts::import(&self.state.container_runtime(), images)
    }

    fn enter(&self) -> Result<(), Error> {
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&self.network), Some(LinkNameSpaceType::Network))
            .map_err(|errno| Error::io("enter", "the lab's network")(errno.into()))
    }
}

/// Any cluster that a kubeconfig names: kind, k3s, one of a cloud. Its Services must be reached from here, their cluster
/// addresses as well, and something must give Services of type LoadBalancer an address. Its nodes must have the lab's images
/// (`kind load image-archive`, `ctr --namespace k8s.io image import`, or a registry that they know).
#[derive(Clone, Debug)]
pub struct AnyCluster {
    /// The file; its current context is used.
    pub file: PathBuf,
}

impl ClusterProvider for AnyCluster {
    fn describe(&self) -> String {
        format!("the cluster of {}", self.file.display())
    }

    fn kubeconfig(&self) -> Result<Kubeconfig, Error> {
        Ok(Kubeconfig::read_from(&self.file)?)
    }

    fn import(&self, _: &[PathBuf]) -> Result<(), Error> {
        Ok(())
    }

    fn enter(&self) -> Result<(), Error> {
        Ok(())
    }

    fn has_images_of_vendors(&self) -> bool {
        true
    }
}

/// A control plane alone, in processes or in a container of testcontainers: for what needs no pods.
impl ClusterProvider for ControlPlane {
    fn describe(&self) -> String {
        "a control plane without nodes".to_owned()
    }

    fn kubeconfig(&self) -> Result<Kubeconfig, Error> {
        Self::kubeconfig(self)
    }

    fn import(&self, _: &[PathBuf]) -> Result<(), Error> {
        Err(Error::Lab("a control plane without nodes runs no images".to_owned()))
    }

    fn enter(&self) -> Result<(), Error> {
        Ok(())
    }
}
