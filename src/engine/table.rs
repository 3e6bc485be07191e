//! The keys of one rule: slots in chunks, found by the hash of their key, and in two queues from the oldest to the
//! newest. A key's text stands once, in its slot.
//!
//! Slot numbers are places in memory and mean nothing: they change when the table is packed or read back. Whatever
//! decides anything goes by the queues.

use std::fmt;
use std::hash::Hasher;

use hashbrown::HashTable;
use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use super::slot::{Queue, Slot};

/// Slots that are allocated together; growing never copies more than these.
const CHUNK: usize = 512;

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// What a key takes in the index, in bytes: a number and a byte, where at least seven of sixteen places are used.
pub(super) const INDEX_BYTES: usize = 12;

/// The keys of one rule.
#[derive(Clone)]
pub(super) struct Table {
    /// Half of the fingerprint of the rule's meaning; not part of the bytes.
    seed: [u8; 16],
    index: HashTable<u32>,
    slots: Slots,
    queues: [Ends; 2],
}

/// Slots in chunks, and those that are free.
#[derive(Clone)]
struct Slots {
    chunks: Vec<Vec<Slot>>,
    /// The first free slot; each names the next one.
    free: u32,
}

/// The ends of a queue, and what its slots take.
#[derive(Debug, Clone, Copy)]
struct Ends {
    first: u32,
    last: u32,
    bytes: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self::new([0; 16])
    }
}

impl Table {
    pub(super) fn new(seed: [u8; 16]) -> Self {
        let ends = Ends { first: NONE, last: NONE, bytes: 0 };
        let slots = Slots { chunks: Vec::new(), free: NONE };
        Self { seed, index: HashTable::new(), slots, queues: [ends; 2] }
    }

