//! `watchfire alerts` and `watchfire alert`: what was found, where it stands, and what was done about it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::alert_change::{self, Assigning, Commenting, Noting, Resolving};
use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::rules::ShowArgs;
use super::terminal::{self, Paint, clean};
use super::{held, outbox, table};
use crate::alert::{AlertId, AlertState, Level, Moment, Verdict};
use crate::encode::{alert_json, search_command, triage_json};
use crate::event::{Catalogue, canonical};
use crate::log::Reader;
use crate::query::format;
use crate::store::{AlertQuery, OutboxRow, Standing, Store, StoredAlert};

/// Options of `watchfire alerts`.
#[derive(Debug, Args)]
#[command(after_help = "\
What is open comes first, then what somebody looks into, then the rest; each newest first.

Examples:
  watchfire alerts --data-dir /var/lib/watchfire --state open --level high
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
    /// Only those that stand so: open, acknowledged, resolved
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<AlertState>,
    /// Only those that were resolved so: true_positive, benign, false_positive, test, duplicate
    #[arg(long, value_name = "VERDICT", value_parser = parse_verdict)]
    verdict: Option<Verdict>,
    /// Only this person's; an empty name: nobody's
    #[arg(long, value_name = "NAME")]
    assignee: Option<String>,
    /// Only this incident's, by the beginning of its id
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
    /// table: for people. ndjson: one object per alert
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Options of `watchfire alert`.
#[derive(Debug, Args)]
#[command(
    subcommand_negates_reqs = true,
    after_help = "\
An alert is named by its id or the beginning of it. Several are changed at once, all or none. The daemon may be running: \
those who were told of an alert hear of a change within a minute.

Examples:
  watchfire alert 3f9a
  watchfire alert ack 3f9a 77b0 --note 'asking the author'
  watchfire alert resolve 3f9a --as false_positive --note 'the migration account'
  watchfire alert resolve 77b0 --as duplicate --of 3f9a
  watchfire alert assign 3f9a --to ann"
)]
pub struct AlertArgs {
    #[command(flatten)]
    data: DataDir,
    #[command(subcommand)]
    command: Option<AlertCommand>,
    /// The alert's id, or the beginning of it
    #[arg(required = true)]
    id: Option<String>,
    #[command(flatten)]
    options: ShowOptions,
}

#[derive(Debug, Subcommand)]
enum AlertCommand {
    /// Show alerts: their events, and all that happened
    Show {
        /// Ids, or the beginnings of them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        options: ShowOptions,
    },
    /// Take alerts up: reminders end
    Ack(Noting),
    /// Say what alerts were
    Resolve(Resolving),
    /// Open alerts again, or let go of them
    Reopen(Noting),
    /// Give alerts to somebody, or to nobody
    Assign(Assigning),
    /// Write something to alerts
    Comment(Commenting),
}

#[derive(Debug, Default, Args)]
struct ShowOptions {
    /// text: for people. json: one object
    #[arg(long, value_enum, default_value_t = AlertFormat::Text)]
    format: AlertFormat,
    #[command(flatten)]
    show: ShowArgs,
}

/// How one alert is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum AlertFormat {
    /// For people.
    #[default]
    Text,
    /// One object: alert, events, deliveries, timeline.
    Json,
}

fn parse_level(name: &str) -> Result<Level, String> {
    let names = Level::ALL.map(Level::name).join(", ");
    Level::named(name).ok_or_else(|| format!("no such level; there are {names}"))
}

pub(super) fn parse_state(name: &str) -> Result<AlertState, String> {
    let names = AlertState::ALL.map(AlertState::name).join(", ");
    AlertState::named(name).ok_or_else(|| format!("no such state; there are {names}"))
}

/// Also with strokes between the words, as people write on a command line.
pub(super) fn parse_verdict(name: &str) -> Result<Verdict, String> {
    let names = Verdict::ALL.map(Verdict::name).join(", ");
    Verdict::named(&name.replace('-', "_")).ok_or_else(|| format!("no such verdict; there are {names}"))
}

