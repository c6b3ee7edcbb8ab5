//! Everything that can go wrong in the test kit, with what to do about it.

use std::path::PathBuf;

/// An error of the test kit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read, written or made.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason that the system gave.
        source: std::io::Error,
    },
    /// A file of expected objects, or the CRDs for them, could not be understood.
    #[error("{path}: {reason}", path = path.display())]
    ExpectedObjects {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// The reason that the system gave.
        source: std::io::Error,
    },
    /// `KUBEBUILDER_ASSETS` names a folder without one of the programs.
    #[error(
        "{name} is not in {folder}, the folder that KUBEBUILDER_ASSETS names: put it there, or unset the variable \
         to have it built from source{hint}",
        folder = folder.display()
    )]
    MissingBinary {
        /// The program that was looked for.
        name: &'static str,
        /// The folder that was looked in.
        folder: PathBuf,
        /// A further way out, or nothing.
        hint: &'static str,
    },
    /// There is no folder to keep the built programs in.
    #[error("no cache folder: set GATEWAY_MODULES_CACHE, XDG_CACHE_HOME or HOME")]
    NoCacheFolder,
    /// The control plane has to be built and there is no Go tool chain.
    #[error(
        "cannot run `go build` ({source}): install Go 1.26 or newer to have the control plane built, or set \
         KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kube-controller-manager"
    )]
    NoGo {
        /// The reason that the system gave.
        source: std::io::Error,
    },
    /// `go build` failed.
    #[error("`go build` failed in {folder}; its last lines:\n{log}", folder = folder.display())]
    GoBuild {
        /// The folder with the sources, kept for a look.
        folder: PathBuf,
        /// The end of its output.
        log: String,
    },
    /// A cluster is not as it was.
    #[error("the cluster is not as it was before:\n{0}")]
    Different(String),
    /// A Go module cannot be had.
    #[error("cannot download the Go module {module}: {reason}")]
    GoModule {
        /// Module and version.
        module: String,
        /// What Go says.
        reason: String,
    },
    /// A key or certificate could not be made.
    #[error("cannot make the certificates of the control plane: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A component ended while the control plane was starting.
    #[error("{component} ended ({status}) before the control plane was ready; its last lines:\n{log}")]
    Exited {
        /// The component.
        component: &'static str,
        /// How it ended.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// The control plane did not become ready in time.
    #[error(
        "the control plane was not ready after {seconds} s, still waiting for {waiting_for} (last answer: {last}): \
         give it longer with Options::timeout if the machine is busy; the last lines of the log:\n{log}"
    )]
    NotReady {
        /// What was waited for.
        waiting_for: &'static str,
        /// How long was waited, in seconds.
        seconds: u64,
        /// The last answer or error.
        last: String,
        /// The end of the component's log.
        log: String,
    },
    /// A kubeconfig could not be made or used.
    #[error("cannot use the kubeconfig of the control plane: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// A request to the API server failed.
    #[error("cannot {action}: {source}")]
    Kube {
        /// What was tried.
        action: String,
        /// The API server's or the client's reason.
        source: Box<kube::Error>,
    },
    /// A manifest is not what was expected.
    #[error("{path}: {reason}", path = path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong and what belongs there.
        reason: String,
    },
    /// Custom resource definitions were applied and are not served.
    #[error("not established after {seconds} s: {names}; `kubectl describe crd` tells the conditions")]
    NotEstablished {
        /// The names, separated by commas.
        names: String,
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// No folder with custom resource definitions was found where tests must not be skipped.
    #[error("{0}")]
    NoSchemas(String),
    /// The audit log was asked for and is off.
    #[error("this control plane writes no audit log: start it with Options::audit(true)")]
    AuditOff,
    /// A line of the audit log is no audit event.
    #[error("line {line} of the audit log cannot be read: {source}")]
    Audit {
        /// The line, counted from 1.
        line: usize,
        /// The parser's reason.
        source: serde_json::Error,
    },
    /// The environment asks for a form of the control plane that does not exist or was not compiled in.
    #[error("{0}")]
    Form(String),
    /// Docker refused or cannot be reached.
    #[error(
        "cannot {action}: {reason}; a Docker daemon must be reachable through DOCKER_HOST \
         (in this repository `cargo xtask docker up` starts a private one)"
    )]
    Docker {
        /// What was tried.
        action: &'static str,
        /// Docker's reason.
        reason: String,
    },
    /// A lab cannot be made, started or used; says by itself why.
    #[error("{0}")]
    Lab(String),
    /// A task of the test kit was cancelled or panicked.
    #[error("a task of the test kit did not finish: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// For `map_err` on requests; the action completes "cannot …".
    pub(crate) fn kube(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Kube { action, source: Box::new(source) }
    }
}
