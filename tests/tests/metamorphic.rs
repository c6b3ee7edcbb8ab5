//! Metamorphic tests: what changes in an intent changes exactly what the report says it does.
//!
//! For every leaf of every sample and of every pair of samples, on every module: another value gives other bytes where the
//! report cites them, and leaves what other policies cite; without the policy its bytes are gone, and nothing else moves.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use std::collections::{BTreeMap, BTreeSet};

use gateway_modules::core::{
    channel::Channel,
    compile::{Compiled, Entry, Release, Role},
    intent::{DocumentId, policies::PolicyKind},
};
use gateway_modules_testkit::{
    contract::{Bench, observe},
    samples::{self, Documents},
};
use serde_json::Value;

mod mutate;
mod support;

/// What may happen besides the rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Allows {
    /// Another value leaves bytes as they are.
    SameBytes,
    /// No other value is valid in a sample.
    NoOther,
    /// Another value moves what other policies cite.
    OthersMove,
    /// Without the policy its bytes stay.
    Stays,
}
use Allows::{NoOther, OthersMove, SameBytes, Stays};

/// Module (empty: every module), end of the pointer without indexes of lists, what is allowed, why.
const EXCEPTIONS: &[(&str, &str, Allows, &str)] = &[
    ("", "endpoints/type", SameBytes, "HTTP, WebSocket and GraphQL endpoints are all HTTPRoutes"),
    ("", "listeners/tls/mode", NoOther, "an HTTPS listener ends TLS itself; the other mode is for TLS listeners"),
    ("", "backends/service", OthersMove, "policies that are bound to a Service follow the Service"),
    (
        "nginx-gateway-fabric",
        "sessionAffinity/cookie/name",
        SameBytes,
        "session-affinity/by-client-address: no cookie is set, so the difference that is accepted takes its name too",
    ),
    (
        "kong",
        "accessLog/format/text",
        SameBytes,
        "access-log/json: Kong writes JSON, so the difference that is accepted takes the format too",
    ),
    (
        "kong",
        "cors/allowMethods",
        SameBytes,
        "GET, HEAD and POST are always in the list: browsers send them without asking (Fetch standard)",
    ),
    (
        "kong",
        "retry/codes",
        SameBytes,
        "Kong tries again after connection errors only: the difference that is accepted takes the codes too",
    ),
    ("kong", "parameters/tracing", NoOther, "false is what an absent parameter says, and no sample is without it"),
    ("kong", "retry/backoff", SameBytes, "retry/no-pause, which is accepted"),
    (
        "kong",
        "outlierDetection/interval",
        SameBytes,
        "outlier-detection/stays-out: Kong counts failures without a window, and a backend stays out until a check succeeds",
    ),
    ("kong", "outlierDetection/baseEjectionTime", SameBytes, "outlier-detection/stays-out, which is accepted"),
    ("kong", "outlierDetection/maxEjectionPercent", SameBytes, "outlier-detection/stays-out, which is accepted"),
    ("kong", "sessionAffinity/cookie/ttl", SameBytes, "session-affinity/session-cookie, which is accepted"),
    (
        "",
        "policies/connectionLimit",
        Stays,
        "circuitBreaking.maxConnections is the same field of the vendor's object, and asks for the same number",
    ),
];

fn excepted(module: &str, pointer: &str, allows: Allows) -> Option<&'static str> {
    let plain: String =
        pointer.split('/').filter(|token| token.parse::<usize>().is_err()).collect::<Vec<_>>().join("/");
    EXCEPTIONS
        .iter()
        .find(|(of, leaf, what, _)| (of.is_empty() || *of == module) && *what == allows && plain.ends_with(leaf))
        .map(|(_, leaf, ..)| *leaf)
}

#[derive(Default)]
struct Tally {
    leaves: usize,
    changed: usize,
    decides: usize,
    refused: usize,
    excepted: usize,
    used: BTreeSet<&'static str>,
    failures: Vec<String>,
}

impl Tally {
    fn fail(&mut self, failure: String) {
        self.failures.push(failure);
    }
}

/// Intents that a bench compiles: each sample, and pairs of them.
fn intents(bench: &Bench<'_>, pairs: bool) -> Vec<(String, Documents, Compiled)> {
    let common = samples::common();
    let mut intents: Vec<(String, Documents)> = Vec::new();
    if pairs {
        for (index, first) in common.iter().enumerate() {
            for second in common.iter().skip(index + 1).filter(|second| second.kind != first.kind) {
                if let Some(both) = samples::combined(&first.documents, &second.documents) {
                    intents.push((format!("{} with {}", first.name(), second.name()), both));
                }
            }
        }
    } else {
        intents.extend(samples::all().into_iter().map(|sample| (sample.name(), sample.documents)));
    }
    intents
        .into_iter()
        .filter_map(|(name, documents)| {
            let documents = bench.on_this(&documents);
            let (compiled, accepted) = bench.compile_accepting(&documents).ok()?;
            compiled.release.as_ref()?;
            // Accepted differences stay accepted whatever else changes.
            let documents = if accepted.is_empty() { documents } else { accept(&documents, &accepted) };
            let compiled = bench.compile(&documents).ok()?;
            Some((name, documents, compiled))
        })
        .collect()
}

