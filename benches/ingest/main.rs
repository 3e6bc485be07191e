//! How fast events are taken over HTTP, each synced to disk before its 200, while rules judge them, the sealer indexes
//! them and somebody searches: all of it, the load included, on the same cores.
//!
//! `cargo bench --bench ingest -- [events [rules [calm]]]` (300000 and 100; `calm`: nobody searches meanwhile)
//!
//! Loads: batches of 512 on 4 connections; single events on 16 and 64 connections, as fast as they are answered; single
//! events at 5,000 a second on 64 connections, each timed from the moment it was due. In the end the program must have
//! stored exactly what it answered 200. With `RSIGMA` (a path) the same loads go to that program, which stores
//! nothing. Needs python3 for the rules.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

mod client;
mod program;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use client::{Load, Taken, millis};
use program::{Program, Searches};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What is sent: its name, events a request, connections, requests a second, and the share of all events.
type Plan = (&'static str, usize, usize, Option<u32>, f64);

const PLANS: [Plan; 4] = [
    ("batches of 512, 4 connections", 512, 4, None, 0.6),
    ("single events, 16 connections", 1, 16, None, 0.15),
    ("single events, 64 connections", 1, 64, None, 0.15),
    ("single events, 5,000 a second, 64 connections", 1, 64, Some(5_000), 0.1),
];

/// The lines of a file, all in memory, so that reading does not slow the load.
struct Events {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Events {
    fn generate(program: &Path, count: usize) -> Result<Self> {
        let made = Command::new(program)
            .args(["generate", "--seed", "11", "--count", &count.to_string()])
            .stderr(Stdio::inherit())
            .output()?;
        let bytes = made.stdout;
        let ends = line_ends(&bytes);
        Ok(Self { bytes, ends })
    }

    /// The lines from one to before another, as one body.
    fn body(&self, first: usize, last: usize) -> &[u8] {
        let start = first.checked_sub(1).map_or(0, |before| self.ends[before] + 1);
        &self.bytes[start..self.ends[last - 1]]
    }
}

fn line_ends(bytes: &[u8]) -> Vec<usize> {
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect()
}

fn row(name: &str, plan: &str, taken: &Taken) {
    let seconds = taken.took.as_secs_f64();
    println!(
        "| {name} | {plan} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} |",
        taken.events as f64 / seconds,
        taken.latencies.len() as f64 / seconds,
        millis(taken.at(50)),
        millis(taken.at(99)),
        millis(taken.at(100)),
    );
}

fn measure(name: &str, program: &Program, events: &Events, is_calm: bool) -> Result<u64> {
    let (mut first, mut sent) = (0, 0);
    for (plan, size, connections, rate, share) in PLANS {
        let count = (events.ends.len() as f64 * share) as usize / size;
        let bodies: Vec<&[u8]> = (0..count)
            .map(|number| events.body(first + number * size, first + (number + 1) * size))
            .collect();
        first += count * size;
        let load = Load { bodies: &bodies, size, rate };
        let searches = Searches::start(program, is_calm);
        let taken =
            client::run(&load, connections, |body| program.request(size > 1, body), program.address())?;
        let searched = searches.stop();
        row(name, plan, &taken);
        if !searched.is_empty() {
            let at = |share: usize| millis(searched[(searched.len() - 1) * share / 100]);
            println!(
                "|  | ({} searches meanwhile) | | | {:.1} | {:.1} | {:.1} |",
                searched.len(),
                at(50),
                at(99),
                at(100)
            );
        }
        sent += taken.events;
        program.settle()?;
    }
    Ok(sent)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let count = arguments.first().map_or(Ok(300_000), |text| text.parse::<usize>())?;
    let rules = arguments.get(1).map_or("100", String::as_str);
    let is_calm = arguments.get(2).is_some_and(|word| word == "calm");
    let watchfire = PathBuf::from(env!("CARGO_BIN_EXE_watchfire"));
    // Beside the program, not in memory: syncing is what is measured.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let rules_folder = folder.path().join("rules");
    let made = Command::new("python3").args(["benches/rules.py", rules]).arg(&rules_folder).status()?;
    if !made.success() {
        return Err("benches/rules.py failed".into());
    }
    let events = Events::generate(&watchfire, count)?;
    println!("| program | load | events/s | requests/s | p50 ms | p99 ms | max ms |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    let program = Program::watchfire(&watchfire, folder.path())?;
    let sent = measure("Watchfire", &program, &events, is_calm)?;
    let stored = program.stored()?;
    program.stop(Duration::from_secs(60))?;
    println!("\nanswered 200: {sent} events; stored: {stored}");
    if sent != stored {
        return Err("what was answered is not what was stored".into());
    }
    if let Some(rsigma) = std::env::var_os("RSIGMA") {
        let program = Program::rsigma(Path::new(&rsigma), folder.path())?;
        measure("rsigma (stores nothing)", &program, &events, is_calm)?;
        program.stop(Duration::from_secs(60))?;
    }
    Ok(())
}
