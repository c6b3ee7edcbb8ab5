//! `x-kubernetes-validations`: the CEL rules of a schema.
//!
//! The functions and the evaluator are those of kube-cel. The walk over the object is our own, because it needs JSON
//! pointers, items of map lists paired by key for rules with `oldSelf`, numbers typed by the schema, and rules that
//! cannot be evaluated told apart from rules that fail. Cost limits of the API server are not emulated.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use kube_cel::{
    KubeCelExt, Rule,
    cel::{
        self, Context, ExecutionError,
        objects::{Key, Map},
        parser::{Expression, Parser},
    },
};
use serde_json::Value;

use super::{Stage, UncheckedRule, Violation, list_keys, pointer};

/// Rules of one node of a schema and of everything below it; nodes without rules are left out.
#[derive(Debug, Default)]
pub(super) struct Rules {
    here: Vec<CompiledRule>,
    properties: BTreeMap<String, Rules>,
    items: Option<Box<Rules>>,
    additional: Option<Box<Rules>>,
}

#[derive(Debug)]
struct CompiledRule {
    text: String,
    message: Option<String>,
    field_path: Option<String>,
    optional_old_self: bool,
    programs: Result<Programs, String>,
}

#[derive(Debug)]
struct Programs {
    rule: Expression,
    message: Option<Expression>,
    is_transition: bool,
}

/// What the rules say of one object.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) violations: Vec<Violation>,
    pub(super) unchecked: Vec<UncheckedRule>,
}

/// The evaluator with the functions of Kubernetes; build one and use it for many objects.
pub(super) struct Evaluator {
    context: Context<'static>,
    timestamp: Option<Expression>,
    duration: Option<Expression>,
}

impl Default for Evaluator {
    fn default() -> Self {
        Self { context: context(), timestamp: parse("timestamp(text)").ok(), duration: parse("duration(text)").ok() }
    }
}

/// The functions of Kubernetes, and `type()`, which kube-cel 0.8 lacks.
fn context() -> Context<'static> {
    let mut context = Context::default().with_all();
    for name in ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"] {
        context.add_variable_from_value(name, type_value(name));
    }
    context.add_function("type", |value: cel::Value| -> Result<cel::Value, ExecutionError> {
        Ok(match value {
            cel::Value::List(_) => type_value("list"),
            cel::Value::Map(_) => type_value("map"),
            cel::Value::Int(_) => type_value("int"),
            cel::Value::UInt(_) => type_value("uint"),
            cel::Value::Float(_) => type_value("double"),
            cel::Value::String(_) => type_value("string"),
            cel::Value::Bytes(_) => type_value("bytes"),
            cel::Value::Bool(_) => type_value("bool"),
            cel::Value::Null => type_value("null_type"),
            _ => type_value("other"),
        })
    });
    context
}

/// A type as a value: a text that no rule writes, as there is no type of types here.
fn type_value(name: &str) -> cel::Value {
    cel::Value::String(Arc::new(format!("\u{0}type {name}")))
}

impl Rules {
    /// Compiles the rules of a schema.
    pub(super) fn compile(schema: &Value) -> Self {
        Self::compile_node(schema).unwrap_or_default()
    }

    fn compile_node(schema: &Value) -> Option<Self> {
        let mut node = Self::default();
        node.add_rules(schema);
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                if let Some(child) = Self::compile_node(property) {
                    node.properties.insert(name.clone(), child);
                }
            }
        }
        node.items = schema.get("items").and_then(Self::compile_node).map(Box::new);
        node.additional = schema.get("additionalProperties").and_then(Self::compile_node).map(Box::new);
        let is_empty =
            node.here.is_empty() && node.properties.is_empty() && node.items.is_none() && node.additional.is_none();
        (!is_empty).then_some(node)
    }

    fn add_rules(&mut self, schema: &Value) {
        let declared = schema.get("x-kubernetes-validations").and_then(Value::as_array);
        self.here.extend(declared.into_iter().flatten().map(CompiledRule::compile));
        // rules in a branch of allOf always apply; the API server refuses CRDs with rules in other branches
        for branch in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.add_rules(branch);
        }
    }

    /// Number of rules, and the rules that cannot be compiled with the reason.
    pub(super) fn census(&self) -> (usize, Vec<(String, String)>) {
        let mut count = self.here.len();
        let mut broken: Vec<_> = self
            .here
            .iter()
            .filter_map(|rule| rule.programs.as_ref().err().map(|reason| (rule.text.clone(), reason.clone())))
            .collect();
        let children = self.properties.values().chain(self.items.as_deref()).chain(self.additional.as_deref());
        for child in children {
            let (below, broken_below) = child.census();
            count += below;
            broken.extend(broken_below);
        }
        (count, broken)
    }
}

