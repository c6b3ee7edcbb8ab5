//! Policies that core could not realise by standard fields: there is nothing else here.

use gateway_modules_core::module::{Mapping, PolicyTarget};

pub(crate) fn map(target: &PolicyTarget<'_>) -> Mapping {
    let mut mapping = Mapping::new();
    for kind in &target.remaining {
        if let Some(field) = target.policies.field(*kind) {
            mapping.unsupported(
                field.clone(),
                format!("Gateway API has no standard field for {kind} that this gateway is known to have"),
                &[
                    "the module of the gateway itself (`gwm compare`)",
                    "gateway.parameters.capabilities for a standard field",
                ],
            );
        }
    }
    mapping
}
