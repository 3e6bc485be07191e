//! `watchfire alert ack` and its like: what people do with alerts at the command line.

use std::process::ExitCode;

use clap::Args;

use super::alerts::parse_verdict;
use super::author;
use super::data::DataDir;
use super::terminal::clean;
use crate::alert::{AlertId, Change, Verdict};
use crate::store::{Changed, Store};

/// Alerts, and what is said with what is done.
#[derive(Debug, Args)]
pub(super) struct Noting {
    /// Ids, or the beginnings of them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// For the history, and for those who are told
    #[arg(long, short, value_name = "TEXT")]
    note: Option<String>,
}

/// Alerts, and what they were.
#[derive(Debug, Args)]
pub(super) struct Resolving {
    /// Ids, or the beginnings of them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    judged: Judged,
}

/// What it was.
#[derive(Debug, Args)]
pub(super) struct Judged {
    /// true_positive: what the rule looks for, and harmful. benign: that, but allowed. false_positive: not what it looks
    /// for. test: somebody tried it. duplicate: told by another alert
    #[arg(long = "as", value_name = "VERDICT", value_parser = parse_verdict)]
    verdict: Verdict,
    /// Of a duplicate: the alert that told the same
    #[arg(long, value_name = "ID")]
    of: Option<String>,
    /// For the history, and for those who are told
    #[arg(long, short, value_name = "TEXT")]
    note: Option<String>,
}

/// Alerts, and whose they are.
#[derive(Debug, Args)]
pub(super) struct Assigning {
    /// Ids, or the beginnings of them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    whose: Whose,
}

/// Whose it is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Whose {
    /// To this person
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// To nobody
    #[arg(long)]
    nobody: bool,
}

/// Alerts, and what is written to them.
#[derive(Debug, Args)]
pub(super) struct Commenting {
    /// Ids, or the beginnings of them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// What is written
    #[arg(long, short, value_name = "TEXT")]
    note: String,
}

impl Judged {
    /// The change; the other alert is looked up by the beginning of its id.
    pub(super) fn change(&self, data: &DataDir) -> anyhow::Result<Change> {
        let of = self.of.as_deref().map(|of| named(&data.store()?, of)).transpose()?;
        Ok(Change::Resolve { verdict: self.verdict, of, note: self.note.clone() })
    }
}

impl Whose {
    /// The change.
    pub(super) fn change(&self) -> Change {
        Change::Assign { to: self.to.clone() }
    }
}

pub(super) fn acknowledge(data: &DataDir, args: &Noting) -> anyhow::Result<ExitCode> {
    change(data, &args.ids, ("watchfire alert ack", &Change::Acknowledge { note: args.note.clone() }))
}

pub(super) fn reopen(data: &DataDir, args: &Noting) -> anyhow::Result<ExitCode> {
    change(data, &args.ids, ("watchfire alert reopen", &Change::Reopen { note: args.note.clone() }))
}

pub(super) fn resolve(data: &DataDir, args: &Resolving) -> anyhow::Result<ExitCode> {
    change(data, &args.ids, ("watchfire alert resolve", &args.judged.change(data)?))
}

pub(super) fn assign(data: &DataDir, args: &Assigning) -> anyhow::Result<ExitCode> {
    change(data, &args.ids, ("watchfire alert assign", &args.whose.change()))
}

