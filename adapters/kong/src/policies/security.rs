//! Security policies: every one of them whole, or refused.

use gateway_modules_core::{
    intent::policies::PolicyKind,
    module::{Acknowledgement, Enforcement},
};
use serde_json::json;

use super::plugin::Draft;

pub(crate) fn route(draft: &mut Draft<'_>) {
    ip_access(draft);
}

fn ip_access(draft: &mut Draft<'_>) {
    let (kind, target) = (PolicyKind::IpAccess, draft.job.target);
    let Some(policy) = target.policies.ip_access().filter(|_| target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if value.allow.is_empty() && value.deny.is_empty() {
        // The plugin's schema: at least one of the two.
        draft.unsupported(field.clone(), "Kong takes no empty list", &["an address in allow or deny"]);
        return;
    }
    let mut config = json!({ "status": 403 });
    for (name, list) in [("allow", &value.allow), ("deny", &value.deny)] {
        if !list.is_empty() {
            config[name] = list.iter().map(ToString::to_string).collect();
        }
    }
    let plugin = draft.plugin(kind, "ip-restriction", config);
    // A route whose KongPlugin is missing is served without it (`kongstate.go`, buildPlugins: a failure is reported, and
    // the route stays), so the filter alone protects nothing: the route stays closed until the plugin is programmed.
    let acknowledgement = Some(Acknowledgement::Condition("Programmed".to_owned()));
    draft.mapping.enforce(kind, Enforcement::Attached { acknowledgement });
    if !value.allow.is_empty() {
        draft.exact(field.child("allow"), plugin, "/allow");
    }
    if !value.deny.is_empty() {
        draft.exact(field.child("deny"), plugin, "/deny");
    }
}
