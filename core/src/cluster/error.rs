//! What can go wrong between us and a Kubernetes API server, each with its mend.

use std::time::Duration;

use crate::plan::PlanError;

/// What can go wrong between us and a Kubernetes API server. No message holds content of a Secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// No connection.
    #[error(
        "the API server cannot be reached ({action}): {message}; check the address in the kubeconfig and the network"
    )]
    Unreachable {
        /// What was tried.
        action: String,
        /// What went wrong.
        message: String,
    },
    /// The API server did not answer in time.
    #[error("{action}: no answer after {} s; the API server is slow or the network drops packets: try again, or allow more \
             time", after.as_secs())]
    Timeout {
        /// What was tried.
        action: String,
        /// How long.
        after: Duration,
    },
    /// The credentials are not accepted.
    #[error(
        "the API server does not accept the credentials (401, {action}): log in again, or use another kubeconfig context"
    )]
    Unauthorized {
        /// What was tried.
        action: String,
    },
    /// The credentials are accepted and not sufficient.
    #[error(
        "not allowed: {verb} {resource}{}; add the rule `apiGroups: [{group:?}], resources: [{resource:?}], verbs: \
         [{verb:?}]` to the {} of this user{}",
        namespace.as_ref().map(|name| format!(" in namespace {name}")).unwrap_or_default(),
        if namespace.is_some() { "Role" } else { "ClusterRole" },
        if message.is_empty() { String::new() } else { format!(" ({message})") }
    )]
    Forbidden {
        /// Verb of the rule.
        verb: &'static str,
        /// API group of the rule.
        group: String,
        /// Resource of the rule.
        resource: String,
        /// Namespace; absent for cluster-scoped resources and for all namespaces.
        namespace: Option<String>,
        /// What the server says.
        message: String,
    },
    /// The API server does not know the kind.
    #[error("{kind} is not served by the cluster: {hint}")]
    KindMissing {
        /// `Kind.version.group`.
        kind: String,
        /// Which CRDs to install.
        hint: String,
    },
    /// The namespace is not there.
    #[error("namespace {namespace} is not there: create it, or name another one")]
    NamespaceMissing {
        /// The namespace.
        namespace: String,
    },
    /// The API server does not know a field (strict field validation).
    #[error(
        "{object}: {message}; the CRDs in the cluster are older than, or of another channel than, those that the release \
         was compiled for"
    )]
    FieldUnknown {
        /// The object.
        object: String,
        /// What the server says.
        message: String,
    },
    /// The API server refuses the object: schema, CEL rule or admission webhook.
    #[error("{object} is refused by the API server: {message}")]
    Invalid {
        /// The object.
        object: String,
        /// What the server says.
        message: String,
    },
    /// Another field manager owns a field.
    #[error(
        "{object}: {}; let the other manager give the field up, or take it over with `--adopt`",
        owners.iter().map(|(manager, field)| format!("`{field}` is owned by {manager}")).collect::<Vec<_>>().join(", ")
    )]
    Conflict {
        /// The object.
        object: String,
        /// Field manager and field.
        owners: Vec<(String, String)>,
    },
    /// The object was changed between reading and writing.
    #[error("{object} was changed by somebody else in the meantime; plan again")]
    Outdated {
        /// The object.
        object: String,
    },
    /// The object is there already, and not ours.
    #[error("{object} has appeared since the plan was made and is not ours; plan again")]
    Appeared {
        /// The object.
        object: String,
    },
    /// What the server keeps is not what was sent.
    #[error(
        "{object}: the server has not kept {}; an older or other channel's CRD prunes it, or an admission webhook changes it",
        fields.join(", ")
    )]
    Lost {
        /// The object.
        object: String,
        /// Paths.
        fields: Vec<String>,
    },
    /// The plan cannot be applied because of objects and fields of others.
    #[error("nothing was written:\n  {}", conflicts.join("\n  "))]
    Refused {
        /// Each names the owner and the way out.
        conflicts: Vec<String>,
    },
    /// The set has changed since the plan was made.
    #[error("{set} has changed since the plan was made; plan again")]
    StalePlan {
        /// The set.
        set: String,
    },
    /// Somebody else applies at the same time.
    #[error(
        "{holder} is applying to {set} (Lease {lease}); wait until it is done. A dead holder's lock ends by itself"
    )]
    Locked {
        /// The set.
        set: String,
        /// Who.
        holder: String,
        /// `namespace/name` of the Lease.
        lease: String,
    },
    /// The lock was lost in the middle of an apply.
    #[error("the lock of {set} was lost, since it could not be renewed in time; apply again")]
    LockLost {
        /// The set.
        set: String,
    },
    /// A deleted object does not go.
    #[error("{object} does not go: {}; the controllers behind these finalizers must remove them", finalizers.join(", "))]
    Terminating {
        /// The object.
        object: String,
        /// Its finalizers.
        finalizers: Vec<String>,
    },
    /// A parent of an ApplySet cannot be read.
    #[error("{message}; restore it, or delete it and apply with `--adopt`")]
    BadParent {
        /// What is wrong.
        message: String,
    },
    /// The source of a derived Secret cannot be transformed. Names keys, never values.
    #[error("Secret {secret}: {message}")]
    Source {
        /// `namespace/name`.
        secret: String,
        /// What is wrong with it.
        message: String,
    },
    /// The release cannot be applied to this cluster at all.
    #[error(transparent)]
    Plan(Box<PlanError>),
    /// The server answers with another error.
    #[error("{action}: the API server answers {code} {message}")]
    Server {
        /// What was tried.
        action: String,
        /// HTTP status code.
        code: u16,
        /// What the server says.
        message: String,
    },
}

impl From<PlanError> for ClusterError {
    fn from(error: PlanError) -> Self {
        Self::Plan(Box::new(error))
    }
}

impl ClusterError {
    /// Stable code that the documentation links.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "GWM0601",
            Self::Timeout { .. } => "GWM0602",
            Self::Unauthorized { .. } => "GWM0603",
            Self::Forbidden { .. } => "GWM0604",
            Self::KindMissing { .. } => "GWM0605",
            Self::NamespaceMissing { .. } => "GWM0606",
            Self::FieldUnknown { .. } => "GWM0607",
            Self::Invalid { .. } => "GWM0608",
            Self::Conflict { .. } => "GWM0609",
            Self::Outdated { .. } => "GWM0610",
            Self::Appeared { .. } => "GWM0611",
            Self::Lost { .. } => "GWM0612",
            Self::Refused { .. } => "GWM0613",
            Self::StalePlan { .. } => "GWM0614",
            Self::Locked { .. } => "GWM0615",
            Self::LockLost { .. } => "GWM0616",
            Self::Terminating { .. } => "GWM0617",
            Self::BadParent { .. } => "GWM0618",
            Self::Source { .. } => "GWM0619",
            Self::Plan(_) => "GWM0620",
            Self::Server { .. } => "GWM0621",
        }
    }
}
