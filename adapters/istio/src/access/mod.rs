//! Who may come in: the standing policies of a Gateway.
//!
//! Istio's policies attach to Gateways, never to routes. Each Gateway that a plane manages has ALLOW policies from before
//! it exists: what no rule of theirs names is refused with 403. Each rule of each endpoint has one rule in them, at the
//! index of the rule among all of the Gateway; an open endpoint's has no condition. So a route that the policies do not
//! know yet is closed, and a protected one opens only to what its rule asks.

mod area;
mod hosts;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use gateway_modules_core::{
    intent::{
        EndpointType, ListenerProtocol,
        policies::{ClaimsAuthorization, Cors, ExternalAuthorization, IpAccess, Jwks, Jwt},
    },
    module::{Citation, Context},
    object::{GroupVersionKind, Object, ObjectKey},
    resolve::{Binding, DataPlaneTopology, GatewayTopology, RouteTopology, RuleTopology},
};
use serde_json::json;

use self::area::Area;
use crate::resources::{
    AUTHORIZATION_POLICY, AccessRule, ClaimHeader, Condition, From, JwtRule, Operation, REQUEST_AUTHENTICATION, Source,
    To, gateway_refs, object,
};

/// `AuthorizationPolicy.spec.rules` holds at most so many (CRD); ALLOW policies add up, so more rules are more policies.
const MAX_RULES: usize = 512;
/// More operations for one rule than anyone could read: refused.
const MAX_OPERATIONS: usize = 64;

/// What a request must have for a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Need<'a> {
    pub(crate) jwt: Option<&'a Jwt>,
    pub(crate) claims: Option<&'a ClaimsAuthorization>,
    pub(crate) ip: Option<&'a IpAccess>,
    /// With the namespace that the Service is in.
    pub(crate) external: Option<(&'a ExternalAuthorization, &'a str)>,
}

impl<'a> Need<'a> {
    fn of(route: &'a RouteTopology, rule: &'a RuleTopology) -> Self {
        let values = &rule.policies.values;
        Self {
            jwt: values.jwt.as_ref(),
            claims: values.claims_authorization.as_ref(),
            ip: values.ip_access.as_ref(),
            external: values.external_authorization.as_ref().map(|policy| {
                (policy, policy.namespace.as_ref().map_or(route.namespace.as_str(), |namespace| namespace.as_str()))
            }),
        }
    }

    fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// One rule of an endpoint on the Gateway.
pub(crate) struct Entry<'a> {
    pub(crate) route: &'a RouteTopology,
    pub(crate) rule: &'a RuleTopology,
    pub(crate) need: Need<'a>,
    areas: Vec<Area>,
    /// Ports and hosts at which it answers.
    slots: Vec<(u16, String)>,
}

/// Everything that the standing policies of one Gateway are made of.
pub(crate) struct Standing<'a> {
    gateway: &'a GatewayTopology,
    pub(crate) entries: Vec<Entry<'a>>,
    /// Entries by port and host.
    by_slot: BTreeMap<(u16, String), Vec<usize>>,
}

