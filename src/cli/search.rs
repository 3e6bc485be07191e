//! `watchfire search`: events out of the daemon's log, also while it runs.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value};

use super::rules::EnrichArgs;
use super::{data, terminal};
use crate::clock::Clock;
use crate::event::{Catalogue, Entry, Event, Format, canonical};
use crate::log::{Reader, TimeRange};
use crate::query::{Query, format};
use crate::rule::closest;
use crate::time::{Span, Timestamp};

/// Options of `watchfire search`.
#[derive(Debug, Args)]
#[command(after_help = "\
A query is made of terms; all must fit. An empty query finds everything.
  field:value  field:\"a value\"  field:rel*se   a field's value; case never counts
  details.from:30                             dots go into objects
  field:>5  field:5..9  field:*               compared; between; there at all
  created_at:>=2026-01-01  created_at:-7d     in time, UTC; relative to now
  ip_address:10.0.0.0/8                       an address in a network
  word  \"some words\"                          text anywhere in the event
  a OR b  -a  ( … )                           either; not; grouped

Examples:
  watchfire search 'author_id:7 created_at:-1d' --data-dir /var/lib/watchfire
  watchfire search 'type:project_destroyed OR tier:secret' --data-dir D --format csv --limit 0
  watchfire search 'ip:203.0.113.0/24 -author_name:alice' --data-dir D --oldest-first")]
pub struct SearchArgs {
    /// What to look for
    #[arg(default_value = "")]
    query: String,
    /// The daemon's data folder; the daemon may be running
    #[arg(long, value_name = "DIR", env = "WATCHFIRE_DATA_DIR", default_value = "/var/lib/watchfire")]
    data_dir: PathBuf,
    /// table: for people. ndjson: the event as one object. csv: for spreadsheets. raw: the sender's bytes
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
    /// At most so many events; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Begin with the event that came first
    #[arg(long)]
    oldest_first: bool,
    #[command(flatten)]
    enrich: EnrichArgs,
}

/// How found events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Table,
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180.
    Csv,
    /// The bytes as the sender wrote them, one event a line.
    Raw,
}

/// How many events are written together: a table's columns are as wide as its rows need.
const TABLE_ROWS: usize = 200;
const OTHER_ROWS: usize = 64;
/// How many entries are read at once when going forward.
const READ: usize = 4096;

/// Prints what is found as it is found.
pub fn run(args: &SearchArgs) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    let query = Query::parse(&args.query, now).map_err(|error| super::Usage(error.to_string()))?;
    let mut reader = data::reader(&args.data_dir)?;
    let output = io::BufWriter::new(io::stdout().lock());
    let width = terminal::width();
    let mut found = Found::new(output, args.format, (args.limit, width), args.enrich.catalogue()?);
    search(&mut reader, &query, args.oldest_first, &mut found)?;
    found.flush()?;
    found.output.flush()?;
    if found.count == 0 && args.format == OutputFormat::Table {
        super::say(&hint(&args.query, &query, &mut reader)?);
    } else if found.is_full() && args.format == OutputFormat::Table {
        super::say(&format!("the first {}; --limit 0 shows all", found.count));
    }
    Ok(ExitCode::SUCCESS)
}

fn search<W: Write>(
    reader: &mut Reader,
    query: &Query,
    oldest_first: bool,
    found: &mut Found<W>,
) -> anyhow::Result<()> {
    let range = range(query);
    let mut failure = None;
    let mut look = |event: &Event| match found.look(event, query) {
        Ok(flow) => flow,
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    };
    if oldest_first {
        let mut position = 0;
        'log: loop {
            let entries = reader.read_after(position, READ)?;
            let Some(last) = entries.last() else { break };
            position = last.position();
            for entry in &entries {
                let Entry::Event(event) = entry else { continue };
                let is_in = (range.from..range.to).contains(&event.time);
                if is_in && look(event).is_break() {
                    break 'log;
                }
            }
        }
    } else {
        reader.newest_first(range, &mut |event| look(&event))?;
    }
    failure.map_or(Ok(()), Err)
}

