//! Policies that a gateway binds to what several rules share: a Service, a listener, or a Gateway.
//!
//! An effect wider than the binding is refused: they are emitted only where every rule there asks for the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Phase, Role,
    compilation::Compilation,
    draft,
    policies::{Enforced, FragmentEntry, RuleIndex, note_enforcement, policy_fields, take_mapping},
    routes::RouteDraft,
    standard_attached,
};
use crate::{
    intent::{EndpointType, FieldRef, policies::PolicyKind},
    module::{BackendScope, GatewayScope, PolicyTarget, Scope, SharedKey},
    resolve::{self, EffectivePolicies},
};

/// The value of one kind, as JSON; `None` when it is not set.
fn value_of(policies: &EffectivePolicies, kind: PolicyKind) -> Option<Value> {
    serde_json::to_value(&policies.values).ok()?.get(kind.field()).cloned()
}

/// Rules that share something, and what each asks for: every one must ask for the same, or the policy is refused.
pub(super) struct Agreement {
    /// The first policy, and the fields of the others with the same value.
    pub(super) fields: Vec<FieldRef>,
    pub(super) first: RuleIndex,
    pub(super) rules: Vec<RuleIndex>,
}

/// By kind, what those users of something shared who ask for it agree on.
fn agreements(
    compilation: &mut Compilation<'_>,
    drafts: &[RouteDraft<'_>],
    asked: &BTreeMap<PolicyKind, BTreeSet<RuleIndex>>,
    users: &BTreeSet<RuleIndex>,
    shared: &str,
) -> BTreeMap<PolicyKind, Agreement> {
    let asked = asked.iter().filter(|(_, asking)| !asking.is_disjoint(users));
    asked
        .filter_map(|(kind, asking)| Some((*kind, agree(compilation, drafts, *kind, asking, users, shared)?)))
        .collect()
}

/// Checks that all users of something shared ask for the same policy of a kind.
fn agree(
    compilation: &mut Compilation<'_>,
    drafts: &[RouteDraft<'_>],
    kind: PolicyKind,
    asking: &BTreeSet<RuleIndex>,
    users: &BTreeSet<RuleIndex>,
    shared: &str,
) -> Option<Agreement> {
    let policies = |(route, rule): RuleIndex| &drafts[route].rules[rule].rule.policies;
    let first = *users.iter().find(|user| asking.contains(user))?;
    let wanted = value_of(policies(first), kind);
    if let Some(other) = users.iter().find(|user| value_of(policies(**user), kind) != wanted) {
        let other_place = draft::place(drafts[other.0].route, drafts[other.0].rules[other.1].rule);
        for (route, rule) in users.iter().filter(|user| asking.contains(user)) {
            let Some(field) = drafts[*route].rules[*rule].rule.policies.field(kind).cloned() else { continue };
            let reason = format!(
                "{} binds {kind} to {shared}, and {other_place} uses that too and asks for another or none",
                compilation.gateway_title()
            );
            let alternatives = vec![
                "set the same policy for all of them".to_owned(),
                format!("give the endpoint {} of its own", shared_noun(shared)),
            ];
            compilation.refuse(
                &field,
                &draft::place(drafts[*route].route, drafts[*route].rules[*rule].rule),
                reason,
                alternatives,
            );
        }
        return None;
    }
    let mut fields: Vec<FieldRef> = Vec::new();
    for user in users {
        if let Some(field) = policies(*user).field(kind).filter(|field| !fields.contains(field)) {
            fields.push(field.clone());
        }
    }
    Some(Agreement { fields, first, rules: users.iter().copied().collect() })
}

fn shared_noun(shared: &str) -> &str {
    if shared.starts_with("Service") { "a Service" } else { "a visibility" }
}

/// Rules by the Service that they route to.
fn users_of_services(drafts: &[RouteDraft<'_>]) -> BTreeMap<(String, String), BTreeSet<RuleIndex>> {
    let mut users: BTreeMap<(String, String), BTreeSet<RuleIndex>> = BTreeMap::new();
    for (route, draft) in drafts.iter().enumerate() {
        for (rule, draft) in draft.rules.iter().enumerate() {
            for backend in &draft.rule.backends {
                users.entry((backend.namespace.clone(), backend.service.clone())).or_default().insert((route, rule));
            }
        }
    }
    users
}

/// Policies that the gateway binds to a Service, for all routes to it.
pub(super) fn map_backends(
    compilation: &mut Compilation<'_>,
    drafts: &mut [RouteDraft<'_>],
    asked: &BTreeMap<PolicyKind, BTreeSet<RuleIndex>>,
    enforced: &mut Vec<Enforced>,
    fragments: &mut BTreeMap<SharedKey, Vec<FragmentEntry>>,
) {
    for ((namespace, service), users) in users_of_services(drafts) {
        let place = format!("Service {namespace}/{service}");
        let mut agreed = agreements(compilation, drafts, asked, &users, &place);
        // What the gateway has no standard form of stays for the adapter.
        let standard = standard_attached::granularity(compilation, PolicyKind::BackendTls).is_some();
        if standard && let Some(agreement) = agreed.remove(&PolicyKind::BackendTls) {
            enforced.extend(standard_attached::backend_tls(compilation, drafts, &namespace, &service, &agreement));
        }
        let mut scope = BackendScope::new(namespace.clone(), service.clone());
        for (route, rule) in &users {
            scope.grpc |= drafts[*route].route.kind == EndpointType::Grpc;
            let backends = drafts[*route].rules[*rule].rule.backends.iter();
            scope.ports.extend(
                backends
                    .filter(|backend| backend.namespace == namespace && backend.service == service)
                    .map(|backend| backend.port.get()),
            );
        }
        let id = vec![namespace.clone(), service.clone()];
        map_shared(compilation, drafts, &agreed, Scope::Backend(scope), id, &place, enforced, fragments);
    }
}

/// Policies that the gateway binds to a Gateway, for all routes on it.
pub(super) fn map_gateways(
    compilation: &mut Compilation<'_>,
    drafts: &mut [RouteDraft<'_>],
    asked: &BTreeMap<PolicyKind, BTreeSet<RuleIndex>>,
    enforced: &mut Vec<Enforced>,
    fragments: &mut BTreeMap<SharedKey, Vec<FragmentEntry>>,
) {
    let plane = compilation.input.plane;
    for gateway in &plane.gateways {
        let users: BTreeSet<RuleIndex> = drafts
            .iter()
            .enumerate()
            .filter(|(_, draft)| draft.gateway.visibility == gateway.visibility)
            .flat_map(|(route, draft)| (0..draft.rules.len()).map(move |rule| (route, rule)))
            .collect();
        let place = format!("Gateway {}", gateway.visibility);
        let mut agreed = agreements(compilation, drafts, asked, &users, &place);
        let standard = standard_attached::granularity(compilation, PolicyKind::ClientCertificate).is_some();
        if standard && let Some(agreement) = agreed.remove(&PolicyKind::ClientCertificate) {
            enforced.extend(standard_attached::client_certificate(compilation, drafts, gateway, &agreement));
        }
        let namespace = compilation.gateway_namespace(gateway);
        let scope = GatewayScope::new(gateway, &namespace, None);
        map_shared(
            compilation,
            drafts,
            &agreed,
            Scope::Gateway(scope),
            vec![gateway.visibility.clone()],
            &place,
            enforced,
            fragments,
        );
    }
}

#[allow(clippy::too_many_arguments)] // one call, described by all of them
fn map_shared(
    compilation: &mut Compilation<'_>,
    drafts: &[RouteDraft<'_>],
    agreed: &BTreeMap<PolicyKind, Agreement>,
    scope: Scope<'_>,
    id: Vec<String>,
    place: &str,
    enforced: &mut Vec<Enforced>,
    fragments: &mut BTreeMap<SharedKey, Vec<FragmentEntry>>,
) {
    if agreed.is_empty() {
        return;
    }
    let mut policies = EffectivePolicies::default();
    let mut twins = Vec::new();
    let mut owner = String::new();
    for (kind, agreement) in agreed {
        let source = &drafts[agreement.first.0].rules[agreement.first.1].rule.policies;
        policies.values.take_from(*kind, &source.values);
        if let Some(provenance) = source.provenance.get(kind) {
            policies.provenance.insert(*kind, provenance.clone());
            twins.extend(
                agreement
                    .fields
                    .iter()
                    .filter(|field| **field != provenance.field)
                    .map(|field| (provenance.field.clone(), field.clone())),
            );
        }
        owner = resolve::owner(&drafts[agreement.first.0].route.source.document);
    }
    let kinds: BTreeSet<PolicyKind> = agreed.keys().copied().collect();
    let target = PolicyTarget::new(scope, &policies, kinds.clone(), id);
    let mapping = compilation.input.module.map(&target, &compilation.context());
    let fields = policy_fields(&policies, &kinds);
    take_mapping(compilation, &mapping, &fields, &twins, place, &owner, fragments);
    for (kind, agreement) in agreed {
        let one = BTreeSet::from([*kind]);
        note_enforcement(compilation, &mapping, &policies, &one, &agreement.rules, place, enforced);
        for route in agreement.rules.iter().map(|(route, _)| *route).collect::<BTreeSet<_>>() {
            let owner = resolve::owner(&drafts[route].route.source.document);
            for (object, _) in &mapping.objects {
                compilation.add(
                    object.clone(),
                    Phase::Policies,
                    Role::Policy { kinds: vec![*kind] },
                    Some(owner.clone()),
                );
            }
        }
    }
}
