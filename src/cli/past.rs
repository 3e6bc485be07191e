//! Reading the past, the part of a backtest that any thread can do: bytes to events, and what they mean to the
//! rules. What depends on the order of events is left to the one that judges.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::history::{Block, Piece};
use crate::decode::{DecodeError, blank};
use crate::engine::{Hits, Meaning, RuleSet};
use crate::event::Format;
use crate::time::Timestamp;

/// Reads pieces of the past for one or two sets of rules.
pub(super) struct Reading {
    sets: Vec<(Arc<RuleSet>, Hits)>,
    format: Format,
    source: Box<str>,
}

/// A piece of the past and what was found in it, for each set of rules.
pub(super) struct Read {
    pub(super) piece: Piece,
    /// How many lines it has, blank ones included.
    pub(super) lines: u64,
    pub(super) found: Vec<Found>,
}

/// What one set of rules finds in a piece.
pub(super) enum Found {
    Lines(Vec<Line>),
    /// For each entry.
    Entries(Vec<Option<Box<Meaning>>>),
}

/// A line that is not blank.
pub(super) struct Line {
    /// In its piece, from 1.
    pub(super) number: u64,
    pub(super) range: Range<usize>,
    pub(super) content: Content,
}

/// What a line is.
pub(super) enum Content {
    /// An event: its time, the key by which it is known, and what it means.
    Event(Timestamp, u128, Option<Box<Meaning>>),
    /// An event without a time: it gets that of the newest one before it, which only the one that judges knows.
    Timeless,
    /// No event.
    Refused(DecodeError),
}

impl Line {
    /// The key by which its event is known; none where only the one that judges can tell.
    pub(super) const fn dedupe(&self) -> Option<u128> {
        match &self.content {
            Content::Event(_, dedupe, _) => Some(*dedupe),
            Content::Timeless | Content::Refused(_) => None,
        }
    }
}

impl Reading {
    pub(super) fn new(sets: &[Arc<RuleSet>], (format, source): (Format, &str)) -> Self {
        let sets = sets.iter().map(|rules| (Arc::clone(rules), Hits::default())).collect();
        Self { sets, format, source: source.into() }
    }

    pub(super) fn read(&mut self, piece: Piece) -> Read {
        let mut lines = 0;
        let mut found = Vec::with_capacity(self.sets.len());
        for (rules, hits) in &mut self.sets {
            found.push(match &piece {
                Piece::Lines(block) => {
                    let (count, read) = read_lines(rules, hits, block, (self.format, &self.source));
                    lines = count;
                    Found::Lines(read)
                }
                Piece::Entries(entries) => Found::Entries(rules.meanings(entries, hits)),
            });
        }
        Read { piece, lines, found }
    }
}

/// Stands for the time of an event that has none.
const NO_TIME: Timestamp = Timestamp::MIN;

fn read_lines(
    rules: &RuleSet,
    hits: &mut Hits,
    block: &Block,
    (format, source): (Format, &str),
) -> (u64, Vec<Line>) {
    let mut read = Vec::new();
    // A name for each block: threads would fight for the counter of a common one.
    let source = Arc::from(source);
    let mut event = blank(format, &source, NO_TIME);
    let count = block.lines(|number, range| {
        event.received_at = NO_TIME;
        event.raw = block.line(range.clone());
        let content = match rules.read(&mut event, hits) {
            Ok(_) if event.time == NO_TIME => Content::Timeless,
            Ok(dedupe) => Content::Event(event.time, dedupe, hits.take(&event.raw)),
            Err(error) => Content::Refused(error),
        };
        read.push(Line { number, range, content });
    });
    event.raw = Bytes::new();
    (count, read)
}
