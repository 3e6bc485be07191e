//! Lists of event numbers as bytes.
//!
//! | first byte | then |
//! |---|---|
//! | 0 | the first number, then each one's distance from the one before less 1, as varints (LEB128) |
//! | 1 | a bitmap with runs in Roaring's portable format |

use roaring::RoaringBitmap;

const DELTAS: u8 = 0;
const BITMAP: u8 = 1;
/// Shorter lists are never smaller as a bitmap.
const BITMAP_FROM: u32 = 16;

/// Bytes that cannot have been written by [`encode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

pub(super) fn push_varint(mut number: u32, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The numbers of a list that is kept as deltas without its first byte.
fn deltas(mut bytes: &[u8]) -> impl Iterator<Item = Result<u32, Damaged>> {
    let mut next: Option<u32> = Some(0);
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let number = take_varint(&mut bytes).and_then(|delta| next?.checked_add(delta));
        next = number.and_then(|number| number.checked_add(1));
        if number.is_none() {
            bytes = &[];
        }
        Some(number.ok_or(Damaged))
    })
}

/// A list of `count` numbers that was gathered as deltas, in its shorter form.
pub(super) fn encode(count: u32, gathered: &[u8]) -> Vec<u8> {
    if count >= BITMAP_FROM {
        let mut bitmap = RoaringBitmap::new();
        // The numbers ascend, so that each can be put behind the others.
        let is_whole = deltas(gathered).all(|number| number.is_ok_and(|n| bitmap.try_push(n).is_ok()));
        bitmap.optimize();
        if is_whole && bitmap.serialized_size() < gathered.len() {
            let mut bytes = vec![BITMAP];
            // Writing into memory cannot fail.
            if bitmap.serialize_into(&mut bytes).is_ok() {
                return bytes;
            }
        }
    }
    let mut bytes = Vec::with_capacity(gathered.len() + 1);
    bytes.push(DELTAS);
    bytes.extend_from_slice(gathered);
    bytes
}

/// Adds the numbers of a list.
pub(super) fn decode_into(bytes: &[u8], into: &mut RoaringBitmap) -> Result<(), Damaged> {
    match bytes {
        [DELTAS, rest @ ..] => deltas(rest).try_for_each(|number| {
            into.insert(number?);
            Ok(())
        }),
        [BITMAP, rest @ ..] => {
            *into |= RoaringBitmap::deserialize_from(rest).map_err(|_| Damaged)?;
            Ok(())
        }
        _ => Err(Damaged),
    }
}

/// The numbers of a list.
pub(super) fn decode(bytes: &[u8]) -> Result<RoaringBitmap, Damaged> {
    match bytes {
        [DELTAS, rest @ ..] => {
            let mut bitmap = RoaringBitmap::new();
            for number in deltas(rest) {
                bitmap.try_push(number?).map_err(|_| Damaged)?;
            }
            Ok(bitmap)
        }
        [BITMAP, rest @ ..] => RoaringBitmap::deserialize_from(rest).map_err(|_| Damaged),
        _ => Err(Damaged),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn gathered(numbers: &BTreeSet<u32>) -> Vec<u8> {
        let (mut bytes, mut next) = (Vec::new(), 0);
        for number in numbers {
            push_varint(number - next, &mut bytes);
            next = number + 1;
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            sparse in prop::collection::btree_set(0..2_000_000_u32, 0..200),
            dense in (0..100_000_u32, 0..5000_u32),
        ) {
            let mut numbers = sparse;
            numbers.extend(dense.0..dense.0 + dense.1);
            let bytes = encode(numbers.len() as u32, &gathered(&numbers));
            prop_assert!(dense.1 < 2000 || bytes.len() < 2000, "runs are short: {}", bytes.len());
            prop_assert!(decode(&bytes).unwrap().iter().eq(numbers.iter().copied()));
            let mut into = RoaringBitmap::from_iter([7, 3_000_000]);
            decode_into(&bytes, &mut into).unwrap();
            numbers.extend([7, 3_000_000]);
            prop_assert!(into.iter().eq(numbers));
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
