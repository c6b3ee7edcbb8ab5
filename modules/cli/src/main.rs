//! `gwm`: render, check, plan, apply and watch the gateways of a platform.

mod cluster;
mod commands;
mod exit;
mod input;
mod logs;
mod needs;
mod output;
#[cfg(feature = "otlp")]
mod spans;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::Failure;

/// Puts any Kubernetes Gateway API implementation behind your services, and changes it without touching them.
#[derive(Debug, Parser)]
#[command(name = "gwm", version, about, arg_required_else_help = true, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 refused (a gateway cannot do what the intent asks, or only \
                          with a loss that nobody accepted), 4 not ready (applied, and not yet serving).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the modules that are compiled in, or shows one.
    Modules(commands::modules::Args),
    /// Shows what a gateway can do, with the evidence for each capability.
    Capabilities(commands::capabilities::Args),
    /// Compiles intents to objects, without a cluster.
    Render(commands::render::Args),
    /// Compiles intents and checks every object against the CRDs, without a cluster.
    Validate(commands::validate::Args),
    /// Shows how a field of an intent ends up in emitted bytes.
    Explain(commands::explain::Args),
    /// Compares what all modules make of the same intent.
    Compare(commands::compare::Args),
    /// Shows what is installed in a cluster, and which gateway a plane would get.
    Discover(commands::discover::Args),
    /// Shows what an apply would change.
    Plan(commands::plan::Args),
    /// Applies intents: in order, protected routes closed until their policies are in force.
    Apply(commands::apply::Args),
    /// Shows how applied data planes are, as one verdict with reasons.
    Status(commands::status::Args),
    /// Deletes everything that was applied for data planes, and nothing else.
    Delete(commands::delete::Args),
    /// Installs the gateway of a module, with everything that it needs.
    Install(commands::install::Args),
    /// Brings an installed gateway to another version, and tells what its intents lose.
    Upgrade(commands::upgrade::Args),
    /// Removes an installed gateway, and leaves nothing but definitions.
    Uninstall(commands::uninstall::Args),
    /// Tells which gateways are installed, what is missing or does not fit, and what to do.
    Doctor(commands::doctor::Args),
    /// Keeps the data planes of a cluster as its DataPlanes and Components say.
    Controller(commands::controller::Args),
    /// Prints the JSON Schema of an intent type.
    Schema(commands::schema::Args),
    /// Prints the CustomResourceDefinitions of the intent types, for the controller.
    Crds(commands::crds::Args),
    /// Writes the crate of a new adapter, which compiles and keeps the contract.
    NewAdapter(commands::new_adapter::Args),
    /// Prints the completions of a shell.
    Completions(commands::completions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Sends the last spans when it is dropped, at the end.
    let _pending = match logs::init(matches!(cli.command, Command::Controller(_))) {
        Ok(pending) => pending,
        Err(failure) => {
            output::failure(&failure);
            return failure.code();
        }
    };
    let result = match cli.command {
        Command::Modules(args) => commands::modules::run(&args),
        Command::Capabilities(args) => commands::capabilities::run(&args),
        Command::Render(args) => commands::render::run(&args),
        Command::Validate(args) => commands::validate::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Discover(args) => commands::discover::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Apply(args) => commands::apply::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Delete(args) => commands::delete::run(&args),
        Command::Install(args) => commands::install::run(&args),
        Command::Upgrade(args) => commands::upgrade::run(&args),
        Command::Uninstall(args) => commands::uninstall::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Controller(args) => commands::controller::run(&args),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Crds(args) => commands::crds::run(&args),
        Command::NewAdapter(args) => commands::new_adapter::run(&args),
        Command::Completions(args) => {
            commands::completions::run::<Cli>(&args);
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::failure(&failure);
            failure.code()
        }
    }
}

/// What a command ends with when it does not end well.
type Run = Result<(), Failure>;
