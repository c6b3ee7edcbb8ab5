//! From text to trees with places: YAML 1.2 (and so JSON), many documents, within limits.

use std::collections::HashMap;

use serde_json::{Number, Value};
use serde_saphyr::granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, Tag, options};

use super::{
    problem::{Place, Problem, pointer_to, quoted},
    tree::{Content, Key, Node, Size},
};
use crate::intent::codes;

/// Deepest nesting of a document; the intent types need 12.
pub(super) const MAX_DEPTH: usize = 64;
/// Most nodes of a document, aliases counted each time.
pub(super) const MAX_NODES: usize = 500_000;
/// Most bytes of text in a document, aliases counted each time.
pub(super) const MAX_TEXT: usize = 16 << 20;

/// A document of a stream, with what is wrong with its YAML.
pub(super) struct Tree {
    /// The content; `Null` for an empty document, absent when it could not be parsed.
    pub(super) root: Option<Node>,
    /// Where it starts.
    pub(super) at: Place,
    /// Problems that make the document unusable whatever it is.
    pub(super) fatal: Vec<Problem>,
    /// Problems that matter only when the document is one of ours.
    pub(super) problems: Vec<Problem>,
}

/// Parses all documents of a text. A document that cannot be parsed does not hide the next.
pub(super) fn parse(text: &str) -> Vec<Tree> {
    let mut parser = Parser::new_from_str_with_options(text, parser_options());
    let mut trees = Vec::new();
    let mut builder: Option<Builder> = None;
    while let Some(event) = parser.next_event() {
        let stop = match event {
            Ok((Event::DocumentStart(..), span)) => {
                builder = Some(Builder::new(Place::of(span.start)));
                None
            }
            Ok((Event::DocumentEnd, _)) => {
                trees.extend(builder.take().map(Builder::finish));
                None
            }
            Ok((event, span)) => builder.as_mut().and_then(|builder| builder.take(event, &span).err()),
            Err(error) => Some(syntax_problem(&error)),
        };
        if let Some(problem) = stop {
            let at = builder.take().map_or(problem.place(), |builder| builder.at);
            trees.push(Tree { root: None, at, fatal: vec![problem], problems: Vec::new() });
            if !matches!(parser.proceed_next_document(), Ok(true)) {
                break;
            }
        }
    }
    trees
}

fn parser_options() -> Options {
    options! { flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH, emit_comments: false }
}

fn syntax_problem(error: &ScanError) -> Problem {
    let at = Place::of(*error.marker());
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(at),
        ErrorKind::UnknownAnchor => {
            Problem::at(at, codes::SYNTAX, "an alias names an anchor that is not defined before it")
                .help("define it with `&name` above, or put the text in quotes if `*` is meant literally")
        }
        _ => Problem::at(
            at,
            codes::SYNTAX,
            format!("this is not valid YAML: {}", error.info().replace(['\n', '\r'], " ")),
        )
        .help("check indentation, quotes and brackets at this place and on the line above; tabs do not indent"),
    }
}

fn too_deep(at: Place) -> Problem {
    Problem::at(at, codes::BUDGET, format!("the document is nested deeper than {MAX_DEPTH} levels"))
        .help("an intent has at most a dozen levels; check the brackets")
}

enum Open {
    Sequence {
        items: Vec<Node>,
        at: Place,
        anchor: usize,
    },
    Mapping {
        entries: Vec<(Key, Node)>,
        keys: HashMap<String, Place>,
        pending: Option<Pending>,
        at: Place,
        anchor: usize,
    },
}

enum Pending {
    Key(Key),
    /// The key was refused, or stands there a second time: its value is read and dropped.
    Dropped,
}

struct Builder {
    at: Place,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    spent: Size,
    root: Option<Node>,
    problems: Vec<Problem>,
}

impl Builder {
    fn new(at: Place) -> Self {
        Self { at, open: Vec::new(), anchors: HashMap::new(), spent: Size::default(), root: None, problems: Vec::new() }
    }

