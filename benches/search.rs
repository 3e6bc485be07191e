//! How long searches take in a log with sealed segments: pages, counts, and how soon a fresh program answers.
//!
//! `cargo bench --bench search -- [events] [folder] [rounds]`
//!
//! Fills the folder (by default one that is removed in the end) through the log and its sealer, unless it has a log
//! already, then asks each kind of query `rounds` times (200) with values and times out of random events.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use watchfire::clock::Clock;
use watchfire::decode::decode;
use watchfire::event::{Catalogue, Format};
use watchfire::log::{Log, LogOptions, NewEvent, Reader, SealOptions, Sealer, SealerMetrics};
use watchfire::query::Query;
use watchfire::search::{Order, Searcher};
use watchfire::time::{Span, Timestamp};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const BATCH: usize = 4096;
const PAGE: usize = 50;

/// Takes lines of events and appends them.
struct Filling<'a> {
    runtime: &'a Runtime,
    log: &'a Log,
    line: Vec<u8>,
    batch: Vec<NewEvent>,
    events: u64,
    bytes: u64,
}

impl Filling<'_> {
    fn line(&mut self) -> Result<()> {
        let raw = std::mem::take(&mut self.line);
        self.bytes += raw.len() as u64;
        let decoded = decode(Format::Gitlab, &"gitlab".into(), raw.into(), None, Timestamp(0))?;
        let mut event = decoded.event;
        event.received_at = event.time;
        self.batch.push(NewEvent { event, dedupe: decoded.dedupe });
        if self.batch.len() >= BATCH { self.append() } else { Ok(()) }
    }

    fn append(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.events += self.runtime.block_on(self.log.append(batch))?.stored;
        Ok(())
    }
}

