//! The words the parser knows, for tests that compare them with what is written elsewhere.

use super::{behavior, correlation, criteria, example, header, lookup, modifier};

/// The keys of a part of a rule file.
pub(crate) type Words = Vec<&'static str>;

/// The keys of a document.
pub(crate) fn document() -> Words {
    let mut words: Words = header::SIGMA.iter().chain(&header::OWN).chain(&lookup::KEYS).copied().collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The keys of `behavior`.
pub(crate) fn behavior() -> Words {
    behavior::keys()
}

/// The keys of `correlation`, its types, and the keys of its condition beside `field` and `percentile`.
pub(crate) fn correlation() -> (Words, Words, Words) {
    let types = correlation::TYPES.iter().map(|(name, _)| *name).collect();
    (correlation::KEYS.to_vec(), types, criteria::CRITERIA.to_vec())
}

/// The keys of a test, and of a series of events in it.
pub(crate) fn tests() -> (Words, Words) {
    (example::KEYS.to_vec(), example::SERIES_KEYS.to_vec())
}

/// The modifiers after a field's name.
pub(crate) fn modifiers() -> Words {
    modifier::MODIFIERS.iter().map(|(name, _)| *name).collect()
}
