//! `watchfire completions`: what a shell needs to complete the command line.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Options of `watchfire completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watchfire completions bash > /etc/bash_completion.d/watchfire
  watchfire completions zsh > ~/.zfunc/_watchfire
  watchfire completions fish > ~/.config/fish/completions/watchfire.fish")]
pub struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::program::Cli::command(), "watchfire", &mut script);
    super::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
