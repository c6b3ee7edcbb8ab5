//! State of one compilation, shared by its steps.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    CompileInput, Gate, PolicyStatement, ReleaseObject,
    ledger::{ClaimId, Ledger},
    release::{Phase, Role},
};
use serde_json::Value;

use crate::{
    capability::{CapabilityName, EvidenceKind},
    diagnostic::{Category, Diagnostic, Diagnostics, Severity},
    intent::{DocumentId, FieldRef, policies::PolicyKind},
    module::{Context, Contribution, DerivedSecret, Refusal, Requirement, Verdict},
    object::{Object, ObjectKey},
    resolve::GatewayTopology,
};

/// State of one compilation.
pub(super) struct Compilation<'a> {
    pub(super) input: &'a CompileInput<'a>,
    pub(super) ledger: Ledger,
    pub(super) objects: BTreeMap<ObjectKey, ReleaseObject>,
    pub(super) contributions: Vec<Contribution>,
    pub(super) derived_secrets: Vec<DerivedSecret>,
    pub(super) requires: BTreeSet<Requirement>,
    pub(super) policies: Vec<PolicyStatement>,
    pub(super) diagnostics: Diagnostics,
    pub(super) class: String,
    /// Capabilities that the release uses and only the operator claims.
    pub(super) claimed: RefCell<BTreeSet<CapabilityName>>,
    /// The documents that have leaves in the report, as JSON.
    pub(super) documents: Vec<(DocumentId, Value)>,
}

impl<'a> Compilation<'a> {
    pub(super) fn new(input: &'a CompileInput<'a>) -> Self {
        Self {
            input,
            ledger: Ledger::default(),
            objects: BTreeMap::new(),
            contributions: Vec::new(),
            derived_secrets: Vec::new(),
            requires: BTreeSet::new(),
            policies: Vec::new(),
            diagnostics: Diagnostics::default(),
            class: String::new(),
            claimed: RefCell::default(),
            documents: documents(input),
        }
    }

