//! `gwm explain -f PATH POINTER`.

use gateway_modules::core::{compile::Entry, module::Verdict};

use crate::{
    Run,
    exit::Failure,
    input::IntentArgs,
    output::{self, Format},
};

/// Shows how a field of an intent ends up in emitted bytes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm explain -f examples/intents/shop catalog/spec/endpoints/0/policies/rateLimit\n  gwm explain -f . timeouts -o json"
)]
pub(crate) struct Args {
    #[command(flatten)]
    intent: IntentArgs,
    /// Part of `NAME/POINTER`: the name of a document and a JSON pointer into it, or any piece of that.
    path: String,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> Run {
    let (_, planes) = args.intent.compile()?;
    let name = |entry: &Entry| format!("{}{}", entry.field.document.to_string().replace(' ', "/"), entry.field.pointer);
    let found: Vec<(&str, &Entry, &gateway_modules::CompiledPlane)> = planes
        .iter()
        .flat_map(|plane| {
            plane.compiled.report.entries.iter().map(move |entry| (plane.plane.name.as_str(), entry, plane))
        })
        .filter(|(_, entry, _)| name(entry).contains(&args.path))
        .collect();
    if found.is_empty() {
        return Err(Failure::Failed(format!(
            "no field of the intents has {:?} in its path; `gwm render` lists all fields",
            args.path
        )));
    }
    if args.output != Format::Table {
        let entries: Vec<_> = found.iter().map(|(_, entry, _)| entry).collect();
        return output::data(&entries, args.output);
    }
    for (plane, entry, compiled) in found {
        output::print(&format!("{} = {}\n  written at {}", name(entry), entry.value, entry.origin));
        for outcome in &entry.outcomes {
            let place = if outcome.place.is_empty() { String::new() } else { format!(" for {}", outcome.place) };
            output::print(&format!("  data plane {plane}{place}: {}", output::verdict(&outcome.verdict)));
            for citation in &outcome.citations {
                let bytes = compiled
                    .compiled
                    .release
                    .as_ref()
                    .and_then(|release| release.objects.iter().find(|object| object.key() == citation.object))
                    .and_then(|object| object.object.pointer(&citation.pointer))
                    .map(|value| format!(" = {value}"))
                    .unwrap_or_default();
                let whose = if citation.contribution { " (contributed to an object of others)" } else { "" };
                output::print(&format!("    {} {}{bytes}{whose}", citation.object, citation.pointer));
            }
            if let Verdict::Unsupported { alternatives, .. } = &outcome.verdict {
                for alternative in alternatives {
                    output::print(&format!("    instead: {alternative}"));
                }
            }
        }
    }
    Ok(())
}
