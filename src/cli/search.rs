//! `watchfire search`: events out of the daemon's log, also while it runs; how many there are, of whom, and when.

mod counts;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::data::{self, DataDir};
use super::found::{Output, OutputFormat};
use super::rules::ShowArgs;
use super::terminal;
use crate::clock::Clock;
use crate::event::Format;
use crate::query::Query;
use crate::rule::closest;
use crate::search::{Cursor, Order, Parts, Searcher, Unit};

/// Options of `watchfire search`.
#[derive(Debug, Args)]
#[command(after_help = "\
A query is made of terms; all must fit. An empty query finds everything.
  word  \"some words\"  wor*                    whole words, anywhere in the event
  field:value  field:\"a value\"  field:rel*se   a field's value; case never counts
  details.from:30                             dots go into objects
  field:>5  field:5..9  field:*               compared; between; there at all
  created:>=2026-01-01  created:-7d           in time, UTC; relative to now
  ip:10.0.0.0/8  country:de                   an address in a network, in a country
  a OR b  -a  ( … )                           either; not; grouped
Short names: author, type, entity, target, ip, created, country.

Examples:
  watchfire search 'author:alice created:-1d' --data-dir /var/lib/watchfire
  watchfire search 'type:project_destroyed OR tier:secret' --data-dir D --format csv --limit 0
  watchfire search 'tier:destructive created:-30d' --data-dir D --count-by author
  watchfire search 'ip:203.0.113.0/24 -author_name:alice' --data-dir D --per day")]
pub struct SearchArgs {
    /// What to look for
    #[arg(default_value = "")]
    query: String,
    #[command(flatten)]
    data: DataDir,
    /// table: for people. ndjson: the event as one object. csv: for spreadsheets. raw: the sender's bytes
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
    /// At most so many events, or values with --count-by; 0: all, but no more than 10,000 values
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Begin with the event that came first
    #[arg(long)]
    oldest_first: bool,
    /// Go on where an earlier search ended, which said this text
    #[arg(long, value_name = "TEXT")]
    cursor: Option<String>,
    /// Only how many there are
    #[arg(long, conflicts_with_all = ["count_by", "per", "cursor"])]
    count: bool,
    /// How many there are of each value of a field, the most frequent first
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["per", "cursor"])]
    count_by: Option<String>,
    /// How many there are in each hour, day, week or month (UTC)
    #[arg(long, value_name = "UNIT", value_parser = parse_unit, conflicts_with = "cursor")]
    per: Option<Unit>,
    #[command(flatten)]
    show: ShowArgs,
}

fn parse_unit(name: &str) -> Result<Unit, String> {
    let names = Unit::ALL.map(Unit::name).join(", ");
    let found = Unit::ALL.into_iter().find(|unit| unit.name() == name);
    found.ok_or_else(|| format!("no such unit; there are {names}"))
}

