//! `gwm modules [NAME]`.

use serde_json::json;

use crate::{
    Run,
    output::{self, Format},
};

/// Lists the modules that are compiled in, or shows one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gwm modules\n  gwm modules kgateway -o json")]
pub(crate) struct Args {
    /// A module.
    name: Option<String>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> Run {
    let registry = gateway_modules::registry()?;
    if let Some(name) = &args.name {
        let module = registry.get(name)?;
        let value = json!({
            "metadata": module.metadata(),
            "provider": registry.provider(name),
            "default": name == gateway_modules::DEFAULT_MODULE,
            "parameters": module.parameters_schema(),
        });
        return output::data(&value, if args.output == Format::Json { Format::Json } else { Format::Yaml });
    }
    if args.output != Format::Table {
        let all: Vec<_> = registry.iter().map(|(_, module)| module.metadata().clone()).collect();
        return output::data(&all, args.output);
    }
    let rows = registry.iter().map(|(name, module)| {
        let metadata = module.metadata();
        let default = if name == gateway_modules::DEFAULT_MODULE { " (default)" } else { "" };
        let controllers =
            if metadata.controllers.is_empty() { "any".to_owned() } else { metadata.controllers.join(", ") };
        [
            format!("{name}{default}"),
            metadata.title.to_owned(),
            metadata.versions.join(", "),
            metadata.default_class.unwrap_or("-").to_owned(),
            controllers,
            format!("{:?}", metadata.maturity).to_lowercase(),
        ]
    });
    output::print(&output::table(["NAME", "GATEWAY", "VERSIONS", "CLASS", "CONTROLLER", "MATURITY"], rows));
    Ok(())
}
