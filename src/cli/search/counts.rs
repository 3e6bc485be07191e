//! How many events there are, of whom, and when.

use std::fmt::Write as _;

use serde_json::json;

use super::SearchArgs;
use crate::cli::found::OutputFormat;
use crate::cli::{Usage, table, terminal};
use crate::query::Query;
use crate::search::{Count, GROUPS_MAX, Groups, Parts, Searcher, Series, Unit};
use crate::time::Timestamp;

/// Empty stretches are shown too, if there are no more than so many in all.
const STRETCHES_SHOWN: usize = 2000;
/// The longest bar.
const BAR: u64 = 40;

/// What was asked for instead of events, as it is printed; none if events were.
pub(super) fn run<P: Parts>(
    args: &SearchArgs,
    searcher: &mut Searcher<P>,
    query: &Query,
) -> anyhow::Result<Option<String>> {
    let is_asked = args.count || args.count_by.is_some() || args.per.is_some();
    if is_asked && args.format == OutputFormat::Raw {
        return Err(Usage("numbers have no raw form; write --format ndjson or csv".to_owned()).into());
    }
    Ok(if args.count {
        Some(count(searcher.count(query)?, args.format))
    } else if let Some(field) = &args.count_by {
        let top = if args.limit == 0 { usize::MAX } else { args.limit };
        let counted = searcher.count_by(query, field, top)?;
        // Where every line is a group, there is no room for it.
        if !matches!(args.format, OutputFormat::Table | OutputFormat::Raw)
            && let Some(others) = left_out(&counted)
        {
            crate::cli::say(&others);
        }
        Some(groups(&counted, field, args.format)?)
    } else if let Some(unit) = args.per {
        Some(series(&searcher.per(query, unit)?, unit, args.format)?)
    } else {
        None
    })
}

fn count(count: Count, format: OutputFormat) -> String {
    match format {
        OutputFormat::Ndjson => {
            format!("{}\n", json!({"events": count.events, "complete": count.is_complete}))
        }
        OutputFormat::Csv => format!("events,complete\r\n{},{}\r\n", count.events, count.is_complete),
        OutputFormat::Table | OutputFormat::Raw => format!("{}\n", total(count)),
    }
}

fn total(count: Count) -> String {
    let events = if count.events == 1 { "event" } else { "events" };
    match count.is_complete {
        true => format!("{} {events}", count.events),
        false => format!(
            "at least {} {events}: too many had to be looked at one by one; ask for a shorter time",
            count.events
        ),
    }
}

/// Which values are not listed; none if all are.
fn left_out(groups: &Groups) -> Option<String> {
    let more = groups.other_values;
    let how = match groups.groups.len() < GROUPS_MAX {
        true => "--limit 0 shows all".to_owned(),
        false => format!("no more than {GROUPS_MAX} are listed"),
    };
    // A lower bound where not all could be told apart.
    let values = if more == 1 { "value" } else { "values" };
    (more > 0).then(|| format!("{more} more {values}; {how}"))
}

fn groups(groups: &Groups, field: &str, format: OutputFormat) -> anyhow::Result<String> {
    let mut text = String::new();
    let complete = groups.total.is_complete;
    let objects = || {
        let groups = groups.groups.iter();
        groups.map(|group| json!({"value": group.value, "events": group.events, "complete": complete}))
    };
    match format {
        OutputFormat::Ndjson => {
            for object in objects() {
                writeln!(text, "{object}")?;
            }
        }
        OutputFormat::Csv => text = csv(&["value", "events", "complete"], objects())?,
        OutputFormat::Table | OutputFormat::Raw => {
            let mut rows: Vec<Vec<String>> = groups
                .groups
                .iter()
                .map(|group| vec![group.events.to_string(), group.value.clone()])
                .collect();
            if let Some(others) = left_out(groups) {
                rows.push(vec![groups.other_events.to_string(), format!("({others})")]);
            }
            let heading = field.to_uppercase();
            text = table::table(&["EVENTS", &heading], &rows, &[0], terminal::width());
            writeln!(text, "{}", total(groups.total))?;
        }
    }
    Ok(text)
}