    /// Whether a field is written, and has nothing below it.
    pub(super) fn is_leaf(&self, field: &FieldRef) -> bool {
        let document = self.documents.iter().find(|(document, _)| *document == field.document);
        match document.and_then(|(_, value)| value.pointer(&field.pointer)) {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(items)) => items.is_empty(),
            Some(_) => true,
            None => false,
        }
    }

    /// Leaves that are written below a field, with pointers from it.
    pub(super) fn written_leaves(&self, field: &FieldRef) -> Vec<(String, Value)> {
        let document = self.documents.iter().find(|(document, _)| *document == field.document);
        let Some(value) = document.and_then(|(_, value)| value.pointer(&field.pointer)) else { return Vec::new() };
        super::ledger::leaves(value).into_iter().map(|(pointer, leaf)| (pointer, leaf.clone())).collect()
    }

    /// What adapters may know.
    pub(super) fn context(&self) -> Context<'a> {
        let input = self.input;
        Context::new(
            input.plane,
            &input.version,
            &input.capabilities,
            input.channel,
            input.module.metadata().default_namespace,
        )
    }

    /// Name and version of the gateway, for people.
    pub(super) fn gateway_title(&self) -> String {
        format!("{} {}", self.input.module.metadata().title, self.input.version)
    }

    /// Whether the gateway has a capability, with the CRDs of the channel. A capability that only the operator claims is
    /// noted, so that the release says what it rests on.
    pub(super) fn has(&self, name: &CapabilityName) -> bool {
        let Some(capability) = self.input.capabilities.get(name) else { return false };
        if capability.evidence.iter().all(|evidence| evidence.kind == EvidenceKind::Operator) {
            self.claimed.borrow_mut().insert(name.clone());
        }
        true
    }

    /// Those of the names that the gateway lacks, for a reason.
    pub(super) fn lacking(&self, names: &[CapabilityName]) -> Vec<CapabilityName> {
        names.iter().filter(|name| !self.has(name)).cloned().collect()
    }

    /// Reason and alternatives for what the gateway lacks.
    pub(super) fn lack_text(&self, what: &str, names: &[CapabilityName]) -> (String, Vec<String>) {
        let list = names.iter().map(CapabilityName::as_str).collect::<Vec<_>>().join(", ");
        if names.iter().all(|name| self.input.experimental.contains(name)) && !names.is_empty() {
            let reason = format!("{what} needs the experimental channel of the Gateway API CRDs ({list})");
            return (
                reason,
                vec!["install the experimental CRDs, and compile with `--channel experimental`".to_owned()],
            );
        }
        let input = self.input;
        if let Some(running) =
            input.running.as_ref().filter(|running| names.iter().any(|name| running.lost.contains(name)))
        {
            let metadata = input.module.metadata();
            let reason = format!(
                "{} {} runs ({}), and has no {what} ({list}); {} has it, which gateway.version names",
                metadata.title, running.version, running.source, input.version
            );
            let upgrade = format!("upgrade the gateway: `gwm upgrade {} --version {}`", metadata.name, input.version);
            return (reason, vec![upgrade]);
        }
        let reason = format!("{} has no {what} ({list})", self.gateway_title());
        (reason, vec!["another module: `gwm compare` shows which have it".to_owned()])
    }

    /// The field cannot be had: a claim, and an error.
    pub(super) fn refuse(&mut self, field: &FieldRef, place: &str, reason: String, alternatives: Vec<String>) {
        self.ledger.claim(field.clone(), place, Verdict::Unsupported { reason, alternatives });
    }

    /// A refusal of an adapter.
    pub(super) fn refusal(&mut self, refusal: Refusal, place: &str) {
        self.refuse(&refusal.field, place, refusal.reason, refusal.alternatives);
    }

    /// A contradiction in the intent.
    pub(super) fn invalid(&mut self, code: &'static str, field: &FieldRef, message: String, help: Option<String>) {
        self.diagnostic(code, Category::Invalid, field, message, help);
    }

    pub(super) fn diagnostic(
        &mut self,
        code: &'static str,
        category: Category,
        field: &FieldRef,
        message: String,
        help: Option<String>,
    ) {
        self.diagnostics.push(Diagnostic {
            code,
            severity: Severity::Error,
            category,
            document: field.document.to_string(),
            pointer: field.pointer.clone(),
            origin: self.input.intent.origin(field),
            message,
            help,
        });
    }

    /// Claims a field as emitted at one place of one object.
    pub(super) fn exact(
        &mut self,
        field: FieldRef,
        place: &str,
        object: &ObjectKey,
        pointer: impl Into<String>,
    ) -> ClaimId {
        let claim = self.ledger.claim(field, place, Verdict::Exact);
        self.ledger.cite(claim, object.clone(), pointer);
        claim
    }

    /// Adds an object; the same object from two owners is one object with both.
    pub(super) fn add(&mut self, object: Object, phase: Phase, role: Role, owner: Option<String>) -> ObjectKey {
        let key = object.key();
        if let Some(existing) = self.objects.get_mut(&key) {
            if existing.object == object {
                existing.owners.extend(owner);
            } else {
                let field = FieldRef::new(self.input.plane.document.clone(), "");
                let message = format!("two different objects have the identity {key}");
                let help = Some("this is a bug of the module: report it".to_owned());
                self.diagnostic("GWM0501", Category::Invalid, &field, message, help);
            }
        } else {
            let owners = owner.into_iter().collect();
            self.objects.insert(key.clone(), ReleaseObject { object, phase, role, owners, gate: None });
        }
        key
    }

    /// Sets how a route is opened.
    pub(super) fn set_gate(&mut self, key: &ObjectKey, gate: Gate) {
        if let Some(object) = self.objects.get_mut(key) {
            object.gate = Some(gate);
        }
    }

    /// Namespace of a Gateway.
    pub(super) fn gateway_namespace(&self, gateway: &GatewayTopology) -> String {
        self.context().gateway_namespace(gateway)
    }

    /// What a policy kind is called in a reason.
    pub(super) fn kind_text(kind: PolicyKind) -> String {
        format!("policy {kind}")
    }
}

/// The plane's document, and those of the components that it serves.
fn documents(input: &CompileInput<'_>) -> Vec<(DocumentId, Value)> {
    let served: BTreeSet<&DocumentId> = input.plane.routes.iter().map(|route| &route.source.document).collect();
    let planes = input.intent.data_planes.iter().filter(|plane| plane.id() == input.plane.document);
    let components = input.intent.components.iter().filter(|component| served.contains(&component.id()));
    planes
        .map(|plane| (plane.id(), plane.to_json()))
        .chain(components.map(|component| (component.id(), component.to_json())))
        .filter_map(|(document, value)| value.ok().map(|value| (document, value)))
        .collect()
}