    /// The hash of a key under this rule.
    pub(super) fn hash(&self, key: &str) -> u64 {
        hash(&self.seed, key)
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// What all slots take.
    pub(super) fn bytes(&self) -> usize {
        self.queues.iter().map(|ends| ends.bytes).sum()
    }

    /// What the slots of one queue take.
    pub(super) fn queue_bytes(&self, queue: Queue) -> usize {
        self.ends(queue).bytes
    }

    /// The oldest slot of a queue.
    pub(super) fn first(&self, queue: Queue) -> Option<u32> {
        Some(self.ends(queue).first).filter(|first| *first != NONE)
    }

    pub(super) fn find(&self, hash: u64, key: &str) -> Option<u32> {
        let is_it = |number: &u32| self.slots.get(*number).is_some_and(|slot| *slot.key == *key);
        self.index.find(hash, is_it).copied()
    }

    /// All slots with this hash: one, but for an accident that hardly happens.
    pub(super) fn all(&self, hash: u64) -> SmallVec<[u32; 2]> {
        let is_it = |number: &&u32| self.slots.get(**number).is_some_and(|slot| self.hash(&slot.key) == hash);
        self.index.iter_hash(hash).filter(is_it).copied().collect()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.get_mut(number)
    }

    /// Puts a slot at the end of its queue; its key must not be there yet.
    pub(super) fn push(&mut self, hash: u64, slot: Slot) -> u32 {
        let number = self.slots.add(slot);
        self.link(number);
        let (slots, seed) = (&self.slots, &self.seed);
        self.index.insert_unique(hash, number, |number| {
            slots.get(*number).map_or(0, |slot| self::hash(seed, &slot.key))
        });
        number
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Slot> {
        let hash = self.hash(&self.slots.get(number)?.key);
        if let Ok(entry) = self.index.find_entry(hash, |known| *known == number) {
            entry.remove();
        }
        self.unlink(number);
        self.slots.take(number)
    }

    /// Puts a slot at the end of a queue.
    pub(super) fn requeue(&mut self, number: u32, queue: Queue) {
        self.unlink(number);
        if let Some(slot) = self.slots.get_mut(number) {
            slot.queue = queue;
        }
        self.link(number);
    }

    /// Notes what a slot takes now; answers what it took before.
    pub(super) fn weigh(&mut self, number: u32, bytes: u32) -> Option<u32> {
        let slot = self.slots.get_mut(number)?;
        let before = std::mem::replace(&mut slot.bytes, bytes);
        let queue = slot.queue;
        let ends = self.ends_mut(queue);
        ends.bytes = ends.bytes + bytes as usize - before as usize;
        Some(before)
    }

    /// The slots, queue by queue, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        [Queue::Probation, Queue::Protected].into_iter().flat_map(|queue| {
            let first = self.first(queue).and_then(|number| self.get(number));
            std::iter::successors(first, |slot| self.get(slot.next))
        })
    }

    /// Removes the slots that are not to be kept, and counts the others anew; answers how much less that is.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut Slot) -> bool) -> usize {
        let before = self.bytes();
        for queue in [Queue::Probation, Queue::Protected] {
            let mut number = self.ends(queue).first;
            while let Some(slot) = self.slots.get_mut(number) {
                let next = slot.next;
                if keep(slot) {
                    let bytes = slot.weight();
                    self.weigh(number, bytes);
                } else {
                    self.remove(number);
                }
                number = next;
            }
        }
        self.pack();
        before.saturating_sub(self.bytes())
    }

    /// Gives memory back when less than half of the slots are used.
    fn pack(&mut self) {
        let places = self.slots.places();
        if places <= CHUNK || self.len() * 2 > places {
            return;
        }
        let mut packed = Self::new(self.seed);
        packed.index.reserve(self.len(), |_| 0);
        for queue in [Queue::Probation, Queue::Protected] {
            let mut number = self.ends(queue).first;
            while let Some(slot) = self.slots.take(number) {
                number = slot.next;
                packed.push(self.hash(&slot.key), slot);
            }
        }
        *self = packed;
    }

    /// Sets the seed and builds the index, after reading.
    pub(super) fn seeded(mut self, seed: [u8; 16]) -> Self {
        self.seed = seed;
        let places = u32::try_from(self.slots.places()).unwrap_or(NONE);
        let hash_of = |number: &u32| self.slots.get(*number).map_or(0, |slot| hash(&seed, &slot.key));
        self.index = HashTable::with_capacity(self.slots.places());
        for number in 0..places {
            self.index.insert_unique(hash_of(&number), number, hash_of);
        }
        self
    }

    fn ends(&self, queue: Queue) -> &Ends {
        let [probation, protected] = &self.queues;
        if queue == Queue::Probation { probation } else { protected }
    }

    fn ends_mut(&mut self, queue: Queue) -> &mut Ends {
        let [probation, protected] = &mut self.queues;
        if queue == Queue::Probation { probation } else { protected }
    }

    fn link(&mut self, number: u32) {
        let Some(queue) = self.slots.get(number).map(|slot| slot.queue) else { return };
        let last = self.ends(queue).last;
        let Some(slot) = self.slots.get_mut(number) else { return };
        (slot.before, slot.next) = (last, NONE);
        let bytes = slot.bytes as usize;
        match self.slots.get_mut(last) {
            Some(last) => last.next = number,
            None => self.ends_mut(queue).first = number,
        }
        let ends = self.ends_mut(queue);
        ends.last = number;
        ends.bytes += bytes;
    }

    fn unlink(&mut self, number: u32) {
        let Some(slot) = self.slots.get(number) else { return };
        let (queue, before, next, bytes) = (slot.queue, slot.before, slot.next, slot.bytes as usize);
        match self.slots.get_mut(before) {
            Some(before) => before.next = next,
            None => self.ends_mut(queue).first = next,
        }
        match self.slots.get_mut(next) {
            Some(next) => next.before = before,
            None => self.ends_mut(queue).last = before,
        }
        self.ends_mut(queue).bytes -= bytes;
    }
}

impl Slots {
    fn places(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    fn get(&self, number: u32) -> Option<&Slot> {
        let number = number as usize;
        self.chunks.get(number / CHUNK)?.get(number % CHUNK)
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        let number = number as usize;
        self.chunks.get_mut(number / CHUNK)?.get_mut(number % CHUNK)
    }

    fn add(&mut self, slot: Slot) -> u32 {
        let number = self.free;
        if let Some(place) = self.get_mut(number) {
            let next_free = place.next;
            *place = slot;
            self.free = next_free;
            return number;
        }
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => {
                chunk.push(slot);
                u32::try_from(full + chunk.len() - 1).unwrap_or(NONE)
            }
            None => {
                // The first chunk grows with its keys: most rules have few.
                let room = if self.chunks.is_empty() { 4 } else { CHUNK };
                let mut chunk = Vec::with_capacity(room);
                chunk.push(slot);
                self.chunks.push(chunk);
                u32::try_from((self.chunks.len() - 1) * CHUNK).unwrap_or(NONE)
            }
        }
    }

