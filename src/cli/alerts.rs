//! `watchfire alerts` and `watchfire alert`: what was found, and what was done about it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::rules::ShowArgs;
use super::terminal::{self, Paint, clean};
use super::{held, outbox, table};
use crate::alert::{AlertId, Level};
use crate::encode::{alert_json, search_command};
use crate::event::{Catalogue, canonical};
use crate::log::Reader;
use crate::query::format;
use crate::store::{AlertQuery, OutboxRow, Store, StoredAlert};

/// Options of `watchfire alerts`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watchfire alerts --data-dir /var/lib/watchfire --level high
  watchfire alerts --data-dir /var/lib/watchfire --rule gitlab-mass-clone --format ndjson | jq .alert.key")]
pub struct AlertsArgs {
    #[command(flatten)]
    data: DataDir,
    /// At most so many; 0: all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Only those of this rule, by id
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Only those of this level or a graver one
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    level: Option<Level>,
    /// table: for people. ndjson: one object per alert
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Options of `watchfire alert`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  watchfire alert --data-dir /var/lib/watchfire 3f9a")]
pub struct AlertArgs {
    #[command(flatten)]
    data: DataDir,
    /// The alert's id, or the beginning of it
    id: String,
    /// text: for people. json: one object
    #[arg(long, value_enum, default_value_t = AlertFormat::Text)]
    format: AlertFormat,
    #[command(flatten)]
    show: ShowArgs,
}

/// How one alert is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AlertFormat {
    /// For people.
    Text,
    /// One object: alert, events, deliveries.
    Json,
}

fn parse_level(name: &str) -> Result<Level, String> {
    let names = Level::ALL.map(Level::name).join(", ");
    Level::named(name).ok_or_else(|| format!("no such level; there are {names}"))
}