impl<'a> Standing<'a> {
    pub(crate) fn of(plane: &'a DataPlaneTopology, gateway: &'a GatewayTopology) -> Self {
        let mut entries = Vec::new();
        for route in plane.routes_on(gateway) {
            if !route.kind.is_http() && route.kind != EndpointType::Grpc {
                continue;
            }
            let slots = hosts::slots(gateway, route);
            for rule in &route.rules {
                let mut areas: Vec<Area> = rule.matches.iter().map(|(item, _)| Area::of(route.kind, item)).collect();
                if areas.is_empty() {
                    areas.push(Area::of(route.kind, &gateway_modules_core::intent::Match::default()));
                }
                entries.push(Entry { route, rule, need: Need::of(route, rule), areas, slots: slots.clone() });
            }
        }
        let mut by_slot: BTreeMap<(u16, String), Vec<usize>> = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            for slot in &entry.slots {
                by_slot.entry(slot.clone()).or_default().push(index);
            }
        }
        Self { gateway, entries, by_slot }
    }

    /// Index of a rule of an endpoint.
    pub(crate) fn position(&self, binding: &Binding, rule: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.route.binding == *binding && entry.rule.name == rule)
    }

    /// The requests that a rule takes, for the policies that admit or check them; or why they cannot be told.
    ///
    /// # Errors
    /// A match that hosts, methods and exact or prefix paths do not say, where it matters.
    pub(crate) fn operations(&self, index: usize) -> Result<Vec<Operation>, String> {
        let Some(entry) = self.entries.get(index) else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for slot in &entry.slots {
            if !entry.need.is_open() && hosts::port_is_open(self.gateway, slot.0) {
                return Err(format!(
                    "a listener that carries no HTTP endpoint shares port {}, and what it lets in cannot be told apart",
                    slot.0
                ));
            }
            for own in &entry.areas {
                let mut operations = vec![hosts::within(&self.by_slot, slot, own.operation())];
                for other in self.by_slot.get(slot).into_iter().flatten().filter(|other| **other != index) {
                    let other = &self.entries[*other];
                    if other.need == entry.need {
                        continue;
                    }
                    for theirs in other.areas.iter().filter(|theirs| theirs.overlaps(own)) {
                        match own.precedence(theirs) {
                            Ordering::Less if theirs.exact => {
                                operations = own.without(operations, theirs);
                            }
                            Ordering::Greater if own.exact => {}
                            _ => return Err(undecidable(entry, other)),
                        }
                        if operations.len() > MAX_OPERATIONS {
                            return Err("too many rules of the host ask for something else".to_owned());
                        }
                    }
                }
                all.extend(operations);
            }
        }
        Ok(merged(all))
    }

    /// The rule of the ALLOW policies for an entry. One that cannot be told admits nobody; the mapping refuses it.
    fn access_rule(&self, index: usize) -> AccessRule {
        let Ok(operations) = self.operations(index) else {
            return AccessRule { when: vec![nobody()], ..AccessRule::default() };
        };
        let mut rule = AccessRule {
            to: operations.into_iter().map(|operation| To { operation }).collect(),
            ..AccessRule::default()
        };
        let Some(entry) = self.entries.get(index) else { return rule };
        if rule.to.is_empty() {
            // Other rules take everything that it matches; a rule without `to` would admit all.
            rule.when.push(nobody());
            return rule;
        }
        rule.from.extend(source(entry.need));
        if let Some(jwt) = entry.need.jwt {
            // Not `requestPrincipals: [issuer/*]`, which also asks for a subject (RFC 7519 §4.1.2: optional).
            rule.when.push(condition("request.auth.claims[iss]", [jwt.issuer.as_str()]));
            if !jwt.audiences.is_empty() {
                rule.when.push(condition("request.auth.audiences", jwt.audiences.iter().map(|item| item.as_str())));
            }
        }
        for requirement in entry.need.claims.iter().flat_map(|claims| &claims.require) {
            let nested = requirement.claim.as_str().replace('.', "][");
            rule.when.push(condition(
                &format!("request.auth.claims[{nested}]"),
                requirement.values.iter().map(|value| value.as_str()),
            ));
        }
        rule
    }

    /// Lets preflight requests (Fetch standard) pass to the CORS filter, which answers them itself: Istio asks its
    /// policies first, and a browser sends no token with them. Only from origins that the filter knows.
    fn preflight(&self, index: usize) -> Option<AccessRule> {
        let entry = self.entries.get(index)?;
        if entry.need.jwt.is_none() && entry.need.claims.is_none() {
            return None;
        }
        let origins = origins(entry.rule.policies.values.cors.as_ref()?)?;
        let to: Vec<To> = self
            .operations(index)
            .ok()?
            .into_iter()
            .filter(|operation| operation.methods.is_empty() || operation.methods.contains("OPTIONS"))
            .filter(|operation| !operation.not_methods.contains("OPTIONS"))
            .map(|mut operation| {
                operation.not_methods.clear();
                operation.methods = ["OPTIONS".to_owned()].into();
                To { operation }
            })
            .collect();
        (!to.is_empty()).then(|| AccessRule {
            from: source(entry.need).into_iter().collect(),
            to,
            when: vec![
                Condition { key: "request.headers[origin]".to_owned(), values: origins },
                condition("request.headers[access-control-request-method]", ["*"]),
            ],
        })
    }

    /// The standing ALLOW policies; never none, since the first is what closes the Gateway.
    pub(crate) fn policies(&self, cx: &Context<'_>) -> Vec<Object> {
        let mut rules: Vec<AccessRule> = (0..self.entries.len()).map(|index| self.access_rule(index)).collect();
        rules.extend((0..self.entries.len()).filter_map(|index| self.preflight(index)));
        let open = hosts::open_listeners(self.gateway);
        rules.extend(
            open.into_iter().map(|operation| AccessRule { to: vec![To { operation }], ..AccessRule::default() }),
        );
        let mut parts: Vec<&[AccessRule]> = rules.chunks(MAX_RULES).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        parts
            .into_iter()
            .enumerate()
            .map(|(part, rules)| {
                let mut spec = json!({ "targetRefs": gateway_refs(&self.gateway.name), "action": "ALLOW" });
                if !rules.is_empty() {
                    spec["rules"] = json!(rules);
                }
                let name = policy_name(self.gateway, cx, part);
                object(&AUTHORIZATION_POLICY, &cx.gateway_namespace(self.gateway), &name, &spec)
            })
            .collect()
    }

    /// Cites a place in the rule of an entry.
    pub(crate) fn cite(&self, index: usize, pointer: &str, cx: &Context<'_>) -> Citation {
        let name = policy_name(self.gateway, cx, index / MAX_RULES);
        let object = key(&AUTHORIZATION_POLICY, self.gateway, &name, cx);
        Citation::Provisioned { object, pointer: format!("/spec/rules/{}{pointer}", index % MAX_RULES) }
    }

    /// The issuers of tokens, each once, with the entry that names it first. Istio asks no route which it wants.
    pub(crate) fn issuers(&self) -> BTreeMap<&'a str, &'a Jwt> {
        let mut issuers: BTreeMap<&str, &Jwt> = BTreeMap::new();
        for jwt in self.entries.iter().filter_map(|entry| entry.need.jwt) {
            if matches!(jwt.jwks, Jwks::Remote { .. }) {
                issuers.entry(jwt.issuer.as_str()).or_insert(jwt);
            }
        }
        issuers
    }

    /// The RequestAuthentication: which tokens are verified. It admits a request without one; the ALLOW policies do not.
    pub(crate) fn request_authentication(&self, cx: &Context<'_>) -> Option<Object> {
        let rules: Vec<JwtRule> = self
            .issuers()
            .into_values()
            .filter_map(|jwt| {
                let Jwks::Remote { url, .. } = &jwt.jwks else { return None };
                let all = || {
                    self.entries.iter().filter_map(|entry| entry.need.jwt).filter(|other| other.issuer == jwt.issuer)
                };
                let mut audiences = Vec::new();
                if all().all(|other| !other.audiences.is_empty()) {
                    for audience in all().flat_map(|other| &other.audiences) {
                        if !audiences.iter().any(|known: &String| known == audience.as_str()) {
                            audiences.push(audience.to_string());
                        }
                    }
                }
                Some(JwtRule {
                    issuer: jwt.issuer.to_string(),
                    audiences,
                    jwks_uri: url.to_string(),
                    forward_original_token: jwt.forward_token,
                    output_claim_to_headers: jwt
                        .claims_to_headers
                        .iter()
                        .map(|claim| ClaimHeader { header: claim.header.to_string(), claim: claim.claim.to_string() })
                        .collect(),
                })
            })
            .collect();
        let spec = json!({ "targetRefs": gateway_refs(&self.gateway.name), "jwtRules": rules });
        let name = token_name(self.gateway, cx);
        (!rules.is_empty()).then(|| object(&REQUEST_AUTHENTICATION, &cx.gateway_namespace(self.gateway), &name, &spec))
    }

    /// Cites a place in the rule of an issuer.
    pub(crate) fn cite_issuer(&self, issuer: &str, pointer: &str, cx: &Context<'_>) -> Citation {
        let index = self.issuers().keys().position(|name| *name == issuer).unwrap_or_default();
        let object = key(&REQUEST_AUTHENTICATION, self.gateway, &token_name(self.gateway, cx), cx);
        Citation::Provisioned { object, pointer: format!("/spec/jwtRules/{index}{pointer}") }
    }

    /// The CUSTOM policies, by provider: Istio asks the service before it looks at the ALLOW policies.
    pub(crate) fn custom_policies(
        &self,
        provider: impl Fn(&Entry<'_>) -> Option<String>,
        cx: &Context<'_>,
    ) -> Vec<Object> {
        let mut by_provider: BTreeMap<String, Vec<AccessRule>> = BTreeMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let Some(name) = provider(entry) else { continue };
            let Ok(operations) = self.operations(index) else { continue };
            if !operations.is_empty() {
                let to = operations.into_iter().map(|operation| To { operation }).collect();
                by_provider.entry(name).or_default().push(AccessRule { to, ..AccessRule::default() });
            }
        }
        by_provider
            .into_iter()
            .flat_map(|(provider, rules)| {
                let parts: Vec<Vec<AccessRule>> = rules.chunks(MAX_RULES).map(<[_]>::to_vec).collect();
                parts.into_iter().enumerate().map(move |(part, rules)| (provider.clone(), part, rules))
            })
            .map(|(provider, part, rules)| {
                let spec = json!({
                    "targetRefs": gateway_refs(&self.gateway.name),
                    "action": "CUSTOM",
                    "provider": { "name": provider },
                    "rules": rules,
                });
                let name = custom_name(self.gateway, &provider, part, cx);
                object(&AUTHORIZATION_POLICY, &cx.gateway_namespace(self.gateway), &name, &spec)
            })
            .collect()
    }

    /// Cites a place in the first CUSTOM policy of a provider.
    pub(crate) fn cite_custom(&self, provider: &str, pointer: &str, cx: &Context<'_>) -> Citation {
        let name = custom_name(self.gateway, provider, 0, cx);
        Citation::Provisioned {
            object: key(&AUTHORIZATION_POLICY, self.gateway, &name, cx),
            pointer: pointer.to_owned(),
        }
    }
}

