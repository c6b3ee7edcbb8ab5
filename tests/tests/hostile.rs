//! Hostile values in every text and number of every policy, on every module: refused where they are written, refused by the
//! module, or emitted so that they mean nothing in the languages that vendors put values into (CEL, Lua, nginx, Envoy's
//! substitution, regular expressions). Never a panic, never an object that the real CRDs refuse.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use std::{collections::BTreeSet, thread};

use gateway_modules::core::{
    channel::Channel,
    compile::Compiled,
    validate::{Schemas, validate},
};
use gateway_modules_testkit::{
    contract::Bench,
    samples::{self, Documents, Sample, leaves},
};
use serde_json::{Value, json};

mod support;

/// Marks the begin and end of a hostile part, so that it is found again in what is emitted.
const BEGIN: &str = "zq";
const END: &str = "qz";

/// What has a meaning somewhere: quotes, ends of strings, lines, statements and comments, substitutions, escapes, templates.
const PARTS: &[&str] = &[
    "'",
    "\"",
    "`",
    "\\",
    "\n",
    "\r\n",
    "\t",
    "\u{0}",
    "\u{7f}",
    "%",
    "%REQ(:path)%",
    "$",
    "${x}",
    "$(x)",
    "$1",
    "{",
    "}",
    "{{x}}",
    "{vault://env/x}",
    ";",
    "#",
    "//",
    "--",
    "/*",
    "' || true || '",
    "\" || true || \"",
    "') or ('1'='1",
    "\r\nX-Evil: 1",
    ".*",
    "(",
    "[",
    "+",
    ":",
    ",",
    "=",
    "&",
    "<",
    ">",
    "|",
    "\u{202e}",
    "é",
    "..",
    "/../",
];

/// Numbers at and beyond what any vendor takes.
const NUMBERS: &[i64] = &[
    -1,
    0,
    1,
    100,
    599,
    600,
    1000,
    65_535,
    65_536,
    2_147_483_647,
    2_147_483_648,
    4_294_967_295,
    4_294_967_296,
    9_007_199_254_740_993,
    i64::MAX,
];

/// Durations and sizes at and beyond what any vendor takes.
const QUANTITIES: &[&str] = &["0s", "1ms", "999ms", "1s", "1h", "24h", "87600h", "99999h59m59s", "1", "1Ki", "8Ei"];

fn set(documents: &Documents, pointer: &str, value: Value) -> Documents {
    let mut changed = documents.clone();
    *changed.component_mut().pointer_mut(pointer).expect("a leaf of the sample") = value;
    changed
}

/// Each text of the sample's policies with a hostile part, and each number and quantity at its bounds: pointer, value, intent.
fn mutations(sample: &Sample) -> Vec<(String, Value, Documents)> {
    let mut found = Vec::new();
    for (pointer, value) in leaves(sample.documents.component()) {
        if !pointer.starts_with("/spec/endpoints/0/policies/") && !pointer.contains("/rules/") {
            continue;
        }
        let hostile: Vec<Value> = match value {
            Value::String(text) => PARTS
                .iter()
                .map(|part| json!(format!("{text}{BEGIN}{part}{END}")))
                .chain(QUANTITIES.iter().map(|quantity| json!(quantity)))
                .collect(),
            Value::Number(_) => NUMBERS.iter().map(|number| json!(number)).collect(),
            _ => Vec::new(),
        };
        found.extend(
            hostile.into_iter().map(|value| (pointer.clone(), value.clone(), set(&sample.documents, &pointer, value))),
        );
    }
    found
}

/// All strings in a value, and its keys.
fn strings(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        Value::Object(fields) => {
            for (key, field) in fields {
                into.push(key.clone());
                strings(field, into);
            }
        }
        _ => {}
    }
}

/// Characters that mean something in the languages into which a module puts values: CEL in single quotes (kgateway), formats
/// of nginx in single quotes with `$` for variables, replacements of Traefik with `${1}`, paths of Istio with `*` and `{}`.
fn dangerous(module: &str) -> &'static [char] {
    match module {
        "istio" => &['"', '\\', '\n', '\r', '\0', '*', '{', '}'],
        "nginx-gateway-fabric" => &['\'', '"', '\\', '\n', '\r', '\0', '$'],
        "traefik" => &['$'],
        _ => &['\'', '"', '\\', '\n', '\r', '\0'],
    }
}

