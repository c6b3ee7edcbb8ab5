//! What Kong takes by annotations of the Service.

use gateway_modules_core::{
    intent::{FieldRef, policies::PolicyKind},
    module::{BackendScope, Citation, Contribution, ContributionValue, Difference, FieldOutcome, Mapping, Verdict},
    object::ObjectKey,
};

use super::{Job, plugin::difference, upstream};
use crate::resources::SERVICE;

/// Kong's greatest time, in milliseconds, which stands for no limit.
const NO_LIMIT: u64 = 2_147_483_646;

pub(crate) fn map(job: Job<'_>, scope: &BackendScope) -> Mapping {
    let mut mapping = Mapping::new();
    timeouts(job, scope, &mut mapping);
    retry(job, scope, &mut mapping);
    upstream::map(job, scope, &mut mapping);
    mapping
}

/// Adds an annotation of the Service; returns what cites it.
pub(super) fn annotate(
    mapping: &mut Mapping,
    scope: &BackendScope,
    name: &str,
    value: String,
    reason: &str,
    source: &FieldRef,
) -> Citation {
    let target = ObjectKey { kind: SERVICE, namespace: Some(scope.namespace.clone()), name: scope.service.clone() };
    let value = ContributionValue::Annotation { name: name.to_owned(), value };
    let contribution = Contribution { target, value, reason: reason.to_owned(), source: source.clone() };
    mapping.contributions.push(contribution);
    Citation::Contribution { index: mapping.contributions.len() - 1 }
}

pub(super) fn approximate(mapping: &mut Mapping, field: FieldRef, with: Difference, citations: Vec<Citation>) {
    let verdict = Verdict::Approximate { differences: vec![with] };
    mapping.outcomes.push(FieldOutcome { field, verdict, citations });
}

/// Core realises `backendRequest` by the standard field where the version has it; this is for the rest.
fn timeouts(job: Job<'_>, scope: &BackendScope, mapping: &mut Mapping) {
    let kind = PolicyKind::Timeout;
    let Some(policy) = job.target.policies.timeouts().filter(|_| job.target.must_map(kind)) else { return };
    if policy.value.request.is_some() {
        let reason = "Kong has no limit for the whole of a request (the standard field is ignored)";
        mapping.unsupported(policy.field.child("request"), reason, &["timeouts.backendRequest", "module kgateway"]);
    }
    let Some(limit) = policy.value.backend_request else { return };
    let field = policy.field.child("backendRequest");
    let millis = if limit.as_millis() == 0 { NO_LIMIT } else { limit.as_millis().min(NO_LIMIT) };
    let citations = ["connect", "write", "read"]
        .into_iter()
        .map(|phase| {
            let name = format!("konghq.com/{phase}-timeout");
            annotate(mapping, scope, &name, millis.to_string(), "limits one try towards the Service", &field)
        })
        .collect();
    let text = "Kong limits the connection, each pause in sending and each pause in receiving, not their sum";
    approximate(mapping, field, difference("timeout/per-phase", text), citations);
}

fn retry(job: Job<'_>, scope: &BackendScope, mapping: &mut Mapping) {
    let kind = PolicyKind::Retry;
    let Some(policy) = job.target.policies.retry().filter(|_| job.target.must_map(kind)) else { return };
    let (field, value) = (policy.field, policy.value);
    if value.budget.is_some() {
        mapping.unsupported(field.child("budget"), "Kong has no retry budget", &["no budget", "module istio"]);
    }
    let attempts = field.child("attempts");
    let why = "further tries towards the Service";
    let citation = annotate(mapping, scope, "konghq.com/retries", value.attempts.to_string(), why, &attempts);
    let text = "Kong also tries again after a time-out of a request that may be repeated";
    approximate(mapping, attempts, difference("retry/also-timeouts", text), vec![citation.clone()]);
    if !value.codes.is_empty() {
        let text = "Kong tries again after errors of the connection only, not after a status";
        let difference = difference("retry/connection-errors-only", text);
        approximate(mapping, field.child("codes"), difference, vec![citation.clone()]);
    }
    if value.backoff.is_some() {
        let difference = difference("retry/no-pause", "Kong makes no pause before a further try");
        approximate(mapping, field.child("backoff"), difference, vec![citation]);
    }
}
