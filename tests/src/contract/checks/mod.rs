//! The checks.

mod capability;
mod combinations;
mod identity;
mod schemas;
mod security;
mod stable;

use gateway_modules_core::module::GatewayModule;

use super::{Bench, CheckReport, Options};

pub(super) fn run(module: &dyn GatewayModule, benches: &[Bench<'_>], options: &Options) -> Vec<CheckReport> {
    let metadata = identity::metadata(module);
    // Without versions that can be read there is nothing to compile for.
    if !metadata.failures.is_empty() {
        return vec![metadata];
    }
    vec![
        metadata,
        identity::versions(module, benches),
        stable::deterministic(benches),
        stable::total(benches),
        capability::declared_is_emitted(benches),
        capability::undeclared_is_refused(benches),
        capability::withdrawn_is_refused(benches),
        capability::published_is_declared(benches, options),
        security::in_force(benches),
        security::closed(benches),
        combinations::nothing_lost(benches),
        schemas::valid(benches, options),
    ]
}
