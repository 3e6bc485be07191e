//! `watchfire test`: runs the tests that stand in rules, with the daemon's own engine.

mod alike;
mod close;
mod coverage;
mod report;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::rules;
use super::terminal::Paint;
use crate::clock::Clock;
use coverage::Coverage;
use report::Report;
use run::Runner;

/// Options of `watchfire test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each test in a rule's `tests` gives events and the alerts they must raise, no more and no fewer; the order does not \
count. The events are decoded and judged as the daemon does it, by all rules that are given, so that correlations see \
the rules they are over.

An expected alert names fields of its key, such as `author_id: 7`; also `level`, `title`, `value`, `findings`, a part \
of its `reason`, another `rule`, or any field of the event that completed it.

Examples:
  watchfire test rules
  watchfire test rules --coverage
  watchfire test rules --lists lists --format junit > tests.xml")]
pub struct TestArgs {
    /// Rule files or folders
    #[arg(value_name = "PATH", required_unless_present = "config")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    judge: rules::JudgeArgs,
    /// How results are written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Show which selections and tests of fields no test has seen match, or not match
    #[arg(long)]
    coverage: bool,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// What failed and how, for people.
    Text,
    /// One object.
    Json,
    /// JUnit's XML, for CI.
    Junit,
}

/// Exit code 1 when a test failed or a rule could not be read.
pub fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    let basis = args.judge.settle(&args.paths)?;
    let reading = basis.read(now)?;
    let runner = Runner::new(&reading.rules, basis.limits);
    let report = Report::new(&runner);
    let paint = Paint::stdout();
    super::print(&match args.format {
        Format::Text => report.text(paint),
        Format::Json => report.json()?,
        Format::Junit => report.junit(),
    })?;
    if args.coverage {
        let coverage = Coverage::of(&runner, &reading)?;
        super::print(&match args.format {
            Format::Json => format!("{}\n", coverage.json()),
            Format::Text | Format::Junit => coverage.text(),
        })?;
    }
    let is_good = report.failed() == 0 && !reading.has_errors();
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests;
