//! What people and scripts read: tables, YAML, JSON, and diagnostics with the line that they are about.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use gateway_modules::core::{
    compile::Report,
    diagnostic::{Diagnostic, Diagnostics, Origin, Severity},
    intent::DocumentId,
    module::Verdict,
};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, SourceOffset};
use serde::Serialize;

use crate::exit::Failure;

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables, for people.
    Table,
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// Writes a line to standard output. A reader that has gone away (`| head`) ends the program quietly.
pub(crate) fn print(text: &str) {
    let mut stdout = anstream::stdout().lock();
    if writeln!(stdout, "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Writes a line to standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// A value as YAML or JSON.
pub(crate) fn data<T: Serialize>(value: &T, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        print(&serde_json::to_string_pretty(value)?);
    } else {
        print(yaml(value)?.trim_end());
    }
    Ok(())
}

/// A value as YAML.
pub(crate) fn yaml<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|error| Failure::Failed(format!("writing YAML: {error}")))
}

/// A table with a header row, as wide as the terminal.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    if !std::io::stdout().is_terminal() {
        // Without a terminal nothing is wrapped, so that every row is one line for grep and awk.
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Why a command failed.
pub(crate) fn failure(failure: &Failure) {
    match failure {
        Failure::Diagnostics(list) => diagnostics(list),
        other => note(&format!("error: {other}")),
    }
}

/// Diagnostics on standard error, each with the line that it is about.
pub(crate) fn diagnostics(list: &Diagnostics) {
    let terminal = std::io::stderr().is_terminal();
    let colours = terminal && std::env::var_os("NO_COLOR").is_none();
    let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(120);
    for diagnostic in &list.0 {
        let mut text = String::new();
        let shown = source_of(diagnostic).is_some_and(|(path, source, line, column)| {
            let offset = SourceOffset::from_location(&source, line as usize, column as usize);
            let report = base(diagnostic).with_label(LabeledSpan::at_offset(offset.offset(), "here"));
            let report = miette::Report::new(report).with_source_code(NamedSource::new(path, source));
            handler.render_report(&mut text, report.as_ref()).is_ok()
        });
        if shown { note(text.trim_end()) } else { note(&plain(diagnostic)) }
    }
    let errors = list.0.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    if errors > 1 {
        note(&format!("{errors} errors"));
    }
}

fn base(diagnostic: &Diagnostic) -> MietteDiagnostic {
    let severity = match diagnostic.severity {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
    };
    let place = if diagnostic.document.is_empty() {
        String::new()
    } else {
        format!("{} {}: ", diagnostic.document, diagnostic.pointer)
    };
    let report = MietteDiagnostic::new(format!("{place}{}", diagnostic.message))
        .with_code(diagnostic.code)
        .with_severity(severity);
    match &diagnostic.help {
        Some(help) => report.with_help(help.clone()),
        None => report,
    }
}

/// The file that a diagnostic is about, if it can still be read.
fn source_of(diagnostic: &Diagnostic) -> Option<(String, String, u32, u32)> {
    let Origin::File { path, line, column } = &diagnostic.origin else { return None };
    let source = std::fs::read_to_string(path.as_ref()).ok().filter(|source| source.len() < 1 << 20)?;
    Some((path.to_string(), source, *line, *column))
}

fn plain(diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    format!("{severity}: {diagnostic}")
}

/// A table with as many columns as the header has.
pub(crate) fn wide_table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// One line that says what became of a field.
pub(crate) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Exact => "exact".to_owned(),
        Verdict::Approximate { differences } => {
            let texts: Vec<_> =
                differences.iter().map(|difference| format!("{}: {}", difference.name, difference.text)).collect();
            format!("approximate: {}", texts.join("; "))
        }
        Verdict::Unsupported { reason, .. } => format!("refused: {reason}"),
        Verdict::Overridden { by } => format!("overridden by {by}"),
        Verdict::Decides { what } => format!("steers: {what}"),
        Verdict::Inactive { reason } => format!("without effect: {reason}"),
        _ => "unknown".to_owned(),
    }
}

/// The report: one table per document, one row per leaf and place.
pub(crate) fn report_tables(report: &Report) -> String {
    let mut text = String::new();
    let mut documents: Vec<&DocumentId> = report.entries.iter().map(|entry| &entry.field.document).collect();
    documents.dedup();
    for document in documents {
        let rows = report.entries.iter().filter(|entry| entry.field.document == *document).flat_map(|entry| {
            entry.outcomes.iter().map(move |outcome| {
                let (word, detail) = match &outcome.verdict {
                    Verdict::Exact => ("exact".to_owned(), String::new()),
                    other => verdict(other).split_once(": ").map_or_else(
                        || (verdict(other), String::new()),
                        |(word, rest)| (word.to_owned(), rest.to_owned()),
                    ),
                };
                let word = if outcome.accepted { format!("{word}, accepted") } else { word };
                let bytes = match outcome.citations.as_slice() {
                    [] => detail,
                    [first, rest @ ..] => {
                        let more = if rest.is_empty() { String::new() } else { format!(" (+{})", rest.len()) };
                        let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
                        format!("{} {}{more}{detail}", first.object, first.pointer)
                    }
                };
                [entry.field.pointer.clone(), shortened(&entry.value.to_string()), outcome.place.clone(), word, bytes]
            })
        });
        text.push_str(&format!(
            "{document}\n{}\n\n",
            table(["FIELD", "VALUE", "FOR", "VERDICT", "WHERE OR WHY"], rows)
        ));
    }
    text.trim_end().to_owned()
}

fn shortened(value: &str) -> String {
    if value.chars().count() <= 40 {
        value.to_owned()
    } else {
        format!("{}…", value.chars().take(39).collect::<String>())
    }
}
