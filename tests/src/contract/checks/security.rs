//! Security policies are in force wherever their endpoint is, or there is no release.

use std::collections::{BTreeMap, BTreeSet};

use gateway_modules_core::{
    compile::{CLOSED_BACKEND, Release, Role},
    intent::policies::PolicyKind,
    module::{ClosedBackends, Enforcement},
    object::Object,
};
use serde_json::{Value, json};

use super::{
    super::{CheckReport, observe},
    Subject,
};
use crate::samples::{self, Documents, Sample};

/// The endpoint of a sample with two rules, in two visibilities if asked for.
pub(super) fn spread(sample: &Sample, visibilities: bool, on_rule: bool) -> Documents {
    let mut documents = sample.documents.clone();
    let endpoint = &mut documents.component_mut()["spec"]["endpoints"][0];
    let policies = endpoint["policies"].clone();
    endpoint["rules"] = json!([
        { "name": "first", "matches": [{ "path": { "prefix": "/first" } }] },
        { "name": "second", "matches": [{ "path": { "prefix": "/second" } }] },
    ]);
    if on_rule {
        endpoint["rules"][0]["policies"] = policies;
        if let Some(endpoint) = endpoint.as_object_mut() {
            endpoint.remove("policies");
        }
    }
    if visibilities {
        endpoint["visibilities"] = json!(["external", "internal"]);
        let external = documents.plane()["spec"]["visibilities"]["external"].clone();
        let spec = &mut documents.plane_mut()["spec"]["visibilities"];
        spec["internal"] = external;
        spec["internal"]["domain"] = "internal.example.com".into();
    }
    documents
}

/// Rules that a security policy is in force for, by visibility.
fn covered(release: &Release, kind: PolicyKind) -> BTreeMap<String, BTreeSet<String>> {
    let mut covered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for statement in release.policies.iter().filter(|statement| statement.kind == kind) {
        covered.entry(statement.binding.visibility.clone()).or_default().extend(statement.rules.iter().cloned());
    }
    covered
}

fn security() -> Vec<Sample> {
    samples::all().into_iter().filter(|sample| sample.kind.is_security()).collect()
}

pub(super) fn in_force(subject: &Subject<'_>, check: &mut CheckReport) {
    let (mut released, mut refused) = (0, 0);
    for bench in &subject.benches {
        for sample in security() {
            for (visibilities, on_rule) in [(false, false), (true, false), (false, true), (true, true)] {
                let documents = spread(&sample, visibilities, on_rule);
                let Ok((compiled, _)) = bench.compile_accepting(&documents) else { continue };
                let case = format!(
                    "{}: {} on {} in {}",
                    bench.name(),
                    sample.name(),
                    if on_rule { "one rule of two" } else { "an endpoint with two rules" },
                    if visibilities { "two visibilities" } else { "one visibility" }
                );
                let Some(release) = &compiled.release else {
                    refused += 1;
                    check.case(compiled.diagnostics.only_refusals(), || {
                        format!("{case}: {}", observe::errors(&compiled))
                    });
                    continue;
                };
                released += 1;
                let rules: &[&str] = if on_rule { &["first"] } else { &["first", "second"] };
                let rules: BTreeSet<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
                let places: &[&str] = if visibilities { &["external", "internal"] } else { &["external"] };
                let wanted: BTreeMap<String, BTreeSet<String>> =
                    places.iter().map(|place| ((*place).to_owned(), rules.clone())).collect();
                let found = covered(release, sample.kind);
                check.case(found == wanted, || format!("{case}: wanted {wanted:?}, is in force for {found:?}"));
            }
        }
    }
    check.notes.push(format!("{released} releases, {refused} refusals"));
}

pub(super) fn closed(subject: &Subject<'_>, check: &mut CheckReport) {
    for bench in &subject.benches {
        for sample in security() {
            for (visibilities, on_rule) in [(false, false), (true, false), (false, true)] {
                let Ok((compiled, _)) = bench.compile_accepting(&spread(&sample, visibilities, on_rule)) else {
                    continue;
                };
                let Some(release) = &compiled.release else { continue };
                let case = format!("{}: {}", bench.name(), sample.name());
                check_gates(check, release, bench.module.closed_backends(), &case);
            }
        }
    }
}

