//! Properties over generated intents, on every module, version and channel.
//!
//! `GATEWAY_MODULES_CASES` sets the number of cases. They are made in shards of their own seeds, which run side by side: the
//! same cases on every machine.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU8, Ordering},
    thread,
};

use gateway_modules::core::{
    capability::{Capabilities, names::project},
    channel::Channel,
    compile::{Compiled, Role},
    diagnostic::Severity,
    intent::{Intent, SourceMap, load::Loader, policies::PolicyKind},
    module::Enforcement,
    resolve::{DataPlaneTopology, Layer},
    types::Token,
};
use gateway_modules_testkit::{
    contract::{Bench, differences},
    samples,
};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Map, Value};

mod generate;
mod support;

use generate::{Choice, Form};

/// Share of the cases of an emitting cell that must compile, in per cent.
const LEAST: usize = 30;

/// Number of shards.
const SHARDS: u8 = 16;

/// A module at a version and channel, and the forms that it emits when they are alone.
struct Cell<'a> {
    name: String,
    bench: Bench<'a>,
    parameters: Map<String, Value>,
    emitted: Vec<Form>,
    isolated: bool,
    inside_only: bool,
    capabilities: Capabilities,
}

#[derive(Default)]
struct Counts {
    cases: usize,
    invalid: BTreeMap<&'static str, usize>,
    planes: usize,
    releases: usize,
    /// Per module and kind: planes that use it, and those of them that compile.
    cells: BTreeMap<(String, PolicyKind), (usize, usize)>,
    /// Per module, kind and layer: effective policies.
    layers: BTreeMap<(String, PolicyKind, Layer), usize>,
    security: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.planes += other.planes;
        self.releases += other.releases;
        self.security += other.security;
        for (code, count) in other.invalid {
            *self.invalid.entry(code).or_default() += count;
        }
        for (cell, (uses, compiled)) in other.cells {
            let own = self.cells.entry(cell).or_default();
            *own = (own.0 + uses, own.1 + compiled);
        }
        for (layer, count) in other.layers {
            *self.layers.entry(layer).or_default() += count;
        }
    }
}

fn load(documents: &[Value]) -> Result<Intent, &'static str> {
    let mut loader = Loader::new();
    for (index, document) in documents.iter().enumerate() {
        loader = loader.text(&format!("{index}.json"), &document.to_string());
    }
    match loader.finish() {
        Ok(read) => Ok(read.intent),
        Err(problems) => Err(problems
            .0
            .iter()
            .find(|problem| problem.severity == Severity::Error)
            .map_or("none", |problem| problem.code)),
    }
}

/// Forgets where fields were written, which says nothing about the intent.
fn without_places(mut intent: Intent) -> Intent {
    for plane in &mut intent.data_planes {
        plane.source = SourceMap::default();
    }
    for component in &mut intent.components {
        component.source = SourceMap::default();
    }
    intent
}

fn accept(intent: &mut Intent, compiled: &[(DataPlaneTopology, Compiled)]) -> bool {
    let mut changed = false;
    for (plane, compiled) in compiled {
        let names = differences(compiled);
        let document = intent.data_planes.iter_mut().find(|document| document.metadata.name.as_str() == plane.name);
        if let Some(document) = document.filter(|_| compiled.release.is_none() && !names.is_empty()) {
            document.spec.accept = names.iter().filter_map(|name| Token::new(name).ok()).collect();
            changed = true;
        }
    }
    changed
}

fn fail(message: String) -> TestCaseError {
    TestCaseError::fail(message)
}

fn check(cell: &Cell<'_>, intent: Intent, counts: &mut Counts) -> Result<(), TestCaseError> {
    let mut intent = without_places(intent);
    let Ok(mut planes) = cell.bench.compile_planes(&intent) else {
        *counts.invalid.entry("resolve").or_default() += 1;
        return Ok(());
    };
    if accept(&mut intent, &planes) {
        planes = cell.bench.compile_planes(&intent).map_err(|refused| fail(refused.0.to_string()))?;
    }
    // Determinism, and the order of documents.
    let text = |planes: &[(DataPlaneTopology, Compiled)]| {
        let all: Vec<_> = planes.iter().map(|(_, one)| (&one.release, &one.report, &one.diagnostics)).collect();
        serde_json::to_string(&all).unwrap_or_default()
    };
    let mut reversed = intent.clone();
    reversed.data_planes.reverse();
    reversed.components.reverse();
    let again = cell.bench.compile_planes(&reversed).map_err(|refused| fail(refused.0.to_string()))?;
    if text(&planes) != text(&again) {
        return Err(fail(format!("{}: another order of documents gives another release", cell.name)));
    }
    let mut keys = BTreeSet::new();
    for (plane, compiled) in &planes {
        counts.planes += 1;
        one_plane(cell, plane, compiled, &mut keys, counts)?;
    }
    Ok(())
}

