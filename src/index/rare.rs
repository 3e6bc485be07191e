//! Values that one event has each, packed in order.
//!
//! A block: how long its plain form is (varint, 0: what follows is plain), then that form, compressed with zstd where
//! that is shorter. The plain form, for `n` values: `n` (varint); the bytes of a number, 1 to 4; for each value how
//! many bytes it shares with the one before (1 byte each); how many it adds (1 byte each); what they add; then the
//! numbers, little-endian, all lowest bytes first. Alike things stand together, for the compressor's sake.

use std::ops::ControlFlow;

use zstd::bulk::{Compressor, Decompressor};

use super::postings::{Damaged, push_varint, take_varint};

/// So many values are packed together: looking one up decodes a few kilobytes.
pub(super) const VALUES_MAX: usize = 256;
/// Longer claims are damage.
const PLAIN_MAX: usize = VALUES_MAX * (255 + 6) + 16;
/// The level of compression that [`compressor`] works at.
const LEVEL: i32 = 3;

/// A compressor for [`pack`]; made once. Without one, blocks stay plain.
pub(super) fn compressor() -> Option<Compressor<'static>> {
    Compressor::new(LEVEL).ok()
}

/// Packs values with their numbers; at most [`VALUES_MAX`], in order, of at most 255 bytes.
pub(super) fn pack(values: &[(&[u8], u32)], compressor: Option<&mut Compressor<'static>>) -> Vec<u8> {
    let plain = plain(values);
    let compressed = compressor.and_then(|compressor| compressor.compress(&plain).ok());
    let mut bytes = Vec::new();
    match compressed.filter(|compressed| compressed.len() + 2 < plain.len()) {
        Some(compressed) => {
            push_varint(u32::try_from(plain.len()).unwrap_or(u32::MAX), &mut bytes);
            bytes.extend_from_slice(&compressed);
        }
        None => {
            bytes.push(0);
            bytes.extend_from_slice(&plain);
        }
    }
    bytes
}

fn plain(values: &[(&[u8], u32)]) -> Vec<u8> {
    let shared = |index: usize| -> usize {
        let before = index.checked_sub(1).and_then(|before| values.get(before)).map_or(&[][..], |v| v.0);
        let value = values.get(index).map_or(&[][..], |v| v.0);
        before.iter().zip(value).take_while(|(a, b)| a == b).count().min(255)
    };
    let width = values.iter().map(|(_, number)| 4 - number.leading_zeros() as usize / 8).max();
    let width = width.unwrap_or(1).max(1);
    let lengths: Vec<usize> = (0..values.len()).map(shared).collect();
    let mut bytes = Vec::new();
    push_varint(u32::try_from(values.len()).unwrap_or(u32::MAX), &mut bytes);
    bytes.push(width as u8);
    bytes.extend(lengths.iter().map(|length| *length as u8));
    let added = || values.iter().zip(&lengths).map(|((value, _), shared)| &value[*shared..]);
    bytes.extend(added().map(|added| added.len() as u8));
    added().for_each(|added| bytes.extend_from_slice(added));
    for byte in 0..width {
        bytes.extend(values.iter().map(|(_, number)| number.to_le_bytes()[byte]));
    }
    bytes
}

/// Values with their numbers, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    values: Vec<u8>,
    /// Where each value ends, and its number.
    ends: Vec<(u32, u32)>,
}

impl Unpacked {
    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.ends.clear();
    }

    pub(super) fn push(&mut self, value: &[u8], number: u32) {
        self.values.extend_from_slice(value);
        self.ends.push((self.values.len() as u32, number));
    }

    pub(super) fn get(&self, at: usize) -> Option<(&[u8], u32)> {
        let (end, number) = *self.ends.get(at)?;
        let from = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(end, _)| *end);
        Some((self.values.get(from as usize..end as usize)?, number))
    }
}

/// Reads blocks; one for many, since the decompressor's tables take longer to make than a block to read.
#[derive(Default)]
pub(super) struct Blocks {
    decompressor: Option<Decompressor<'static>>,
}

impl Blocks {
    /// Visits the values of a block with their numbers, in order, until told to stop.
    pub(super) fn visit(
        &mut self,
        bytes: &[u8],
        visit: &mut dyn FnMut(&[u8], u32) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Damaged> {
        let mut rest = bytes;
        let length = take_varint(&mut rest).ok_or(Damaged)? as usize;
        if length == 0 {
            return visit_plain(rest, visit).ok_or(Damaged);
        }
        if length > PLAIN_MAX {
            return Err(Damaged);
        }
        let plain = match &mut self.decompressor {
            Some(decompressor) => decompressor.decompress(rest, length),
            None => {
                let new = Decompressor::new().map_err(|_| Damaged)?;
                self.decompressor.insert(new).decompress(rest, length)
            }
        };
        visit_plain(&plain.map_err(|_| Damaged)?, visit).ok_or(Damaged)
    }
}

fn visit_plain(
    mut bytes: &[u8],
    visit: &mut dyn FnMut(&[u8], u32) -> ControlFlow<()>,
) -> Option<ControlFlow<()>> {
    let count = take_varint(&mut bytes)? as usize;
    let (width, rest) = bytes.split_first()?;
    let width = usize::from(*width);
    let (shared, rest) = rest.split_at_checked(count)?;
    let (added, rest) = rest.split_at_checked(count)?;
    let (mut texts, numbers) =
        rest.split_at_checked(added.iter().map(|length| usize::from(*length)).sum())?;
    if !(1..=4).contains(&width) || numbers.len() != width * count {
        return None;
    }
    let mut value = Vec::with_capacity(255);
    for (index, (shared, added)) in shared.iter().zip(added).enumerate() {
        if usize::from(*shared) > value.len() {
            return None;
        }
        let (text, rest) = texts.split_at_checked(usize::from(*added))?;
        texts = rest;
        value.truncate(usize::from(*shared));
        value.extend_from_slice(text);
        let byte = |byte: usize| u32::from(numbers[byte * count + index]) << (8 * byte);
        if visit(&value, (0..width).map(byte).sum()).is_break() {
            return Some(ControlFlow::Break(()));
        }
    }
    Some(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn unpack(bytes: &[u8]) -> Result<BTreeMap<Vec<u8>, u32>, Damaged> {
        let mut values = BTreeMap::new();
        let flow = Blocks::default().visit(bytes, &mut |value, number| {
            values.insert(value.to_vec(), number);
            ControlFlow::Continue(())
        })?;
        assert!(flow.is_continue());
        Ok(values)
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            values in prop::collection::btree_map("[ab]{0,6}[0-9a-f]{0,30}", any::<u32>(), 1..200),
            shift in 0..32_u32,
        ) {
            let values: BTreeMap<Vec<u8>, u32> =
                values.into_iter().map(|(value, number)| (value.into_bytes(), number >> shift)).collect();
            let list: Vec<(&[u8], u32)> = values.iter().map(|(v, number)| (v.as_slice(), *number)).collect();
            let mut compressor = Compressor::new(LEVEL).unwrap();
            prop_assert_eq!(unpack(&pack(&list, Some(&mut compressor))), Ok(values.clone()));
            prop_assert_eq!(unpack(&pack(&list, None)), Ok(values));
        }

        #[test]
        fn damage_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = unpack(&bytes);
            let _ = unpack(&[&[0][..], &bytes].concat());
        }
    }
}
