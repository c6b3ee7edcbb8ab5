//! From JSON to types: all errors of the strict schema, in words, at their places.

use std::{collections::BTreeSet, sync::LazyLock};

use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind as Kind};
use serde_json::Value;

use super::{
    problem::{Place, Problem, pointer_to, quoted},
    tree::Spots,
    words,
};
use crate::intent::{
    codes,
    schema::{DocumentKind, schema},
};

/// A schema and its compiled form.
struct Compiled {
    schema: Value,
    /// Absent only when the schema is broken, which a test excludes.
    validator: Option<Validator>,
}

impl Compiled {
    fn of(kind: DocumentKind) -> Self {
        let schema = schema(kind);
        let validator = jsonschema::options()
            // Linear time whatever the input.
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .with_format("cidr", |text: &str| text.parse::<ipnet::IpNet>().is_ok())
            .with_format("ip", |text: &str| text.parse::<std::net::IpAddr>().is_ok())
            .build(&schema)
            .ok();
        Self { schema, validator }
    }
}

static DATA_PLANE: LazyLock<Compiled> = LazyLock::new(|| Compiled::of(DocumentKind::DataPlane));
static COMPONENT: LazyLock<Compiled> = LazyLock::new(|| Compiled::of(DocumentKind::Component));

/// Most problems that are shown of one document.
const MAX_PROBLEMS: usize = 200;

/// All problems of a document; none when it fits the schema.
pub(super) fn validate(kind: DocumentKind, instance: &Value, spots: &Spots) -> Vec<Problem> {
    let compiled = match kind {
        DocumentKind::DataPlane => &*DATA_PLANE,
        DocumentKind::Component => &*COMPONENT,
    };
    let Some(validator) = &compiled.validator else {
        return vec![Problem::at(Place::START, codes::BAD_VALUE, format!("the schema of {kind} is broken"))];
    };
    let mut explainer = Explainer { schema: &compiled.schema, instance, spots, problems: Vec::new() };
    for error in validator.iter_errors(instance) {
        explainer.explain(&error);
        if explainer.problems.len() > MAX_PROBLEMS {
            let first = explainer.problems.first().map_or(Place::START, Problem::place);
            explainer.problems.truncate(MAX_PROBLEMS);
            explainer.problems.push(
                Problem::at(
                    first,
                    codes::MORE_ERRORS,
                    format!("only the first {MAX_PROBLEMS} errors of this document are shown"),
                )
                .help("mend these and try again"),
            );
            break;
        }
    }
    explainer.finish()
}

struct Explainer<'a> {
    schema: &'a Value,
    instance: &'a Value,
    spots: &'a Spots,
    problems: Vec<Problem>,
}

impl<'a> Explainer<'a> {
    fn finish(self) -> Vec<Problem> {
        // Length and pattern of one text say the same in words.
        let mut seen = BTreeSet::new();
        self.problems
            .into_iter()
            .filter(|problem| seen.insert((problem.code, problem.pointer.clone(), problem.message.clone())))
            .collect()
    }

    fn value_place(&self, pointer: &str) -> Place {
        self.spots.get(pointer).map_or(Place::START, |spot| spot.value)
    }

    fn key_place(&self, pointer: &str) -> Place {
        self.spots.get(pointer).map_or(Place::START, |spot| spot.key.unwrap_or(spot.value))
    }

    fn best_place(&self, pointer: &str) -> Place {
        self.spots.get(pointer).map_or(Place::START, super::tree::Spot::best)
    }

    fn push(&mut self, pointer: &str, at: Place, code: &'static str, message: String, help: Option<String>) {
        let mut problem = Problem::at(at, code, message).pointer(pointer);
        problem.help = help;
        self.problems.push(problem);
    }

