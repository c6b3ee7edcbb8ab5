//! What an apply tells while it runs.

use std::time::Duration;

use serde::Serialize;

use super::error::ClusterError;
use crate::object::ObjectKey;

/// How an apply is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplyOptions {
    /// How long a closed route waits for the acknowledgement of its policies; then it stays closed. Default 60 s.
    pub gate_timeout: Duration,
    /// How long a deleted object may take to go (finalizers). Default 60 s.
    pub delete_timeout: Duration,
    /// Ask the server (`dryRun=All`) and write nothing.
    pub dry_run: bool,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self { gate_timeout: Duration::from_mins(1), delete_timeout: Duration::from_mins(1), dry_run: false }
    }
}

impl ApplyOptions {
    /// How long a closed route waits for the acknowledgement of its policies.
    #[must_use]
    pub const fn with_gate_timeout(mut self, timeout: Duration) -> Self {
        self.gate_timeout = timeout;
        self
    }

    /// How long a deleted object may take to go.
    #[must_use]
    pub const fn with_delete_timeout(mut self, timeout: Duration) -> Self {
        self.delete_timeout = timeout;
        self
    }

    /// Ask the server and write nothing.
    #[must_use]
    pub const fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// What an apply tells while it runs. The last event is [`ApplyEvent::Finished`], unless the stream ends with an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "event")]
#[non_exhaustive]
pub enum ApplyEvent {
    /// Another apply to the same set is waited for, or the lock was had at once.
    Locked,
    /// The parents record what is about to be written.
    Recorded,
    /// An object was created or updated.
    Written {
        /// The object.
        object: ObjectKey,
    },
    /// A route was written in its closed form.
    Closed {
        /// The route.
        route: ObjectKey,
    },
    /// A route waits for its policies; told again when the reasons change.
    Waiting {
        /// The route.
        route: ObjectKey,
        /// What is missing.
        reasons: Vec<String>,
    },
    /// All policies of a route are effective, by the word of their controller.
    Acknowledged {
        /// The route.
        route: ObjectKey,
    },
    /// A route was opened.
    Opened {
        /// The route.
        route: ObjectKey,
    },
    /// A field of an object of others was set or withdrawn.
    Contributed {
        /// The object.
        target: ObjectKey,
        /// The field.
        field: String,
    },
    /// An object was deleted, and is gone.
    Deleted {
        /// The object.
        object: ObjectKey,
    },
    /// An object that is no longer wanted stays for now.
    Kept {
        /// The object.
        object: ObjectKey,
        /// Why.
        reason: String,
    },
    /// Something waits for what is not there.
    Blocked {
        /// What, with the reason and the next step.
        blocked: Blocked,
    },
    /// The end.
    Finished {
        /// What was achieved.
        outcome: ApplyOutcome,
    },
}

/// Something that waits for what is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// The object that waits.
    pub object: String,
    /// Why.
    pub reasons: Vec<String>,
}

/// What an apply has achieved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplyOutcome {
    /// Number of writes that changed an object, deletions included.
    pub writes: usize,
    /// What is not done. Routes among it stay closed. Not empty means exit code 4 of `gwm`.
    pub blocked: Vec<Blocked>,
}

impl ApplyOutcome {
    /// Whether everything was done.
    pub fn is_complete(&self) -> bool {
        self.blocked.is_empty()
    }
}

/// An event, or the error that has ended the apply.
pub type ApplyItem = Result<ApplyEvent, ClusterError>;
