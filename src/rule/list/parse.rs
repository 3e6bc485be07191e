//! From a list file's text to its columns.

use super::{CELL_BYTES_MAX, COLUMNS_MAX, List, ListError, ROWS_MAX};
use crate::rule::report::Report;
use crate::rule::yaml::{self, Content, Key, ScalarKind, Yaml};

fn fault<T>(line: impl Into<u64>, reason: impl Into<String>) -> Result<T, ListError> {
    Err(ListError::Content { line: line.into(), reason: reason.into() })
}

/// Columns in the making.
struct Columns {
    named: Vec<(String, Vec<String>)>,
    rows: usize,
}

impl Columns {
    fn row(&mut self) -> Result<(), ListError> {
        self.rows += 1;
        if self.rows > ROWS_MAX { Err(ListError::TooLong) } else { Ok(()) }
    }

    /// The value of the row that was begun last.
    fn put(&mut self, column: usize, value: String, line: u64) -> Result<(), ListError> {
        if value.len() > CELL_BYTES_MAX {
            return fault(
                line,
                format!("a value has {} bytes; at most {CELL_BYTES_MAX} are read", value.len()),
            );
        }
        if let Some((_, cells)) = self.named.get_mut(column) {
            cells.resize(self.rows - 1, String::new());
            cells.push(value);
        }
        Ok(())
    }

    fn add(&mut self, name: &str, line: u64) -> Result<usize, ListError> {
        check_name(name, line)?;
        if self.named.iter().any(|(known, _)| known == name) {
            return fault(line, format!("the column `{name}` stands here twice"));
        }
        if self.named.len() == COLUMNS_MAX {
            return fault(line, format!("more than {COLUMNS_MAX} columns"));
        }
        self.named.push((name.to_owned(), Vec::new()));
        Ok(self.named.len() - 1)
    }

    fn finish(self) -> List {
        let rows = self.rows;
        let columns = self.named.into_iter().map(|(name, mut cells)| {
            cells.resize(rows, String::new());
            (name, cells.into())
        });
        List::table(columns.collect())
    }
}

/// A column's name stands in fields (`author.team`) and placeholders (`%people.team%`). A value that was taken for a
/// name mostly is none, which shows a forgotten first line.
fn check_name(name: &str, line: u64) -> Result<(), ListError> {
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if is_name {
        return Ok(());
    }
    let reason = match name {
        "" => "a column has no name".to_owned(),
        name => format!("`{name}` cannot be the name of a column"),
    };
    let help = "the first row must name the columns, with letters, digits, `_` and `-`";
    fault(line, format!("{reason}: {help}"))
}

pub(super) fn text(text: &str) -> Result<List, ListError> {
    let mut columns = Columns { named: vec![(String::new(), Vec::new())], rows: 0 };
    for (line, number) in text.lines().map(str::trim).zip(1u64..) {
        if !line.is_empty() && !line.starts_with('#') {
            columns.row()?;
            columns.put(0, line.to_owned(), number)?;
        }
    }
    Ok(columns.finish())
}

pub(super) fn csv(text: &str) -> Result<List, ListError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut columns = Columns { named: Vec::new(), rows: 0 };
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                return fault(line, format!("not valid CSV: {error}"));
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let is_blank = record.iter().all(str::is_empty);
        if columns.named.is_empty() {
            if !is_blank {
                for (index, name) in record.iter().enumerate() {
                    let name = if index == 0 { name.trim_start_matches('#').trim() } else { name };
                    columns.add(name, line)?;
                }
            }
            continue;
        }
        if is_blank || record.get(0).is_some_and(|first| first.starts_with('#')) {
            continue;
        }
        if record.len() > columns.named.len() {
            let (here, named) = (record.len(), columns.named.len());
            let reason = format!(
                "{here} values, but the first row names {named} columns: quote a value that has a comma in it"
            );
            return fault(line, reason);
        }
        columns.row()?;
        for (index, value) in record.iter().enumerate() {
            columns.put(index, value.to_owned(), line)?;
        }
    }
    Ok(columns.finish())
}

pub(super) fn yaml(text: &str) -> Result<List, ListError> {
    let mut report = Report::new("".into());
    let mut documents = yaml::parse(text, &mut report);
    if let Some(first) = report.into_diagnostics().into_iter().next() {
        return fault(first.line, first.message);
    }
    let Some(document) = documents.pop() else { return Ok(List::plain(Vec::new())) };
    if !documents.is_empty() {
        return fault(document.root.place.line, "a list file must be one YAML document");
    }
    let Content::List(items) = document.root.content else {
        return fault(document.root.place.line, "a list file must be one YAML list");
    };
    let is_table = items.first().is_some_and(|item| item.entries().is_some());
    let named = if is_table { Vec::new() } else { vec![(String::new(), Vec::new())] };
    let mut columns = Columns { named, rows: 0 };
    for item in items {
        let line = item.place.line;
        columns.row()?;
        match item.content {
            Content::Map(entries) if is_table => row(entries, &mut columns)?,
            Content::Scalar(scalar) if !is_table && scalar.kind != ScalarKind::Null => {
                columns.put(0, scalar.text, line.into())?;
            }
            _ if is_table => return fault(line, "each item must be a map, as the first one is"),
            _ => return fault(line, "each item of a list must be a text or a number, or each a map"),
        }
    }
    Ok(columns.finish())
}

/// One map of a list; keys that come first in a later one are columns too.
fn row(entries: Vec<(Key, Yaml)>, columns: &mut Columns) -> Result<(), ListError> {
    for (key, value) in entries {
        let line = key.place.line.into();
        let known = columns.named.iter().position(|(name, _)| *name == key.text);
        let column = known.map_or_else(|| columns.add(&key.text, line), Ok)?;
        match value.content {
            Content::Scalar(scalar) if scalar.kind == ScalarKind::Null => {}
            Content::Scalar(scalar) => columns.put(column, scalar.text, line)?,
            Content::Map(_) | Content::List(_) => {
                return fault(line, format!("`{}` must be a text or a number", key.text));
            }
        }
    }
    Ok(())
}
