//! `watchfire rules`: how good the rules are, and what would make a noisy one better.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::author;
use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::rules::JudgeArgs;
use super::{table, terminal};
use crate::alert::{Quality, Verdict};
use crate::clock::Clock;
use crate::time::{Span, Timestamp};
use crate::tuning::{Proposal, Proposed, propose};

/// Options of `watchfire rules`.
#[derive(Debug, Args)]
#[command(after_help = "\
Both learn from the verdicts that people give alerts (`watchfire alert resolve`). An exception is only printed: put it \
beside the rules to apply it.

Examples:
  watchfire rules quality --since 90d
  watchfire rules tune gitlab-mass-clone --config /etc/watchfire/config.yaml > exception.yml")]
pub struct RulesArgs {
    #[command(flatten)]
    data: DataDir,
    #[command(subcommand)]
    command: RulesCommand,
}

#[derive(Debug, Subcommand)]
enum RulesCommand {
    /// Show what became of the rules' alerts
    Quality {
        /// Only of this rule, by id
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
        /// Only of alerts of the last so much time
        #[arg(long, value_name = "SPAN")]
        since: Option<Span>,
        /// table: for people. ndjson: one object per rule
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
    /// Propose an exception that takes a rule's false positives away and no known true positive, tried on the log. Exit
    /// code 1 if there is none
    Tune {
        /// The rule's id
        rule: String,
        #[command(flatten)]
        judge: JudgeArgs,
        /// Who answers for the exception [default: who runs this]
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
    },
}

/// Does what the subcommand says.
pub fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        RulesCommand::Quality { rule, since, format } => {
            let from = since.map_or(Timestamp::MIN, |since| Clock::system().now().minus(since));
            let found = args.data.store()?.quality(rule.as_deref(), from)?;
            match format {
                ListFormat::Ndjson => super::print(&ndjson(&found.iter().map(object).collect::<Vec<_>>())?)?,
                ListFormat::Table if found.is_empty() => super::say("no rule has raised an alert"),
                ListFormat::Table => super::print(&shown(&found, terminal::width()))?,
            }
            Ok(ExitCode::SUCCESS)
        }
        RulesCommand::Tune { rule, judge, owner } => tune(&args.data, rule, judge, owner.as_deref()),
    }
}

fn tune(data: &DataDir, rule: &str, judge: &JudgeArgs, owner: Option<&str>) -> anyhow::Result<ExitCode> {
    let deed = author::deed("watchfire rules tune", String::new());
    if judge.config.is_none() {
        return Err(super::Usage("--config is needed: it names the rules".to_owned()).into());
    }
    let reading = judge.settle(&[])?.read(deed.at)?;
    let (store, mut reader) = (data.store()?, data.reader()?);
    let owner = owner.or_else(|| deed.author.split(" (").next()).unwrap_or("somebody");
    match propose((&store, &mut reader), &reading.rules, rule, (owner, deed.at))? {
        Proposed::Filter(proposal) => {
            super::print(&document(rule, &proposal, deed.at))?;
            Ok(ExitCode::SUCCESS)
        }
        Proposed::Nothing(why) => {
            super::say(&format!("no exception for `{rule}`: {why}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The filter under its proof, so that both go into the file.
fn document(rule: &str, proposal: &Proposal, now: Timestamp) -> String {
    let day: String = now.to_string().chars().take(10).collect();
    let mut text = format!(
        "# Proposed on {day} for `{rule}`, from what people said of its alerts; applied by nobody yet.\n"
    );
    for line in proposal.proof.lines() {
        text.push_str(&format!("# {line}.\n"));
    }
    text.push_str(&proposal.yaml);
    text
}

fn object(quality: &Quality) -> Value {
    let verdicts: serde_json::Map<String, Value> = Verdict::ALL
        .iter()
        .map(|verdict| (verdict.name().to_owned(), quality.count(*verdict).into()))
        .collect();
    let (least, most) = quality.interval().unzip();
    json!({
        "rule": quality.rule,
        "alerts": quality.alerts,
        "unresolved": quality.unresolved,
        "verdicts": verdicts,
        "precision": quality.precision(),
        "precision_at_least": least,
        "precision_at_most": most,
        "acknowledge_ms": quality.acknowledge_time,
        "resolve_ms": quality.resolve_time,
        "notifications": quality.notifications,
        "noisy": quality.is_noisy(),
        "words": quality.words(),
    })
}

fn shown(rules: &[Quality], width: usize) -> String {
    let row = |quality: &Quality| {
        let share =
            |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.0} %", share * 100.0));
        let time = |span: Option<Span>| span.map_or("-".to_owned(), rough);
        vec![
            quality.rule.clone(),
            quality.alerts.to_string(),
            quality.unresolved.to_string(),
            quality.count(Verdict::TruePositive).to_string(),
            quality.count(Verdict::Benign).to_string(),
            quality.count(Verdict::FalsePositive).to_string(),
            share(quality.precision()),
            share(quality.interval().map(|(least, _)| least)),
            time(quality.acknowledge_time),
            time(quality.resolve_time),
            quality.notifications.to_string(),
            quality.words(),
        ]
    };
    let heading = [
        "RULE", "ALERTS", "OPEN", "TRUE", "BENIGN", "FALSE", "PREC.", "AT LEAST", "TO ACK", "TO END", "TOLD",
        "SO IT IS",
    ];
    let rows: Vec<Vec<String>> = rules.iter().map(row).collect();
    table::table(&heading, &rows, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], width)
}

/// Two units at most: nobody needs more.
fn rough(span: Span) -> String {
    let minutes = span.0 / 60_000;
    match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h{minutes:02}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuning::Proof;

    #[test]
    fn a_noisy_rule_is_seen_at_once() {
        let noisy = Quality {
            rule: "gitlab-mass-clone".into(),
            alerts: 15,
            unresolved: 1,
            verdicts: [1, 2, 11, 0, 0],
            acknowledge_time: Some(Span::minutes(7)),
            resolve_time: Some(Span::minutes(95)),
            notifications: 30,
        };
        let fresh = Quality { rule: "key-made".into(), alerts: 2, unresolved: 2, ..Quality::default() };
        insta::assert_snapshot!(shown(&[noisy, fresh], 160), @r"
        RULE               ALERTS  OPEN  TRUE  BENIGN  FALSE  PREC.  AT LEAST  TO ACK  TO END  TOLD  SO IT IS
        gitlab-mass-clone  15      1     1     2       11     7 %    1 %       7m      1h35m   30    noisy: 13 of 14 were nothing to act on; `watchfire rules tune gitl…
        key-made           2       2     0     0       0      -      -         -       -       0     nobody has said yet what its alerts were
        ");
        assert_eq!((rough(Span::hours(50)), rough(Span::seconds(59))), ("2d2h".to_owned(), "0m".to_owned()));
    }

    #[test]
    fn an_exception_comes_with_its_proof() {
        let proof = Proof { wrong: 12, gone: 12, right: 3, kept: 3, open: 1, ..Proof::default() };
        let yaml = "title: Not for x\n".to_owned();
        let proposal = Proposal { yaml, conditions: vec!["author_id 7".into()], proof };
        insta::assert_snapshot!(document("x", &proposal, Timestamp(1_767_603_600_000)), @r"
        # Proposed on 2026-01-05 for `x`, from what people said of its alerts; applied by nobody yet.
        # tried on the log: of 12 alerts that were false or benign, 12 are no longer raised.
        # of 3 known true positives, 3 are still raised.
        # 1 alerts that nobody has judged would not have been raised either: look at them first.
        title: Not for x
        ");
    }
}
