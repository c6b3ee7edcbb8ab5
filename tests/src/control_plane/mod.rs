//! A real control plane for tests: etcd, kube-apiserver and kube-controller-manager, without nodes.

pub mod audit;
pub mod binaries;
pub mod crds;
#[cfg(feature = "testcontainers")]
mod docker;
pub(crate) mod files;
pub(crate) mod inventory;
pub(crate) mod kubeconfig;
pub(crate) mod local;
pub mod loopback;
pub mod namespaces;
pub mod opening;
pub(crate) mod options;
pub(crate) mod pki;
pub(crate) mod process;
pub mod proxy;
pub(crate) mod ready;
pub mod schemas;
pub mod stand_in;

use std::path::Path;

use kube::Client;
use kube::config::Kubeconfig;

use crate::{AuditEntry, Error, Form, Options};

/// A running control plane; it ends, without a trace, when this is dropped or the process ends in any way.
///
/// Each has its own ports and its own state, so that any number can run at once.
pub struct ControlPlane {
    access: kubeconfig::Access,
    audit: bool,
    runs: Runs,
}

enum Runs {
    Local(local::Local),
    #[cfg(feature = "testcontainers")]
    Container(Box<docker::Container>),
}

impl ControlPlane {
    /// Starts a control plane and waits until it answers and its controllers work (about 8 s).
    ///
    /// The first start on a machine builds it, unless `KUBEBUILDER_ASSETS` names a folder with the programs; see
    /// [`binaries`].
    ///
    /// # Errors
    /// When the programs cannot be had, when a component ends or is not ready in time, and, in a container, when
    /// there is no Docker.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let form = match options.form {
            Some(form) => form,
            None => Form::from_env()?,
        };
        let (runs, access) = match form {
            Form::Local => {
                let (local, access) = local::Local::start(&options).await?;
                (Runs::Local(local), access)
            }
            #[cfg(feature = "testcontainers")]
            Form::Container => {
                let (container, access) = docker::Container::start(&options).await?;
                (Runs::Container(Box::new(container)), access)
            }
            #[cfg(not(feature = "testcontainers"))]
            Form::Container => {
                return Err(Error::Form(
                    "a control plane in a container needs the feature `testcontainers` of gateway-modules-testkit"
                        .to_owned(),
                ));
            }
        };
        Ok(Self { access, audit: options.audit, runs })
    }

    /// Where it runs.
    pub fn form(&self) -> Form {
        match &self.runs {
            Runs::Local(_) => Form::Local,
            #[cfg(feature = "testcontainers")]
            Runs::Container(_) => Form::Container,
        }
    }

    /// A kubeconfig with all rights. It holds its certificates and can be written to a file anywhere.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn kubeconfig(&self) -> Result<Kubeconfig, Error> {
        self.access.admin()
    }

    /// A kubeconfig of a user without rights of its own: bind roles to the user or the groups (RBAC).
    ///
    /// With more than one group the user is impersonated by the administrator.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<Kubeconfig, Error> {
        self.access.user(user, groups)
    }

    /// A client with all rights.
    ///
    /// # Errors
    /// When it cannot be made; no request is sent.
    pub async fn client(&self) -> Result<Client, Error> {
        kubeconfig::client(self.kubeconfig()?).await
    }

    /// A client of the user of [`kubeconfig_for`](Self::kubeconfig_for).
    ///
    /// # Errors
    /// When it cannot be made; no request is sent.
    pub async fn client_for(&self, user: &str, groups: &[&str]) -> Result<Client, Error> {
        kubeconfig::client(self.kubeconfig_for(user, groups)?).await
    }

    /// A client for [`StandIn`](crate::StandIn): all rights, and its reads are not in the audit log.
    ///
    /// # Errors
    /// When it cannot be made; no request is sent.
    pub async fn stand_in_client(&self) -> Result<Client, Error> {
        self.client_for(files::STAND_IN_USER, &[kubeconfig::MASTERS]).await
    }

    /// All requests so far, in the order in which they were answered: all writes with their bodies, and reads
    /// without, of everybody but Kubernetes itself.
    ///
    /// A suite remembers the length before what it looks at and takes the rest.
    ///
    /// # Errors
    /// When auditing is off or the log cannot be read.
    #[cfg_attr(
        not(feature = "testcontainers"),
        expect(clippy::unused_async, reason = "a container is asked over the network")
    )]
    pub async fn audit_log(&self) -> Result<Vec<AuditEntry>, Error> {
        if !self.audit {
            return Err(Error::AuditOff);
        }
        let text = match &self.runs {
            Runs::Local(local) => local.audit_text()?,
            #[cfg(feature = "testcontainers")]
            Runs::Container(container) => container.audit_text().await?,
        };
        audit::parse(&text)
    }

    /// The folder with the components' logs and state; a container has none on this machine.
    pub fn folder(&self) -> Option<&Path> {
        match &self.runs {
            Runs::Local(local) => Some(local.folder()),
            #[cfg(feature = "testcontainers")]
            Runs::Container(_) => None,
        }
    }

    /// Ends it and waits until nothing is left. Dropping does the same, on the current thread.
    ///
    /// # Errors
    /// When the task cannot be finished or, in a container, when Docker refuses.
    pub async fn stop(self) -> Result<(), Error> {
        match self.runs {
            Runs::Local(local) => Ok(tokio::task::spawn_blocking(move || drop(local)).await?),
            #[cfg(feature = "testcontainers")]
            Runs::Container(container) => container.stop().await,
        }
    }
}
