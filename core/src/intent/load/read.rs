//! From bytes to documents of the intent.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    MAX_INPUT_BYTES,
    problem::{Place, Problem, quoted, shown},
    tree::{Content, Node, Spots},
    validate::{did_you_mean, list, validate},
    yaml::{self, Tree},
};
use crate::{
    diagnostic::{Diagnostics, Severity},
    intent::{Document, GROUP, Intent, Metadata, SourceMap, VERSION, codes, schema::DocumentKind},
};

/// Reads inputs one after the other.
pub(super) struct Reader {
    pub(super) intent: Intent,
    pub(super) diagnostics: Diagnostics,
    /// Documents of ours, also broken ones.
    pub(super) documents: usize,
}

/// What a document is.
enum Identity {
    Ours(DocumentKind),
    Foreign(Problem),
    Broken(Problem),
}

impl Reader {
    pub(super) fn input(&mut self, path: &Arc<str>, bytes: &[u8]) {
        let text = match decode(bytes) {
            Ok(text) => text,
            Err(problem) => return self.diagnostics.push(problem.into_diagnostic(path, "")),
        };
        for tree in yaml::parse(text) {
            self.tree(path, tree);
        }
    }

    fn report(&mut self, path: &Arc<str>, document: &str, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            self.diagnostics.push(problem.into_diagnostic(path, document));
        }
    }

    fn tree(&mut self, path: &Arc<str>, tree: Tree) {
        self.report(path, "", tree.fatal);
        let Some(root) = tree.root else { return };
        if matches!(root.content, Content::Scalar(Value::Null)) && tree.problems.is_empty() {
            return;
        }
        let document = describe(&root);
        let kind = match identify(&root, tree.at) {
            Identity::Foreign(problem) => return self.report(path, &document, [problem]),
            Identity::Broken(problem) => {
                return self.report(path, &document, tree.problems.into_iter().chain([problem]));
            }
            Identity::Ours(kind) => kind,
        };
        self.documents += 1;
        let unusable = !tree.problems.is_empty();
        self.report(path, &document, tree.problems);
        let (mut value, spots) = root.into_json();
        whole_floats_to_integers(&mut value);
        let problems = validate(kind, &value, &spots);
        if unusable || problems.iter().any(|problem| problem.severity == Severity::Error) {
            return self.report(path, &document, problems);
        }
        let source = SourceMap {
            path: Some(path.clone()),
            cluster_object: None,
            positions: spots
                .iter()
                .map(|(pointer, spot)| (pointer.clone(), (spot.best().line, spot.best().column)))
                .collect(),
        };
        let problem = match kind {
            DocumentKind::DataPlane => match typed(&value, source, &spots) {
                Ok(document) => return self.intent.data_planes.push(document),
                Err(problem) => problem,
            },
            DocumentKind::Component => match typed(&value, source, &spots) {
                Ok(document) => return self.intent.components.push(document),
                Err(problem) => problem,
            },
        };
        self.report(path, &document, [problem]);
    }
}

/// UTF-8 without what no text file holds.
fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(Problem::at(
            Place::START,
            codes::TOO_LARGE,
            format!("the input is larger than {} MiB", MAX_INPUT_BYTES >> 20),
        )
        .help("split it into several files; one Kubernetes object has at most about 1 MiB"));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::at(Place::START, codes::NOT_TEXT, "the input is UTF-16").help("save it as UTF-8"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = place_of(bytes, error.valid_up_to());
        Problem::at(at, codes::NOT_TEXT, "the input is not valid UTF-8 from here on").help("save it as UTF-8")
    })?;
    let control = |character: char| {
        (character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{85}'))
            || matches!(character, '\u{fffe}' | '\u{ffff}')
    };
    match text.char_indices().find(|(_, character)| control(*character)) {
        Some((index, character)) => Err(Problem::at(
            place_of(bytes, index),
            codes::NOT_TEXT,
            format!("the input holds the control character U+{:04X}", u32::from(character)),
        )
        .help("remove it; inside double quotes it can be written as an escape")),
        None => Ok(text),
    }
}

fn place_of(bytes: &[u8], offset: usize) -> Place {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place {
        line: number(before.split(|byte| *byte == b'\n').count()),
        column: number(String::from_utf8_lossy(&before[line_start..]).chars().count() + 1),
    }
}

/// Name of a document for diagnostics, as far as it has one.
fn describe(root: &Node) -> String {
    let text = |node: Option<&Node>| node.and_then(Node::as_str).map(shown);
    let metadata = root.get("metadata");
    let name = text(metadata.and_then(|metadata| metadata.get("name")));
    let namespace = text(metadata.and_then(|metadata| metadata.get("namespace")));
    match (text(root.get("kind")), name) {
        (None, _) => String::new(),
        (Some(kind), None) => kind,
        (Some(kind), Some(name)) if kind == DocumentKind::Component.as_str() => {
            format!("{kind} {}/{name}", namespace.unwrap_or_else(|| "default".to_owned()))
        }
        (Some(kind), Some(name)) => match namespace {
            Some(namespace) if kind != DocumentKind::DataPlane.as_str() => format!("{kind} {namespace}/{name}"),
            _ => format!("{kind} {name}"),
        },
    }
}