impl CompiledRule {
    fn compile(declared: &Value) -> Self {
        match serde_json::from_value::<Rule>(declared.clone()) {
            Ok(rule) => Self {
                programs: Programs::compile(&rule),
                text: rule.rule,
                message: rule.message,
                field_path: rule.field_path,
                optional_old_self: rule.optional_old_self == Some(true),
            },
            Err(error) => Self {
                programs: Err(error.to_string()),
                text: declared.to_string(),
                message: None,
                field_path: None,
                optional_old_self: false,
            },
        }
    }
}

impl Programs {
    fn compile(rule: &Rule) -> Result<Self, String> {
        let expression = parse(&rule.rule)?;
        let is_transition = expression.references().has_variable("oldSelf");
        // a message that cannot be compiled costs the message, not the rule
        let message = rule.message_expression.as_deref().and_then(|text| parse(text).ok());
        Ok(Self { rule: expression, message, is_transition })
    }
}

/// Parses an expression.
///
/// Optional selection (`self.?field`) stays a syntax error, so such a rule is told as unchecked: cel 0.13 can parse it,
/// but fails on an absent field, and says `false` for `has(self.?a.b)` whatever the object.
fn parse(text: &str) -> Result<Expression, String> {
    Parser::new().parse(text).map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

impl Evaluator {
    /// Evaluates rules for an object that has its defaults and is structurally valid.
    ///
    /// Rules that mention `oldSelf` are evaluated only when `old` is given.
    pub(super) fn check(&self, rules: &Rules, schema: &Value, object: &Value, old: Option<&Value>) -> Outcome {
        let mut outcome = Outcome::default();
        self.walk(rules, schema, object, old, "", &mut outcome);
        outcome
    }

    fn walk(&self, rules: &Rules, schema: &Value, value: &Value, old: Option<&Value>, at: &str, out: &mut Outcome) {
        if !rules.here.is_empty() {
            self.evaluate(&rules.here, schema, value, old, at, out);
        }
        let child_schema = |name: &str| schema.get("properties").and_then(|properties| properties.get(name));
        if let Value::Object(fields) = value {
            for (name, value) in fields {
                let (rules, schema) = match child_schema(name) {
                    Some(schema) => (rules.properties.get(name), Some(schema)),
                    None => (rules.additional.as_deref(), schema.get("additionalProperties")),
                };
                if let (Some(rules), Some(schema)) = (rules, schema) {
                    let old = old.and_then(|old| old.get(name));
                    self.walk(rules, schema, value, old, &pointer::field(at, name), out);
                }
            }
        }
        if let (Value::Array(items), Some(rules), Some(item_schema)) = (value, &rules.items, schema.get("items")) {
            let keys = list_keys::map_keys(schema);
            let old_items = old.and_then(Value::as_array);
            for (index, item) in items.iter().enumerate() {
                // only items of map lists are the same item across an update
                let old = keys.as_ref().and_then(|keys| {
                    let key = list_keys::key_of(item, keys, item_schema);
                    old_items?.iter().find(|old| list_keys::key_of(old, keys, item_schema) == key)
                });
                self.walk(rules, item_schema, item, old, &pointer::item(at, index), out);
            }
        }
    }

    fn evaluate(
        &self,
        rules: &[CompiledRule],
        schema: &Value,
        value: &Value,
        old: Option<&Value>,
        at: &str,
        out: &mut Outcome,
    ) {
        let mut context = self.context.new_inner_scope();
        context.add_variable_from_value("self", self.to_cel(value, schema));
        let old = old.map(|old| self.to_cel(&in_order_of(value, old, schema), schema));
        for rule in rules {
            let mut unchecked = |reason: String| {
                out.unchecked.push(UncheckedRule { pointer: at.to_owned(), rule: rule.text.clone(), reason });
            };
            let programs = match &rule.programs {
                Ok(programs) => programs,
                Err(reason) => {
                    unchecked(reason.clone());
                    continue;
                }
            };
            let mut scope = context.new_inner_scope();
            if programs.is_transition {
                if rule.optional_old_self {
                    match optional(&self.context, old.as_ref()) {
                        Ok(old) => scope.add_variable_from_value("oldSelf", old),
                        Err(error) => {
                            unchecked(error.to_string());
                            continue;
                        }
                    }
                } else if let Some(old) = &old {
                    scope.add_variable_from_value("oldSelf", old.clone());
                } else {
                    continue;
                }
            }
            let message = match scope.resolve(&programs.rule) {
                Ok(cel::Value::Bool(true)) => continue,
                Ok(cel::Value::Bool(false)) => {
                    let dynamic = programs.message.as_ref().and_then(|message| scope.resolve(message).ok());
                    match (dynamic, &rule.message) {
                        (Some(cel::Value::String(text)), _) => text.to_string(),
                        (_, Some(text)) => text.clone(),
                        _ => "the rule is not met".to_owned(),
                    }
                }
                Ok(_) => {
                    unchecked("the rule is neither true nor false".to_owned());
                    continue;
                }
                Err(error) if is_gap(&error) => {
                    unchecked(error.to_string());
                    continue;
                }
                Err(error) => format!("the rule cannot be evaluated: {error}"),
            };
            let pointer = rule.field_path.as_deref().map_or_else(|| at.to_owned(), |path| below(at, path));
            out.violations.push(Violation { stage: Stage::Cel, pointer, message, rule: Some(rule.text.clone()) });
        }
    }

    /// A JSON value as CEL sees it: typed by the schema, with the names of fields escaped.
    fn to_cel(&self, value: &Value, schema: &Value) -> cel::Value {
        match value {
            Value::Null => cel::Value::Null,
            Value::Bool(value) => cel::Value::Bool(*value),
            Value::Number(number) => {
                let is_float = schema.get("type").and_then(Value::as_str) == Some("number");
                match (number.as_i64(), number.as_u64()) {
                    (Some(integer), _) if !is_float => cel::Value::Int(integer),
                    (None, Some(integer)) if !is_float => cel::Value::UInt(integer),
                    _ => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
                }
            }
            Value::String(text) => self.text_to_cel(text, schema),
            Value::Array(items) => {
                let item_schema = schema.get("items").unwrap_or(&Value::Null);
                cel::Value::List(Arc::new(items.iter().map(|item| self.to_cel(item, item_schema)).collect()))
            }
            Value::Object(fields) => {
                let properties = schema.get("properties");
                let additional = schema.get("additionalProperties").unwrap_or(&Value::Null);
                let mut map = HashMap::with_capacity(fields.len());
                for (name, value) in fields {
                    let (name, schema) = match properties.and_then(|properties| properties.get(name)) {
                        Some(schema) => (escape(name), schema),
                        None => (name.clone(), additional),
                    };
                    map.insert(Key::String(Arc::new(name)), self.to_cel(value, schema));
                }
                cel::Value::Map(Map { map: Arc::new(map) })
            }
        }
    }

    fn text_to_cel(&self, text: &str, schema: &Value) -> cel::Value {
        let plain = || cel::Value::String(Arc::new(text.to_owned()));
        let parsed = |expression: &Option<Expression>| {
            let mut scope = self.context.new_inner_scope();
            scope.add_variable_from_value("text", plain());
            expression.as_ref().and_then(|expression| scope.resolve(expression).ok())
        };
        match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => parsed(&self.timestamp).unwrap_or_else(plain),
            Some("duration") => parsed(&self.duration).unwrap_or_else(plain),
            Some("byte") => STANDARD.decode(text).map_or_else(|_| plain(), |bytes| cel::Value::Bytes(Arc::new(bytes))),
            _ => plain(),
        }
    }
}

