//! Why a command failed, and the exit code that scripts see.

use std::process::ExitCode;

use gateway_modules::core::diagnostic::Diagnostics;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Problems in the intent: refused when the intent is in order and the gateway cannot do it.
    #[error("{0}")]
    Diagnostics(Diagnostics),
    /// Something that must not be done, with what would work.
    #[error("{0}")]
    Refused(String),
    /// Anything else, with the next step.
    #[error("{0}")]
    Failed(String),
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Applied, and not yet serving.
    #[error("{0}")]
    NotReady(String),
}

impl Failure {
    /// 1 failed, 2 usage, 3 refused, 4 not ready.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Diagnostics(diagnostics) if diagnostics.only_refusals() => ExitCode::from(3),
            Self::Refused(_) => ExitCode::from(3),
            Self::Diagnostics(_) | Self::Failed(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::NotReady(_) => ExitCode::from(4),
        }
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Diagnostics(diagnostics)
    }
}

impl From<gateway_modules::RegistryError> for Failure {
    fn from(error: gateway_modules::RegistryError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<gateway_modules::core::cluster::ClusterError> for Failure {
    fn from(error: gateway_modules::core::cluster::ClusterError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<gateway_modules_installation::InstallError> for Failure {
    fn from(error: gateway_modules_installation::InstallError) -> Self {
        use gateway_modules_installation::InstallError as E;
        let text = format!("[{}] {error}", error.code());
        match error {
            E::NotInstallable(_) | E::Refused(_) | E::Digest { .. } | E::UnknownValues { .. } => Self::Refused(text),
            E::Values { .. } | E::ValuesRefused { .. } => Self::Usage(text),
            E::NotReady(..) => Self::NotReady(text),
            _ => Self::Failed(text),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