    fn finish(self) -> Tree {
        // The place of the content is of more use than that of `---`.
        let at = self.root.as_ref().map_or(self.at, |root| root.at);
        Tree { root: self.root, at, fatal: Vec::new(), problems: self.problems }
    }

    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Problem> {
        let at = Place::of(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), at);
                self.spend(node.size, at)?;
                self.attach(node, anchor)
            }
            Event::Alias(anchor) => {
                let Some(size) = self.anchors.get(&anchor).map(|node| node.size) else {
                    return Err(Problem::at(at, codes::SYNTAX, "an alias stands inside the value it refers to")
                        .help("write the value out"));
                };
                self.spend(size, at)?;
                if self.open.len() + size.depth > MAX_DEPTH {
                    return Err(too_deep(at));
                }
                let Some(mut node) = self.anchors.get(&anchor).cloned() else { return Ok(()) };
                node.at = at;
                self.attach(node, 0)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", at);
                self.spend(Size::one(0), at)?;
                self.open.push(Open::Sequence { items: Vec::new(), at, anchor });
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", at);
                self.spend(Size::one(0), at)?;
                self.open.push(Open::Mapping { entries: Vec::new(), keys: HashMap::new(), pending: None, at, anchor });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Sequence { items, at, anchor }) => self.attach(Node::sequence(items, at), anchor),
                Some(Open::Mapping { entries, at, anchor, .. }) => self.attach(Node::mapping(entries, at), anchor),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Counts against the budget, before anything is copied.
    fn spend(&mut self, size: Size, at: Place) -> Result<(), Problem> {
        self.spent.nodes = self.spent.nodes.saturating_add(size.nodes);
        self.spent.text = self.spent.text.saturating_add(size.text);
        if self.spent.nodes > MAX_NODES || self.spent.text > MAX_TEXT {
            return Err(Problem::at(
                at,
                codes::BUDGET,
                format!(
                    "with its aliases written out, the document has more than {MAX_NODES} values or {} MiB of text",
                    MAX_TEXT >> 20
                ),
            )
            .help("split it into several documents, and do not nest aliases in aliases"));
        }
        Ok(())
    }

    fn attach(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if anchor != 0 {
            // The copy counts too, so that anchors nested in anchors cannot grow past the budget.
            self.spend(node.size, node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        let mut refused = None;
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Sequence { items, .. }) => items.push(node),
            Some(Open::Mapping { entries, keys, pending, .. }) => match pending.take() {
                Some(Pending::Key(key)) => entries.push((key, node)),
                Some(Pending::Dropped) => {}
                None => {
                    *pending = Some(match read_key(node, keys) {
                        Ok(key) => Pending::Key(key),
                        Err(problem) => {
                            refused = Some(problem);
                            Pending::Dropped
                        }
                    });
                }
            },
        }
        if let Some(problem) = refused {
            let pointer = format!("{}{}", self.parent_pointer(), problem.pointer);
            self.problems.push(problem.pointer(pointer));
        }
        Ok(())
    }

    /// JSON pointer to the innermost open collection.
    fn parent_pointer(&self) -> String {
        let outer = self.open.len().saturating_sub(1);
        self.open
            .iter()
            .take(outer)
            .map(|open| match open {
                Open::Sequence { items, .. } => format!("/{}", items.len()),
                Open::Mapping { pending: Some(Pending::Key(key)), .. } => pointer_to(&key.text),
                Open::Mapping { .. } => String::new(),
            })
            .collect()
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, expected: &str, at: Place) {
        if let Some(tag) = tag
            && tag.core_suffix() != Some(expected)
        {
            self.problems.push(unknown_tag(tag, at));
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Place) -> Node {
        let plain = style == ScalarStyle::Plain;
        let value = match tag.map(|tag| (tag, tag.core_suffix())) {
            None if plain => resolve(text),
            None | Some((_, Some("str"))) => Some(Value::String(text.to_owned())),
            Some((tag, Some(core @ ("null" | "bool" | "int" | "float")))) => {
                let value = resolve(text).filter(|value| match core {
                    "null" => value.is_null(),
                    "bool" => value.is_boolean(),
                    "int" => value.is_i64() || value.is_u64(),
                    _ => value.is_number(),
                });
                if value.is_none() {
                    self.problems.push(Problem::at(
                        at,
                        codes::YAML_FEATURE,
                        format!("{} does not fit its tag `{}`", quoted(text), tag.original()),
                    ));
                }
                Some(value.unwrap_or(Value::Null))
            }
            Some((tag, _)) => {
                self.problems.push(unknown_tag(tag, at));
                // As without the tag, so that there is no second error about the type.
                if plain { resolve(text) } else { Some(Value::String(text.to_owned())) }
            }
        };
        let value = value.unwrap_or_else(|| {
            self.problems.push(
                Problem::at(at, codes::YAML_FEATURE, format!("{} is a number that JSON cannot hold", quoted(text)))
                    .help("write a finite number, or put it in quotes if it is text"),
            );
            Value::Null
        });
        Node::scalar(value, at, plain.then(|| text.to_owned()))
    }
}

