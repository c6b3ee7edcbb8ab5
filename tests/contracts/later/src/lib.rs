//! An adapter that says that it is written for a contract that no core has yet.

use gateway_modules_core::{
    capability::Capabilities,
    module::{
        Context, Contract, GatewayModule, Mapping, Maturity, Metadata, ModuleVersion, PolicyTarget, Provisioned,
        Refusals,
    },
    register_adapter,
    resolve::DataPlaneTopology,
};

/// The module.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaterContract;

impl GatewayModule for LaterContract {
    fn metadata(&self) -> &Metadata {
        const METADATA: Metadata = Metadata {
            name: "later-contract",
            title: "Later contract",
            controllers: &["later.example/gateway"],
            default_class: None,
            default_namespace: "default",
            versions: &["1.0"],
            default_version: "1.0",
            maturity: Maturity::Experimental,
            homepage: "https://later.example",
        };
        &METADATA
    }

    fn declared(&self, _: &ModuleVersion) -> Capabilities {
        Capabilities::new()
    }

    fn provision(&self, _: &DataPlaneTopology, _: &Context<'_>) -> Result<Provisioned, Refusals> {
        Ok(Provisioned::with_class("later-contract"))
    }

    fn map(&self, _: &PolicyTarget<'_>, _: &Context<'_>) -> Mapping {
        Mapping::new()
    }
}

register_adapter!("later-contract", LaterContract::default, Contract::new(99, 7));
