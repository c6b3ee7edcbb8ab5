//! The set of modules that an application has compiled in.

use std::{collections::BTreeMap, sync::Arc};

use super::{Contract, GatewayModule};

/// What an adapter registers.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct AdapterRegistration {
    /// Name of the module.
    pub name: &'static str,
    /// Crate that registers it.
    pub crate_name: &'static str,
    /// Version of that crate.
    pub crate_version: &'static str,
    /// Contract that the adapter is written for.
    pub contract: Contract,
    /// Makes the module.
    pub make: fn() -> Arc<dyn GatewayModule>,
}

impl AdapterRegistration {
    /// A registration; [`register_adapter!`](crate::register_adapter) fills in the crate.
    pub const fn new(
        name: &'static str,
        (crate_name, crate_version): (&'static str, &'static str),
        contract: Contract,
        make: fn() -> Arc<dyn GatewayModule>,
    ) -> Self {
        Self { name, crate_name, crate_version, contract, make }
    }
}

inventory::collect!(AdapterRegistration);

/// Registers an adapter where life before main runs, and defines `register(&mut Registry)` for targets where it does not.
///
/// The last argument is the [contract](Contract) that the adapter is written for. Without it, it is the first,
/// [`Contract::V1_0`].
///
/// ```text
/// gateway_modules_core::register_adapter!("kgateway", Kgateway::new, Contract::V1_1);
/// ```
#[macro_export]
macro_rules! register_adapter {
    ($name:literal, $make:expr) => {
        $crate::register_adapter!($name, $make, $crate::module::Contract::V1_0);
    };
    ($name:literal, $make:expr, $contract:expr) => {
        const REGISTRATION: $crate::module::AdapterRegistration = $crate::module::AdapterRegistration::new(
            $name,
            (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            $contract,
            || ::std::sync::Arc::new($make()),
        );

        $crate::__private::inventory::submit! { REGISTRATION }

        /// Registers this adapter by hand, for targets where life before main does not run.
        ///
        /// # Errors
        /// Another crate has registered the same name, or this adapter is written for another contract.
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
    /// The adapter is written for a contract that this core does not serve.
    #[error(
        "the adapter {adapter} (module {name:?}) is written for contract {needed}, and gateway-modules-core {core} has {has}: {fix}"
    )]
    Contract {
        /// Name of the module.
        name: String,
        /// Crate of the adapter, with its version.
        adapter: String,
        /// Contract that it is written for.
        needed: Contract,
        /// Contract of this core.
        has: Contract,
        /// Version of this core.
        core: &'static str,
        /// What to do.
        fix: String,
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

/// Says which side is behind, since that is the one to update.
fn mismatch(registration: &AdapterRegistration, adapter: String) -> RegistryError {
    let (needed, has) = (registration.contract, Contract::CURRENT);
    let crate_name = registration.crate_name;
    let fix = if needed > has {
        format!(
            "update gateway-modules-core to a version with contract {needed}, or take a version of {crate_name} for contract {}",
            has.major
        )
    } else {
        format!(
            "update {crate_name} to a version for contract {}; if it is yours, docs/adapter-author/stability.md says what changed",
            has.major
        )
    };
    let name = registration.name.to_owned();
    RegistryError::Contract { name, adapter, needed, has, core: env!("CARGO_PKG_VERSION"), fix }
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
    /// Two crates register one name, or an adapter is written for another contract.
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
    /// Another crate has registered the same name, or the adapter is written for another contract.
    pub fn add(&mut self, registration: &AdapterRegistration) -> Result<(), RegistryError> {
        let adapter = format!("{} {}", registration.crate_name, registration.crate_version);
        if !Contract::CURRENT.serves(registration.contract) {
            return Err(mismatch(registration, adapter));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(contract: Contract) -> AdapterRegistration {
        // Refused before it is made.
        AdapterRegistration::new("acme", ("gateway-module-acme", "0.3.0"), contract, || unreachable!("not made"))
    }

    #[test]
    fn the_side_that_is_behind_is_to_be_updated() {
        let newer = Contract::new(Contract::CURRENT.major, Contract::CURRENT.minor + 1);
        for (contract, update) in [
            (newer, "update gateway-modules-core to"),
            (Contract::new(Contract::CURRENT.major + 1, 0), "update gateway-modules-core to"),
            (Contract::new(Contract::CURRENT.major - 1, 9), "update gateway-module-acme to"),
        ] {
            let text = Registry::new().add(&registration(contract)).expect_err("refused").to_string();
            for part in ["gateway-module-acme 0.3.0", &contract.to_string(), &Contract::CURRENT.to_string(), update] {
                assert!(text.contains(part), "{part:?} is not in: {text}");
            }
        }
        assert!(Contract::CURRENT.serves(Contract::V1_0) && Contract::CURRENT.serves(Contract::CURRENT));
    }
}
