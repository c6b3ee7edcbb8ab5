//! Texts of standard fields that NGINX would read as its own language. Core writes those fields, and NGINX Gateway Fabric
//! refuses the whole route for one of them, after the release is applied; so they are refused here.

use gateway_modules_core::{
    intent::{
        FieldRef, PathMatch, ValueMatch,
        policies::{HeaderChanges, PathRewrite, RedirectPath},
    },
    module::Refusal,
    resolve::{DataPlaneTopology, RuleTopology},
};

use crate::nginx::{unsafe_in_path, unsafe_in_quotes};

/// Every such text of a plane, once.
pub(super) fn refuse(plane: &DataPlaneTopology) -> Vec<Refusal> {
    let mut refusals: Vec<Refusal> = Vec::new();
    for rule in plane.routes.iter().flat_map(|route| &route.rules) {
        for refusal in matches(rule).into_iter().chain(headers(rule)).chain(paths(rule)) {
            if !refusals.contains(&refusal) {
                refusals.push(refusal);
            }
        }
    }
    refusals
}

fn refusal(field: FieldRef, what: &str, found: char) -> Refusal {
    let reason = format!("{found:?} in {what} is part of NGINX's own language, and NGINX Gateway Fabric refuses it");
    Refusal::new(field, reason, &["a text without $, quotes and backslashes", "another module: `gwm compare`"])
}

fn matches(rule: &RuleTopology) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (condition, field) in &rule.matches {
        let field = field.as_ref().unwrap_or(&rule.source);
        if let Some(PathMatch::Exact(path) | PathMatch::Prefix(path)) = &condition.path
            && let Some(found) = unsafe_in_path(path.as_str())
        {
            refusals.push(refusal(field.child("path"), "a path", found));
        }
        for (index, header) in condition.headers.iter().enumerate() {
            if let ValueMatch::Exact(value) = &header.value
                && let Some(found) = unsafe_in_quotes(value.as_str())
            {
                refusals.push(refusal(field.child("headers").child(index).child("value"), "a header value", found));
            }
        }
    }
    refusals
}

fn headers(rule: &RuleTopology) -> Vec<Refusal> {
    let Some(policy) = rule.policies.header_modification() else { return Vec::new() };
    let mut refusals = Vec::new();
    let sides: [(&str, &HeaderChanges); 2] = [("request", &policy.value.request), ("response", &policy.value.response)];
    for (side, changes) in sides {
        for (list, headers) in [("set", &changes.set), ("add", &changes.add)] {
            for (index, header) in headers.iter().enumerate() {
                if let Some(found) = unsafe_in_quotes(header.value.as_str()) {
                    let field = policy.field.child(side).child(list).child(index);
                    refusals.push(refusal(field, "a header value", found));
                }
            }
        }
    }
    refusals
}

fn paths(rule: &RuleTopology) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if let Some(policy) = rule.policies.url_rewrite()
        && let Some(PathRewrite::ReplaceFullPath(path) | PathRewrite::ReplacePrefixMatch(path)) = &policy.value.path
        && let Some(found) = unsafe_in_path(path.as_str())
    {
        refusals.push(refusal(policy.field.child("path"), "a path", found));
    }
    if let Some(policy) = rule.policies.redirect()
        && let Some(RedirectPath::ReplaceFullPath(path) | RedirectPath::ReplacePrefixMatch(path)) = &policy.value.path
        && let Some(found) = unsafe_in_path(path.as_str())
    {
        refusals.push(refusal(policy.field.child("path"), "a path", found));
    }
    refusals
}
