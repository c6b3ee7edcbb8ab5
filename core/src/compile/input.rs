//! What a compilation is given. Nothing in it looks anything up.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    capability::{Capabilities, CapabilityName},
    channel::Channel,
    intent::Intent,
    module::{GatewayModule, ModuleVersion},
    object::GroupKind,
    resolve::DataPlaneTopology,
};

/// What a compilation is given.
#[non_exhaustive]
pub struct CompileInput<'a> {
    /// The intent, for the places of fields and for the leaves of the report.
    pub intent: &'a Intent,
    /// The plane.
    pub plane: &'a DataPlaneTopology,
    /// The module.
    pub module: &'a dyn GatewayModule,
    /// Version of the gateway.
    pub version: ModuleVersion,
    /// What the gateway can do with the CRDs of the channel.
    pub capabilities: Capabilities,
    /// What it could do with the CRDs of the experimental channel.
    pub(super) experimental: BTreeSet<CapabilityName>,
    /// Channel of the Gateway API CRDs.
    pub channel: Channel,
    /// Versions of each kind that the cluster serves; absent: those of Gateway API 1.6.1.
    pub served: Option<BTreeMap<GroupKind, BTreeSet<String>>>,
    /// Controller of the class, where it was read; absent: the module's.
    pub controller: Option<String>,
    /// What was assumed because nothing said it.
    pub assumptions: Vec<String>,
    /// What runs, where the plane names another version.
    pub(super) running: Option<Running>,
}

/// The version of a gateway that runs, and what it lacks of what the named one has.
pub(super) struct Running {
    pub(super) version: ModuleVersion,
    pub(super) source: String,
    pub(super) lost: BTreeSet<CapabilityName>,
}

/// What was read of a plane's gateway in the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveGateway {
    /// Controller of the class.
    pub controller: Option<String>,
    /// Version, for a plane that names none, and where it was read.
    pub version: Option<(ModuleVersion, String)>,
    /// Features that the class publishes; empty when it publishes none or may not be read.
    pub published: Capabilities,
    /// Why this module, for a plane that names none.
    pub reason: Option<String>,
    /// What else is to be known, for people.
    pub notes: Vec<String>,
}

impl<'a> CompileInput<'a> {
    /// Without a cluster: the version that the plane names, or the module's default; the declared capabilities.
    ///
    /// # Errors
    /// `gateway.version` is no version.
    pub fn offline(
        intent: &'a Intent,
        plane: &'a DataPlaneTopology,
        module: &'a dyn GatewayModule,
        channel: Channel,
    ) -> Result<Self, String> {
        Self::live(intent, plane, module, channel, LiveGateway::default())
    }

    /// With what was read of the gateway. Of what a known gateway declares, only the features that its class publishes remain;
    /// of any other gateway exactly the published ones are believed.
    ///
    /// # Errors
    /// `gateway.version` is no version.
    pub fn live(
        intent: &'a Intent,
        plane: &'a DataPlaneTopology,
        module: &'a dyn GatewayModule,
        channel: Channel,
        live: LiveGateway,
    ) -> Result<Self, String> {
        let metadata = module.metadata();
        let mut assumptions = Vec::new();
        let mut running = None;
        let version = match (&plane.gateway.version, live.version) {
            (Some(version), found) => {
                let version = ModuleVersion::new(version.as_str())?;
                running = found.filter(|(found, _)| *found != version);
                version
            }
            (None, Some((version, source))) => {
                assumptions.push(format!("{} {version} ({source})", metadata.title));
                version
            }
            (None, None) => {
                assumptions
                    .push(format!("{} {}, the module's default version", metadata.title, metadata.default_version));
                ModuleVersion::new(metadata.default_version)?
            }
        };
        match live.reason {
            Some(reason) => assumptions.insert(0, format!("module {}: {reason}", metadata.name)),
            None if plane.gateway.module.is_none() => {
                assumptions.insert(0, format!("module {}, since the data plane names none", metadata.name));
            }
            None => {}
        }
        assumptions.extend(live.notes);
        let mut capabilities = module.declared(&version);
        let running = running.map(|(running, source)| {
            if running.line() != version.line() {
                assumptions.push(format!("version {version}, as gateway.version says; {running} runs ({source})"));
            }
            // What the named version can do and the one that runs cannot, nobody would enforce.
            let lost = capabilities.retain_common(&module.declared(&running)).into_iter().collect();
            Running { version: running, source, lost }
        });
        capabilities.retain_published(&live.published);
        if metadata.controllers.is_empty() {
            capabilities.extend(live.published);
        }
        capabilities.extend(module.claimed(&plane.gateway.parameters));
        let mut input = Self::new(intent, plane, module, version, capabilities, channel, assumptions);
        input.controller = live.controller;
        input.running = running;
        Ok(input)
    }

    /// With everything settled: what was discovered, and what was assumed.
    pub fn new(
        intent: &'a Intent,
        plane: &'a DataPlaneTopology,
        module: &'a dyn GatewayModule,
        version: ModuleVersion,
        mut capabilities: Capabilities,
        channel: Channel,
        assumptions: Vec<String>,
    ) -> Self {
        let all = capabilities.names();
        if channel == Channel::Standard {
            capabilities.retain_standard_channel();
        }
        let experimental = all.difference(&capabilities.names()).cloned().collect();
        Self {
            intent,
            plane,
            module,
            version,
            capabilities,
            experimental,
            channel,
            served: None,
            controller: None,
            assumptions,
            running: None,
        }
    }
}
