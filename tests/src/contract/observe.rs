//! What can be read off a compilation: cited bytes, filters, refusals.

use std::collections::BTreeSet;

use gateway_modules_core::{
    compile::{Compiled, Entry, Outcome, Release, Role},
    diagnostic::Severity,
    intent::{DocumentId, FieldRef, policies::PolicyKind},
    module::Verdict,
    object::ObjectKey,
};
use serde_json::Value;

/// Bytes that a leaf cites: place of the effect, object, pointer, value.
pub type Bytes = (String, ObjectKey, String, Value);

/// The kind of policy that a leaf belongs to; the traffic split for backends of rules.
pub fn kind_of(field: &FieldRef) -> Option<PolicyKind> {
    let tokens: Vec<&str> = field.pointer.split('/').collect();
    match tokens.iter().position(|token| *token == "policies") {
        Some(at) => tokens.iter().skip(at + 1).find_map(|token| PolicyKind::from_field(token)),
        None if tokens.contains(&"backends") => Some(PolicyKind::TrafficSplit),
        None => None,
    }
}

/// Whether an outcome has bytes.
pub fn emits(outcome: &Outcome) -> bool {
    matches!(outcome.verdict, Verdict::Exact | Verdict::Approximate { .. })
}

/// Bytes of emitted objects that a leaf cites; contributions count with their own value.
pub fn bytes(release: &Release, entry: &Entry) -> Vec<Bytes> {
    let mut found = Vec::new();
    for outcome in entry.outcomes.iter().filter(|outcome| emits(outcome)) {
        for citation in &outcome.citations {
            let value = if citation.contribution {
                let values: Vec<Value> = release
                    .contributions
                    .iter()
                    .filter(|one| one.target == citation.object && one.value.pointer() == citation.pointer)
                    .filter_map(|contribution| serde_json::to_value(&contribution.value).ok())
                    .collect();
                Value::Array(values)
            } else {
                let object = release.objects.iter().find(|object| object.key() == citation.object);
                object.and_then(|object| object.object.pointer(&citation.pointer)).cloned().unwrap_or(Value::Null)
            };
            found.push((outcome.place.clone(), citation.object.clone(), citation.pointer.clone(), value));
        }
    }
    found
}

/// The entries of leaves of one policy kind in components.
pub fn entries_of(compiled: &Compiled, kind: PolicyKind) -> Vec<&Entry> {
    compiled
        .report
        .entries
        .iter()
        .filter(|entry| {
            matches!(entry.field.document, DocumentId::Component { .. }) && kind_of(&entry.field) == Some(kind)
        })
        .collect()
}

/// Values that the leaves of a kind cite, without object and pointer: an index of a list may move, and a policy beside it may
/// need the object of a vendor for what a standard field says alone (Traefik: weights in a TraefikService).
pub fn cited(compiled: &Compiled, kind: PolicyKind) -> BTreeSet<String> {
    let Some(release) = &compiled.release else { return BTreeSet::new() };
    entries_of(compiled, kind)
        .into_iter()
        .flat_map(|entry| bytes(release, entry).into_iter().map(move |bytes| (entry, bytes)))
        .map(|(entry, (place, _, _, value))| format!("{} | {place} | {value}", entry.field.pointer))
        .collect()
}

/// Filters, annotations and other fields of the rules of all routes, each as one text.
pub fn route_parts(release: &Release) -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    for object in release.objects.iter().filter(|object| matches!(object.role, Role::Route { .. })) {
        let key = object.key();
        let annotations = object.object.pointer("/metadata/annotations").and_then(Value::as_object);
        for (name, value) in annotations.into_iter().flatten() {
            for item in value.as_str().unwrap_or_default().split(',') {
                parts.insert(format!("{key}: annotation {name} has {item}"));
            }
        }
        let rules = object.object.pointer("/spec/rules").and_then(Value::as_array);
        for rule in rules.into_iter().flatten() {
            let name = rule["name"].as_str().unwrap_or("the rule");
            for filter in rule["filters"].as_array().into_iter().flatten() {
                parts.insert(format!("{key} {name}: filter {filter}"));
            }
            for (field, value) in rule.as_object().into_iter().flatten() {
                if !["name", "matches", "filters", "backendRefs"].contains(&field.as_str()) {
                    parts.insert(format!("{key} {name}: {field} {value}"));
                }
            }
        }
    }
    parts
}

/// Codes of the errors of a compilation.
pub fn error_codes(compiled: &Compiled) -> BTreeSet<&'static str> {
    let errors = compiled.diagnostics.0.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    errors.map(|diagnostic| diagnostic.code).collect()
}

/// The errors of a compilation in one line.
pub fn errors(compiled: &Compiled) -> String {
    let errors = compiled.diagnostics.0.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    errors
        .map(|diagnostic| format!("[{}] {} {}", diagnostic.code, diagnostic.pointer, diagnostic.message))
        .collect::<Vec<_>>()
        .join("; ")
}
