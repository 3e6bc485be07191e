//! Terms while they are gathered: a table from value to a growing list of event numbers.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zstd::bulk::Compressor;

use super::field::{Field, PRESENT};
use super::{Term, postings, rare};

/// All terms so far. A value takes about 40 bytes and its own length, a further event with it 1 to 3.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// Half of the hash, and the entry's index. With the hash beside it, a wrong entry is hardly ever looked at.
    table: HashTable<(u32, u32)>,
    entries: Vec<Entry>,
    /// The values, one behind the other.
    values: Vec<u8>,
    /// The runs of numbers of entries with more than one run, but for the last one.
    lists: Vec<Vec<u8>>,
    /// What the lists hold.
    listed: usize,
    /// Makes it hard to send many values that fall into one place; see [`Gather::seed`].
    seed: u64,
    /// The entries that were added to since the last [`Gather::note`], by index.
    noted: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where its value begins.
    value: u32,
    length: u8,
    field: u8,
    last: u32,
    count: u32,
    /// The run that `last` ends: how far behind the one before it begins, and its length.
    gap: u32,
    run: u32,
    /// Index in `lists`, plus 1, when there was a run before.
    list: u32,
}

/// An entry and a list beyond their own bytes: places in the table, and what an allocation costs.
const ENTRY_BYTES: usize = size_of::<Entry>() + 16;
const LIST_BYTES: usize = 48;

impl Gather {
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets what the hashes depend on; only while nothing is gathered.
    pub(super) const fn seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// About how much memory all this takes.
    pub(super) fn bytes(&self) -> usize {
        let lists = self.lists.len() * LIST_BYTES + self.listed;
        self.values.len() + self.entries.len() * ENTRY_BYTES + lists
    }

    /// Notes that the event has this value, of at most 255 bytes; numbers never descend.
    pub(super) fn add(&mut self, field: Field, value: &[u8], number: u32) {
        let field = field.number();
        let hash = self.hash(field, value);
        let found = self.table.find(spread(hash), |(known, index)| {
            *known == hash && self.entries.get(*index as usize).is_some_and(|e| self.is(e, field, value))
        });
        match found.map(|(_, index)| *index) {
            Some(index) => {
                self.noted.push(index);
                self.push(index as usize, number);
            }
            None => {
                self.noted.push(self.entries.len() as u32);
                self.insert((field, value), hash, number);
            }
        }
    }

    /// From now on it is noted to which entries is added.
    pub(super) fn note(&mut self) {
        self.noted.clear();
    }

    /// The entries that were added to since then.
    pub(super) fn noted(&self) -> &[u32] {
        &self.noted
    }

    /// Notes that the event has the values of these entries.
    pub(super) fn add_again(&mut self, entries: &[u32], number: u32) {
        for index in entries {
            self.push(*index as usize, number);
        }
    }

    fn hash(&self, field: u8, value: &[u8]) -> u32 {
        let seed = self.seed ^ u64::from(field).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        xxh3_64_with_seed(value, seed) as u32
    }

    fn value(&self, entry: &Entry) -> &[u8] {
        let from = entry.value as usize;
        self.values.get(from..from + usize::from(entry.length)).unwrap_or_default()
    }

    fn is(&self, entry: &Entry, field: u8, value: &[u8]) -> bool {
        entry.field == field && self.value(entry) == value
    }

    #[inline]
    fn push(&mut self, index: usize, number: u32) {
        let Some(entry) = self.entries.get_mut(index).filter(|entry| entry.last < number) else { return };
        let gap = number - entry.last - 1;
        entry.last = number;
        entry.count += 1;
        if gap == 0 {
            entry.run += 1;
            return;
        }
        if entry.list == 0 {
            self.lists.push(Vec::with_capacity(8));
            entry.list = self.lists.len() as u32;
        }
        if let Some(list) = self.lists.get_mut(entry.list as usize - 1) {
            let before = list.len();
            postings::push_run(entry.gap, entry.run, list);
            self.listed += list.len() - before;
        }
        (entry.gap, entry.run) = (gap, 1);
    }