    fn take(&mut self, number: u32) -> Option<Slot> {
        let free = self.free;
        let slot = std::mem::replace(self.get_mut(number)?, Slot::free(free));
        self.free = number;
        Some(slot)
    }
}

fn hash(seed: &[u8; 16], key: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_key(seed);
    hasher.write(key.as_bytes());
    hasher.finish()
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("keys", &self.len()).field("bytes", &self.bytes()).finish()
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut slots = serializer.serialize_seq(Some(self.len()))?;
        for slot in self.iter() {
            slots.serialize_element(slot)?;
        }
        slots.end()
    }
}

/// Without an index until [`Table::seeded`].
impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Table;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the slots of a rule's keys")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut slots: A) -> Result<Table, A::Error> {
                let mut table = Table::default();
                while let Some(slot) = slots.next_element()? {
                    let number = table.slots.add(slot);
                    table.link(number);
                }
                Ok(table)
            }
        }
        deserializer.deserialize_seq(Reading)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table that is two lists of keys.
    #[derive(Default)]
    struct Naive([Vec<(u8, u32)>; 2]);

    impl Naive {
        fn place(&self, key: u8) -> Option<(usize, usize)> {
            let find = |queue: usize| self.0[queue].iter().position(|(known, _)| *known == key);
            (0..2).find_map(|queue| Some((queue, find(queue)?)))
        }
    }

    const QUEUES: [Queue; 2] = [Queue::Probation, Queue::Protected];

    fn check(table: &Table, naive: &Naive) {
        let keys: Vec<String> = table.iter().map(|slot| slot.key.to_string()).collect();
        let expected: Vec<String> = naive.0.iter().flatten().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, expected);
        assert_eq!(table.len(), expected.len());
        for (queue, list) in QUEUES.into_iter().zip(&naive.0) {
            let bytes: u32 = list.iter().map(|(_, bytes)| bytes).sum();
            assert_eq!(table.queue_bytes(queue), bytes as usize);
        }
        for key in expected {
            let hash = table.hash(&key);
            let number = table.find(hash, &key).unwrap();
            assert_eq!(table.all(hash).as_slice(), [number]);
            assert_eq!(*table.get(number).unwrap().key, *key);
        }
    }

    proptest! {
        #[test]
        fn a_table_is_two_queues_of_keys(steps in prop::collection::vec((0u8..5, 0u8..30, 1u32..1000), 1..200)) {
            let mut table = Table::new([7; 16]);
            let mut naive = Naive::default();
            for (step, key, bytes) in steps {
                let text = key.to_string();
                let hash = table.hash(&text);
                let queue = bytes as usize % 2;
                match (step, table.find(hash, &text), naive.place(key)) {
                    (_, None, None) => {
                        let number = table.push(hash, Slot::new(&text, None, QUEUES[queue]));
                        table.weigh(number, bytes);
                        naive.0[queue].push((key, bytes));
                    }
                    (0, Some(number), Some((of, place))) => {
                        table.remove(number);
                        naive.0[of].remove(place);
                    }
                    (1, Some(number), Some((of, place))) => {
                        table.requeue(number, QUEUES[queue]);
                        let moved = naive.0[of].remove(place);
                        naive.0[queue].push(moved);
                    }
                    (2, Some(number), Some((of, place))) => {
                        table.weigh(number, bytes);
                        naive.0[of][place].1 = bytes;
                    }
                    (3, Some(_), Some(_)) => {
                        let bytes = postcard::to_stdvec(&table).unwrap();
                        table = postcard::from_bytes::<Table>(&bytes).unwrap().seeded([7; 16]);
                        prop_assert_eq!(postcard::to_stdvec(&table).unwrap(), bytes);
                    }
                    (_, Some(_), Some(_)) => {}
                    (_, found, expected) => prop_assert!(false, "{found:?}, but {expected:?}"),
                }
                check(&table, &naive);
            }
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut table = Table::new([7; 16]);
        for number in 0..10_000 {
            let key = number.to_string();
            table.push(table.hash(&key), Slot::new(&key, None, Queue::Probation));
        }
        table.retain(|slot| slot.key.ends_with("77"));
        assert_eq!(table.len(), 100);
        assert!(table.slots.places() <= 2 * CHUNK, "{} places for 100 keys", table.slots.places());
        let keys: Vec<u32> = table.iter().map(|slot| slot.key.parse().unwrap()).collect();
        assert!(keys.is_sorted(), "the order of the queue stays");
        assert!(table.find(table.hash("9977"), "9977").is_some());
    }
}
