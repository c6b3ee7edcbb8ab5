//! Validation of objects against real CRDs, without a cluster.
//!
//! The stages are those of an API server: metadata, version, pruning (whose silent loss is an error here), defaults,
//! structure, keys of lists, CEL rules. What cannot be checked is told, never counted as valid: see [`NotChecked`] and
//! [`Validation::unchecked_rules`].
//!
//! Not emulated: cost limits of CEL, ratcheting of unchanged fields on update, admission policies and webhooks,
//! conversion between versions.

mod cel;
mod defaults;
mod error;
mod list_keys;
mod metadata;
mod pattern;
mod pointer;
mod prune;
mod schemas;
mod structure;

use std::fmt;

use serde::Serialize;
use serde_json::Value;

pub use self::{
    error::SchemaError,
    schemas::{Crd, CrdVersion, Schemas, Scope},
};
use crate::object::{GroupKind, Object, ObjectKey};

/// The stage that found a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Stage {
    /// Name, namespace, labels and annotations.
    Metadata,
    /// The kind has a CRD, but not in this version.
    Version,
    /// A field that the schema does not know, which an API server drops.
    UnknownField,
    /// Types, bounds, patterns, required fields.
    Structure,
    /// Unique keys of map lists and unique items of sets.
    ListKeys,
    /// Rules in CEL (`x-kubernetes-validations`).
    Cel,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "metadata",
            Self::Version => "version",
            Self::UnknownField => "unknown field",
            Self::Structure => "structure",
            Self::ListKeys => "list keys",
            Self::Cel => "CEL rule",
        })
    }
}

/// One reason for which an API server would refuse an object, or lose a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// The stage that found it.
    pub stage: Stage,
    /// JSON pointer (RFC 6901) into the object; empty for the whole object.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// The CEL rule, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.pointer, self.message, self.stage)
    }
}

/// A CEL rule that applies to the object and could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UncheckedRule {
    /// JSON pointer (RFC 6901) to the value that the rule is about.
    pub pointer: String,
    /// The rule.
    pub rule: String,
    /// Why it could not be evaluated.
    pub reason: String,
}

/// Why an object was not checked against a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum NotChecked {
    /// The kind is one of Kubernetes itself, whose schema is in the API server and not in a CRD.
    BuiltIn,
    /// No CRD of the set defines the kind.
    NoCrd(GroupKind),
    /// The CRD ships no schema, or one that cannot be used.
    UnusableSchema(String),
}

impl fmt::Display for NotChecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("the kind is built into Kubernetes, no CRD has its schema"),
            Self::NoCrd(group_kind) => write!(f, "no CRD of {group_kind} is loaded; add it to the folder of CRDs"),
            Self::UnusableSchema(reason) => write!(f, "the schema of the CRD cannot be used: {reason}"),
        }
    }
}

/// What validation says of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// An API server with these CRDs accepts the object as it is; see also [`Validation::unchecked_rules`].
    Valid,
    /// An API server with these CRDs refuses the object, or drops a part of it. Never empty.
    Invalid(Vec<Violation>),
    /// There is no schema to check the object against.
    NotChecked(NotChecked),
}

/// The verdict on one object, with what could not be checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// The verdict.
    pub verdict: Verdict,
    /// CEL rules that apply to the object and could not be evaluated; the verdict does not cover them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unchecked_rules: Vec<UncheckedRule>,
}

impl Validation {
    /// Whether everything was checked and nothing was found.
    pub fn is_valid(&self) -> bool {
        self.verdict == Verdict::Valid && self.unchecked_rules.is_empty()
    }

    /// What was found; empty unless the verdict is [`Verdict::Invalid`].
    pub fn violations(&self) -> &[Violation] {
        match &self.verdict {
            Verdict::Invalid(violations) => violations,
            _ => &[],
        }
    }

    fn of(violations: Vec<Violation>, otherwise: Verdict, unchecked_rules: Vec<UncheckedRule>) -> Self {
        let verdict = if violations.is_empty() { otherwise } else { Verdict::Invalid(violations) };
        Self { verdict, unchecked_rules }
    }
}

thread_local! {
    /// Registering the functions of CEL costs more than checking a small object.
    static EVALUATOR: cel::Evaluator = cel::Evaluator::default();
}

/// Validates an object that is to be created; rules that compare with an old object do not apply.
pub fn validate(object: &Object, schemas: &Schemas) -> Validation {
    run(object, None, schemas)
}