/// Between the marks.
fn part(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(BEGIN)?;
    rest.split_once(END).map(|(part, _)| part)
}

/// A text that holds a hostile part as it was written, where it is in some language of the vendor and only an encoding makes
/// it harmless: a longer text. A value on its own is data, and the schema of its field says what it may be.
fn raw_in_a_language<'a>(module: &str, texts: &'a [String], value: &str) -> Option<&'a String> {
    let own = part(value)?;
    texts.iter().find(|text| *text != value && part(text) == Some(own) && own.contains(dangerous(module)))
}

#[derive(Default)]
struct Tally {
    intents: usize,
    refused: usize,
    emitted: usize,
    mistakes: BTreeSet<String>,
}

impl Tally {
    fn look(&mut self, bench: &Bench<'_>, schemas: Option<&Schemas>, case: &str, value: &Value, documents: &Documents) {
        self.intents += 1;
        let compiled = match bench.compile_accepting(documents) {
            Ok((Compiled { release: Some(release), .. }, _)) => release,
            Ok((compiled, _)) => {
                self.refused += 1;
                if !compiled.diagnostics.has_errors() {
                    self.mistakes.insert(format!("{case}: no release, and no reason"));
                }
                return;
            }
            Err(_) => {
                self.refused += 1;
                return;
            }
        };
        self.emitted += 1;
        let mut texts = Vec::new();
        for object in &compiled.objects {
            strings(&object.object.to_value(), &mut texts);
            let violations = schemas.map(|schemas| validate(&object.object, schemas));
            if let Some(problem) = violations.iter().flat_map(|validation| validation.violations()).next() {
                self.mistakes.insert(format!("{case}: {value}: {}: {problem}", object.key()));
            }
        }
        strings(&serde_json::to_value(&compiled.contributions).unwrap_or_default(), &mut texts);
        let module = bench.module.metadata().name;
        if let Some(raw) = value.as_str().and_then(|value| raw_in_a_language(module, &texts, value)) {
            self.mistakes.insert(format!("{case}: {value} stands as it is in {raw:?}"));
        }
    }
}

#[test]
fn hostile_values_are_encoded_or_refused() {
    let registry = gateway_modules::registry().expect("registry");
    let schemas =
        support::schemas().map(|folder| Schemas::load_folder(&folder, Channel::Experimental).expect("schemas"));
    let (mut loadable, mut refused) = (Vec::new(), 0);
    for sample in samples::all() {
        let (valid, invalid): (Vec<_>, Vec<_>) =
            mutations(&sample).into_iter().partition(|(_, _, documents)| documents.load().is_ok());
        refused += invalid.len();
        loadable.push((sample, valid));
    }
    let count: usize = loadable.iter().map(|(_, valid)| valid.len()).sum();
    println!("{refused} are refused where they are written, {count} reach the modules");
    assert!(refused > 1000 && count > 1000, "so few show nothing");
    let mut mistakes = BTreeSet::new();
    let (loadable, schemas) = (&loadable, schemas.as_ref());
    thread::scope(|scope| {
        let work = move |(name, module, parameters): support::Measured| {
            let version = module.metadata().default_version;
            let bench = Bench::new(module.as_ref(), version, Channel::Experimental, parameters);
            let mut tally = Tally::default();
            for (sample, valid) in loadable {
                let emits =
                    bench.compile_accepting(&sample.documents).is_ok_and(|(compiled, _)| compiled.release.is_some());
                for (pointer, value, documents) in valid.iter().filter(|_| emits) {
                    let case = format!("{name}: {}: {pointer}", sample.name());
                    tally.look(&bench, schemas, &case, value, documents);
                }
            }
            (name, tally)
        };
        let running: Vec<_> =
            support::modules(&registry).into_iter().map(|measured| scope.spawn(move || work(measured))).collect();
        for worker in running {
            let (name, tally) = worker.join().expect("a module panicked");
            println!("{name}: {} intents, {} refused, {} emitted", tally.intents, tally.refused, tally.emitted);
            assert!(tally.emitted > 0, "{name}: nothing is emitted, so this shows nothing");
            mistakes.extend(tally.mistakes);
        }
    });
    let list: Vec<String> = mistakes.into_iter().collect();
    assert!(list.is_empty(), "{} mistakes:\n{}", list.len(), list.join("\n"));
}
