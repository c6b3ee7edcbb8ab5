//! `gwm capabilities NAME`.

use gateway_modules::core::capability::{Capabilities, CapabilityName};
use serde_json::json;

use crate::{
    Run,
    exit::Failure,
    output::{self, Format},
};

/// Shows what a gateway can do, with the evidence for each capability.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm capabilities kgateway\n  gwm capabilities kgateway --version 2.3 --diff generic"
)]
pub(crate) struct Args {
    /// The module.
    name: String,
    /// Version of the gateway. Absent: the module's default.
    #[arg(long)]
    version: Option<String>,
    /// Shows what this one has and another module has not, and the reverse.
    #[arg(long, value_name = "NAME")]
    diff: Option<String>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> Run {
    let own = declared(&args.name, args.version.as_deref())?;
    if let Some(other) = &args.diff {
        return diff(args, &own, other);
    }
    if args.output != Format::Table {
        return output::data(&own, args.output);
    }
    let rows = own.iter().map(|(name, capability)| {
        let channel = if capability.experimental { "experimental" } else { "standard" };
        let evidence = capability.evidence.first().map(ToString::to_string).unwrap_or_default();
        [name.to_string(), format!("{:?}", capability.granularity).to_lowercase(), channel.to_owned(), evidence]
    });
    output::print(&output::table(["CAPABILITY", "GRANULARITY", "CHANNEL", "EVIDENCE"], rows));
    Ok(())
}

fn declared(name: &str, version: Option<&str>) -> Result<Capabilities, Failure> {
    let module = gateway_modules::registry()?.get(name)?;
    gateway_modules::declared(module.as_ref(), version).map_err(Failure::Usage)
}

fn diff(args: &Args, own: &Capabilities, other_name: &str) -> Run {
    let other = declared(other_name, None)?;
    let missing_in = |a: &Capabilities, b: &Capabilities| -> Vec<CapabilityName> {
        a.names().difference(&b.names()).cloned().collect()
    };
    let (more, less) = (missing_in(own, &other), missing_in(&other, own));
    if args.output != Format::Table {
        let value = json!({"only": {args.name.as_str(): more, other_name: less}});
        return output::data(&value, args.output);
    }
    let rows = more
        .iter()
        .map(|name| [name.to_string(), "yes".to_owned(), "no".to_owned()])
        .chain(less.iter().map(|name| [name.to_string(), "no".to_owned(), "yes".to_owned()]));
    output::print(&output::table(["CAPABILITY", &args.name, other_name], rows));
    Ok(())
}
