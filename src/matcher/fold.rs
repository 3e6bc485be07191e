//! Case folding: text compares without regard to case, in every script.

use std::ops::Range;

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
        folded.extend(text.bytes().map(|byte| char::from(byte.to_ascii_lowercase())));
    } else {
        folded.extend(text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }));
    }
}

/// The folded texts of one event's values, made once per value; a value that is its own folded form is not copied.
#[derive(Debug, Default)]
pub(super) struct FoldCache {
    scratch: String,
}

impl FoldCache {
    pub(super) fn clear(&mut self) {
        self.scratch.clear();
    }

    /// Folds a text; none if it is already folded.
    pub(super) fn add(&mut self, text: &str) -> Option<Range<u32>> {
        let is_folded = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
        if is_folded {
            return None;
        }
        let start = self.scratch.len();
        fold_into(text, &mut self.scratch);
        let end = self.scratch.len();
        Some(u32::try_from(start).unwrap_or(u32::MAX)..u32::try_from(end).unwrap_or(u32::MAX))
    }

    pub(super) fn text(&self, range: &Range<u32>) -> &str {
        self.scratch.get(range.start as usize..range.end as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn folds_beyond_ascii() {
        for (left, right) in [("ÄÖÜ", "äöü"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("ПРИВЕТ", "привет"), ("K", "k")]
        {
            assert_eq!(fold(left), fold(right), "{left} {right}");
        }
        assert_ne!(fold("ß"), fold("ss"));
    }
}
