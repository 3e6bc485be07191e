//! A file of events, in any of the formats.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{ExportError, ExportFormat, encode};
use crate::search::Found;

/// Takes events in pieces; whole only after [`EventFile::finish`].
#[derive(Debug)]
pub struct EventFile<W: Write + Send> {
    path: PathBuf,
    kind: Kind<W>,
}

#[derive(Debug)]
enum Kind<W: Write + Send> {
    Lines {
        out: W,
        format: ExportFormat,
        is_first: bool,
    },
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::ParquetFile<W>>),
}

impl<W: Write + Send> EventFile<W> {
    /// An empty file at this path, which is only for messages.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn new(out: W, format: ExportFormat, path: &Path) -> Result<Self, ExportError> {
        let kind = match format {
            ExportFormat::Csv | ExportFormat::Ndjson => Kind::Lines { out, format, is_first: true },
            #[cfg(feature = "parquet")]
            ExportFormat::Parquet => Kind::Parquet(Box::new(super::parquet::ParquetFile::new(out)?)),
        };
        Ok(Self { path: path.to_owned(), kind })
    }

    /// Writes further events.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn put(&mut self, events: Vec<Found>) -> Result<(), ExportError> {
        match &mut self.kind {
            Kind::Lines { out, format, is_first } => {
                let shown: Vec<Map<String, Value>> = events.into_iter().map(|found| found.shown).collect();
                let bytes = encode(&shown, *format, std::mem::take(is_first))?;
                let path = &self.path;
                out.write_all(&bytes).map_err(|error| ExportError::File { path: path.clone(), error })
            }
            #[cfg(feature = "parquet")]
            Kind::Parquet(file) => file.put(events),
        }
    }

    /// Writes what belongs at the end, and gives what it wrote into back.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn finish(self) -> Result<W, ExportError> {
        match self.kind {
            Kind::Lines { out, .. } => Ok(out),
            #[cfg(feature = "parquet")]
            Kind::Parquet(file) => (*file).finish(),
        }
    }
}
