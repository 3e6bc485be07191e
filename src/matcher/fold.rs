//! Case folding: text compares without regard to case, in every script.

use std::ops::Range;

use crate::event::Scalar;

/// The folded form of a text: each character's lower case, and one form for both Greek sigmas. Two texts are
/// the same without regard to case when their folded forms are equal. (`ß` and `ss` stay different.)
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

fn fold_into(text: &str, folded: &mut String) {
    if text.is_ascii() {
        let start = folded.len();
        folded.push_str(text);
        // In place, since that is many bytes at a time.
        if let Some(copy) = folded.get_mut(start..) {
            copy.make_ascii_lowercase();
        }
    } else {
        folded.extend(text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }));
    }
}

/// The folded texts of one event's values, made when somebody first asks for a field's; a value that is its own
/// folded form is not copied.
#[derive(Debug, Default)]
pub(super) struct Folds {
    scratch: String,
    /// One per value; none where the value is its own folded form.
    pieces: Vec<Option<Range<u32>>>,
    /// Where each field's pieces start.
    starts: Vec<u32>,
}

/// In `starts`: not folded yet.
const UNKNOWN: u32 = u32::MAX;

impl Folds {
    /// Another event comes; it has so many fields.
    pub(super) fn clear(&mut self, fields: usize) {
        self.scratch.clear();
        self.pieces.clear();
        self.starts.clear();
        self.starts.resize(fields, UNKNOWN);
    }

    /// Folds the values of a field, if that is not done yet.
    pub(super) fn fold<'v>(&mut self, field: usize, values: impl Iterator<Item = Scalar<'v>>) {
        let Some(start) = self.starts.get_mut(field).filter(|start| **start == UNKNOWN) else { return };
        *start = narrow(self.pieces.len());
        for value in values {
            let piece = value.text().and_then(|text| fold_once(text, &mut self.scratch));
            self.pieces.push(piece);
        }
    }

    /// The values of a field with their folded texts; the field must have been folded.
    pub(super) fn texts<'s, I: Iterator<Item = Scalar<'s>>>(
        &'s self,
        field: usize,
        values: I,
    ) -> impl Iterator<Item = (Scalar<'s>, Option<&'s str>)> + use<'s, I> {
        let start = self.starts.get(field).map_or(usize::MAX, |start| *start as usize);
        let pieces = self.pieces.get(start..).unwrap_or_default();
        values.zip(pieces).map(|(value, piece)| {
            let folded =
                piece.as_ref().and_then(|range| self.scratch.get(range.start as usize..range.end as usize));
            (value, folded.or(value.text()))
        })
    }
}

/// Folds a text; none if it is already folded.
fn fold_once(text: &str, scratch: &mut String) -> Option<Range<u32>> {
    if is_folded(text.as_bytes()) {
        return None;
    }
    let start = narrow(scratch.len());
    fold_into(text, scratch);
    Some(start..narrow(scratch.len()))
}

/// Whether a text is ASCII without upper case: eight bytes at a time, the last eight perhaps twice.
fn is_folded(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<8>() else {
        return text.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    };
    let mut found = folding(u64::from_le_bytes(*last));
    for word in text.as_chunks::<8>().0 {
        found |= folding(u64::from_le_bytes(*word));
    }
    found == 0
}

/// Marks the upper case and what is no ASCII among eight bytes; behind such, other bytes may be marked too.
const fn folding(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = word & (ONES * 0x7f);
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let beyond_z = low + ONES * (0x80 - b'Z' as u64 - 1);
    (word | (from_a & !beyond_z)) & (ONES * 0x80)
}

fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{fold, is_folded};

    #[test]
    fn what_needs_no_folding_is_found_at_any_place() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'q'; length];
                    text[at] = byte;
                    let expected = byte.is_ascii() && !byte.is_ascii_uppercase();
                    assert_eq!(is_folded(&text), expected, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn folds_beyond_ascii() {
        for (left, right) in [("ÄÖÜ", "äöü"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("ПРИВЕТ", "привет"), ("K", "k")]
        {
            assert_eq!(fold(left), fold(right), "{left} {right}");
        }
        assert_ne!(fold("ß"), fold("ss"));
    }
}
