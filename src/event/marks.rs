//! Where texts may end: a bit for each byte of an event, found many bytes at a time.

use wide::u8x16;

/// The bytes that end a text or stand for something else in it: quotes, backslashes, control characters.
#[derive(Debug, Default)]
pub struct Marks {
    /// 64 bytes each; what lies behind the end is marked, so that every search ends.
    words: Vec<u64>,
}

impl Marks {
    /// Another event comes.
    pub fn set(&mut self, text: &[u8]) {
        self.words.clear();
        let (blocks, rest) = text.as_chunks::<64>();
        self.words.extend(blocks.iter().map(marks));
        let mut last = [0; 64];
        if let Some(start) = last.get_mut(..rest.len()) {
            start.copy_from_slice(rest);
        }
        self.words.extend([marks(&last), u64::MAX]);
    }

    /// The first marked byte at or behind a place; behind the event's end if there is none.
    #[inline]
    pub fn next(&self, mut at: usize) -> usize {
        loop {
            let (Some(word), Some(behind)) = (self.words.get(at / 64), self.words.get(at / 64 + 1)) else {
                return usize::MAX;
            };
            // The 64 bytes from here on, whose end lies in the next word.
            let window = word >> (at % 64) | behind << 1 << (63 - at % 64);
            if window != 0 {
                return at + window.trailing_zeros() as usize;
            }
            at += 64;
        }
    }
}

fn marks(block: &[u8; 64]) -> u64 {
    let (quote, backslash, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(0x1f));
    block.as_chunks::<16>().0.iter().zip(0..).fold(0, |marks, (part, at)| {
        let bytes = u8x16::new(*part);
        let is_control = bytes.min(control).simd_eq(bytes);
        let found = bytes.simd_eq(quote) | bytes.simd_eq(backslash) | is_control;
        marks | u64::from(found.to_bitmask()) << (16 * at)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn is_marked(byte: u8) -> bool {
        matches!(byte, b'"' | b'\\' | ..0x20)
    }

    proptest! {
        #[test]
        fn it_finds_what_a_look_at_each_byte_finds(
            text in prop::collection::vec(prop_oneof![9 => Just(b'x'), 1 => any::<u8>()], 0..300),
        ) {
            let mut marks = Marks::default();
            marks.set(&text);
            for at in 0..=text.len() {
                let expected = (at..text.len()).find(|at| is_marked(text[*at]));
                let found = marks.next(at);
                prop_assert_eq!((found < text.len()).then_some(found), expected);
            }
        }
    }
}
