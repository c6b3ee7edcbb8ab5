//! What a plan may do.

/// What a plan may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a permission of its own")]
pub struct PlanOptions {
    /// Take over objects and fields of others.
    pub adopt: bool,
    /// Take back fields of objects of our own set that somebody has changed. Objects of others stay theirs.
    pub repair: bool,
    /// Allow that another module or class replaces the one that was applied last, with an outage in between.
    pub allow_outage: bool,
    /// Delete nothing and withdraw nothing: what the release does not show stays as it is.
    pub keep: bool,
}

impl PlanOptions {
    /// Take over objects and fields of others.
    #[must_use]
    pub const fn with_adopt(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// Take back fields of objects of our own set that somebody has changed.
    #[must_use]
    pub const fn with_repair(mut self, repair: bool) -> Self {
        self.repair = repair;
        self
    }

    /// Allow an outage when the module or class changes.
    #[must_use]
    pub const fn with_allow_outage(mut self, allow_outage: bool) -> Self {
        self.allow_outage = allow_outage;
        self
    }

    /// Delete nothing and withdraw nothing.
    #[must_use]
    pub const fn with_keep(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }
}
