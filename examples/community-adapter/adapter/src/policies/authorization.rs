//! `SecurityPolicy.spec.authorization`: claims of a verified token and addresses of clients, in one list of rules of which
//! the first that matches decides (CRD, `authorization.rules`).
//!
//! 1. one rule denies what `ipAccess.deny` names, so that it wins;
//! 2. the others allow: each principal has the addresses of `ipAccess.allow` *and* the claims, since all parts of a principal
//!    must match;
//! 3. whoever matches none is denied, unless only `deny` was asked for.

use gateway_modules_core::intent::policies::{ClaimRequirement, PolicyKind};
use serde_json::{Value, json};

use super::{Draft, Job, jwt};

/// Envoy Gateway must be told whether a claim is a text or a list, and an intent does not say: each requirement is written in
/// both ways, and the ways multiply.
const MAX_REQUIREMENTS: usize = 4;
/// CRD: values of a claim.
const MAX_VALUES: usize = 128;
/// CRD: name of a claim.
const MAX_NAME: usize = 253;
/// Envoy Gateway makes lists of these before it looks at them (`internal/xds/translator/jwt.go`,
/// `NormalizePayloadInMetadata`), so that `scope: "read write"` would pass where exactly `read` is asked for.
const SPLIT: [&str; 2] = ["scope", "scp"];

pub(crate) fn route(job: Job<'_>, draft: &mut Draft) {
    let policies = job.target.policies;
    let claims = policies.claims_authorization().filter(|_| job.target.must_map(PolicyKind::ClaimsAuthorization));
    let addresses = policies.ip_access().filter(|_| job.target.must_map(PolicyKind::IpAccess));
    let requirements = claims.as_ref().map(|policy| policy.value.require.as_slice()).unwrap_or_default();
    if let Some(policy) = &claims {
        let field = policy.field.child("require");
        if policies.jwt().is_none() {
            let reason = "no jwt verifies the token whose claims are asked for";
            draft.unsupported(field, reason, &["jwt on the same endpoint"]);
            return;
        }
        if !draft.spec.contains_key("jwt") {
            // The jwt itself was refused, and the CRD takes no claims without it.
            draft.unsupported(field, "the jwt of this endpoint is refused", &["a jwt that Envoy Gateway takes"]);
            return;
        }
        let before = draft.mapping.outcomes.len();
        if requirements.len() > MAX_REQUIREMENTS {
            let reason =
                "Envoy Gateway needs two rules for each further requirement, and this module writes 16 at most";
            draft.unsupported(
                field.clone(),
                reason,
                &["four requirements", "externalAuthorization", "module kgateway"],
            );
        }
        for (index, requirement) in requirements.iter().enumerate() {
            if let Err((child, reason)) = check(requirement) {
                let alternatives = ["a claim of another name", "externalAuthorization", "module kgateway"];
                draft.unsupported(field.child(index).child(child), reason, &alternatives);
            }
        }
        if draft.mapping.outcomes.len() > before {
            return;
        }
    }
    let (allow, deny) = addresses.as_ref().map_or((&[][..], &[][..]), |it| (&it.value.allow[..], &it.value.deny[..]));
    // Without bits below the mask.
    let denied: Vec<String> = deny.iter().map(|block| block.trunc().to_string()).collect();
    let allowed: Vec<String> = allow.iter().map(|block| block.trunc().to_string()).collect();

    let mut rules: Vec<Value> = Vec::new();
    if !deny.is_empty() {
        rules.push(json!({ "action": "Deny", "principal": { "clientCIDRs": denied } }));
    }
    let first_allow = rules.len();
    for claims in ways(requirements) {
        let mut principal = json!({});
        if !allow.is_empty() {
            principal["clientCIDRs"] = json!(allowed);
        }
        if !claims.is_empty() {
            principal["jwt"] = json!({ "provider": jwt::PROVIDER, "claims": claims });
        }
        if principal != json!({}) {
            rules.push(json!({ "action": "Allow", "principal": principal }));
        }
    }
    let allows: Vec<usize> = (first_allow..rules.len()).collect();
    let pointers = |tail: &str| -> Vec<String> {
        allows.iter().map(|index| format!("/authorization/rules/{index}/principal/{tail}")).collect()
    };
    let cite = |draft: &mut Draft, field, pointers: Vec<String>| {
        draft.exact(field, &pointers.iter().map(String::as_str).collect::<Vec<_>>());
    };

    let mut kinds = Vec::new();
    if let Some(policy) = &addresses {
        kinds.push(PolicyKind::IpAccess);
        if !deny.is_empty() {
            draft.exact(policy.field.child("deny"), &["/authorization/rules/0/principal/clientCIDRs"]);
        }
        if !allow.is_empty() {
            cite(draft, policy.field.child("allow"), pointers("clientCIDRs"));
        }
        if allow.is_empty() && deny.is_empty() {
            draft.exact(policy.field.clone(), &["/authorization/defaultAction"]);
        }
    }
    if let Some(policy) = &claims {
        kinds.push(PolicyKind::ClaimsAuthorization);
        cite(draft, policy.field.child("require"), pointers("jwt/claims"));
    }
    let Some((first, others)) = kinds.split_first() else { return };
    let default = if allows.is_empty() { "Allow" } else { "Deny" };
    draft.hold_security(*first, "authorization", json!({ "defaultAction": default, "rules": rules }));
    for kind in others {
        draft.join_security(*kind);
    }
}

fn check(requirement: &ClaimRequirement) -> Result<(), (&'static str, String)> {
    let name = requirement.claim.as_str();
    if SPLIT.contains(&name) {
        let reason = format!("Envoy Gateway takes {name} apart at spaces, so that a longer one would pass");
        return Err(("claim", reason));
    }
    if name.len() > MAX_NAME {
        return Err(("claim", "Envoy Gateway takes a claim of 253 characters at most".to_owned()));
    }
    if requirement.values.len() > MAX_VALUES {
        return Err(("values", "Envoy Gateway takes 128 values of a claim at most".to_owned()));
    }
    Ok(())
}

/// Every way in which the claims may be texts or lists; one empty way without requirements.
fn ways(requirements: &[ClaimRequirement]) -> Vec<Vec<Value>> {
    let mut ways = vec![Vec::new()];
    for requirement in requirements {
        let claim =
            |kind: &str| json!({ "name": requirement.claim.as_str(), "valueType": kind, "values": requirement.values });
        ways = ["String", "StringArray"]
            .into_iter()
            .flat_map(|kind| {
                ways.iter().map(move |way| {
                    let mut way: Vec<Value> = way.clone();
                    way.push(claim(kind));
                    way
                })
            })
            .collect();
    }
    ways
}
