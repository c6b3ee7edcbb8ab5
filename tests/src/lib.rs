//! Test kit.

pub mod contract;
pub mod samples;
