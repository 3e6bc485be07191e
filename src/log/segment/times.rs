//! The event times of a block, in few bytes: an exact time filter needs no entries.
//!
//! | length | what |
//! |---|---|
//! | 1 | 0: every entry is an event; 1: a bitmap follows |
//! | count / 8, rounded up | the bitmap: bit 0 of byte 0 is the first entry; 1 where it is an event |
//! | 1 to 10 for each event | its time less the time of the event before (0 before the first), zigzag, as a varint |
//! | 4 | CRC-32 of all that, little-endian |

use crate::log::packing::checksum;
use crate::time::Timestamp;

/// Packs one time for each entry; none for those that are no events.
pub(in crate::log) fn encode(times: &[Option<Timestamp>]) -> Vec<u8> {
    let mut bytes = vec![u8::from(times.iter().any(Option::is_none))];
    if bytes == [1] {
        let byte = |chunk: &[Option<Timestamp>]| {
            chunk.iter().enumerate().fold(0, |byte, (bit, time)| byte | u8::from(time.is_some()) << bit)
        };
        bytes.extend(times.chunks(8).map(byte));
    }
    let mut before = 0_i64;
    for time in times.iter().flatten() {
        let step = time.0.wrapping_sub(before);
        before = time.0;
        let mut rest = (step << 1 ^ step >> 63).cast_unsigned();
        while rest >= 0x80 {
            bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
    let sum = checksum(&[&bytes]);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// One time for each of `count` entries; none if the bytes are not what was written.
pub(in crate::log) fn decode(bytes: &[u8], count: usize) -> Option<Vec<Option<Timestamp>>> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    if checksum(&[body]).to_le_bytes() != *sum {
        return None;
    }
    let (has_map, rest) = body.split_first()?;
    let (map, mut rest) = rest.split_at_checked(if *has_map == 1 { count.div_ceil(8) } else { 0 })?;
    let mut before = 0_i64;
    let mut times = Vec::with_capacity(count);
    for index in 0..count {
        if *has_map == 1 && map.get(index / 8)? >> (index % 8) & 1 == 0 {
            times.push(None);
            continue;
        }
        let mut value = 0_u64;
        for shift in (0..).step_by(7) {
            let (byte, tail) = rest.split_first()?;
            rest = tail;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if *byte < 0x80 {
                break;
            }
        }
        let step = (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
        before = before.wrapping_add(step);
        times.push(Some(Timestamp(before)));
    }
    rest.is_empty().then_some(times)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_come_back(times in prop::collection::vec(prop::option::of(any::<i64>().prop_map(Timestamp)), 0..50)) {
            let bytes = encode(&times);
            prop_assert_eq!(decode(&bytes, times.len()), Some(times.clone()));
            for index in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[index] ^= 4;
                prop_assert_eq!(decode(&changed, times.len()), None);
            }
        }
    }

    #[test]
    fn events_a_second_apart_take_two_bytes_each() {
        let times: Vec<_> = (0..256).map(|n| Some(Timestamp(1_790_000_000_000 + n * 1000))).collect();
        assert_eq!(encode(&times).len(), 1 + 6 + 255 * 2 + 4);
    }
}
