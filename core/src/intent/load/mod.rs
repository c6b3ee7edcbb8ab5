//! Loads intents from files, folders and texts: strict, all errors at once, each with its place.
//!
//! - YAML 1.2 (core schema) and JSON, many documents in one file, UTF-8 with or without a byte-order mark.
//! - Anchors and aliases are read within a budget; merge keys (`<<`) are YAML 1.1 and refused.
//! - A document of another API group is left out with a warning; a document without `apiVersion` and `kind` is an error.
//! - A key without a value is an error, so that `jwt:` alone never reads as "no jwt".

mod files;
mod problem;
mod read;
mod tree;
mod validate;
pub(crate) mod words;
mod yaml;

use std::{io::Read, path::PathBuf, sync::Arc};

use self::{files::Input, problem::Place, read::Reader};
use super::{Intent, check, codes};
use crate::diagnostic::{Category, Diagnostic, Diagnostics, Origin, Severity};

pub(crate) use validate::{did_you_mean, list};

/// Largest input, in bytes.
pub const MAX_INPUT_BYTES: usize = 5 << 20;

/// Intents that were loaded without errors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The intents.
    pub intent: Intent,
    /// What should be looked at, and stops nothing.
    pub warnings: Diagnostics,
}

/// Collects inputs and reads them together, so that one run shows all errors of all of them.
///
/// ```
/// use gateway_modules_core::intent::load::Loader;
///
/// let loaded = Loader::new()
///     .text("shop.yaml", "
/// apiVersion: gatewaymodules.dev/v1alpha1
/// kind: Component
/// metadata: { name: catalog, namespace: shop }
/// spec:
///   endpoints:
///     - { name: api, type: HTTP, port: 8080, visibilities: [external] }
/// ")
///     .finish();
/// assert_eq!(loaded.map(|loaded| loaded.intent.components.len()), Ok(1));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Loader {
    inputs: Vec<Input>,
    diagnostics: Diagnostics,
    looked_at: Vec<String>,
}

impl Loader {
    /// No inputs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text; `name` stands in diagnostics where a path would.
    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.add(name, text.as_bytes().to_vec());
        self
    }

    /// Adds all that a reader gives, for example the standard input.
    #[must_use]
    pub fn reader(mut self, name: &str, reader: impl Read) -> Self {
        match files::read_limited(reader) {
            Ok(bytes) => self.add(name, bytes),
            Err(error) => {
                self.looked_at.push(name.to_owned());
                self.fail(name, codes::UNREADABLE, format!("cannot be read: {error}"), None);
            }
        }
        self
    }

    /// Adds a file, or all `*.yaml`, `*.yml` and `*.json` files in a folder and below it, except those in hidden folders.
    #[must_use]
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        files::collect(&path.into(), &mut self);
        self
    }

    /// Reads everything.
    ///
    /// # Errors
    /// All errors of all inputs, and the warnings. Semantic checks run only when every document could be read.
    pub fn finish(self) -> Result<Loaded, Diagnostics> {
        let mut loaded = self.finish_unchecked()?;
        let mut found = check::check(&loaded.intent);
        found.extend(std::mem::take(&mut loaded.warnings));
        found.sort();
        if found.has_errors() {
            return Err(found);
        }
        loaded.warnings = found;
        Ok(loaded)
    }

    /// Reads everything and leaves out the semantic checks ([`check`](crate::intent::check::check)), for callers that add
    /// intents from elsewhere first.
    ///
    /// # Errors
    /// All errors of all inputs, and the warnings.
    pub fn finish_unchecked(self) -> Result<Loaded, Diagnostics> {
        let mut reader = Reader { intent: Intent::default(), diagnostics: self.diagnostics, documents: 0 };
        for input in self.inputs {
            reader.input(&Arc::from(input.name.as_str()), &input.bytes);
        }
        if reader.documents == 0 && !reader.diagnostics.has_errors() {
            reader.diagnostics.push(nothing_found(&self.looked_at));
        }
        reader.diagnostics.sort();
        if reader.diagnostics.has_errors() {
            return Err(reader.diagnostics);
        }
        Ok(Loaded { intent: reader.intent, warnings: reader.diagnostics })
    }

    fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.looked_at.push(name.to_owned());
        self.inputs.push(Input { name: name.to_owned(), bytes });
    }

    fn fail(&mut self, name: &str, code: &'static str, message: String, help: Option<String>) {
        let Place { line, column } = Place::START;
        self.diagnostics.push(Diagnostic {
            code,
            severity: Severity::Error,
            category: Category::Invalid,
            document: String::new(),
            pointer: String::new(),
            origin: Origin::File { path: Arc::from(name), line, column },
            message,
            help,
        });
    }
}

fn nothing_found(looked_at: &[String]) -> Diagnostic {
    const SHOWN: usize = 8;
    let mut places: Vec<String> = looked_at.iter().take(SHOWN).map(|name| problem::quoted(name)).collect();
    if looked_at.len() > SHOWN {
        places.push(format!("{} more", looked_at.len() - SHOWN));
    }
    let places =
        if places.is_empty() { "no input was given".to_owned() } else { format!("looked at {}", places.join(", ")) };
    Diagnostic {
        code: codes::NO_DOCUMENTS,
        severity: Severity::Error,
        category: Category::Invalid,
        document: String::new(),
        pointer: String::new(),
        origin: match looked_at.first() {
            Some(name) => Origin::File { path: Arc::from(name.as_str()), line: 1, column: 1 },
            None => Origin::Value,
        },
        message: format!("there is no intent document; {places}"),
        help: Some(format!(
            "give *.yaml, *.yml or *.json files with documents of `apiVersion: {}/{}` and kind `DataPlane` or `Component`",
            super::GROUP,
            super::VERSION
        )),
    }
}

/// Loads files and folders; see [`Loader::path`].
///
/// # Errors
/// All errors of all files.
pub fn load_paths(paths: &[PathBuf]) -> Result<Loaded, Diagnostics> {
    paths.iter().fold(Loader::new(), Loader::path).finish()
}

/// Loads a text; `name` stands in diagnostics where a path would.
///
/// # Errors
/// All errors of the text.
pub fn load_str(name: &str, text: &str) -> Result<Loaded, Diagnostics> {
    Loader::new().text(name, text).finish()
}

/// Loads what a reader gives, for example the standard input with the name `<stdin>`.
///
/// # Errors
/// All errors of the input.
pub fn load_reader(name: &str, reader: impl Read) -> Result<Loaded, Diagnostics> {
    Loader::new().reader(name, reader).finish()
}