/// `oldSelf` of a rule with `optionalOldSelf`.
fn optional(context: &Context<'_>, old: Option<&cel::Value>) -> Result<cel::Value, ExecutionError> {
    let mut scope = context.new_inner_scope();
    let text = match old {
        Some(old) => {
            scope.add_variable_from_value("old", old.clone());
            "optional.of(old)"
        }
        None => "optional.none()",
    };
    let expression = parse(text).map_err(|error| ExecutionError::function_error("optional", error))?;
    scope.resolve(&expression)
}

/// Whether an error is about what the evaluator can do, not about the object.
///
/// The API server type-checks rules when a CRD is created, so an installed rule names nothing that is undeclared and
/// applies no operator to types that it does not fit: such an error is a gap of the evaluator.
fn is_gap(error: &ExecutionError) -> bool {
    !matches!(
        error,
        ExecutionError::NoSuchKey(_)
            | ExecutionError::FunctionError { .. }
            // an argument failed, mostly because it is an absent field; the number of arguments is type-checked
            | ExecutionError::MissingArgumentOrTarget
            | ExecutionError::DivisionByZero(_)
            | ExecutionError::RemainderByZero(_)
            | ExecutionError::Overflow(..)
            | ExecutionError::IndexOutOfBounds(_)
    )
}