fn one_plane(
    cell: &Cell<'_>,
    plane: &DataPlaneTopology,
    compiled: &Compiled,
    keys: &mut BTreeSet<String>,
    counts: &mut Counts,
) -> Result<(), TestCaseError> {
    let name = &cell.name;
    let bugs = ["GWM0501", "GWM0502", "GWM0503"];
    if let Some(bug) = compiled.diagnostics.0.iter().find(|diagnostic| bugs.contains(&diagnostic.code)) {
        return Err(fail(format!("{name}: {bug}")));
    }
    let mut kinds = BTreeSet::new();
    for rule in plane.routes.iter().flat_map(|route| &route.rules) {
        kinds.extend(rule.policies.kinds());
        if rule.backends.len() > 1 {
            kinds.insert(PolicyKind::TrafficSplit);
        }
        for (kind, provenance) in &rule.policies.provenance {
            let module = cell.bench.module.metadata().name.to_owned();
            *counts.layers.entry((module, *kind, provenance.layer)).or_default() += 1;
        }
    }
    for kind in &kinds {
        let count = counts.cells.entry((name.clone(), *kind)).or_default();
        count.0 += 1;
        count.1 += usize::from(compiled.release.is_some());
    }
    let Some(release) = &compiled.release else {
        if !compiled.diagnostics.has_errors() {
            return Err(fail(format!("{name}: no release, and no reason")));
        }
        return Ok(());
    };
    counts.releases += 1;
    if let Some(silent) = compiled.report.entries.iter().find(|entry| entry.outcomes.is_empty()) {
        return Err(fail(format!("{name}: nothing is said about {}", silent.field)));
    }
    let mut routes: BTreeMap<String, String> = BTreeMap::new();
    for object in &release.objects {
        let key = object.key().to_string();
        if object.role != Role::Class && object.role != Role::ReferenceGrant && !keys.insert(key.clone()) {
            return Err(fail(format!("{name}: two objects are {key}")));
        }
        if object.key().name.len() > 63 {
            return Err(fail(format!("{name}: {key} has a name of more than 63 characters")));
        }
        if let Role::Route { binding } = &object.role
            && let Some(other) =
                routes.insert(key.clone(), binding.to_string()).filter(|other| *other != binding.to_string())
        {
            return Err(fail(format!("{name}: {key} is for {other} and {binding}")));
        }
    }
    // Security is in force for exactly the rules that ask for it.
    for route in &plane.routes {
        for rule in &route.rules {
            for kind in PolicyKind::ALL.iter().filter(|kind| kind.is_security()) {
                let asked = rule.policies.field(*kind).is_some();
                let statement = release.policies.iter().find(|statement| {
                    statement.kind == *kind
                        && statement.binding == route.binding
                        && statement.rules.contains(&rule.name)
                });
                if asked != statement.is_some() {
                    let what = if asked { "is lost" } else { "reaches further than asked" };
                    return Err(fail(format!("{name}: {kind} of {} rule {} {what}", route.binding, rule.name)));
                }
                let Some(statement) = statement else { continue };
                counts.security += 1;
                let gated = release.objects.iter().any(|object| {
                    matches!(&object.role, Role::Route { binding } if *binding == route.binding)
                        && object
                            .gate
                            .as_ref()
                            .is_some_and(|gate| gate.policies.iter().any(|policy| policy.kind == *kind))
                });
                if matches!(statement.enforcement, Enforcement::Attached { .. }) && !gated {
                    return Err(fail(format!(
                        "{name}: {kind} of {} is attached, and no route waits for it",
                        route.binding
                    )));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn generated_intents() {
    let cases = std::env::var("GATEWAY_MODULES_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(256_u32);
    let registry = gateway_modules::registry().expect("no duplicates");
    let all = generate::forms();
    let modules = support::modules(&registry);
    let mut cells = Vec::new();
    for (name, module, parameters) in &modules {
        for version in module.metadata().versions {
            for channel in [Channel::Standard, Channel::Experimental] {
                let bench = Bench::new(module.as_ref(), version, channel, parameters.clone());
                let emits = |sample: &samples::Sample| {
                    bench.compile_accepting(&sample.documents).is_ok_and(|(compiled, _)| compiled.release.is_some())
                };
                let emitted = samples::all()
                    .iter()
                    .zip(&all)
                    .filter(|(sample, form)| !form.fields.is_empty() && emits(sample))
                    .map(|(_, form)| form.clone())
                    .collect();
                let isolated = bench.capabilities().has(&project::GATEWAY_ISOLATION_ADDRESS);
                let capabilities = bench.capabilities();
                let inside_only = capabilities.has(&project::GATEWAY_EXPOSURE_CLUSTER);
                let name = format!("{name} {version} {channel}");
                cells.push(Cell {
                    name,
                    bench,
                    parameters: parameters.clone(),
                    emitted,
                    isolated,
                    inside_only,
                    capabilities,
                });
            }
        }
    }
    let cases_of_shard = cases.div_ceil(SHARDS.into());
    let next = AtomicU8::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(SHARDS.into());
    let work = || {
        let (mut counts, mut failures) = (Counts::default(), Vec::new());
        loop {
            let shard = next.fetch_add(1, Ordering::Relaxed);
            if shard >= SHARDS || !failures.is_empty() {
                break;
            }
            let (of_shard, failure) = run_shard(shard, cases_of_shard, &cells, &all);
            counts.add(of_shard);
            failures.extend(failure);
        }
        (counts, failures)
    };
    let (mut counts, mut failures) = (Counts::default(), Vec::new());
    thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in running {
            let (of_worker, failed) = worker.join().expect("a worker panicked");
            counts.add(of_worker);
            failures.extend(failed);
        }
    });
    print(&counts, &cells);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    enough(&counts, &cells, cases);
}

/// Runs the cases of one shard; returns the first failure, made small.
fn run_shard(shard: u8, cases: u32, cells: &[Cell<'_>], all: &[Form]) -> (Counts, Option<String>) {
    let counts = RefCell::new(Counts::default());
    let config = Config { cases, max_shrink_iters: 2000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[shard; 32]));
    let result = runner.run(&generate::cases(cells.len()), |case| {
        let cell = &cells[case.bench];
        let choice = Choice {
            emitted: &cell.emitted,
            all,
            class: cell.bench.module.metadata().default_class.is_none(),
            parameters: &cell.parameters,
            isolated: cell.isolated,
            inside_only: cell.inside_only,
            capabilities: &cell.capabilities,
        };
        let documents = case.documents(&choice);
        let mut counts = counts.borrow_mut();
        counts.cases += 1;
        match load(&documents) {
            Err(code) => {
                *counts.invalid.entry(code).or_default() += 1;
                Ok(())
            }
            Ok(intent) => check(cell, intent, &mut counts).map_err(|error| {
                let intent: Vec<String> = documents.iter().map(Value::to_string).collect();
                fail(format!("{error}\n{}", intent.join("\n")))
            }),
        }
    });
    (counts.into_inner(), result.err().map(|error| format!("shard {shard}: {error}")))
}

fn print(counts: &Counts, cells: &[Cell<'_>]) {
    println!(
        "{} cases, {} data planes, {} releases, {} security policies in force; no valid intent: {:?}",
        counts.cases, counts.planes, counts.releases, counts.security, counts.invalid
    );
    let mut layers: BTreeMap<(&str, Layer), Vec<String>> = BTreeMap::new();
    for ((module, kind, layer), count) in &counts.layers {
        layers.entry((module, *layer)).or_default().push(format!("{kind} {count}"));
    }
    for ((module, layer), kinds) in layers {
        println!("{module}: effective policies of layer {layer:?}: {}", kinds.join(", "));
    }
    for cell in cells {
        let kinds: Vec<String> = counts
            .cells
            .iter()
            .filter(|((name, _), _)| *name == cell.name)
            .map(|((_, kind), (cases, compiled))| format!("{kind} {compiled}/{cases}"))
            .collect();
        println!("{}: {}", cell.name, kinds.join(", "));
    }
}

/// A generator whose cases are mostly refused shows nothing.
fn enough(counts: &Counts, cells: &[Cell<'_>], cases: u32) {
    let mut few = Vec::new();
    for cell in cells {
        let kinds: BTreeSet<PolicyKind> = cell.emitted.iter().map(|form| form.kind).collect();
        for kind in kinds {
            let (of, compiled) = counts.cells.get(&(cell.name.clone(), kind)).copied().unwrap_or_default();
            // A handful of cases is no share of anything.
            if of >= 20 && compiled * 100 < of * LEAST {
                few.push(format!("{}: {kind}: {compiled} of {of} compile", cell.name));
            }
            if of == 0 && cases >= 10_000 {
                few.push(format!("{}: {kind} never came up", cell.name));
            }
        }
    }
    assert!(few.is_empty(), "fewer than {LEAST} % compile:\n{}", few.join("\n"));
}
