//! The ledger: who claims which field, with which verdict, and at which bytes.
//!
//! It cannot be total over its own list: the leaves come from walking the serialised intent, and a claim that cites bytes
//! which are not there is an error.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Entry, Outcome, Report, ResolvedCitation};
use crate::{
    diagnostic::Origin,
    intent::{DocumentId, FieldRef, Intent, covers},
    module::Verdict,
    object::{Object, ObjectKey},
};

/// Identifies a claim, so that bytes can be cited when their place is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClaimId(usize);

#[derive(Clone, Debug)]
struct Claim {
    field: FieldRef,
    place: String,
    verdict: Verdict,
    citations: BTreeSet<ResolvedCitation>,
}

/// Claims of one compilation.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    claims: Vec<Claim>,
    /// Places in `claims`, by document: a plane of thousands of components asks thousands of times.
    by_document: BTreeMap<DocumentId, Vec<usize>>,
}

/// A hole in the ledger: a bug in core or in an adapter, never the user's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    /// Nothing says what became of a leaf.
    Unclaimed(FieldRef),
    /// A verdict cites bytes that are not there, or none.
    Dangling(FieldRef, String),
}

impl Ledger {
    /// Says what became of a field (and of everything below it that has no claim of its own) in one place.
    pub(super) fn claim(&mut self, field: FieldRef, place: impl Into<String>, verdict: Verdict) -> ClaimId {
        let place_of_claim = self.claims.len();
        self.by_document.entry(field.document.clone()).or_default().push(place_of_claim);
        self.claims.push(Claim { field, place: place.into(), verdict, citations: BTreeSet::new() });
        ClaimId(place_of_claim)
    }

    /// The field steers the compilation.
    pub(super) fn decides(&mut self, field: FieldRef, what: impl Into<String>) {
        self.claim(field, "", Verdict::Decides { what: what.into() });
    }

    /// Adds bytes to a claim.
    pub(super) fn cite(&mut self, claim: ClaimId, object: ObjectKey, pointer: impl Into<String>) {
        self.insert(claim, ResolvedCitation { object, pointer: pointer.into(), contribution: false });
    }

    /// Adds bytes of an object of others to a claim.
    pub(super) fn cite_contribution(&mut self, claim: ClaimId, object: ObjectKey, pointer: impl Into<String>) {
        self.insert(claim, ResolvedCitation { object, pointer: pointer.into(), contribution: true });
    }

    fn insert(&mut self, claim: ClaimId, citation: ResolvedCitation) {
        if let Some(claim) = self.claims.get_mut(claim.0) {
            claim.citations.insert(citation);
        }
    }

    /// Whether a field, one above it or one below it has a claim.
    pub(super) fn touches(&self, field: &FieldRef) -> bool {
        self.of(&field.document).any(|claim| claim.field.covers(field) || field.covers(&claim.field))
    }

    fn of(&self, document: &DocumentId) -> impl Iterator<Item = &Claim> {
        self.by_document.get(document).into_iter().flatten().filter_map(|place| self.claims.get(*place))
    }

