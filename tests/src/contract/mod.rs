//! The contract of an adapter, as checks that anyone can run over a module in one call.
//!
//! ```no_run
//! use gateway_modules_testkit::contract::{self, Options};
//! # fn module() -> Box<dyn gateway_modules_core::module::GatewayModule> { unimplemented!() }
//! let module = module();
//! contract::run(module.as_ref(), &Options::default()).assert_passes();
//! ```

mod bench;
mod checks;
pub mod observe;
mod report;

use std::path::PathBuf;

use gateway_modules_core::{channel::Channel, intent::policies::PolicyKind, module::GatewayModule};

pub(crate) use self::bench::accepting;
pub use self::{
    bench::{Bench, Refused, differences},
    report::{CheckInfo, CheckReport, ContractReport},
};

/// What the suite runs over.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Versions of the gateway; none: those of the metadata.
    pub versions: Vec<String>,
    /// Parameters of the module (`gateway.parameters`), for capabilities that are options of the installation.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// Folder with the CRDs of Gateway API and of the gateway, to check every emitted object. None: that check is left out.
    pub schemas: Option<PathBuf>,
    /// Features that a live class of the gateway publishes (`GatewayClass.status.supportedFeatures`), to find what is not
    /// declared. None: that check is left out.
    pub published: Vec<String>,
    /// Policy kinds that requests through the real gateway have shown, to find what is not declared. None: that check is left
    /// out.
    pub shown: Vec<PolicyKind>,
}

impl Options {
    /// The module's own versions, no parameters, no CRDs.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a folder of CRDs, if there is one.
    #[must_use]
    pub fn schemas(mut self, folder: Option<PathBuf>) -> Self {
        self.schemas = folder;
        self
    }

    /// With the features that a live class publishes, for example those of
    /// `kubectl get gatewayclass NAME -o jsonpath='{.status.supportedFeatures[*].name}'`.
    #[must_use]
    pub fn published(mut self, features: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.published = features.into_iter().map(Into::into).collect();
        self
    }

    /// With the policy kinds that requests through the real gateway have shown.
    #[must_use]
    pub fn shown(mut self, kinds: impl IntoIterator<Item = PolicyKind>) -> Self {
        self.shown = kinds.into_iter().collect();
        self
    }

    /// With parameters of the module.
    #[must_use]
    pub fn parameters(mut self, parameters: serde_json::Map<String, serde_json::Value>) -> Self {
        self.parameters = parameters;
        self
    }
}

/// Runs all checks over a module.
pub fn run(module: &dyn GatewayModule, options: &Options) -> ContractReport {
    let metadata = module.metadata();
    let versions: Vec<&str> = if options.versions.is_empty() {
        metadata.versions.to_vec()
    } else {
        options.versions.iter().map(String::as_str).collect()
    };
    let benches: Vec<Bench<'_>> = versions
        .iter()
        .flat_map(|version| {
            [Channel::Standard, Channel::Experimental]
                .map(|channel| Bench::new(module, version, channel, options.parameters.clone()))
        })
        .collect();
    let versions = versions.into_iter().map(str::to_owned).collect();
    let checks = checks::run(&checks::Subject { module, benches, options });
    ContractReport { module: metadata.name.to_owned(), versions, checks }
}

/// What the suite checks, what each check proves, and how a failure is mended.
pub fn catalogue() -> Vec<CheckInfo> {
    checks::catalogue()
}