    fn explain(&mut self, error: &ValidationError<'_>) {
        let pointer = error.instance_path().as_str().to_owned();
        let keyword_path = error.schema_path().as_str();
        // The schema that holds the keyword: what the place wants.
        let rule =
            keyword_path.rsplit_once('/').and_then(|(parent, _)| self.schema.pointer(parent)).unwrap_or(&Value::Null);
        let value = self.instance.pointer(&pointer).unwrap_or(&Value::Null);
        let name = field_name(&pointer);
        match error.kind() {
            Kind::AdditionalProperties { unexpected } => {
                for key in unexpected.iter().take(MAX_PROBLEMS + 1) {
                    self.unknown_key(&pointer, key, rule);
                }
            }
            // What an object schema without properties says to the first key.
            Kind::FalseSchema if keyword_path.ends_with("/additionalProperties") => {
                for key in value.as_object().into_iter().flat_map(serde_json::Map::keys).take(MAX_PROBLEMS + 1) {
                    self.unknown_key(&pointer, key, rule);
                }
            }
            Kind::Required { property } => {
                let property = property.as_str().unwrap_or_default();
                let wanted = rule.pointer(&format!("/properties{}", pointer_to(property))).unwrap_or(&Value::Null);
                let help = format!("add `{property}: …`{}", self.describe(wanted));
                self.push(
                    &pointer,
                    self.best_place(&pointer),
                    codes::MISSING_FIELD,
                    format!("{} lacks the required field `{property}`", subject(&name)),
                    Some(help),
                );
            }
            Kind::Type { .. } => self.wrong_type(&pointer, value, rule),
            Kind::Pattern { .. } | Kind::MinLength { .. } | Kind::MaxLength { .. } => {
                self.bad_text(&pointer, value, rule);
            }
            Kind::Format { format } => {
                let (expected, example) =
                    words::for_format(format).unwrap_or(("written as its format wants", "another text"));
                self.push(
                    &pointer,
                    self.value_place(&pointer),
                    codes::BAD_TEXT,
                    format!("{}{} is not {expected}", label(&name), quote_value(value)),
                    Some(format!("write for example {example}")),
                );
            }
            Kind::Minimum { .. }
            | Kind::Maximum { .. }
            | Kind::ExclusiveMinimum { .. }
            | Kind::ExclusiveMaximum { .. } => {
                self.push(
                    &pointer,
                    self.value_place(&pointer),
                    codes::OUT_OF_RANGE,
                    format!("{}{} is out of range", label(&name), quote_value(value)),
                    Some(format!("write {}", number_words(rule))),
                );
            }
            Kind::MinItems { .. } | Kind::MaxItems { .. } | Kind::MinProperties { .. } | Kind::MaxProperties { .. } => {
                let (low, high, count) = match value {
                    Value::Object(map) => ("minProperties", "maxProperties", map.len()),
                    other => ("minItems", "maxItems", other.as_array().map_or(0, Vec::len)),
                };
                let low = rule.get(low).and_then(Value::as_u64).unwrap_or(0);
                let high = rule.get(high).and_then(Value::as_u64);
                let range = high.map_or_else(|| format!("at least {low}"), |high| format!("{low} to {high}"));
                self.push(
                    &pointer,
                    self.key_place(&pointer),
                    codes::BAD_COUNT,
                    format!("{} has {count} items", subject(&name)),
                    Some(format!("write {range} items")),
                );
            }
            Kind::Enum { options } => {
                let options: Vec<String> = options.as_array().into_iter().flatten().map(plain).collect();
                self.unknown_value(&pointer, value, &options);
            }
            Kind::Constant { expected_value } => {
                self.unknown_value(&pointer, value, &[plain(expected_value)]);
            }
            Kind::OneOfNotValid { context } | Kind::AnyOf { context } => {
                let branches =
                    self.schema.pointer(keyword_path).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                self.choice(&pointer, value, branches, context);
            }
            Kind::PropertyNames { error } => {
                let key = error.instance().as_str().unwrap_or_default().to_owned();
                let mapping = keyword_path.split_once("/propertyNames").and_then(|(path, _)| self.schema.pointer(path));
                let words = mapping.and_then(pattern_of_keys);
                let at = format!("{pointer}{}", pointer_to(&key));
                self.push(
                    &at,
                    self.key_place(&at),
                    codes::BAD_TEXT,
                    format!("the key {} is too long: it has {} characters", quoted(&key), key.chars().count()),
                    words.map(|words| format!("write {}", words.expected)),
                );
            }
            _ => {
                let message =
                    format!("{}{} does not fit: {}", label(&name), quote_value(value), error.masked_with("the value"));
                self.push(
                    &pointer,
                    self.value_place(&pointer),
                    codes::BAD_VALUE,
                    message.replace(['\n', '\r'], " "),
                    None,
                );
            }
        }
    }

