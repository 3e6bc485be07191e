//! `watchfire draft`: proposes a rule from example events, measured against history.

mod count;
mod facts;
mod write;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;

use super::explain::past::Past as Examples;
use super::history::{History, Lines, Piece};
use super::rules;
use crate::clock::Clock;
use crate::decode::decode;
use crate::engine::{Effects, Engine, Limits, OpenedAlert};
use crate::event::{Catalogue, Entry, Event, Format};
use crate::log::Reader;
use crate::time::{Span, Timestamp};
use count::Crowd;
use facts::{Fact, Facts};
use write::Draft;

/// Options of `watchfire draft`.
#[derive(Debug, Args)]
#[command(after_help = "\
Looks for what the example events have in common and the history has not; where each of them is common but so many at once \
are not, it proposes a number within a time. Who acted, from where and on what is left out, unless --keep names the field. \
The rule goes to standard output, with the examples as its test; what it would have found in the history goes to standard \
error. Read it before you use it: a draft knows what happened, not what was meant.

Examples:
  watchfire draft --events incident.ndjson --store --data-dir /var/lib/watchfire > rules/drafted.yml
  watchfire draft --events incident.ndjson --history last-month.ndjson --keep details.custom_message.protocol")]
pub struct DraftArgs {
    /// The events the rule shall find: JSON objects, or `-`
    #[arg(long, value_name = "FILE")]
    events: String,
    /// What it shall not find: events as NDJSON
    #[arg(long, value_name = "FILE", conflicts_with = "store", required_unless_present = "store")]
    history: Option<PathBuf>,
    /// The same, from the daemon's log
    #[arg(long, requires = "data_dir")]
    store: bool,
    /// The daemon's data folder
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// With --store: only events received in this time
    #[arg(long, value_name = "SPAN")]
    since: Option<Span>,
    /// Also compare this field, although it says who or where
    #[arg(long, value_name = "FIELD")]
    keep: Vec<String>,
    /// How the events are written: gitlab, github, azure_devops, bitbucket, generic. Guessed when absent
    #[arg(long, value_name = "FORMAT", value_parser = super::backtest::parse_format)]
    source: Option<Format>,
    #[command(flatten)]
    show: rules::ShowArgs,
}

/// Runs it. Exit code 1 when no rule tells the examples from the history.
pub fn run(args: &DraftArgs) -> anyhow::Result<ExitCode> {
    let Examples::Events(examples) = Examples::file(&args.events, args.source)? else {
        bail!("{} is no file", args.events);
    };
    let catalogue = args.show.catalogue()?;
    let mut facts = Facts::of(&examples, &args.keep, &catalogue);
    each(args, &examples, &mut |event| facts.meet(event, &catalogue))?;
    let chosen = facts.choose();
    if chosen.is_empty() {
        super::say("watchfire: the examples have nothing in common that a rule could look for");
        return Ok(ExitCode::FAILURE);
    }
    let crowd =
        if facts.remaining(&chosen) == 0 { None } else { crowd(args, &examples, &chosen, &catalogue)? };
    let draft = Draft { examples: &examples, facts: &facts, chosen: &chosen, crowd: crowd.as_ref() };
    let text = draft.text()?;
    super::print(&text)?;
    let (found, alerts) = tried(args, &examples, &text)?;
    super::say(&format!(
        "watchfire: the draft {} in the examples, and raises {alerts} alerts in {} events of history",
        if found { "finds what it should" } else { "finds NOTHING" },
        facts.met(),
    ));
    Ok(if found && (crowd.is_some() || facts.remaining(&chosen) == 0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How many at once set the examples apart, if that does.
fn crowd(
    args: &DraftArgs,
    examples: &[Event],
    chosen: &[&Fact],
    catalogue: &Catalogue,
) -> anyhow::Result<Option<Crowd>> {
    let mut measured = count::Measured::new(examples, catalogue);
    each(args, examples, &mut |event| measured.meet(event, chosen, catalogue))?;
    Ok(measured.crowd())
}

/// Goes through the history, without the examples, in its order.
fn each(args: &DraftArgs, examples: &[Event], visit: &mut dyn FnMut(&Event)) -> anyhow::Result<()> {
    let own: rustc_hash::FxHashSet<&[u8]> = examples.iter().map(|event| &*event.raw).collect();
    let mut history = open(args)?;
    let (format, source) = history.origin();
    let mut position = 0;
    while let Some(piece) = history.next()? {
        match piece {
            Piece::Entries(entries) => {
                for entry in entries {
                    if let Entry::Event(event) = entry
                        && !own.contains(&*event.raw)
                    {
                        visit(&event);
                    }
                }
            }
            Piece::Lines(block) => {
                for line in block.text().split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
                    position += 1;
                    // A line that is no event says nothing about what is usual.
                    let raw = Bytes::copy_from_slice(line);
                    let Ok(decoded) = decode(format, &source, raw, None, Timestamp::default()) else {
                        continue;
                    };
                    if !own.contains(line) {
                        visit(&Event { position, received_at: decoded.event.time, ..decoded.event });
                    }
                }
            }
        }
    }
    Ok(())
}

fn open(args: &DraftArgs) -> anyhow::Result<History> {
    if let (true, Some(dir)) = (args.store, &args.data_dir) {
        let since = args.since.map_or(Timestamp::MIN, |since| Clock::system().now().minus(since));
        return Ok(History::stored(Reader::open(dir)?, since));
    }
    let path: &Path = args.history.as_deref().context("either --history or --store")?;
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(History::lines(Lines::new(Box::new(file), args.source)?))
}

/// Runs the draft as any rule: whether it fires for the examples, and how many alerts it raises in the history.
fn tried(args: &DraftArgs, examples: &[Event], text: &str) -> anyhow::Result<(bool, usize)> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("draft.yml");
    std::fs::write(&path, text)?;
    // The configuration's own rules bring its lookups; only what the draft finds counts.
    let mut book = args.show.book()?;
    book.rules.push(path.clone());
    book.lateness = Limits::default().lateness;
    let reading = rules::read_book(book, Timestamp::default())?;
    let drafted = reading.rules.units().iter().find(|unit| *unit.rule.origin.path == *path.to_string_lossy());
    let id = drafted.map(|unit| Arc::clone(unit.id())).context("the draft is no rule")?;
    let catalogue = Arc::clone(reading.rules.catalogue());
    let engine = || Engine::new(Arc::clone(&reading.rules), Arc::clone(&catalogue), Limits::default());
    let is_own = |opened: &&OpenedAlert| opened.alert.rule == id && opened.alert.merged_into.is_none();
    let (mut past, mut effects) = (engine(), Effects::default());
    each(args, examples, &mut |event| past.handle(&Entry::Event(event.clone()), &mut effects))?;
    let alerts = effects.alerts.iter().filter(is_own).count();
    let (mut own, mut effects) = (engine(), Effects::default());
    for event in examples {
        own.handle(&Entry::Event(event.clone()), &mut effects);
    }
    Ok((effects.alerts.iter().any(|opened| is_own(&opened)), alerts))
}

#[cfg(test)]
mod tests;
