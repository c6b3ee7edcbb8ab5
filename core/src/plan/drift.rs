//! What somebody has changed by hand: an object that is not as it was sent last, although nothing else is to be sent.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;
use serde_json::Value;

use super::{
    contribution::{ContributionAction, ContributionRecord, ContributionStep},
    live::LiveState,
    set::{ANNOTATION_SENT, Identity},
    step::{Action, Membership, Plan, Step},
};
use crate::{compile::PolicyStatement, object::ObjectKey};

/// An object that somebody has changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// The object.
    pub object: ObjectKey,
    /// The fields; empty when the object was deleted.
    pub fields: Vec<String>,
    /// Whether a security policy stands on the object, so that it is never left as it is.
    pub security: bool,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        if self.fields.is_empty() {
            return write!(f, "{} was deleted", self.object);
        }
        let fields: Vec<&str> = self.fields.iter().take(SHOWN).map(String::as_str).collect();
        write!(f, "{}: {}", self.object, fields.join(", "))?;
        match self.fields.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn mark(value: &Value) -> Option<&str> {
    value["metadata"]["annotations"][ANNOTATION_SENT].as_str()
}

/// Finds what was changed by hand. `applied` says that the release is the one that was applied last, completely.
pub(super) fn find(
    steps: &[Step],
    contributions: &[ContributionStep],
    policies: &[PolicyStatement],
    live: &LiveState,
    applied: bool,
) -> Vec<Drift> {
    let guarded: BTreeSet<Identity> = policies.iter().flat_map(|policy| &policy.objects).map(Identity::from).collect();
    let drift = |step: &Step, fields: Vec<String>| Drift {
        object: step.key.clone(),
        fields,
        security: step.gate.is_some() || guarded.contains(&Identity::from(&step.key)),
    };
    let mut found = Vec::new();
    // What has gone may also be on its way back from a release that was not applied to its end; then other things differ too.
    let mut settled = applied;
    for step in steps {
        match &step.action {
            Action::Update { changes, .. } => {
                let live = live.objects.get(&Identity::from(&step.key));
                let sent = step.object.as_ref().map(|object| object.to_value()).unwrap_or_default();
                if mark(&sent).is_some() && live.and_then(|live| mark(&live.value)) == mark(&sent) {
                    found.push(drift(step, changes.iter().map(|change| change.path.clone()).collect()));
                } else {
                    settled = false;
                }
            }
            Action::Unchanged | Action::Create => {}
            Action::Adopt { .. } | Action::Delete | Action::Release { .. } | Action::Conflict { .. } => settled = false,
        }
    }
    if settled {
        let gone = |step: &&Step| matches!(step.action, Action::Create) && step.membership == Membership::Plane;
        found.extend(steps.iter().filter(gone).map(|step| drift(step, Vec::new())));
    }
    let records: &[ContributionRecord] = live.parent.as_ref().map_or(&[], |parent| &parent.record.contributions);
    found.extend(contributions.iter().filter(|step| is_undone(step, records)).map(|step| Drift {
        object: step.target.clone(),
        fields: vec![step.field.to_string()],
        security: false,
    }));
    found
}

/// Whether a field of an object of others that we had set has another value now.
fn is_undone(step: &ContributionStep, records: &[ContributionRecord]) -> bool {
    matches!(step.action, ContributionAction::Set { .. })
        && records.iter().any(|record| {
            record.target == step.target && record.field == step.field && Some(record) == step.record.as_ref()
        })
}

impl Plan {
    /// Leaves as it is what was changed by hand, but for what security policies stand on. What is left is in [`Plan::drift`].
    #[must_use]
    pub fn without_repair(mut self) -> Self {
        let left: BTreeSet<Identity> =
            self.drift.iter().filter(|drift| !drift.security).map(|drift| Identity::from(&drift.object)).collect();
        for step in self.steps.iter_mut().filter(|step| left.contains(&Identity::from(&step.key))) {
            step.action = Action::Unchanged;
        }
        for step in &mut self.contributions {
            let undone = matches!(step.action, ContributionAction::Set { .. })
                && self
                    .drift
                    .iter()
                    .any(|drift| drift.object == step.target && drift.fields == [step.field.to_string()]);
            if undone {
                step.action = ContributionAction::Unchanged;
            }
        }
        self
    }
}
