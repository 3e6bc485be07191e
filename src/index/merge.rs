//! The index of several neighbouring segments, made of theirs: the same that their events would give.
//!
//! Terms come in the order of field and value, so each value is met in all segments at once. Its lists are put behind
//! each other, with the numbers moved on by where their segment begins. No event is read, and the memory that it takes
//! is that of the longest list.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::ControlFlow;

use zstd::bulk::Compressor;

use super::field::FIELDS_END;
use super::postings::{Damaged, Joined};
use super::{ReadError, Term, rare};

/// Terms in order, read in portions.
pub trait Source {
    /// Why they could not be read.
    type Error;

    /// The next terms of a field whose values come after this one (all, if there is none); nothing behind the last.
    fn terms(&self, field: u8, after: Option<&[u8]>) -> Result<VecDeque<Term>, Self::Error>;
}

/// Takes the terms of the merged index: those of fields in order, and between them, in an order of their own, the rare
/// ones.
pub type Take<'a, E> = dyn FnMut(Term) -> Result<(), E> + 'a;

/// Merges indexes, each with what its numbers are to be moved on by, ascending.
pub fn merge<S: Source>(
    sources: &[(u32, S)],
    take: &mut Take<'_, S::Error>,
) -> Result<(), ReadError<S::Error>> {
    let mut output = Output {
        take,
        compressor: rare::compressor(),
        values: rare::Unpacked::default(),
        joined: Joined::default(),
    };
    for field in 0..FIELDS_END {
        let mut cursors = Vec::with_capacity(2 * sources.len());
        for (offset, source) in sources {
            cursors.push(Cursor::new(source, *offset, field));
            cursors.push(Cursor::new(source, *offset, field | 0x80));
        }
        merge_field(&mut cursors, field, &mut output)?;
        output.flush(field)?;
    }
    Ok(())
}

fn merge_field<S: Source>(
    cursors: &mut [Cursor<'_, S>],
    field: u8,
    output: &mut Output<'_, '_, S::Error>,
) -> Result<(), ReadError<S::Error>> {
    // The cursors that are not at their end, the one with the lowest value last. There are few.
    let mut order: Vec<usize> = Vec::with_capacity(cursors.len());
    for index in 0..cursors.len() {
        advance(cursors, index, &mut order)?;
    }
    let mut value = Vec::new();
    let mut same = Vec::new();
    while let Some(index) = order.pop() {
        let Some(head) = cursors.get(index).and_then(|cursor| cursor.head()) else { continue };
        value.clear();
        value.extend_from_slice(head.value);
        same.clear();
        same.push(index);
        while let Some(other) = order.pop_if(|other| value_at(cursors, *other) == value) {
            same.push(other);
        }
        output.value(field, &value, same.iter().filter_map(|index| cursors.get(*index)))?;
        for index in &same {
            if let Some(cursor) = cursors.get_mut(*index) {
                cursor.step();
            }
            advance(cursors, *index, &mut order)?;
        }
    }
    Ok(())
}

fn value_at<'c, S>(cursors: &'c [Cursor<'_, S>], index: usize) -> &'c [u8] {
    cursors.get(index).and_then(Cursor::head).map_or(&[], |head| head.value)
}

/// Puts a cursor in its place again: of equal values, the one of the first segment is taken first.
fn advance<S: Source>(
    cursors: &mut [Cursor<'_, S>],
    index: usize,
    order: &mut Vec<usize>,
) -> Result<(), ReadError<S::Error>> {
    let Some(cursor) = cursors.get_mut(index) else { return Ok(()) };
    cursor.load()?;
    let Some(head) = cursors.get(index).and_then(Cursor::head) else { return Ok(()) };
    let place = order.partition_point(|other| {
        let Some(known) = cursors.get(*other).and_then(Cursor::head) else { return true };
        let order = known.start.cmp(&head.start).then_with(|| known.value.cmp(head.value));
        order.then(other.cmp(&index)) == Ordering::Greater
    });
    order.insert(place, index);
    Ok(())
}

/// The values of one field of one segment, either those of several events or the rare ones.
struct Cursor<'s, S> {
    source: &'s S,
    offset: u32,
    field: u8,
    terms: VecDeque<Term>,
    is_at_end: bool,
    last: Option<Box<[u8]>>,
    rare: rare::Unpacked,
    blocks: rare::Blocks,
    at: usize,
}

/// What a cursor stands at.
#[derive(Clone, Copy)]
struct Head<'c> {
    /// The first bytes: nearly always enough to compare.
    start: u64,
    value: &'c [u8],
    events: Events<'c>,
}

#[derive(Clone, Copy)]
enum Events<'c> {
    One(u32),
    List(&'c [u8]),
}

impl<'s, S> Cursor<'s, S> {
    fn new(source: &'s S, offset: u32, field: u8) -> Self {
        Self {
            source,
            offset,
            field,
            terms: VecDeque::new(),
            is_at_end: false,
            last: None,
            rare: rare::Unpacked::default(),
            blocks: rare::Blocks::default(),
            at: 0,
        }
    }

    const fn is_rare(&self) -> bool {
        self.field & 0x80 != 0
    }

    fn head(&self) -> Option<Head<'_>> {
        let (value, events) = if self.is_rare() {
            let (value, number) = self.rare.get(self.at)?;
            (value, Events::One(number))
        } else {
            let term = self.terms.front()?;
            (&*term.value, Events::List(&term.postings))
        };
        Some(Head { start: start(value), value, events })
    }

    fn step(&mut self) {
        if self.is_rare() {
            self.at += 1;
        } else {
            self.terms.pop_front();
        }
    }
}

