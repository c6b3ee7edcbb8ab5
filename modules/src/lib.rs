//! Facade of Gateway Modules: the core, and the adapters that the features choose.
//!
//! Naming this crate is what links the adapters; an application that names only the core has none.

mod compare;
mod crds;
mod offline;
mod target;

pub use gateway_modules_core as core;

pub use self::compare::{ComparedCell, ComparedRow, Comparison, VerdictChange, compare, verdict_changes};
pub use self::crds::InstalledCrds;
pub use self::offline::{CompiledPlane, compile_for, compile_offline, compile_selected, declared};
#[cfg(feature = "cluster")]
pub use self::target::{ChosenPlane, compile_installed};
pub use self::target::{Target, selectable};

pub use gateway_modules_core::module::{Registry, RegistryError};

#[cfg(feature = "cilium")]
pub use gateway_module_cilium as cilium;
#[cfg(feature = "generic")]
pub use gateway_module_generic as generic;
#[cfg(feature = "istio")]
pub use gateway_module_istio as istio;
#[cfg(feature = "kgateway")]
pub use gateway_module_kgateway as kgateway;
#[cfg(feature = "kong")]
pub use gateway_module_kong as kong;
#[cfg(feature = "nginx-gateway-fabric")]
pub use gateway_module_nginx_gateway_fabric as nginx_gateway_fabric;
#[cfg(feature = "traefik")]
pub use gateway_module_traefik as traefik;

/// The module of a data plane that names none, where no gateway is installed; it also wins where several are.
pub const DEFAULT_MODULE: &str = "kgateway";

/// The modules that the features have compiled in.
///
/// # Errors
/// Two crates register one name, or an adapter is written for another contract.
pub fn registry() -> Result<Registry, RegistryError> {
    // Also finds adapters of other crates that the application links.
    #[allow(unused_mut)]
    let mut registry = Registry::linked()?;
    // Again by hand, which changes nothing where life before main runs, and is all there is where it does not.
    #[cfg(feature = "cilium")]
    cilium::register(&mut registry)?;
    #[cfg(feature = "generic")]
    generic::register(&mut registry)?;
    #[cfg(feature = "istio")]
    istio::register(&mut registry)?;
    #[cfg(feature = "kgateway")]
    kgateway::register(&mut registry)?;
    #[cfg(feature = "kong")]
    kong::register(&mut registry)?;
    #[cfg(feature = "nginx-gateway-fabric")]
    nginx_gateway_fabric::register(&mut registry)?;
    #[cfg(feature = "traefik")]
    traefik::register(&mut registry)?;
    Ok(registry)
}