impl Write for Filling<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if *byte == b'\n' {
                self.line().map_err(|error| io::Error::other(error.to_string()))?;
            } else {
                self.line.push(*byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fill(dir: &Path, count: u64, catalogue: &Arc<Catalogue>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let log = Log::open(dir, LogOptions::default(), Clock::system())?;
    let options = SealOptions::default();
    let sealer = Sealer::start(
        &log,
        options.clone(),
        Clock::system(),
        Arc::clone(catalogue),
        SealerMetrics::default(),
    )?;
    let start = Instant::now();
    let mut filling =
        Filling { runtime: &runtime, log: &log, line: Vec::new(), batch: Vec::new(), events: 0, bytes: 0 };
    watchfire::demo::generate(count, 1, &mut filling)?;
    filling.append()?;
    let (events, bytes) = (filling.events, filling.bytes);
    println!(
        "{events} events of {} bytes appended in {:.1} s",
        bytes / events.max(1),
        start.elapsed().as_secs_f64()
    );
    // Sealed and merged once nothing changes any more for a few times as long as the sealer pauses.
    let mut reader = Reader::open(dir)?;
    let (mut segments, mut quiet) = (Vec::new(), 0);
    while quiet < 40 {
        std::thread::sleep(Duration::from_millis(200));
        let now = reader.segments()?;
        let sealed = now.last().map_or(0, |info| info.last);
        let is_due = reader.last_position()? - sealed >= options.seal_entries;
        quiet = if now == segments && !is_due { quiet + 1 } else { 0 };
        segments = now;
    }
    println!("sealed and merged after {:.1} s", start.elapsed().as_secs_f64());
    runtime.block_on(log.close());
    sealer.stop();
    Ok(())
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}

/// A random event as it is shown, and some stretch of time around it.
fn pick(
    searcher: &mut Searcher,
    numbers: &mut Numbers,
    last: u64,
) -> Result<(Map<String, Value>, (Timestamp, Timestamp))> {
    loop {
        let Some(event) = searcher.get(1 + numbers.below(last))? else { continue };
        let spans = [Span::hours(1), Span::days(1), Span::days(30), Span::days(365)];
        let span = spans[usize::try_from(numbers.below(4))?];
        return Ok((searcher.show(&event), (event.time.minus(span), event.time.plus(span))));
    }
}

fn value(shown: &Map<String, Value>, field: &str) -> Option<String> {
    let mut path = field.split('.');
    let first = shown.get(path.next()?)?;
    let text = match path.try_fold(first, |value, name| value.get(name))? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

const FIELDS: [&str; 10] = [
    "author_id",
    "author_name",
    "entity_path",
    "entity_id",
    "target_id",
    "target_details",
    "event_type",
    "ip_address",
    "tier",
    "category",
];

/// A query made of so many fields of an event, and some words of it.
fn query(
    shown: &Map<String, Value>,
    numbers: &mut Numbers,
    (fields, words): (usize, usize),
) -> Result<Query> {
    let mut terms = Vec::new();
    while terms.len() < fields {
        let field = FIELDS[usize::try_from(numbers.below(FIELDS.len() as u64))?];
        terms.extend(value(shown, field).map(|value| format!("{field}:{}", Value::String(value))));
    }
    let text =
        value(shown, "details.custom_message").or_else(|| value(shown, "target_details")).unwrap_or_default();
    let all: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    terms.extend(all.iter().take(words).map(|word| (*word).to_owned()));
    Ok(Query::parse(&terms.join(" "), Timestamp(0))?)
}

fn report(name: &str, mut millis: Vec<f64>) {
    millis.sort_by(f64::total_cmp);
    let at = |share: usize| millis[(millis.len() - 1) * share / 100];
    println!("{name:44} p50 {:9.2}  p95 {:9.2}  max {:9.2} ms", at(50), at(95), at(100));
}

fn pages(searcher: &mut Searcher, last: u64, rounds: usize) -> Result<()> {
    let kinds: [(&str, (usize, usize), bool); 5] = [
        ("one field and a time, first page", (1, 0), true),
        ("one field, first page", (1, 0), false),
        ("two fields and free text, first page", (2, 1), false),
        ("two fields, free text, a time, first page", (2, 2), true),
        ("free text, first page", (0, 2), false),
    ];
    for (name, parts, has_time) in kinds {
        let (mut numbers, mut millis, mut slowest) = (Numbers(7), Vec::new(), (0.0, String::new()));
        for _ in 0..rounds {
            let (shown, (from, to)) = pick(searcher, &mut numbers, last)?;
            let mut query = query(&shown, &mut numbers, parts)?;
            if has_time {
                query = query.between(from, to);
            }
            let start = Instant::now();
            searcher.page(&query, None, (PAGE, Order::NewestFirst))?;
            let took = start.elapsed().as_secs_f64() * 1e3;
            if took > slowest.0 {
                slowest = (took, query.to_string());
            }
            millis.push(took);
        }
        report(name, millis);
        println!("    slowest: {}", slowest.1);
    }
    Ok(())
}

fn counts(searcher: &mut Searcher) -> Result<()> {
    for field in ["author_name", "event_type", "tier", "entity_path", "ip_address", "target_details"] {
        let mut millis = Vec::new();
        for _ in 0..3 {
            let start = Instant::now();
            searcher.count_by(&Query::all_of(&[]), field, 20)?;
            millis.push(start.elapsed().as_secs_f64() * 1e3);
        }
        report(&format!("count by {field} over all"), millis);
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |index: usize| arguments.get(index).and_then(|argument| argument.parse().ok());
    let count = number(0).unwrap_or(100_000);
    let rounds = usize::try_from(number(2).unwrap_or(200))?;
    let temporary = tempfile::tempdir()?;
    let dir = arguments.get(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let catalogue = Arc::new(Catalogue::built_in());
    if !dir.join("log").exists() {
        fill(&dir, count, &catalogue)?;
    }
    let start = Instant::now();
    let mut searcher = Searcher::open(&dir, Arc::clone(&catalogue))?;
    searcher.page(&Query::all_of(&[]), None, (PAGE, Order::NewestFirst))?;
    println!("a searcher's first page after {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let log = Log::open(&dir, LogOptions::default(), Clock::system())?;
    println!("the log takes events after {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    runtime.block_on(log.close());
    let mut reader = Reader::open(&dir)?;
    let segments = reader.segments()?;
    let (events, bytes) = segments.iter().fold((0, 0), |sum, info| (sum.0 + info.events, sum.1 + info.bytes));
    let last = reader.last_position()?;
    println!(
        "{} segments with {events} events, {:.1} bytes each; {} entries are not sealed",
        segments.len(),
        bytes as f64 / events.max(1) as f64,
        last - segments.last().map_or(0, |info| info.last)
    );
    pages(&mut searcher, last, rounds)?;
    counts(&mut searcher)
}
