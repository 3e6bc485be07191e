//! `watchfire backtest`: the engine of the daemon over history.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use super::history::{History, Lines, Past};
use super::recent::{Recent, Refused};
use super::report::{Ids, Report, Summary};
use super::rules;
use crate::clock::Clock;
use crate::engine::{Effects, Engine, Hits, Limits, RuleSet};
use crate::event::{Entry, Event, Format};
use crate::log::Reader;
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
    let limits = Limits { lateness: args.lateness, ..Limits::default() };
    let other = match args.against.as_slice() {
        [] => None,
        paths => Some(rules::read(paths, (args.lists.as_deref(), &args.enrich), args.lateness, now)?.rules),
    };
    let mut output = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let report = Report::new(args.format, args.findings);
    let mut pass = Pass::new(Arc::clone(&reading.rules), limits, report);
    let mut against = other.map(|rules| Pass::new(rules, limits, Report::silent()));
    let (format, source) = history.origin();
    while let Some(past) = history.next()? {
        if let Some(against) = &mut against {
            against.take(&past, (format, &source), &mut io::sink())?;
        }
        pass.take(&past, (format, &source), &mut output)?;
    }
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

fn open(args: &BacktestArgs, now: Timestamp) -> anyhow::Result<History> {
    if let (true, Some(dir)) = (args.store, &args.data_dir) {
        if !dir.is_dir() {
            bail!("{} is no folder", dir.display());
        }
        let since = args.since.map_or(Timestamp::MIN, |since| now.minus(since));
        return Ok(History::stored(Reader::open(dir)?, since));
    }
    let path = args.events.as_deref().context("either --events or --store")?;
    let input: Box<dyn Read> = if path.as_os_str() == "-" {
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
    effects: Effects,
    report: Report,
    ids: Ids,
    summary: Summary,
    recent: Recent,
    newest: Timestamp,
    refused: Refused,
}

impl Pass {
    fn new(rules: Arc<RuleSet>, limits: Limits, report: Report) -> Self {
        Self {
            engine: Engine::new(Arc::clone(&rules), Arc::clone(rules.catalogue()), limits),
            rules,
            hits: Hits::default(),
            effects: Effects::default(),
            report,
            ids: Ids::default(),
            summary: Summary::default(),
            recent: Recent::default(),
            newest: Timestamp::default(),
            refused: Refused::default(),
        }
    }

    fn take(
        &mut self,
        past: &Past,
        origin: (Format, &Arc<str>),
        output: &mut dyn Write,
    ) -> anyhow::Result<()> {
        match past {
            Past::Line(line, number) => {
                match self.rules.decode(origin, line.clone(), (*number, self.newest), &mut self.hits) {
                    Ok(decoded) if self.recent.insert(decoded.dedupe) => self.judge(&decoded.event, output),
                    Ok(_) => Ok(()),
                    Err(error) => {
                        self.refused.add(*number, &error.to_string());
                        Ok(())
                    }
                }
            }
            Past::Entry(Entry::Event(event)) => {
                self.rules.hits(event, &mut self.hits);
                self.judge(event, output)
            }
            Past::Entry(tick @ Entry::Tick { .. }) => {
                self.engine.handle(tick, &mut self.effects);
                self.flush(output)
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
