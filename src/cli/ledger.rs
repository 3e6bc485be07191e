//! `watchfire ledger`: what rules could not judge, and why.

use std::process::ExitCode;

use clap::Args;

use super::data::DataDir;
use super::{table, terminal};
use crate::alert::{LedgerEntry, LedgerReason};

/// Options of `watchfire ledger`.
#[derive(Debug, Args)]
#[command(after_help = "\
An event that a rule could not judge is never passed over in silence: it is counted here, by rule and reason.

Example:
  watchfire ledger --data-dir /var/lib/watchfire")]
pub struct LedgerArgs {
    #[command(flatten)]
    data: DataDir,
    /// table: for people. ndjson: one object per rule and reason
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ListFormat {
    /// For people.
    Table,
    /// One JSON object a line.
    Ndjson,
}

/// Prints it.
pub fn run(args: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let entries = args.data.store()?.ledger()?;
    match args.format {
        ListFormat::Ndjson => super::print(&ndjson(&entries)?)?,
        ListFormat::Table if entries.is_empty() => super::say("every event was judged by every rule"),
        ListFormat::Table => super::print(&table(&entries))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(entries: &[LedgerEntry]) -> String {
    let row = |entry: &LedgerEntry| {
        let places = if entry.first == entry.last {
            entry.first.to_string()
        } else {
            format!("{} to {}", entry.first, entry.last)
        };
        let mut why = words(entry.reason).to_owned();
        if let Some(detail) = &entry.detail {
            why = format!("{why}: {detail}");
        }
        vec![entry.rule.to_string(), entry.count.to_string(), places, why]
    };
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    table::table(&["RULE", "EVENTS", "POSITIONS", "WHY"], &rows, &[0], terminal::width())
}

/// What a reason means, for people.
pub(super) const fn words(reason: LedgerReason) -> &'static str {
    match reason {
        LedgerReason::TooLate => "it came later than the lateness allows",
        LedgerReason::Evicted => "the key's state was given up to save memory",
        LedgerReason::MissingKey => "the event lacks a field of the key or of the counted value",
        LedgerReason::ScriptFailed => "the script failed",
        LedgerReason::WindowFull => "one key had more events than a window keeps",
        LedgerReason::NotANumber => "the measured field holds no number, or a negative one in a sum",
        LedgerReason::OutOfRange => "the measured number is beyond ±9,223,372,036,854",
    }
}

/// One object per line.
pub(super) fn ndjson<T: serde::Serialize>(items: &[T]) -> serde_json::Result<String> {
    items.iter().map(|item| serde_json::to_string(item).map(|line| line + "\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_in_words() {
        let entry = |reason, last, detail: Option<&str>| LedgerEntry {
            rule: "gitlab-mass-clone".into(),
            reason,
            count: 3,
            first: 7,
            last,
            detail: detail.map(str::to_owned),
        };
        let entries = [
            entry(LedgerReason::MissingKey, 900, None),
            entry(LedgerReason::ScriptFailed, 7, Some("line 3: no")),
        ];
        insta::assert_snapshot!(table(&entries), @r"
        RULE               EVENTS  POSITIONS  WHY
        gitlab-mass-clone  3       7 to 900   the event lacks a field of the key or of the counted value
        gitlab-mass-clone  3       7          the script failed: line 3: no
        ");
        assert_eq!(ndjson(&entries).unwrap().lines().count(), 2);
    }
}
