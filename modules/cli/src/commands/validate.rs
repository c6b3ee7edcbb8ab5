//! `gwm validate -f PATH`.

use std::path::PathBuf;

use crate::{
    Run,
    input::{self, IntentArgs},
    output::{self, Format},
};

/// Compiles intents and checks every object against the CRDs, without a cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gwm validate -f examples/intents/shop --schemas crds/")]
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
    let _ = (&args.schemas, args.output);
    output::note("not yet");
    Ok(())
}
