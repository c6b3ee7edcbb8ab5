//! Plans an apply: what would be created, updated, deleted, and what belongs to others. Pure: it is given what is live.

mod closing;
mod compare;
mod contribution;
mod deletions;
mod diff;
mod drift;
mod error;
mod live;
mod managed;
mod options;
mod planner;
mod quantity;
mod secrets;
mod set;
mod step;
#[cfg(test)]
mod tests;

pub use self::{
    compare::{ChangeKind, Comparison, FieldChange, compare, lost_fields, sent_mark},
    contribution::{
        Contradiction, ContributionAction, ContributionField, ContributionRecord, ContributionStep, contribution_patch,
    },
    drift::Drift,
    error::PlanError,
    live::{LiveClass, LiveObject, LiveState, SourceSecret},
    managed::{FieldSet, FieldStep, ManagedBy, managers},
    options::PlanOptions,
    planner::{Wanted, plan, plan_delete, seems_to_differ, wanted},
    set::{
        ANNOTATION_CLOSED, ANNOTATION_GROUP_KINDS, ANNOTATION_NAMESPACES, ANNOTATION_PROTECTED_BY, ANNOTATION_RELEASE,
        ANNOTATION_SENT, ANNOTATION_SOURCE, ANNOTATION_TOOLING, DATA_RECORD, Identity, LABEL_DATA_PLANE, LABEL_ID,
        LABEL_INSTALLATION, LABEL_PART_OF, ParentRecord, ParentState, Selection, SetIdentity, TOOLING, apply_set_id,
    },
    step::{
        Action, FormerSet, GateStep, Membership, Opening, Owner, Plan, PlanSummary, SecretAction, SecretStep, Step,
    },
};
