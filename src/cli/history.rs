//! Events of the past, one after another: from a file, from standard input, or from the daemon's log.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use anyhow::Context;
use bytes::{Bytes, BytesMut};

use crate::event::{Entry, Format, Position};
use crate::log::Reader;
use crate::time::Timestamp;

/// Where the events come from.
pub(super) enum History {
    Lines(Box<Lines>),
    Stored { reader: Box<Reader>, since: Timestamp, queue: VecDeque<Entry>, position: Position },
}

/// One thing of the past.
pub(super) enum Past {
    /// A line that may be an event, and its number from 1.
    Line(Bytes, u64),
    /// An entry of the log.
    Entry(Entry),
}

/// How many entries are taken from the log at once.
const STORED_BATCH: usize = 4096;

impl History {
    pub(super) fn lines(lines: Lines) -> Self {
        Self::Lines(Box::new(lines))
    }

    pub(super) fn stored(reader: Reader, since: Timestamp) -> Self {
        Self::Stored { reader: Box::new(reader), since, queue: VecDeque::new(), position: 0 }
    }

    /// The next event or tick; none at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Past>> {
        match self {
            Self::Lines(lines) => Ok(lines.next()?.map(|(line, number)| Past::Line(line, number))),
            Self::Stored { reader, since, queue, position } => loop {
                match queue.pop_front() {
                    Some(entry) if received_at(&entry) >= *since => return Ok(Some(Past::Entry(entry))),
                    Some(_) => continue,
                    None => {}
                }
                queue.extend(reader.read_after(*position, STORED_BATCH)?);
                match queue.back() {
                    Some(last) => *position = last.position(),
                    None => return Ok(None),
                }
            },
        }
    }

    /// How lines are to be read, and the name that stands for their source.
    pub(super) fn origin(&self) -> (Format, Arc<str>) {
        match self {
            Self::Lines(lines) => (lines.format, lines.format.name().into()),
            Self::Stored { .. } => (Format::Generic, "".into()),
        }
    }
}

fn received_at(entry: &Entry) -> Timestamp {
    match entry {
        Entry::Event(event) => event.received_at,
        Entry::Tick { at, .. } => *at,
    }
}

/// NDJSON from any reader, in large blocks that the events then share.
pub(super) struct Lines {
    input: Box<dyn Read>,
    block: Bytes,
    rest: BytesMut,
    format: Format,
    line: u64,
    is_over: bool,
}

/// Small enough to stay in a core's own cache until it is parsed.
const BLOCK: usize = 1 << 18;

impl Lines {
    /// Opens it; the format is guessed from the first line that is a JSON object, if none is given.
    pub(super) fn new(input: Box<dyn Read>, format: Option<Format>) -> anyhow::Result<Self> {
        let mut lines = Self {
            input,
            block: Bytes::new(),
            rest: BytesMut::new(),
            format: format.unwrap_or(Format::Generic),
            line: 0,
            is_over: false,
        };
        lines.fill()?;
        if format.is_none() {
            let first = lines.block.split(|byte| *byte == b'\n').take(20);
            let objects = first.filter_map(|line| serde_json::from_slice(line).ok());
            lines.format = objects.map(|object| Format::guess(&object)).next().unwrap_or(Format::Generic);
        }
        Ok(lines)
    }

    /// Reads until at least one whole line is there, or the input ends.
    fn fill(&mut self) -> anyhow::Result<()> {
        // The block before goes first, so that its memory can be used again.
        self.block = Bytes::new();
        while !self.is_over {
            let start = self.rest.len();
            self.rest.resize(start + BLOCK, 0);
            let read = self.input.read(&mut self.rest[start..]).context("reading events")?;
            self.rest.truncate(start + read);
            if read == 0 {
                self.is_over = true;
                self.block = self.rest.split().freeze();
                return Ok(());
            }
            if let Some(end) = memchr::memrchr(b'\n', &self.rest) {
                self.block = self.rest.split_to(end + 1).freeze();
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next line that is not blank, and its number.
    fn next(&mut self) -> anyhow::Result<Option<(Bytes, u64)>> {
        loop {
            if self.block.is_empty() {
                if self.is_over {
                    return Ok(None);
                }
                self.fill()?;
                continue;
            }
            let end = memchr::memchr(b'\n', &self.block).map_or(self.block.len(), |at| at + 1);
            let mut line = self.block.split_to(end);
            self.line += 1;
            line.truncate(line.trim_ascii_end().len());
            if !line.is_empty() {
                return Ok(Some((line, self.line)));
            }
        }
    }
}
