//! `watchfire token`: who may use the API.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::author;
use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::{table, terminal};
use crate::api::{NewToken, check_name, token_text};
use crate::clock::Clock;
use crate::store::{Role, Store, TokenRow};
use crate::time::{Span, Timestamp};

/// Options of `watchfire token`.
#[derive(Debug, Args)]
#[command(after_help = "\
Roles, each of which may do all that those before it may:
  viewer     sees alerts with their evidence, deliveries, rules, the ledger
  analyst    searches events, sees rejected bodies
  responder  redrives deliveries, replays rejected bodies
  admin      makes and revokes tokens and legal holds, reads the audit log

Examples:
  watchfire token add soc-dashboard --role viewer
  watchfire token add nightly-report --role analyst --valid 90d
  watchfire token revoke soc-dashboard")]
pub struct TokenArgs {
    #[command(flatten)]
    data: DataDir,
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it, this once
    Add {
        /// What it is called; no two tokens in use have the same name
        name: String,
        /// What it allows
        #[arg(long, value_name = "ROLE", value_parser = parse_role)]
        role: Role,
        /// How long it opens anything: 90d, 12h, or `never` for no end
        #[arg(long, value_name = "TIME", default_value = "365d", value_parser = parse_valid)]
        valid: Valid,
    },
    /// List tokens, newest first
    List {
        /// Also those that were revoked
        #[arg(long)]
        all: bool,
        /// table: for people. ndjson: one object per token
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
    /// Refuse a token from now on; the running daemon does within a second
    Revoke {
        /// Its name or id
        token: String,
    },
}

/// How long a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Valid {
    For(Span),
    Always,
}

fn parse_role(name: &str) -> Result<Role, String> {
    let names = Role::ALL.map(Role::name).join(", ");
    Role::named(name).ok_or_else(|| format!("no such role; there are {names}"))
}

fn parse_valid(text: &str) -> Result<Valid, String> {
    if text == "never" {
        return Ok(Valid::Always);
    }
    let span: Span = text.parse().map_err(|error: crate::time::TimeError| error.to_string())?;
    if span < Span::minutes(1) {
        return Err("a token is good for a minute at least".to_owned());
    }
    Ok(Valid::For(span))
}

/// Does what the subcommand says.
pub fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        TokenCommand::Add { name, role, valid } => add(&args.data.store_to_write()?, name, *role, *valid),
        TokenCommand::List { all, format } => list(&args.data.store()?, *all, *format),
        TokenCommand::Revoke { token } => revoke(&args.data.store_to_write()?, token),
    }
}

fn add(store: &Store, name: &str, role: Role, valid: Valid) -> anyhow::Result<ExitCode> {
    check_name(name).map_err(|error| super::Usage(error.to_string()))?;
    let deed = author::deed("watchfire token add", String::new());
    let expires_at = match valid {
        Valid::For(span) => Some(deed.at.plus(span)),
        Valid::Always => None,
    };
    let made = NewToken::make(name, role, (deed.at, deed.author.clone()), expires_at)?;
    let until = expires_at.map_or_else(|| "without end".to_owned(), |at| format!("until {at}"));
    let request = format!("name {name:?}, role {}, {until}, id {}", role.name(), made.row.id);
    store.token_add(&made.row, &deed.asking(request)).context("no token was made")?;
    super::print(&format!("{}\n", made.text))?;
    super::say(&format!(
        "{name}: {}, {until}. It is shown this once; keep it where secrets are kept.",
        role.name()
    ));
    Ok(ExitCode::SUCCESS)
}

fn list(store: &Store, all: bool, format: ListFormat) -> anyhow::Result<ExitCode> {
    let mut tokens = store.tokens()?;
    tokens.retain(|token| all || token.revoked_at.is_none());
    match format {
        ListFormat::Ndjson => super::print(&ndjson(&tokens.iter().map(object).collect::<Vec<_>>())?)?,
        ListFormat::Table if tokens.is_empty() => super::say("no tokens; `watchfire token add` makes one"),
        ListFormat::Table => super::print(&table(&tokens, Clock::system().now()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn object(token: &TokenRow) -> serde_json::Value {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    serde_json::json!({
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "created_at": token.created_at.to_string(),
        "created_by": token.created_by,
        "expires_at": time(token.expires_at),
        "last_used_at": time(token.last_used_at),
        "revoked_at": time(token.revoked_at),
    })
}

fn table(tokens: &[TokenRow], now: Timestamp) -> String {
    let row = |token: &TokenRow| {
        let state = match (token.revoked_at, token.is_valid(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "good",
            (None, false) => "expired",
        };
        vec![
            token_text(&token.id, "…"),
            token.name.clone(),
            token.role.name().to_owned(),
            state.to_owned(),
            token.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
            token.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        ]
    };
    let rows: Vec<Vec<String>> = tokens.iter().map(row).collect();
    table::table(
        &["TOKEN", "NAME", "ROLE", "STATE", "EXPIRES", "LAST USED"],
        &rows,
        &[0, 2, 3],
        terminal::width(),
    )
}

fn revoke(store: &Store, wanted: &str) -> anyhow::Result<ExitCode> {
    let tokens = store.tokens()?;
    let is_meant =
        |token: &&TokenRow| token.revoked_at.is_none() && (token.id == wanted || token.name == wanted);
    let deed = author::deed("watchfire token revoke", String::new());
    match tokens.iter().find(is_meant) {
        Some(token)
            if store.token_revoke(
                &token.id,
                &deed.asking(format!("name {:?}, id {}", token.name, token.id)),
            )? =>
        {
            super::say(&format!("{} ({}) opens nothing any more", token.name, token.id));
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            super::say(&format!("watchfire: no token in use has the name or id `{wanted}`"));
            Ok(ExitCode::FAILURE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_listed_and_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let valid = parse_valid("90d").unwrap();
        add(&store, "soc", Role::Viewer, valid).unwrap();
        assert!(
            add(&store, "soc", Role::Admin, valid)
                .unwrap_err()
                .chain()
                .any(|e| e.to_string().contains("already"))
        );
        assert!(add(&store, "-", Role::Admin, valid).unwrap_err().is::<super::super::Usage>());
        let token = store.tokens().unwrap().remove(0);
        assert_eq!(token.expires_at, Some(token.created_at.plus(Span::days(90))));
        let shown = table(std::slice::from_ref(&token), token.created_at);
        assert!(shown.contains(&format!("wf_{}_…", token.id)) && shown.contains("good"), "{shown}");
        assert!(
            table(std::slice::from_ref(&token), token.created_at.plus(Span::days(91))).contains("expired")
        );
        assert_eq!(revoke(&store, "nobody").unwrap(), ExitCode::FAILURE);
        assert_eq!(revoke(&store, "soc").unwrap(), ExitCode::SUCCESS);
        assert_eq!(revoke(&store, &token.id).unwrap(), ExitCode::FAILURE);
        let done: Vec<String> = store
            .audit(&crate::store::AuditQuery::default())
            .unwrap()
            .into_iter()
            .map(|row| row.deed.what)
            .collect();
        assert_eq!(done, ["watchfire token revoke", "watchfire token add"]);
    }

    #[test]
    fn how_long_is_read_strictly() {
        assert_eq!(parse_valid("never"), Ok(Valid::Always));
        assert_eq!(parse_valid("12h"), Ok(Valid::For(Span::hours(12))));
        assert!(parse_valid("0d").is_err() && parse_valid("soon").is_err());
        assert!(parse_role("root").unwrap_err().contains("viewer, analyst, responder, admin"));
    }
}
