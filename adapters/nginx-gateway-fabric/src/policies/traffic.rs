//! Traffic policies.

use gateway_modules_core::{
    intent::policies::PolicyKind,
    module::{Mapping, RouteScope},
};
use serde_json::json;

use super::{Draft, Job};
use crate::{nginx, resources::CLIENT_SETTINGS_POLICY};

/// NGINX counts the body while it passes, so streams are fine.
pub(crate) fn body_size_limit(job: Job<'_>, route: &RouteScope<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::BodySizeLimit;
    let Some(policy) = job.target.policies.body_size_limit().filter(|_| job.target.must_map(kind)) else { return };
    let field = policy.field.child("max");
    let bytes = policy.value.max.as_bytes();
    if bytes == 0 {
        // `client_max_body_size 0` is no limit at all.
        mapping.unsupported(field, "NGINX takes 0 for no limit", &["at least 1 byte", "methods without a body"]);
        return;
    }
    let Some(size) = nginx::size(bytes) else {
        let reason = "NGINX Gateway Fabric takes at most four digits of bytes, k, m or g";
        mapping.unsupported(field, reason, &[&format!("{} of NGINX, the next smaller", nginx::size_below(bytes))]);
        return;
    };
    let mut draft = Draft::new(kind, json!({ "body": { "maxSize": size } }));
    draft.exact(field, "/body/maxSize");
    draft.on_each_route(job, route, &CLIENT_SETTINGS_POLICY, policy.field, mapping);
}
