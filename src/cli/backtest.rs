//! `watchfire backtest`: the engine of the daemon over history.

mod difference;
mod pass;
mod passages;
mod progress;
mod rehearsal;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use super::history::{History, Lines, Piece};
use super::past::{Read, Reading};
use super::report::{Account, Report};
use super::{rules, terminal};
use crate::clock::Clock;
use crate::decode::blank;
use crate::engine::RuleSet;
use crate::event::Format;
use crate::log::Reader;
use crate::pipeline::Pipeline;
use crate::time::{Span, Timestamp};
use pass::{Finished, Pass};
use progress::Progress;
pub(super) use rehearsal::Rehearsal;

/// Options of `watchfire backtest`.
#[derive(Debug, Args)]
#[command(after_help = "\
With --config the summary says what each configured action would have done, to whom, and which guards would have held \
it back. Nothing is called: what only GitLab knows is said to be unknown.

Examples:
  watchfire backtest --rules rules/gitlab --events last-month.ndjson
  watchfire backtest --rules rules --store --data-dir /var/lib/watchfire --since 30d --against rules.old
  watchfire backtest --config /etc/watchfire/watchfire.yaml --store --data-dir /var/lib/watchfire")]
pub struct BacktestArgs {
    /// Rule files or folders
    #[arg(long = "rules", value_name = "PATH", required_unless_present = "config")]
    rules: Vec<PathBuf>,
    /// Events as NDJSON; `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "store", required_unless_present = "store")]
    events: Option<PathBuf>,
    /// The events stored by the daemon, also while it runs
    #[arg(long)]
    store: bool,
    /// The daemon's data folder [default: the configuration's]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// With --store: only events received in this time
    #[arg(long, value_name = "SPAN")]
    since: Option<Span>,
    /// How the events are written: gitlab, github, azure_devops, bitbucket, generic. Guessed from the first lines when absent
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    source: Option<Format>,
    #[command(flatten)]
    judge: rules::JudgeArgs,
    /// text: a summary for people. ndjson: one object per alert
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
    /// One object per finding instead of one per alert
    #[arg(long)]
    findings: bool,
    /// Also run these rules, and show the difference
    #[arg(long, value_name = "PATH")]
    against: Vec<PathBuf>,
    /// Threads that match events [default: one for each core]; the result is the same with any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Also write the summary, and what each action would have done, as one JSON object
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Do not show how far it is
    #[arg(long, short)]
    quiet: bool,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Ndjson,
}

pub(super) fn parse_format(name: &str) -> Result<Format, String> {
    let names = Format::ALL.map(Format::name).join(", ");
    Format::named(name).ok_or_else(|| format!("no such format; there are {names}"))
}

/// Runs it. Exit code 1 when a rule or a line could not be read, so that nobody takes half a result for a whole.
pub fn run(args: &BacktestArgs) -> anyhow::Result<ExitCode> {
    let mut output = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    backtest(args, terminal::width(), &mut output)
}