    fn insert(&mut self, (field, value): (u8, &[u8]), hash: u32, number: u32) {
        let length = value.len().min(255);
        let entry = Entry {
            value: self.values.len() as u32,
            length: length as u8,
            field,
            last: number,
            count: 1,
            gap: number,
            run: 1,
            list: 0,
        };
        self.values.extend_from_slice(&value[..length]);
        self.table.insert_unique(spread(hash), (hash, self.entries.len() as u32), |(hash, _)| spread(*hash));
        self.entries.push(entry);
    }

    /// The terms in order of field and value.
    pub(super) fn finish(self) -> Finished {
        let mut order: Vec<(u64, u32)> =
            self.entries.iter().zip(0..).map(|(entry, index)| (self.sort_key(entry), index)).collect();
        let value = |index: u32| self.entries.get(index as usize).map_or(&[][..], |entry| self.value(entry));
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| value(a.1).cmp(value(b.1))));
        Finished {
            gather: Self { table: HashTable::new(), ..self },
            order,
            at: 0,
            compressor: rare::compressor(),
        }
    }

    /// The field's number, that of its rare values where it is one, and the first bytes of the value.
    fn sort_key(&self, entry: &Entry) -> u64 {
        let value = self.value(entry);
        let is_rare = entry.count == 1 && value != PRESENT;
        let start = [entry.field | if is_rare { 0x80 } else { 0 }];
        let bytes = start.iter().chain(value).copied().chain(std::iter::repeat(0)).take(8);
        bytes.fold(0, |key, byte| key << 8 | u64::from(byte))
    }
}

/// A table wants its hashes spread over 64 bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What [`Builder::finish`](super::Builder::finish) gives: terms in order, made one by one.
pub struct Finished {
    gather: Gather,
    order: Vec<(u64, u32)>,
    at: usize,
    compressor: Option<Compressor<'static>>,
}

impl Finished {
    fn entry(&self, at: usize) -> Option<(u8, Entry)> {
        let (key, index) = self.order.get(at)?;
        Some(((key >> 56) as u8, *self.gather.entries.get(*index as usize)?))
    }

    fn block(&mut self, field: u8) -> Option<Term> {
        let rest = (self.at..self.order.len()).map_while(|at| self.entry(at));
        let entries: Vec<Entry> = rest
            .take_while(|(found, _)| *found == field)
            .map(|(_, entry)| entry)
            .take(rare::VALUES_MAX)
            .collect();
        self.at += entries.len();
        let mut compressor = self.compressor.take();
        let values: Vec<(&[u8], u32)> =
            entries.iter().map(|entry| (self.gather.value(entry), entry.last)).collect();
        let term = Term {
            field,
            value: values.last()?.0.into(),
            count: u32::try_from(values.len()).unwrap_or(u32::MAX),
            postings: rare::pack(&values, compressor.as_mut()),
        };
        self.compressor = compressor;
        Some(term)
    }
}

impl Iterator for Finished {
    type Item = Term;

    fn next(&mut self) -> Option<Term> {
        let (field, entry) = self.entry(self.at)?;
        if field & 0x80 != 0 {
            return self.block(field);
        }
        self.at += 1;
        let list = (entry.list as usize).checked_sub(1).and_then(|index| self.gather.lists.get_mut(index));
        let mut list = list.map(std::mem::take).unwrap_or_default();
        postings::push_run(entry.gap, entry.run, &mut list);
        Some(Term {
            field,
            value: self.gather.value(&entry).into(),
            count: entry.count,
            postings: postings::encode(entry.count, &list),
        })
    }
}

impl std::fmt::Debug for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finished").field("terms_left", &(self.order.len() - self.at)).finish_non_exhaustive()
    }
}