/// The old value with the items of its maps and sets in the order of the new value, as their order means nothing.
fn in_order_of(new: &Value, old: &Value, schema: &Value) -> Value {
    match (new, old) {
        (Value::Object(new_fields), Value::Object(old_fields)) => {
            let properties = schema.get("properties");
            let child = |name: &str| {
                properties
                    .and_then(|properties| properties.get(name))
                    .or_else(|| schema.get("additionalProperties"))
                    .unwrap_or(&Value::Null)
            };
            let ordered = old_fields.iter().map(|(name, old)| {
                let value = new_fields.get(name).map_or_else(|| old.clone(), |new| in_order_of(new, old, child(name)));
                (name.clone(), value)
            });
            Value::Object(ordered.collect())
        }
        (Value::Array(new_items), Value::Array(old_items)) => {
            let item_schema = schema.get("items").unwrap_or(&Value::Null);
            let keys = list_keys::map_keys(schema);
            let is_set = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("set");
            if keys.is_none() && !is_set {
                return old.clone();
            }
            let same = |a: &Value, b: &Value| match &keys {
                Some(keys) => list_keys::key_of(a, keys, item_schema) == list_keys::key_of(b, keys, item_schema),
                None => a == b,
            };
            let place = |old: &Value| new_items.iter().position(|new| same(new, old)).unwrap_or(usize::MAX);
            let mut ordered: Vec<Value> = old_items
                .iter()
                .map(|old| match new_items.get(place(old)) {
                    Some(new) => in_order_of(new, old, item_schema),
                    None => old.clone(),
                })
                .collect();
            ordered.sort_by_key(place);
            Value::Array(ordered)
        }
        _ => old.clone(),
    }
}

/// The name of a field as rules write it.
///
/// Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules>.
fn escape(name: &str) -> String {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}

