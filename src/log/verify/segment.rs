//! The inside of a sealed segment: everything that can be recomputed from its entries.

use bytes::Bytes;

use super::Progress;
use super::culprit::{SealedTraces, damage, rows};
use super::hot::Found;
use super::terms::{check_index, dedupe_key};
use crate::event::{Catalogue, Entry};
use crate::index::{self, Dictionary, Field};
use crate::log::LogError;
use crate::log::decoder::Decoder;
use crate::log::recent::cut;
use crate::log::row::{Head, Row};
use crate::log::segment::{Manifest, Segment, StoredBlock, decode_times, encode_times};
use crate::time::Timestamp;

/// What is gathered on the way through the blocks.
struct Walk {
    manifest: Manifest,
    decoder: Decoder,
    catalogue: Catalogue,
    index: index::Builder,
    keys: Option<Vec<u64>>,
    head: Head,
    events: u64,
    next: u64,
}

/// What another version of the program has made of the same events.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Others {
    /// The index, by another version of it or another catalogue: it could not be compared.
    pub index: bool,
    /// How many events the keys of duplicates are of, if they are not those that this program makes.
    pub keys: u64,
}

/// Recomputes the chain, the columns, the keys and the index. [`LogError::Corrupt`] names the first block that is not
/// what was written. Keys are taken over when a segment is made, so other ones are no damage as long as the file is what
/// was signed.
pub(super) fn check(
    segment: &mut Segment,
    manifest: &Manifest,
    (with_keys, progress): (bool, &Progress),
) -> Result<Others, LogError> {
    let mut walk = Walk {
        manifest: manifest.clone(),
        decoder: Decoder::default(),
        catalogue: Catalogue::built_in(),
        index: index::Builder::default(),
        keys: with_keys.then(Vec::new),
        head: manifest.head_before.0,
        events: 0,
        next: manifest.first,
    };
    while walk.next <= manifest.last {
        let block = segment.block_with(walk.next)?;
        let plain = segment.plain(&block)?;
        walk.block(segment, &block, &plain.into())?;
        progress.at(block.positions.1)?;
    }
    let (first, last) = (manifest.first, manifest.last);
    let corrupt = |reason: &str| LogError::Corrupt { first, last, reason: reason.to_owned() };
    if walk.head != manifest.head_after.0 {
        return Err(corrupt("the chain of hashes does not end as was signed"));
    }
    if walk.events != manifest.events {
        return Err(corrupt("it has another number of events than was signed"));
    }
    let stored = segment.keys()?;
    if stored.len() as u64 != manifest.events || !stored.is_sorted() {
        return Err(corrupt("the keys of duplicates are not what was written"));
    }
    let mut others = Others::default();
    if let Some(mut keys) = walk.keys {
        keys.sort_unstable();
        others.keys = if keys == stored { 0 } else { manifest.events };
    }
    // What a merged index leaves out depends on where its parts ended.
    let unindexed = Dictionary::new(segment).present(Field::Unindexed);
    let leaves_out = walk.index.is_full() || unindexed.is_ok_and(|events| !events.is_empty());
    others.index = !segment.is_current() || (leaves_out && !manifest.replaces.is_empty());
    if !others.index {
        check_index(segment, walk.index)?;
    }
    Ok(others)
}

impl Walk {
    fn block(&mut self, segment: &Segment, block: &StoredBlock, plain: &Bytes) -> Result<(), LogError> {
        let (first, last) = block.positions;
        let corrupt = |reason: &str| LogError::Corrupt { first, last, reason: reason.to_owned() };
        if first != self.next {
            return Err(LogError::Corrupt {
                first: self.next,
                last: first - 1,
                reason: "they are missing".to_owned(),
            });
        }
        if last < first || last > self.manifest.last {
            let last = self.manifest.last;
            let reason = format!("a block of them says that it ends at {}", block.positions.1);
            return Err(LogError::Corrupt { first, last, reason });
        }
        let (mut own, mut times) = (Found::new(self.head), Vec::new());
        for row in rows(plain, (first, last)) {
            let (position, row, encoded) = row?;
            own.add(&row, encoded);
            times.push(match row {
                Row::Event { time, .. } => Some(Timestamp(time)),
                Row::Tick { .. } | Row::Deleted { .. } => None,
            });
            self.event(position, &row, plain);
        }
        self.next = last + 1;
        self.head = own.head;
        self.events += own.events;
        if own.head != block.head {
            let traces = SealedTraces {
                marks: &block.marks,
                times: decode_times(&block.event_times, times.len()),
                has_key: &|key| segment.has_key(cut(key)).unwrap_or(true),
            };
            let reason = "the chain of hashes does not hold: it was changed after it was written";
            return Err(damage((first, last), plain, &traces, reason));
        }
        let columns = (block.times, block.received_max, block.kinds);
        let are_kept = own.marks == block.marks && encode_times(&times) == block.event_times;
        if (own.times, own.received_max, own.kinds) != columns || !are_kept {
            return Err(corrupt("what the table says of these entries is not what was written"));
        }
        Ok(())
    }

    fn event(&mut self, position: u64, row: &Row<'_>, plain: &Bytes) {
        let Some(Entry::Event(event)) = self.decoder.entry(position, row, plain) else { return };
        let number = u32::try_from(position - self.manifest.first).unwrap_or(u32::MAX);
        self.index.add(number, &event, &self.catalogue);
        if let Some(keys) = &mut self.keys {
            keys.push(cut(dedupe_key(&event)));
        }
    }
}