/// The query's times are both included, the reader's last one is not.
fn range(query: &Query) -> TimeRange {
    let (from, to) = query.time_range();
    TimeRange { from, to: to.plus(Span::millis(1)) }
}

/// Gathers found events and writes them, some at a time.
struct Found<W> {
    output: W,
    format: OutputFormat,
    limit: usize,
    width: usize,
    catalogue: Catalogue,
    waiting: Vec<Map<String, Value>>,
    count: usize,
    has_heading: bool,
}

impl<W: Write> Found<W> {
    fn new(output: W, format: OutputFormat, (limit, width): (usize, usize), catalogue: Catalogue) -> Self {
        let waiting = Vec::new();
        Self { output, format, limit, width, catalogue, waiting, count: 0, has_heading: false }
    }

    fn is_full(&self) -> bool {
        self.limit > 0 && self.count >= self.limit
    }

    fn look(&mut self, event: &Event, query: &Query) -> anyhow::Result<ControlFlow<()>> {
        if query.is_ruled_out(event) {
            return Ok(ControlFlow::Continue(()));
        }
        let shown = canonical(event, &self.catalogue);
        if query.matches(&shown) {
            self.count += 1;
            if self.format == OutputFormat::Raw {
                self.output.write_all(&event.raw)?;
                self.output.write_all(b"\n")?;
            } else {
                self.waiting.push(shown);
            }
            let rows = if self.format == OutputFormat::Table { TABLE_ROWS } else { OTHER_ROWS };
            if self.waiting.len() >= rows {
                self.flush()?;
            }
        }
        Ok(if self.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Writes what was gathered; the heading only once.
    fn flush(&mut self) -> anyhow::Result<()> {
        let bytes = match self.format {
            OutputFormat::Ndjson => format::ndjson(&self.waiting).into_bytes(),
            OutputFormat::Csv => format::csv(&self.waiting)?,
            OutputFormat::Raw => Vec::new(),
            OutputFormat::Table if self.waiting.is_empty() => Vec::new(),
            OutputFormat::Table => format::table(&self.waiting, self.width).into_bytes(),
        };
        self.waiting.clear();
        let skipped = match self.format {
            OutputFormat::Ndjson => 0,
            _ if !self.has_heading => 0,
            _ => memchr::memchr(b'\n', &bytes).map_or(0, |end| end + 1),
        };
        self.has_heading = true;
        self.output.write_all(bytes.get(skipped..).unwrap_or_default())?;
        Ok(self.output.flush()?)
    }
}

/// Why nothing may have been found.
fn hint(text: &str, query: &Query, reader: &mut Reader) -> anyhow::Result<String> {
    let mut newest: Option<Timestamp> = None;
    let all = TimeRange { from: Timestamp::MIN, to: Timestamp::MAX };
    reader.newest_first(all, &mut |event| {
        newest = Some(event.time);
        ControlFlow::Break(())
    })?;
    let Some(newest) = newest else { return Ok("nothing found: the log is empty".to_owned()) };
    let mut hint = "nothing found".to_owned();
    for (written, meant) in slips(text) {
        hint.push_str(&format!("\nhint: no event has the field `{written}`; did you mean `{meant}`?"));
    }
    let (from, _) = query.time_range();
    if from > newest {
        hint.push_str(&format!("\nhint: the newest event in the log is of {newest}; times are UTC"));
    }
    Ok(hint)
}

/// Names before a colon that are no field but nearly one.
fn slips(text: &str) -> Vec<(String, &'static str)> {
    let own = ["category", "tier", "source", "received_at", "position", "details"];
    let short = ["author", "type", "entity", "target", "ip", "created"];
    let known: Vec<&'static str> =
        Format::Gitlab.mappings().iter().map(|mapping| mapping.field).chain(own).chain(short).collect();
    let mut found = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || "()".contains(c)) {
        let Some((name, _)) = word.trim_start_matches('-').split_once(':') else { continue };
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if is_name
            && !known.contains(&name)
            && let Some(near) = closest(name, known.iter().copied())
        {
            found.push((name.to_owned(), near));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: u64, kind: &str) -> Event {
        let raw = format!(r#"{{"id":{position},"event_type":"{kind}","author_id":7}}"#);
        let blank = crate::decode::blank(Format::Gitlab, &"g".into(), Timestamp(1_767_603_600_000));
        Event { position, raw: raw.into(), ..blank }
    }

    fn found(format: OutputFormat, limit: usize, query: &str) -> (String, usize) {
        let query = Query::parse(query, Timestamp(0)).unwrap();
        let mut found = Found::new(Vec::new(), format, (limit, 80), Catalogue::built_in());
        for position in 1..=250 {
            let kind = if position % 2 == 0 { "user_created" } else { "user_destroyed" };
            if found.look(&event(position, kind), &query).unwrap().is_break() {
                break;
            }
        }
        found.flush().unwrap();
        (String::from_utf8(found.output).unwrap(), found.count)
    }

    #[test]
    fn every_format_has_one_heading_and_each_event_once() {
        for (format, heading) in [(OutputFormat::Table, 1), (OutputFormat::Ndjson, 0), (OutputFormat::Csv, 1)]
        {
            let (text, count) = found(format, 0, "");
            assert_eq!((count, text.lines().count()), (250, 250 + heading), "{format:?}");
            let (text, count) = found(format, 70, "type:user_created");
            assert_eq!((count, text.lines().count()), (70, 70 + heading), "{format:?}");
        }
        let (text, count) = found(OutputFormat::Raw, 1, "user_destroyed");
        assert_eq!((text.trim_end().as_bytes(), count), (&*event(1, "user_destroyed").raw, 1));
        let (text, _) = found(OutputFormat::Ndjson, 1, "user_destroyed");
        let object: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&object["position"], &object["source"]), (&1.into(), &"g".into()));
        assert_eq!(found(OutputFormat::Table, 0, "author_id:8"), (String::new(), 0));
    }

    #[test]
    fn the_log_is_searched_from_either_end() {
        let day = |day: u32, kind: &str| {
            format!(
                r#"{{"id":"e{day}","created_at":"2026-01-{day:02}T09:00:00Z","event_type":"{kind}","author_id":7,"entity_id":1}}"#
            )
        };
        let events: Vec<String> =
            (1..=9).map(|n| day(n, if n % 2 == 0 { "user_created" } else { "user_destroyed" })).collect();
        let dir = crate::cli::testing::data_dir(&events);
        let ids = |text: &str, oldest_first: bool, limit: usize| {
            let mut reader = data::reader(dir.path()).unwrap();
            let query = Query::parse(text, Timestamp(0)).unwrap();
            let mut found = Found::new(Vec::new(), OutputFormat::Ndjson, (limit, 80), Catalogue::built_in());
            search(&mut reader, &query, oldest_first, &mut found).unwrap();
            found.flush().unwrap();
            let text = String::from_utf8(found.output).unwrap();
            let id = |line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
            text.lines().map(id).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(ids("", false, 3), "e9 e8 e7");
        assert_eq!(ids("", true, 3), "e1 e2 e3");
        assert_eq!(ids("type:user_created created_at:>=2026-01-04", false, 0), "e8 e6 e4");
        assert_eq!(ids("type:user_created created_at:2026-01-01..2026-01-04", true, 0), "e2 e4");
        assert_eq!(ids("created_at:2026-01-05", false, 0), "e5");
        let query = Query::parse("autor_id:7 created_at:>2026-02", Timestamp(0)).unwrap();
        let hint =
            hint("autor_id:7 created_at:>2026-02", &query, &mut data::reader(dir.path()).unwrap()).unwrap();
        assert!(hint.contains("did you mean `author_id`?"), "{hint}");
        assert!(hint.contains("the newest event in the log is of 2026-01-09T09:00:00.000Z"), "{hint}");
        assert!(data::reader(&dir.path().join("log")).is_err());
    }

    #[test]
    fn mistyped_fields_are_noticed() {
        assert_eq!(
            slips("autor_id:7 (-evnt_type:x details.x:1 \"a:b\")"),
            [("autor_id".to_owned(), "author_id"), ("evnt_type".to_owned(), "event_type"),]
        );
        assert!(slips("author:x ip:1 word https://x").is_empty());
    }
}
