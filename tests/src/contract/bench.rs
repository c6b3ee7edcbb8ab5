//! Compiles samples for one module, version and channel.

use gateway_modules_core::{
    capability::{Capabilities, CapabilityName, Evidence, Granularity},
    channel::Channel,
    compile::{CompileInput, Compiled, compile},
    diagnostic::Diagnostics,
    intent::{Intent, policies::PolicyKind},
    module::{GatewayModule, ModuleVersion, Verdict},
    resolve::{DataPlaneTopology, resolve},
};
use serde_json::{Map, Value, json};

use crate::samples::Documents;

/// One module at one version, with the CRDs of one channel.
#[derive(Clone)]
pub struct Bench<'a> {
    /// The module.
    pub module: &'a dyn GatewayModule,
    /// Version of the gateway.
    pub version: String,
    /// Channel of the CRDs.
    pub channel: Channel,
    parameters: Map<String, Value>,
    without: Vec<CapabilityName>,
    with: Vec<PolicyKind>,
}

/// Why there is nothing to look at: the intent is no valid one, whatever the module.
#[derive(Clone, Debug)]
pub struct Refused(pub Diagnostics);

impl<'a> Bench<'a> {
    /// One module at one version.
    pub fn new(module: &'a dyn GatewayModule, version: &str, channel: Channel, parameters: Map<String, Value>) -> Self {
        Self { module, version: version.to_owned(), channel, parameters, without: Vec::new(), with: Vec::new() }
    }

    /// The same gateway without some capabilities.
    #[must_use]
    pub fn without(&self, names: Vec<CapabilityName>) -> Self {
        Self { without: names, ..self.clone() }
    }

    /// The same gateway, said to have a policy kind.
    #[must_use]
    pub fn with(&self, kind: PolicyKind) -> Self {
        Self { with: vec![kind], ..self.clone() }
    }

    /// Name for people, for example `kgateway 2.4 standard`.
    pub fn name(&self) -> String {
        format!("{} {} {}", self.module.metadata().name, self.version, self.channel)
    }

    /// What the gateway can do with the CRDs of the channel.
    ///
    /// # Panics
    /// The version is none.
    pub fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.all_capabilities();
        if self.channel == Channel::Standard {
            capabilities.retain_standard_channel();
        }
        capabilities
    }

    #[allow(clippy::expect_used)] // the metadata check says so first
    fn all_capabilities(&self) -> Capabilities {
        let version = ModuleVersion::new(&self.version).expect("a version");
        let mut capabilities = self.module.declared(&version);
        capabilities.extend(self.module.claimed(&self.parameters));
        for name in &self.without {
            capabilities.remove(name);
        }
        for kind in &self.with {
            let evidence = Evidence::documentation("contract suite", "1");
            capabilities.declare(CapabilityName::policy(*kind), Granularity::Rule, evidence);
        }
        capabilities
    }

    /// Compiles documents.
    ///
    /// # Errors
    /// They are no valid intent.
    pub fn compile(&self, documents: &Documents) -> Result<Compiled, Refused> {
        self.compile_intent(&self.on_this(documents).load().map_err(Refused)?)
    }

    /// The documents with what this gateway needs in the data plane: a class where it has none by itself, and parameters.
    #[must_use]
    pub fn on_this(&self, documents: &Documents) -> Documents {
        let mut documents = documents.clone();
        let named = documents.plane().pointer("/spec/gateway/className").is_some();
        if self.module.metadata().default_class.is_none() && !named {
            // The platform must name the class of such a gateway.
            documents.plane_mut()["spec"]["gateway"]["className"] = json!("contract");
        }
        let own = documents.plane().pointer("/spec/gateway/parameters").is_some();
        if !self.parameters.is_empty() && !own {
            documents.plane_mut()["spec"]["gateway"]["parameters"] = Value::Object(self.parameters.clone());
        }
        documents
    }

    /// Compiles the first data plane of an intent that serves something.
    ///
    /// # Errors
    /// The intent contradicts itself.
    ///
    /// # Panics
    /// The version is none.
    #[allow(clippy::expect_used)]
    pub fn compile_intent(&self, intent: &Intent) -> Result<Compiled, Refused> {
        let planes = resolve(intent).map_err(Refused)?;
        let plane = planes.iter().find(|plane| !plane.routes.is_empty()).or(planes.first());
        let Some(plane) = plane else { return Err(Refused(Diagnostics::default())) };
        let version = ModuleVersion::new(&self.version).expect("a version");
        let capabilities = self.all_capabilities();
        let input = CompileInput::new(intent, plane, self.module, version, capabilities, self.channel, Vec::new());
        Ok(compile(&input))
    }

    /// Compiles every data plane of an intent.
    ///
    /// # Errors
    /// The intent contradicts itself.
    ///
    /// # Panics
    /// The version is none.
    #[allow(clippy::expect_used)]
    pub fn compile_planes(&self, intent: &Intent) -> Result<Vec<(DataPlaneTopology, Compiled)>, Refused> {
        let planes = resolve(intent).map_err(Refused)?;
        let compiled = planes.into_iter().map(|plane| {
            let version = ModuleVersion::new(&self.version).expect("a version");
            let capabilities = self.all_capabilities();
            let input = CompileInput::new(intent, &plane, self.module, version, capabilities, self.channel, Vec::new());
            let compiled = compile(&input);
            (plane, compiled)
        });
        Ok(compiled.collect())
    }

    /// Compiles documents, and accepts by name whatever differs; the second value says what that was.
    ///
    /// # Errors
    /// They are no valid intent.
    pub fn compile_accepting(&self, documents: &Documents) -> Result<(Compiled, Vec<String>), Refused> {
        let first = self.compile(documents)?;
        let names = differences(&first);
        if first.release.is_some() || names.is_empty() {
            return Ok((first, names));
        }
        let second = self.compile(&accepting(documents, &names))?;
        Ok((second, names))
    }
}

/// The documents with some differences accepted by the platform.
pub(crate) fn accepting(documents: &Documents, names: &[String]) -> Documents {
    let mut documents = documents.clone();
    documents.plane_mut()["spec"]["accept"] = json!(names);
    documents
}

/// Names of the differences of a compilation.
pub fn differences(compiled: &Compiled) -> Vec<String> {
    let mut names: Vec<String> = compiled
        .report
        .entries
        .iter()
        .flat_map(|entry| &entry.outcomes)
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Approximate { differences } => Some(differences),
            _ => None,
        })
        .flatten()
        .map(|difference| difference.name.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}
