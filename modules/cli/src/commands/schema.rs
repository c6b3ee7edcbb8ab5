//! `gwm schema [KIND]`.

use gateway_modules::core::intent::schema::{DocumentKind, schema};

use crate::{
    Run,
    exit::Failure,
    output::{self, Format},
};

/// Prints the JSON Schema of an intent type.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gwm schema Component > component.schema.json\n  gwm schema DataPlane -o yaml")]
pub(crate) struct Args {
    /// DataPlane or Component.
    kind: String,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "json")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> Run {
    let kind = DocumentKind::from_name(&args.kind)
        .ok_or_else(|| Failure::Usage(format!("{:?} is no kind of intent: DataPlane or Component", args.kind)))?;
    output::data(&schema(kind), if args.output == Format::Yaml { Format::Yaml } else { Format::Json })
}