/// Lists alerts.
pub fn list(args: &AlertsArgs) -> anyhow::Result<ExitCode> {
    let store = args.data.store()?;
    let query =
        AlertQuery { rule: args.rule.clone(), level: args.level, limit: args.limit, ..AlertQuery::default() };
    let mut alerts = store.alerts(&query)?;
    alerts.retain(|stored| stored.alert.merged_into.is_none());
    match args.format {
        ListFormat::Ndjson => {
            let objects: Vec<Value> = alerts.iter().map(object).collect();
            super::print(&ndjson(&objects)?)?;
        }
        ListFormat::Table if alerts.is_empty() => super::say("no alerts"),
        ListFormat::Table => super::print(&table(&alerts))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn object(stored: &StoredAlert) -> Value {
    json!({
        "alert": alert_json(&stored.alert),
        "created_at": stored.created_at.to_string(),
        "updated_at": stored.updated_at.to_string(),
    })
}

fn table(alerts: &[StoredAlert]) -> String {
    let row = |stored: &StoredAlert| {
        let alert = &stored.alert;
        vec![
            alert.id.0.chars().take(12).collect(),
            alert.last_at.to_string(),
            alert.level.name().to_owned(),
            alert.rule.to_string(),
            alert.key.to_string(),
            alert.findings.to_string(),
            alert.reason.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = alerts.iter().map(row).collect();
    let heading = ["ID", "LAST", "LEVEL", "RULE", "KEY", "FINDINGS", "WHY"];
    table::table(&heading, &rows, &[0, 1, 2, 5], terminal::width())
}

/// Shows one alert. Exit code 1 if there is none of that id.
pub fn show(args: &AlertArgs) -> anyhow::Result<ExitCode> {
    let store = args.data.store()?;
    let Some(stored) = find(&store, &args.id)? else {
        super::say(&format!("watchfire: there is no alert `{}`", args.id));
        return Ok(ExitCode::FAILURE);
    };
    let deliveries = store.outbox_of(&stored.alert.id)?;
    let events = evidence(&mut args.data.reader()?, &stored, &*args.show.catalogue()?)?;
    let (held, followups) = (store.held_of(&stored.alert.id)?, store.followups_of(&stored.alert.id)?);
    match args.format {
        AlertFormat::Text => {
            let told = held::text(&stored.alert, &held, &followups, Paint::stdout());
            super::print(&format!("{}{told}", text(&stored, &events, &deliveries, Paint::stdout())))?;
        }
        AlertFormat::Json => {
            let mut whole = object(&stored);
            whole["events"] = events.into_iter().map(Value::Object).collect();
            whole["deliveries"] = serde_json::to_value(&deliveries)?;
            whole["held"] = serde_json::to_value(&held)?;
            super::print(&format!("{}\n", serde_json::to_string_pretty(&whole)?))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// By the whole id, or by a beginning that only one has.
fn find(store: &Store, id: &str) -> anyhow::Result<Option<StoredAlert>> {
    if let Some(stored) = store.alert(&AlertId(id.to_owned()))? {
        return Ok(Some(stored));
    }
    let mut near = store.alerts(&AlertQuery::default())?;
    near.retain(|stored| stored.alert.id.0.starts_with(id));
    if near.len() > 1 {
        return Err(super::Usage(format!("{} alerts begin with `{id}`", near.len())).into());
    }
    Ok(near.pop())
}

fn evidence(
    reader: &mut Reader,
    stored: &StoredAlert,
    catalogue: &Catalogue,
) -> anyhow::Result<Vec<Map<String, Value>>> {
    let mut events = Vec::new();
    for position in &stored.alert.evidence {
        events.extend(reader.get(*position)?.map(|event| canonical(&event, catalogue)));
    }
    Ok(events)
}

fn text(
    stored: &StoredAlert,
    events: &[Map<String, Value>],
    deliveries: &[OutboxRow],
    paint: Paint,
) -> String {
    let alert = &stored.alert;
    let mut text = format!("{}  {}\n", paint.bold(&clean(&alert.title)), paint.level(alert.level));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<9} {}", clean(value));
    };
    line("id", &alert.id.0);
    line("rule", &alert.rule);
    line("key", &alert.key.to_string());
    line("began", &alert.started_at.to_string());
    line("last", &alert.last_at.to_string());
    line("findings", &alert.findings.to_string());
    line("why", &alert.reason);
    if let Some(other) = &alert.merged_into {
        line("part of", &other.0);
    }
    let missing = alert.evidence_count.saturating_sub(events.len() as u64);
    let _ = writeln!(text, "\n{}", paint.bold(&format!("Events ({})", alert.evidence_count)));
    text.push_str(&format::table(events, terminal::width()));
    if missing > 0 {
        let _ = writeln!(text, "and {missing} more: {}", clean(&search_command(alert)));
    }
    let _ = writeln!(text, "\n{}", paint.bold("Actions"));
    if deliveries.is_empty() {
        text.push_str("  none: neither the rule nor a route names one\n");
    }
    for row in deliveries {
        let result = outbox::result(row);
        let tries = if row.attempts == 1 { "try" } else { "tries" };
        let state = outbox::state(row.state);
        let _ =
            writeln!(text, "  {:<20} {state:<9} {} {tries}  {}", row.action, row.attempts, clean(&result));
        if let Some(undo) = row.outcome.as_ref().and_then(|outcome| outcome.undo.as_ref()) {
            let _ = writeln!(text, "  {:<20} undo: {}", "", clean(undo));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Alert, Key};
    use crate::store::{DeliveryKind, OutboxState, Outcome};
    use crate::time::Timestamp;

    fn stored() -> StoredAlert {
        let alert = Alert {
            id: AlertId("0123456789abcdef0123456789abcdef".into()),
            rule: "gitlab-mass-clone".into(),
            title: "One account clones many projects".into(),
            level: Level::High,
            tags: Vec::new(),
            key: Key(vec![("author_id".into(), "7".into())]),
            started_at: Timestamp(1_767_603_600_000),
            last_at: Timestamp(1_767_603_660_000),
            position: 40,
            findings: 3,
            value: 22.0,
            reason: "22 different entity_id within 10m (at least 20)".into(),
            evidence: vec![40],
            evidence_count: 22,
            merged_into: None,
        };
        StoredAlert { alert, created_at: Timestamp(0), updated_at: Timestamp(0) }
    }

    #[test]
    fn an_alert_tells_its_story() {
        let stored = stored();
        let event = json!({"created_at": "2026-01-05T09:00:00.000Z", "event_type": "repository_git_operation",
                           "author_name": "ada", "author_id": 7});
        let outcome = Outcome {
            changed: true,
            dry_run: false,
            summary: "blocked user 7 (ada); read back: blocked".into(),
            undo: Some("Admin > Users > ada > Unblock".into()),
            needs_human: false,
        };
        let row = OutboxRow {
            occasion: crate::alert::Occasion::Opened,
            id: "x".into(),
            alert: stored.alert.id.clone(),
            action: "block-author".into(),
            kind: DeliveryKind::Respond,
            created_at: Timestamp(0),
            due_at: Timestamp(0),
            attempts: 1,
            state: OutboxState::Done,
            last_error: None,
            outcome: Some(outcome),
        };
        let shown = text(&stored, &[event.as_object().unwrap().clone()], &[row], Paint::plain());
        insta::assert_snapshot!(shown, @r"
        One account clones many projects  high
          id        0123456789abcdef0123456789abcdef
          rule      gitlab-mass-clone
          key       author_id = 7
          began     2026-01-05T09:00:00.000Z
          last      2026-01-05T09:01:00.000Z
          findings  3
          why       22 different entity_id within 10m (at least 20)

        Events (22)
        TIME                  EVENT                     AUTHOR   ENTITY  TARGET  IP
        2026-01-05T09:00:00Z  repository_git_operation  ada (7)
        and 21 more: watchfire search 'author_id:7 created_at:>=2026-01-05T08:00:00Z created_at:<=2026-01-05T10:01:00Z'

        Actions
          block-author         done      1 try  blocked user 7 (ada); read back: blocked
                               undo: Admin > Users > ada > Unblock
        ");
        insta::assert_snapshot!(table(&[stored]), @r"
        ID            LAST                      LEVEL  RULE           KEY            FINDINGS  WHY
        0123456789ab  2026-01-05T09:01:00.000Z  high   gitlab-mass-…  author_id = 7  3         22 different…
        ");
    }
}
