//! Core of Gateway Modules: domain types, the `GatewayModule` trait, and the pipeline
//! intent → resolve → compile → validate → plan → apply → status.

pub mod channel;
pub mod diagnostic;
pub mod object;
pub mod validate;
