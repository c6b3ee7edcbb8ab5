//! Compiles a topology with one module and its capabilities into a release: objects, contributions, and a report with one
//! entry per leaf of the intent.

mod release;
mod report;

pub use self::{
    release::{
        ClosedForm, ContributionKey, Gate, GatePolicy, ModuleUse, Phase, PolicyStatement, Promise, Release,
        ReleaseObject, Role,
    },
    report::{Entry, Outcome, Report, ResolvedCitation, Summary},
};
