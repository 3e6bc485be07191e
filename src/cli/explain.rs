//! `watchfire explain`: why rules fire for an event, or why not.

mod case;
mod moment;
pub(super) mod past;
mod show;
pub(super) mod tree;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::rules;
use super::terminal::{self, Paint};
use crate::clock::Clock;
use crate::daemon::Reading;
use crate::engine::Limits;
use crate::event::{Event, Format, canonical};
use crate::rule::closest;
use crate::time::Timestamp;
use case::{Case, Judge};
use moment::Moment;
use past::Past;

/// Options of `watchfire explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Shows the rules of which at least one selection matches: the condition with the value at each leaf, the exceptions, \
the key, and what the key's window holds once this event is in.

With --data-dir, EVENT is the id of an event in the daemon's log, or `position:N`, and the window is that of the log up \
to there. Otherwise it is a file with JSON objects, or `-`: the last one is explained, those before it are its history.

Examples:
  watchfire explain --rules rules/gitlab --event event.json
  watchfire explain --rules rules/gitlab --event 18c2b2e5 --data-dir D --rule gitlab-mass-clone
  watchfire explain --rules rules/gitlab --data-dir D --rule gitlab-mass-clone --key author_id=7 --at 2026-01-05T10:00:00Z")]
pub struct ExplainArgs {
    /// Rule files or folders
    #[arg(long = "rules", value_name = "PATH", required_unless_present = "config")]
    rules: Vec<PathBuf>,
    /// A file with the event, `-` for standard input; with --data-dir an event's id, or `position:N`
    #[arg(
        long,
        value_name = "FILE|ID",
        required_unless_present = "key",
        default_value = "",
        hide_default_value = true
    )]
    event: String,
    /// With --rule: why it fired, or not, for this key at --at; repeat it for a key of several fields
    #[arg(long, value_name = "FIELD=VALUE", requires = "rule", value_parser = parse_pair)]
    key: Vec<(String, String)>,
    /// The moment that --key is asked about; the end of the history when absent
    #[arg(long, value_name = "TIME", requires = "key", value_parser = parse_time)]
    at: Option<Timestamp>,
    /// The daemon's data folder; the daemon may be running
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Only this rule, however far from firing
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// How the event is written: gitlab, github, azure_devops, bitbucket, generic. Guessed when absent
    #[arg(long, value_name = "FORMAT", value_parser = super::backtest::parse_format, conflicts_with = "data_dir")]
    source: Option<Format>,
    #[command(flatten)]
    judge: rules::JudgeArgs,
}

/// Runs it.
pub fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    let basis = args.judge.settle(&args.rules)?;
    let reading = basis.read(now)?;
    check_rule(args.rule.as_deref(), &reading)?;
    let mut past = match &args.data_dir {
        Some(dir) => Past::stored(super::data::reader(dir)?),
        None => Past::file(&args.event, args.source)?,
    };
    if let Some(unit) =
        args.rule.as_deref().filter(|_| !args.key.is_empty()).and_then(|id| reading.rules.unit(id))
    {
        if let Some((field, _)) = args.key.iter().find(|(field, _)| !unit.key_names.contains(field)) {
            let names = unit.key_names.join(", ");
            return Err(
                super::Usage(format!("`{field}` is not part of the rule's key, which is {names}")).into()
            );
        }
        let (key, at) = (args.key.clone(), args.at.unwrap_or(now));
        let moment = Moment { reading: &reading, unit, key, at, limits: basis.limits };
        super::print(&moment.tell(&mut past, (Paint::stdout(), terminal::width()))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(event) = past.find(&args.event)? else {
        super::say(&format!("watchfire: there is no event `{}` in the log", args.event));
        return Ok(ExitCode::FAILURE);
    };
    let cases = explain(&reading, &event, args.rule.as_deref(), (&mut past, basis.limits))?;
    let shown = canonical(&event, reading.rules.catalogue());
    let all = reading.rules.units().len();
    super::print(&show::text(&shown, &cases, all, (Paint::stdout(), terminal::width())))?;
    Ok(ExitCode::SUCCESS)
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("write FIELD=VALUE, as author_id=7")?;
    Ok((field.trim().to_owned(), value.trim().to_owned()))
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|error| format!("{error}; write 2026-01-05T10:00:00Z"))
}

fn check_rule(id: Option<&str>, reading: &Reading) -> anyhow::Result<()> {
    let Some(id) = id.filter(|id| reading.rules.unit(id).is_none()) else { return Ok(()) };
    let ids = reading.rules.units().iter().map(|unit| &*unit.rule.id);
    let help = closest(id, ids).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(super::Usage(format!("there is no rule `{id}`{help}")).into())
}

/// The one rule that is asked for, or all that come near; those that fire first.
fn explain<'a>(
    reading: &'a Reading,
    event: &Event,
    only: Option<&str>,
    (past, limits): (&mut Past, Limits),
) -> anyhow::Result<Vec<Case<'a>>> {
    let judge = Judge { reading, event, catalogue: Arc::clone(reading.rules.catalogue()), limits };
    let mut cases = Vec::new();
    for unit in reading.rules.units() {
        if only.is_some_and(|only| *unit.rule.id != *only) {
            continue;
        }
        let case = judge.look(unit)?;
        if only.is_some() || case.is_near {
            cases.push(case);
        }
    }
    judge.conclude(&mut cases, past)?;
    cases.sort_by_key(|case| !case.fires);
    Ok(cases)
}

#[cfg(test)]
mod knowing;
#[cfg(test)]
mod tests;
