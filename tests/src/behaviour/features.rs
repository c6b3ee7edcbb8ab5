//! What a gateway has besides policy kinds: protocols, ways to match a request, parts of standard filters.

use futures::future::BoxFuture;
use gateway_modules_core::capability::CapabilityName;
use serde_json::Value;

use super::{
    matching, protocols,
    scene::{Scene, Shown},
    streams,
};

/// A case.
pub(super) struct Feature {
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) capability: CapabilityName,
    /// What is laid over the usual endpoint.
    pub(super) endpoint: fn() -> Value,
    /// The requests at a host; what they have shown, for the table.
    pub(super) show: for<'a> fn(&'a Scene, &'a str) -> BoxFuture<'a, Shown>,
}

/// All of them, in their order.
pub(super) fn all() -> impl Iterator<Item = &'static Feature> {
    protocols::FEATURES.iter().chain(matching::FEATURES).chain(streams::FEATURES)
}
