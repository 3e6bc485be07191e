//! `watchfire hold`: what is kept however old it is.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::alerts::minute;
use super::author;
use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::{table, terminal};
use crate::clock::Clock;
use crate::query::Query;
use crate::store::{Hold, NewHold, Store};
use crate::time::Timestamp;

/// Options of `watchfire hold`.
#[derive(Debug, Args)]
#[command(after_help = "\
What the query of a hold finds is not deleted, whatever the policy says, from the moment this command returns. A hold \
that has ended stays in the list.

Examples:
  watchfire hold add --query 'author:alice' --reason 'case 2026-7' --owner legal@example.com
  watchfire hold list
  watchfire hold end 3 --reason 'the case is closed'")]
pub struct HoldArgs {
    #[command(flatten)]
    data: DataDir,
    #[command(subcommand)]
    command: HoldCommand,
}

#[derive(Debug, Subcommand)]
enum HoldCommand {
    /// Keep what a query finds
    Add {
        /// What is kept, in the language of `watchfire search`; times are relative to now
        #[arg(long, value_name = "QUERY")]
        query: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who answers for it
        #[arg(long, value_name = "NAME")]
        owner: String,
        /// When it ends by itself: a date or a time
        #[arg(long, value_name = "DATE")]
        until: Option<String>,
    },
    /// List holds, newest first
    List {
        /// Also those that have ended
        #[arg(long)]
        all: bool,
        /// table: for people. ndjson: one object per hold
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
    /// End a hold: what it kept is deleted when it is due
    End {
        /// Its number
        id: i64,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Does what the subcommand says.
pub fn run(args: &HoldArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        HoldCommand::Add { query, reason, owner, until } => {
            let until = until.as_deref().map(Timestamp::parse).transpose();
            let until = until.map_err(|error| super::Usage(format!("--until: {error}")))?;
            let (query, reason, owner) = (query.clone(), reason.clone(), owner.clone());
            add(&args.data.store_to_write()?, NewHold { query, reason, owner, until })
        }
        HoldCommand::List { all, format } => list(&args.data.store()?, *all, *format),
        HoldCommand::End { id, reason } => end(&args.data.store_to_write()?, *id, reason),
    }
}

fn add(store: &Store, hold: NewHold) -> anyhow::Result<ExitCode> {
    let request = format!("query {:?}, owner {:?}", hold.query, hold.owner);
    let deed = author::deed("watchfire hold add", request);
    Query::parse(&hold.query, deed.at).map_err(|error| super::Usage(format!("--query: {error}")))?;
    hold.check(deed.at).map_err(|(field, what)| super::Usage(format!("--{field}: {what}")))?;
    let id = store.hold_add(&hold, &deed)?;
    super::print(&format!("{id}\n"))?;
    super::say(&format!("hold {id}: what `{}` finds is not deleted", terminal::clean(&hold.query)));
    Ok(ExitCode::SUCCESS)
}

fn list(store: &Store, all: bool, format: ListFormat) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    let mut holds = store.holds()?;
    holds.retain(|hold| all || hold.is_active(now));
    match format {
        ListFormat::Ndjson => {
            super::print(&ndjson(&holds.iter().map(|hold| object(hold, now)).collect::<Vec<_>>())?)?;
        }
        ListFormat::Table if holds.is_empty() => super::say("nothing is held; `watchfire hold add` does"),
        ListFormat::Table => super::print(&table(&holds, now))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn end(store: &Store, id: i64, reason: &str) -> anyhow::Result<ExitCode> {
    if reason.trim().is_empty() {
        return Err(super::Usage("--reason must not be empty".to_owned()).into());
    }
    let deed = author::deed("watchfire hold end", format!("hold {id}, reason {reason:?}"));
    if !store.hold_end(id, reason, &deed)? {
        anyhow::bail!("there is no hold {id} that is in force");
    }
    super::say(&format!("hold {id} has ended: what it kept is deleted when it is due"));
    Ok(ExitCode::SUCCESS)
}

fn object(hold: &Hold, now: Timestamp) -> Value {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "id": hold.id,
        "query": hold.hold.query,
        "reason": hold.hold.reason,
        "owner": hold.hold.owner,
        "until": text(hold.hold.until),
        "active": hold.is_active(now),
        "created_at": hold.created_at.to_string(),
        "created_by": hold.created_by,
        "ended_at": text(hold.ended_at),
        "ended_by": hold.ended_by,
        "end_reason": hold.end_reason,
    })
}

fn table(holds: &[Hold], now: Timestamp) -> String {
    let row = |hold: &Hold| {
        let ends = match (hold.ended_at, hold.hold.until) {
            (Some(at), _) => format!("ended {}", minute(at)),
            (None, Some(until)) if !hold.is_active(now) => format!("ended {}", minute(until)),
            (None, Some(until)) => minute(until),
            (None, None) => "open".to_owned(),
        };
        let NewHold { query, reason, owner, .. } = &hold.hold;
        let texts = [query, owner, reason].map(|text| terminal::clean(text));
        let [query, owner, reason] = texts;
        vec![hold.id.to_string(), minute(hold.created_at), ends, query, owner, reason]
    };
    let rows: Vec<Vec<String>> = holds.iter().map(row).collect();
    table::table(
        &["ID", "MADE (UTC)", "UNTIL (UTC)", "QUERY", "OWNER", "REASON"],
        &rows,
        &[0, 1, 2],
        terminal::width(),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: HoldArgs,
    }

    #[test]
    fn a_hold_is_made_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let data = dir.path().to_str().unwrap();
        let line =
            |words: &[&str]| run(&Line::parse_from([&["hold", "--data-dir", data], words].concat()).args);
        let add = ["add", "--reason", "case", "--owner", "legal", "--query"];
        line(&[add.as_slice(), &["author:alice"]].concat()).unwrap();
        assert!(line(&[add.as_slice(), &["created_at:>"]].concat()).is_err());
        assert!(line(&[add.as_slice(), &["a", "--until", "2001-01-01"]].concat()).is_err());
        let holds = store.holds().unwrap();
        assert_eq!(holds.len(), 1);
        let shown = table(&holds, Timestamp(0));
        assert!(shown.contains("author:alice") && shown.contains("open"), "{shown}");
        line(&["end", "1", "--reason", "closed"]).unwrap();
        assert!(line(&["end", "1", "--reason", "closed"]).is_err());
        assert_eq!(store.holds().unwrap()[0].end_reason.as_deref(), Some("closed"));
        line(&["list", "--all", "--format", "ndjson"]).unwrap();
    }
}
