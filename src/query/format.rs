//! Found events as a table for people, as NDJSON for programs, as CSV for spreadsheets.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A column of the table: its heading, its field, and the width below which it is not cut.
type Column = (&'static str, &'static str, usize);

const COLUMNS: [Column; 6] = [
    ("TIME", "created_at", 20),
    ("EVENT", "event_type", 12),
    ("AUTHOR", "author_name", 8),
    ("ENTITY", "entity_path", 8),
    ("TARGET", "target_details", 8),
    ("IP", "ip_address", 7),
];
const GAP: usize = 2;
/// No cell is wider, however wide the terminal.
const CELL_MAX: usize = 60;

/// The columns of [`csv()`].
pub const CSV_COLUMNS: [&str; 16] = [
    "created_at",
    "source",
    "id",
    "event_type",
    "category",
    "tier",
    "author_id",
    "author_name",
    "entity_id",
    "entity_type",
    "entity_path",
    "target_type",
    "target_details",
    "ip_address",
    "correlation_id",
    "details",
];

/// Canonical events as a table with a heading, no line wider than `width` characters as long as the columns'
/// least widths fit; longer text is cut and ends in `…`. Control characters become spaces, so that an event
/// cannot drive the terminal.
#[must_use]
pub fn table(events: &[Map<String, Value>], width: usize) -> String {
    let mut rows = vec![COLUMNS.map(|(heading, ..)| heading.to_owned())];
    rows.extend(events.iter().map(|event| COLUMNS.map(|(_, field, _)| cell(event, field))));
    let widths = fit(natural_widths(&rows), width);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{:<width$}{:GAP$}", cut(cell, width), "");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Canonical events, one JSON object on each line.
#[must_use]
pub fn ndjson(events: &[Map<String, Value>]) -> String {
    let mut text = String::new();
    for event in events {
        // Writing JSON values into a string cannot fail.
        text.push_str(&serde_json::to_string(event).unwrap_or_default());
        text.push('\n');
    }
    text
}

/// Canonical events as CSV (RFC 4180) with a heading, the columns [`CSV_COLUMNS`]; see [`csv_rows`].
///
/// # Errors
///
/// The writer ran out of memory; it writes nowhere else.
pub fn csv(events: &[Map<String, Value>]) -> Result<Vec<u8>, csv::Error> {
    let mut bytes = csv_heading(&CSV_COLUMNS)?;
    bytes.extend(csv_rows(events, &CSV_COLUMNS)?);
    Ok(bytes)
}

/// The heading over [`csv_rows`] of these columns.
///
/// # Errors
///
/// As [`csv()`].
pub fn csv_heading(columns: &[&str]) -> Result<Vec<u8>, csv::Error> {
    records(std::iter::once(columns.iter().map(|name| defused(name).into_owned()).collect()))
}

/// Canonical events as CSV without a heading. A column is a field, with dots into objects; objects and arrays are
/// written as JSON. A cell that a spreadsheet would run as a formula gets a `'` in front (OWASP, "CSV Injection").
///
/// # Errors
///
/// As [`csv()`].
pub fn csv_rows(events: &[Map<String, Value>], columns: &[&str]) -> Result<Vec<u8>, csv::Error> {
    let row = |event: &Map<String, Value>| {
        columns.iter().map(|path| defused(&value_text(value_at(event, path))).into_owned()).collect()
    };
    records(events.iter().map(row))
}

/// Rows as CSV (RFC 4180). A cell that a spreadsheet would run as a formula gets a `'` in front.
///
/// # Errors
///
/// As [`csv()`].
pub fn csv_table(rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>, csv::Error> {
    records(rows.map(|row| row.iter().map(|cell| defused(cell).into_owned()).collect()))
}

fn records(rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

/// The value at a path; a name with dots in it goes before a path.
fn value_at<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    object.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        value_at(object.get(first)?.as_object()?, rest)
    })
}