impl<S: Source> Cursor<'_, S> {
    /// Reads on where nothing is left.
    fn load(&mut self) -> Result<(), ReadError<S::Error>> {
        if self.terms.is_empty() && !self.is_at_end {
            self.terms = self.source.terms(self.field, self.last.as_deref()).map_err(ReadError::Terms)?;
            self.last = self.terms.back().map(|term| term.value.clone());
            self.is_at_end = self.terms.is_empty();
        }
        if self.is_rare() && self.at >= self.rare.len() {
            self.at = 0;
            self.rare.clear();
            if let Some(block) = self.terms.pop_front() {
                let rare = &mut self.rare;
                let flow = self.blocks.visit(&block.postings, &mut |value, number| {
                    rare.push(value, number);
                    ControlFlow::Continue(())
                })?;
                debug_assert!(flow.is_continue());
            }
        }
        Ok(())
    }
}

fn start(value: &[u8]) -> u64 {
    match value.first_chunk::<8>() {
        Some(chunk) => u64::from_be_bytes(*chunk),
        None => value
            .iter()
            .copied()
            .chain(std::iter::repeat(0))
            .take(8)
            .fold(0, |key, byte| key << 8 | u64::from(byte)),
    }
}

/// What is being written.
struct Output<'t, 'f, E> {
    take: &'t mut Take<'f, E>,
    compressor: Option<Compressor<'static>>,
    /// Rare values, until they fill a block.
    values: rare::Unpacked,
    joined: Joined,
}

impl<E> Output<'_, '_, E> {
    /// One value of a field, and what its segments have of it, in their order.
    fn value<'c, S: 'c>(
        &mut self,
        field: u8,
        value: &[u8],
        mut cursors: impl Iterator<Item = &'c Cursor<'c, S>> + Clone,
    ) -> Result<(), ReadError<E>> {
        let (first, second) = {
            let mut heads = cursors.clone();
            (heads.next(), heads.next())
        };
        if let (Some(cursor), None) = (first, second)
            && let Some(Head { events: Events::One(number), .. }) = cursor.head()
        {
            self.values.push(value, number.checked_add(cursor.offset).ok_or(Damaged)?);
            return if self.values.len() == rare::VALUES_MAX { self.flush(field) } else { Ok(()) };
        }
        self.joined.clear();
        cursors.try_for_each(|cursor| match cursor.head().map(|head| head.events) {
            Some(Events::One(number)) => self.joined.one(cursor.offset, number),
            Some(Events::List(bytes)) => self.joined.list(cursor.offset, bytes),
            None => Ok(()),
        })?;
        let (count, postings) = self.joined.encode();
        (self.take)(Term { field, value: value.into(), count, postings }).map_err(ReadError::Terms)
    }

    /// Packs the rare values that are left.
    fn flush(&mut self, field: u8) -> Result<(), ReadError<E>> {
        let values: Vec<(&[u8], u32)> = (0..self.values.len()).filter_map(|at| self.values.get(at)).collect();
        let Some(last) = values.last() else { return Ok(()) };
        let term = Term {
            field: field | 0x80,
            value: last.0.into(),
            count: u32::try_from(values.len()).unwrap_or(u32::MAX),
            postings: rare::pack(&values, self.compressor.as_mut()),
        };
        self.values.clear();
        (self.take)(term).map_err(ReadError::Terms)
    }
}
