//! Facade of Gateway Modules.
