//! Lists of event numbers as bytes.
//!
//! | first byte | then |
//! |---|---|
//! | 0 | runs of numbers: how far the run begins behind the one before (behind the number that follows it, the first one behind 0), times 2, plus 1 if it is longer than one number; then, if so, its length less 2. Varints (LEB128) |
//! | 1 | a bitmap with runs in Roaring's portable format |

use roaring::RoaringBitmap;

const RUNS: u8 = 0;
const BITMAP: u8 = 1;
/// Shorter lists are never smaller as a bitmap.
const BITMAP_FROM: u32 = 32;
/// How many numbers one container of a bitmap spans.
const CONTAINER: u32 = 1 << 16;

/// Bytes that cannot have been written by [`encode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

pub(super) fn push_varint(number: u32, into: &mut Vec<u8>) {
    push_wide(u64::from(number), into);
}

fn push_wide(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u32> {
    take_wide(bytes).and_then(|number| u32::try_from(number).ok())
}

fn take_wide(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..42).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Appends a run of `length` numbers that begins `gap` behind the one before.
pub(super) fn push_run(gap: u32, length: u32, into: &mut Vec<u8>) {
    let is_long = length > 1;
    push_wide(u64::from(gap) << 1 | u64::from(is_long), into);
    if is_long {
        push_varint(length - 2, into);
    }
}

/// The first and the last number of each run.
fn runs(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u32, u32), Damaged>> {
    let mut next: Option<u32> = Some(0);
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let run = take_run(&mut bytes, next);
        next = run.and_then(|(_, last)| last.checked_add(1));
        if run.is_none() {
            bytes = &[];
        }
        Some(run.ok_or(Damaged))
    })
}

fn take_run(bytes: &mut &[u8], next: Option<u32>) -> Option<(u32, u32)> {
    let head = take_wide(bytes)?;
    let first = next?.checked_add(u32::try_from(head >> 1).ok()?)?;
    let more = if head & 1 == 1 { take_varint(bytes)?.checked_add(1)? } else { 0 };
    Some((first, first.checked_add(more)?))
}

/// A list of `count` numbers that was gathered as runs, in its shorter form.
pub(super) fn encode(count: u32, gathered: &[u8]) -> Vec<u8> {
    if count >= BITMAP_FROM && bitmap_bytes(gathered) < gathered.len() {
        let mut bitmap = bitmap(gathered);
        bitmap.optimize();
        let mut bytes = vec![BITMAP];
        // Writing into memory cannot fail.
        if bitmap.serialize_into(&mut bytes).is_ok() && bytes.len() <= gathered.len() {
            return bytes;
        }
    }
    let mut bytes = Vec::with_capacity(gathered.len() + 1);
    bytes.push(RUNS);
    bytes.extend_from_slice(gathered);
    bytes
}

/// Lists of several segments, put behind each other.
#[derive(Debug, Default)]
pub(super) struct Joined {
    gathered: Vec<u8>,
    count: u32,
    /// The number behind what is gathered.
    next: u32,
    /// The run that the next numbers may go on with: its first and its last number.
    run: Option<(u32, u32)>,
}

impl Joined {
    pub(super) fn clear(&mut self) {
        self.gathered.clear();
        (self.count, self.next, self.run) = (0, 0, None);
    }

    /// Adds one number, moved on by `offset`.
    pub(super) fn one(&mut self, offset: u32, number: u32) -> Result<(), Damaged> {
        self.add(offset, (number, number)).ok_or(Damaged)
    }

