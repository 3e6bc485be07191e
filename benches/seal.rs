//! What sealing and merging take: events a second on one core, and bytes per event.
//!
//! `cargo bench --bench seal -- [events] [folder]`
//!
//! Fills the folder (by default one that is removed in the end) through the log, unless it has a log already; seals it in pieces of 32,768 entries, then merges these. What is counted is the time that the sealing
//! thread was on a core: others may be busy on it as well.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use watchfire::clock::Clock;
use watchfire::decode::decode;
use watchfire::event::{Catalogue, Format};
use watchfire::log::{Log, LogOptions, NewEvent, Reader, SealOptions, Sealer, SealerMetrics, SegmentInfo};
use watchfire::time::Timestamp;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const BATCH: usize = 4096;
const THREAD: &str = "log-sealer";

async fn fill(log: &Log, count: u64) -> Result<()> {
    let mut text = Vec::new();
    watchfire::demo::generate(count, 1, &mut text)?;
    let (mut batch, received_at) = (Vec::new(), Clock::system().now());
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let raw = bytes::Bytes::copy_from_slice(line);
        let decoded = decode(Format::Gitlab, &"gitlab".into(), raw, None, Timestamp(0))?;
        let mut event = decoded.event;
        event.received_at = received_at;
        batch.push(NewEvent { event, dedupe: decoded.dedupe });
        if batch.len() >= BATCH {
            log.append(std::mem::take(&mut batch)).await?;
        }
    }
    log.append(batch).await?;
    Ok(())
}

/// Seconds that the sealing thread was on a core.
fn on_core() -> Option<f64> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let nanos = threads.filter_map(|thread| {
        let path = thread.ok()?.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        let told = std::fs::read_to_string(path.join("schedstat")).ok()?;
        let nanos = told.split(' ').next()?.parse::<f64>().ok()?;
        (name.trim() == THREAD).then_some(nanos)
    });
    Some(nanos.sum::<f64>() / 1e9)
}

/// Runs the sealer until nothing changes any more: its seconds on a core, and the segments.
fn run(log: &Log, dir: &Path, options: &SealOptions) -> Result<(f64, Vec<SegmentInfo>)> {
    let catalogue = Arc::new(Catalogue::built_in());
    let metrics = SealerMetrics::default();
    let sealer = Sealer::start(log, options.clone(), Clock::system(), catalogue, metrics)?;
    let mut reader = Reader::open(dir)?;
    let (mut segments, mut used, mut quiet) = (Vec::new(), 0.0, Instant::now());
    while quiet.elapsed() < Duration::from_secs(4) {
        std::thread::sleep(Duration::from_millis(200));
        let (now, on_core) = (reader.segments()?, on_core().unwrap_or_default());
        if now != segments || on_core - used > 0.05 {
            quiet = Instant::now();
        }
        (segments, used) = (now, on_core);
    }
    sealer.stop();
    Ok((used, segments))
}

fn report(name: &str, (seconds, segments): &(f64, Vec<SegmentInfo>)) {
    let (events, bytes) = segments.iter().fold((0, 0), |sum, info| (sum.0 + info.events, sum.1 + info.bytes));
    println!(
        "{name}: {events} events in {} segments, {:.0} events/s of one core ({seconds:.2} s), {:.1} bytes each",
        segments.len(),
        events as f64 / seconds,
        bytes as f64 / events.max(1) as f64,
    );
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let count = arguments.first().and_then(|argument| argument.parse().ok()).unwrap_or(262_144);
    let temporary = tempfile::tempdir()?;
    let dir = arguments.get(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let is_filled = dir.join("log").exists();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let log = Log::open(&dir, LogOptions::default(), Clock::system())?;
    if !is_filled {
        runtime.block_on(fill(&log, count))?;
    }
    let small = SealOptions { segment_entries: 32_768, ..SealOptions::default() };
    report("sealed", &run(&log, &dir, &small)?);
    report("merged", &run(&log, &dir, &SealOptions::default())?);
    runtime.block_on(log.close());
    Ok(())
}
