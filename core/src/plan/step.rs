//! What a plan consists of.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::Serialize;

use super::{
    compare::FieldChange,
    contribution::{ContributionAction, ContributionRecord, ContributionStep},
    drift::Drift,
    set::{Selection, SetIdentity},
};
use crate::{
    compile::{GatePolicy, Phase, PolicyStatement},
    module::SecretTransform,
    object::{Object, ObjectKey},
};

/// Which set an object is a member of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Membership {
    /// The set of the data plane.
    Plane,
    /// The set of what planes share.
    Shared,
}

/// Who has an object that we want to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "owner")]
#[non_exhaustive]
pub enum Owner {
    /// Another ApplySet.
    Set {
        /// Its id.
        id: String,
        /// What it is, if it is one of this installation's.
        #[serde(skip_serializing_if = "Option::is_none")]
        set: Option<SetIdentity>,
    },
    /// Somebody without an ApplySet.
    Manager {
        /// Field managers, or the owning object.
        names: Vec<String>,
    },
    /// Other data planes need a shared object as it is.
    Planes {
        /// The sets that refer to it.
        sets: Vec<String>,
    },
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { set: Some(set), .. } => set.fmt(f),
            Self::Set { id, set: None } => write!(f, "ApplySet {id}"),
            Self::Manager { names } if names.is_empty() => f.write_str("an unknown field manager"),
            Self::Manager { names } => f.write_str(&names.join(", ")),
            Self::Planes { sets } => f.write_str(&sets.join(", ")),
        }
    }
}

/// What happens to an object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
#[non_exhaustive]
pub enum Action {
    /// It is not there, and will be.
    Create,
    /// It is ours and differs.
    Update {
        /// The fields.
        changes: Vec<FieldChange>,
        /// Unified diff of YAML.
        diff: String,
    },
    /// It is somebody else's, and `adopt` takes it.
    Adopt {
        /// Who has it now.
        from: Owner,
        /// The fields.
        changes: Vec<FieldChange>,
        /// Unified diff of YAML.
        diff: String,
    },
    /// It is ours and no longer wanted.
    Delete,
    /// It is shared, other planes still need it, and only our reference goes.
    Release {
        /// The sets that still refer to it.
        remaining: Vec<String>,
    },
    /// Nothing.
    Unchanged,
    /// It is somebody else's: nothing is written at all until that is settled.
    Conflict {
        /// Who has it.
        with: Owner,
    },
}

impl Action {
    /// Name for tables.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update { .. } => "update",
            Self::Adopt { .. } => "adopt",
            Self::Delete => "delete",
            Self::Release { .. } => "release",
            Self::Unchanged => "unchanged",
            Self::Conflict { .. } => "conflict",
        }
    }
}

/// How a route comes to be open behind its attached policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "opening")]
#[non_exhaustive]
pub enum Opening {
    /// Policies, the closed form, acknowledgement, the route.
    CloseThenOpen {
        /// Why.
        reason: String,
    },
    /// The route is open: policies, acknowledgement, then the route.
    PolicyThenRoute,
    /// Nothing that concerns it changes.
    Steady,
}

/// The gate of a route.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateStep {
    /// How it comes to be open.
    #[serde(flatten)]
    pub opening: Opening,
    /// The policies that must be effective.
    pub policies: Vec<GatePolicy>,
    /// The closed form, as it is sent.
    #[serde(skip)]
    pub closed: Object,
}

/// An object and what happens to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The object.
    pub key: ObjectKey,
    /// When it is written; deletion is the reverse, and what other objects name goes last, as a foundation.
    pub phase: Phase,
    /// Which set it is a member of.
    pub membership: Membership,
    /// What happens.
    #[serde(flatten)]
    pub action: Action,
    /// Components that need it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub owners: BTreeSet<String>,
    /// How the route is opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateStep>,
    /// The object as it is sent; of the deletion of a protected route, its closed form.
    #[serde(skip)]
    pub object: Option<Object>,
    /// `metadata.uid` of the live object.
    #[serde(skip)]
    pub uid: Option<String>,
}