/// The pointer of a rule's `fieldPath` (`.a.b` or `['a-b']`) below the node of the rule.
fn below(at: &str, field_path: &str) -> String {
    let mut pointer = at.to_owned();
    let mut rest = field_path;
    while !rest.is_empty() {
        let (name, next) = if let Some(quoted) = rest.strip_prefix("['") {
            quoted.split_once("']").unwrap_or((quoted, ""))
        } else {
            let plain = rest.strip_prefix('.').unwrap_or(rest);
            plain.split_at(plain.find(['.', '[']).unwrap_or(plain.len()))
        };
        if name.is_empty() {
            break;
        }
        pointer = pointer::field(&pointer, name);
        rest = next;
    }
    pointer
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: &Value, object: &Value, old: Option<&Value>) -> Outcome {
        Evaluator::default().check(&Rules::compile(schema), schema, object, old)
    }

    #[test]
    fn rules_see_escaped_names_and_typed_numbers() {
        let schema = json!({
            "properties": {
                "namespace": {"type": "string"}, "my_field": {"type": "integer"}, "a-b": {"type": "integer"},
                "ratio": {"type": "number"}, "at": {"type": "string", "format": "date-time"},
            },
            "x-kubernetes-validations": [
                {"rule": "self.__namespace__ == 'x' && self.my_field == 1 && self.a__dash__b == 2"},
                {"rule": "self.ratio > 0.5"},
                {"rule": "self.at > timestamp('2020-01-01T00:00:00Z')"},
            ],
        });
        let object = json!({"namespace": "x", "my_field": 1, "a-b": 2, "ratio": 1, "at": "2021-01-01T00:00:00Z"});
        let outcome = check(&schema, &object, None);
        assert!(outcome.violations.is_empty() && outcome.unchecked.is_empty(), "{outcome:?}");
    }

    #[test]
    fn transition_rules_need_an_old_object_and_pair_items_by_key() {
        let schema = json!({"properties": {"list": {
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "whole"}],
            "items": {"properties": {"name": {"type": "string"}, "value": {
                "type": "integer", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed"}],
            }}},
        }}});
        let old = json!({"list": [{"name": "a", "value": 1}, {"name": "b", "value": 2}]});
        let swapped = json!({"list": [{"name": "b", "value": 2}, {"name": "a", "value": 1}]});
        assert!(check(&schema, &swapped, None).violations.is_empty());
        assert!(check(&schema, &swapped, Some(&old)).violations.is_empty());
        let changed = json!({"list": [{"name": "b", "value": 3}, {"name": "a", "value": 1}]});
        let pointers: Vec<_> =
            check(&schema, &changed, Some(&old)).violations.into_iter().map(|found| found.pointer).collect();
        assert_eq!(pointers, ["/list", "/list/0/value"]);
    }

    #[test]
    fn optional_old_self_is_an_optional() {
        let rule = "oldSelf.hasValue() ? oldSelf.value() == self : self == 1";
        let schema = json!({"type": "integer", "x-kubernetes-validations": [{"rule": rule, "optionalOldSelf": true}]});
        for (new, old, is_met) in [(1, None, true), (2, None, false), (2, Some(2), true), (2, Some(1), false)] {
            let outcome = check(&schema, &json!(new), old.map(|old| json!(old)).as_ref());
            assert_eq!((outcome.violations.is_empty(), outcome.unchecked.len()), (is_met, 0), "{new} {old:?}");
        }
    }

    #[test]
    fn old_self_in_macros_makes_a_transition_rule() {
        let rule = "self.list.all(x, !has(oldSelf.list) || x in oldSelf.list)";
        let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}]});
        for (old, failures) in [(None, 0), (Some(json!({})), 0), (Some(json!({"list": [2]})), 1)] {
            let outcome = check(&schema, &json!({"list": [1]}), old.as_ref());
            assert_eq!((outcome.violations.len(), outcome.unchecked.len()), (failures, 0), "{outcome:?}");
        }
    }

    #[test]
    fn types_can_be_compared() {
        let rule =
            "type(self) == int && int(self) > 1 || type(self) == string && quantity(self).isLessThan(quantity('4Gi'))";
        let schema = json!({"x-kubernetes-int-or-string": true, "x-kubernetes-validations": [{"rule": rule}]});
        for (value, failures) in [(json!(2), 0), (json!(1), 1), (json!("1Gi"), 0), (json!("5Gi"), 1)] {
            let outcome = check(&schema, &value, None);
            assert_eq!((outcome.violations.len(), outcome.unchecked.len()), (failures, 0), "{value}: {outcome:?}");
        }
    }

    #[test]
    fn an_absent_field_fails_a_rule_that_needs_it() {
        let schema = json!({"x-kubernetes-validations": [{"rule": "size(self.a) > 0"}, {"rule": "self.a == 1"}]});
        let outcome = check(&schema, &json!({}), None);
        assert_eq!((outcome.violations.len(), outcome.unchecked.len()), (2, 0), "{outcome:?}");
    }

    #[test]
    fn optional_selection_is_told_as_unchecked() {
        let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule": "!has(self.?a.b)"}]});
        let outcome = check(&schema, &json!({"a": {"b": 1}}), None);
        assert_eq!((outcome.violations.len(), outcome.unchecked.len()), (0, 1));
        assert!(outcome.unchecked[0].reason.contains("'.?'"), "{outcome:?}");
    }

    #[test]
    fn rules_that_cannot_be_evaluated_are_told_apart() {
        let schema = json!({"type": "integer", "x-kubernetes-validations": [
            {"rule": "self =="}, {"rule": "noSuchFunction(self)"}, {"rule": "self"}, {"rule": "1 / self == 1"},
            {"rule": "self > 0", "messageExpression": "'got ' + string(self)", "fieldPath": ".a['b/c'].d"},
        ]});
        let outcome = check(&schema, &json!(0), None);
        assert_eq!(outcome.unchecked.len(), 3, "{outcome:?}");
        let last = outcome.violations.last().map(|found| (found.pointer.as_str(), found.message.as_str()));
        assert_eq!(last, Some(("/a/b~1c/d", "got 0")));
        assert_eq!(outcome.violations.len(), 2);
    }
}