/// Validates an update: as [`validate`], and also the rules that compare with the old object (`oldSelf`).
pub fn validate_update(old: &Object, new: &Object, schemas: &Schemas) -> Validation {
    run(new, Some(old), schemas)
}

/// Validates many objects; the result has the order of the objects.
pub fn validate_all(objects: &[Object], schemas: &Schemas) -> Vec<(ObjectKey, Validation)> {
    objects.iter().map(|object| (object.key(), validate(object, schemas))).collect()
}

/// The object as an API server sees it after it has filled in the defaults; as it is, if there is no schema.
pub fn defaulted(object: &Object, schemas: &Schemas) -> Value {
    let mut value = object.to_value();
    if let Some((_, version)) = schemas.get(&object.kind()) {
        defaults::apply(&mut value, version.schema());
    }
    value
}

/// What a server returned, less the fields that it filled in from defaults of the schema and that were not sent.
///
/// Items of lists with map keys are compared by key, items of other lists by place. Without a schema nothing goes.
pub fn without_defaults(returned: &Object, sent: &Object, schemas: &Schemas) -> Value {
    match schemas.get(&returned.kind()) {
        Some((_, version)) => defaults::without(&returned.to_value(), &sent.to_value(), version.schema()),
        None => returned.to_value(),
    }
}

fn run(object: &Object, old: Option<&Object>, schemas: &Schemas) -> Validation {
    let kind = object.kind();
    let group_kind = kind.group_kind();
    let Some(crd) = schemas.crd(&group_kind) else {
        let reason = if is_built_in(&group_kind.group) { NotChecked::BuiltIn } else { NotChecked::NoCrd(group_kind) };
        return Validation::of(metadata::check(object, None), Verdict::NotChecked(reason), Vec::new());
    };
    let mut found = metadata::check(object, Some(crd.scope()));
    if let Some(old) = old
        && old.key() != object.key()
    {
        let message = format!("an update keeps kind, namespace and name; the old object is {}", old.key());
        found.push(Violation { stage: Stage::Metadata, pointer: String::new(), message, rule: None });
    }
    let Some((_, version)) = schemas.get(&kind) else {
        let served = schemas.served_versions_of(&group_kind);
        let message = match served.as_slice() {
            [] => format!("version {} of {group_kind} is not served, and no other is", kind.version),
            served => format!("version {} of {group_kind} is not served; use {}", kind.version, served.join(" or ")),
        };
        found.push(Violation { stage: Stage::Version, pointer: "/apiVersion".to_owned(), message, rule: None });
        return Validation { verdict: Verdict::Invalid(found), unchecked_rules: Vec::new() };
    };
    let unusable = |reason: &str| Verdict::NotChecked(NotChecked::UnusableSchema(reason.to_owned()));
    let schema = version.schema();
    if !schema.is_object() {
        return Validation::of(found, unusable("there is none"), Vec::new());
    }
    let compiled = version.compiled();
    let structure = match &compiled.structure {
        Ok(structure) => structure,
        Err(reason) => return Validation::of(found, unusable(reason), Vec::new()),
    };
    let mut seen_by_server = object.to_value();
    found.extend(prune::prune(&mut seen_by_server, schema).into_iter().map(|unknown| Violation {
        stage: Stage::UnknownField,
        pointer: unknown.pointer,
        message: match unknown.suggestion {
            Some(name) => format!("the schema has no such field, the API server would drop it; did you mean `{name}`?"),
            None => "the schema has no such field, the API server would drop it".to_owned(),
        },
        rule: None,
    }));
    defaults::apply(&mut seen_by_server, schema);
    let structural = structure.check(&seen_by_server);
    let is_structural = structural.is_empty();
    found.extend(structural);
    found.extend(list_keys::check(&seen_by_server, schema));
    if !is_structural {
        // rules assume the types of the schema; the API server does not evaluate them either
        return Validation::of(found, Verdict::Valid, Vec::new());
    }
    let old = old.map(|old| {
        let mut old = old.to_value();
        prune::prune(&mut old, schema);
        defaults::apply(&mut old, schema);
        old
    });
    let outcome = EVALUATOR.with(|evaluator| evaluator.check(&compiled.rules, schema, &seen_by_server, old.as_ref()));
    found.extend(outcome.violations);
    Validation::of(found, Verdict::Valid, outcome.unchecked)
}

