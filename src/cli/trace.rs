//! `watchfire trace`: what happened around one event.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::data::DataDir;
use super::rules::ShowArgs;
use super::terminal::{self, Paint, clean};
use crate::encode::alert_json;
use crate::event::Position;
use crate::query::format;
use crate::search::{Found, Strand, Trace, TraceOptions};
use crate::store::{AlertQuery, Store, StoredAlert};
use crate::time::Span;

/// Options of `watchfire trace`.
#[derive(Debug, Args)]
#[command(after_help = "\
Shows the event, what the same author did around it, what else happened to the same entity and the same target (who \
opened, approved and merged this merge request), what else the same request did, and the alerts that cite it.

Examples:
  watchfire trace 4711 --data-dir /var/lib/watchfire
  watchfire trace 4dbb9a9c-43d3-4f5d-8004-b9efeb79d13c --data-dir D --around 1d --events 100 --format json")]
pub struct TraceArgs {
    /// The event's position in the log, or the id that its forge gave it
    event: String,
    #[command(flatten)]
    data: DataDir,
    /// How long before and after it the author is followed
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    around: Span,
    /// How long before and after it the entity, the target and the request are
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    things: Span,
    /// At most so many events of each kind, before it and after it
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    events: u16,
    /// text: for people. json: one object
    #[arg(long, value_enum, default_value_t = TraceFormat::Text)]
    format: TraceFormat,
    #[command(flatten)]
    show: ShowArgs,
}

/// How a trace is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TraceFormat {
    /// For people.
    Text,
    /// One object: the event, the strands, the alerts.
    Json,
}

/// Alerts are looked through from this long before the event on: its own time may be ahead of the clock.
const MARGIN: Span = Span::days(1);
/// No more alerts than this are looked through, the newest ones.
const ALERTS_MAX: usize = 100_000;

