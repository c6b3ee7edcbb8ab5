//! `gwm validate -f PATH`.

use std::path::PathBuf;

use gateway_modules::core::{
    compile::Release,
    object::{Object, ObjectKey},
    validate::{Schemas, Validation, Verdict, validate},
};
use serde_json::json;

use crate::{
    Run,
    exit::Failure,
    input::{self, IntentArgs},
    output::{self, Format},
};

/// Compiles intents and checks every object against the CRDs, without a cluster.
///
/// Does what an API server would do: unknown fields (which it drops), defaults, structure, keys of lists, CEL rules. Routes
/// are checked open and closed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm validate -f examples/intents/shop --schemas crds/\n  gwm validate -f . --channel experimental -o json"
)]
pub(crate) struct Args {
    #[command(flatten)]
    intent: IntentArgs,
    /// Folder of CRDs: `gateway-api/standard`, `gateway-api/experimental`, and a folder for each vendor.
    #[arg(long, env = "GATEWAY_MODULES_SCHEMAS", value_name = "FOLDER")]
    schemas: PathBuf,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> Run {
    let (_, planes) = args.intent.compile()?;
    input::stop_on_errors(&planes)?;
    let channel = args.intent.channel.unwrap_or_default();
    let schemas = Schemas::load_folder(&args.schemas, channel).map_err(|error| Failure::Failed(error.to_string()))?;
    let checked: Vec<(ObjectKey, &str, Validation)> = planes
        .iter()
        .filter_map(|plane| plane.compiled.release.as_ref())
        .flat_map(forms)
        .map(|(object, form)| (object.key(), form, validate(object, &schemas)))
        .collect();
    if args.output == Format::Table {
        let rows = checked.iter().map(|(key, form, validation)| {
            let (word, why) = describe(validation);
            [
                key.kind.kind.to_string(),
                key.namespace.clone().unwrap_or_default(),
                key.name.clone(),
                (*form).to_owned(),
                word.to_owned(),
                why,
            ]
        });
        output::print(&output::table(["KIND", "NAMESPACE", "NAME", "FORM", "VERDICT", "WHY"], rows));
    } else {
        let all: Vec<_> = checked
            .iter()
            .map(|(key, form, validation)| json!({"object": key, "form": form, "validation": validation}))
            .collect();
        output::data(&all, args.output)?;
    }
    let not_valid = checked.iter().filter(|(_, _, validation)| !validation.is_valid()).count();
    if not_valid > 0 {
        return Err(Failure::Failed(format!(
            "{not_valid} of {} objects are not valid, or could not be checked",
            checked.len()
        )));
    }
    output::note(&format!(
        "{} objects are valid under the CRDs in {}, {} channel",
        checked.len(),
        args.schemas.display(),
        channel
    ));
    Ok(())
}

/// Every object of a release, and the closed form where it has one.
fn forms(release: &Release) -> impl Iterator<Item = (&Object, &'static str)> {
    release.objects.iter().flat_map(|object| {
        let closed = object.gate.as_ref().map(|gate| (&gate.closed.0, "closed"));
        std::iter::once((&object.object, "final")).chain(closed)
    })
}

fn describe(validation: &Validation) -> (&'static str, String) {
    let unchecked: Vec<String> = validation
        .unchecked_rules
        .iter()
        .map(|rule| format!("{}: {} not evaluated", rule.pointer, rule.rule))
        .collect();
    match &validation.verdict {
        Verdict::Valid if unchecked.is_empty() => ("valid", String::new()),
        Verdict::Valid => ("partly", unchecked.join("; ")),
        Verdict::Invalid(violations) => {
            ("invalid", violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        }
        Verdict::NotChecked(reason) => ("unchecked", reason.to_string()),
    }
}
