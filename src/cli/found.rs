//! Found events on the standard output, as they are found.

use std::borrow::Cow;
use std::io::Write;

use serde_json::{Map, Value};

use crate::query::format;
use crate::search::Found;

/// How found events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Table,
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180.
    Csv,
    /// The bytes as the sender wrote them, one event a line: line ends between its tokens become spaces.
    Raw,
}

impl OutputFormat {
    /// How many events are written together: a table's columns are as wide as its rows need.
    const fn rows(self) -> usize {
        match self {
            Self::Table => 200,
            Self::Ndjson | Self::Csv | Self::Raw => 64,
        }
    }
}

/// Writes found events; the heading only once.
pub(super) struct Output<W> {
    pub(super) writer: W,
    format: OutputFormat,
    width: usize,
    has_heading: bool,
}

impl<W: Write> Output<W> {
    pub(super) const fn new(writer: W, format: OutputFormat, width: usize) -> Self {
        Self { writer, format, width, has_heading: false }
    }

    /// How many events to write together.
    pub(super) const fn rows(&self) -> usize {
        self.format.rows()
    }

    /// Writes some events.
    pub(super) fn write(&mut self, found: Vec<Found>) -> anyhow::Result<()> {
        if self.format == OutputFormat::Raw {
            for found in found {
                self.writer.write_all(&on_one_line(&found.event.raw))?;
                self.writer.write_all(b"\n")?;
            }
            return Ok(self.writer.flush()?);
        }
        let shown: Vec<Map<String, Value>> = found.into_iter().map(|found| found.shown).collect();
        let bytes = match self.format {
            OutputFormat::Ndjson => format::ndjson(&shown).into_bytes(),
            OutputFormat::Csv => format::csv(&shown)?,
            OutputFormat::Table if shown.is_empty() => Vec::new(),
            OutputFormat::Table => format::table(&shown, self.width).into_bytes(),
            OutputFormat::Raw => Vec::new(),
        };
        let skipped = match self.format {
            OutputFormat::Ndjson => 0,
            _ if !self.has_heading => 0,
            _ => memchr::memchr(b'\n', &bytes).map_or(0, |end| end + 1),
        };
        self.has_heading |= !bytes.is_empty();
        self.writer.write_all(bytes.get(skipped..).unwrap_or_default())?;
        Ok(self.writer.flush()?)
    }
}

/// The same JSON without line ends: they can only stand between its tokens, where a space says as much.
fn on_one_line(raw: &[u8]) -> Cow<'_, [u8]> {
    let is_end = |byte: u8| matches!(byte, b'\n' | b'\r');
    if !raw.iter().any(|byte| is_end(*byte)) {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(raw.iter().map(|byte| if is_end(*byte) { b' ' } else { *byte }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Format};
    use crate::time::Timestamp;

    #[test]
    fn raw_events_take_one_line_each() {
        let found = |raw: &'static str| Found {
            event: Event {
                position: 1,
                received_at: Timestamp(0),
                time: Timestamp(0),
                source: "s".into(),
                forge: "gitlab".into(),
                format: Format::Gitlab,
                type_hint: None,
                raw: raw.into(),
            },
            shown: Map::new(),
        };
        let mut output = Output::new(Vec::new(), OutputFormat::Raw, 80);
        output.write(vec![found("{\n  \"a\": \"x\\ny\",\r\n  \"b\": 1\n}"), found("{\"c\":2}")]).unwrap();
        let text = String::from_utf8(output.writer).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, [serde_json::json!({"a": "x\ny", "b": 1}), serde_json::json!({"c": 2})]);
    }
}
