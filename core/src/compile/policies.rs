//! Policies that standard fields of routes have not realised: who is asked, for which target, and what is made of the answer.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Phase, Role,
    compilation::Compilation,
    draft::{self, FilterDraft},
    ledger::ClaimId,
    routes::RouteDraft,
    shared_policies, standard_attached,
};
use crate::{
    capability::{CapabilityName, EvidenceKind, Granularity},
    intent::{EndpointType, FieldRef, policies::PolicyKind},
    module::{
        Citation, Enforcement, FieldOutcome, Fragment, Mapping, PolicyTarget, RouteEdit, RouteScope, Scope, SharedKey,
        Verdict,
    },
    object::{Object, ObjectKey},
    resolve::{self, EffectivePolicies},
};

/// A fragment of a shared object, the claims about it, and the components that need it.
pub(super) type FragmentEntry = (Fragment, Vec<ClaimId>, String);

/// Which rule of which route.
pub(super) type RuleIndex = (usize, usize);

/// A security policy in force for some rules, and the objects that realise it.
pub(super) struct Enforced {
    pub(super) rules: Vec<RuleIndex>,
    pub(super) kind: PolicyKind,
    pub(super) field: FieldRef,
    pub(super) enforcement: Enforcement,
    pub(super) objects: Vec<ObjectKey>,
}

/// One text for the values of some kinds: equal texts mean that the same policies of the same fields are in force.
pub(super) fn fingerprint(policies: &EffectivePolicies, kinds: &BTreeSet<PolicyKind>) -> String {
    kinds.iter().filter_map(|kind| policies.field(*kind).map(|field| format!("{kind}={field};"))).collect()
}

/// Maps everything that is left; returns the security policies that are in force.
pub(super) fn map(compilation: &mut Compilation<'_>, drafts: &mut [RouteDraft<'_>]) -> Vec<Enforced> {
    let mut enforced = inline(drafts);
    let mut fragments: BTreeMap<SharedKey, Vec<FragmentEntry>> = BTreeMap::new();
    let scopes = sort_by_scope(compilation, drafts);
    for (index, kinds) in scopes.route.iter().enumerate() {
        map_route(compilation, drafts, index, kinds, &mut enforced, &mut fragments);
    }
    shared_policies::map_backends(compilation, drafts, &scopes.backend, &mut enforced, &mut fragments);
    shared_policies::map_gateways(compilation, drafts, &scopes.gateway, &mut enforced, &mut fragments);
    assemble(compilation, fragments);
    enforced
}

/// Security policies that core has written into the rules themselves: a rule has no form in which they are missing.
fn inline(drafts: &[RouteDraft<'_>]) -> Vec<Enforced> {
    let mut enforced = Vec::new();
    for (route, draft) in drafts.iter().enumerate() {
        for (rule, draft) in draft.rules.iter().enumerate() {
            for kind in draft.filters.iter().map(|filter| filter.kind).filter(|kind| kind.is_security()) {
                let Some(field) = draft.rule.policies.field(kind).cloned() else { continue };
                let enforcement = Enforcement::Inline;
                enforced.push(Enforced { rules: vec![(route, rule)], kind, field, enforcement, objects: Vec::new() });
            }
        }
    }
    enforced
}

#[derive(Default)]
struct Scopes {
    /// Per route and rule: kinds for the route scope.
    route: Vec<Vec<BTreeSet<PolicyKind>>>,
    /// Kinds for Services, with the rules that ask for them.
    backend: BTreeMap<PolicyKind, BTreeSet<RuleIndex>>,
    /// Kinds for Gateways, with the rules that ask for them.
    gateway: BTreeMap<PolicyKind, BTreeSet<RuleIndex>>,
}

/// By the granularity of each capability; what the gateway does not have is refused here.
fn sort_by_scope(compilation: &mut Compilation<'_>, drafts: &[RouteDraft<'_>]) -> Scopes {
    let mut scopes = Scopes::default();
    for (index, route) in drafts.iter().enumerate() {
        let mut rules = Vec::new();
        for (number, remaining) in route.remaining.iter().enumerate() {
            let mut here = BTreeSet::new();
            for (kind, missing) in remaining {
                let place = draft::place(route.route, route.rules[number].rule);
                let Some(field) = route.rules[number].rule.policies.field(*kind).cloned() else { continue };
                match scope_of(compilation, route.route.kind, *kind, missing) {
                    Ok(Granularity::Rule | Granularity::Route) => {
                        here.insert(*kind);
                    }
                    Ok(Granularity::Backend) => {
                        scopes.backend.entry(*kind).or_default().insert((index, number));
                    }
                    Ok(Granularity::Listener | Granularity::Gateway) => {
                        scopes.gateway.entry(*kind).or_default().insert((index, number));
                    }
                    Ok(Granularity::Class | Granularity::Cluster) => {
                        let reason = format!(
                            "{} binds it to all Gateways of the class or the cluster, which reaches further than the endpoint",
                            compilation.gateway_title()
                        );
                        compilation.refuse(
                            &field,
                            &place,
                            reason,
                            vec!["set it where the gateway is installed".to_owned()],
                        );
                    }
                    Err((reason, alternatives)) => compilation.refuse(&field, &place, reason, alternatives),
                }
            }
            rules.push(here);
        }
        scopes.route.push(rules);
    }
    scopes
}