    fn unknown_key(&mut self, pointer: &str, key: &str, rule: &Value) {
        let at = format!("{pointer}{}", pointer_to(key));
        let place = self.key_place(&at);
        if let Some(words) = pattern_of_keys(rule) {
            let message = format!("the key {} is not {}", quoted(key), words.expected);
            self.push(&at, place, codes::BAD_TEXT, message, Some(format!("write for example {}", words.example)));
            return;
        }
        let known: Vec<String> = rule
            .get("properties")
            .and_then(Value::as_object)
            .map(|known| known.keys().cloned().collect())
            .unwrap_or_default();
        let message = format!("{} has no field {}", subject(&field_name(pointer)), quoted(key));
        let help = if known.is_empty() {
            "it takes no fields: write `{}`".to_owned()
        } else {
            format!("{}the fields are {}", did_you_mean(key, &known), list(&known))
        };
        self.push(&at, place, codes::UNKNOWN_FIELD, message, Some(help));
    }

    fn wrong_type(&mut self, pointer: &str, value: &Value, rule: &Value) {
        let name = field_name(pointer);
        let wanted = rule.get("type").and_then(Value::as_str).unwrap_or_default();
        if value.is_null() {
            let help = format!("write a value{}, or remove the key", self.describe(rule));
            let message = format!("{} has no value", subject(&name));
            self.push(pointer, self.key_place(pointer), codes::NO_VALUE, message, Some(help));
            return;
        }
        let raw = self.spots.get(pointer).and_then(|spot| spot.raw.clone()).unwrap_or_else(|| plain(value));
        let help = match (wanted, value) {
            // In quotes it would fit; `timeout: 5` would not, and gets an example instead.
            ("string", Value::Number(_) | Value::Bool(_)) if fits_pattern(rule, &raw) => {
                format!("put it in quotes: \"{raw}\"")
            }
            ("integer" | "number", Value::String(text)) if text.parse::<u64>().is_ok() => {
                format!("write {text} without quotes")
            }
            ("boolean", Value::String(text)) => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "true" => "write true, without quotes".to_owned(),
                "no" | "off" | "n" | "false" => "write false, without quotes".to_owned(),
                _ => "write true or false".to_owned(),
            },
            ("array", Value::String(text)) if text.len() < 80 => {
                format!("write a list: [{}]", super::problem::shown(text))
            }
            ("array", _) => format!("write a list, each item after `- `{}", self.describe(rule)),
            ("object", _) if rule.get("properties").is_none() && rule.get("patternProperties").is_none() => {
                "it takes no fields: write `{}`".to_owned()
            }
            _ => format!("write {}{}", type_words(wanted), self.describe(rule)),
        };
        let at = match value {
            Value::Object(_) | Value::Array(_) => self.key_place(pointer),
            _ => self.value_place(pointer),
        };
        let given = match value {
            Value::Object(_) | Value::Array(_) => type_of(value).to_owned(),
            _ => format!("{} {}", type_of(value), quoted(&raw)),
        };
        let message = format!("{} is {given}, and must be {}", subject(&name), type_words(wanted));
        self.push(pointer, at, codes::WRONG_TYPE, message, Some(help));
    }

    fn bad_text(&mut self, pointer: &str, value: &Value, rule: &Value) {
        let name = field_name(pointer);
        let pattern = rule.get("pattern").and_then(Value::as_str).unwrap_or_default();
        let (expected, example) = words::for_pattern(pattern)
            .map(|words| (words.expected, words.example))
            .or_else(|| words::for_field(last_field(pointer)))
            .unwrap_or(("written as this field wants", "another text"));
        let text = value.as_str().unwrap_or_default();
        let message = format!("{}{} is not {expected}", label(&name), quoted(text));
        let trimmed = text.trim();
        let near = [trimmed.to_owned(), trimmed.to_ascii_lowercase(), trimmed.to_ascii_uppercase()]
            .into_iter()
            .find(|repaired| repaired != text && repaired.len() < 80 && fits_pattern(rule, repaired))
            .map(|repaired| format!("did you mean {}? ", quoted(&repaired)))
            .unwrap_or_default();
        let help = format!("{near}write for example {example}");
        self.push(pointer, self.value_place(pointer), codes::BAD_TEXT, message, Some(help));
    }

    fn unknown_value(&mut self, pointer: &str, value: &Value, options: &[String]) {
        let name = field_name(pointer);
        if value.is_null() {
            let help = format!("write one of {}", list(options));
            self.push(
                pointer,
                self.key_place(pointer),
                codes::NO_VALUE,
                format!("{} has no value", subject(&name)),
                Some(help),
            );
            return;
        }
        let message = format!("{} does not take {}", subject(&name), quote_value(value));
        let help = match options {
            [only] => format!("write `{only}`"),
            _ => format!(
                "{}write one of {}",
                value.as_str().map(|text| did_you_mean(text, options)).unwrap_or_default(),
                list(options)
            ),
        };
        self.push(pointer, self.best_place(pointer), codes::UNKNOWN_VALUE, message, Some(help));
    }

    /// One error for a choice: between words, or between mappings with one key.
    fn choice(&mut self, pointer: &str, value: &Value, branches: &[Value], context: &[Vec<ValidationError<'static>>]) {
        let words: Vec<String> = branches
            .iter()
            .flat_map(|branch| {
                branch
                    .get("const")
                    .map(plain)
                    .into_iter()
                    .chain(branch.get("enum").and_then(Value::as_array).into_iter().flatten().map(plain))
            })
            .collect();
        if !words.is_empty() && words.len() >= branches.len() {
            self.unknown_value(pointer, value, &words);
            return;
        }
        let tag = |branch: &Value| Some(branch.get("required")?.get(0)?.as_str()?.to_owned());
        let tags: Vec<String> = branches.iter().filter_map(tag).collect();
        let name = field_name(pointer);
        let example = |tag: &String| {
            let empty = branches.iter().any(|branch| {
                branch.pointer(&format!("/properties{}", pointer_to(tag))).is_some_and(|inner| {
                    inner.get("type").is_some_and(|kind| kind == "object") && inner.get("properties").is_none()
                })
            });
            if empty { format!("`{tag}: {{}}`") } else { format!("`{tag}: …`") }
        };
        let alternatives = tags.iter().map(example).collect::<Vec<_>>().join(" or ");
        let at = self.best_place(pointer);
        match value {
            Value::Null => {
                let help = format!("write one of {alternatives} below it, or remove the key");
                self.push(
                    pointer,
                    self.key_place(pointer),
                    codes::NO_VALUE,
                    format!("{} has no value", subject(&name)),
                    Some(help),
                );
            }
            Value::Object(map) => {
                let known: Vec<usize> = (0..branches.len())
                    .filter(|index| tag(&branches[*index]).is_some_and(|tag| map.contains_key(&tag)))
                    .collect();
                let unknown: Vec<&String> = map.keys().filter(|key| !tags.contains(key)).collect();
                for key in &unknown {
                    let at = format!("{pointer}{}", pointer_to(key));
                    let help = format!("{}write one of {alternatives}", did_you_mean(key, &tags));
                    let message = format!("{} has no alternative {}", subject(&name), quoted(key));
                    self.push(&at, self.key_place(&at), codes::UNKNOWN_FIELD, message, Some(help));
                }
                match known.as_slice() {
                    [] if unknown.is_empty() => {
                        let message = format!("{} names none of its alternatives", subject(&name));
                        self.push(pointer, at, codes::ONE_OF, message, Some(format!("write one of {alternatives}")));
                    }
                    [] => {}
                    [only] => {
                        // The errors inside the alternative that was meant.
                        let unexpected = |error: &ValidationError<'_>| {
                            error.instance_path().as_str() == pointer
                                && matches!(error.kind(), Kind::AdditionalProperties { .. })
                        };
                        for error in context.get(*only).into_iter().flatten().filter(|error| !unexpected(error)) {
                            self.explain(error);
                        }
                    }
                    several => {
                        let named: Vec<String> = several.iter().filter_map(|index| tag(&branches[*index])).collect();
                        let message = format!("{} names {} at once, and takes one", subject(&name), list(&named));
                        self.push(pointer, at, codes::ONE_OF, message, Some("keep one of them".to_owned()));
                    }
                }
            }
            other => {
                let given = match other {
                    Value::Array(_) => type_of(other).to_owned(),
                    other => format!("{} {}", type_of(other), quote_value(other)),
                };
                let message = format!("{} is {given}, and must be a mapping with one key", subject(&name));
                let near = other.as_str().map(|text| did_you_mean(text, &tags)).unwrap_or_default();
                let help = format!("{near}write one of {alternatives} below it");
                self.push(pointer, at, codes::WRONG_TYPE, message, Some(help));
            }
        }
    }

    /// What a schema wants, for the end of a help text.
    fn describe(&self, rule: &Value) -> String {
        let rule = self.resolved(rule);
        let pattern = rule.get("pattern").and_then(Value::as_str);
        if let Some(words) = pattern.and_then(words::for_pattern) {
            return format!(", for example {}", words.example);
        }
        let options: Vec<String> = rule
            .get("oneOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|branch| branch.get("const").or_else(|| branch.get("required")?.get(0)).map(plain))
            .collect();
        if !options.is_empty() {
            return format!(", one of {}", list(&options));
        }
        if rule.get("type").is_some_and(|kind| kind == "integer") {
            return format!(", {}", number_words(rule));
        }
        match rule.get("properties").and_then(Value::as_object) {
            Some(known) if !known.is_empty() => {
                format!(", with the fields {}", list(&known.keys().cloned().collect::<Vec<_>>()))
            }
            _ => String::new(),
        }
    }

    fn resolved<'r>(&self, rule: &'r Value) -> &'r Value
    where
        'a: 'r,
    {
        rule.get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| self.schema.pointer(reference.trim_start_matches('#')))
            .unwrap_or(rule)
    }
}