/// Origins, as a policy can ask for them; `None` when one has a wildcard inside.
pub(crate) fn origins(cors: &Cors) -> Option<Vec<String>> {
    if cors.allow_origins.iter().any(|origin| origin.as_str() == "*") {
        return Some(vec!["*".to_owned()]);
    }
    cors.allow_origins.iter().map(|origin| (!origin.as_str().contains('*')).then(|| origin.to_string())).collect()
}

fn undecidable(own: &Entry<'_>, other: &Entry<'_>) -> String {
    format!(
        "rule {} and rule {} of {} can match the same hosts, methods and paths and ask for different things; Istio's \
         policies know no headers, query parameters, regular expressions or `*` of routes",
        own.rule.name, other.rule.name, other.route.binding
    )
}

fn source(need: Need<'_>) -> Option<From> {
    let ip = need.ip?;
    // The address of the connection, or what trusted proxies say it is (`numTrustedProxies`); `ipBlocks` would be the
    // address of the last proxy (istio.io tasks/security/authorization/authz-ingress).
    let source = Source { remote_ip_blocks: texts(&ip.allow), not_remote_ip_blocks: texts(&ip.deny) };
    (!source.remote_ip_blocks.is_empty() || !source.not_remote_ip_blocks.is_empty()).then_some(From { source })
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn condition<'t>(key: &str, values: impl IntoIterator<Item = &'t str>) -> Condition {
    Condition { key: key.to_owned(), values: values.into_iter().map(ToOwned::to_owned).collect() }
}

