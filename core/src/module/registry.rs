//! The set of modules that an application has compiled in.

use std::{collections::BTreeMap, sync::Arc};

use super::GatewayModule;

/// Level of the contract between core and adapters. It rises with every addition that an adapter may rely on.
pub const fn contract_level() -> u32 {
    1
}

/// What an adapter registers.
pub struct AdapterRegistration {
    /// Name of the module.
    pub name: &'static str,
    /// Crate that registers it.
    pub crate_name: &'static str,
    /// Version of that crate.
    pub crate_version: &'static str,
    /// Lowest [`contract_level`] that the adapter needs.
    pub contract_level: u32,
    /// Makes the module.
    pub make: fn() -> Arc<dyn GatewayModule>,
}

inventory::collect!(AdapterRegistration);

/// Registers an adapter where life before main runs, and defines `register(&mut Registry)` for targets where it does not.
///
/// ```text
/// gateway_modules_core::register_adapter!("kgateway", Kgateway::new);
/// ```
#[macro_export]
macro_rules! register_adapter {
    ($name:literal, $make:expr) => {
        const REGISTRATION: $crate::module::AdapterRegistration = $crate::module::AdapterRegistration {
            name: $name,
            crate_name: env!("CARGO_PKG_NAME"),
            crate_version: env!("CARGO_PKG_VERSION"),
            contract_level: 1,
            make: || ::std::sync::Arc::new($make()),
        };

        $crate::__private::inventory::submit! { REGISTRATION }

        /// Registers this adapter by hand, for targets where life before main does not run.
        ///
        /// # Errors
        /// Another crate has registered the same name, or this adapter needs a newer core.
        pub fn register(registry: &mut $crate::module::Registry) -> Result<(), $crate::module::RegistryError> {
            registry.add(&REGISTRATION)
        }
    };
}

/// Why a module is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two crates register one name.
    #[error("module {name:?} is registered by both {first} and {second}: remove one of the two crates")]
    Duplicate {
        /// Name of the module.
        name: String,
        /// Crate that came first.
        first: String,
        /// Crate that came second.
        second: String,
    },
    /// The adapter needs a newer core.
    #[error("{adapter} needs contract level {needed}, and this core has {has}: update gateway-modules-core")]
    ContractLevel {
        /// Crate of the adapter.
        adapter: String,
        /// Level it needs.
        needed: u32,
        /// Level of this core.
        has: u32,
    },
    /// No module of that name is compiled in.
    #[error("no module {name:?} is compiled in; there is {available}{hint}")]
    Unknown {
        /// Name that was asked for.
        name: String,
        /// Names that are there.
        available: String,
        /// How to get the one asked for.
        hint: String,
    },
}

/// Names of the modules of this project, each a feature of the facade crate.
const FEATURES: &[&str] = &["cilium", "generic", "istio", "kgateway", "kong", "nginx-gateway-fabric", "traefik"];

/// Modules by name. An application has one, and asks the facade for it.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, (Arc<dyn GatewayModule>, String)>);

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Registry {
    /// A registry without modules.
    pub fn new() -> Self {
        Self::default()
    }

    /// All adapters that are linked. Call it through the facade crate, since naming the facade is what links them.
    ///
    /// # Errors
    /// Two crates register one name, or an adapter needs a newer core.
    pub fn linked() -> Result<Self, RegistryError> {
        let mut registrations: Vec<_> = inventory::iter::<AdapterRegistration>.into_iter().collect();
        // The order of inventory is undefined; errors must not depend on it.
        registrations.sort_by_key(|registration| (registration.name, registration.crate_name));
        let mut registry = Self::new();
        for registration in registrations {
            registry.add(registration)?;
        }
        Ok(registry)
    }

    /// Adds one adapter; adding the same crate's twice changes nothing.
    ///
    /// # Errors
    /// Another crate has registered the same name, or the adapter needs a newer core.
    pub fn add(&mut self, registration: &AdapterRegistration) -> Result<(), RegistryError> {
        let adapter = format!("{} {}", registration.crate_name, registration.crate_version);
        if registration.contract_level > contract_level() {
            let (needed, has) = (registration.contract_level, contract_level());
            return Err(RegistryError::ContractLevel { adapter, needed, has });
        }
        match self.0.get(registration.name) {
            Some((_, first)) if *first == adapter => Ok(()),
            Some((_, first)) => Err(RegistryError::Duplicate {
                name: registration.name.to_owned(),
                first: first.clone(),
                second: adapter,
            }),
            None => {
                self.0.insert(registration.name, ((registration.make)(), adapter));
                Ok(())
            }
        }
    }

    /// One module.
    ///
    /// # Errors
    /// It is not compiled in; the error lists those that are, and the feature that would add it.
    pub fn get(&self, name: &str) -> Result<Arc<dyn GatewayModule>, RegistryError> {
        self.0.get(name).map(|(module, _)| Arc::clone(module)).ok_or_else(|| {
            let available = if self.0.is_empty() {
                "none".to_owned()
            } else {
                self.0.keys().copied().collect::<Vec<_>>().join(", ")
            };
            let hint = if FEATURES.contains(&name) {
                format!("; enable the feature {name:?} of gateway-modules to add it")
            } else {
                "; any conformant gateway works through `generic`".to_owned()
            };
            RegistryError::Unknown { name: name.to_owned(), available, hint }
        })
    }

    /// All modules, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn GatewayModule>)> {
        self.0.iter().map(|(name, (module, _))| (*name, module))
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    /// Crate and version that registered a module.
    pub fn provider(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(_, provider)| provider.as_str())
    }
}
