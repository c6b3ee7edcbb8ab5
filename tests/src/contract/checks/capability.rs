//! Declared means emitted; undeclared means refused, with a reason.

use gateway_modules_core::{
    capability::{
        Capability, CapabilityName, EvidenceKind,
        names::{gateway_api as api, project},
    },
    compile::{Compiled, Entry},
    diagnostic::Category,
    intent::policies::PolicyKind,
    module::Verdict,
};

use super::{
    super::{Bench, CheckReport, observe},
    Subject,
};
use crate::samples::{self, Sample};

/// Standard fields that alone can carry a kind.
fn features(kind: PolicyKind) -> Vec<CapabilityName> {
    match kind {
        PolicyKind::HeaderModification | PolicyKind::Redirect | PolicyKind::TrafficSplit => vec![api::HTTP_ROUTE],
        PolicyKind::UrlRewrite => vec![api::HTTP_ROUTE_PATH_REWRITE, api::HTTP_ROUTE_HOST_REWRITE],
        PolicyKind::Mirror => vec![api::HTTP_ROUTE_REQUEST_MIRROR],
        PolicyKind::Cors => vec![api::HTTP_ROUTE_CORS],
        PolicyKind::Timeout => vec![api::HTTP_ROUTE_REQUEST_TIMEOUT, api::HTTP_ROUTE_BACKEND_TIMEOUT],
        PolicyKind::Retry => vec![api::HTTP_ROUTE_RETRY, api::HTTP_ROUTE_RETRY_CONNECTION_ERROR],
        PolicyKind::ClientCertificate => vec![api::GATEWAY_FRONTEND_CLIENT_CERTIFICATE_VALIDATION],
        PolicyKind::BackendTls => vec![api::BACKEND_TLS_POLICY],
        PolicyKind::ExternalAuthorization => vec![project::EXTERNAL_AUTH_FILTER],
        _ => Vec::new(),
    }
}

fn has(bench: &Bench<'_>, kind: PolicyKind) -> bool {
    let capabilities = bench.capabilities();
    // The operator's word carries no security policy.
    let believed = |capability: &Capability| {
        !kind.is_security() || capability.evidence.iter().any(|evidence| evidence.kind != EvidenceKind::Operator)
    };
    capabilities.has(&CapabilityName::policy(kind))
        || features(kind).iter().any(|name| capabilities.get(name).is_some_and(believed))
}

/// Whether the sample compiles, and some leaf of its kind cites bytes; or, where the gateway takes the policy at its start
/// and nothing is emitted, the release says what the installation must have.
fn emitted(bench: &Bench<'_>, sample: &Sample) -> Result<(), String> {
    let (compiled, _) = bench.compile_accepting(&sample.documents).map_err(|refused| refused.0.to_string())?;
    let Some(release) = &compiled.release else { return Err(observe::errors(&compiled)) };
    let entries = observe::entries_of(&compiled, sample.kind);
    let decides = |entry: &&Entry| entry.outcomes.iter().any(|one| matches!(one.verdict, Verdict::Decides { .. }));
    let required = !release.requires.is_empty() && entries.iter().any(decides);
    if required || entries.iter().any(|entry| !observe::bytes(release, entry).is_empty()) {
        Ok(())
    } else {
        Err("it compiles, no leaf of the kind cites bytes, and nothing is required of the installation".to_owned())
    }
}

pub(super) fn declared_is_emitted(subject: &Subject<'_>, check: &mut CheckReport) {
    let samples = samples::all();
    for bench in &subject.benches {
        let capabilities = bench.capabilities();
        for kind in PolicyKind::ALL.iter().filter(|kind| has(bench, **kind)) {
            let results: Vec<Result<(), String>> =
                samples.iter().filter(|sample| sample.kind == *kind).map(|sample| emitted(bench, sample)).collect();
            check.case(results.iter().any(Result::is_ok), || {
                let reasons: Vec<String> = results.into_iter().filter_map(Result::err).take(2).collect();
                format!("{}: {kind} is declared, and no form of it compiles: {}", bench.name(), reasons.join(" / "))
            });
        }
        for sample in &samples {
            let Some(needs) = sample.needs.filter(|needs| *needs != "HTTPRoute") else { continue };
            if capabilities.has(&CapabilityName::from(needs.to_owned())) {
                let result = emitted(bench, sample);
                check.case(result.is_ok(), || {
                    format!(
                        "{}: {needs} is declared, and {} fails: {}",
                        bench.name(),
                        sample.name(),
                        result.unwrap_err_or_default()
                    )
                });
            }
        }
    }
}

/// Short form of `result.err().unwrap_or_default()` by value.
trait ErrorText {
    fn unwrap_err_or_default(self) -> String;
}

impl ErrorText for Result<(), String> {
    fn unwrap_err_or_default(self) -> String {
        self.err().unwrap_or_default()
    }
}