/// A condition that no request fulfils: a port that no connection has.
fn nobody() -> Condition {
    condition("destination.port", ["0"])
}

/// Fewer operations that say the same: those that differ in one list only become one.
fn merged(mut operations: Vec<Operation>) -> Vec<Operation> {
    let lists: [fn(&mut Operation) -> &mut BTreeSet<String>; 4] = [
        |operation| &mut operation.hosts,
        |operation| &mut operation.paths,
        |operation| &mut operation.methods,
        |operation| &mut operation.ports,
    ];
    for list in lists {
        let mut groups: BTreeMap<(Operation, bool), BTreeSet<String>> = BTreeMap::new();
        for mut operation in operations {
            let items = std::mem::take(list(&mut operation));
            // An empty list means any, and must not grow items.
            groups.entry((operation, items.is_empty())).or_default().extend(items);
        }
        operations = groups
            .into_iter()
            .map(|((mut operation, _), items)| {
                *list(&mut operation) = items;
                operation
            })
            .collect();
    }
    operations
}

fn key(kind: &GroupVersionKind, gateway: &GatewayTopology, name: &str, cx: &Context<'_>) -> ObjectKey {
    Object::new(kind, Some(&cx.gateway_namespace(gateway)), name).key()
}

/// Whether endpoints of type HTTP can be behind a listener.
fn carries_http(protocol: ListenerProtocol) -> bool {
    matches!(protocol, ListenerProtocol::Http | ListenerProtocol::Https)
}

fn policy_name(gateway: &GatewayTopology, cx: &Context<'_>, part: usize) -> String {
    cx.name(&["access", "standing", &gateway.visibility, &part.to_string()])
}

/// Before that of the standing policies in the order in which a release is written, so that a route is never admitted
/// before its service is asked: both are of one kind, which istiod watches in the order of writing.
fn custom_name(gateway: &GatewayTopology, provider: &str, part: usize, cx: &Context<'_>) -> String {
    cx.name(&["access", "custom", &gateway.visibility, provider, &part.to_string()])
}

fn token_name(gateway: &GatewayTopology, cx: &Context<'_>) -> String {
    cx.name(&["access", "tokens", &gateway.visibility])
}