/// Lists alerts.
pub fn list(args: &AlertsArgs) -> anyhow::Result<ExitCode> {
    let store = args.data.store()?;
    let incident = args.incident.as_deref().map(|id| super::incidents::named(&store, id)).transpose()?;
    let query = AlertQuery {
        rule: args.rule.clone(),
        level: args.level,
        state: args.state,
        verdict: args.verdict,
        assignee: args.assignee.clone(),
        incident,
        whole_only: true,
        open_first: true,
        limit: args.limit,
        ..AlertQuery::default()
    };
    let alerts = stood(&store, store.alerts(&query)?)?;
    match args.format {
        ListFormat::Ndjson => {
            let objects: Vec<Value> = alerts.iter().map(object).collect();
            super::print(&ndjson(&objects)?)?;
        }
        ListFormat::Table if alerts.is_empty() => super::say("no alerts"),
        ListFormat::Table => {
            super::print(&table(&alerts, terminal::width()))?;
            if alerts.len() == args.limit {
                super::say(&format!("these are the first {}: --limit shows more", args.limit));
            }
        }
    }
    super::respond::say_if_stopped(&store)?;
    Ok(ExitCode::SUCCESS)
}

/// An alert and where it stands.
pub(super) type Stood = (StoredAlert, Standing);

/// Alerts with where each stands.
pub(super) fn stood(store: &Store, alerts: Vec<StoredAlert>) -> anyhow::Result<Vec<Stood>> {
    let ids: Vec<AlertId> = alerts.iter().map(|stored| stored.alert.id.clone()).collect();
    Ok(alerts.into_iter().zip(store.standings(&ids)?).collect())
}

pub(super) fn object((stored, standing): &Stood) -> Value {
    let mut triage = triage_json(&standing.triage);
    triage["duplicate_of"] = json!(standing.duplicate_of);
    triage["findings_since"] = standing.findings_since.into();
    json!({
        "alert": alert_json(&stored.alert),
        "triage": triage,
        "incident": standing.incident,
        "created_at": stored.created_at.to_string(),
        "updated_at": stored.updated_at.to_string(),
    })
}

/// Where an alert stands, in as few words as a table has room for.
fn stands(standing: &Standing) -> String {
    let triage = &standing.triage;
    let whose = triage.assignee.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    match (triage.state, triage.verdict) {
        (AlertState::Open, _) => format!("OPEN{whose}"),
        (AlertState::Acknowledged, _) => {
            let by = triage.changed_by.as_deref().and_then(|by| by.split(" (").next()).unwrap_or("somebody");
            triage.assignee.as_ref().map_or_else(|| format!("ack ({by})"), |_| format!("ack{whose}"))
        }
        (AlertState::Resolved, verdict) => {
            let more = standing.findings_since;
            let since = if more > 0 { format!(", +{more}") } else { String::new() };
            format!("{}{since}", verdict.map_or("resolved", Verdict::name).replace('_', " "))
        }
    }
}

/// `2026-01-05 09:01` of UTC: nobody needs the seconds of a list.
pub(super) fn minute(time: crate::time::Timestamp) -> String {
    time.to_string().replace('T', " ").chars().take(16).collect()
}