    /// Adds the numbers of a list, moved on by `offset`.
    pub(super) fn list(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Damaged> {
        match bytes {
            [RUNS, rest @ ..] => runs(rest).try_for_each(|run| self.add(offset, run?).ok_or(Damaged)),
            other => {
                let bitmap = decode(other)?;
                let mut ranges = bitmap.iter();
                while let Some(range) = ranges.next_range() {
                    self.add(offset, (*range.start(), *range.end())).ok_or(Damaged)?;
                }
                Ok(())
            }
        }
    }

    #[inline]
    fn add(&mut self, offset: u32, (first, last): (u32, u32)) -> Option<()> {
        let (first, last) = (first.checked_add(offset)?, last.checked_add(offset)?);
        last.checked_add(1)?;
        self.count = self.count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
        match &mut self.run {
            Some(run) if run.1.checked_add(1) == Some(first) => run.1 = last,
            Some(run) if run.1 >= first => return None,
            _ => {
                self.end_run();
                self.run = Some((first, last));
            }
        }
        Some(())
    }

    fn end_run(&mut self) {
        if let Some((first, last)) = self.run.take() {
            push_run(first - self.next, last - first + 1, &mut self.gathered);
            self.next = last + 1;
        }
    }

    /// How many numbers there are, and the list in its shorter form.
    pub(super) fn encode(&mut self) -> (u32, Vec<u8>) {
        self.end_run();
        (self.count, encode(self.count, &self.gathered))
    }
}

/// About how long the list is as a bitmap: each container is an array, a set of bits, or a list of runs.
fn bitmap_bytes(gathered: &[u8]) -> usize {
    const HEADER: usize = 8;
    let (mut total, mut container, mut numbers, mut lists) = (HEADER, 0, 0_usize, 0_usize);
    let size = |numbers: usize, lists: usize| HEADER + (2 * numbers).min(8192).min(4 * lists + 2);
    for (first, last) in runs(gathered).map_while(Result::ok) {
        if first / CONTAINER != container {
            total += size(numbers, lists);
            (container, numbers, lists) = (first / CONTAINER, 0, 0);
        }
        numbers += (last - first + 1) as usize;
        lists += 1;
    }
    total + size(numbers, lists)
}

/// The list as a bitmap, by way of plain bits: that is much quicker than number by number.
fn bitmap(gathered: &[u8]) -> RoaringBitmap {
    let mut bits: Vec<u8> = Vec::new();
    let mut long = RoaringBitmap::new();
    for (first, last) in runs(gathered).map_while(Result::ok) {
        if last - first >= CONTAINER {
            long.insert_range(first..=last);
            continue;
        }
        bits.resize(bits.len().max(last as usize / 8 + 1), 0);
        (first..=last).for_each(|number| bits[number as usize / 8] |= 1 << (number % 8));
    }
    long | RoaringBitmap::from_lsb0_bytes(0, &bits)
}

/// Adds the numbers of a list.
pub(super) fn decode_into(bytes: &[u8], into: &mut RoaringBitmap) -> Result<(), Damaged> {
    match bytes {
        [RUNS, rest @ ..] => runs(rest).try_for_each(|run| {
            let (first, last) = run?;
            if first == last {
                into.insert(first);
            } else {
                into.insert_range(first..=last);
            }
            Ok(())
        }),
        _ => {
            *into |= decode(bytes)?;
            Ok(())
        }
    }
}

/// The numbers of a list.
pub(super) fn decode(bytes: &[u8]) -> Result<RoaringBitmap, Damaged> {
    match bytes {
        [RUNS, rest @ ..] => {
            let mut bitmap = RoaringBitmap::new();
            for run in runs(rest) {
                let (first, last) = run?;
                if first == last {
                    bitmap.try_push(first).map_err(|_| Damaged)?;
                } else {
                    bitmap.insert_range(first..=last);
                }
            }
            Ok(bitmap)
        }
        [BITMAP, rest @ ..] => RoaringBitmap::deserialize_from(rest).map_err(|_| Damaged),
        _ => Err(Damaged),
    }
}

/// The first number of a list; none if it is empty.
pub(super) fn first(bytes: &[u8]) -> Result<Option<u32>, Damaged> {
    match bytes {
        [RUNS, rest @ ..] => Ok(runs(rest).next().transpose()?.map(|(first, _)| first)),
        other => decode(other).map(|bitmap| bitmap.min()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn gathered(numbers: &BTreeSet<u32>) -> Vec<u8> {
        let (mut bytes, mut next) = (Vec::new(), 0);
        let mut numbers = numbers.iter().copied().peekable();
        while let Some(first) = numbers.next() {
            let mut last = first;
            while numbers.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            push_run(first - next, last - first + 1, &mut bytes);
            next = last + 1;
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            sparse in prop::collection::btree_set(0..2_000_000_u32, 0..200),
            dense in (0..100_000_u32, 0..5000_u32),
            step in 2..9_usize,
        ) {
            let mut numbers = sparse;
            numbers.extend(dense.0..dense.0 + dense.1);
            numbers.extend((200_000..240_000).step_by(step).filter(|_| dense.1 % 2 == 0));
            let bytes = encode(numbers.len() as u32, &gathered(&numbers));
            prop_assert!(bytes.len() < 8192 + 2000, "{} bytes", bytes.len());
            prop_assert!(decode(&bytes).unwrap().iter().eq(numbers.iter().copied()));
            prop_assert_eq!(first(&bytes), Ok(numbers.first().copied()));
            let mut into = RoaringBitmap::from_iter([7, 3_000_000]);
            decode_into(&bytes, &mut into).unwrap();
            numbers.extend([7, 3_000_000]);
            prop_assert!(into.iter().eq(numbers));
        }

        #[test]
        fn joined_lists_are_the_list_of_all(
            sparse in prop::collection::btree_set(0..300_000_u32, 0..200),
            dense in (0..200_000_u32, 0..60_000_u32),
            step in 1..4_usize,
            cuts in prop::collection::btree_set(1..300_000_u32, 0..4),
        ) {
            let mut numbers = sparse;
            numbers.extend((dense.0..dense.0 + dense.1).step_by(step));
            let mut joined = Joined::default();
            let mut from = 0;
            for end in cuts.into_iter().chain([u32::MAX]) {
                let part: BTreeSet<u32> = numbers.range(from..end).map(|number| number - from).collect();
                match part.len() {
                    0 => {}
                    1 => joined.one(from, *part.first().unwrap()).unwrap(),
                    count => joined.list(from, &encode(count as u32, &gathered(&part))).unwrap(),
                }
                from = end;
            }
            let count = numbers.len() as u32;
            prop_assert_eq!(joined.encode(), (count, encode(count, &gathered(&numbers))));
        }

        #[test]
        fn damage_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), tag in 0..2_u8) {
            let bytes = [&[tag], bytes.as_slice()].concat();
            prop_assert_eq!(decode(&bytes).ok(), {
                let mut into = RoaringBitmap::new();
                decode_into(&bytes, &mut into).ok().map(|()| into)
            });
        }
    }
}
