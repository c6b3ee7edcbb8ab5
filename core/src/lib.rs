//! Core of Gateway Modules: domain types, the `GatewayModule` trait, and the pipeline
//! intent → resolve → compile → validate → plan → apply → status.

pub mod diagnostic;
pub mod intent;
pub mod object;
pub mod types;
