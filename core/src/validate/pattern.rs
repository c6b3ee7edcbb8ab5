//! Patterns of CRDs, which are regular expressions of Go (RE2) and not of ECMAScript.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jsonschema::{Keyword, ValidationError};
use regex::Regex;
use serde_json::Value;

/// Keyword that stands for `pattern` in the JSON Schema of a CRD, so that the syntax is that of Go.
pub(super) const KEYWORD: &str = "x-go-pattern";

/// The patterns of one schema; the same pattern at many places is compiled once.
#[derive(Default)]
pub(super) struct Patterns(Mutex<HashMap<String, Regex>>);

struct Pattern {
    regex: Regex,
    source: String,
}

impl Patterns {
    fn compile(&self, source: &str) -> Result<Pattern, String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = known.get(source) {
            return Ok(Pattern { regex: regex.clone(), source: source.to_owned() });
        }
        let regex = Regex::new(&translate(source)).map_err(|error| error.to_string())?;
        known.insert(source.to_owned(), regex.clone());
        Ok(Pattern { regex, source: source.to_owned() })
    }

    /// The check of one pattern.
    pub(super) fn keyword(&self, pattern: &Value) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'static>> {
        let pattern = self.compile(pattern.as_str().unwrap_or_default()).map_err(ValidationError::schema)?;
        Ok(Box::new(pattern))
    }
}

impl<'i> Keyword<'i> for Pattern {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) {
            return Ok(());
        }
        Err(ValidationError::custom(format!("{instance} does not match the pattern {}", self.source)))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        instance.as_str().is_none_or(|text| self.regex.is_match(text))
    }
}

/// A pattern of Go in the syntax of the regex crate.
///
/// The two differ in that `\d`, `\w`, `\s` and `\b` are ASCII in Go, and that `[`, `&&` and `~~` have a meaning inside
/// of a class only in the regex crate.
fn translate(source: &str) -> String {
    let mut target = String::with_capacity(source.len() + 16);
    let mut chars = source.chars().peekable();
    let mut is_in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match (chars.next(), is_in_class) {
                (Some(class @ ('d' | 'w' | 's' | 'b' | 'B')), false) => {
                    target.push_str("(?-u:\\");
                    target.push(class);
                    target.push(')');
                }
                (Some('d'), true) => target.push_str("0-9"),
                (Some('w'), true) => target.push_str("0-9A-Za-z_"),
                (Some('s'), true) => target.push_str("\\t\\n\\x0c\\r "),
                (Some('D'), _) => target.push_str("[^0-9]"),
                (Some('W'), _) => target.push_str("[^0-9A-Za-z_]"),
                (Some('S'), _) => target.push_str("[^\\t\\n\\x0c\\r ]"),
                (Some(other), _) => target.extend(['\\', other]),
                (None, _) => target.push('\\'),
            },
            '[' if !is_in_class => {
                is_in_class = true;
                target.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    target.push('^');
                }
                if chars.next_if_eq(&']').is_some() {
                    target.push_str("\\]"); // first in a class, it is a member
                }
            }
            '[' if chars.peek() == Some(&':') => {
                target.push('[');
                for c in chars.by_ref() {
                    target.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            ']' => {
                is_in_class = false;
                target.push(']');
            }
            '[' | '&' | '~' if is_in_class => target.extend(['\\', c]),
            _ => target.push(c),
        }
    }
    target
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Patterns::default().compile(pattern).unwrap().regex.is_match(text)
    }

    #[test]
    fn classes_are_ascii_as_in_go() {
        assert!(matches(r"^\d\w\s$", "1a "));
        assert!(!matches(r"^\d$", "٣") && !matches(r"^[\d]$", "٣") && !matches(r"^\w$", "é"));
        assert!(matches(r"^[^\s]\S\D\W$", "éxx-"));
        assert!(matches(r"^\PC*$", "é") && matches(r"^[\p{L}.\-]+$", "é-."));
    }

    #[test]
    fn classes_have_no_operators_as_in_go() {
        assert!(matches("^[[&&~~]+$", "[&~") && !matches("^[[&&~~]+$", "]"));
        assert!(matches("^[]a]+$", "]a") && matches("^[^]a]$", "b"));
        assert!(matches("^[[:alpha:]_]+$", "a_") && matches(r"^[\[\]]+$", "[]"));
    }

    #[test]
    fn what_go_does_not_know_is_refused() {
        assert!(Patterns::default().compile(r"(?=a)").is_err());
    }
}
