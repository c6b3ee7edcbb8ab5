//! Arguments that several commands share: where the intents are, and for which CRDs.

use std::path::PathBuf;

use clap::Args;
use gateway_modules::{
    CompiledPlane, InstalledCrds,
    core::{channel::Channel, diagnostic::Diagnostics, intent::Intent, intent::load::Loader},
};

use crate::{exit::Failure, output};

/// Where the intents are.
#[derive(Debug, Args)]
pub(crate) struct IntentArgs {
    /// File or folder (recursive) with DataPlanes and Components; `-` reads standard input. May be repeated.
    #[arg(short = 'f', long = "filename", required = true, value_name = "PATH")]
    pub(crate) filenames: Vec<PathBuf>,
    /// Channel of the Gateway API CRDs that the objects are for. Absent: the cluster's, and `standard` without a cluster.
    #[arg(long, value_name = "standard|experimental")]
    pub(crate) channel: Option<Channel>,
}

impl IntentArgs {
    /// Reads and checks the intents; warnings go to standard error.
    pub(crate) fn load(&self) -> Result<Intent, Failure> {
        let mut loader = Loader::new();
        for path in &self.filenames {
            loader = if path.as_os_str() == "-" {
                loader.reader("<stdin>", std::io::stdin().lock())
            } else {
                loader.path(path)
            };
        }
        let loaded = loader.finish()?;
        output::diagnostics(&loaded.warnings);
        Ok(loaded.intent)
    }

    /// Compiles all data planes; what stops any of them stops all.
    pub(crate) fn compile(&self) -> Result<(Intent, Vec<CompiledPlane>), Failure> {
        let intent = self.load()?;
        let planes = gateway_modules::compile_offline(&intent, &gateway_modules::registry()?, &self.crds())?;
        Ok((intent, planes))
    }

    /// The CRDs, without a cluster.
    pub(crate) fn crds(&self) -> InstalledCrds {
        InstalledCrds::assumed(self.channel.unwrap_or_default())
    }
}

/// The diagnostics of all planes as one failure, if there are errors; warnings are shown either way.
pub(crate) fn stop_on_errors<'a>(planes: impl IntoIterator<Item = &'a CompiledPlane>) -> Result<(), Failure> {
    let mut all = Diagnostics::default();
    for plane in planes {
        all.extend(plane.compiled.diagnostics.clone());
    }
    all.sort();
    if all.has_errors() {
        return Err(all.into());
    }
    output::diagnostics(&all);
    Ok(())
}
