//! Cargo, called by a program that cargo runs.

use std::{env, ffi::OsStr, process::Command};

/// The cargo that runs this program, else the one of `PATH`, in the environment that a person's shell gives it.
///
/// Cargo tells a program that it runs the program's package (`CARGO_PKG_…`, `CARGO_MANIFEST_…`; The Cargo Book, "Environment variables"). A
/// cargo that inherits them takes build scripts which read such a variable for stale: `ring` and all that depends on it would be built
/// again with each change between the two, which is nearly everything here.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os().filter(|(name, _)| tells_a_package(name)) {
        command.env_remove(name);
    }
    command
}

fn tells_a_package(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"].contains(&&*name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cargo_that_is_called_here_knows_nothing_of_this_package() {
        // Cargo has told this test of its package.
        assert!(env::var_os("CARGO_PKG_NAME").is_some());
        let command = cargo();
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION", "CARGO_MANIFEST_DIR"] {
            assert!(removed.contains(&OsStr::new(name)), "{name} is left");
        }
        // What a person sets stays.
        for name in ["CARGO_TARGET_DIR", "CARGO_NET_OFFLINE", "CARGO_PROFILE_DEV_DEBUG", "CARGO_HOME", "CARGO"] {
            assert!(!tells_a_package(OsStr::new(name)), "{name} is taken away");
        }
    }
}