/// A refusal as it must be: an error of the catalogue with reason and alternatives, and nothing emitted.
fn typed_refusal(compiled: &Compiled, kind: PolicyKind) -> Result<(), String> {
    if compiled.release.is_some() {
        return Err("a release was made".to_owned());
    }
    if !compiled.diagnostics.only_refusals() {
        return Err(format!("not only refusals: {}", observe::errors(compiled)));
    }
    let refused = compiled.diagnostics.0.iter().find(|diagnostic| diagnostic.code == "GWM0601");
    let Some(refused) = refused else { return Err(format!("no GWM0601: {}", observe::errors(compiled))) };
    if refused.category != Category::Refused || refused.message.len() < 20 {
        return Err(format!("the refusal gives no reason: {refused}"));
    }
    let verdicts = compiled.report.entries.iter().flat_map(|entry| &entry.outcomes);
    let reasons: Vec<_> = verdicts
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Unsupported { reason, alternatives } => Some((reason, alternatives)),
            _ => None,
        })
        .collect();
    if reasons.is_empty() {
        return Err(format!("no leaf of {kind} is refused in the report"));
    }
    if reasons.iter().all(|(_, alternatives)| alternatives.is_empty()) {
        return Err(format!("no alternative is named: {}", reasons[0].0));
    }
    Ok(())
}

pub(super) fn undeclared_is_refused(subject: &Subject<'_>, check: &mut CheckReport) {
    for bench in &subject.benches {
        for sample in samples::all().iter().filter(|sample| !has(bench, sample.kind)) {
            let result = match bench.compile_accepting(&sample.documents) {
                Ok((compiled, _)) => typed_refusal(&compiled, sample.kind),
                Err(refused) => Err(refused.0.to_string()),
            };
            check.case(result.is_ok(), || {
                format!("{}: {}: {}", bench.name(), sample.name(), result.unwrap_err_or_default())
            });
        }
    }
}

pub(super) fn withdrawn_is_refused(subject: &Subject<'_>, check: &mut CheckReport) {
    for bench in &subject.benches {
        for sample in samples::common().iter().filter(|sample| emitted(bench, sample).is_ok()) {
            let mut names = features(sample.kind);
            let prefix = CapabilityName::policy(sample.kind);
            let below = format!("{prefix}/");
            names.extend(
                bench
                    .capabilities()
                    .names()
                    .into_iter()
                    .filter(|name| *name == prefix || name.as_str().starts_with(&below)),
            );
            let result = match bench.without(names).compile_accepting(&sample.documents) {
                Ok((compiled, _)) => typed_refusal(&compiled, sample.kind),
                Err(refused) => Err(refused.0.to_string()),
            };
            check.case(result.is_ok(), || {
                format!("{}: {}: {}", bench.name(), sample.name(), result.unwrap_err_or_default())
            });
        }
    }
}

/// Versions and channels are one here: what one of them declares is known to be mapped on purpose.
pub(super) fn mapped_is_declared(subject: &Subject<'_>, check: &mut CheckReport) {
    let name = subject.module.metadata().name;
    for sample in samples::common() {
        if subject.benches.iter().any(|bench| has(bench, sample.kind)) {
            continue;
        }
        // Core would emit what a standard field carries whatever the module does, so the features stay as they are.
        let mapped = subject.benches.iter().find(|bench| emitted(&bench.with(sample.kind), &sample).is_ok());
        check.case(mapped.is_none(), || {
            let kind = sample.kind;
            format!("{name}: `map` emits {kind} when it is asked to, and no version declares `policy/{kind}`")
        });
    }
}

/// Experimental features count as declared when either channel has them; names that this version of Gateway API does not know
/// are left alone.
pub(super) fn published_is_declared(subject: &Subject<'_>, check: &mut CheckReport) {
    if subject.options.published.is_empty() {
        check.skipped = Some("no features of a live class are given (`Options::published`)".to_owned());
        return;
    }
    // The class is of one gateway; without a version to go by, that is the newest that the suite runs over.
    let Some(newest) = subject.newest() else { return };
    let declared = subject.declared_by_newest();
    let known = |name: &str| api::ALL.iter().any(|feature| feature.as_str() == name);
    for name in subject.options.published.iter().filter(|name| known(name)) {
        check.case(declared.iter().any(|declared| declared.as_str() == name), || {
            format!(
                "{} {}: the live class publishes {name}, and `declared()` does not have it",
                newest.module.metadata().name,
                newest.version
            )
        });
    }
}

pub(super) fn shown_is_declared(subject: &Subject<'_>, check: &mut CheckReport) {
    if subject.options.shown.is_empty() {
        check.skipped = Some("no kinds are given that requests have shown (`Options::shown`)".to_owned());
        return;
    }
    let Some(newest) = subject.newest() else { return };
    for kind in &subject.options.shown {
        let declared = subject.benches.iter().any(|bench| bench.version == newest.version && has(bench, *kind));
        check.case(declared, || {
            format!(
                "{} {}: requests have shown {kind}, and `declared()` has neither `policy/{kind}` nor a feature that carries it",
                newest.module.metadata().name,
                newest.version
            )
        });
    }
}
