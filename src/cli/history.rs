//! Events of the past, one after another: from a file, from standard input, or from the daemon's log.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use anyhow::Context;
use bytes::{Bytes, BytesMut};

use crate::decode::decode;
use crate::event::{Entry, Format, Position};
use crate::log::Reader;
use crate::time::Timestamp;

/// Where the events come from.
pub(super) enum History {
    Lines(Box<Lines>),
    Stored { reader: Box<Reader>, since: Timestamp, queue: VecDeque<Entry>, position: Position },
}

/// Lines that are no events: how many, and the first few.
#[derive(Debug, Default)]
pub(super) struct Refused {
    count: u64,
    first: Vec<String>,
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
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Entry>> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Stored { reader, since, queue, position } => loop {
                match queue.pop_front() {
                    Some(entry) if received_at(&entry) >= *since => return Ok(Some(entry)),
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

    pub(super) fn refused(&mut self) -> Refused {
        match self {
            Self::Lines(lines) => std::mem::take(&mut lines.refused),
            Self::Stored { .. } => Refused::default(),
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
    source: Arc<str>,
    line: u64,
    is_over: bool,
    refused: Refused,
    seen: Recent,
    newest: Timestamp,
}

/// The keys of recent events, in two generations: bounded, and duplicates lie close together.
#[derive(Default)]
struct Recent {
    young: rustc_hash::FxHashSet<u128>,
    old: rustc_hash::FxHashSet<u128>,
}

impl Recent {
    const GENERATION: usize = 2_000_000;

    /// Whether the key is new.
    fn insert(&mut self, key: u128) -> bool {
        if self.young.len() >= Self::GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        !self.old.contains(&key) && self.young.insert(key)
    }
}

const BLOCK: usize = 1 << 20;

impl Lines {
    /// Opens it; the format is guessed from the first line that is a JSON object, if none is given.
    pub(super) fn new(input: Box<dyn Read>, format: Option<Format>) -> anyhow::Result<Self> {
        let mut lines = Self {
            input,
            block: Bytes::new(),
            rest: BytesMut::new(),
            format: format.unwrap_or(Format::Generic),
            source: "".into(),
            line: 0,
            is_over: false,
            refused: Refused::default(),
            seen: Recent::default(),
            newest: Timestamp::default(),
        };
        lines.fill()?;
        if format.is_none() {
            let first = lines.block.split(|byte| *byte == b'\n').take(20);
            let objects = first.filter_map(|line| serde_json::from_slice(line).ok());
            lines.format = objects.map(|object| Format::guess(&object)).next().unwrap_or(Format::Generic);
        }
        lines.source = lines.format.name().into();
        Ok(lines)
    }

    /// Reads until at least one whole line is there, or the input ends.
    fn fill(&mut self) -> anyhow::Result<()> {
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

    fn next(&mut self) -> anyhow::Result<Option<Entry>> {
        loop {
            if self.block.is_empty() {
                if self.is_over {
                    return Ok(None);
                }
                self.fill()?;
                continue;
            }
            let end = memchr::memchr(b'\n', &self.block).map_or(self.block.len(), |at| at + 1);
            let line = self.block.split_to(end);
            self.line += 1;
            let line = line.slice(..line.trim_ascii_end().len());
            if line.is_empty() {
                continue;
            }
            // The arrival time of history is unknown: the event's own time stands for it, and for an event
            // without one, that of the event before it.
            match decode(self.format, &self.source, line, None, Timestamp::MAX) {
                Ok(mut decoded) => {
                    if !self.seen.insert(decoded.dedupe) {
                        continue;
                    }
                    let has_time = decoded.event.time < Timestamp::MAX;
                    let time = if has_time { decoded.event.time } else { self.newest };
                    self.newest = self.newest.max(time);
                    decoded.event.time = time;
                    decoded.event.received_at = time;
                    decoded.event.position = self.line;
                    return Ok(Some(Entry::Event(decoded.event)));
                }
                Err(error) => self.refused.add(self.line, &error.to_string()),
            }
        }
    }
}

impl Refused {
    fn add(&mut self, line: u64, reason: &str) {
        self.count += 1;
        if self.first.len() < 5 {
            self.first.push(format!("line {line}: {reason}"));
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// What to tell the person.
    pub(super) fn messages(&self) -> Vec<String> {
        let mut messages = self.first.clone();
        if self.count > 0 {
            messages.push(format!("{} lines are no events and were left out", self.count));
        }
        messages
    }
}
