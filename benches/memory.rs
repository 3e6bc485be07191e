//! What detection remembers, and what it takes: `cargo bench --bench memory [million | flood | warm]`.
//!
//! Feeds hits to an engine, without matching. Each scene runs in a process of its own, whose resident memory is read
//! from the system and stands beside what the engine accounts for.

use std::io::{self, Write};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use watchfire::detect::Hit;
use watchfire::engine::{Effects, Engine, Environment, Hits, Limits, RuleSet, compile};
use watchfire::event::{Catalogue, Event, Format};
use watchfire::rule::{Lists, RuleFile, load};
use watchfire::script::{Cage, ListTable};
use watchfire::time::{Span, Timestamp};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: f64 = (1 << 20) as f64;
const DAY: i64 = 86_400_000;
/// 2026-01-05T00:00:00Z
const START: i64 = 1_767_571_200_000;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

type Scene = fn() -> Result<()>;

fn main() -> ExitCode {
    let scenes: [(&str, Scene); 3] = [("million", million), ("flood", flood), ("warm", warm)];
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let outcome = match named.as_slice() {
        [] => scenes.iter().try_for_each(|(name, _)| alone(name)),
        named => {
            scenes.iter().filter(|(name, _)| named.iter().any(|n| n == name)).try_for_each(|(_, run)| run())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn alone(scene: &str) -> Result<()> {
    let status = Command::new(std::env::current_exe()?).arg(scene).status()?;
    if status.success() { Ok(()) } else { Err(format!("{scene} failed").into()) }
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// Counts to five within 24 hours, by author.
fn rules() -> Result<Arc<RuleSet>> {
    let text = "title: Often\nid: often\nstatus: test\nlevel: high\nlogsource: {product: gitlab, service: audit}\n\
        detection:\n  sel: {event_type: user_sign_in}\n  condition: sel\n\
        behavior: {by: author_id, within: 24h, at_least: 5}\n";
    let loaded = load(&[RuleFile { path: "often.yml".into(), text: text.to_owned() }], &Lists::new());
    let environment = Environment {
        catalogue: Arc::new(Catalogue::built_in()),
        cage: Arc::new(Cage::new(Arc::new(ListTable::default()))),
        lateness: Span::minutes(5),
        today: Timestamp(START),
    };
    let compiled = compile(loaded.rules, &[], &environment);
    match compiled.rules.units().len() {
        1 => Ok(Arc::new(compiled.rules)),
        _ => Err(format!("{:?} {:?}", loaded.diagnostics, compiled.diagnostics).into()),
    }
}

/// An engine that is fed with hits.
struct Feed {
    engine: Engine,
    rules: Arc<RuleSet>,
    event: Event,
    hits: Hits,
    effects: Effects,
    findings: Vec<(String, u64)>,
    evicted: u64,
}

impl Feed {
    fn new(limits: Limits) -> Result<Self> {
        let rules = rules()?;
        let engine = Engine::new(Arc::clone(&rules), Arc::new(Catalogue::built_in()), limits);
        let at = Timestamp(START);
        let event = Event {
            position: 0,
            received_at: at,
            time: at,
            source: "gitlab".into(),
            forge: "gitlab".into(),
            format: Format::Gitlab,
            type_hint: None,
            raw: Default::default(),
        };
        let (hits, effects) = (Hits::default(), Effects::default());
        Ok(Self { engine, rules, event, hits, effects, findings: Vec::new(), evicted: 0 })
    }

    fn event(&mut self, author: u64, time: Timestamp) {
        let event = &mut self.event;
        (event.time, event.received_at, event.position) = (time, time, event.position + 1);
        let key = watchfire::tuple::key([author.to_string().as_str()]).into();
        let hit = Hit { detector: 0, role: 0, key, value: None, time, position: event.position };
        self.hits.hits.clear();
        self.hits.hits.push(hit);
        self.engine.judge(&self.event, &self.hits, &mut self.effects);
        for finding in &self.effects.findings {
            self.findings.push((finding.key.to_string(), finding.evidence_count));
        }
        self.evicted += self.effects.ledger.iter().map(|entry| entry.count).sum::<u64>();
        self.effects.clear();
    }
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with(name)).ok_or("no such line")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kib * 1024.0)
}

/// One event each of a million authors within a day.
fn million() -> Result<()> {
    const KEYS: u64 = 1_000_000;
    let limits = Limits { state_bytes_max: 4 << 30, rule_bytes_max: 4 << 30, ..Limits::default() };
    let mut feed = Feed::new(limits)?;
    let before = status("VmRSS")?;
    let began = Instant::now();
    for number in 0..KEYS {
        let time = START + number.cast_signed() * (DAY - 1) / KEYS.cast_signed();
        feed.event(10_000_000 + number, Timestamp(time));
    }
    let fed = began.elapsed().as_secs_f64();
    let (resident, accounted) = (status("VmRSS")?, feed.engine.state_bytes() as f64);
    let own = resident - before;
    say(&format!("a million keys in a 24 h count window: {:.0} MB resident", resident / 1e6))?;
    say(&format!(
        "  of the keys {:.0} MB, accounted {:.0} MB: {:.2}",
        own / 1e6,
        accounted / 1e6,
        own / accounted
    ))?;
    say(&format!("  {:.0} bytes a key; {:.0} new keys/s", own / KEYS as f64, KEYS as f64 / fed))?;
    let began = Instant::now();
    for number in 0..KEYS {
        let author = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS;
        feed.event(10_000_000 + author, Timestamp(START + DAY - 1));
    }
    say(&format!(
        "  {:.0} events/s of keys that are there, at random",
        KEYS as f64 / began.elapsed().as_secs_f64()
    ))?;
    let again = status("VmRSS")? - before;
    let accounted = feed.engine.state_bytes() as f64;
    say(&format!(
        "  then {:.0} MB, accounted {:.0} MB: {:.2}",
        again / 1e6,
        accounted / 1e6,
        again / accounted
    ))?;
    let mut feed = Feed::new(limits)?;
    for number in 0..KEYS {
        let time = START + number.cast_signed() * (DAY - 1) / KEYS.cast_signed();
        feed.event(10_000_000 + number, Timestamp(time));
    }
    let began = Instant::now();
    let bytes = feed.engine.snapshot()?;
    let written = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let catalogue = Arc::new(Catalogue::built_in());
    let restored = Engine::restore(Arc::clone(&feed.rules), catalogue, limits, &bytes)?;
    let read = began.elapsed().as_secs_f64();
    let is_same = restored.snapshot()? == bytes;
    let (size, written, read) = (bytes.len() as f64 / 1e6, written * 1e3, read * 1e3);
    say(&format!(
        "  snapshot {size:.0} MB, written in {written:.0} ms, read in {read:.0} ms, same: {is_same}"
    ))
}

/// Ten million authors once each within a day, while attackers come back every so often.
fn flood() -> Result<()> {
    pour(1)
}

/// Five million authors twice each, a few seconds apart.
fn warm() -> Result<()> {
    pour(2)
}

fn pour(times: u64) -> Result<()> {
    const EVENTS: u64 = 10_000_000;
    const EVERY: [i64; 6] = [10, 30, 60, 120, 180, 240];
    let limits = Limits { state_bytes_max: 64 << 20, rule_bytes_max: 64 << 20, ..Limits::default() };
    let mut feed = Feed::new(limits)?;
    let before = status("VmRSS")?;
    let mut due: Vec<i64> = EVERY.iter().map(|minutes| START + minutes * 7_000).collect();
    let (mut accounted, began) = (0, Instant::now());
    for number in 0..EVENTS {
        let time = START + number.cast_signed() * (DAY - 1) / EVENTS.cast_signed();
        for (minutes, due) in EVERY.iter().zip(&mut due) {
            if *due <= time {
                feed.event(minutes.unsigned_abs(), Timestamp(time));
                *due += minutes * 60_000;
            }
        }
        // Of keys that come twice, the second time is a thousand events later.
        let key = if times == 1 || number / 1000 % 2 == 0 { number } else { number - 1000 };
        feed.event(10_000_000 + key, Timestamp(time));
        accounted = accounted.max(feed.engine.state_bytes());
    }
    let fed = began.elapsed().as_secs_f64();
    let (most, now) = (status("VmHWM")?, status("VmRSS")?);
    say(&format!("ten million events of keys that come {times} times, through 64 MiB in 24 h"))?;
    let own = (most - before) / MIB;
    say(&format!(
        "  at most {:.1} MiB accounted, {own:.1} MiB resident ({:.1} in the end)",
        accounted as f64 / MIB,
        (now - before) / MIB
    ))?;
    say(&format!(
        "  {} keys kept, {} forgotten, {:.0} events/s",
        feed.engine.keys(),
        feed.evicted,
        EVENTS as f64 / fed
    ))?;
    for minutes in EVERY {
        let key = format!("author_id = {minutes}");
        let own: Vec<u64> =
            feed.findings.iter().filter(|(k, _)| *k == key).map(|(_, count)| *count).collect();
        let most = own.iter().max().copied().unwrap_or_default();
        let events = (DAY / 60_000 + minutes - 1) / minutes;
        say(&format!(
            "  every {minutes} min: {} findings of {events} events, at most {most} counted",
            own.len()
        ))?;
    }
    let began = Instant::now();
    let bytes = feed.engine.snapshot()?.len() as f64 / MIB;
    say(&format!("  snapshot {bytes:.1} MiB in {:.0} ms", began.elapsed().as_secs_f64() * 1e3))
}