fn identify(root: &Node, at: Place) -> Identity {
    let expected =
        format!("an intent starts with `apiVersion: {GROUP}/{VERSION}` and `kind: DataPlane` or `kind: Component`");
    if !matches!(root.content, Content::Mapping(_)) {
        return Identity::Broken(Problem::at(at, codes::NOT_AN_OBJECT, "the document is not a mapping").help(expected));
    }
    let field = |name: &str| root.get(name).and_then(|node| Some((node.as_str()?, node.at)));
    let (Some((api_version, version_at)), Some((kind, kind_at))) = (field("apiVersion"), field("kind")) else {
        let missing: Vec<&str> = ["apiVersion", "kind"].into_iter().filter(|name| field(name).is_none()).collect();
        let message = format!("the document has no `{}`", missing.join("` and no `"));
        let help = format!("{expected}; move files that are none out of the folder");
        return Identity::Broken(Problem::at(at, codes::NOT_AN_OBJECT, message).help(help));
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let ours = |node: &Node| {
        node.get("apiVersion").and_then(Node::as_str).is_some_and(|version| version.split('/').next() == Some(GROUP))
    };
    if group != GROUP {
        if kind.ends_with("List") && root.get("items").is_some_and(|items| items.items().iter().any(ours)) {
            return Identity::Broken(
                Problem::at(kind_at, codes::LIST_DOCUMENT, format!("{} holds intent documents", quoted(kind)))
                    .pointer("/kind")
                    .help("write each as a document of its own, with `---` between them"),
            );
        }
        let near = did_you_mean(group, &[GROUP.to_owned()]);
        let message = format!("a document of {} {} is left out", quoted(api_version), quoted(kind));
        let help = format!("{near}only documents of the group `{GROUP}` are read");
        return Identity::Foreign(
            Problem::at(version_at, codes::FOREIGN_DOCUMENT, message).pointer("/apiVersion").warning().help(help),
        );
    }
    if version != VERSION {
        let message = format!("the group `{GROUP}` has no version {}", quoted(version));
        return Identity::Broken(
            Problem::at(version_at, codes::UNKNOWN_VERSION, message)
                .pointer("/apiVersion")
                .help(format!("write `apiVersion: {GROUP}/{VERSION}`")),
        );
    }
    if let Some(kind) = DocumentKind::from_name(kind) {
        return Identity::Ours(kind);
    }
    let known: Vec<String> = DocumentKind::ALL.iter().map(ToString::to_string).collect();
    let message = format!("the group `{GROUP}` has no kind {}", quoted(kind));
    let help = format!("{}the kinds are {}", did_you_mean(kind, &known), list(&known));
    Identity::Broken(Problem::at(kind_at, codes::UNKNOWN_KIND, message).pointer("/kind").help(help))
}

/// `80.0` is the whole number 80 in JSON Schema; serde wants it written so.
fn whole_floats_to_integers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(whole_floats_to_integers),
        Value::Object(map) => map.values_mut().for_each(whole_floats_to_integers),
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default();
            if float.fract() == 0.0
                && float.abs() < 9_007_199_254_740_992.0
                && let Ok(whole) = format!("{float:.0}").parse::<i64>()
            {
                *value = Value::from(whole);
            }
        }
        _ => {}
    }
}

/// The document as its type. What the schema cannot say (bytes of a text, sums) is found here.
fn typed<S: DeserializeOwned>(value: &Value, source: SourceMap, spots: &Spots) -> Result<Document<S>, Problem> {
    let metadata = part::<Metadata>(value, "/metadata", spots)?;
    let spec = part::<S>(value, "/spec", spots)?;
    Ok(Document { metadata, spec, source })
}

fn part<T: DeserializeOwned>(document: &Value, pointer: &str, spots: &Spots) -> Result<T, Problem> {
    let value = document.pointer(pointer).unwrap_or(&Value::Null);
    T::deserialize(value).map_err(|error| {
        let message = error.to_string();
        let pointer = culprit(value, pointer, &message).unwrap_or_else(|| pointer.to_owned());
        let at = spots.get(&pointer).map_or(Place::START, super::tree::Spot::best);
        let (message, help) = match message.split_once(": write for example ") {
            Some((message, help)) => (message.to_owned(), Some(format!("write for example {help}"))),
            None => (message, None),
        };
        let mut problem = Problem::at(at, codes::BAD_VALUE, message.replace(['\n', '\r'], " ")).pointer(pointer);
        problem.help = help;
        problem
    })
}

/// The text that a checked type refused: its messages start with what was given.
fn culprit(value: &Value, pointer: &str, message: &str) -> Option<String> {
    match value {
        Value::String(text) => {
            let start: String = text.chars().take(80).collect();
            message.starts_with(&format!("{start:?} is not ")).then(|| pointer.to_owned())
        }
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| culprit(item, &format!("{pointer}/{index}"), message))
        }
        Value::Object(map) => map
            .iter()
            .find_map(|(key, item)| culprit(item, &format!("{pointer}{}", super::problem::pointer_to(key)), message)),
        _ => None,
    }
}