pub(super) fn table(alerts: &[Stood], width: usize) -> String {
    let row = |(stored, standing): &Stood| {
        let alert = &stored.alert;
        vec![
            alert.id.0.chars().take(8).collect(),
            minute(alert.last_at),
            alert.level.name().to_owned(),
            stands(standing),
            alert.key.to_string(),
            alert.title.clone(),
            alert.reason.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = alerts.iter().map(row).collect();
    let heading = ["ID", "LAST (UTC)", "LEVEL", "STATE", "ABOUT", "WHAT", "WHY"];
    table::table(&heading, &rows, &[0, 1, 2, 3], width)
}

/// Shows or changes alerts. Exit code 1 if there is none of an id.
pub fn run(args: &AlertArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        None => show(&args.data, args.id.as_slice(), &args.options),
        Some(AlertCommand::Show { ids, options }) => show(&args.data, ids, options),
        Some(AlertCommand::Ack(args_of)) => alert_change::acknowledge(&args.data, args_of),
        Some(AlertCommand::Resolve(args_of)) => alert_change::resolve(&args.data, args_of),
        Some(AlertCommand::Reopen(args_of)) => alert_change::reopen(&args.data, args_of),
        Some(AlertCommand::Assign(args_of)) => alert_change::assign(&args.data, args_of),
        Some(AlertCommand::Comment(args_of)) => alert_change::comment(&args.data, args_of),
    }
}

fn show(data: &DataDir, ids: &[String], options: &ShowOptions) -> anyhow::Result<ExitCode> {
    let store = data.store()?;
    let catalogue = options.show.catalogue()?;
    let mut reader = data.reader()?;
    for (number, id) in ids.iter().enumerate() {
        let id = named(&store, id)?;
        let Some(stored) = store.alert(&id)? else { anyhow::bail!("there is no alert `{id}`") };
        let standing = store.standing(&id)?;
        let events = evidence(&mut reader, &stored, &catalogue)?;
        let (deliveries, timeline) = (store.outbox_of(&id)?, store.timeline(&id)?);
        let (held, followups) = (store.held_of(&id)?, store.followups_of(&id)?);
        let stood = (stored, standing);
        match options.format {
            AlertFormat::Text => {
                let between = if number == 0 { "" } else { "\n" };
                let about = (&*events, &*deliveries, &*timeline);
                let text = text(&stood, about, Paint::stdout());
                let held = held::text(&stood.0.alert, &held, &followups, Paint::stdout());
                super::print(&format!("{between}{text}{held}"))?;
            }
            AlertFormat::Json => {
                let mut whole = object(&stood);
                whole["events"] = events.into_iter().map(Value::Object).collect();
                whole["deliveries"] = serde_json::to_value(&deliveries)?;
                whole["held"] = serde_json::to_value(&held)?;
                whole["timeline"] = timeline.iter().map(moment_json).collect();
                super::print(&format!("{}\n", serde_json::to_string_pretty(&whole)?))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn moment_json(moment: &Moment) -> Value {
    json!({"at": moment.at().to_string(), "by": moment.by(), "text": moment.words()})
}

/// The alert of this id, or of a beginning that only one has.
pub(super) fn named(store: &Store, id: &str) -> anyhow::Result<AlertId> {
    let mut near = store.alerts_named(id)?;
    near.retain(|found| !id.is_empty() && found.0.starts_with(id));
    match near.as_slice() {
        [one] => Ok(one.clone()),
        [] => anyhow::bail!("there is no alert `{id}`; `watchfire alerts` lists them"),
        several => {
            let ids: Vec<&str> = several.iter().map(|id| id.0.as_str()).collect();
            Err(super::Usage(format!("several alerts begin with `{id}`: {}", ids.join(", "))).into())
        }
    }
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

/// What belongs to an alert: its events, its deliveries, and what happened.
type About<'a> = (&'a [Map<String, Value>], &'a [OutboxRow], &'a [Moment]);

fn text((stored, standing): &Stood, (events, deliveries, timeline): About<'_>, paint: Paint) -> String {
    let alert = &stored.alert;
    let mut text = format!("{}  {}\n", paint.bold(&clean(&alert.title)), paint.level(alert.level));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<9} {}", clean(value));
    };
    line("id", &alert.id.0);
    line("state", &state_words(standing));
    line("rule", &alert.rule);
    line("key", &alert.key.to_string());
    line("began", &alert.started_at.to_string());
    line("last", &alert.last_at.to_string());
    line("findings", &alert.findings.to_string());
    line("why", &alert.reason);
    if let Some(incident) = &standing.incident {
        line("incident", incident);
    }
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
    let _ = writeln!(text, "\n{}", paint.bold("Timeline"));
    text.push_str(&lines_of(timeline, terminal::width()));
    text
}

/// One moment a line; long ones go on further in.
pub(super) fn lines_of(timeline: &[Moment], width: usize) -> String {
    let line = |moment: &Moment| {
        let at = moment.at().to_string().replace('T', " ").chars().take(19).collect::<String>();
        let by = moment.by();
        terminal::wrap(&clean(&format!("{at}  {by}: {}", moment.words())), (2, 23), width)
    };
    timeline.iter().map(line).collect()
}

fn state_words(standing: &Standing) -> String {
    let mut words = standing.stance().to_string();
    if let (Some(by), Some(at)) = (&standing.triage.changed_by, standing.triage.changed_at) {
        let _ = write!(words, ", by {by} at {at}");
    }
    if standing.findings_since > 0 {
        let _ = write!(words, "; {} findings since", standing.findings_since);
    }
    if let Some(note) = &standing.triage.note {
        let _ = write!(words, ": {note}");
    }
    words
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
        let mut standing = Standing { incident: Some("77aa".into()), ..Standing::default() };
        standing.triage.state = AlertState::Acknowledged;
        standing.triage.assignee = Some("ann".into());
        standing.triage.changed_by = Some("ann (command line, uid 1000)".into());
        standing.triage.changed_at = Some(Timestamp(1_767_603_720_000));
        standing.triage.note = Some("asking him".into());
        let moment = Moment::Delivery {
            at: Timestamp(1_767_603_661_000),
            action: "block-author".into(),
            occasion: crate::alert::Occasion::Opened,
            responds: true,
            fate: crate::alert::Fate::Done,
            text: "blocked user 7 (ada); read back: blocked".into(),
        };
        let events = [event.as_object().unwrap().clone()];
        let shown = text(&(stored, standing), (&events, &[row], &[moment]), Paint::plain());
        insta::assert_snapshot!(shown, @r"
        One account clones many projects  high
          id        0123456789abcdef0123456789abcdef
          state     acknowledged, ann's, by ann (command line, uid 1000) at 2026-01-05T09:02:00.000Z: asking him
          rule      gitlab-mass-clone
          key       author_id = 7
          began     2026-01-05T09:00:00.000Z
          last      2026-01-05T09:01:00.000Z
          findings  3
          why       22 different entity_id within 10m (at least 20)
          incident  77aa

        Events (22)
        TIME                  EVENT                     AUTHOR   ENTITY  TARGET  IP
        2026-01-05T09:00:00Z  repository_git_operation  ada (7)
        and 21 more: watchfire search 'author_id:7 created_at:>=2026-01-05T08:00:00Z created_at:<=2026-01-05T10:01:00Z'

        Actions
          block-author         done      1 try  blocked user 7 (ada); read back: blocked
                               undo: Admin > Users > ada > Unblock

        Timeline
          2026-01-05 09:01:01 watchfire: response `block-author`: blocked user 7 (ada); read back: blocked
        ");
    }

    #[test]
    fn a_list_says_where_alerts_stand() {
        let (stored, mut standing) = (stored(), Standing::default());
        standing.triage.state = AlertState::Acknowledged;
        standing.triage.assignee = Some("ann".into());
        let mut done = standing.clone();
        done.triage.state = AlertState::Resolved;
        done.triage.verdict = Some(Verdict::FalsePositive);
        done.findings_since = 4;
        let all = [(stored.clone(), Standing::default()), (stored.clone(), standing), (stored.clone(), done)];
        insta::assert_snapshot!(table(&all, 120), @r"
        ID        LAST (UTC)        LEVEL  STATE               ABOUT          WHAT                      WHY
        01234567  2026-01-05 09:01  high   OPEN                author_id = 7  One account clones many…  22 different entity_id…
        01234567  2026-01-05 09:01  high   ack (ann)           author_id = 7  One account clones many…  22 different entity_id…
        01234567  2026-01-05 09:01  high   false positive, +4  author_id = 7  One account clones many…  22 different entity_id…
        ");
    }
}