    /// Verdicts, each with its field and place.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = (&FieldRef, &str, &Verdict)> {
        self.claims.iter().map(|claim| (&claim.field, claim.place.as_str(), &claim.verdict))
    }

    /// The report over the leaves of the given documents, and the holes.
    pub(super) fn report(
        &self,
        intent: &Intent,
        documents: &[(DocumentId, Value)],
        objects: &BTreeMap<ObjectKey, Object>,
        accepted: &dyn Fn(&str, &str) -> bool,
    ) -> (Report, Vec<Hole>) {
        let mut holes = Vec::new();
        let mut entries = Vec::new();
        for claim in &self.claims {
            let needs_bytes = matches!(claim.verdict, Verdict::Exact | Verdict::Approximate { .. });
            if needs_bytes && claim.citations.is_empty() {
                holes.push(Hole::Dangling(claim.field.clone(), "no bytes are cited".to_owned()));
            }
            for citation in claim.citations.iter().filter(|citation| !citation.contribution) {
                let there =
                    objects.get(&citation.object).is_some_and(|object| object.pointer(&citation.pointer).is_some());
                if !there {
                    holes.push(Hole::Dangling(
                        claim.field.clone(),
                        format!("{} has no {}", citation.object, citation.pointer),
                    ));
                }
            }
        }
        for (document, value) in documents {
            let claims: Vec<&Claim> = self.of(document).collect();
            let source = intent.source(document);
            for (pointer, leaf) in leaves(value) {
                let outcomes = outcomes(&claims, &pointer, accepted);
                let field = FieldRef::new(document.clone(), pointer);
                if outcomes.is_empty() {
                    holes.push(Hole::Unclaimed(field.clone()));
                }
                let origin = source.map_or(Origin::Value, |source| source.origin(&field.pointer));
                entries.push(Entry { origin, field, value: leaf.clone(), outcomes });
            }
        }
        entries.sort_by(|a, b| a.field.cmp(&b.field));
        (Report { entries }, holes)
    }
}

/// What the claims say about a leaf: per place, those of the nearest field that has any.
fn outcomes(claims: &[&Claim], pointer: &str, accepted: &dyn Fn(&str, &str) -> bool) -> Vec<Outcome> {
    let mut nearest: BTreeMap<&str, usize> = BTreeMap::new();
    for claim in claims.iter().filter(|claim| covers(&claim.field.pointer, pointer)) {
        let length = nearest.entry(&claim.place).or_default();
        *length = (*length).max(claim.field.pointer.len() + 1);
    }
    let mut outcomes: Vec<Outcome> = Vec::new();
    for claim in claims.iter().filter(|claim| covers(&claim.field.pointer, pointer)) {
        if nearest.get(claim.place.as_str()) != Some(&(claim.field.pointer.len() + 1)) {
            continue;
        }
        let accepted = match &claim.verdict {
            Verdict::Approximate { differences } => {
                differences.iter().all(|difference| accepted(&claim.place, &difference.name))
            }
            _ => false,
        };
        let outcome = Outcome {
            place: claim.place.clone(),
            verdict: claim.verdict.clone(),
            accepted,
            citations: claim.citations.iter().cloned().collect(),
        };
        if !outcomes.contains(&outcome) {
            outcomes.push(outcome);
        }
    }
    outcomes
}

/// Leaves of a JSON value: scalars, and empty mappings and lists, with their pointers.
pub(super) fn leaves(value: &Value) -> Vec<(String, &Value)> {
    fn walk<'a>(value: &'a Value, pointer: &str, into: &mut Vec<(String, &'a Value)>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, item) in map {
                    walk(item, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), into);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, &format!("{pointer}/{index}"), into);
                }
            }
            leaf => into.push((pointer.to_owned(), leaf)),
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_are_scalars_and_empty_collections() {
        let value = json!({"a": {"b/c": [1, {}]}, "d": []});
        let found: Vec<_> = leaves(&value).into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(found, ["/a/b~1c/0", "/a/b~1c/1", "/d"]);
    }

    #[test]
    fn an_unclaimed_leaf_and_a_dangling_pointer_are_holes() {
        let document = DocumentId::DataPlane { name: "p".into() };
        let mut ledger = Ledger::default();
        ledger.claim(FieldRef::new(document.clone(), "/spec/a"), "x", Verdict::Exact);
        let documents = [(document.clone(), json!({"spec": {"a": 1, "b": 2}}))];
        let (report, holes) = ledger.report(&Intent::default(), &documents, &BTreeMap::new(), &|_, _| false);
        assert_eq!(report.entries.len(), 2);
        assert_eq!(
            holes,
            [
                Hole::Dangling(FieldRef::new(document.clone(), "/spec/a"), "no bytes are cited".into()),
                Hole::Unclaimed(FieldRef::new(document, "/spec/b")),
            ]
        );
    }
}
