//! Why a release cannot be applied to a cluster at all.

use super::{contribution::Contradiction, set::Selection};
use crate::object::ObjectKey;

/// Why a release cannot be applied to a cluster at all. Each message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The GatewayClass is not there, and the release does not make it.
    #[error(
        "GatewayClass {class} is not in the cluster: install {module}, or name one of the classes that are there ({}) in \
         `gateway.className`",
        list(available)
    )]
    ClassMissing {
        /// The class.
        class: String,
        /// The module that it is for.
        module: String,
        /// Classes that are there.
        available: Vec<String>,
    },
    /// The class is another controller's.
    #[error(
        "GatewayClass {class} belongs to controller {found}, and module {module} was compiled for {expected}: name the \
         module of that controller, or another class"
    )]
    ControllerDiffers {
        /// The class.
        class: String,
        /// The module.
        module: String,
        /// Controller that the release was compiled for.
        expected: String,
        /// Controller of the live class.
        found: String,
    },
    /// Another module or class was applied last.
    #[error(
        "data plane {data_plane} runs on module {} with class {}, and the release is for {} with {}: keep the former, move \
         with `gwm switch`, or accept an outage with `--allow-outage`",
        recorded.module, recorded.class, wanted.module, wanted.class
    )]
    SelectionChanged {
        /// Data plane.
        data_plane: String,
        /// What was applied last.
        recorded: Box<Selection>,
        /// What the release is for.
        wanted: Box<Selection>,
    },
    /// One object is twice in the release.
    #[error("{object} is twice in the release; this is a defect of the compiler, please report it")]
    Twice {
        /// The object.
        object: Box<ObjectKey>,
    },
    /// Two components want different values in one field of an object of others.
    #[error(
        "`{}` of {} must be {:?} for {} and {:?} for {}: change one of them",
        .0.field, .0.target, .0.first.0, .0.first.1, .0.second.0, .0.second.1
    )]
    Contradiction(Box<Contradiction>),
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl From<Box<Contradiction>> for PlanError {
    fn from(found: Box<Contradiction>) -> Self {
        Self::Contradiction(found)
    }
}
