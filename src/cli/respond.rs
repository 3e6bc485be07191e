//! `watchfire respond`: doing something by hand, within the same guards; and the switch that stops all responses.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::author;
use super::data::DataDir;
use super::terminal;
use crate::alert::AlertId;
use crate::enrich::Account;
use crate::store::{OwnAccount, Response, Store, asked_id};

/// Options of `watchfire respond`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
The running daemon does it with its next look, within a minute, and the guards of the action hold: who asks cannot \
approve it. `stop` holds from the moment it returns.

Examples:
  watchfire respond block-author --user 7 --reason 'case 2026-7'
  watchfire respond block-author --alert 3f9a… --reason 'seen by the night shift'
  watchfire respond stop --reason 'a rule blocks everybody'
  watchfire respond resume --reason 'the rule is corrected'"
)]
pub struct RespondArgs {
    #[command(flatten)]
    data: DataDir,
    /// The name of the configured action
    #[arg(value_name = "ACTION", required = true)]
    action: Option<String>,
    /// Whom, by the id in the action's system; without it, whom the alert is about
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// The alert that it answers
    #[arg(long, value_name = "ID")]
    alert: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", required = true)]
    reason: Option<String>,
    #[command(subcommand)]
    command: Option<RespondCommand>,
}

#[derive(Debug, Subcommand)]
enum RespondCommand {
    /// Stop all responses at once, also those that are approved
    Stop {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Let responses act again
    Resume {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Show whether responses are stopped, and whose their tokens are
    Status,
}

/// Asks for a response, or does what the subcommand says.
pub fn run(args: &RespondArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        Some(RespondCommand::Stop { reason }) => stop(&args.data.store_to_write()?, reason),
        Some(RespondCommand::Resume { reason }) => resume(&args.data.store_to_write()?, reason),
        Some(RespondCommand::Status) => status(&args.data.store()?),
        None => ask(args),
    }
}

pub(super) fn given(name: &str, text: &str) -> anyhow::Result<()> {
    if text.trim().is_empty() {
        return Err(super::Usage(format!("--{name} must not be empty")).into());
    }
    Ok(())
}

fn ask(args: &RespondArgs) -> anyhow::Result<ExitCode> {
    let (action, reason) =
        (args.action.as_deref().unwrap_or_default(), args.reason.as_deref().unwrap_or_default());
    given("reason", reason)?;
    if args.user.is_none() && args.alert.is_none() {
        return Err(
            super::Usage("say whom: --user ID, or --alert ID of an alert about one".to_owned()).into()
        );
    }
    let store = args.data.store_to_write()?;
    if let Some(none) = store.no_response(action)? {
        return Err(super::Usage(none.to_string()).into());
    }
    if let Some(alert) = &args.alert
        && store.alert(&AlertId(alert.clone()))?.is_none()
    {
        anyhow::bail!("there is no alert {alert}");
    }
    let request = format!("action {action:?}, user {:?}, alert {:?}", args.user, args.alert);
    let deed = author::deed("watchfire respond", request);
    let mut response = Response::new("", action, "do", deed.at);
    response.user.clone_from(&args.user);
    response.reason = Some(reason.to_owned());
    response.alert = args.alert.clone().map(AlertId);
    response.id = asked_id(&response, &deed, None);
    let response = store.response_ask(&response, &deed)?;
    super::print(&format!("{}\n", response.id))?;
    super::say(&format!(
        "the daemon does it within a minute, if the guards let it: watchfire responses show {}",
        response.id
    ));
    Ok(ExitCode::SUCCESS)
}

fn stop(store: &Store, reason: &str) -> anyhow::Result<ExitCode> {
    given("reason", reason)?;
    store.responses_stop(reason, &author::deed("watchfire respond stop", format!("reason {reason:?}")))?;
    super::say("all responses are stopped; what was done can be undone: watchfire responses undo");
    Ok(ExitCode::SUCCESS)
}

fn resume(store: &Store, reason: &str) -> anyhow::Result<ExitCode> {
    given("reason", reason)?;
    store.responses_resume(&author::deed("watchfire respond resume", format!("reason {reason:?}")))?;
    super::say("responses act again; those that were held back meanwhile are not made up for");
    Ok(ExitCode::SUCCESS)
}

/// Says it beside what was asked for, if all responses are stopped.
pub(super) fn say_if_stopped(store: &Store) -> anyhow::Result<()> {
    if let Some(stop) = store.responses_stopped()? {
        super::say(&format!("all responses are stopped since {} by {}: {}", stop.at, stop.by, stop.reason));
    }
    Ok(())
}

fn status(store: &Store) -> anyhow::Result<ExitCode> {
    match store.responses_stopped()? {
        Some(stop) => super::print(&format!("stopped since {} by {}: {}\n", stop.at, stop.by, stop.reason))?,
        None => super::print("responses may act\n")?,
    }
    for OwnAccount { action, account, .. } in store.own_accounts()? {
        let Account { forge, id, name, .. } = &account;
        let line = format!("{action}: its token is of account {id} ({}) at {forge}\n", terminal::clean(name));
        super::print(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::alert::Occasion;
    use crate::store::{AlertTerms, ResponseQuery};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: RespondArgs,
    }

    #[test]
    fn it_is_asked_for_stopped_and_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let data = dir.path().to_str().unwrap();
        let line = |words: &[&str]| {
            let words = [&["respond"], words, &["--data-dir", data]].concat();
            Line::try_parse_from(words).map_err(anyhow::Error::from).and_then(|line| run(&line.args))
        };
        let unknown = line(&["block", "--user", "7", "--reason", "r"]).unwrap_err();
        assert_eq!(unknown.to_string(), "there is no action `block`; no action that responds is configured");
        let wants = [("block", Occasion::Undo), ("mail", Occasion::Opened)];
        let wants = wants.map(|(action, occasion)| (action.to_owned(), occasion)).to_vec();
        store.set_alert_terms(&AlertTerms { wants, ..AlertTerms::default() }).unwrap();
        for (action, part) in [("blocl", "did you mean `block`?"), ("mail", "does not respond")] {
            let error = line(&[action, "--user", "7", "--reason", "r"]).unwrap_err();
            assert!(error.is::<super::super::Usage>() && error.to_string().contains(part), "{error}");
        }
        assert!(line(&["block"]).is_err(), "a reason is needed");
        assert!(line(&["block", "--reason", "r"]).is_err(), "it must be said whom");
        assert!(line(&["block", "--reason", "r", "--alert", "none"]).is_err());
        line(&["block", "--user", "7", "--reason", "r"]).unwrap();
        let asked = store.responses(&ResponseQuery::default()).unwrap();
        assert_eq!((asked.len(), asked[0].user.as_deref()), (1, Some("7")));
        assert!(asked[0].requested_by.contains("command line"));
        assert_eq!(store.outbox_counts().unwrap().pending, 1);
        line(&["stop", "--reason", "wrong"]).unwrap();
        assert!(line(&["stop", "--reason", "again"]).is_err());
        assert!(line(&["block", "--user", "7", "--reason", "r"]).is_err(), "they are stopped");
        line(&["status"]).unwrap();
        line(&["resume", "--reason", "right"]).unwrap();
        assert_eq!(store.responses_stopped().unwrap(), None);
    }
}
