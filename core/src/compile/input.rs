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
    /// What was assumed because nothing said it.
    pub assumptions: Vec<String>,
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
        let metadata = module.metadata();
        let mut assumptions = Vec::new();
        let version = match &plane.gateway.version {
            Some(version) => ModuleVersion::new(version.as_str())?,
            None => {
                assumptions
                    .push(format!("{} {}, the module's default version", metadata.title, metadata.default_version));
                ModuleVersion::new(metadata.default_version)?
            }
        };
        if plane.gateway.module.is_none() {
            assumptions.insert(0, format!("module {}, since the data plane names none", metadata.name));
        }
        let mut declared = module.declared(&version);
        declared.extend(module.claimed(&plane.gateway.parameters));
        Ok(Self::new(intent, plane, module, version, declared, channel, assumptions))
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
        Self { intent, plane, module, version, capabilities, experimental, channel, served: None, assumptions }
    }
}