fn series(series: &Series, unit: Unit, format: OutputFormat) -> anyhow::Result<String> {
    let mut text = String::new();
    let stretches = filled(series, unit);
    let complete = series.total.is_complete;
    let objects = || {
        let object = |(start, events): &(Timestamp, u64)| json!({"start": label(*start, unit), "events": events, "complete": complete});
        stretches.iter().map(object)
    };
    match format {
        OutputFormat::Ndjson => {
            for object in objects() {
                writeln!(text, "{object}")?;
            }
        }
        OutputFormat::Csv => text = csv(&["start", "events", "complete"], objects())?,
        OutputFormat::Table | OutputFormat::Raw => {
            let most = stretches.iter().map(|(_, events)| *events).max().unwrap_or(0).max(1);
            let bar = |events: u64| "▇".repeat(usize::try_from((events * BAR).div_ceil(most)).unwrap_or(0));
            let rows: Vec<Vec<String>> = stretches
                .iter()
                .map(|(start, events)| vec![label(*start, unit), events.to_string(), bar(*events)])
                .collect();
            let heading = unit.name().to_uppercase();
            text = table::table(&[&heading, "EVENTS", ""], &rows, &[0, 1], terminal::width());
            writeln!(text, "{}", total(series.total))?;
        }
    }
    Ok(text)
}

/// With the empty stretches in between.
fn filled(series: &Series, unit: Unit) -> Vec<(Timestamp, u64)> {
    let mut filled = Vec::new();
    let mut expected: Option<Timestamp> = None;
    for (start, events) in &series.stretches {
        while let Some(empty) = expected.filter(|expected| expected < start) {
            if filled.len() >= STRETCHES_SHOWN {
                return series.stretches.clone();
            }
            filled.push((empty, 0));
            expected = Some(unit.next(empty));
        }
        filled.push((*start, *events));
        expected = Some(unit.next(*start));
    }
    filled
}

/// No more of the time than the unit needs.
fn label(start: Timestamp, unit: Unit) -> String {
    let text = start.to_string();
    let length = match unit {
        Unit::Hour => 16,
        Unit::Day | Unit::Week => 10,
        Unit::Month => 7,
    };
    text.get(..length).unwrap_or(&text).to_owned()
}

fn csv(columns: &[&str], rows: impl Iterator<Item = serde_json::Value>) -> anyhow::Result<String> {
    let rows: Vec<_> = rows.filter_map(|row| row.as_object().cloned()).collect();
    let mut bytes = crate::query::format::csv_heading(columns)?;
    bytes.extend(crate::query::format::csv_rows(&rows, columns)?);
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Group;

    fn some_groups() -> Groups {
        let group = |value: &str, events| Group { value: value.to_owned(), events };
        Groups {
            groups: vec![group("Ada", 12), group("=cmd()", 3)],
            other_values: 2,
            other_events: 4,
            total: Count { events: 19, is_complete: true },
        }
    }

    fn some_series() -> Series {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        Series {
            stretches: vec![(at("2026-03-01"), 4), (at("2026-03-04"), 1), (at("2026-03-05"), 80)],
            total: Count { events: 85, is_complete: false },
        }
    }

    #[test]
    fn groups_are_listed() {
        insta::assert_snapshot!(groups(&some_groups(), "author", OutputFormat::Table).unwrap(), @r"
        EVENTS  AUTHOR
        12      Ada
        3       =cmd()
        4       (2 more values; --limit 0 shows all)
        19 events
        ");
        insta::assert_snapshot!(groups(&some_groups(), "author", OutputFormat::Ndjson).unwrap(), @r#"
        {"complete":true,"events":12,"value":"Ada"}
        {"complete":true,"events":3,"value":"=cmd()"}
        "#);
        let csv = groups(&some_groups(), "author", OutputFormat::Csv).unwrap();
        assert_eq!(csv, "value,events,complete\r\nAda,12,true\r\n'=cmd(),3,true\r\n");
        let mut cut = Groups { total: Count { events: 19, is_complete: false }, ..some_groups() };
        let csv = groups(&cut, "author", OutputFormat::Csv).unwrap();
        assert!(csv.contains("Ada,12,false"), "{csv}");
        assert!(groups(&cut, "author", OutputFormat::Ndjson).unwrap().contains(r#""complete":false"#));
        // What cannot be shown is not promised.
        cut.groups = vec![Group { value: "a".to_owned(), events: 1 }; GROUPS_MAX];
        assert_eq!(left_out(&cut).unwrap(), "2 more values; no more than 10000 are listed");
    }

    #[test]
    fn days_are_drawn() {
        insta::assert_snapshot!(series(&some_series(), Unit::Day, OutputFormat::Table).unwrap(), @r"
        DAY         EVENTS
        2026-03-01  4       ▇▇
        2026-03-02  0
        2026-03-03  0
        2026-03-04  1       ▇
        2026-03-05  80      ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇
        at least 85 events: too many had to be looked at one by one; ask for a shorter time
        ");
        let csv = series(&some_series(), Unit::Month, OutputFormat::Csv).unwrap();
        assert!(csv.starts_with("start,events,complete\r\n2026-03,4,false\r\n"), "{csv}");
        assert_eq!(count(Count { events: 1, is_complete: true }, OutputFormat::Table), "1 event\n");
    }
}
