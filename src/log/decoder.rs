//! From stored blocks to entries.

use std::sync::Arc;

use bytes::Bytes;

use super::LogError;
use super::packing::Unpacker;
use super::row::{Row, Rows, code};
use crate::event::{Entry, Event, Format, Position};
use crate::time::Timestamp;

/// How many names of sources and forges are shared at most; a configuration has a handful.
const SOURCES_MAX: usize = 64;

/// Turns stored bytes back into entries. One per reader and segment: it keeps the names of sources shared.
#[derive(Default)]
pub(super) struct Decoder {
    sources: Vec<Arc<str>>,
    unpacker: Unpacker,
}

impl Decoder {
    /// For blocks that were compressed with this dictionary.
    pub(super) const fn with(dictionary: Vec<u8>) -> Self {
        Self { sources: Vec::new(), unpacker: Unpacker::with(dictionary) }
    }

    /// The encoded entries at positions `first` to `last`.
    pub(super) fn plain(
        &mut self,
        (first, last): (Position, Position),
        stored: &[u8],
    ) -> Result<Vec<u8>, LogError> {
        self.unpacker.unpack(stored).map_err(|reason| LogError::Corrupt { first, last, reason })
    }

    /// The entries at positions `first` to `last`, without the deleted ones; the events' bytes are slices of one
    /// buffer.
    pub(super) fn entries(
        &mut self,
        (first, last): (Position, Position),
        stored: &[u8],
    ) -> Result<Vec<Entry>, LogError> {
        let plain = Bytes::from(self.plain((first, last), stored)?);
        let mut entries = Vec::new();
        for row in Rows::new(&plain, (first, last)) {
            let (position, row, _) = row?;
            if matches!(row, Row::Deleted { .. }) {
                continue;
            }
            let entry = self.entry(position, &row, &plain).ok_or_else(|| {
                let reason = format!("entry {position} has an unknown format");
                LogError::Corrupt { first, last, reason }
            })?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The entry of a row that lies in `plain`; none for a deleted one and for a format that nobody knows.
    pub(super) fn entry(&mut self, position: Position, row: &Row<'_>, plain: &Bytes) -> Option<Entry> {
        Some(match row {
            Row::Event { received_at, time, source, forge, format, type_hint, raw } => Entry::Event(Event {
                position,
                received_at: Timestamp(*received_at),
                time: Timestamp(*time),
                source: self.source(source),
                forge: self.source(forge.unwrap_or(source)),
                format: Format::ALL.into_iter().find(|known| code(*known) == *format)?,
                type_hint: type_hint.map(Box::from),
                raw: plain.slice_ref(raw),
            }),
            Row::Tick { at } => Entry::Tick { position, at: Timestamp(*at) },
            Row::Deleted { .. } => return None,
        })
    }

    fn source(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.sources.iter().find(|known| known.as_ref() == name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(name);
        if self.sources.len() < SOURCES_MAX {
            self.sources.push(Arc::clone(&new));
        }
        new
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("sources", &self.sources).finish_non_exhaustive()
    }
}
