//! One file per command.

pub(crate) mod capabilities;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod explain;
pub(crate) mod modules;
pub(crate) mod render;
pub(crate) mod schema;
pub(crate) mod validate;
