//! Events as Apache Parquet: the canonical columns, and the sender's bytes as they came.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::{Map, Value};

use super::ExportError;
use crate::query::format::CSV_COLUMNS;
use crate::search::Found;

/// Events of one row group, and bytes of what was sent: so much is in memory.
const EVENTS_MAX: usize = 50_000;
const BYTES_MAX: usize = 32 << 20;

/// The columns that are texts; absent values are null. Those of CSV, without the time that stands first there.
fn text_columns() -> &'static [&'static str] {
    CSV_COLUMNS.split_first().map_or(&[], |(_, texts)| texts)
}

/// Writes row groups as they fill.
pub(super) struct ParquetFile<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    waiting: Vec<Found>,
    bytes: usize,
}

impl<W: Write + Send> std::fmt::Debug for ParquetFile<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParquetFile({} waiting)", self.waiting.len())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn failed(error: ParquetError) -> ExportError {
    ExportError::Encode(format!("Parquet: {error}"))
}

impl<W: Write + Send> ParquetFile<W> {
    pub(super) fn new(out: W) -> Result<Self, ExportError> {
        let texts: String =
            text_columns().iter().map(|name| format!("optional binary {name} (STRING);\n")).collect();
        let schema = format!(
            "message event {{\nrequired int64 position;\nrequired int64 created_at (TIMESTAMP(MILLIS,true));\n\
             required int64 received_at (TIMESTAMP(MILLIS,true));\n{texts}required binary raw (STRING);\n}}"
        );
        let schema = Arc::new(parse_message_type(&schema).map_err(failed)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(out, schema, Arc::new(properties)).map_err(failed)?;
        Ok(Self { writer, waiting: Vec::new(), bytes: 0 })
    }

    pub(super) fn put(&mut self, events: Vec<Found>) -> Result<(), ExportError> {
        self.bytes += events.iter().map(|found| found.event.raw.len()).sum::<usize>();
        self.waiting.extend(events);
        if self.waiting.len() >= EVENTS_MAX || self.bytes >= BYTES_MAX { self.flush() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<W, ExportError> {
        self.flush()?;
        self.writer.into_inner().map_err(failed)
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(failed)?;
        numbers(&mut group, waiting.iter().map(|found| found.event.position.cast_signed()).collect())?;
        numbers(&mut group, waiting.iter().map(|found| found.event.time.0).collect())?;
        numbers(&mut group, waiting.iter().map(|found| found.event.received_at.0).collect())?;
        for name in text_columns() {
            texts(&mut group, waiting.iter().map(|found| text(&found.shown, name)))?;
        }
        let raw: Vec<ByteArray> =
            waiting.iter().map(|found| ByteArray::from(found.event.raw.to_vec())).collect();
        let mut column = group.next_column().map_err(failed)?.ok_or_else(short)?;
        column.typed::<ByteArrayType>().write_batch(&raw, None, None).map_err(failed)?;
        column.close().map_err(failed)?;
        group.close().map_err(failed)?;
        Ok(())
    }
}

type Group<'a, W> = SerializedRowGroupWriter<'a, W>;

fn short() -> ExportError {
    ExportError::Encode("Parquet: there are fewer columns than values".to_owned())
}

fn numbers<W: Write + Send>(group: &mut Group<'_, W>, values: Vec<i64>) -> Result<(), ExportError> {
    let mut column = group.next_column().map_err(failed)?.ok_or_else(short)?;
    column.typed::<Int64Type>().write_batch(&values, None, None).map_err(failed)?;
    column.close().map_err(failed)
}

fn texts<W: Write + Send>(
    group: &mut Group<'_, W>,
    values: impl Iterator<Item = Option<String>>,
) -> Result<(), ExportError> {
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        present.extend(value.map(|text| ByteArray::from(text.into_bytes())));
    }
    let mut column = group.next_column().map_err(failed)?.ok_or_else(short)?;
    column.typed::<ByteArrayType>().write_batch(&present, Some(&levels), None).map_err(failed)?;
    column.close().map_err(failed)
}

/// Objects and arrays are written as JSON.
fn text(event: &Map<String, Value>, name: &str) -> Option<String> {
    match event.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
