//! What can go wrong, with the next step.

use std::path::PathBuf;

use gateway_modules_core::{
    cluster::ClusterError,
    installation::{NotInstallable, ValueError},
};

/// What can go wrong in an installation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The module does not say how its gateway is installed.
    #[error(transparent)]
    NotInstallable(#[from] NotInstallable),
    /// There is no Helm.
    #[error(
        "the program {program} cannot be run ({reason}): install Helm 3.8 or newer, or Helm 4 (https://helm.sh/docs/intro/install), \
         or say where it is with --helm; or use --backend flux or argo-cd, which need none"
    )]
    NoHelm {
        /// What was tried.
        program: PathBuf,
        /// Why it failed.
        reason: String,
    },
    /// It is another Helm than those that are known.
    #[error("{program} is Helm {found}: Helm 3 (3.8 or newer) or Helm 4 is needed; say where one is with --helm")]
    HelmVersion {
        /// The program.
        program: PathBuf,
        /// What it says.
        found: String,
    },
    /// A chart cannot be had.
    #[error("chart {chart} {version} is not in {place}: {message}\n  next: {next}")]
    ChartNotFound {
        /// Name.
        chart: String,
        /// Version.
        version: String,
        /// Registry, repository or folder.
        place: String,
        /// What Helm says.
        message: String,
        /// What to do.
        next: String,
    },
    /// The registry wants to know who asks.
    #[error(
        "{place} asks for credentials for chart {chart}: {message}\n  next: `helm registry login` (or name a Docker configuration \
         with --registry-config), then run this again"
    )]
    Credentials {
        /// Chart.
        chart: String,
        /// Registry or repository.
        place: String,
        /// What Helm says.
        message: String,
    },
    /// The registry does not answer.
    #[error(
        "{place} cannot be reached for chart {chart}: {message}\n  next: check the network, or take charts from elsewhere: \
         --registry oci://… (a mirror) or --charts FOLDER (archives that `helm pull` has made)"
    )]
    Unreachable {
        /// Chart.
        chart: String,
        /// Registry or repository.
        place: String,
        /// What Helm says.
        message: String,
    },
    /// A chart is another one than was asked for.
    #[error(
        "chart {chart} has digest {found}, and {wanted} was asked for: nothing is installed\n  next: find out who has changed it, \
         or correct --digest"
    )]
    Digest {
        /// Chart.
        chart: String,
        /// What it is.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// A value of the installation is not in the chart.
    #[error(
        "chart {chart} {version} has no value {}: this version of the chart is not the one that the module knows\n  next: install a \
         version that `gwm modules` lists, or say that the values are right with --allow-unknown-values", .paths.join(", ")
    )]
    UnknownValues {
        /// Chart.
        chart: String,
        /// Its version.
        version: String,
        /// Paths.
        paths: Vec<String>,
    },
    /// Values of the user have wrong types.
    #[error("{file}: {}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Values {
        /// Where they are from.
        file: String,
        /// What is wrong.
        errors: Vec<ValueError>,
    },
    /// The chart's own schema or templates refuse the values.
    #[error("chart {chart} refuses the values: {message}\n  next: correct them in the file that --values names")]
    ValuesRefused {
        /// Chart.
        chart: String,
        /// What Helm says.
        message: String,
    },
    /// Something of others is in the way, or something that must hold does not.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<Refusal>),
    /// A program or controller failed on the way.
    #[error("{action}: {message}\n  next: {next}")]
    Failed {
        /// What was tried.
        action: String,
        /// What it says.
        message: String,
        /// What to do.
        next: String,
    },
    /// All is installed, and does not work yet.
    #[error("not ready after {seconds} s:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), seconds = .1)]
    NotReady(Vec<Refusal>, u64),
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A file.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or an answer that does not say what it should.
    #[error("{place}: {message}")]
    Unreadable {
        /// File, or program.
        place: String,
        /// What is wrong.
        message: String,
    },
}

/// One reason why nothing is done, and what would work.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// What it is about.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// What would work.
    pub next: String,
}

impl Refusal {
    pub(crate) fn new(subject: impl Into<String>, reason: impl Into<String>, next: impl Into<String>) -> Self {
        Self { subject: subject.into(), reason: reason.into(), next: next.into() }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}\n  next: {}", self.subject, self.reason, self.next)
    }
}

impl InstallError {
    /// Stable code that the documentation links.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotInstallable(_) => "GWM0901",
            Self::NoHelm { .. } => "GWM0902",
            Self::HelmVersion { .. } => "GWM0903",
            Self::ChartNotFound { .. } => "GWM0904",
            Self::Credentials { .. } => "GWM0905",
            Self::Unreachable { .. } => "GWM0906",
            Self::Digest { .. } => "GWM0907",
            Self::UnknownValues { .. } => "GWM0908",
            Self::Values { .. } => "GWM0909",
            Self::ValuesRefused { .. } => "GWM0910",
            Self::Refused(_) => "GWM0911",
            Self::Failed { .. } => "GWM0912",
            Self::NotReady(..) => "GWM0913",
            Self::File { .. } => "GWM0914",
            Self::Unreadable { .. } => "GWM0915",
            Self::Cluster(error) => error.code(),
        }
    }
}
