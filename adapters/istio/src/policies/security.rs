//! Security policies of routes: places in the standing policies of the Gateway, each whole or refused.

use gateway_modules_core::{
    intent::{
        EndpointType, FieldRef,
        policies::{ExternalAuthorizationProtocol, Jwks, Jwt, PolicyKind},
    },
    module::{Citation, Difference, Enforcement, FieldOutcome, Mapping, RouteScope, Verdict},
};

use super::{Job, providers};
use crate::{
    access::{self, Standing},
    parameters::{self, Parameters},
};

/// Kinds that the standing policies carry.
const KINDS: [PolicyKind; 4] =
    [PolicyKind::Jwt, PolicyKind::ClaimsAuthorization, PolicyKind::IpAccess, PolicyKind::ExternalAuthorization];

struct Place<'a> {
    job: Job<'a>,
    standing: Standing<'a>,
    /// The rules that are meant, by their index in the standing policies.
    rules: Vec<usize>,
    parameters: Parameters,
}

impl Place<'_> {
    /// A place in the rule of each rule that is meant.
    fn at(&self, pointer: &str) -> Vec<Citation> {
        self.rules.iter().map(|rule| self.standing.cite(*rule, pointer, self.job.cx)).collect()
    }

    fn of_issuer(&self, jwt: &Jwt, pointer: &str) -> Vec<Citation> {
        vec![self.standing.cite_issuer(jwt.issuer.as_str(), pointer, self.job.cx)]
    }
}

pub(super) fn route(job: Job<'_>, scope: &RouteScope<'_>, mapping: &mut Mapping) {
    let kinds: Vec<PolicyKind> = KINDS.into_iter().filter(|kind| job.target.must_map(*kind)).collect();
    if kinds.is_empty() || !(scope.route.kind.is_http() || scope.route.kind == EndpointType::Grpc) {
        return;
    }
    let refuse = |mapping: &mut Mapping, reason: &str, alternatives: &[&str]| {
        for field in kinds.iter().filter_map(|kind| job.target.policies.field(*kind)) {
            mapping.unsupported(field.clone(), reason, alternatives);
        }
    };
    if scope.gateway.existing.is_some() {
        let reason = "Istio's policies hold for all routes of a Gateway, and this one carries routes of others";
        return refuse(mapping, reason, &["a Gateway that this plane manages"]);
    }
    let standing = Standing::of(job.cx.plane, scope.gateway);
    let rules: Vec<usize> =
        scope.rules.iter().filter_map(|rule| standing.position(&scope.route.binding, &rule.name)).collect();
    for rule in &rules {
        if let Err(reason) = standing.operations(*rule) {
            let alternatives =
                ["the same security policies for both", "a host of its own", "matches by path or method"];
            return refuse(mapping, &reason, &alternatives);
        }
    }
    // Provisioning has refused parameters that cannot be read.
    let Ok(parameters) = parameters::read(job.cx.plane) else { return };
    let place = Place { job, standing, rules, parameters };
    for kind in kinds {
        let made = match kind {
            PolicyKind::Jwt => jwt(&place, mapping),
            PolicyKind::ClaimsAuthorization => claims(&place, mapping),
            PolicyKind::IpAccess => ip_access(&place, mapping),
            _ => external_authorization(&place, mapping),
        };
        if made.is_some() {
            mapping.enforce(kind, Enforcement::StandingDeny);
        }
    }
}

/// Whether a text means itself where Istio matches texts: `*` at an end stands for anything (`security/conditions`).
fn literal(text: &str) -> bool {
    !text.contains('*')
}

fn refuse_wildcard(mapping: &mut Mapping, field: FieldRef, text: &str) {
    let reason = format!("{text:?} holds `*`, which stands for anything in Istio's policies");
    mapping.unsupported(field, reason, &["a value without `*`", "module kgateway"]);
}