fn scope_of(
    compilation: &Compilation<'_>,
    endpoint: EndpointType,
    kind: PolicyKind,
    missing: &[CapabilityName],
) -> Result<Granularity, (String, Vec<String>)> {
    if let Some(granularity) = standard_attached::granularity(compilation, kind) {
        return Ok(granularity);
    }
    let name = CapabilityName::policy(kind);
    let Some(capability) = compilation.input.capabilities.get(&name) else {
        let mut names = missing.to_vec();
        names.push(name.clone());
        if missing.iter().any(|missing| compilation.input.experimental.contains(missing)) {
            names.retain(|missing| compilation.input.experimental.contains(missing));
        }
        return Err(compilation.lack_text(&Compilation::kind_text(kind), &names));
    };
    let only_claimed = capability.evidence.iter().all(|evidence| evidence.kind == EvidenceKind::Operator);
    if kind.is_security() && only_claimed {
        let reason = format!("{name} is only claimed by the operator, and a claim never carries a security policy");
        return Err((
            reason,
            vec!["a module that shows it by a test, a report or the vendor's documentation".to_owned()],
        ));
    }
    if !endpoint.is_http() && endpoint != EndpointType::Grpc {
        let part = CapabilityName::policy_part(kind, &format!("endpoint/{}", endpoint.as_str()));
        if !compilation.has(&part) && capability.granularity != Granularity::Backend {
            let what = format!("{} for {} endpoints", Compilation::kind_text(kind), endpoint.as_str());
            return Err(compilation.lack_text(&what, &[part]));
        }
    }
    Ok(capability.granularity)
}

