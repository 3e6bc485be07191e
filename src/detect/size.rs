//! What things take on the heap. The figures depend on the content alone, never on capacities or addresses: what is
//! forgotten at the limit must be the same after a restart.

use std::collections::VecDeque;

/// A block of the allocator that holds so many bytes: multiples of 16, from 128 on in four steps per doubling
/// (mimalloc's size classes, and near enough those of other allocators).
#[must_use]
pub const fn block(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=128 => bytes.next_multiple_of(16),
        _ => bytes.next_multiple_of(bytes.next_power_of_two() / 8),
    }
}

/// What a value takes when it stands in a block of its own.
#[must_use]
pub const fn boxed<T>() -> usize {
    block(size_of::<T>())
}

/// What a growing list of `len` values takes: it doubles when it is full, from 4 on.
#[must_use]
pub const fn list<T>(len: usize) -> usize {
    if len == 0 {
        return 0;
    }
    let capacity = if len < 4 { 4 } else { len.next_power_of_two() };
    block(capacity * size_of::<T>())
}

/// What a queue takes.
#[must_use]
pub fn queue<T>(queue: &VecDeque<T>) -> usize {
    list::<T>(queue.len())
}

/// What a hash map of `len` entries takes: a power of two of places, at most seven of eight used, and a byte each.
#[must_use]
pub const fn map<K, V>(len: usize) -> usize {
    if len == 0 {
        return 0;
    }
    let places = match len {
        0..4 => 4,
        4..8 => 8,
        _ => (len * 8 / 7).next_power_of_two(),
    };
    block(places * (size_of::<(K, V)>() + 1) + 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_they_are_for_and_waste_little() {
        for bytes in 1..10_000 {
            let block = block(bytes);
            assert!(block >= bytes, "{bytes}");
            assert!(block <= 16 || block < bytes + bytes / 4 + 16, "{bytes} in {block}");
        }
    }

    #[test]
    fn maps_are_counted_with_their_empty_places() {
        // Seven of eight places are used at most.
        assert_eq!(map::<u64, u64>(7), block(8 * 17 + 16));
        assert_eq!(map::<u64, u64>(8), block(16 * 17 + 16));
        assert_eq!(map::<u64, u64>(14), block(16 * 17 + 16));
        assert_eq!(map::<u64, u64>(15), block(32 * 17 + 16));
    }
}
