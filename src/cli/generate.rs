//! `watchfire generate`: made-up events, for trying things on.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use crate::demo::{FIRST_WEEK, generate};
use crate::time::{Span, Timestamp};

/// Options of `watchfire generate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints GitLab audit events as NDJSON: the week of a made-up organisation of some hundred people, week after week, each \
with its planted attacks. The same options give the same events.

Examples:
  watchfire generate --count 100000 | watchfire backtest --rules rules/gitlab --events -
  watchfire generate --days 1 --seed 7 > day.ndjson")]
pub struct GenerateArgs {
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 10_000, conflicts_with = "days")]
    count: u64,
    /// All events of so many days instead
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: Option<u16>,
    /// Another number gives other events
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Runs it.
pub fn run(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    let output = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    write(args, output)?;
    Ok(ExitCode::SUCCESS)
}

fn write(args: &GenerateArgs, mut output: impl Write) -> io::Result<()> {
    let Some(days) = args.days else { return generate(args.count, args.seed, &mut output) };
    let end = FIRST_WEEK.plus(Span::days(i64::from(days)));
    let mut until = Until { output, end, is_over: false };
    match generate(u64::MAX, args.seed, &mut until) {
        Err(_) if until.is_over => until.output.flush(),
        done => done,
    }
}

/// Refuses the first event that is not before the end: events come in the order of their time.
struct Until<W> {
    output: W,
    end: Timestamp,
    is_over: bool,
}

impl<W: Write> Write for Until<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if time_of(bytes).is_some_and(|time| time >= self.end) {
            self.is_over = true;
            return Err(io::Error::other("the time is over"));
        }
        self.output.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn time_of(event: &[u8]) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Timed<'a> {
        #[serde(borrow)]
        created_at: std::borrow::Cow<'a, str>,
    }
    Timestamp::parse(&serde_json::from_slice::<Timed<'_>>(event).ok()?.created_at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: u64, days: Option<u16>) -> Vec<String> {
        let mut out = Vec::new();
        write(&GenerateArgs { count, days, seed: 1 }, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn days_end_when_they_end() {
        let day = lines(0, Some(1));
        assert!(day.len() > 100, "{}", day.len());
        assert!(day.last().unwrap().contains("2026-01-05T"), "{}", day.last().unwrap());
        let more = lines(day.len() as u64 + 1, None);
        assert_eq!(more[..day.len()], day);
        assert!(more.last().unwrap().contains("2026-01-06T"), "{}", more.last().unwrap());
    }
}
