//! Developer commands: `cargo xtask --help`. One file per command.

mod bench;
mod conformance;
mod control_plane;
mod docker;
mod error;
#[cfg(target_os = "linux")]
mod lab;
mod new_adapter;
mod semver;
mod test;
mod test_programs;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of Gateway Modules.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Times and memory of 100, 1,000 and 5,000 components, each beside a peer.
    Bench(bench::Arguments),
    /// A real Kubernetes control plane (etcd, API server, controllers; no nodes) that stays until `down`.
    #[command(subcommand)]
    ControlPlane(control_plane::Command),
    /// Capability tables against conformance reports.
    Conformance(conformance::Arguments),
    /// A private Docker daemon for the tests that need one.
    #[command(subcommand)]
    Docker(docker::Command),
    /// A real single-node cluster with real gateways.
    #[cfg(target_os = "linux")]
    #[command(subcommand)]
    Lab(lab::Command),
    /// An adapter in this work tree.
    NewAdapter(new_adapter::Arguments),
    /// The public API of the trait crate against that of the last release.
    Semver(semver::Arguments),
    /// All checks and tests.
    Test(test::Arguments),
}

#[expect(clippy::print_stderr, reason = "errors go to the terminal")]
fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::ControlPlane(command) => control_plane::run(command),
        Command::Conformance(arguments) => conformance::run(&arguments),
        Command::Docker(command) => docker::run(command),
        #[cfg(target_os = "linux")]
        Command::Lab(command) => lab::run(command),
        Command::NewAdapter(arguments) => new_adapter::run(&arguments),
        Command::Semver(arguments) => semver::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
