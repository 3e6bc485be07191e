//! `watchfire retention`: what is deleted when, and what was.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::{table, terminal};
use crate::clock::Clock;
use crate::config::load_without_secrets;
use crate::daemon::{Rulebook, RulebookConfig, retention_of};
use crate::event::Catalogue;
use crate::log::{Deletion, Forecast, forecast, read_deletions};
use crate::retention::Keep;
use crate::store::{Forgettable, Store, StoreError};
use crate::time::{Span, Timestamp};

/// Options of `watchfire retention`.
#[derive(Debug, Args)]
#[command(after_help = "\
How long events are kept stands under `retention` in the configuration. The daemon deletes in the background; each \
deletion has a signed record, and `watchfire verify` proves that nothing is missing without one.

Examples:
  watchfire retention plan --config /etc/watchfire/config.yaml
  watchfire retention deletions --data-dir /var/lib/watchfire")]
pub struct RetentionArgs {
    #[command(subcommand)]
    command: RetentionCommand,
}

#[derive(Debug, Subcommand)]
enum RetentionCommand {
    /// Show what would be deleted now and soon; changes nothing
    Plan {
        /// The configuration with the policy; `check` it first
        #[arg(long, value_name = "FILE", default_value = "/etc/watchfire/config.yaml")]
        config: PathBuf,
        /// The data folder, in place of the configuration's
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// How far to look ahead
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = parse_span)]
        ahead: Span,
        /// table: for people. ndjson: one object per rule, and one for alerts
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
    /// List what was deleted, newest first
    Deletions {
        #[command(flatten)]
        data: DataDir,
        /// At most so many; 0: all
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// table: for people. ndjson: the signed records as they stand in the file
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
}

/// So many alerts are looked at for each count of a plan.
const ALERTS_MAX: usize = 10_000;

/// The alerts that are due.
struct DueAlerts {
    keep: Span,
    now: Forgettable,
    later: Forgettable,
}

impl DueAlerts {
    fn of(store: &Store, keep: Span, (now, until): (Timestamp, Timestamp)) -> Result<Self, StoreError> {
        let count = |at: Timestamp| store.forgettable((at.minus(keep), now), ALERTS_MAX);
        Ok(Self { keep, now: count(now)?, later: count(until)? })
    }

    /// `alerts (7y): 12 due now, 40 within 30d`.
    fn words(&self, ahead: Span) -> String {
        let count =
            |found: &Forgettable| format!("{}{}", if found.is_cut { "at least " } else { "" }, found.alerts);
        let held = if self.now.is_held { "; a legal hold keeps them" } else { "" };
        let (keep, now, later) = (Keep::For(self.keep), count(&self.now), count(&self.later));
        format!("alerts ({keep}): {now} due now, {later} within {ahead}{held}\n")
    }

    fn object(&self) -> Value {
        json!({
            "alerts_keep": Keep::For(self.keep).to_string(),
            "alerts_now": self.now.alerts,
            "alerts_later": self.later.alerts,
            "alerts_cut": self.later.is_cut,
            "alerts_held": self.now.is_held,
        })
    }
}

fn parse_span(text: &str) -> Result<Span, String> {
    text.parse().map_err(|error: crate::time::TimeError| error.to_string())
}

/// Does what the subcommand says.
pub fn run(args: &RetentionArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        RetentionCommand::Plan { config, data_dir, ahead, format } => {
            plan((config, data_dir.as_ref()), *ahead, *format)
        }
        RetentionCommand::Deletions { data, limit, format } => deletions(data, *limit, *format),
    }
}