fn defused(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

fn value_text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn cell(event: &Map<String, Value>, field: &str) -> String {
    let mut text = value_text(event.get(field));
    if field == "created_at" {
        // Milliseconds help nobody who reads a table.
        if let Some((seconds, _)) = text.split_once('.') {
            text = format!("{seconds}Z");
        }
    }
    if field == "author_name" {
        let id = value_text(event.get("author_id"));
        text = match (text.is_empty(), id.is_empty()) {
            (_, true) => text,
            (true, false) => id,
            (false, false) => format!("{text} ({id})"),
        };
    }
    text.chars().map(|letter| if is_unprintable(letter) { ' ' } else { letter }).collect()
}

/// Control characters, and those that turn the direction of the text around them.
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn natural_widths(rows: &[[String; COLUMNS.len()]]) -> [usize; COLUMNS.len()] {
    let mut widths = [0; COLUMNS.len()];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count().min(CELL_MAX));
        }
    }
    widths
}

/// Takes from the widest column that may still give, until all fit.
fn fit(mut widths: [usize; COLUMNS.len()], total: usize) -> [usize; COLUMNS.len()] {
    let room = total.saturating_sub(GAP * (COLUMNS.len() - 1));
    while widths.iter().sum::<usize>() > room {
        let least = COLUMNS.map(|(_, _, least)| least);
        let widest = widths.iter_mut().zip(least).filter(|(width, least)| **width > *least);
        let Some((width, _)) = widest.max_by_key(|(width, _)| **width) else { break };
        *width -= 1;
    }
    widths
}

fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    Cow::Owned(format!("{kept}…"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events() -> Vec<Map<String, Value>> {
        let texts = [
            json!({"created_at": "2026-01-31T09:00:00.123Z", "event_type": "project_destroyed", "author_id": 7,
                   "author_name": "ada", "entity_path": "group/a-very-long-project-name-indeed/and-more",
                   "target_details": "x\u{1b}[31m\ny", "ip_address": "10.0.0.1", "details": {"a": [1]}}),
            json!({"created_at": "2026-01-31T09:00:01.000Z", "event_type": "=cmd()", "author_id": -3,
                   "target_details": "say \"hi\", you", "entity_path": null}),
        ];
        texts.into_iter().map(|value| value.as_object().unwrap().clone()).collect()
    }

    #[test]
    fn tables_are_aligned_and_cut() {
        insta::assert_snapshot!(table(&events(), 90), @r#"
        TIME                  EVENT             AUTHOR   ENTITY            TARGET         IP
        2026-01-31T09:00:00Z  project_destroy…  ada (7)  group/a-very-lo…  x [31m y       10.0.0.1
        2026-01-31T09:00:01Z  =cmd()            -3                         say "hi", you
        "#);
        let narrow = table(&events(), 10);
        assert_eq!(narrow.lines().count(), 3);
        for width in [73, 80, 100, 200] {
            let wide = table(&events(), width);
            assert!(wide.lines().all(|line| line.chars().count() <= width), "{width}:\n{wide}");
        }
        assert!(!table(&events(), 200).contains('\u{1b}'));
        assert_eq!(table(&[], 80), "TIME  EVENT  AUTHOR  ENTITY  TARGET  IP\n");
    }

    #[test]
    fn csv_reads_back_and_starts_no_formula() {
        let bytes = csv(&events()).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        assert!(reader.headers().unwrap().iter().eq(CSV_COLUMNS));
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let at = |row: usize, field: &str| {
            let column = CSV_COLUMNS.iter().position(|known| *known == field).unwrap();
            rows[row][column].to_owned()
        };
        assert_eq!(at(0, "details"), "{\"a\":[1]}");
        assert_eq!(at(0, "target_details"), "x\u{1b}[31m\ny");
        assert_eq!(at(1, "target_details"), "say \"hi\", you");
        assert_eq!(at(1, "event_type"), "'=cmd()");
        assert_eq!(at(1, "author_id"), "'-3");
        assert_eq!(at(1, "entity_path"), "");
        for start in ["=", "+", "-", "@", "\t", "\r"] {
            assert_eq!(defused(&format!("{start}x")), format!("'{start}x"));
        }
    }

    #[test]
    fn columns_are_chosen_by_path() {
        let columns = ["author_id", "details.a", "details.b", "=x"];
        let mut bytes = csv_heading(&columns).unwrap();
        bytes.extend(csv_rows(&events(), &columns).unwrap());
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "author_id,details.a,details.b,'=x\r\n7,[1],,\r\n'-3,,,\r\n");
    }

    #[test]
    fn ndjson_is_the_event() {
        let text = ndjson(&events());
        let read: Vec<Map<String, Value>> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, events());
    }
}
