//! Compiles a topology with one module and its capabilities into a release: objects, contributions, and a report with one
//! entry per leaf of the intent.

mod backends;
mod compilation;
mod draft;
mod gateways;
mod input;
mod ledger;
mod matches;
mod policies;
mod release;
mod report;
mod routes;
mod shared_policies;
mod split;
mod standard;
mod standard_attached;
mod standard_policies;
mod verdicts;

use std::collections::BTreeMap;

use self::{compilation::Compilation, policies::Enforced, routes::RouteDraft};
pub use self::{
    draft::CLOSED_BACKEND,
    input::{CompileInput, LiveGateway},
    release::{
        ClosedForm, ContributionKey, Gate, GatePolicy, ModuleUse, Phase, PolicyStatement, Promise, Release,
        ReleaseObject, Role,
    },
    report::{Entry, Outcome, Report, ResolvedCitation, Summary},
};
use crate::{
    diagnostic::Diagnostics,
    intent::policies::PolicyKind,
    module::{Acknowledgement, Enforcement, Verdict},
    object::{Object, ObjectKey},
};

/// What came of a compilation. The report is there even when the release is refused, since it says why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Compiled {
    /// The release; absent when anything stops it.
    pub release: Option<Release>,
    /// What became of each leaf of the intent.
    pub report: Report,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
}

impl Compiled {
    /// The release, or why there is none.
    ///
    /// # Errors
    /// Everything that stops the release.
    pub fn into_release(self) -> Result<Release, Diagnostics> {
        self.release.ok_or(self.diagnostics)
    }
}

/// Compiles the topology of one data plane. Pure: the same input gives byte-identical output.
pub fn compile(input: &CompileInput<'_>) -> Compiled {
    let mut compilation = Compilation::new(input);
    gateways::provision(&mut compilation);
    let mut drafts = routes::draft(&mut compilation);
    let enforced = policies::map(&mut compilation, &mut drafts);
    let keys: Vec<Vec<ObjectKey>> = drafts.iter().map(|draft| routes::write(&mut compilation, draft)).collect();
    gates(&mut compilation, &drafts, &keys, enforced);
    steering(&mut compilation);
    label(&mut compilation);
    finish(compilation)
}

