//! The report: what became of each leaf of the intent.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{diagnostic::Origin, intent::FieldRef, module::Verdict, object::ObjectKey};

/// What became of each leaf of the intent, for one release.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Report {
    /// One entry per leaf, sorted by document and pointer.
    pub entries: Vec<Entry>,
}

/// One leaf.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The leaf.
    #[serde(flatten)]
    pub field: FieldRef,
    /// Where it was written.
    pub origin: Origin,
    /// Its value.
    pub value: Value,
    /// What became of it, for each place that it has an effect in; never empty.
    pub outcomes: Vec<Outcome>,
}

/// What became of a leaf in one place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Where: an endpoint and visibility, a Gateway, a Service.
    pub place: String,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether all differences of an approximation are accepted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<ResolvedCitation>,
}

/// Bytes in an emitted object, or in an object of others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedCitation {
    /// The object.
    pub object: ObjectKey,
    /// JSON pointer into it.
    pub pointer: String,
    /// Whether the object is another's, and the bytes are a contribution.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub contribution: bool,
}

/// Number of leaves by verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Emitted with full meaning.
    pub exact: usize,
    /// Emitted with accepted differences.
    pub approximate: usize,
    /// Refused.
    pub unsupported: usize,
    /// Replaced by another layer.
    pub overridden: usize,
    /// Steers the compilation.
    pub decides: usize,
    /// Without an effect in this release.
    pub inactive: usize,
}

impl Report {
    /// Number of leaves by verdict; a leaf with several outcomes counts by its worst.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for entry in &self.entries {
            match entry.outcomes.iter().map(|outcome| &outcome.verdict).max_by_key(|verdict| rank(verdict)) {
                Some(Verdict::Exact) => summary.exact += 1,
                Some(Verdict::Approximate { .. }) => summary.approximate += 1,
                Some(Verdict::Overridden { .. }) => summary.overridden += 1,
                Some(Verdict::Decides { .. }) => summary.decides += 1,
                Some(Verdict::Inactive { .. }) => summary.inactive += 1,
                Some(Verdict::Unsupported { .. }) | None => summary.unsupported += 1,
            }
        }
        summary
    }

    /// The entries of one document, by pointer.
    pub fn by_pointer(&self) -> BTreeMap<&FieldRef, &Entry> {
        self.entries.iter().map(|entry| (&entry.field, entry)).collect()
    }
}

const fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Inactive { .. } => 0,
        Verdict::Overridden { .. } => 1,
        Verdict::Decides { .. } => 2,
        Verdict::Exact => 3,
        Verdict::Approximate { .. } => 4,
        Verdict::Unsupported { .. } => 5,
    }
}
