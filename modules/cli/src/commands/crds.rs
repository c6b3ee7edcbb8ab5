//! `gwm crds`.

use gateway_modules::core::intent::crd::definitions;

use crate::{
    Run,
    output::{self, Format},
};

/// Prints the CustomResourceDefinitions of DataPlane and Component, for the controller.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gwm crds | kubectl apply --server-side -f -\n  gwm crds -o json")]
pub(crate) struct Args {
    /// Form of the output; `json` prints a List.
    #[arg(short, long, value_enum, default_value = "yaml")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> Run {
    if args.output == Format::Json {
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": definitions() });
        return output::data(&list, Format::Json);
    }
    for (index, definition) in definitions().iter().enumerate() {
        if index > 0 {
            output::print("---");
        }
        output::data(definition, Format::Yaml)?;
    }
    Ok(())
}
