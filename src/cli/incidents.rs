//! `watchfire incidents`: the alerts about one author or entity that came one after the other.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::alert_change::{self, Judged, Whose};
use super::alerts::{self, minute, parse_level, parse_state};
use super::author;
use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::table;
use super::terminal::{self, Paint, behind, clean};
use crate::alert::{AlertId, AlertState, Change, Level, Moment};
use crate::store::{AlertQuery, Incident, IncidentQuery, Store};

/// Lines of history that are shown with an incident.
const LINES_MAX: usize = 200;

/// Options of `watchfire incidents`.
#[derive(Debug, Args)]
#[command(after_help = "\
An incident gathers the alerts about one author (else one entity, else the same key) of one forge, until none came for \
`incidents.gap` (24h), or all are resolved. What is done with an incident is done with its alerts.

Examples:
  watchfire incidents
  watchfire incidents --state open --level high
  watchfire incidents show 77aa
  watchfire incidents ack 77aa --note 'calling him'
  watchfire incidents resolve 77aa --as true_positive --note 'account blocked, laptop taken in'")]
pub struct IncidentsArgs {
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    list: ListArgs,
    #[command(subcommand)]
    command: Option<IncidentCommand>,
}

#[derive(Debug, Subcommand)]
enum IncidentCommand {
    /// List incidents, those with the newest finding first
    List(ListArgs),
    /// Show one: its alerts, and what was done with them
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Take up all of its alerts that are open
    Ack {
        /// Its id, or the beginning of it
        id: String,
        /// For the history, and for those who are told
        #[arg(long, short, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Say what those of its alerts were that are not resolved
    Resolve {
        /// Its id, or the beginning of it
        id: String,
        #[command(flatten)]
        judged: Judged,
    },
    /// Give all of its alerts to somebody, or to nobody
    Assign {
        /// Its id, or the beginning of it
        id: String,
        #[command(flatten)]
        whose: Whose,
    },
}

#[derive(Debug, Clone, Copy, Args)]
struct ListArgs {
    /// Only those that stand so: open, acknowledged, resolved
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<AlertState>,
    /// Only those with an alert of this level or a graver one
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    level: Option<Level>,
    /// At most so many; 0: all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// table: for people. ndjson: one object per incident
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Does what the subcommand says.
pub fn run(args: &IncidentsArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        None => list(&args.data.store()?, args.list),
        Some(IncidentCommand::List(wanted)) => list(&args.data.store()?, *wanted),
        Some(IncidentCommand::Show { id }) => show(&args.data.store()?, id),
        Some(IncidentCommand::Ack { id, note }) => {
            change(&args.data, id, ("watchfire incidents ack", &Change::Acknowledge { note: note.clone() }))
        }
        Some(IncidentCommand::Resolve { id, judged }) => {
            change(&args.data, id, ("watchfire incidents resolve", &judged.change(&args.data)?))
        }
        Some(IncidentCommand::Assign { id, whose }) => {
            change(&args.data, id, ("watchfire incidents assign", &whose.change()))
        }
    }
}

/// The incident of this id, or of a beginning that only one has.
pub(super) fn named(store: &Store, id: &str) -> anyhow::Result<String> {
    let mut near = store.incidents_named(id)?;
    near.retain(|found| !id.is_empty() && found.starts_with(id));
    match near.as_slice() {
        [one] => Ok(one.clone()),
        [] => anyhow::bail!("there is no incident `{id}`; `watchfire incidents` lists them"),
        several => {
            let text = format!("several incidents begin with `{id}`: {}", several.join(", "));
            Err(super::Usage(text).into())
        }
    }
}

fn list(store: &Store, wanted: ListArgs) -> anyhow::Result<ExitCode> {
    let ListArgs { state, level, limit, format } = wanted;
    let query = IncidentQuery { state, level, limit, ..IncidentQuery::default() };
    let incidents = store.incidents(&query)?;
    match format {
        ListFormat::Ndjson => super::print(&ndjson(&incidents.iter().map(object).collect::<Vec<_>>())?)?,
        ListFormat::Table if incidents.is_empty() => super::say("no incidents"),
        ListFormat::Table => {
            super::print(&listed(&incidents, terminal::width()))?;
            if incidents.len() == limit {
                super::say(&format!("these are the first {limit}: --limit shows more"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn object(incident: &Incident) -> Value {
    let [open, acknowledged, resolved] = incident.states;
    json!({
        "id": incident.id,
        "about": incident.about,
        "title": incident.title,
        "level": incident.level.name(),
        "state": incident.state.name(),
        "alerts": incident.alerts,
        "open": open,
        "acknowledged": acknowledged,
        "resolved": resolved,
        "first_at": incident.first_at.to_string(),
        "last_at": incident.last_at.to_string(),
        "created_at": incident.created_at.to_string(),
    })
}

/// `3: 1 open, 2 resolved`.
fn counted(incident: &Incident) -> String {
    let words = incident.states.iter().zip(AlertState::ALL).filter(|(count, _)| **count > 0);
    let words: Vec<String> = words.map(|(count, state)| format!("{count} {state}")).collect();
    format!("{}: {}", incident.alerts, words.join(", "))
}

fn listed(incidents: &[Incident], width: usize) -> String {
    let row = |incident: &Incident| {
        let state = match incident.state {
            AlertState::Open => "OPEN",
            AlertState::Acknowledged => "ack",
            AlertState::Resolved => "resolved",
        };
        vec![
            incident.id.chars().take(8).collect(),
            minute(incident.last_at),
            incident.level.name().to_owned(),
            state.to_owned(),
            incident.about.clone(),
            counted(incident),
            incident.title.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = incidents.iter().map(row).collect();
    let heading = ["ID", "LAST (UTC)", "LEVEL", "STATE", "ABOUT", "ALERTS", "WHAT"];
    table::table(&heading, &rows, &[0, 1, 2, 3], width)
}

fn show(store: &Store, id: &str) -> anyhow::Result<ExitCode> {
    let id = named(store, id)?;
    let Some(incident) = store.incident(&id)? else { anyhow::bail!("there is no incident `{id}`") };
    let query = AlertQuery {
        incident: Some(id.clone()),
        whole_only: true,
        open_first: true,
        limit: LINES_MAX,
        ..AlertQuery::default()
    };
    let alerts = alerts::stood(store, store.alerts(&query)?)?;
    let history = store.incident_history(&id, LINES_MAX)?;
    let table = alerts::table(&alerts, terminal::width());
    super::print(&whole(&incident, &table, history, (Paint::stdout(), terminal::width())))?;
    Ok(ExitCode::SUCCESS)
}

fn whole(
    incident: &Incident,
    alerts: &str,
    history: Vec<(AlertId, crate::alert::Record)>,
    (paint, width): (Paint, usize),
) -> String {
    let mut text = format!("{}  {}\n", paint.bold(&clean(&incident.title)), paint.level(incident.level));
    for (name, value) in [
        ("id", incident.id.clone()),
        ("state", format!("{} ({})", incident.state, counted(incident))),
        ("about", incident.about.clone()),
        ("began", incident.first_at.to_string()),
        ("last", incident.last_at.to_string()),
    ] {
        text.push_str(&behind(&format!("  {name:<9} "), &value, 12, width));
    }
    if let Some(other) = &incident.merged_into {
        let _ = writeln!(text, "  part of   {other}");
    }
    let _ = writeln!(text, "\n{}\n{alerts}\n{}", paint.bold("Alerts"), paint.bold("Timeline"));
    for (alert, record) in history {
        let moment = Moment::Record(Box::new(record));
        let at = moment.at().to_string().replace('T', " ").chars().take(19).collect::<String>();
        let short: String = alert.0.chars().take(8).collect();
        let said = format!("{}: {}", moment.by(), moment.words());
        text.push_str(&behind(&format!("  {at} {short} "), &said, 31, width));
    }
    text
}

fn change(data: &DataDir, id: &str, (command, change): (&str, &Change)) -> anyhow::Result<ExitCode> {
    alert_change::checked(change)?;
    let store = data.store_to_write()?;
    let id = named(&store, id)?;
    let changed = store.change_incident(&id, change, &author::deed(command, change.asked()))?;
    if changed.is_empty() {
        super::say(&format!("incident {id}: nothing to do, it is so already"));
    }
    alert_change::tell(&changed, &|alert| Ok(store.standing(alert)?.stance().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn an_incident_is_read_at_a_glance() {
        let incident = Incident {
            id: "77aa0123456789abcdef0123456789ab".into(),
            about: "author_id = 7 at gitlab".into(),
            title: "One account clones many projects, and one rule more".into(),
            level: Level::Critical,
            state: AlertState::Open,
            alerts: 3,
            states: [1, 0, 2],
            first_at: Timestamp(1_767_603_600_000),
            last_at: Timestamp(1_767_607_260_000),
            created_at: Timestamp(1_767_603_601_000),
            merged_into: None,
        };
        insta::assert_snapshot!(listed(std::slice::from_ref(&incident), 120), @r"
        ID        LAST (UTC)        LEVEL     STATE  ABOUT                    ALERTS                 WHAT
        77aa0123  2026-01-05 10:01  critical  OPEN   author_id = 7 at gitlab  3: 1 open, 2 resolved  One account clones many pr…
        ");
        insta::assert_snapshot!(whole(&incident, "(alerts)\n", Vec::new(), (Paint::plain(), 100)), @r"
        One account clones many projects, and one rule more  critical
          id        77aa0123456789abcdef0123456789ab
          state     open (3: 1 open, 2 resolved)
          about     author_id = 7 at gitlab
          began     2026-01-05T09:00:00.000Z
          last      2026-01-05T10:01:00.000Z

        Alerts
        (alerts)

        Timeline
        ");
    }
}
