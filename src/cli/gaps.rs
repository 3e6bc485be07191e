//! `watchfire gaps`: when events could have been missed, and what became of that time.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::author;
use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::terminal;
use crate::clock::Clock;
use crate::store::{Gap, GapState, NewGap};
use crate::time::{Span, Timestamp};

/// Options of `watchfire gaps`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each stop of the daemon is a gap for the sources that are posted to. What GitLab keeps is fetched afterwards by a \
source of type gitlab_api that has the source among its `fills`; what GitLab only streams (pushes, clones and others) \
nobody can fetch: for that the time stays a blind spot.

States: open, it will be filled; filled, everything is there; partly, what GitLab keeps is there; blind, nobody can \
be asked.

Examples:
  watchfire gaps --data-dir /var/lib/watchfire
  watchfire gaps --data-dir /var/lib/watchfire fill --from 2026-03-01T22:00:00Z --to 2026-03-02")]
pub struct GapsArgs {
    #[command(flatten)]
    data: DataDir,
    /// How many are listed, the newest first; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// table: for people, in words. ndjson: one object per gap
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
    #[command(subcommand)]
    command: Option<GapsCommand>,
}

#[derive(Debug, Subcommand)]
enum GapsCommand {
    /// Have the daemon fetch what happened in a time
    Fill {
        /// The beginning: a time, a date, or how long ago (-7d)
        #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
        from: Timestamp,
        /// The end; now without it
        #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
        to: Option<Timestamp>,
        /// The source that is missing something
        #[arg(long, value_name = "NAME", default_value = "gitlab")]
        source: String,
    },
}

/// A time, a date, or how long ago.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let now = Clock::system().now();
    match text.strip_prefix('-') {
        Some(ago) => ago.parse::<Span>().map(|span| now.minus(span)).map_err(|error| error.to_string()),
        None => Timestamp::parse(text).map_err(|error| error.to_string()),
    }
}

/// Lists gaps, or asks for one to be filled.
pub fn run(args: &GapsArgs) -> anyhow::Result<ExitCode> {
    if let Some(GapsCommand::Fill { from, to, source }) = &args.command {
        return fill(args, (*from, *to), source);
    }
    let gaps = args.data.store()?.gaps(args.limit)?;
    match args.format {
        ListFormat::Ndjson => super::print(&ndjson(&gaps)?)?,
        ListFormat::Table if gaps.is_empty() => {
            super::say("the record has no gaps: the daemon never stopped")
        }
        ListFormat::Table => super::print(&list(&gaps))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn fill(
    args: &GapsArgs,
    (from, to): (Timestamp, Option<Timestamp>),
    source: &str,
) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    let to = to.unwrap_or(now).min(now);
    if from >= to {
        return Err(
            super::Usage("the end must come after the beginning, which must be past".to_owned()).into()
        );
    }
    let store = args.data.store_to_write()?;
    let why = Some("asked for".to_owned());
    let gap = NewGap { source: source.to_owned(), from, to, asked: true, state: GapState::Open, why };
    let deed = author::deed("watchfire gaps fill", format!("source {source:?}, {from} to {to}"));
    let id = store.gap_ask(&gap, &deed)?.id;
    super::print(&format!(
        "gap {id}: a daemon whose configuration says who fills {source} does so with its next look; \
         `watchfire gaps` shows what came of it\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// One line for each gap, and one of what is known of it.
fn list(gaps: &[Gap]) -> String {
    let one = |gap: &Gap| {
        let lasted = Span(gap.to.since(gap.from).0 / 1000 * 1000);
        let cause = if gap.asked { "fetched anew," } else { "stopped for" };
        let fetched = match (gap.state, gap.filled) {
            (GapState::Blind, _) => String::new(),
            (_, 1) => ", 1 event fetched".to_owned(),
            (_, count) => format!(", {count} events fetched"),
        };
        let known = gap.why.as_deref().map(terminal::clean).unwrap_or_default();
        format!(
            "{} to {}  {}  {cause} {lasted}: {}{fetched}\n    {known}\n",
            to_second(gap.from),
            to_second(gap.to),
            gap.source,
            gap.state.name(),
        )
    };
    gaps.iter().map(one).collect()
}

fn to_second(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{}Z", text.get(..19).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::store::Store;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: GapsArgs,
    }

    #[test]
    fn gaps_are_told_in_words() {
        let from = Timestamp::parse("2026-03-01T22:00:00Z").unwrap();
        let gap = |id, state, why: &str| Gap {
            id,
            source: "gitlab".to_owned(),
            from,
            to: from.plus(Span::millis(5_400_250)),
            asked: id == 2,
            state,
            filled: 12,
            why: Some(why.to_owned()),
            updated_at: from,
        };
        let gaps = [gap(1, GapState::Partly, "blind for pushes"), gap(2, GapState::Open, "asked for")];
        insta::assert_snapshot!(list(&gaps), @r"
        2026-03-01T22:00:00Z to 2026-03-01T23:30:00Z  gitlab  stopped for 1h30m: partly, 12 events fetched
            blind for pushes
        2026-03-01T22:00:00Z to 2026-03-01T23:30:00Z  gitlab  fetched anew, 1h30m: open, 12 events fetched
            asked for
        ");
    }

    #[test]
    fn a_time_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let data = dir.path().to_str().unwrap();
        let line = |more: &[&str]| {
            let words = [&["gaps", "--data-dir", data, "fill"], more].concat();
            run(&Line::parse_from(words).args)
        };
        line(&["--from", "2026-03-01", "--to", "2026-03-02T10:00:00Z"]).unwrap();
        line(&["--from", "-2h", "--source", "other"]).unwrap();
        assert!(line(&["--from", "2026-03-03", "--to", "2026-03-02"]).is_err());
        let open = store.gaps_open().unwrap();
        assert_eq!(open.len(), 2);
        assert_eq!((open[0].source.as_str(), open[0].asked), ("gitlab", true));
        // The beginning and the end are read from the clock one after the other.
        let length = open[1].to.since(open[1].from);
        assert!((Span::hours(2)..Span::hours(3)).contains(&length), "{length:?}");
    }
}