fn jwt(place: &Place<'_>, mapping: &mut Mapping) -> Option<()> {
    let policy = place.job.target.policies.jwt()?;
    let (field, value) = (policy.field, policy.value);
    let url = match &value.jwks {
        Jwks::ConfigMap { .. } => {
            let reason = "Istio reads a key set from a URL, or from the text of its own policy, which a release cannot copy \
                          from a ConfigMap";
            mapping.unsupported(field.child("jwks"), reason, &["jwks.remote", "module kgateway"]);
            return None;
        }
        Jwks::Remote { url, cache_duration } => {
            if cache_duration.is_some() {
                let reason =
                    "istiod fetches keys at an interval of its installation (PILOT_JWT_PUB_KEY_REFRESH_INTERVAL)";
                mapping.unsupported(field.at("/jwks/remote/cacheDuration"), reason, &["no cacheDuration"]);
                return None;
            }
            url.as_str()
        }
    };
    if url.starts_with("http://") && !in_cluster(url) {
        let reason = "keys from outside the cluster would come unprotected";
        mapping.unsupported(field.at("/jwks/remote/url"), reason, &["https"]);
        return None;
    }
    for text in std::iter::once(&value.issuer).chain(&value.audiences) {
        if !literal(text.as_str()) {
            let name = if *text == value.issuer { "issuer" } else { "audiences" };
            refuse_wildcard(mapping, field.child(name), text.as_str());
            return None;
        }
    }
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if let Some(claim) = value.claims_to_headers.iter().find(|claim| !plain(claim.header.as_str())) {
        let reason = format!("Istio takes letters, digits, `-` and `_` in the header {}", claim.header);
        mapping.unsupported(field.child("claimsToHeaders"), reason, &["another header name"]);
        return None;
    }
    if let Some(other) = disagreement(place, value) {
        mapping.unsupported(
            field.clone(),
            format!("{other} verifies tokens of the same issuer in another way, and a Gateway has one for each issuer"),
            &["the same jwks, claimsToHeaders and forwardToken in both", "a visibility of its own"],
        );
        return None;
    }
    if place.rules.iter().any(|rule| {
        let cors = place.standing.entries[*rule].rule.policies.values.cors.as_ref();
        cors.is_some_and(|cors| access::origins(cors).is_none())
    }) {
        let reason =
            "preflight requests carry no token, and Istio's policies cannot tell origins with a wildcard inside";
        mapping.unsupported(field.clone(), reason, &["cors.allowOrigins without wildcards, or `*`"]);
        return None;
    }

    let mut differences = vec![Difference {
        name: "jwt/missing-token-403".to_owned(),
        text: "a request without a token, or with one for another audience, is refused with 403 by the AuthorizationPolicy, \
               not with 401; a wrong or expired token is refused with 401"
            .to_owned(),
        // The same requests are refused.
        stricter: true,
    }];
    let neighbour =
        place.standing.entries.iter().find(|entry| {
            entry.need.jwt.is_none_or(|jwt| jwt.issuer != value.issuer || jwt.audiences != value.audiences)
        });
    if let Some(neighbour) = neighbour {
        differences.push(Difference {
            name: "jwt/whole-gateway".to_owned(),
            text: format!(
                "Istio verifies bearer tokens of all requests to the Gateway: also {} answers 401 to one that is no valid \
                 token of a known issuer{}",
                neighbour.route.binding,
                if value.forward_token { "" } else { ", and gets a valid one removed" }
            ),
            stricter: true,
        });
    }
    let mut issuer = place.of_issuer(value, "/issuer");
    issuer.extend(place.at("/when/0/values/0"));
    mapping.outcomes.push(FieldOutcome {
        field: field.child("issuer"),
        verdict: Verdict::Approximate { differences },
        citations: issuer,
    });
    if !value.audiences.is_empty() {
        mapping.exact(field.child("audiences"), place.at("/when/1/values"));
    }
    mapping.exact(field.at("/jwks/remote/url"), place.of_issuer(value, "/jwksUri"));
    mapping.exact(field.child("forwardToken"), place.of_issuer(value, "/forwardOriginalToken"));
    if !value.claims_to_headers.is_empty() {
        mapping.exact(field.child("claimsToHeaders"), place.of_issuer(value, "/outputClaimToHeaders"));
    }
    Some(())
}

