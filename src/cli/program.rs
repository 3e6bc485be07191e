//! What the program understands, and where each command goes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{
    alerts, approve, audit, backtest, backup, check, completions, coverage, demo, draft, explain, export,
    gaps, generate, hold, import, incidents, ledger, notify, openapi, outbox, periodic, quality, reference,
    rejected, respond, responses, retention, route, say, schema, search, serve, silence, test, token, trace,
    verify,
};

/// Watches the audit events of a software forge, finds what is out of order, tells people and blocks the account.
#[derive(Debug, Parser)]
#[command(
    name = "watchfire",
    version,
    about,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 something was found wrong, 2 the command line was wrong."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve(serve::ServeArgs),
    /// Show the whole story with a simulated company; nothing else is needed
    Demo(demo::DemoArgs),
    /// Find mistakes in the configuration, rules and lists
    Check(check::CheckArgs),
    /// Run the tests that stand in rules
    Test(test::TestArgs),
    /// Try rules on events of the past
    Backtest(backtest::BacktestArgs),
    /// Propose a rule from example events
    Draft(draft::DraftArgs),
    /// Show why rules fire for an event, or why not
    Explain(explain::ExplainArgs),
    /// Load exports and logs of the past into the log
    Import(import::ImportArgs),
    /// Find events in the daemon's log
    Search(search::SearchArgs),
    /// Show what happened around one event
    Trace(trace::TraceArgs),
    /// Write found events to a file
    Export(export::ExportArgs),
    /// Show what happened in a day, a week or a month
    Report(periodic::ReportArgs),
    /// List alerts, those that wait for somebody first
    Alerts(alerts::AlertsArgs),
    /// Show alerts, take them up, say what they were
    Alert(alerts::AlertArgs),
    /// Show the way of an alert through the routes
    Route(route::RouteArgs),
    /// Silence alerts for a while, or end that
    Silence(silence::SilenceArgs),
    /// Show what belongs together, and deal with it as a whole
    Incidents(incidents::IncidentsArgs),
    /// Show how good the rules are, or look for an exception
    Rules(quality::RulesArgs),
    /// List or redrive deliveries to people and systems
    Outbox(outbox::OutboxArgs),
    /// Show who is told what, or send an example alert
    Notify(notify::NotifyArgs),
    /// Do something by hand within the guards, or stop all responses
    Respond(respond::RespondArgs),
    /// List, show or undo what was done to accounts
    Responses(responses::ResponsesArgs),
    /// Approve or refuse a response that waits
    Approve(approve::ApproveArgs),
    /// Look at request bodies that could not be read
    Rejected(rejected::RejectedArgs),
    /// Show what rules could not judge, and why
    Ledger(ledger::LedgerArgs),
    /// Show when events could have been missed, or have a time fetched again
    Gaps(gaps::GapsArgs),
    /// Show what is deleted when, and what was
    Retention(retention::RetentionArgs),
    /// Keep events from being deleted, or end that
    Hold(hold::HoldArgs),
    /// Show which event types no rule looks at, and which sources have fallen silent
    Coverage(coverage::CoverageArgs),
    /// Check that the log still is what was written
    Verify(verify::VerifyArgs),
    /// Copy everything the daemon knows, while it runs
    Backup(backup::BackupArgs),
    /// Check a backup and make a data folder of it
    Restore(backup::RestoreArgs),
    /// Make, list or revoke tokens of the API
    Token(token::TokenArgs),
    /// Show who changed what, and check that record
    Audit(audit::AuditArgs),
    /// Write made-up events of a GitLab organisation
    Generate(generate::GenerateArgs),
    /// Explain the behaviours of rules and their options
    Reference(reference::ReferenceArgs),
    /// Print a JSON Schema, for completion and checks in editors
    Schema(schema::SchemaArgs),
    /// Print the description of the API (OpenAPI 3.1)
    Openapi(openapi::OpenapiArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// The command line asks for something that cannot be; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Runs the program. Exit codes: 0 done, 1 something was found wrong, 2 the command line was wrong.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Check(args) => check::run(args),
        Command::Test(args) => test::run(args),
        Command::Backtest(args) => backtest::run(args),
        Command::Draft(args) => draft::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Import(args) => import::run(args),
        Command::Search(args) => search::run(args),
        Command::Trace(args) => trace::run(args),
        Command::Export(args) => export::run(args),
        Command::Report(args) => periodic::run(args),
        Command::Alerts(args) => alerts::list(args),
        Command::Alert(args) => alerts::run(args),
        Command::Route(args) => route::run(args),
        Command::Silence(args) => silence::run(args),
        Command::Incidents(args) => incidents::run(args),
        Command::Rules(args) => quality::run(args),
        Command::Outbox(args) => outbox::run(args),
        Command::Notify(args) => notify::run(args),
        Command::Respond(args) => respond::run(args),
        Command::Responses(args) => responses::run(args),
        Command::Approve(args) => approve::run(args),
        Command::Rejected(args) => rejected::run(args),
        Command::Ledger(args) => ledger::run(args),
        Command::Gaps(args) => gaps::run(args),
        Command::Retention(args) => retention::run(args),
        Command::Hold(args) => hold::run(args),
        Command::Coverage(args) => coverage::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Backup(args) => backup::run(args),
        Command::Restore(args) => backup::restore(args),
        Command::Token(args) => token::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Generate(args) => generate::run(args),
        Command::Reference(args) => reference::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Openapi(args) => openapi::run(args),
        Command::Completions(args) => completions::run(args),
    };
    match done {
        Ok(code) => code,
        // A reader that went away (`| head`) is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("watchfire: {}", chained(&error)));
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// An error and its causes. Many errors quote their cause already: what was said is not said again.
fn chained(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said.push_str(": ");
            said.push_str(&cause);
        }
    }
    said
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|json| json.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe))
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_that_is_quoted_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("the log cannot be read: {0}")]
        struct Quoting(#[from] std::io::Error);
        let cause = || std::io::Error::other("the disk is gone");
        let quoting = anyhow::Error::from(Quoting(cause())).context("cannot start");
        assert_eq!(chained(&quoting), "cannot start: the log cannot be read: the disk is gone");
        let plain = Err::<(), _>(cause()).context("cannot start").unwrap_err();
        assert_eq!(chained(&plain), "cannot start: the disk is gone");
    }
}