/// Words for the keys of a mapping with free keys.
fn pattern_of_keys(rule: &Value) -> Option<&'static words::Words> {
    rule.get("patternProperties")?.as_object()?.keys().find_map(|pattern| words::for_pattern(pattern))
}

/// The last step of a pointer that is a name; an index stays with the name before it: `hostnames[2]`.
pub(super) fn field_name(pointer: &str) -> String {
    let tokens: Vec<String> =
        pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
    match tokens.as_slice() {
        [] => String::new(),
        [.., name, index] if index.parse::<usize>().is_ok() => format!("{}[{index}]", super::problem::shown(name)),
        [.., name] => super::problem::shown(name),
    }
}

/// The last step of a pointer that is no index.
fn last_field(pointer: &str) -> &str {
    pointer.rsplit('/').find(|token| token.parse::<usize>().is_err()).unwrap_or_default()
}

fn subject(name: &str) -> String {
    if name.is_empty() { "the document".to_owned() } else { format!("`{name}`") }
}

fn label(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("`{name}`: ") }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn quote_value(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => type_of(value).to_owned(),
        other => quoted(&plain(other)),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "the truth value",
        Value::Number(_) => "the number",
        Value::String(_) => "the text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Whether a text is what a schema wants; a schema without a pattern takes any.
fn fits_pattern(rule: &Value, text: &str) -> bool {
    let pattern = rule.get("pattern").and_then(Value::as_str).unwrap_or_default();
    regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
}

fn type_words(kind: &str) -> &'static str {
    match kind {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        _ => "of another type",
    }
}

fn number_words(rule: &Value) -> String {
    let bound = |key: &str| rule.get(key).filter(|bound| bound.is_number()).map(plain);
    match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => format!("a whole number from {low} to {high}"),
        (Some(low), None) => format!("a whole number, at least {low}"),
        (None, Some(high)) => format!("a whole number, at most {high}"),
        (None, None) => "a whole number".to_owned(),
    }
}

/// `a`, `b` and `c`, each as code.
pub(crate) fn list(items: &[String]) -> String {
    items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ")
}

/// `did you mean …? `, or nothing.
pub(crate) fn did_you_mean(written: &str, known: &[String]) -> String {
    if written.chars().count() > 64 {
        return String::new();
    }
    let lower = written.to_lowercase();
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            let candidate = candidate.to_lowercase();
            let shorter = candidate.chars().count().min(lower.chars().count());
            let abbreviated = shorter >= 3 && (candidate.starts_with(&lower) || lower.starts_with(&candidate));
            *distance <= 1.max(shorter / 3) || abbreviated
        })
        .min()
        .map(|(_, candidate)| format!("did you mean {}? ", quoted(candidate)))
        .unwrap_or_default()
}
