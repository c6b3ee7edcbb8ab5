//! A problem in one document, before the document has a name.

use std::{fmt, sync::Arc};

use serde_saphyr::granit_parser::Marker;

use crate::diagnostic::{Category, Diagnostic, Origin, Severity};

/// Line and column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Place {
    /// The start of an input.
    pub(super) const START: Self = Self { line: 1, column: 1 };

    pub(super) fn of(marker: Marker) -> Self {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { line: number(marker.line().max(1)), column: number(marker.col().saturating_add(1)) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// What is wrong, where, and what to write instead.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) code: &'static str,
    pub(super) severity: Severity,
    pub(super) pointer: String,
    pub(super) at: Option<Place>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Problem {
    /// An error at a place.
    pub(super) fn at(at: Place, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            pointer: String::new(),
            at: Some(at),
            message: message.into(),
            help: None,
        }
    }

    /// With what to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With the field.
    pub(super) fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = pointer.into();
        self
    }

    /// As a warning.
    pub(super) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Where it is.
    pub(super) fn place(&self) -> Place {
        self.at.unwrap_or(Place::START)
    }

    /// With the file and the document.
    pub(super) fn into_diagnostic(self, path: &Arc<str>, document: &str) -> Diagnostic {
        let Place { line, column } = self.place();
        Diagnostic {
            code: self.code,
            severity: self.severity,
            category: Category::Invalid,
            document: document.to_owned(),
            pointer: self.pointer,
            origin: Origin::File { path: path.clone(), line, column },
            message: self.message,
            help: self.help,
        }
    }
}

/// A step of a JSON pointer, with its slash.
pub(super) fn pointer_to(token: &str) -> String {
    format!("/{}", token.replace('~', "~0").replace('/', "~1"))
}

/// A text of the user as it can be shown: on one line, without control characters, at most 80 characters.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", shown(text))
}

/// Like [`quoted`], without the marks.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == 80 {
            shown.push('…');
            break;
        }
        // Control and format characters (also those that turn the direction of writing) are shown by their number.
        if character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}
