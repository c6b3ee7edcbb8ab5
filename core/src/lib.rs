//! Core of Gateway Modules.