fn plan(
    (path, data_dir): (&PathBuf, Option<&PathBuf>),
    ahead: Span,
    format: ListFormat,
) -> anyhow::Result<ExitCode> {
    let mut config = load_without_secrets(path).map_err(|error| anyhow::anyhow!("{error}"))?;
    if let Some(dir) = data_dir {
        config.data_dir.clone_from(dir);
    }
    let now = Clock::system().now();
    let book = RulebookConfig {
        rules: config.rules.clone(),
        lists: config.lists.clone(),
        geo: config.geo.clone(),
        own: config.own.clone(),
        learnt: super::rules::learnt(&config),
        lateness: config.lateness,
    };
    let reading = Rulebook::new(book, Arc::new(Catalogue::built_in())).read(now);
    if reading.has_errors() {
        super::say("some rules have errors and were left out; `watchfire check` tells more");
    }
    let store = Store::open_read_only(&config.data_dir)?;
    let holds = store.holds()?;
    let terms = retention_of(&config, &reading.rules, &holds, now).map_err(|error| anyhow::anyhow!(error))?;
    let until = Timestamp(now.0.saturating_add(ahead.0));
    let alerts = DueAlerts::of(&store, config.retention.alerts, (now, until))?;
    let found = forecast(&config.data_dir, &terms, (now, until))
        .with_context(|| format!("{} cannot be read", config.data_dir.display()))?;
    match format {
        ListFormat::Ndjson => super::print(&ndjson(&objects(&found, &alerts))?)?,
        ListFormat::Table => super::print(&format!("{}{}", shown(&found, ahead), alerts.words(ahead)))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn objects(found: &Forecast, alerts: &DueAlerts) -> Vec<Value> {
    let object = |rule: &crate::log::Foreseen| {
        json!({
            "rule": rule.name,
            "keep": rule.said,
            "events_now": rule.now.0,
            "bytes_now": rule.now.1,
            "events_later": rule.later.0,
            "bytes_later": rule.later.1,
        })
    };
    found.rules.iter().map(object).chain([alerts.object()]).collect()
}

fn shown(found: &Forecast, ahead: Span) -> String {
    let held = match found.held {
        0 => String::new(),
        1 => "1 event would be due and is held\n".to_owned(),
        held => format!("{held} events would be due and are held\n"),
    };
    if found.rules.is_empty() {
        return format!("no event is due now or within {ahead}\n{held}");
    }
    let row = |rule: &crate::log::Foreseen| {
        let (now, later) = (rule.now, rule.later);
        vec![
            terminal::clean(&rule.name),
            rule.said.clone(),
            now.0.to_string(),
            megabytes(now.1),
            later.0.to_string(),
            megabytes(later.1),
        ]
    };
    let rows: Vec<Vec<String>> = found.rules.iter().map(row).collect();
    let within = format!("WITHIN {ahead}");
    let heading = ["RULE", "KEEP", "DUE NOW", "BYTES", within.as_str(), "BYTES"];
    let table = table::table(&heading, &rows, &[1, 2, 3, 4, 5], terminal::width());
    format!(
        "{table}{held}due events may wait for others: a tenth of their time, 1h to 30d; so may what is not yet sealed\n"
    )
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn deletions(data: &DataDir, limit: usize, format: ListFormat) -> anyhow::Result<ExitCode> {
    // A wrong folder shall not look like an empty one.
    drop(data.reader()?);
    let mut records = read_deletions(data.path())?;
    records.reverse();
    if limit > 0 {
        records.truncate(limit);
    }
    match format {
        ListFormat::Ndjson => {
            super::print(&records.iter().map(|record| record.line() + "\n").collect::<String>())?
        }
        ListFormat::Table if records.is_empty() => super::say("nothing was deleted yet"),
        ListFormat::Table => super::print(&listed(&records))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn listed(records: &[Deletion]) -> String {
    let row = |record: &Deletion| {
        let by = record.rules.iter().map(|by| format!("{} ({}): {}", by.name, by.said, by.events));
        vec![
            record.number.to_string(),
            Timestamp(record.at).to_string(),
            format!("{} to {}", record.first, record.last),
            record.events.to_string(),
            if record.removed { "removed" } else { "written anew" }.to_owned(),
            terminal::clean(&by.collect::<Vec<_>>().join(", ")),
        ]
    };
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    let heading = ["NO", "AT", "POSITIONS", "EVENTS", "SEGMENT", "BY"];
    table::table(&heading, &rows, &[0, 1, 2, 3], terminal::width())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Foreseen;

    #[test]
    fn a_plan_is_told_in_words() {
        let rule =
            Foreseen { name: "clones".into(), said: "90d".into(), now: (12, 2_500_000), later: (0, 0) };
        let found = Forecast { rules: vec![rule], held: 2, looked_at: 1 };
        let text = shown(&found, Span::days(30));
        for part in ["clones", "90d", "12", "2.5 MB", "WITHIN 30d", "2 events would be due and are held"] {
            assert!(text.contains(part), "{text}");
        }
        let later = Forgettable { alerts: 40, is_cut: true, is_held: true };
        let now = Forgettable { alerts: 12, ..later };
        let mut alerts = DueAlerts { keep: Span::days(90), now, later };
        let said = "alerts (90d): at least 12 due now, at least 40 within 30d; a legal hold keeps them\n";
        assert_eq!(alerts.words(Span::days(30)), said);
        alerts.now = Forgettable { alerts: 1, ..Forgettable::default() };
        alerts.later = Forgettable { alerts: 2, ..Forgettable::default() };
        assert_eq!(alerts.words(Span::days(30)), "alerts (90d): 1 due now, 2 within 30d\n");
        let objects = objects(&found, &alerts);
        assert_eq!((&objects[0]["bytes_now"], &objects[1]["alerts_later"]), (&json!(2_500_000), &json!(2)));
        assert!(shown(&Forecast::default(), Span::days(3)).starts_with("no event is due now or within 3d"));
    }
}
