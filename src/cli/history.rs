//! Events of the past, piece after piece: from a file, from standard input, or from the daemon's log.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use anyhow::Context;
use bytes::{Bytes, BytesMut};

use crate::event::{Entry, Format, Position};
use crate::log::Reader;
use crate::time::Timestamp;

/// Where the events come from.
pub(super) enum History {
    Lines(Box<Lines>),
    Stored { reader: Box<Reader>, since: Timestamp, position: Position },
}

/// Some of the past, in order.
pub(super) enum Piece {
    Lines(Block),
    /// Of the log.
    Entries(Vec<Entry>),
}

impl Piece {
    /// Where it ends: behind so many bytes, of which `before` were read before it; or at which position of the log.
    pub(super) fn end(&self, before: u64) -> u64 {
        match self {
            Self::Lines(block) => before + block.text().len() as u64,
            Self::Entries(entries) => entries.last().map_or(before, Entry::position),
        }
    }

    /// How many entries of the log it has.
    pub(super) fn entries(&self) -> u64 {
        if let Self::Entries(entries) = self { entries.len() as u64 } else { 0 }
    }
}

/// How many entries are taken from the log at once.
const STORED_BATCH: usize = 1024;

impl History {
    pub(super) fn lines(lines: Lines) -> Self {
        Self::Lines(Box::new(lines))
    }

    pub(super) fn stored(reader: Reader, since: Timestamp) -> Self {
        Self::Stored { reader: Box::new(reader), since, position: 0 }
    }

    /// The next events and ticks; none at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Piece>> {
        match self {
            Self::Lines(lines) => Ok(lines.next()?.map(Piece::Lines)),
            Self::Stored { reader, since, position } => loop {
                let mut entries = reader.read_after(*position, STORED_BATCH)?;
                match entries.last() {
                    Some(last) => *position = last.position(),
                    None => return Ok(None),
                }
                entries.retain(|entry| received_at(entry) >= *since);
                if !entries.is_empty() {
                    return Ok(Some(Piece::Entries(entries)));
                }
            },
        }
    }

    /// Takes back what nobody needs any more, to use its memory again.
    pub(super) fn give_back(&mut self, piece: Piece) {
        if let (Self::Lines(lines), Piece::Lines(block)) = (self, piece)
            && let Ok(memory) = block.bytes.try_into_mut()
            && lines.spare.len() < SPARE_MAX
        {
            lines.spare.push(memory);
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
    /// What was read already, to guess the format.
    first: Option<Block>,
    /// The beginning of a line whose end was not read yet.
    rest: Vec<u8>,
    spare: Vec<BytesMut>,
    format: Format,
    is_over: bool,
}

/// Whole lines.
pub(super) struct Block {
    bytes: Bytes,
    /// Behind the last line.
    end: usize,
}

/// Small enough to stay in a core's own cache until it is parsed.
const BLOCK: usize = 1 << 18;
/// Blocks of memory that are kept to be used again.
const SPARE_MAX: usize = 64;

impl Lines {
    /// Opens it; the format is guessed from the first line that is a JSON object, if none is given.
    pub(super) fn new(input: Box<dyn Read>, format: Option<Format>) -> anyhow::Result<Self> {
        let mut lines = Self {
            input,
            first: None,
            rest: Vec::new(),
            spare: Vec::new(),
            format: format.unwrap_or(Format::Generic),
            is_over: false,
        };
        if format.is_none() {
            lines.first = lines.next()?;
            let text = lines.first.as_ref().map(Block::text).unwrap_or_default();
            let first = text.split(|byte| *byte == b'\n').take(20);
            let objects = first.filter_map(|line| serde_json::from_slice(line).ok());
            lines.format = objects.map(|object| Format::guess(&object)).next().unwrap_or(Format::Generic);
        }
        Ok(lines)
    }

    /// The next whole lines; none at the end.
    fn next(&mut self) -> anyhow::Result<Option<Block>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        if self.is_over {
            return Ok(None);
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        let mut filled = self.rest.len();
        loop {
            // Memory that is used again needs no zeros.
            if bytes.len() < filled + BLOCK {
                bytes.resize(filled + BLOCK, 0);
            }
            bytes[..self.rest.len()].copy_from_slice(&self.rest);
            let read = self.input.read(&mut bytes[filled..]).context("reading events")?;
            let end = memchr::memrchr(b'\n', &bytes[filled..filled + read]).map(|at| filled + at + 1);
            filled += read;
            self.is_over = read == 0;
            let end = if self.is_over { Some(filled) } else { end };
            if let Some(end) = end {
                self.rest.clear();
                self.rest.extend_from_slice(&bytes[end..filled]);
                return Ok((end > 0).then(|| Block { bytes: bytes.freeze(), end }));
            }
            // One long line: what is there is read on behind.
            self.rest.clear();
            self.rest.extend_from_slice(&bytes[..filled]);
        }
    }
}

impl Block {
    /// All of it.
    pub(super) fn text(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or_default()
    }

    /// The bytes of one line.
    pub(super) fn line(&self, range: Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }

    /// Where the lines are that are not blank, with their numbers from 1; and how many there are, blank ones
    /// included.
    pub(super) fn lines(&self, mut each: impl FnMut(u64, Range<usize>)) -> u64 {
        let (text, mut start, mut number) = (self.text(), 0, 0);
        while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
            let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            number += 1;
            let line = rest.get(..length).unwrap_or_default().trim_ascii_end();
            if !line.is_empty() {
                each(number, start..start + line.len());
            }
            start += length;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Slowly(Vec<u8>, usize);

    impl Read for Slowly {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let text = ["{\"a\":1}\n\n  \r\n{\"b\":2}\r", &*"x".repeat(BLOCK), "{\"last\":3}"].join("\n");
        let expected: Vec<(u64, String)> = (1..)
            .zip(text.split('\n'))
            .map(|(number, line)| (number, line.trim_end().to_owned()))
            .filter(|(_, line)| !line.is_empty())
            .collect();
        for step in [7, 1000, BLOCK - 1, usize::MAX] {
            let input = Slowly(text.clone().into_bytes(), step);
            let mut history = History::lines(Lines::new(Box::new(input), None).unwrap());
            let (mut found, mut base) = (Vec::new(), 0);
            while let Some(Piece::Lines(block)) = history.next().unwrap() {
                base += block.lines(|number, range| {
                    found.push((base + number, String::from_utf8(block.line(range).to_vec()).unwrap()));
                });
                history.give_back(Piece::Lines(block));
            }
            assert_eq!(found, expected, "{step} bytes at a time");
        }
    }
}
