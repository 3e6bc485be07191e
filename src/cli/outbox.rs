//! `watchfire outbox`: deliveries to people and systems, and those that were given up.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Deserialize as _;
use serde::de::{self, IntoDeserializer as _};

use super::alert_change::named;
use super::alerts::minute;
use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::{author, table, terminal};
use crate::store::{DeliveryKind, OpenBreaker, OutboxQuery, OutboxRow, OutboxState, Store};

/// Options of `watchfire outbox`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watchfire outbox --data-dir /var/lib/watchfire --dead
  watchfire outbox --data-dir /var/lib/watchfire --alert 3f9a
  watchfire outbox --data-dir /var/lib/watchfire redrive 3f9a…
  watchfire outbox --data-dir /var/lib/watchfire redrive --action chat")]
pub struct OutboxArgs {
    #[command(flatten)]
    data: DataDir,
    /// Only what was given up
    #[arg(long, conflicts_with = "state")]
    dead: bool,
    /// Only those that stand so: pending, done, dead, waiting
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<OutboxState>,
    /// Only this action's, by its configured name
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
    /// Only this alert's, by the beginning of its id
    #[arg(long, value_name = "ID")]
    alert: Option<String>,
    /// How many are listed, the newest first; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// table: for people. ndjson: one object per delivery
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
    #[command(subcommand)]
    command: Option<OutboxCommand>,
}

#[derive(Debug, Subcommand)]
enum OutboxCommand {
    /// Try deliveries again that were given up
    Redrive {
        /// Its id, or the beginning of it
        #[arg(required_unless_present = "action")]
        id: Option<String>,
        /// In place of an id: everything that this action gave up
        #[arg(long, value_name = "NAME", conflicts_with = "id")]
        action: Option<String>,
    },
}

fn parse_state(name: &str) -> Result<OutboxState, String> {
    let parsed: Result<_, de::value::Error> = OutboxState::deserialize(name.into_deserializer());
    parsed.map_err(|error| error.to_string())
}

fn wanted(args: &OutboxArgs, store: &Store) -> anyhow::Result<OutboxQuery> {
    let alert = args.alert.as_deref().map(|id| named(store, id)).transpose()?;
    Ok(OutboxQuery {
        state: args.state.or(args.dead.then_some(OutboxState::Dead)),
        action: args.action.clone(),
        alert: alert.map(|alert| alert.0),
        limit: args.limit,
        after: None,
    })
}

/// Lists deliveries, or redrives one.
pub fn run(args: &OutboxArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        Some(OutboxCommand::Redrive { action: Some(action), .. }) => return redrive_action(args, action),
        Some(OutboxCommand::Redrive { id: Some(id), .. }) => return redrive(args, id),
        _ => {}
    }
    let store = args.data.store()?;
    let rows = store.outbox(&wanted(args, &store)?)?;
    match args.format {
        ListFormat::Ndjson => super::print(&ndjson(&rows)?)?,
        ListFormat::Table => {
            let counts = store.outbox_counts()?;
            if !rows.is_empty() {
                super::print(&table(&rows))?;
            }
            super::say(&format!(
                "{} pending, {} done, {} given up, {} waiting for people",
                counts.pending, counts.done, counts.dead, counts.waiting
            ));
            for OpenBreaker { action, since, error } in store.breakers()? {
                super::say(&format!("{action} is only probed since {since}: {error}"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn redrive(args: &OutboxArgs, id: &str) -> anyhow::Result<ExitCode> {
    let store = args.data.store_to_write()?;
    let dead = store.outbox_list(Some(OutboxState::Dead), 0)?;
    let found: Vec<&OutboxRow> = dead.iter().filter(|row| row.id.starts_with(id)).collect();
    match found.as_slice() {
        [row] if store.redrive(&row.id, &author::deed("watchfire outbox redrive", row.id.clone()))? => {
            super::print(&format!("{} is due again; the daemon tries it with its next look\n", row.id))?;
            Ok(ExitCode::SUCCESS)
        }
        [_, _, ..] => {
            let several = format!("{} deliveries that were given up begin with `{id}`", found.len());
            Err(super::Usage(several).into())
        }
        _ => {
            super::say(&format!("watchfire: no delivery that was given up has the id `{id}`"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn redrive_action(args: &OutboxArgs, action: &str) -> anyhow::Result<ExitCode> {
    let store = args.data.store_to_write()?;
    let count = store
        .redrive_action(action, &author::deed("watchfire outbox redrive --action", action.to_owned()))?;
    if count == 0 {
        super::say(&format!("watchfire: `{action}` gave nothing up"));
        return Ok(ExitCode::FAILURE);
    }
    super::print(&format!(
        "{count} deliveries of {action} are due again; the daemon tries them with its next look\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// A delivery's state in one word.
pub(super) const fn state(state: OutboxState) -> &'static str {
    match state {
        OutboxState::Pending => "pending",
        OutboxState::Done => "done",
        OutboxState::Dead => "given up",
        OutboxState::Waiting => "waiting",
    }
}

/// What is known of how it went.
pub(super) fn result(row: &OutboxRow) -> String {
    match (&row.outcome, &row.last_error) {
        (Some(outcome), _) => outcome.summary.clone(),
        (None, Some(error)) => error.clone(),
        (None, None) => String::new(),
    }
}

/// The beginning of the alert's id, or which report it is, or that a person asked for it without an alert.
fn of(row: &OutboxRow) -> String {
    match row.kind {
        DeliveryKind::Report => row.alert.0.clone(),
        DeliveryKind::Respond if row.alert.0.starts_with("response/") => "by hand".to_owned(),
        DeliveryKind::Respond | DeliveryKind::Notify => row.alert.0.chars().take(12).collect(),
    }
}

fn table(rows: &[OutboxRow]) -> String {
    let row = |row: &OutboxRow| {
        let kind = match row.kind {
            DeliveryKind::Respond => "respond",
            DeliveryKind::Notify => "notify",
            DeliveryKind::Report => "report",
        };
        vec![
            row.id.chars().take(12).collect(),
            of(row),
            row.action.clone(),
            kind.to_owned(),
            state(row.state).to_owned(),
            row.attempts.to_string(),
            minute(row.due_at),
            result(row),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    let heading = ["ID", "ALERT", "ACTION", "KIND", "STATE", "TRIES", "DUE (UTC)", "RESULT"];
    table::table(&heading, &rows, &[0, 1, 3, 4, 5, 6], terminal::width())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: OutboxArgs,
    }

    #[test]
    fn a_list_is_of_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let of = |words: &[&str]| {
            let line = Line::try_parse_from([&["outbox"], words].concat());
            line.map_err(anyhow::Error::from).and_then(|line| wanted(&line.args, &store))
        };
        assert_eq!(of(&["--dead"]).unwrap().state, Some(OutboxState::Dead));
        let query = of(&["--state", "waiting", "--action", "block", "--limit", "3"]).unwrap();
        assert_eq!(
            (query.state, query.action.as_deref(), query.limit),
            (Some(OutboxState::Waiting), Some("block"), 3)
        );
        for (words, part) in [
            (["--state", "gone"], "expected one of `pending`, `done`, `dead`, `waiting`"),
            (["--alert", "3f9a"], "there is no alert `3f9a`"),
        ] {
            let error = of(&words).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(of(&["--dead", "--state", "done"]).is_err());
    }
}
