//! One file per command.

pub(crate) mod apply;
pub(crate) mod capabilities;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod controller;
pub(crate) mod crds;
pub(crate) mod delete;
pub(crate) mod discover;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod install;
pub(crate) mod modules;
pub(crate) mod new_adapter;
pub(crate) mod plan;
pub(crate) mod render;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod uninstall;
pub(crate) mod upgrade;
pub(crate) mod validate;