/// One call per set of rules of a route for which the same policies are in force.
fn map_route(
    compilation: &mut Compilation<'_>,
    drafts: &mut [RouteDraft<'_>],
    index: usize,
    kinds: &[BTreeSet<PolicyKind>],
    enforced: &mut Vec<Enforced>,
    fragments: &mut BTreeMap<SharedKey, Vec<FragmentEntry>>,
) {
    let mut groups: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (number, kinds) in kinds.iter().enumerate().filter(|(_, kinds)| !kinds.is_empty()) {
        let key = fingerprint(&drafts[index].rules[number].rule.policies, kinds);
        groups.entry(key).or_default().insert(number);
    }
    for rules in groups.into_values() {
        let Some(first) = rules.first().copied() else { continue };
        let route = &drafts[index];
        let topology = route.route;
        let meant: Vec<_> = rules.iter().map(|number| route.rules[*number].rule).collect();
        let scope =
            RouteScope::new(topology, route.gateway, &route.gateway_namespace, meant, route.object_refs(&rules));
        let mut id: Vec<String> = vec![
            topology.binding.namespace.clone(),
            topology.binding.component.clone(),
            topology.binding.endpoint.clone(),
            topology.binding.visibility.clone(),
        ];
        if !scope.all_rules {
            id.push(route.rules[first].rule.name.clone());
        }
        let policies = &route.rules[first].rule.policies;
        let target = PolicyTarget::new(Scope::Route(scope), policies, kinds[first].clone(), id);
        let mapping = compilation.input.module.map(&target, &compilation.context());
        let place = if rules.len() == topology.rules.len() {
            topology.binding.to_string()
        } else {
            draft::place(topology, route.rules[first].rule)
        };
        let owner = resolve::owner(&topology.source.document);
        let fields = policy_fields(policies, &kinds[first]);
        let indices: Vec<RuleIndex> = rules.iter().map(|number| (index, *number)).collect();
        let claims = take_mapping(compilation, &mapping, &fields, &[], &place, &owner, fragments);
        apply_edits(compilation, &mut drafts[index], &rules, &mapping, &claims);
        note_enforcement(compilation, &mapping, policies, &kinds[first], &indices, &place, enforced);
    }
}

pub(super) fn policy_fields(policies: &EffectivePolicies, kinds: &BTreeSet<PolicyKind>) -> Vec<(PolicyKind, FieldRef)> {
    kinds.iter().filter_map(|kind| policies.field(*kind).map(|field| (*kind, field.clone()))).collect()
}

/// Puts objects and claims of an answer in place. `twins` are fields with the same value, which the answer stands for too.
pub(super) fn take_mapping(
    compilation: &mut Compilation<'_>,
    mapping: &Mapping,
    fields: &[(PolicyKind, FieldRef)],
    twins: &[(FieldRef, FieldRef)],
    place: &str,
    owner: &str,
    fragments: &mut BTreeMap<SharedKey, Vec<FragmentEntry>>,
) -> Vec<Vec<ClaimId>> {
    let keys: Vec<ObjectKey> = mapping
        .objects
        .iter()
        .map(|(object, kinds)| {
            let role = Role::Policy { kinds: kinds.clone() };
            compilation.add(object.clone(), Phase::Policies, role, Some(owner.to_owned()))
        })
        .collect();
    compilation.requires.extend(mapping.requires.iter().cloned());
    for secret in &mapping.derived_secrets {
        if !compilation.derived_secrets.contains(secret) {
            compilation.derived_secrets.push(secret.clone());
        }
    }
    for contribution in &mapping.contributions {
        if !compilation.contributions.contains(contribution) {
            compilation.contributions.push(contribution.clone());
        }
    }
    let mut claims = Vec::new();
    for outcome in &mapping.outcomes {
        let ids: Vec<ClaimId> = standing_for(outcome, twins)
            .into_iter()
            .map(|field| compilation.ledger.claim(field, place, outcome.verdict.clone()))
            .collect();
        for (citation, id) in outcome.citations.iter().flat_map(|citation| ids.iter().map(move |id| (citation, *id))) {
            match citation {
                Citation::Object { index, pointer } => {
                    if let Some(key) = keys.get(*index) {
                        compilation.ledger.cite(id, key.clone(), pointer.clone());
                    }
                }
                Citation::Contribution { index } => {
                    if let Some(contribution) = mapping.contributions.get(*index) {
                        let pointer = contribution.value.pointer();
                        compilation.ledger.cite_contribution(id, contribution.target.clone(), pointer);
                    }
                }
                Citation::Provisioned { object, pointer } => {
                    compilation.ledger.cite(id, object.clone(), pointer.clone());
                }
                Citation::Edit { .. } | Citation::Fragment { .. } | Citation::Gateway { .. } => {}
            }
        }
        claims.push(ids);
    }
    for (index, fragment) in mapping.fragments.iter().enumerate() {
        let ids = mapping
            .outcomes
            .iter()
            .zip(&claims)
            .filter(|(outcome, _)| {
                outcome
                    .citations
                    .iter()
                    .any(|citation| matches!(citation, Citation::Fragment { index: cited, .. } if *cited == index))
            })
            .flat_map(|(_, ids)| ids.iter().copied())
            .collect();
        fragments.entry(fragment.key.clone()).or_default().push((fragment.clone(), ids, owner.to_owned()));
    }
    for (kind, field) in fields {
        refuse_unmapped(compilation, mapping, *kind, field, place);
    }
    claims
}

/// The fields that an outcome stands for: its own, and the same one of each policy with the same value.
fn standing_for(outcome: &FieldOutcome, twins: &[(FieldRef, FieldRef)]) -> Vec<FieldRef> {
    let mut fields = vec![outcome.field.clone()];
    for (own, twin) in twins {
        if own.covers(&outcome.field)
            && let Some(rest) = outcome.field.pointer.strip_prefix(&own.pointer)
        {
            fields.push(twin.at(rest));
        }
    }
    fields
}

/// An adapter that says nothing about a leaf has dropped it: that is a refusal, never silence. Where it refused the policy
/// for another of its leaves, that refusal is the news, and the rest of the policy is not used with it.
fn refuse_unmapped(
    compilation: &mut Compilation<'_>,
    mapping: &Mapping,
    kind: PolicyKind,
    field: &FieldRef,
    place: &str,
) {
    let refused = mapping.refusal(field);
    for (pointer, _) in compilation.written_leaves(field) {
        let leaf = field.at(&pointer);
        if mapping.outcomes.iter().any(|outcome| outcome.field.covers(&leaf)) {
            continue;
        }
        if let Some(refused) = refused {
            let reason = format!("{kind} is refused for {}", refused.field.pointer);
            compilation.ledger.claim(leaf, place, Verdict::Inactive { reason });
        } else {
            let reason = format!("{} has no mapping for this field of {kind}", compilation.gateway_title());
            let alternatives = vec!["another module: `gwm compare` shows which have it".to_owned()];
            compilation.refuse(&leaf, place, reason, alternatives);
        }
    }
}

/// Edits reach exactly the rules that are meant.
fn apply_edits(
    compilation: &mut Compilation<'_>,
    route: &mut RouteDraft<'_>,
    rules: &BTreeSet<usize>,
    mapping: &Mapping,
    claims: &[Vec<ClaimId>],
) {
    for (index, edit) in mapping.edits.iter().enumerate() {
        let cites: Vec<(ClaimId, String)> = mapping
            .outcomes
            .iter()
            .zip(claims)
            .flat_map(|(outcome, ids)| {
                outcome.citations.iter().filter_map(move |citation| match citation {
                    Citation::Edit { index: cited, pointer } if *cited == index => Some((ids, pointer)),
                    _ => None,
                })
            })
            .flat_map(|(ids, pointer)| ids.iter().map(|id| (*id, pointer.clone())))
            .collect();
        match edit {
            RouteEdit::Filter { kind, filter } => {
                for number in rules {
                    let filter = FilterDraft { kind: *kind, value: filter.clone(), cites: cites.clone() };
                    route.rules[*number].filters.push(filter);
                }
            }
            RouteEdit::Backends { backend_refs, rules: names, .. } => {
                for number in rules {
                    if !names.is_empty() && !names.contains(&route.rules[*number].rule.name) {
                        continue;
                    }
                    super::backends::replaced_by(&mut route.rules[*number], backend_refs);
                    let moved = cites.iter().map(|(id, pointer)| (*id, format!("/backendRefs{pointer}")));
                    route.rules[*number].cites.extend(moved);
                }
            }
            RouteEdit::AnnotationItems { name, items } => {
                route.annotation_items.entry(name.clone()).or_default().extend(items.iter().cloned());
                cite_annotation(compilation, route, rules, name, &cites);
            }
            RouteEdit::Annotation { name, value } => {
                if let Some(other) =
                    route.annotations.insert(name.clone(), value.clone()).filter(|other| other != value)
                {
                    let message = format!("annotation {name} would need two values, {other:?} and {value:?}");
                    let field = route.route.source.clone();
                    compilation.invalid(
                        "GWM0403",
                        &field,
                        message,
                        Some("put the rules in endpoints of their own".to_owned()),
                    );
                }
                cite_annotation(compilation, route, rules, name, &cites);
            }
        }
    }
}

fn cite_annotation(
    compilation: &mut Compilation<'_>,
    route: &RouteDraft<'_>,
    rules: &BTreeSet<usize>,
    name: &str,
    cites: &[(ClaimId, String)],
) {
    let pointer = format!("/metadata/annotations/{}", name.replace('~', "~0").replace('/', "~1"));
    for object in route.object_refs(rules) {
        let key = ObjectKey { kind: object.kind, namespace: Some(object.namespace), name: object.name };
        for (id, _) in cites {
            compilation.ledger.cite(*id, key.clone(), pointer.clone());
        }
    }
}

/// Notes how each security policy is enforced; one that would leave its route open is refused.
pub(super) fn note_enforcement(
    compilation: &mut Compilation<'_>,
    mapping: &Mapping,
    policies: &EffectivePolicies,
    kinds: &BTreeSet<PolicyKind>,
    rules: &[RuleIndex],
    place: &str,
    enforced: &mut Vec<Enforced>,
) {
    for kind in kinds.iter().filter(|kind| kind.is_security()) {
        let Some(field) = policies.field(*kind) else { continue };
        match mapping.enforcement.get(kind) {
            _ if mapping.refusal(field).is_some() => {}
            None | Some(Enforcement::Attached { acknowledgement: None }) => {
                let reason = format!(
                    "{} does not say when {kind} is in force, so the route would be open until then",
                    compilation.gateway_title()
                );
                compilation.refuse(field, place, reason, vec!["a module that acknowledges its policies".to_owned()]);
            }
            Some(enforcement) => {
                let made = mapping.objects.iter().filter(|(_, of)| of.contains(kind)).map(|(object, _)| object.key());
                let provisioned = mapping
                    .outcomes
                    .iter()
                    .filter(|outcome| field.covers(&outcome.field))
                    .flat_map(|outcome| &outcome.citations)
                    .filter_map(|citation| match citation {
                        Citation::Provisioned { object, .. } => Some(object.clone()),
                        _ => None,
                    });
                let objects = made.chain(provisioned).collect::<BTreeSet<_>>().into_iter().collect();
                enforced.push(Enforced {
                    rules: rules.to_vec(),
                    kind: *kind,
                    field: field.clone(),
                    enforcement: enforcement.clone(),
                    objects,
                });
            }
        }
    }
}

/// Objects that several targets share.
fn assemble(compilation: &mut Compilation<'_>, fragments: BTreeMap<SharedKey, Vec<FragmentEntry>>) {
    for (key, entries) in fragments {
        let parts: Vec<Fragment> = entries.iter().map(|(fragment, _, _)| fragment.clone()).collect();
        match compilation.input.module.assemble(&key, &parts, &compilation.context()) {
            Ok(objects) => {
                for object in objects {
                    let object_key = add_shared(compilation, object, &entries);
                    for (_, claims, _) in &entries {
                        for claim in claims {
                            compilation.ledger.cite(*claim, object_key.clone(), "/spec");
                        }
                    }
                }
            }
            Err(refusals) => {
                for refusal in refusals.0 {
                    compilation.refusal(refusal, &key.0.join(" "));
                }
            }
        }
    }
}

fn add_shared(compilation: &mut Compilation<'_>, object: Object, entries: &[FragmentEntry]) -> ObjectKey {
    let key = object.key();
    for (_, _, owner) in entries {
        compilation.add(object.clone(), Phase::Policies, Role::Policy { kinds: Vec::new() }, Some(owner.clone()));
    }
    key
}
