//! The command line: one file per command. Prints, and answers an exit code.

mod backtest;
mod demo;
mod history;
mod recent;
mod report;
mod rules;
mod serve;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Watches the audit events of a software forge, finds what is out of order, tells people and blocks the account.
#[derive(Debug, Parser)]
#[command(name = "watchfire", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve(serve::ServeArgs),
    /// Try rules on events of the past
    Backtest(backtest::BacktestArgs),
    /// Show the whole story with a simulated company; nothing else is needed
    Demo(demo::DemoArgs),
}

/// Runs the program. Exit codes: 0 done, 1 something was found wrong, 2 the command line was wrong.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Backtest(args) => backtest::run(args),
        Command::Demo(args) => demo::run(args),
    };
    match done {
        Ok(code) => code,
        // A reader that went away (`| head`) is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("watchfire: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|json| json.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe))
    })
}

/// Tells the person at the terminal something that is no result.
fn say(text: &str) {
    // Nothing can be done about a standard error that is closed.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Whether messages may be coloured.
fn has_color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