fn accept(documents: &Documents, names: &[String]) -> Documents {
    let mut documents = documents.clone();
    documents.plane_mut()["spec"]["accept"] = names.into();
    documents
}

fn document_kind(entry: &Entry) -> &'static str {
    if matches!(entry.field.document, DocumentId::DataPlane { .. }) { "DataPlane" } else { "Component" }
}

/// The bytes of a leaf in a release.
fn bytes_of(release: &Release, entry: &Entry) -> Vec<observe::Bytes> {
    let mut bytes = observe::bytes(release, entry);
    bytes.sort_by(|a, b| (&a.0, &a.1, &a.2).cmp(&(&b.0, &b.1, &b.2)));
    bytes
}

fn other_kinds(compiled: &Compiled, kind: PolicyKind) -> BTreeSet<PolicyKind> {
    let kinds = compiled.report.entries.iter().filter_map(|entry| observe::kind_of(&entry.field));
    kinds.filter(|other| *other != kind).collect()
}

fn change_every_leaf(
    bench: &Bench<'_>,
    name: &str,
    documents: &Documents,
    base: &Compiled,
    tally: &mut Tally,
    policies_only: bool,
) {
    let Some(release) = &base.release else { return };
    let module = bench.module.metadata().name;
    for entry in &base.report.entries {
        let kind = observe::kind_of(&entry.field);
        if policies_only && kind.is_none() {
            continue;
        }
        tally.leaves += 1;
        let case = format!("{}: {name}: {}", bench.name(), entry.field);
        if !entry.outcomes.iter().any(observe::emits) {
            tally.decides += 1;
            continue;
        }
        let before = bytes_of(release, entry);
        let mut seen = Seen::None;
        for change in mutate::changes(document_kind(entry), &entry.field.pointer, &entry.value) {
            let Some(changed) = change.apply(documents) else { continue };
            let Ok(after) = bench.compile(&changed) else { continue };
            let Some(changed_release) = &after.release else {
                if after.diagnostics.only_refusals() {
                    seen = seen.max(Seen::Refused);
                }
                continue;
            };
            seen = Seen::Compiled;
            let now = after.report.entries.iter().find(|now| now.field == entry.field);
            let mut now = now.map(|now| bytes_of(changed_release, now)).unwrap_or_default();
            now.extend(before.iter().filter_map(|(place, key, pointer, _)| {
                let object = changed_release.objects.iter().find(|object| object.key() == *key)?;
                Some((place.clone(), key.clone(), pointer.clone(), object.object.pointer(pointer)?.clone()))
            }));
            // Every place that the leaf has an effect in must have other bytes.
            let still = before.iter().find(|bytes| now.contains(bytes));
            match (still, excepted(module, &entry.field.pointer, SameBytes)) {
                (None, _) => tally.changed += 1,
                (Some(_), Some(leaf)) => {
                    tally.excepted += 1;
                    tally.used.insert(leaf);
                }
                (Some((_, object, pointer, bytes)), None) => {
                    let (from, to) = (&entry.value, &change.value);
                    tally.fail(format!("{case}: {from} became {to}, and {object} {pointer} is still {bytes}"));
                }
            }
            if let Some(kind) = kind {
                if let Some(leaf) = excepted(module, &entry.field.pointer, OthersMove) {
                    tally.used.insert(leaf);
                    break;
                }
                for other in other_kinds(base, kind) {
                    let (then, now) = (observe::cited(base, other), observe::cited(&after, other));
                    if then != now {
                        let moved: Vec<_> = then.symmetric_difference(&now).take(2).collect();
                        tally.fail(format!("{case}: {other} changes too: {moved:?}"));
                    }
                }
            }
            break;
        }
        match (seen, excepted(module, &entry.field.pointer, NoOther)) {
            (Seen::None, Some(leaf)) => {
                tally.excepted += 1;
                tally.used.insert(leaf);
            }
            (Seen::None, None) => {
                tally.fail(format!("{case}: no other value than {} loads: add a mutator", entry.value));
            }
            (Seen::Refused, _) => tally.refused += 1,
            (Seen::Compiled, _) => {}
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    None,
    Refused,
    Compiled,
}

/// Objects of a release that are there for policies alone.
fn policy_objects(release: &Release) -> BTreeMap<String, Value> {
    release
        .objects
        .iter()
        .filter(|object| matches!(object.role, Role::Policy { .. }))
        .map(|object| (object.key().to_string(), object.object.to_value()))
        .collect()
}

fn remove_every_policy(bench: &Bench<'_>, name: &str, documents: &Documents, base: &Compiled, tally: &mut Tally) {
    let Some(release) = &base.release else { return };
    let policies = documents.component().pointer("/spec/endpoints/0/policies").and_then(Value::as_object);
    for field in policies.map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default() {
        let Some(kind) = PolicyKind::from_field(&field) else { continue };
        let mut less = documents.clone();
        if let Some(policies) =
            less.component_mut().pointer_mut("/spec/endpoints/0/policies").and_then(Value::as_object_mut)
        {
            policies.remove(&field);
        }
        let case = format!("{}: {name}: without {kind}", bench.name());
        let Ok(after) = bench.compile(&less) else { continue };
        let Some(now) = &after.release else {
            tally.fail(format!("{case}: {}", observe::errors(&after)));
            continue;
        };
        tally.leaves += 1;
        for other in other_kinds(base, kind) {
            // What stood in an object that both need may stand in one place less.
            let (then, now) = (observe::cited(base, other), observe::cited(&after, other));
            if !now.is_subset(&then) || (now.is_empty() && !then.is_empty()) {
                tally.fail(format!(
                    "{case}: {other} changes too: {:?}",
                    now.difference(&then).take(2).collect::<Vec<_>>()
                ));
            }
        }
        // What was there for this kind alone is gone.
        for object in &release.objects {
            if matches!(&object.role, Role::Policy { kinds } if kinds.iter().all(|of| *of == kind) && !kinds.is_empty())
                && now.objects.iter().any(|left| left.key() == object.key())
            {
                tally.fail(format!("{case}: {} is still there", object.key()));
            }
        }
        // Its cited bytes are gone: the object, the place in it, or the value there.
        for entry in observe::entries_of(base, kind) {
            for (_, key, pointer, value) in observe::bytes(release, entry) {
                let left = now
                    .objects
                    .iter()
                    .find(|object| object.key() == key)
                    .and_then(|object| object.object.pointer(&pointer));
                // In a list another filter may have moved to the place.
                if excepted(bench.module.metadata().name, &format!("policies/{}", kind.field()), Stays).is_some() {
                    tally.excepted += 1;
                    continue;
                }
                if left == Some(&value)
                    && policy_objects(release).get(&key.to_string()) == policy_objects(now).get(&key.to_string())
                {
                    tally.fail(format!("{case}: {key} {pointer} is still {value}"));
                }
            }
        }
    }
}

fn over_all(pairs: bool, check: impl Fn(&Bench<'_>, &str, &Documents, &Compiled, &mut Tally)) {
    let registry = gateway_modules::registry().expect("no duplicates");
    let mut failures = Vec::new();
    let mut used = BTreeSet::new();
    for (name, module, parameters) in support::modules(&registry) {
        let metadata = module.metadata();
        for channel in [Channel::Standard, Channel::Experimental] {
            let bench = Bench::new(module.as_ref(), metadata.default_version, channel, parameters.clone());
            let mut tally = Tally::default();
            let intents = intents(&bench, pairs);
            for (intent, documents, base) in &intents {
                check(&bench, intent, documents, base, &mut tally);
            }
            println!(
                "{name} {channel}: {} intents, {} leaves: {} with other bytes, {} without bytes of their own, {} whose other values \
                 are refused, {} exceptions, {} failures",
                intents.len(),
                tally.leaves,
                tally.changed,
                tally.decides,
                tally.refused,
                tally.excepted,
                tally.failures.len()
            );
            used.extend(tally.used);
            failures.extend(tally.failures);
        }
    }
    for (module, leaf, allows, reason) in EXCEPTIONS.iter().filter(|(_, leaf, ..)| used.contains(leaf)) {
        println!("exception {module} {leaf} {allows:?}: {reason}");
    }
    failures.sort();
    failures.dedup();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures[..failures.len().min(60)].join("\n"));
}

#[test]
fn another_value_gives_other_bytes_where_the_report_says_so() {
    over_all(false, |bench, name, documents, base, tally| {
        change_every_leaf(bench, name, documents, base, tally, false);
    });
}

#[test]
fn another_value_of_one_policy_leaves_the_other_alone() {
    over_all(true, |bench, name, documents, base, tally| change_every_leaf(bench, name, documents, base, tally, true));
}

#[test]
fn a_policy_that_is_removed_takes_its_bytes_along() {
    over_all(false, remove_every_policy);
}

#[test]
fn a_policy_that_is_removed_leaves_the_other_alone() {
    over_all(true, remove_every_policy);
}