impl Step {
    /// Whether the object is written or deleted.
    pub const fn is_write(&self) -> bool {
        matches!(self.action, Action::Create | Action::Update { .. } | Action::Adopt { .. } | Action::Delete)
    }

    /// Changes of fields that others own.
    pub fn contested(&self) -> impl Iterator<Item = &FieldChange> {
        let changes: &[FieldChange] = match &self.action {
            Action::Update { changes, .. } => changes,
            _ => &[],
        };
        changes.iter().filter(|change| change.is_contested())
    }
}

/// What happens to a Secret that is made from another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
#[non_exhaustive]
pub enum SecretAction {
    /// It is not there, and will be.
    Create,
    /// It is made again.
    Update {
        /// Why.
        reason: String,
    },
    /// Nothing.
    Unchanged,
    /// The source is not there, or the transform cannot be done.
    Blocked {
        /// What is missing, and what to do.
        reason: String,
    },
    /// It is somebody else's.
    Conflict {
        /// Who has it.
        with: Owner,
    },
}

/// A Secret that is made from another one; never with its content.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretStep {
    /// The derived Secret.
    pub key: ObjectKey,
    /// Name of the source, in the same namespace.
    pub source: String,
    /// What is made of it.
    pub transform: SecretTransform,
    /// What happens.
    #[serde(flatten)]
    pub action: SecretAction,
    /// The derived Secret without its data.
    #[serde(skip)]
    pub object: Object,
}

impl SecretStep {
    /// Whether the Secret is written.
    pub const fn is_write(&self) -> bool {
        matches!(self.action, SecretAction::Create | SecretAction::Update { .. })
    }
}

/// A set of the same data plane with another module, which goes first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FormerSet {
    /// The set.
    pub set: SetIdentity,
    /// The module that it was applied with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Its objects.
    pub deletes: Vec<ObjectKey>,
}

/// What an apply does, in the order in which it does it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Plan {
    /// Data plane.
    pub data_plane: String,
    /// The set of the data plane.
    pub set: SetIdentity,
    /// The set of what planes share.
    pub shared: SetIdentity,
    /// The release that the plan is for; absent in a plan that deletes everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The module that is recorded; absent in a plan that deletes everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Sets that go first, with an outage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<FormerSet>,
    /// Objects: written in this order, then deleted in this order.
    pub steps: Vec<Step>,
    /// Derived Secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretStep>,
    /// Fields of objects of others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contributions: Vec<ContributionStep>,
    /// Security policies and what is promised about each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyStatement>,
    /// What somebody has changed by hand, and the plan takes back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// Why the parent's record changes, although perhaps no object does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Whether fields that others own are taken over; whose objects are, each step says.
    pub adopt: bool,
    /// How long after its status says so a policy may not be in force in all proxies yet.
    #[serde(skip)]
    pub in_force_after: Duration,
    /// Resource versions of the parents that the plan was made for; an apply refuses a plan that has become stale.
    #[serde(skip)]
    pub(crate) versions: (Option<String>, Option<String>),
    /// References of the shared set that the plane holds after the apply.
    #[serde(skip)]
    pub(crate) references: BTreeSet<String>,
    /// Contributions that the parent records after the apply.
    #[serde(skip)]
    pub(crate) contribution_records: Vec<ContributionRecord>,
}

/// Number of objects by what happens to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanSummary {
    /// Created.
    pub create: usize,
    /// Updated.
    pub update: usize,
    /// Taken over.
    pub adopt: usize,
    /// Deleted.
    pub delete: usize,
    /// As they are.
    pub unchanged: usize,
    /// Of somebody else.
    pub conflict: usize,
    /// Waiting for something that is not there.
    pub blocked: usize,
}

impl Plan {
    /// Records why and when the gateway was chosen, unless it was recorded before.
    #[must_use]
    pub fn with_choice(mut self, reason: impl Into<String>, time: impl Into<String>) -> Self {
        if let Some(selection) = self.selection.as_mut().filter(|selection| selection.reason.is_none()) {
            selection.reason = Some(reason.into());
            selection.time = Some(time.into());
        }
        self
    }

