//! `SecurityPolicy`: API keys, basic authentication, IP access.

use std::collections::BTreeMap;

use gateway_modules_core::{
    intent::policies::{ApiKeyLocation, PolicyKind},
    module::{Acknowledgement, DerivedSecret, Enforcement, Mapping, PolicyTarget, SecretTransform},
};
use serde_json::json;

use super::Draft;

/// It attaches from outside, and the controller writes `status.ancestors[]` (CRD SecurityPolicy), so core keeps the route closed
/// until the policy is acknowledged.
fn attached(mapping: &mut Mapping, kind: PolicyKind) {
    mapping.enforce(kind, Enforcement::Attached { acknowledgement: Some(Acknowledgement::PolicyAncestors) });
}

pub(super) fn map(target: &PolicyTarget<'_>, namespace: &str, htpasswd: &str, mapping: &mut Mapping) -> Draft {
    let mut draft = Draft::default();
    if let Some(policy) = target.policies.api_key().filter(|_| target.must_map(PolicyKind::ApiKey)) {
        let value = policy.value;
        let from = match &value.location {
            ApiKeyLocation::Header(name) => json!({ "headers": [name.as_str()] }),
            ApiKeyLocation::QueryParameter(name) => json!({ "params": [name.as_str()] }),
            ApiKeyLocation::Cookie(name) => json!({ "cookies": [name.as_str()] }),
        };
        // The neutral form of the Secret (client: key) is the one that `credentialRefs` describes.
        let spec = json!({
            "credentialRefs": [{ "name": value.credentials.name.as_str() }],
            "extractFrom": [from],
            "sanitize": !value.forward_key,
        });
        draft.hold(PolicyKind::ApiKey, "apiKeyAuth", spec);
        attached(mapping, PolicyKind::ApiKey);
        draft.exact(policy.field.child("location"), "/apiKeyAuth/extractFrom/0");
        draft.exact(policy.field.at("/credentials/name"), "/apiKeyAuth/credentialRefs/0/name");
        draft.exact(policy.field.child("forwardKey"), "/apiKeyAuth/sanitize");
    }
    if let Some(policy) = target.policies.basic_auth().filter(|_| target.must_map(PolicyKind::BasicAuth)) {
        let source = policy.field.at("/credentials/name");
        // "key .htpasswd … only SHA hash algorithm is supported" (CRD, basicAuth.users). Core makes the Secret at apply.
        mapping.derived_secrets.push(DerivedSecret {
            namespace: namespace.to_owned(),
            source: policy.value.credentials.name.as_str().to_owned(),
            name: htpasswd.to_owned(),
            transform: SecretTransform::HtpasswdSha1 { key: ".htpasswd".to_owned() },
            labels: BTreeMap::new(),
            secret_type: None,
            field: source.clone(),
        });
        draft.hold(PolicyKind::BasicAuth, "basicAuth", json!({ "users": { "name": htpasswd } }));
        attached(mapping, PolicyKind::BasicAuth);
        draft.exact(source, "/basicAuth/users/name");
        if policy.value.realm.is_some() {
            let reason = "SecurityPolicy has no field for the realm";
            mapping.unsupported(policy.field.child("realm"), reason, &["no realm", "module traefik"]);
        }
    }
    if let Some(policy) = target.policies.ip_access().filter(|_| target.must_map(PolicyKind::IpAccess)) {
        // The first rule that matches decides (CRD, authorization.rules), so deny stands first and wins.
        let mut rules = Vec::new();
        for (list, action, blocks) in [("deny", "Deny", &policy.value.deny), ("allow", "Allow", &policy.value.allow)] {
            if !blocks.is_empty() {
                let blocks: Vec<String> = blocks.iter().map(|block| block.trunc().to_string()).collect();
                let pointer = format!("/authorization/rules/{}/principal/clientCIDRs", rules.len());
                draft.exact(policy.field.child(list), &pointer);
                rules.push(json!({ "action": action, "principal": { "clientCIDRs": blocks } }));
            }
        }
        let default = if policy.value.allow.is_empty() { "Allow" } else { "Deny" };
        if rules.is_empty() {
            draft.exact(policy.field.clone(), "/authorization/defaultAction");
        }
        draft.hold(PolicyKind::IpAccess, "authorization", json!({ "defaultAction": default, "rules": rules }));
        attached(mapping, PolicyKind::IpAccess);
    }
    draft
}
