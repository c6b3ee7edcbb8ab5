//! How a control plane is started.

use std::time::Duration;

use crate::Error;

/// Where the control plane runs. A suite does not need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Processes on this machine.
    Local,
    /// One container, through testcontainers. Needs the cargo feature `testcontainers` and a Docker daemon.
    Container,
}

impl Form {
    /// The variable that chooses the form for suites that leave it open: `local` (the default) or `container`.
    pub const VARIABLE: &'static str = "GATEWAY_MODULES_CONTROL_PLANE";

    /// What [`Form::VARIABLE`] says.
    ///
    /// # Errors
    /// When it says something else than `local` or `container`.
    pub fn from_env() -> Result<Self, Error> {
        match std::env::var(Self::VARIABLE).as_deref() {
            Err(_) | Ok("" | "local") => Ok(Self::Local),
            Ok("container") => Ok(Self::Container),
            Ok(other) => Err(Error::Form(format!("{} is {other:?}; it can be `local` or `container`", Self::VARIABLE))),
        }
    }
}

/// How a control plane is started; the defaults suit most suites.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) form: Option<Form>,
    pub(crate) api_server_args: Vec<String>,
    pub(crate) admission_plugins: Vec<String>,
    pub(crate) audit: bool,
    pub(crate) controller_manager: bool,
    pub(crate) timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            form: None,
            api_server_args: Vec::new(),
            admission_plugins: Vec::new(),
            audit: true,
            controller_manager: true,
            timeout: Duration::from_secs(90),
        }
    }
}

impl Options {
    /// Runs the control plane in this form, whatever [`Form::VARIABLE`] says.
    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        self.form = Some(form);
        self
    }

    /// One more argument of kube-apiserver, such as `--feature-gates=X=true`. A flag given here wins over ours.
    #[must_use]
    pub fn api_server_arg(mut self, argument: impl Into<String>) -> Self {
        self.api_server_args.push(argument.into());
        self
    }

    /// One more admission plugin, beside those that kube-apiserver enables by itself.
    #[must_use]
    pub fn admission_plugin(mut self, name: impl Into<String>) -> Self {
        self.admission_plugins.push(name.into());
        self
    }

    /// Whether writes and reads are recorded for [`ControlPlane::audit_log`](crate::ControlPlane::audit_log). On by default.
    #[must_use]
    pub fn audit(mut self, on: bool) -> Self {
        self.audit = on;
        self
    }

    /// Whether kube-controller-manager runs (garbage collection, namespaces, service accounts). On by default.
    #[must_use]
    pub fn controller_manager(mut self, on: bool) -> Self {
        self.controller_manager = on;
        self
    }

    /// How long the control plane may take to become ready; 90 s by default. Building it is not counted.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}