    /// Whether an apply would write nothing.
    pub fn is_empty(&self) -> bool {
        self.record.is_none()
            && self.former.is_empty()
            && self.steps.iter().all(|step| matches!(step.action, Action::Unchanged))
            && self.secrets.iter().all(|step| matches!(step.action, SecretAction::Unchanged))
            && self.contributions.iter().all(|step| matches!(step.action, ContributionAction::Unchanged))
    }

    /// Number of objects (with derived Secrets and fields of others) by what happens to them.
    pub fn summary(&self) -> PlanSummary {
        let mut summary = PlanSummary::default();
        for step in &self.steps {
            match step.action {
                Action::Create => summary.create += 1,
                Action::Update { .. } => summary.update += 1,
                Action::Adopt { .. } => summary.adopt += 1,
                Action::Delete | Action::Release { .. } => summary.delete += 1,
                Action::Unchanged => summary.unchanged += 1,
                Action::Conflict { .. } => summary.conflict += 1,
            }
        }
        for step in &self.secrets {
            match step.action {
                SecretAction::Create => summary.create += 1,
                SecretAction::Update { .. } => summary.update += 1,
                SecretAction::Unchanged => summary.unchanged += 1,
                SecretAction::Blocked { .. } => summary.blocked += 1,
                SecretAction::Conflict { .. } => summary.conflict += 1,
            }
        }
        for step in &self.contributions {
            match step.action {
                ContributionAction::Set { .. } => summary.update += 1,
                ContributionAction::Withdraw { .. } | ContributionAction::Forget { .. } => summary.delete += 1,
                ContributionAction::Unchanged => summary.unchanged += 1,
                ContributionAction::Blocked { .. } => summary.blocked += 1,
                ContributionAction::Conflict { .. } => summary.conflict += 1,
            }
        }
        summary.delete += self.former.iter().map(|former| former.deletes.len()).sum::<usize>();
        summary
    }

    /// What keeps the plan from being applied: objects and fields of others. Each text names the owner and the way out.
    pub fn conflicts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for step in &self.steps {
            if let Action::Conflict { with } = &step.action {
                texts.push(format!(
                    "{} belongs to {with}: rename the component or endpoint, or take it over with `--adopt`",
                    step.key
                ));
            }
            if !self.adopt {
                for change in step.contested() {
                    let manager = change.manager.as_deref().unwrap_or("another field manager");
                    texts.push(format!(
                        "`{}` of {} is owned by {manager}: let {manager} give it up, or take it over with `--adopt`",
                        change.path, step.key
                    ));
                }
            }
        }
        for step in &self.secrets {
            if let SecretAction::Conflict { with } = &step.action {
                texts.push(format!("{} belongs to {with}: rename it, or take it over with `--adopt`", step.key));
            }
        }
        for step in &self.contributions {
            if let ContributionAction::Conflict { before, owner } = &step.action {
                let wanted_by = step.source.as_ref().map_or_else(|| "the release".to_owned(), ToString::to_string);
                texts.push(format!(
                    "`{}` of {} is {before:?}, set by {owner}, and {wanted_by} needs {:?}: change one of them, or take it \
                     over with `--adopt`",
                    step.field, step.target, step.value
                ));
            }
        }
        texts
    }

    /// What waits for something that is not there. The rest of the plan can be applied.
    pub fn blocked(&self) -> Vec<String> {
        let secrets = self.secrets.iter().filter_map(|step| match &step.action {
            SecretAction::Blocked { reason } => Some(format!("{}: {reason}", step.key)),
            _ => None,
        });
        let contributions = self.contributions.iter().filter_map(|step| match &step.action {
            ContributionAction::Blocked { reason } => Some(format!("{} of {}: {reason}", step.field, step.target)),
            _ => None,
        });
        secrets.chain(contributions).collect()
    }
}

