//! Texts that come again and again, and which terms they have: forges repeat themselves, so for most texts of an event
//! nothing has to be folded, split or looked up.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many texts are remembered, and how many bytes and terms of them: some 8 MiB. When it is full, all are forgotten.
const TEXTS_MAX: usize = 1 << 16;
const BYTES_MAX: usize = 4 << 20;
const TERMS_MAX: usize = 1 << 19;
/// Longer ones are not.
const LENGTH_MAX: usize = 1 << 12;
/// A text is remembered when it comes for the second time, as far as these places tell.
const PLACES: usize = 1 << 16;

/// Remembers the terms of texts, by index.
#[derive(Debug, Default)]
pub(super) struct Known {
    table: HashTable<u32>,
    texts: Vec<Text>,
    bytes: Vec<u8>,
    terms: Vec<u32>,
    /// What came once: a part of its hash.
    once: Vec<u32>,
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Text {
    hash: u64,
    bytes: (u32, u32),
    terms: (u32, u32),
    role: u8,
}

impl Known {
    /// Sets what the hashes depend on.
    pub(super) const fn seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// The hash of a text in a role.
    pub(super) fn hash(&self, role: u8, text: &str) -> u64 {
        xxh3_64_with_seed(text.as_bytes(), self.seed ^ u64::from(role).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The terms of a text, if it is known.
    #[inline]
    pub(super) fn find(&self, hash: u64, role: u8, text: &str) -> Option<&[u32]> {
        let is = |known: &Text| {
            known.hash == hash && known.role == role && self.bytes_of(known) == Some(text.as_bytes())
        };
        let index =
            self.table.find(hash, |index| self.texts.get(*index as usize).is_some_and(is)).copied()?;
        let (from, to) = self.texts.get(index as usize)?.terms;
        self.terms.get(from as usize..to as usize)
    }

    fn bytes_of(&self, text: &Text) -> Option<&[u8]> {
        self.bytes.get(text.bytes.0 as usize..text.bytes.1 as usize)
    }

    /// Whether a text that is not known came before.
    pub(super) fn is_second(&mut self, hash: u64) -> bool {
        if self.once.is_empty() {
            self.once = vec![0; PLACES];
        }
        let tag = (hash >> 32) as u32 | 1;
        let place = self.once.get_mut(hash as usize % PLACES);
        place.is_some_and(|place| std::mem::replace(place, tag) == tag)
    }

    /// Remembers a text's terms.
    pub(super) fn remember(&mut self, hash: u64, role: u8, text: &str, terms: &[u32]) {
        if text.len() > LENGTH_MAX {
            return;
        }
        let is_full = self.texts.len() >= TEXTS_MAX
            || self.bytes.len() + text.len() > BYTES_MAX
            || self.terms.len() + terms.len() > TERMS_MAX;
        if is_full {
            self.table.clear();
            self.texts.clear();
            self.bytes.clear();
            self.terms.clear();
        }
        let (bytes, first) = (self.bytes.len() as u32, self.terms.len() as u32);
        self.bytes.extend_from_slice(text.as_bytes());
        self.terms.extend_from_slice(terms);
        let index = self.texts.len() as u32;
        let ends = (self.bytes.len() as u32, self.terms.len() as u32);
        self.texts.push(Text { hash, bytes: (bytes, ends.0), terms: (first, ends.1), role });
        let texts = &self.texts;
        let rehash = |index: &u32| texts.get(*index as usize).map_or(0, |text| text.hash);
        self.table.insert_unique(hash, index, rehash);
    }
}
