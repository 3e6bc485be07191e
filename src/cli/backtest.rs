//! `watchfire backtest`: the engine of the daemon over history.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;

use super::history::{History, Lines, Piece};
use super::past::{Content, Found, Line, Read, Reading};
use super::recent::{Recent, Refused};
use super::report::{Ids, Report, Summary};
use super::rules;
use crate::clock::Clock;
use crate::decode::blank;
use crate::engine::{Effects, Engine, Hits, Limits, RuleSet};
use crate::event::{Entry, Event, Format};
use crate::log::Reader;
use crate::pipeline::Pipeline;
use crate::time::{Span, Timestamp};

/// Options of `watchfire backtest`.
#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// Rule files or folders
    #[arg(long = "rules", value_name = "PATH", required = true)]
    rules: Vec<PathBuf>,
    /// A folder with lists
    #[arg(long, value_name = "DIR")]
    lists: Option<PathBuf>,
    /// Events as NDJSON; `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "store", required_unless_present = "store")]
    events: Option<PathBuf>,
    /// The events stored by the daemon, also while it runs
    #[arg(long, requires = "data_dir")]
    store: bool,
    /// The daemon's data folder
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// With --store: only events received in this time
    #[arg(long, value_name = "SPAN")]
    since: Option<Span>,
    /// How the events are written: gitlab, github, azure_devops, bitbucket, generic. Guessed from the first lines when absent
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    source: Option<Format>,
    #[command(flatten)]
    enrich: rules::EnrichArgs,
    /// How late an event may be and still be judged by windows
    #[arg(long, value_name = "SPAN", default_value = "5m")]
    lateness: Span,
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
    let now = Clock::system().now();
    let reading = rules::read(&args.rules, (args.lists.as_deref(), &args.enrich), args.lateness, now)?;
    let mut history = open(args, now)?;
    let limits = Limits { lateness: args.lateness, judges_past: true, ..Limits::default() };
    let other = match args.against.as_slice() {
        [] => None,
        paths => Some(rules::read(paths, (args.lists.as_deref(), &args.enrich), args.lateness, now)?.rules),
    };
    let mut output = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let report = Report::new(args.format, args.findings);
    let (format, source) = history.origin();
    let event = blank(format, &source, Timestamp::default());
    let mut pass = Pass::new(Arc::clone(&reading.rules), limits, (report, event.clone()));
    let mut against = other.map(|rules| Pass::new(rules, limits, (Report::silent(), event)));
    judge_all(args, &mut history, (&mut pass, against.as_mut()), &mut output)?;
    let refused = std::mem::take(&mut pass.refused);
    let summary = pass.finish(&mut output)?;
    if args.format == OutputFormat::Text {
        summary.print(&reading.rules, &mut output)?;
        if let Some(against) = against {
            let old = against.finish(&mut io::sink())?;
            summary.print_difference(&old, &mut output)?;
        }
    }
    output.flush()?;
    for line in refused.messages() {
        super::say(&line);
    }
    let is_whole = refused.count() == 0 && !reading.has_errors();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads on all threads, judges on this one.
fn judge_all(
    args: &BacktestArgs,
    history: &mut History,
    (pass, mut against): (&mut Pass, Option<&mut Pass>),
    output: &mut dyn Write,
) -> anyhow::Result<()> {
    let (format, source) = history.origin();
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
    let (mut line, mut is_over) = (0, false);
    loop {
        while !is_over && !pipeline.is_full() {
            match history.next()? {
                Some(piece) => pipeline.send(piece)?,
                None => is_over = true,
            }
        }
        let Some(Read { piece, lines, found }) = pipeline.receive()? else { return Ok(()) };
        let mut found = found.into_iter();
        let own = found.next();
        if let (Some(against), Some(found)) = (&mut against, found.next()) {
            against.take(&piece, found, line, &mut io::sink())?;
        }
        if let Some(found) = own {
            pass.take(&piece, found, line, output)?;
        }
        line += lines;
        history.give_back(piece);
    }
}

fn open(args: &BacktestArgs, now: Timestamp) -> anyhow::Result<History> {
    if let (true, Some(dir)) = (args.store, &args.data_dir) {
        if !dir.is_dir() {
            bail!("{} is no folder", dir.display());
        }
        let since = args.since.map_or(Timestamp::MIN, |since| now.minus(since));
        return Ok(History::stored(Reader::open(dir)?, since));
    }
    let path = args.events.as_deref().context("either --events or --store")?;
    let input: Box<dyn io::Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
    };
    Ok(History::lines(Lines::new(input, args.source)?))
}