pub(super) fn comment(data: &DataDir, args: &Commenting) -> anyhow::Result<ExitCode> {
    change(data, &args.ids, ("watchfire alert comment", &Change::Comment { text: args.note.clone() }))
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

/// Changes all or none. What is seen is what stands there at the beginning: whoever comes in between wins.
fn change(data: &DataDir, ids: &[String], (command, change): (&str, &Change)) -> anyhow::Result<ExitCode> {
    checked(change)?;
    let store = data.store_to_write()?;
    let mut alerts: Vec<(AlertId, Option<u64>)> = Vec::new();
    for id in ids {
        let id = named(&store, id)?;
        let seen = store.standing(&id)?.revision;
        if alerts.iter().all(|(known, _)| *known != id) {
            alerts.push((id, Some(seen)));
        }
    }
    let changed = store.change_all(&alerts, change, &author::deed(command, change.asked()))?;
    tell(&changed, &|alert| Ok(store.standing(alert)?.stance().to_string()))
}

/// What is wrong with a change by itself is the command line's fault.
pub(super) fn checked(change: &Change) -> Result<(), super::Usage> {
    change.check().map_err(|refusal| super::Usage(refusal.to_string().replace("`of`", "`--of`")))
}

/// One line for each alert: where it stands now, and whether it stood there before.
pub(super) fn tell(
    changed: &[Changed],
    stands: &dyn Fn(&AlertId) -> anyhow::Result<String>,
) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    for one in changed {
        let line = match &one.record {
            Some(record) if record.from == record.to => format!("{}: noted\n", one.alert),
            Some(record) => format!("{}: {} (was {})\n", one.alert, record.to, record.from),
            None => format!("{}: nothing to do, it is {} already\n", one.alert, stands(&one.alert)?),
        };
        text.push_str(&clean(line.trim_end()));
        text.push('\n');
    }
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::alert::{Alert, AlertId, AlertState, Key, Level, Verdict};
    use crate::cli::alerts::{AlertArgs, run};
    use crate::cli::incidents::{IncidentsArgs, run as incidents};
    use crate::store::{Commit, Store};
    use crate::time::Timestamp;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: AlertArgs,
    }

    #[derive(Debug, Parser)]
    struct Incidents {
        #[command(flatten)]
        args: IncidentsArgs,
    }

    fn alert(id: &str) -> Alert {
        Alert {
            id: AlertId(id.to_owned()),
            rule: "r".into(),
            title: "T".to_owned(),
            level: Level::High,
            tags: Vec::new(),
            key: Key(vec![("author_id".to_owned(), "7".to_owned())]),
            started_at: Timestamp(0),
            last_at: Timestamp(0),
            position: 1,
            findings: 1,
            value: 1.0,
            reason: "why".to_owned(),
            evidence: Vec::new(),
            evidence_count: 0,
            merged_into: None,
        }
    }

    #[test]
    fn alerts_are_dealt_with_at_the_command_line() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let alerts = ["aa11", "aa22", "bb33"].map(alert);
        let commit = Commit {
            position: 1,
            at: Timestamp(0),
            alerts: &alerts,
            outbox: &[],
            ledger: &[],
            snapshot: None,
        };
        store.commit(&commit).unwrap();
        let data = dir.path().to_str().unwrap();
        let line =
            |words: &[&str]| run(&Line::parse_from([&["alert", "--data-dir", data], words].concat()).args);
        let state = |id: &str| {
            let triage = store.triage(&AlertId(id.into())).unwrap();
            (triage.state, triage.verdict)
        };
        line(&["ack", "aa1", "bb", "bb33", "--note", "mine"]).unwrap();
        assert_eq!((state("aa11").0, state("bb33").0), (AlertState::Acknowledged, AlertState::Acknowledged));
        assert_eq!(store.history(&AlertId("bb33".into())).unwrap().len(), 2, "named twice, done once");
        assert!(line(&["ack", "aa"]).unwrap_err().to_string().contains("aa11, aa22"));
        assert!(line(&["ack", "cc"]).is_err() && line(&["ack", "bb", "cc"]).is_err());
        assert!(line(&["resolve", "aa1", "--as", "duplicate"]).unwrap_err().to_string().contains("`--of`"));
        line(&["resolve", "aa1", "--as", "duplicate", "--of", "aa2"]).unwrap();
        line(&["resolve", "bb", "--as", "false-positive"]).unwrap();
        assert_eq!(state("bb33"), (AlertState::Resolved, Some(Verdict::FalsePositive)));
        assert!(line(&["ack", "aa2", "bb"]).is_err(), "all or none");
        assert_eq!(state("aa22").0, AlertState::Open);
        line(&["reopen", "bb"]).unwrap();
        line(&["assign", "bb", "--to", "ann"]).unwrap();
        line(&["comment", "bb", "--note", "look"]).unwrap();
        let standing = store.standing(&AlertId("bb33".into())).unwrap();
        assert_eq!((standing.triage.assignee.as_deref(), state("bb33").0), (Some("ann"), AlertState::Open));
        let incident = standing.incident.unwrap();
        let whole = |words: &[&str]| {
            incidents(&Incidents::parse_from([&["incidents", "--data-dir", data], words].concat()).args)
        };
        whole(&[]).unwrap();
        whole(&["list", "--state", "open"]).unwrap();
        whole(&["--state", "open", "--level", "high"]).unwrap();
        whole(&["show", &incident[..6]]).unwrap();
        whole(&["resolve", &incident, "--as", "test"]).unwrap();
        assert_eq!((state("bb33").1, state("aa11").1), (Some(Verdict::Test), Some(Verdict::Duplicate)));
        assert!(whole(&["ack", "nothing"]).is_err());
    }
}