/// Whether a group is one of Kubernetes itself: without a dot, or under `k8s.io` and not of a project with CRDs.
fn is_built_in(group: &str) -> bool {
    const BUILT_IN: [&str; 16] = [
        "",
        "apps",
        "autoscaling",
        "batch",
        "extensions",
        "policy",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "networking.k8s.io",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    ];
    BUILT_IN.contains(&group)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::GroupVersionKind;

    const WIDGET: GroupVersionKind = GroupVersionKind::of("example.io", "v1", "Widget");

    fn schemas() -> Schemas {
        let spec = json!({
            "type": "object", "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1}, "limit": {"type": "integer", "default": 10},
                "name": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed"}]},
            },
            "x-kubernetes-validations": [{"rule": "self.size <= self.limit", "message": "size exceeds limit"}],
        });
        let schema = json!({"type": "object", "properties": {
            "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}, "spec": spec,
        }});
        let crd = json!({"spec": {
            "group": "example.io", "names": {"kind": "Widget"}, "scope": "Namespaced", "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}},
                {"name": "v2", "served": true, "storage": false},
            ],
        }});
        Schemas::from_crds(vec![crd]).unwrap()
    }

    fn widget(spec: Value) -> Object {
        Object::new(&WIDGET, Some("n"), "a").with_spec(spec)
    }

    fn found(object: &Object) -> Vec<(Stage, String)> {
        let validation = validate(object, &schemas());
        validation.violations().iter().map(|violation| (violation.stage, violation.pointer.clone())).collect()
    }

    #[test]
    fn stages_run_in_the_order_of_the_server() {
        assert!(validate(&widget(json!({"size": 10})), &schemas()).is_valid());
        assert_eq!(found(&widget(json!({"size": 11}))), [(Stage::Cel, "/spec".into())]);
        assert_eq!(found(&widget(json!({"size": 0, "limit": -1}))), [(Stage::Structure, "/spec/size".into())]);
        let unknown = found(&widget(json!({"sice": 1})));
        assert_eq!(unknown, [(Stage::UnknownField, "/spec/sice".into()), (Stage::Structure, "/spec/size".into())]);
    }

    #[test]
    fn what_has_no_schema_is_not_checked() {
        let verdict = |api_version, kind| {
            let kind = GroupVersionKind::from_api_version(api_version, kind);
            validate(&Object::new(&kind, Some("n"), "a"), &schemas()).verdict
        };
        assert_eq!(verdict("v1", "Secret"), Verdict::NotChecked(NotChecked::BuiltIn));
        assert!(matches!(verdict("example.io/v1", "Other"), Verdict::NotChecked(NotChecked::NoCrd(_))));
        assert!(matches!(verdict("example.io/v2", "Widget"), Verdict::NotChecked(NotChecked::UnusableSchema(_))));
        let Verdict::Invalid(found) = verdict("example.io/v3", "Widget") else { panic!("v3 is not served") };
        assert_eq!(found[0].stage, Stage::Version);
        assert!(found[0].message.ends_with("use v1 or v2"));
    }

    #[test]
    fn updates_check_rules_with_the_old_object() {
        let old = widget(json!({"size": 1, "name": "a"}));
        let new = widget(json!({"size": 1, "name": "b"}));
        assert!(validate(&new, &schemas()).is_valid());
        assert!(validate_update(&old, &old, &schemas()).is_valid());
        assert_eq!(validate_update(&old, &new, &schemas()).violations()[0].message, "fixed");
        let other = Object::new(&WIDGET, Some("n"), "b").with_spec(json!({"size": 1}));
        assert_eq!(validate_update(&other, &widget(json!({"size": 1})), &schemas()).violations().len(), 1);
    }

    #[test]
    fn defaults_come_and_go() {
        let sent = widget(json!({"size": 1}));
        let returned = Object::try_from(defaulted(&sent, &schemas())).unwrap();
        assert_eq!(returned.pointer("/spec/limit"), Some(&json!(10)));
        assert_eq!(without_defaults(&returned, &sent, &schemas()), sent.to_value());
    }

    #[test]
    fn many_objects_keep_their_order() {
        let objects = [widget(json!({"size": 2})), widget(json!({}))];
        let verdicts: Vec<_> = validate_all(&objects, &schemas()).into_iter().map(|(_, all)| all.is_valid()).collect();
        assert_eq!(verdicts, [true, false]);
    }
}