/// One rule set over the history.
struct Pass {
    rules: Arc<RuleSet>,
    engine: Engine,
    hits: Hits,
    /// What the events of lines have in common.
    event: Event,
    effects: Effects,
    report: Report,
    ids: Ids,
    summary: Summary,
    recent: Recent,
    newest: Timestamp,
    refused: Refused,
}

impl Pass {
    fn new(rules: Arc<RuleSet>, limits: Limits, (report, event): (Report, Event)) -> Self {
        Self {
            engine: Engine::new(Arc::clone(&rules), Arc::clone(rules.catalogue()), limits),
            rules,
            hits: Hits::default(),
            event,
            effects: Effects::default(),
            report,
            ids: Ids::default(),
            summary: Summary::default(),
            recent: Recent::default(),
            newest: Timestamp::default(),
            refused: Refused::default(),
        }
    }

    /// Judges what was found in a piece of the past, behind so many lines.
    fn take(&mut self, piece: &Piece, found: Found, line: u64, output: &mut dyn Write) -> anyhow::Result<()> {
        match (piece, found) {
            (Piece::Lines(block), Found::Lines(lines)) => {
                self.recent.expect(lines.iter().filter_map(Line::dedupe));
                let mut event = self.event.clone();
                for Line { number, range, content } in lines {
                    event.position = line + number;
                    // The bytes are only looked at where there is something to judge.
                    event.raw = match content {
                        Content::Event(_, _, None) | Content::Refused(_) => Bytes::new(),
                        Content::Event(..) | Content::Timeless => block.line(range),
                    };
                    self.take_line(&mut event, content, output)?;
                }
            }
            (Piece::Entries(entries), Found::Entries(meanings)) => {
                for (entry, meaning) in entries.iter().zip(meanings) {
                    self.hits.put(meaning, entry.position());
                    match entry {
                        Entry::Event(event) => self.judge(event, output)?,
                        tick @ Entry::Tick { .. } => {
                            self.engine.handle(tick, &mut self.effects);
                            self.flush(output)?;
                        }
                    }
                }
            }
            _ => bail!("a piece of history was not read as what it is"),
        }
        Ok(())
    }

    fn take_line(
        &mut self,
        event: &mut Event,
        content: Content,
        output: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let dedupe = match content {
            Content::Event(time, dedupe, meaning) => {
                (event.time, event.received_at) = (time, time);
                self.hits.put(meaning, event.position);
                Ok(dedupe)
            }
            Content::Timeless => {
                event.received_at = self.newest;
                self.rules.read(event, &mut self.hits)
            }
            Content::Refused(error) => Err(error),
        };
        match dedupe {
            Ok(dedupe) if self.recent.insert(dedupe) => self.judge(event, output),
            Ok(_) => Ok(()),
            Err(error) => {
                self.refused.add(event.position, &error.to_string());
                Ok(())
            }
        }
    }

    /// Judges an event whose hits were just found.
    fn judge(&mut self, event: &Event, output: &mut dyn Write) -> anyhow::Result<()> {
        self.newest = self.newest.max(event.time);
        self.summary.event(event);
        // Only events that touch a rule can be cited; those of plain matches only now.
        let is_cited = !self.hits.hits.is_empty();
        if is_cited {
            let id = self.hits.event_id(&event.raw);
            self.ids.insert(event.position, id.map_or_else(|| event.position.to_string().into(), Into::into));
        }
        self.engine.judge(event, &self.hits, &mut self.effects);
        self.flush(output)?;
        if is_cited && !self.hits.hits.iter().any(|hit| self.is_stateful(hit.detector)) {
            self.ids.remove(&event.position);
        }
        Ok(())
    }

    fn is_stateful(&self, detector: u32) -> bool {
        self.rules.units().get(detector as usize).is_some_and(|unit| unit.detector.is_stateful())
    }

    fn flush(&mut self, output: &mut dyn Write) -> anyhow::Result<()> {
        if self.effects.is_empty() {
            return Ok(());
        }
        self.report.write(&self.effects, &self.rules, &self.ids, output)?;
        self.summary.add(&self.effects, self.report.wants_alerts());
        self.effects.clear();
        Ok(())
    }

    /// The history has ended: what waits for later events is judged as of the last one, since nobody knows
    /// what came after it.
    fn finish(mut self, output: &mut dyn Write) -> anyhow::Result<Summary> {
        if let Some(newest) = self.engine.newest() {
            self.engine.finish(newest.plus(Span::millis(1)), &mut self.effects);
        }
        self.flush(output)?;
        self.report.finish(&self.summary, &self.rules, &self.ids, output)?;
        Ok(self.summary)
    }
}