/// Prints what is found as it is found.
pub fn run(args: &SearchArgs) -> anyhow::Result<ExitCode> {
    let query = Query::parse(&args.query, Clock::system().now());
    let query = query.map_err(|error| super::Usage(error.to_string()))?;
    let mut searcher = args.data.searcher(args.show.catalogue()?)?;
    if let Some(text) = counts::run(args, &mut searcher, &query)? {
        super::print(&text)?;
        data::say_damaged(&mut searcher);
        return Ok(ExitCode::SUCCESS);
    }
    let mut output = Output::new(io::BufWriter::new(io::stdout().lock()), args.format, terminal::width());
    let order = if args.oldest_first { Order::OldestFirst } else { Order::NewestFirst };
    let start = args.cursor.as_deref().map(Cursor::parse).transpose();
    let start = start.map_err(|error| super::Usage(error.to_string()))?;
    let (count, next) = search(&mut searcher, &query, (start, args.limit, order), &mut output)?;
    output.writer.flush()?;
    data::say_damaged(&mut searcher);
    match next {
        _ if args.format != OutputFormat::Table => {}
        None if count == 0 => super::say(&hint(&args.query, &query, &mut searcher)?),
        None => {}
        Some(next) => super::say(&format!(
            "the first {count}; --cursor {next} shows those that follow, --limit 0 shows all"
        )),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes found events, at most so many (0: all); answers how many, and where those that follow begin.
fn search<P: Parts, W: Write>(
    searcher: &mut Searcher<P>,
    query: &Query,
    (mut cursor, limit, order): (Option<Cursor>, usize, Order),
    output: &mut Output<W>,
) -> anyhow::Result<(usize, Option<Cursor>)> {
    let mut count = 0;
    loop {
        let left = if limit == 0 { usize::MAX } else { limit - count };
        let page = searcher.page(query, cursor, (left.min(output.rows()), order))?;
        count += page.events.len();
        output.write(page.events)?;
        cursor = page.next;
        if cursor.is_none() || (limit > 0 && count >= limit) {
            return Ok((count, cursor));
        }
    }
}

/// Why nothing may have been found.
fn hint<P: Parts>(text: &str, query: &Query, searcher: &mut Searcher<P>) -> anyhow::Result<String> {
    let Some(newest) = searcher.newest()?.map(|event| event.time) else {
        return Ok("nothing found: the log is empty".to_owned());
    };
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
    let own = ["category", "tier", "source", "forge", "received_at", "position", "details", "geo"];
    let short = ["author", "type", "entity", "target", "ip", "created", "country"];
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
    use serde_json::Value;

    use super::*;
    use crate::event::Catalogue;
    use crate::time::Timestamp;

    fn event(number: u32, kind: &str) -> String {
        let (day, hour) = (1 + number / 24, number % 24);
        format!(
            r#"{{"id":"e{number}","created_at":"2026-01-{day:02}T{hour:02}:00:00Z","event_type":"{kind}","author_id":7,"entity_id":1}}"#
        )
    }

    fn data_dir(count: u32) -> tempfile::TempDir {
        let kind = |number| if number % 2 == 0 { "user_created" } else { "user_destroyed" };
        let events: Vec<String> = (1..=count).map(|number| event(number, kind(number))).collect();
        crate::cli::testing::data_dir(&events)
    }

    type Which<'a> = (&'a str, Order, usize, Option<Cursor>);

    fn found(dir: &std::path::Path, format: OutputFormat, which: Which<'_>) -> (String, Option<Cursor>) {
        let (text, order, limit, cursor) = which;
        let mut searcher = data::searcher(dir, Catalogue::built_in().into()).unwrap();
        let query = Query::parse(text, Timestamp(0)).unwrap();
        let mut output = Output::new(Vec::new(), format, 80);
        let (_, next) = search(&mut searcher, &query, (cursor, limit, order), &mut output).unwrap();
        (String::from_utf8(output.writer).unwrap(), next)
    }

    #[test]
    fn every_format_has_one_heading_and_each_event_once() {
        let dir = data_dir(250);
        for (format, heading) in [(OutputFormat::Table, 1), (OutputFormat::Ndjson, 0), (OutputFormat::Csv, 1)]
        {
            let lines = |which| found(dir.path(), format, which).0.lines().count();
            assert_eq!(lines(("", Order::NewestFirst, 0, None)), 250 + heading, "{format:?}");
            assert_eq!(
                lines(("type:user_created", Order::NewestFirst, 70, None)),
                70 + heading,
                "{format:?}"
            );
        }
        let which = ("user_destroyed", Order::OldestFirst, 1, None);
        assert_eq!(found(dir.path(), OutputFormat::Raw, which).0.trim_end(), event(1, "user_destroyed"));
        let object: Value = serde_json::from_str(&found(dir.path(), OutputFormat::Ndjson, which).0).unwrap();
        assert_eq!((&object["position"], &object["source"]), (&1.into(), &"gitlab".into()));
        let nothing = found(dir.path(), OutputFormat::Table, ("author_id:8", Order::NewestFirst, 0, None));
        assert_eq!(nothing, (String::new(), None));
    }

    #[test]
    fn the_log_is_searched_from_either_end() {
        let dir = data_dir(9 * 24);
        let ids = |text: &str, order: Order, limit: usize, cursor: Option<Cursor>| {
            let (text, next) = found(dir.path(), OutputFormat::Ndjson, (text, order, limit, cursor));
            let id = |line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
            (text.lines().map(id).collect::<Vec<_>>().join(" "), next)
        };
        let (newest, next) = ids("created:<2026-01-05", Order::NewestFirst, 3, None);
        assert_eq!(newest, "e95 e94 e93");
        assert_eq!(ids("created:<2026-01-05", Order::NewestFirst, 2, next).0, "e92 e91");
        assert_eq!(ids("", Order::OldestFirst, 3, None).0, "e1 e2 e3");
        let days = "type:user_created created_at:2026-01-02T00:00..2026-01-02T03:30";
        assert_eq!(ids(days, Order::OldestFirst, 0, None).0, "e24 e26");
        let mut searcher = data::searcher(dir.path(), Catalogue::built_in().into()).unwrap();
        let query = Query::parse("autor_id:7 created_at:>2026-02", Timestamp(0)).unwrap();
        let hint = hint("autor_id:7 created_at:>2026-02", &query, &mut searcher).unwrap();
        assert!(hint.contains("did you mean `author_id`?"), "{hint}");
        assert!(hint.contains("the newest event in the log is of 2026-01-10T00:00:00.000Z"), "{hint}");
        assert!(data::searcher(&dir.path().join("log"), Catalogue::built_in().into()).is_err());
    }

    #[test]
    fn mistyped_fields_are_noticed() {
        assert_eq!(
            slips("autor_id:7 (-evnt_type:x details.x:1 \"a:b\")"),
            [("autor_id".to_owned(), "author_id"), ("evnt_type".to_owned(), "event_type"),]
        );
        assert!(slips("author:x ip:1 country:de word https://x").is_empty());
    }
}