impl fmt::Display for Plan {
    /// For people: one line per object, changes below it, a summary at the end. No content of a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for former in &self.former {
            writeln!(f, "- {} goes with {} objects", former.set, former.deletes.len())?;
        }
        for step in &self.steps {
            if matches!(step.action, Action::Unchanged)
                && step.gate.as_ref().is_none_or(|gate| gate.opening == Opening::Steady)
            {
                continue;
            }
            let sign = match step.action {
                Action::Create => '+',
                Action::Update { .. } | Action::Adopt { .. } => '~',
                Action::Delete | Action::Release { .. } => '-',
                Action::Unchanged => '=',
                Action::Conflict { .. } => '!',
            };
            writeln!(f, "{sign} {} {}", step.action.name(), step.key)?;
            match &step.action {
                Action::Conflict { with } => writeln!(f, "    belongs to {with}")?,
                Action::Adopt { from, diff, .. } => {
                    writeln!(f, "    taken from {from}")?;
                    indented(f, diff)?;
                }
                Action::Update { changes, diff } => {
                    for change in changes.iter().filter(|change| change.manager.is_some()) {
                        let manager = change.manager.as_deref().unwrap_or_default();
                        writeln!(f, "    {} is owned by {manager}", change.path)?;
                    }
                    indented(f, diff)?;
                }
                Action::Release { remaining } => writeln!(f, "    still needed by {}", remaining.join(", "))?,
                Action::Create | Action::Delete | Action::Unchanged => {}
            }
            if let Some(gate) = &step.gate {
                match &gate.opening {
                    Opening::CloseThenOpen { reason } => {
                        writeln!(f, "    written closed, opened when its policies are acknowledged: {reason}")?;
                    }
                    Opening::PolicyThenRoute => writeln!(f, "    after its policies are acknowledged")?,
                    Opening::Steady => {}
                }
            }
        }
        for step in &self.secrets {
            match &step.action {
                SecretAction::Create => writeln!(f, "+ create {} from Secret {}", step.key, step.source)?,
                SecretAction::Update { reason } => writeln!(f, "~ update {}: {reason}", step.key)?,
                SecretAction::Blocked { reason } => writeln!(f, "! blocked {}: {reason}", step.key)?,
                SecretAction::Conflict { with } => writeln!(f, "! conflict {} belongs to {with}", step.key)?,
                SecretAction::Unchanged => {}
            }
        }
        for step in &self.contributions {
            let (field, target, value) = (&step.field, &step.target, &step.value);
            match &step.action {
                ContributionAction::Set { before: None } => writeln!(f, "~ set {field} of {target} to {value:?}")?,
                ContributionAction::Set { before: Some(before) } => {
                    writeln!(f, "~ set {field} of {target} from {before:?} to {value:?}")?;
                }
                ContributionAction::Withdraw { restore: None } => writeln!(f, "~ withdraw {field} of {target}")?,
                ContributionAction::Withdraw { restore: Some(old) } => {
                    writeln!(f, "~ set {field} of {target} back to {old:?}")?;
                }
                ContributionAction::Forget { reason } => writeln!(f, "~ leave {field} of {target}: {reason}")?,
                ContributionAction::Blocked { reason } => writeln!(f, "! blocked {field} of {target}: {reason}")?,
                ContributionAction::Conflict { before, owner } => {
                    writeln!(f, "! conflict {field} of {target} is {before:?}, set by {owner}; wanted {value:?}")?;
                }
                ContributionAction::Unchanged => {}
            }
        }
        if let Some(reason) = &self.record {
            writeln!(f, "~ record: {reason}")?;
        }
        let summary = self.summary();
        write!(
            f,
            "{} to create, {} to update, {} to delete, {} unchanged",
            summary.create,
            summary.update + summary.adopt,
            summary.delete,
            summary.unchanged
        )?;
        if summary.conflict > 0 {
            write!(f, ", {} in conflict", summary.conflict)?;
        }
        if summary.blocked > 0 {
            write!(f, ", {} blocked", summary.blocked)?;
        }
        Ok(())
    }
}

fn indented(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.lines().try_for_each(|line| writeln!(f, "    {line}"))
}