fn unknown_tag(tag: &Tag, at: Place) -> Problem {
    Problem::at(at, codes::YAML_FEATURE, format!("the tag {} has no meaning here", quoted(&tag.original())))
        .help("remove the tag; values have the types of JSON")
}

/// A key that is text and stands once; the pointer of a problem is relative to the mapping.
fn read_key(node: Node, keys: &mut HashMap<String, Place>) -> Result<Key, Problem> {
    let at = node.at;
    let plain = node.raw.is_some();
    let text = match (node.content, node.raw) {
        (Content::Scalar(Value::Null), _) => None,
        // Kubernetes reads `80: x` as the key "80", and so does JSON.
        (Content::Scalar(_), Some(raw)) => Some(raw),
        (Content::Scalar(Value::String(text)), None) => Some(text),
        _ => None,
    };
    let Some(text) = text else {
        return Err(Problem::at(at, codes::YAML_FEATURE, "a key must be text")
            .help("write `key: value`, with the key in quotes if needed"));
    };
    if plain && text == "<<" {
        return Err(Problem::at(
            at,
            codes::YAML_FEATURE,
            "the merge key `<<` belongs to YAML 1.1 and is not supported",
        )
        .help("write the fields out, or repeat a whole value with an anchor and an alias"));
    }
    if let Some(first) = keys.get(&text) {
        return Err(Problem::at(
            at,
            codes::DUPLICATE_KEY,
            format!("the key {} stands twice, first at {first}", quoted(&text)),
        )
        .pointer(pointer_to(&text))
        .help("keep one of the two"));
    }
    keys.insert(text.clone(), at);
    Ok(Key { text, at })
}

/// The YAML 1.2 core schema: `no`, `on` and `1:30` are text. Absent: a number that JSON cannot hold.
fn resolve(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => return resolve_number(text),
    })
}

fn resolve_number(text: &str) -> Option<Value> {
    let string = || Some(Value::String(text.to_owned()));
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|digit| digit.is_digit(radix))
        {
            return u64::from_str_radix(digits, radix).ok().map(|number| Value::Number(number.into()));
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return None;
    }
    if !is_decimal(unsigned) {
        return string();
    }
    let decimal = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = decimal.parse::<i64>() {
        return Some(Value::Number(number.into()));
    }
    if let Ok(number) = decimal.parse::<u64>() {
        return Some(Value::Number(number.into()));
    }
    let float = decimal.parse::<f64>().ok()?;
    Number::from_f64(float).map(Value::Number)
}

/// `[0-9]+`, or `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    let mut rest = &text[whole..];
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        fraction = digits(after);
        rest = &after[fraction..];
    }
    if whole + fraction == 0 {
        return false;
    }
    match rest.strip_prefix(['e', 'E']) {
        None => rest.is_empty(),
        Some(exponent) => {
            let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        let cases = [
            ("no", json!("no")),
            ("on", json!("on")),
            ("y", json!("y")),
            ("1:30", json!("1:30")),
            ("1_000", json!("1_000")),
            ("0777", json!(777)),
            ("0o17", json!(15)),
            ("0x1f", json!(31)),
            ("+5", json!(5)),
            ("-5", json!(-5)),
            ("1.5e3", json!(1500.0)),
            (".5", json!(0.5)),
            (".", json!(".")),
            ("1e", json!("1e")),
            ("true", json!(true)),
            ("True", json!(true)),
            ("~", json!(null)),
            ("2026-11-23", json!("2026-11-23")),
        ];
        for (text, value) in cases {
            assert_eq!(resolve(text), Some(value), "{text}");
        }
        assert_eq!(resolve(".inf"), None);
    }

    #[test]
    fn documents_have_places_and_a_broken_one_hides_no_other() {
        let trees = parse("a: 1\n---\nb: [1\n---\nc:\n  d: x\n");
        assert_eq!(trees.len(), 3);
        assert!(trees[1].root.is_none() && trees[1].fatal[0].code == codes::SYNTAX);
        let (value, places) = trees.into_iter().nth(2).expect("third").root.expect("root").into_json();
        assert_eq!(value, json!({ "c": { "d": "x" } }));
        assert_eq!(places["/c/d"].value, Place { line: 6, column: 6 });
        assert_eq!(places["/c/d"].key, Some(Place { line: 6, column: 3 }));
    }
}
