//! The same intent on every module, or on two versions of one: what each makes of every policy.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{CompiledPlane, InstalledCrds, compile_for};
use gateway_modules_core::{
    compile::{Entry, Outcome},
    diagnostic::Diagnostics,
    intent::{DocumentId, FieldRef, Intent, policies::PolicyKind},
    module::{Registry, Verdict},
};

/// An intent on all modules of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Comparison {
    /// The modules, by name.
    pub modules: Vec<String>,
    /// What was asked, in order of place and kind.
    pub rows: Vec<ComparedRow>,
}

/// One thing that is asked for in one place, and what each module makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComparedRow {
    /// Where it is asked for: `namespace/component endpoint`, or `data plane NAME`.
    pub place: String,
    /// The policy kind; absent for the endpoint itself (its type, port, host, paths).
    pub policy: Option<PolicyKind>,
    /// By module; a module that was not asked (the plane names no such visibility) is missing.
    pub modules: BTreeMap<String, ComparedCell>,
}

/// What a module makes of it, over all its fields and all places where it has an effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComparedCell {
    /// Fields that are exact.
    pub exact: usize,
    /// Fields that are approximate.
    pub approximate: usize,
    /// Fields that are refused.
    pub refused: usize,
    /// Names and words of the differences, and reasons of the refusals.
    pub reasons: BTreeSet<String>,
    /// Names of the differences.
    pub differences: BTreeSet<String>,
}

impl ComparedCell {
    /// The worst of its fields: `exact`, `approximate` or `refused`.
    pub fn verdict(&self) -> &'static str {
        match (self.refused, self.approximate) {
            (0, 0) => "exact",
            (0, _) => "approximate",
            _ => "refused",
        }
    }

    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Exact | Verdict::Decides { .. } => self.exact += 1,
            Verdict::Approximate { differences } => {
                self.approximate += 1;
                self.differences.extend(differences.iter().map(|difference| difference.name.clone()));
                self.reasons
                    .extend(differences.iter().map(|difference| format!("{}: {}", difference.name, difference.text)));
            }
            Verdict::Unsupported { reason, .. } => {
                self.refused += 1;
                self.reasons.insert(reason.clone());
            }
            _ => {}
        }
    }
}

/// Compiles an intent for every module of a registry, whatever its planes name, and lays the reports side by side.
///
/// # Errors
/// As [`compile_for`]. What a gateway cannot do is no error but a cell.
pub fn compare(intent: &Intent, registry: &Registry, crds: &InstalledCrds) -> Result<Comparison, Diagnostics> {
    let modules: Vec<String> = registry.names().into_iter().map(str::to_owned).collect();
    let mut rows: BTreeMap<Asked, BTreeMap<String, ComparedCell>> = BTreeMap::new();
    for module in &modules {
        let planes = compile_for(intent, registry, module, crds)?;
        for (asked, cell) in cells(intent, &planes) {
            rows.entry(asked).or_default().insert(module.clone(), cell);
        }
    }
    let rows = rows.into_iter().map(|((place, policy), modules)| ComparedRow { place, policy, modules }).collect();
    Ok(Comparison { modules, rows })
}

/// One thing that is asked for in one place, of which another version of the gateway makes something else.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerdictChange {
    /// Where it is asked for: `namespace/component endpoint`, or `data plane NAME`.
    pub place: String,
    /// The policy kind; absent for the endpoint itself (its type, port, host, paths).
    pub policy: Option<PolicyKind>,
    /// What the one version makes of it.
    pub before: ComparedCell,
    /// What the other makes of it.
    pub after: ComparedCell,
}

impl VerdictChange {
    /// Whether the other version does less.
    pub fn is_loss(&self) -> bool {
        let rank = |cell: &ComparedCell| (cell.refused > 0, cell.approximate > 0);
        rank(&self.after) > rank(&self.before)
    }
}

impl fmt::Display for VerdictChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.policy.map_or("routing", PolicyKind::name);
        write!(f, "{} {what}: {}, was {}", self.place, self.after.verdict(), self.before.verdict())?;
        let reasons: Vec<&str> = self.after.reasons.difference(&self.before.reasons).map(String::as_str).collect();
        if reasons.is_empty() { Ok(()) } else { write!(f, " ({})", reasons.join("; ")) }
    }
}

/// What another version of a gateway makes otherwise of the same intent, in order of place and kind: `before` and `after` are the
/// same planes, compiled for the one version and for the other. A verdict that stays is left out, whatever its
/// words; of an approximation, its differences count.
pub fn verdict_changes(intent: &Intent, before: &[CompiledPlane], after: &[CompiledPlane]) -> Vec<VerdictChange> {
    let mut old = cells(intent, before);
    let mut changes = Vec::new();
    for ((place, policy), after) in cells(intent, after) {
        let before = old.remove(&(place.clone(), policy)).unwrap_or_default();
        if before.verdict() != after.verdict() || before.differences != after.differences {
            changes.push(VerdictChange { place, policy, before, after });
        }
    }
    changes
}

type Asked = (String, Option<PolicyKind>);

/// What some planes make of all that is asked for.
fn cells(intent: &Intent, planes: &[CompiledPlane]) -> BTreeMap<Asked, ComparedCell> {
    let mut cells: BTreeMap<Asked, ComparedCell> = BTreeMap::new();
    for entry in planes.iter().flat_map(|plane| &plane.compiled.report.entries) {
        let policy = policy(entry);
        for outcome in entry.outcomes.iter().filter(|outcome| is_asked(outcome, policy)) {
            cells.entry((place(intent, &entry.field), policy)).or_default().add(&outcome.verdict);
        }
    }
    cells
}

/// Whether a leaf asks something of a gateway, and is not there to decide about other leaves. A leaf of a policy that decides
/// does so about the installation, which must have what it says (access log and tracing of Traefik).
fn is_asked(outcome: &Outcome, policy: Option<PolicyKind>) -> bool {
    match outcome.verdict {
        Verdict::Overridden { .. } | Verdict::Inactive { .. } => false,
        Verdict::Decides { .. } => policy.is_some(),
        _ => true,
    }
}

/// Where a leaf is written, in the words of those who wrote it.
fn place(intent: &Intent, field: &FieldRef) -> String {
    match &field.document {
        DocumentId::DataPlane { name } => format!("data plane {name}"),
        DocumentId::Component { namespace, name } => {
            let endpoint = intent
                .components
                .iter()
                .find(|component| component.id() == field.document)
                .zip(field.pointer.strip_prefix("/spec/endpoints/"))
                .and_then(|(component, rest)| {
                    let index: usize = rest.split('/').next()?.parse().ok()?;
                    component.spec.endpoints.get(index)
                });
            match endpoint {
                Some(endpoint) => format!("{namespace}/{name} {}", endpoint.name),
                None => format!("{namespace}/{name}"),
            }
        }
    }
}

/// The kind of policy that a leaf belongs to.
fn policy(entry: &Entry) -> Option<PolicyKind> {
    let mut tokens = entry.field.pointer.split('/');
    if let Some(kind) =
        tokens.by_ref().find(|token| *token == "policies").and_then(|_| tokens.find_map(PolicyKind::from_field))
    {
        return Some(kind);
    }
    entry.field.pointer.split('/').any(|token| token == "backends").then_some(PolicyKind::TrafficSplit)
}