fn backtest(args: &BacktestArgs, width: usize, output: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    let basis = args.judge.settle(&args.rules)?;
    let reading = basis.read(now)?;
    let stored = args.data_dir.as_deref().or(basis.config.as_ref().map(|config| &*config.data_dir));
    let mut history = open(args, stored.filter(|_| args.store), now)?;
    let other = match args.against.as_slice() {
        [] => None,
        paths => Some(basis.read_others(paths, now)?.rules),
    };
    let config = basis.config.as_ref().zip(args.judge.config.as_deref());
    let rehearsal = config.map(|(config, path)| Rehearsal::new(config, path, &reading.rules));
    let report = Report::new(args.format, args.findings, args.summary.is_some());
    let (format, source) = history.events.origin();
    let event = blank(format, &source, Timestamp::default());
    let pass = Pass::new(Arc::clone(&reading.rules), basis.limits, (report, event.clone()));
    let mut pass = pass.with(rehearsal);
    let mut against = other.map(|rules| Pass::new(rules, basis.limits, (Report::silent(), event)));
    judge_all(args, &mut history, (&mut pass, against.as_mut()), output)?;
    let Finished { summary, refused, rehearsal } = pass.finish(output)?;
    let account = Account {
        summary: &summary,
        rules: &reading.rules,
        limits: basis.limits,
        rehearsal: rehearsal.as_ref(),
        refused: refused.count(),
    };
    if args.format == OutputFormat::Text {
        account.print(width, output)?;
        if let Some(against) = against {
            let old = against.finish(&mut io::sink())?;
            difference::print(&summary.alerts_in_order(), &old.summary.alerts_in_order(), output)?;
        }
    }
    output.flush()?;
    if let Some(path) = &args.summary {
        let text = format!("{:#}\n", account.json());
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for line in refused.messages() {
        super::say(&line);
    }
    let is_whole = refused.count() == 0 && !reading.has_errors();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether a person waits for it: not where the results go through the same terminal meanwhile.
fn wants_progress(args: &BacktestArgs) -> bool {
    !args.quiet && io::stderr().is_terminal() && !(args.findings && io::stdout().is_terminal())
}

/// Reads on all threads, judges on this one.
fn judge_all(
    args: &BacktestArgs,
    history: &mut Opened,
    (pass, mut against): (&mut Pass, Option<&mut Pass>),
    output: &mut dyn Write,
) -> anyhow::Result<()> {
    let Opened { events: history, length } = history;
    let (format, source) = history.origin();
    let progress = Progress::new(wants_progress(args), *length);
    let sets: Vec<Arc<RuleSet>> = [Some(&*pass), against.as_deref()]
        .into_iter()
        .flatten()
        .map(|pass| Arc::clone(&pass.rules))
        .collect();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or_else(cores, usize::from);
    let mut pipeline = Pipeline::new(threads, || {
        let mut reading = Reading::new(&sets, (format, &source));
        move |piece: Piece| reading.read(piece)
    })?;
    let (mut line, mut place, mut is_over) = (0, 0, false);
    loop {
        while !is_over && !pipeline.is_full() {
            match history.next()? {
                Some(piece) => pipeline.send(piece)?,
                None => is_over = true,
            }
        }
        let Some(Read { piece, lines, found }) = pipeline.receive()? else { break };
        let mut found = found.into_iter();
        let own = found.next();
        if let (Some(against), Some(found)) = (&mut against, found.next()) {
            against.take(&piece, found, line, &mut io::sink())?;
        }
        if let Some(found) = own {
            pass.take(&piece, found, line, output)?;
        }
        line += lines;
        place = piece.end(place);
        progress.took(lines + piece.entries(), place);
        history.give_back(piece);
    }
    progress.finish();
    Ok(())
}

/// The history, and how long it is in bytes or positions, where that is known.
struct Opened {
    events: History,
    length: Option<u64>,
}

fn open(args: &BacktestArgs, stored: Option<&Path>, now: Timestamp) -> anyhow::Result<Opened> {
    if let Some(dir) = stored {
        if !dir.is_dir() {
            bail!("{} is no folder", dir.display());
        }
        let since = args.since.map_or(Timestamp::MIN, |since| now.minus(since));
        let mut reader = Reader::open(dir)?;
        let length = Some(reader.last_position()?);
        return Ok(Opened { events: History::stored(reader, since), length });
    }
    let Some(path) = args.events.as_deref() else {
        return Err(super::Usage("--store needs --data-dir, or --config".to_owned()).into());
    };
    let (input, length): (Box<dyn io::Read>, Option<u64>) = if path.as_os_str() == "-" {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        // Of a pipe nobody knows how much will come.
        let known = file.metadata().ok().filter(std::fs::Metadata::is_file);
        (Box::new(file), known.map(|known| known.len()))
    };
    Ok(Opened { events: History::lines(Lines::new(input, args.source)?), length })
}

#[cfg(test)]
mod tests;
