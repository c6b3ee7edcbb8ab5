//! A field of a document, and the collection of what is wrong.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    diagnostic::{Category, Diagnostic, Diagnostics, Origin, Severity},
    intent::{Component, DataPlane, Intent, SourceMap, codes},
};

/// A field of a document.
#[derive(Clone)]
pub(super) struct At<'a> {
    document: Arc<str>,
    source: &'a SourceMap,
    pointer: String,
}

impl<'a> At<'a> {
    pub(super) fn data_plane(plane: &'a DataPlane) -> Self {
        Self { document: Arc::from(plane.id().to_string()), source: &plane.source, pointer: String::new() }
    }

    pub(super) fn component(component: &'a Component) -> Self {
        Self { document: Arc::from(component.id().to_string()), source: &component.source, pointer: String::new() }
    }

    /// A field below; the path is relative and needs no escaping: `spec/endpoints`.
    pub(super) fn field(&self, path: &str) -> Self {
        Self { pointer: format!("{}/{path}", self.pointer), ..self.clone() }
    }

    /// An item of a list.
    pub(super) fn item(&self, index: usize) -> Self {
        self.field(&index.to_string())
    }

    /// The value of a key.
    pub(super) fn key(&self, key: impl fmt::Display) -> Self {
        self.field(&key.to_string().replace('~', "~0").replace('/', "~1"))
    }

    pub(super) fn origin(&self) -> Origin {
        self.source.origin(&self.pointer)
    }

    /// How another diagnostic names this place.
    pub(super) fn named(&self) -> String {
        match self.origin() {
            Origin::Value => format!("{} {}", self.document, self.pointer).trim_end().to_owned(),
            origin => origin.to_string(),
        }
    }
}

/// The intent under check, and what was found.
pub(super) struct Checker<'a> {
    pub(super) intent: &'a Intent,
    diagnostics: Diagnostics,
}

impl<'a> Checker<'a> {
    pub(super) fn new(intent: &'a Intent) -> Self {
        Self { intent, diagnostics: Diagnostics::default() }
    }

    pub(super) fn finish(mut self) -> Diagnostics {
        self.diagnostics.sort();
        self.diagnostics
    }

    pub(super) fn error(
        &mut self,
        at: &At<'_>,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(at, code, Severity::Error, message.into(), help.into());
    }

    pub(super) fn warning(
        &mut self,
        at: &At<'_>,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(at, code, Severity::Warning, message.into(), help.into());
    }

    fn push(&mut self, at: &At<'_>, code: &'static str, severity: Severity, message: String, help: String) {
        self.diagnostics.push(Diagnostic {
            code,
            severity,
            category: Category::Invalid,
            document: at.document.to_string(),
            pointer: at.pointer.clone(),
            origin: at.origin(),
            message,
            help: Some(help),
        });
    }

    /// Each text once in a list; `what` names the thing.
    pub(super) fn unique<'t>(&mut self, what: &str, texts: impl IntoIterator<Item = (At<'a>, &'t str)>) {
        let mut seen: BTreeMap<&str, At<'_>> = BTreeMap::new();
        for (at, text) in texts {
            if let Some(first) = seen.get(text) {
                let message = format!("the {what} `{text}` stands here a second time, first at {}", first.named());
                self.error(&at, codes::DUPLICATE_NAME, message, "give it another name, or remove one of the two");
            } else {
                seen.insert(text, at);
            }
        }
    }
}

/// Names for a message: `a`, `b`.
pub(super) fn names<T: fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { crate::intent::load::list(&names) }
}

/// `did you mean …? ` for a name, or nothing.
pub(super) fn near<T: fmt::Display>(written: &str, known: impl IntoIterator<Item = T>) -> String {
    let known: Vec<String> = known.into_iter().map(|name| name.to_string()).collect();
    crate::intent::load::did_you_mean(written, &known)
}
