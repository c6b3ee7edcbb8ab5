//! Version of the contract between core and adapters.

use std::fmt;

use serde::Serialize;

/// Version of the contract that an adapter is written for, or that a core has.
///
/// A larger `minor` adds: methods with defaults, fields of inputs, variants. A larger `major` takes something away or changes
/// what it means, so an adapter must be read again before it says so (docs/adapter-author/stability.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Contract {
    /// Rises with what is incompatible.
    pub major: u32,
    /// Rises with what is added.
    pub minor: u32,
}

impl Contract {
    /// `metadata`, `declared`, `parameters_schema`, `provision`, `map`, `assemble`, `discover`.
    pub const V1_0: Self = Self::new(1, 0);
    /// Adds `claimed`, `installation`, `other_uses`, `controller_images`, `closed_backends`,
    /// `in_force_after` and `path_expressions`.
    pub const V1_1: Self = Self::new(1, 1);
    /// What this core has.
    pub const CURRENT: Self = Self::V1_1;

    /// A version.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Whether a core with this contract serves an adapter that is written for another.
    pub const fn serves(self, adapter: Self) -> bool {
        self.major == adapter.major && adapter.minor <= self.minor
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