/// Whether a filter of a closed route names an object of a security policy of this release, which some controllers program
/// only while a route names it (docs/decisions/0024).
fn names_security(release: &Release, route: &Object, filter: &Value) -> bool {
    let reference = &filter["extensionRef"];
    filter["type"] == "ExtensionRef"
        && release.objects.iter().any(|object| {
            let Role::Policy { kinds } = &object.role else { return false };
            let kind = object.object.kind();
            kinds.iter().any(|kind| kind.is_security())
                && reference["group"] == kind.group.as_ref()
                && reference["kind"] == kind.kind.as_ref()
                && reference["name"] == object.object.name()
                && object.object.namespace() == route.namespace()
        })
}

/// Whether a filter is the one that does not exist, by which this gateway closes a route that names its backends.
fn is_missing(filter: &Value, named: ClosedBackends) -> bool {
    let ClosedBackends::BehindMissingFilter { group, kind } = named else { return false };
    *filter == json!({"type": "ExtensionRef", "extensionRef": {"group": group, "kind": kind, "name": CLOSED_BACKEND}})
}

fn check_gates(check: &mut CheckReport, release: &Release, named: ClosedBackends, case: &str) {
    for statement in &release.policies {
        if !matches!(statement.enforcement, Enforcement::Attached { .. }) {
            continue;
        }
        let routes: Vec<_> = release
            .objects
            .iter()
            .filter(|object| matches!(&object.role, Role::Route { binding } if *binding == statement.binding))
            .collect();
        let gated = routes.iter().any(|route| {
            route.gate.as_ref().is_some_and(|gate| gate.policies.iter().any(|policy| policy.kind == statement.kind))
        });
        check.case(gated, || format!("{case}: no route of {} waits for {}", statement.binding, statement.kind));
    }
    for object in &release.objects {
        let Some(gate) = &object.gate else { continue };
        let (open, closed) = (object.object.to_value(), gate.closed.0.to_value());
        check.case(!gate.policies.is_empty(), || format!("{case}: {} waits for nothing", object.key()));
        check.case(open["metadata"]["name"] == closed["metadata"]["name"], || format!("{case}: another name"));
        for field in ["parentRefs", "hostnames"] {
            check.case(open["spec"][field] == closed["spec"][field], || {
                format!("{case}: the closed form has other {field}")
            });
        }
        let rules = |route: &Value| route["spec"]["rules"].as_array().cloned().unwrap_or_default();
        let (open, closed) = (rules(&open), rules(&closed));
        check.case(open.len() == closed.len(), || format!("{case}: the closed form has another number of rules"));
        for (open, closed) in open.iter().zip(&closed) {
            check.case(open["matches"] == closed["matches"], || format!("{case}: the closed form matches otherwise"));
            // A gateway may have to see that the policy of a backend is used.
            let seen = gate.policies.iter().any(|policy| policy.kind == PolicyKind::BackendTls);
            let filters = closed["filters"].as_array().cloned().unwrap_or_default();
            let missing = |filter: &&Value| seen && is_missing(filter, named);
            let behind = filters.iter().any(|filter| missing(&filter));
            let secured = filters
                .iter()
                .filter(|filter| !missing(filter))
                .all(|filter| names_security(release, &object.object, filter));
            check.case(secured, || format!("{case}: the closed form has filters of no security policy"));
            let backends = closed["backendRefs"].as_array().cloned().unwrap_or_default();
            let without_weight = |backend: &Value| seen && backend["weight"] == 0;
            let nowhere = backends.iter().any(|backend| !without_weight(backend))
                && backends
                    .iter()
                    .filter(|backend| !without_weight(backend))
                    .all(|backend| !open["backendRefs"].to_string().contains(&backend["name"].to_string()));
            check.case(behind || nowhere, || format!("{case}: the closed form has a backend that exists"));
        }
    }
}