/// Another endpoint of the Gateway that names the same issuer and wants something else of its tokens.
fn disagreement(place: &Place<'_>, value: &Jwt) -> Option<String> {
    let entry = place.standing.entries.iter().find(|entry| {
        entry.need.jwt.is_some_and(|other| {
            other.issuer == value.issuer
                && (other.jwks != value.jwks
                    || other.claims_to_headers != value.claims_to_headers
                    || other.forward_token != value.forward_token)
        })
    })?;
    Some(entry.route.binding.to_string())
}

fn in_cluster(url: &str) -> bool {
    let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    let labels: Vec<&str> = host.split('.').skip(2).collect();
    matches!(labels.as_slice(), ["svc"] | ["svc", "cluster", "local"])
}

fn claims(place: &Place<'_>, mapping: &mut Mapping) -> Option<()> {
    let policy = place.job.target.policies.claims_authorization()?;
    let Some(jwt) = place.job.target.policies.jwt() else {
        let reason = "claims are those of a token that jwt has verified, and the rule has no jwt";
        mapping.unsupported(policy.field.clone(), reason, &["jwt"]);
        return None;
    };
    let require = policy.field.child("require");
    let wildcard = policy.value.require.iter().enumerate().find_map(|(index, item)| {
        item.values.iter().find(|value| !literal(value.as_str())).map(|value| (index, value))
    });
    if let Some((index, value)) = wildcard {
        refuse_wildcard(mapping, require.child(index).child("values"), value.as_str());
        return None;
    }
    let before = if jwt.value.audiences.is_empty() { 1 } else { 2 };
    for index in 0..policy.value.require.len() {
        let at = before + index;
        mapping.exact(require.child(index).child("claim"), place.at(&format!("/when/{at}/key")));
        mapping.exact(require.child(index).child("values"), place.at(&format!("/when/{at}/values")));
    }
    Some(())
}

fn ip_access(place: &Place<'_>, mapping: &mut Mapping) -> Option<()> {
    let policy = place.job.target.policies.ip_access()?;
    if !policy.value.allow.is_empty() {
        mapping.exact(policy.field.child("allow"), place.at("/from/0/source/remoteIpBlocks"));
    }
    if !policy.value.deny.is_empty() {
        mapping.exact(policy.field.child("deny"), place.at("/from/0/source/notRemoteIpBlocks"));
    }
    Some(())
}

fn external_authorization(place: &Place<'_>, mapping: &mut Mapping) -> Option<()> {
    let policy = place.job.target.policies.external_authorization()?;
    let (field, value) = (policy.field, policy.value);
    let first = place.rules.first().map(|rule| &place.standing.entries[*rule])?;
    let (_, namespace) = first.need.external?;
    if value.protocol == ExternalAuthorizationProtocol::Grpc {
        let reason =
            "to a gRPC service Istio shows all headers of the request, also those that the policy does not name";
        mapping.unsupported(field.child("protocol"), reason, &["protocol HTTP", "module kgateway"]);
        return None;
    }
    let Some(provider) = providers::authorization(&place.parameters, (value, namespace)) else {
        let reason = "Istio asks only services that its mesh configuration names (meshConfig.extensionProviders), and no \
                      parameter says that it has this one";
        mapping.unsupported(field.clone(), reason, &[&providers::wanted_authorization(value, namespace)]);
        return None;
    };
    let others = place.standing.entries.iter().filter_map(|entry| entry.need.external);
    if others.filter_map(|external| providers::authorization(&place.parameters, external)).any(|name| name != provider)
    {
        let reason = "another endpoint of the Gateway asks another service, and Istio asks one per Gateway";
        mapping.unsupported(field.clone(), reason, &["the same service for both", "a visibility of its own"]);
        return None;
    }
    mapping.requires.extend(providers::requirement(&place.parameters, &provider));
    // The mesh configuration holds the settings: another value is another provider, so its name stands for all of them.
    mapping.exact(field.clone(), [place.standing.cite_custom(&provider, "/spec/provider/name", place.job.cx)]);
    Some(())
}
