//! What an intent means, checked without a gateway: names that exist, fields that belong together.
//!
//! Works on [`Intent`], and so for files, Rust values and cluster objects alike.

mod components;
mod documents;
mod endpoints;
mod listeners;
mod place;
mod planes;
mod policies;

use self::place::Checker;
use super::Intent;
use crate::diagnostic::Diagnostics;

/// All semantic errors and warnings of an intent, in the order of their places.
pub fn check(intent: &Intent) -> Diagnostics {
    let mut checker = Checker::new(intent);
    documents::check(&mut checker);
    planes::check(&mut checker);
    components::check(&mut checker);
    checker.finish()
}

#[cfg(test)]
mod tests;
