//! Core of Gateway Modules: domain types, the [`GatewayModule`](module::GatewayModule) trait, and the pipeline
//! intent → resolve → compile → validate → plan → apply → status.

pub mod capability;
pub mod channel;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod compile;
pub mod diagnostic;
pub mod installation;
pub mod intent;
pub mod module;
pub mod names;
pub mod object;
pub mod plan;
pub mod resolve;
pub mod select;
pub mod types;
pub mod validate;

#[doc(hidden)]
pub mod __private {
    pub use inventory;
}
