//! `watchfire responses`: what was done to whom, and its undoing.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::author;
use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::respond::given;
use super::{table, terminal};
use crate::clock::Clock;
use crate::store::{Response, ResponseQuery, ResponseStatus, Step, Store, UndoStatus};
use crate::time::{Span, Timestamp};

/// Options of `watchfire responses`.
#[derive(Debug, Args)]
#[command(after_help = "\
Undoing puts back exactly what was found, unless somebody has changed it since. The running daemon does it with its next \
look, within a minute; it is also done while responses are stopped.

Examples:
  watchfire responses list --waiting
  watchfire responses show 3f9a…
  watchfire responses undo --rule gitlab-mass-clone --reason 'a false alarm'
  watchfire responses undo --since 1h --reason 'a wrong rule'")]
pub struct ResponsesArgs {
    #[command(flatten)]
    data: DataDir,
    #[command(subcommand)]
    command: Option<ResponsesCommand>,
}

#[derive(Debug, Subcommand)]
enum ResponsesCommand {
    /// List responses, newest first
    List {
        /// Only those that wait for people
        #[arg(long)]
        waiting: bool,
        /// Only those that were done and are not undone
        #[arg(long)]
        in_force: bool,
        /// Only those to alerts of this rule
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
        /// How many are listed; 0: all
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// table: for people. ndjson: one object per response
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
    /// Show one response and its history
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Undo responses
    Undo {
        /// Their ids, or the beginnings of them
        ids: Vec<String>,
        /// Those to alerts of this rule
        #[arg(long, value_name = "ID", conflicts_with = "ids")]
        rule: Option<String>,
        /// Those that were done within this time
        #[arg(long, value_name = "TIME", conflicts_with = "ids")]
        since: Option<Span>,
        /// All that are in force, and all of which nobody knows whether they changed anything
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Lists, shows or undoes.
pub fn run(args: &ResponsesArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        None => {
            let query = ResponseQuery { limit: 100, ..ResponseQuery::default() };
            list(&args.data.store()?, &query, ListFormat::Table)
        }
        Some(ResponsesCommand::List { waiting, in_force, rule, limit, format }) => {
            let query = ResponseQuery {
                status: waiting.then_some(ResponseStatus::Waiting),
                in_force: *in_force,
                rule: rule.clone(),
                limit: *limit,
                ..ResponseQuery::default()
            };
            list(&args.data.store()?, &query, *format)
        }
        Some(ResponsesCommand::Show { id }) => show(&args.data.store()?, id),
        Some(ResponsesCommand::Undo { ids, rule, since, all, reason }) => {
            given("reason", reason)?;
            if ids.is_empty() && rule.is_none() && since.is_none() && !all {
                let which = "say which: ids, --rule ID, --since TIME or --all";
                return Err(super::Usage(which.to_owned()).into());
            }
            let store = args.data.store_to_write()?;
            let since = since.map(|span| Clock::system().now().minus(span));
            undo(&store, (ids, rule.clone(), since), reason)
        }
    }
}

/// The response whose id begins so.
pub(super) fn find(store: &Store, id: &str) -> anyhow::Result<Response> {
    if let Some(response) = store.response(id)? {
        return Ok(response);
    }
    match store.responses_named(id)?.as_slice() {
        [] => anyhow::bail!("there is no response {id}"),
        [one] => store.response(one)?.ok_or_else(|| anyhow::anyhow!("there is no response {id}")),
        _ => Err(super::Usage(format!("several responses begin with `{id}`")).into()),
    }
}

fn list(store: &Store, query: &ResponseQuery, format: ListFormat) -> anyhow::Result<ExitCode> {
    let responses = store.responses(query)?;
    match format {
        ListFormat::Ndjson => {
            super::print(&ndjson(&responses.iter().map(object).collect::<Vec<_>>())?)?;
        }
        ListFormat::Table if responses.is_empty() => super::say("there are no such responses"),
        ListFormat::Table => super::print(&table(&responses))?,
    }
    super::respond::say_if_stopped(store)?;
    Ok(ExitCode::SUCCESS)
}

fn show(store: &Store, id: &str) -> anyhow::Result<ExitCode> {
    let response = find(store, id)?;
    let steps = store.response_steps(&response.id)?;
    super::print(&text(&response, &steps))?;
    Ok(ExitCode::SUCCESS)
}

type Which<'a> = (&'a [String], Option<String>, Option<Timestamp>);

fn undo(store: &Store, (ids, rule, since): Which<'_>, reason: &str) -> anyhow::Result<ExitCode> {
    let ids: Vec<String> = if ids.is_empty() {
        let query = ResponseQuery { rule, since, to_undo: true, ..ResponseQuery::default() };
        store.responses(&query)?.into_iter().map(|response| response.id).collect()
    } else {
        let found: Result<Vec<Response>, _> = ids.iter().map(|id| find(store, id)).collect();
        found?.into_iter().map(|response| response.id).collect()
    };
    let deed =
        author::deed("watchfire responses undo", format!("{} responses, reason {reason:?}", ids.len()));
    let asked = store.responses_undo(&ids, reason, &deed)?;
    let (mut undone, mut refused) = (0_usize, 0_usize);
    for of in &asked {
        let short: String = of.id.chars().take(12).collect();
        match &of.refused {
            None => undone += 1,
            Some(why) => {
                refused += 1;
                super::print(&format!("{short}  {}: not undone: {why}\n", terminal::clean(&of.what)))?;
            }
        }
    }
    super::say(&format!("{undone} are undone by the daemon within a minute, {refused} are not"));
    Ok(if refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Where it stands, in a word or two.
fn stands(response: &Response) -> String {
    let dry = if response.dry_run { " (dry run)" } else { "" };
    let undo = match response.undo {
        UndoStatus::None => String::new(),
        UndoStatus::Due => match response.undo_at {
            Some(at) => format!(", until {at}"),
            None => ", to be undone".to_owned(),
        },
        UndoStatus::Undone => ", undone".to_owned(),
        UndoStatus::Refused => ", NOT undone".to_owned(),
        UndoStatus::Failed => ", undoing FAILED".to_owned(),
    };
    format!("{}{dry}{undo}", response.status.name())
}

fn object(response: &Response) -> Value {
    serde_json::to_value(response).unwrap_or_else(|_| json!({"id": response.id}))
}

fn table(responses: &[Response]) -> String {
    let row = |response: &Response| {
        let what = format!("{} {}", response.verb, response.who.as_deref().unwrap_or("?"));
        let short: String = response.id.chars().take(12).collect();
        vec![
            short,
            response.created_at.to_string(),
            terminal::clean(&response.action),
            terminal::clean(&what),
            stands(response),
            terminal::clean(&response.summary),
        ]
    };
    let rows: Vec<Vec<String>> = responses.iter().map(row).collect();
    let heading = ["ID", "BEGAN", "ACTION", "WHAT", "STANDS", "SUMMARY"];
    table::table(&heading, &rows, &[0, 1], terminal::width())
}

fn text(response: &Response, steps: &[Step]) -> String {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let hit = response.hit.as_ref();
    let (request, answer) = response.receipt.clone().unzip();
    let (undo_by, undo_reason) = response.undo_by.clone().unzip();
    let approved: Vec<&str> = response.approvals.iter().map(|given| given.by.as_str()).collect();
    let approved = (!approved.is_empty()).then(|| approved.join(", "));
    let lines = [
        ("response", Some(response.id.clone())),
        ("stands", Some(stands(response))),
        ("summary", Some(response.summary.clone())),
        ("action", Some(response.action.clone())),
        ("what", Some(format!("{} {}", response.verb, response.who.as_deref().unwrap_or("?")))),
        ("account", hit.map(|hit| format!("{} at {}", hit.id, hit.forge))),
        ("page", response.page.clone()),
        ("alert", response.alert.as_ref().map(|alert| alert.0.clone())),
        ("rule", response.rule.clone()),
        ("rule version", response.rule_version.clone()),
        ("asked for by", Some(response.requested_by.clone())),
        ("reason", response.reason.clone()),
        ("approved by", approved),
        ("waits until", time(response.expires_at)),
        ("beyond", response.beyond.clone()),
        ("state before", response.states.0.clone()),
        ("state after", response.states.1.clone()),
        ("request", request),
        ("answer", answer),
        ("done at", time(response.acted_at)),
        ("to be undone", time(response.undo_at)),
        ("undone by", undo_by),
        ("why undone", undo_reason),
        ("undoing", response.undo_summary.clone()),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        if let Some(value) = value {
            text.push_str(&format!("{name:<13} {}\n", terminal::clean(&value)));
        }
    }
    text.push_str("\nhistory\n");
    for step in steps {
        let summary = terminal::clean(&step.summary);
        text.push_str(&format!(
            "  {}  {}  by {}: {summary}\n",
            step.at,
            step.status,
            terminal::clean(&step.author)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_says_where_it_stands() {
        let mut response = Response::new("0123456789abcdef", "block-author", "block", Timestamp(0));
        response.who = Some("user 7 (alice)".into());
        response.status = ResponseStatus::Acted;
        (response.undo, response.undo_at) = (UndoStatus::Due, Some(Timestamp(86_400_000)));
        let shown = table(std::slice::from_ref(&response));
        assert!(shown.contains("0123456789ab ") && shown.contains("acted, until"), "{shown}");
        assert_eq!(stands(&response), "acted, until 1970-01-02T00:00:00.000Z");
        response.dry_run = true;
        assert!(stands(&response).starts_with("acted (dry run)"));
        let step = Step {
            number: 1,
            response: response.id.clone(),
            at: Timestamp(0),
            status: "acted".into(),
            author: "watchfire".into(),
            summary: "blocked".into(),
        };
        assert!(text(&response, &[step]).contains("acted  by watchfire: blocked"));
    }
}