/// Prints it. Exit code 1 if there is no such event.
pub fn run(args: &TraceArgs) -> anyhow::Result<ExitCode> {
    let mut searcher = args.data.searcher(args.show.catalogue()?)?;
    let Some(event) = searcher.named(&args.event)? else {
        super::say(&format!("watchfire: there is no event at position, or with id, `{}`", args.event));
        return Ok(ExitCode::FAILURE);
    };
    let options = TraceOptions { author: args.around, things: args.things, events: usize::from(args.events) };
    let trace = searcher.trace(event, options)?;
    let alerts = cited_by(&args.data.store()?, &trace.event)?;
    match args.format {
        TraceFormat::Text => super::print(&text(&trace, &alerts, terminal::width(), Paint::stdout()))?,
        TraceFormat::Json => {
            super::print(&format!("{}\n", serde_json::to_string_pretty(&object(&trace, &alerts))?))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The alerts that have the event among their evidence.
fn cited_by(store: &Store, found: &Found) -> anyhow::Result<Vec<StoredAlert>> {
    let since = Some(found.event.time.minus(MARGIN));
    let mut alerts = store.alerts(&AlertQuery { since, limit: ALERTS_MAX, ..AlertQuery::default() })?;
    let position: Position = found.event.position;
    alerts.retain(|stored| {
        stored.alert.merged_into.is_none()
            && (stored.alert.position == position || stored.alert.evidence.contains(&position))
    });
    Ok(alerts)
}

const STRANDS: [(&str, &str); 4] = [
    ("author", "What the author did around it"),
    ("entity", "What else happened to the entity"),
    ("target", "What else happened to the target"),
    ("request", "What else the request did"),
];

fn strands(trace: &Trace) -> impl Iterator<Item = (&'static str, &'static str, &Strand)> {
    let all = [&trace.author, &trace.entity, &trace.target, &trace.request];
    STRANDS.iter().zip(all).filter_map(|((name, title), strand)| Some((*name, *title, strand.as_ref()?)))
}

fn text(trace: &Trace, alerts: &[StoredAlert], width: usize, paint: Paint) -> String {
    let mut text = format!("{}\n", paint.bold(&format!("Event {}", trace.event.event.position)));
    text.push_str(&format::table(std::slice::from_ref(&trace.event.shown), width));
    for (_, title, strand) in strands(trace) {
        let _ = writeln!(text, "\n{}  {}", paint.bold(title), paint.dim(&clean(&strand.query.to_string())));
        if strand.is_empty() {
            text.push_str("  nothing\n");
            continue;
        }
        if strand.has_earlier {
            text.push_str("  … and more before\n");
        }
        let events = strand.before.iter().chain([&trace.event]).chain(&strand.after);
        let shown: Vec<Map<String, Value>> = events.map(|found| found.shown.clone()).collect();
        for (row, line) in format::table(&shown, width.saturating_sub(2)).lines().enumerate() {
            let mark = if row == strand.before.len() + 1 { "> " } else { "  " };
            let _ = writeln!(text, "{mark}{line}");
        }
        if strand.has_later {
            text.push_str("  … and more after\n");
        }
    }
    let _ = writeln!(text, "\n{}", paint.bold("Alerts that cite it"));
    if alerts.is_empty() {
        text.push_str("  none\n");
    }
    for StoredAlert { alert, .. } in alerts {
        let id: String = alert.id.0.chars().take(12).collect();
        let _ = writeln!(text, "  {id}  {}  {}", paint.level(alert.level), clean(&alert.title));
    }
    text
}

fn object(trace: &Trace, alerts: &[StoredAlert]) -> Value {
    let list =
        |found: &[Found]| found.iter().map(|found| Value::Object(found.shown.clone())).collect::<Vec<_>>();
    let strand = |strand: &Strand| {
        json!({
            "query": strand.query.to_string(),
            "before": list(&strand.before),
            "after": list(&strand.after),
            "has_earlier": strand.has_earlier,
            "has_later": strand.has_later,
        })
    };
    let mut object = json!({"event": trace.event.shown});
    for (name, _, found) in strands(trace) {
        object[name] = strand(found);
    }
    object["alerts"] = alerts.iter().map(|stored| alert_json(&stored.alert)).collect();
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::data;
    use crate::event::Catalogue;

    fn events() -> Vec<String> {
        let event = |number: u32, kind: &str, author: &str| {
            json!({
                "id": format!("e{number}"), "created_at": format!("2026-03-01T09:0{number}:00Z"), "event_type": kind,
                "author_id": author.len(), "author_name": author, "entity_id": 5, "entity_type": "Project",
                "entity_path": "g/p", "target_id": 9, "target_type": "MergeRequest", "target_details": "Fix \u{1b}[2J it",
            })
            .to_string()
        };
        vec![
            event(1, "merge_request_create", "eve"),
            event(2, "merge_request_approval_operation", "eve"),
            event(3, "merge_request_merged", "eve"),
            event(4, "project_destroyed", "mallory"),
        ]
    }

    #[test]
    fn a_trace_tells_the_story_of_a_merge_request() {
        let dir = crate::cli::testing::data_dir(&events());
        let mut searcher = data::searcher(dir.path(), Catalogue::built_in().into()).unwrap();
        let event = searcher.named("e2").unwrap().unwrap();
        let trace = searcher.trace(event, TraceOptions { events: 1, ..TraceOptions::default() }).unwrap();
        insta::assert_snapshot!(text(&trace, &[], 100, Paint::plain()), @r"
        Event 2
        TIME                  EVENT                             AUTHOR   ENTITY  TARGET       IP
        2026-03-01T09:02:00Z  merge_request_approval_operation  eve (3)  g/p     Fix  [2J it

        What the author did around it  author_id:3
          TIME                  EVENT                             AUTHOR   ENTITY  TARGET       IP
          2026-03-01T09:01:00Z  merge_request_create              eve (3)  g/p     Fix  [2J it
        > 2026-03-01T09:02:00Z  merge_request_approval_operation  eve (3)  g/p     Fix  [2J it
          2026-03-01T09:03:00Z  merge_request_merged              eve (3)  g/p     Fix  [2J it

        What else happened to the entity  entity_type:Project entity_id:5
          TIME                  EVENT                             AUTHOR   ENTITY  TARGET       IP
          2026-03-01T09:01:00Z  merge_request_create              eve (3)  g/p     Fix  [2J it
        > 2026-03-01T09:02:00Z  merge_request_approval_operation  eve (3)  g/p     Fix  [2J it
          2026-03-01T09:03:00Z  merge_request_merged              eve (3)  g/p     Fix  [2J it
          … and more after

        What else happened to the target  target_type:MergeRequest target_id:9
          TIME                  EVENT                             AUTHOR   ENTITY  TARGET       IP
          2026-03-01T09:01:00Z  merge_request_create              eve (3)  g/p     Fix  [2J it
        > 2026-03-01T09:02:00Z  merge_request_approval_operation  eve (3)  g/p     Fix  [2J it
          2026-03-01T09:03:00Z  merge_request_merged              eve (3)  g/p     Fix  [2J it
          … and more after

        Alerts that cite it
          none
        ");
        let object = object(&trace, &[]);
        assert_eq!(object["target"]["query"], "target_type:MergeRequest target_id:9");
        assert_eq!(object["entity"]["after"][0]["id"], "e3");
        assert_eq!(object["entity"]["has_later"], true);
        assert!(object.get("request").is_none());
    }
}
