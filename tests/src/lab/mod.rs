//! A real single-node Kubernetes cluster with real gateways, in namespaces of its own.
//!
//! `cargo xtask lab up` starts it; this attaches to it. Everything that runs for a lab is a child of one process in its
//! own process, mount and network namespace. When that process ends, in whatever way, the kernel ends all others and
//! takes mounts, interfaces and rules along; what remains is one folder and empty control groups, and both the next `up`
//! and `down` remove them. Labs see nothing of each other, so that all have the same addresses.

mod artifacts;
pub mod backends;
mod balancer;
pub mod certificates;
pub mod conformance;
pub mod gateways;
mod image;
pub mod manifests;
mod node;
mod preflight;
mod provider;
pub mod request;
mod state;
pub mod translation;

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr},
};

use kube::{Client, config::Kubeconfig};

pub use self::{
    artifacts::Artifacts,
    node::hold,
    preflight::{Check, preflight},
    provider::{AnyCluster, ClusterProvider, run_in},
    state::State,
};
use crate::{Error, control_plane::kubeconfig};

/// The node's address; TEST-NET-1, so that it is nobody's.
pub const NODE_ADDRESS: &str = "192.0.2.10";

/// Addresses of clients, for tests to send from; TEST-NET-2.
pub const CLIENT_ADDRESSES: [IpAddr; 3] = [test_net_2(10), test_net_2(11), test_net_2(200)];

const fn test_net_2(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

/// A running lab.
pub struct Lab {
    state: State,
    network: File,
}

impl Lab {
    /// The running lab of that name.
    ///
    /// # Errors
    /// When it does not run, or this user may not enter its network (root may).
    pub fn attach(name: &str) -> Result<Self, Error> {
        let state = State::of(name)?;
        let process = state.inside()?.ok_or_else(|| {
            Error::Lab(format!("lab `{name}` does not run: start it with `cargo xtask lab up --name {name}`"))
        })?;
        // The lab has a mount namespace of its own.
        let path = format!("/proc/{process}/root/run/netns/{}", node::CLIENT_NETWORK);
        let network = File::open(&path).map_err(Error::io("open", &path))?;
        Ok(Self { state, network })
    }

    /// Runs a future on a thread that is in the network of the lab's clients and only there, as are all threads that it
    /// starts.
    ///
    /// # Errors
    /// When the network cannot be entered. A panic of the future goes on in the caller.
    pub fn run<W, F>(&self, work: W) -> Result<F::Output, Error>
    where
        W: FnOnce() -> F + Send,
        F: Future<Output: Send>,
    {
        run_in(self, work)
    }

    /// With all rights.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn kubeconfig(&self) -> Result<Kubeconfig, Error> {
        Ok(Kubeconfig::read_from(self.state.kubeconfig())?)
    }
}

/// A client with all rights; to be made and used in [`Lab::run`].
///
/// # Errors
/// When it cannot be made; no request is sent.
pub async fn client(kubeconfig: Kubeconfig) -> Result<Client, Error> {
    kubeconfig::client(kubeconfig).await
}
