//! What is wrong, where it was written, and what to write instead.

use std::{fmt, sync::Arc};

use serde::Serialize;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase", tag = "type")]
#[non_exhaustive]
pub enum Origin {
    /// A file (or `<stdin>`), with 1-based line and column.
    #[serde(rename_all = "camelCase")]
    File {
        /// Path as the user gave it.
        path: Arc<str>,
        /// Line, from 1.
        line: u32,
        /// Column, from 1.
        column: u32,
    },
    /// An object in a cluster.
    #[serde(rename_all = "camelCase")]
    Cluster {
        /// `Kind namespace/name`.
        object: String,
    },
    /// A Rust value that the caller built.
    Value,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Cluster { object } => f.write_str(object),
            Self::Value => f.write_str("value"),
        }
    }
}

/// How serious a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Stops the pipeline.
    Error,
    /// Is shown, and stops nothing.
    Warning,
}

/// What kind of problem a diagnostic is about; it decides the exit code of `gwm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Category {
    /// The intent cannot be read, or contradicts itself (exit 1).
    Invalid,
    /// The intent is clear, and this gateway cannot do it, or only with a loss that was not accepted (exit 3).
    Refused,
}

/// One problem in an intent, with its place and its mend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Stable code that the documentation links, for example `GWM0103`.
    pub code: &'static str,
    /// How serious it is.
    pub severity: Severity,
    /// What kind of problem it is.
    pub category: Category,
    /// `DataPlane name` or `Component namespace/name`; empty when the document could not be read that far.
    pub document: String,
    /// JSON pointer (RFC 6901) to the field in the document; empty for the whole document.
    pub pointer: String,
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong, one sentence, lower-case, without a full stop.
    pub message: String,
    /// What to write or do instead.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.document.is_empty() {
            write!(f, "{}", self.document)?;
            if !self.pointer.is_empty() {
                write!(f, " {}", self.pointer)?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{} [{}]", self.message, self.code)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// All problems found in one stage; never empty when it is an `Err`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Whether any diagnostic stops the pipeline.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether every error is a refusal, so that the intent itself is in order.
    pub fn only_refusals(&self) -> bool {
        self.has_errors()
            && self
                .0
                .iter()
                .filter(|diagnostic| diagnostic.severity == Severity::Error)
                .all(|diagnostic| diagnostic.category == Category::Refused)
    }

    /// Adds a diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Sorts by place and drops exact repetitions, so that the same input gives the same output.
    pub fn sort(&mut self) {
        self.0.sort_by(|a, b| {
            (&a.origin, &a.document, &a.pointer, a.code, &a.message).cmp(&(
                &b.origin,
                &b.document,
                &b.pointer,
                b.code,
                &b.message,
            ))
        });
        self.0.dedup();
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}
