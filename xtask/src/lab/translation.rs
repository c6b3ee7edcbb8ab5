//! `cargo xtask lab translation NAME`.

use std::{fs, time::Instant};

use clap::Args;
use gateway_modules_testkit::{
    lab::translation::{self, MODULE, Options},
    schemas_or_explain,
};

use super::{tell, workspace};
use crate::error::Error;

#[derive(Args)]
#[command(after_help = "Examples:\n  cargo xtask lab translation cilium --write")]
pub(crate) struct Arguments {
    /// The gateway; there is cilium.
    gateway: String,
    /// Only the lines whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// Writes docs/translation.json and the page that is made of it.
    #[arg(long, conflicts_with = "only")]
    write: bool,
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    if arguments.gateway != MODULE {
        let text = format!("no translation of {:?} can be looked at; there is {MODULE}", arguments.gateway);
        return Err(Error::Message(text));
    }
    let begin = Instant::now();
    let Some(schemas) = schemas_or_explain()? else { return Ok(()) };
    let registry = gateway_modules::registry().map_err(|error| Error::Message(error.to_string()))?;
    let module = registry.get(MODULE).map_err(|error| Error::Message(error.to_string()))?;
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("start", "an async runtime"))?;
    let progress = |line: &translation::Line| println!("{line}");
    let options = Options::new(&progress).only(arguments.only.as_deref());
    let report = runtime.block_on(translation::run(&module, &schemas, options))?;
    println!("{report}");
    tell(&format!("no request was made; {} s in all", begin.elapsed().as_secs()));
    if !report.passes() {
        return Err(Error::Message(
            "the operator does not make of it what was meant, or no line was looked at".to_owned(),
        ));
    }
    if arguments.write {
        for (path, text) in translation::files(&report)? {
            let path = workspace().join(path);
            fs::write(&path, text).map_err(Error::io("write", &path))?;
        }
    }
    Ok(())
}
