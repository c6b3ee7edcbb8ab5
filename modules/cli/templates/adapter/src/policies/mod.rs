//! Policies that Gateway API has no field for. Core has realised the others before it asks here.

use gateway_modules_core::module::{Context, Mapping, PolicyTarget};

pub(crate) fn map(target: &PolicyTarget<'_>, _: &Context<'_>) -> Mapping {
    let mut mapping = Mapping::new();
    // Map a kind here when `capabilities.rs` declares it: an object, and an outcome with the place of its bytes for every
    // field. What is left is refused with a reason, never dropped.
    for kind in &target.remaining {
        if let Some(field) = target.policies.field(*kind) {
            let reason = format!("example-gateway is not known to have {kind}");
            mapping.unsupported(field.clone(), reason, &["another module (`gwm compare`)"]);
        }
    }
    mapping
}