/// Which policies must be effective before each route is opened, and what is promised of each.
fn gates(
    compilation: &mut Compilation<'_>,
    drafts: &[RouteDraft<'_>],
    keys: &[Vec<ObjectKey>],
    enforced: Vec<Enforced>,
) {
    let module = compilation.input.module.metadata();
    let controller = compilation
        .objects
        .values()
        .find(|object| object.role == Role::Class)
        .and_then(|object| object.object.pointer("/spec/controllerName"))
        .and_then(serde_json::Value::as_str)
        .or(module.controllers.first().copied())
        .unwrap_or_default()
        .to_owned();
    for policy in enforced {
        let acknowledgement = match &policy.enforcement {
            Enforcement::Attached { acknowledgement } => acknowledgement.clone(),
            _ => None,
        };
        let mut by_route: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (route, rule) in &policy.rules {
            by_route.entry(*route).or_default().push(*rule);
        }
        for (route, rules) in by_route {
            let draft = &drafts[route];
            for (part, key) in draft.parts.iter().zip(&keys[route]) {
                let touched = part.rules.iter().any(|rule| rules.contains(rule));
                let Some(acknowledgement) = acknowledgement.clone().filter(|_| touched) else { continue };
                let gate = compilation.objects.get_mut(key).and_then(|object| object.gate.as_mut());
                let Some(gate) = gate else { continue };
                for object in &policy.objects {
                    let entry = GatePolicy {
                        kind: policy.kind,
                        object: object.clone(),
                        controller: controller.clone(),
                        acknowledgement: acknowledgement.clone(),
                    };
                    if acknowledges(object, &acknowledgement) && !gate.policies.contains(&entry) {
                        gate.policies.push(entry);
                    }
                }
            }
            let places = draft.parts.iter().zip(&keys[route]).flat_map(|(part, key)| {
                let covered = part.rules.iter().enumerate().filter(|(_, rule)| rules.contains(rule));
                covered.map(|(position, _)| (key.clone(), position))
            });
            compilation.policies.push(PolicyStatement {
                binding: draft.route.binding.clone(),
                rules: rules.iter().map(|rule| draft.rules[*rule].rule.name.clone()).collect(),
                places: places.collect(),
                kind: policy.kind,
                field: policy.field.clone(),
                enforcement: policy.enforcement.clone(),
                promise: if acknowledgement.is_some() { Promise::Acknowledged } else { Promise::Ordered },
                objects: policy.objects.clone(),
            });
        }
    }
    let named = compilation.input.module.closed_backends();
    for object in compilation.objects.values_mut() {
        let Some(gate) = &mut object.gate else { continue };
        if gate.policies.is_empty() {
            object.gate = None;
        } else if gate.policies.iter().any(|policy| policy.kind == PolicyKind::BackendTls) {
            draft::name_backends(&mut gate.closed.0, &object.object, named);
        }
    }
}

/// Whether the status of an object says that a policy is effective. What a policy refers to (a provider, a static backend)
/// has no ancestors; the policy that refers to it is not accepted while it is missing.
fn acknowledges(object: &ObjectKey, acknowledgement: &Acknowledgement) -> bool {
    let by_condition = matches!(acknowledgement, Acknowledgement::Condition(_));
    by_condition || object.kind.kind.ends_with("Policy") || object.kind.kind == "Gateway"
}

/// Fields that resolve has used up: what is overridden, what steers, what has no effect here.
fn steering(compilation: &mut Compilation<'_>) {
    let plane = compilation.input.plane;
    for overridden in &plane.overridden {
        let verdict = Verdict::Overridden { by: overridden.by.clone() };
        compilation.ledger.claim(overridden.field.clone(), overridden.binding.to_string(), verdict);
    }
    for (field, what) in &plane.decisions {
        compilation.ledger.decides(field.clone(), what.clone());
    }
    for route in &plane.routes {
        for field in ["service", "port", "basePath"] {
            let field = route.source.child(field);
            if !compilation.ledger.touches(&field) {
                let reason = "no rule uses it: each names its own, or answers without a backend".to_owned();
                compilation.ledger.claim(field, route.binding.to_string(), Verdict::Inactive { reason });
            }
        }
        let subscriptions = route.source.child("subscriptions");
        if !compilation.ledger.touches(&subscriptions) {
            compilation.ledger.decides(subscriptions, "nothing: only GraphQL endpoints have subscriptions");
        }
    }
    if plane.declared {
        for layer in ["defaults", "overrides"] {
            let field = crate::intent::FieldRef::new(plane.document.clone(), format!("/spec/policies/{layer}"));
            for (pointer, _) in compilation.written_leaves(&field) {
                let leaf = field.at(&pointer);
                if !compilation.ledger.touches(&leaf) {
                    let reason = "it applies to no endpoint of this release".to_owned();
                    compilation.ledger.claim(leaf, "", Verdict::Inactive { reason });
                }
            }
        }
    }
}

/// Labels that say whose an object is, for people; ownership itself stands on the ApplySet.
fn label(compilation: &mut Compilation<'_>) {
    let plane = compilation.input.plane.name.clone();
    for object in compilation.objects.values_mut() {
        let shared = object.role == Role::Class;
        let label = |object: &mut Object| {
            object.set_label("app.kubernetes.io/managed-by", "gateway-modules");
            if !shared {
                object.set_label("gatewaymodules.dev/data-plane", &plane);
            }
        };
        label(&mut object.object);
        if let Some(gate) = &mut object.gate {
            label(&mut gate.closed.0);
        }
    }
}

fn finish(mut compilation: Compilation<'_>) -> Compiled {
    let accepted = verdicts::Accepted::of(compilation.input.plane);
    verdicts::judge(&mut compilation, &accepted);
    let objects: BTreeMap<ObjectKey, Object> =
        compilation.objects.iter().map(|(key, object)| (key.clone(), object.object.clone())).collect();
    let (report, holes) =
        compilation.ledger.report(compilation.input.intent, &compilation.documents, &objects, &|place, name| {
            accepted.has(place, name)
        });
    verdicts::holes(&mut compilation, holes);
    let input = compilation.input;
    let metadata = input.module.metadata();
    let mut diagnostics = compilation.diagnostics;
    diagnostics.sort();
    let mut objects: Vec<ReleaseObject> = compilation.objects.into_values().collect();
    objects.sort_by_key(|object| (object.phase, object.key()));
    let mut contributions = compilation.contributions;
    contributions.sort_by(|a, b| (&a.target, &a.value).cmp(&(&b.target, &b.value)));
    let mut derived_secrets = compilation.derived_secrets;
    derived_secrets.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let mut policies = compilation.policies;
    policies.sort_by(|a, b| (&a.binding, a.kind, &a.field).cmp(&(&b.binding, b.kind, &b.field)));
    let claimed = compilation
        .claimed
        .into_inner()
        .into_iter()
        .map(|name| format!("{name}: claimed by the operator, shown by no test or report"));
    let release = Release {
        data_plane: input.plane.name.clone(),
        module: ModuleUse {
            name: metadata.name.to_owned(),
            version: input.version.clone(),
            class: compilation.class,
            controller: input
                .controller
                .clone()
                .or_else(|| metadata.controllers.first().map(|controller| (*controller).to_owned())),
            channel: input.channel,
            assumptions: input.assumptions.iter().cloned().chain(claimed).collect(),
        },
        objects,
        contributions,
        derived_secrets,
        requires: compilation.requires.into_iter().collect(),
        policies,
        report: report.clone(),
        in_force_after: input.module.in_force_after(),
    };
    let release = (!diagnostics.has_errors()).then_some(release);
    Compiled { release, report, diagnostics }
}
