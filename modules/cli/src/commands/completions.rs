//! `gwm completions SHELL`.

use clap::CommandFactory;

/// Prints the completions of a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gwm completions bash > /etc/bash_completion.d/gwm")]
pub(crate) struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

pub(crate) fn run<C: CommandFactory>(args: &Args) {
    clap_complete::generate(args.shell, &mut C::command(), "gwm", &mut std::io::stdout());
}
