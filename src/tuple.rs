//! Several texts in one: the keys of groups, and the values that detectors look at.
//!
//! Each part of a *key* is ended by a unit separator (U+001F), the parts of a *value* have one between them. Parts come
//! from events, so they may hold that character themselves: inside a part it is written as an escape (U+001B) and `s`,
//! and an escape as an escape and `e`. So different tuples are different texts, whatever senders write; a part with
//! neither character, which is nearly every one, is written as it is.

use std::borrow::Cow;

/// Ends each part of a key and stands between the parts of a value; in no part.
const SEPARATOR: char = '\u{1f}';
/// Begins what stands for one of both characters.
const ESCAPE: char = '\u{1b}';

/// Appends a part of a key, with its end.
pub fn end(part: &str, key: &mut String) {
    key.push_str(&escaped(part));
    key.push(SEPARATOR);
}

/// A key of these parts.
pub fn key<'p>(parts: impl IntoIterator<Item = &'p str>) -> String {
    let mut key = String::new();
    parts.into_iter().for_each(|part| end(part, &mut key));
    key
}

/// A value of these parts: at least one, or it is the same as of one empty part.
pub fn value<'p>(parts: impl IntoIterator<Item = &'p str>) -> String {
    let mut parts = parts.into_iter();
    let mut value = escaped(parts.next().unwrap_or_default()).into_owned();
    parts.for_each(|part| add(part, &mut value));
    value
}

/// Appends a further part to a value.
pub fn add(part: &str, value: &mut String) {
    value.push(SEPARATOR);
    value.push_str(&escaped(part));
}

/// The parts of a key.
pub fn of_key(key: &str) -> impl Iterator<Item = Cow<'_, str>> {
    key.split_terminator(SEPARATOR).map(part)
}

/// The parts of a value.
pub fn of_value(value: &str) -> impl Iterator<Item = Cow<'_, str>> {
    value.split(SEPARATOR).map(part)
}

/// The first so many parts of a value as a key, and a value of the others. Of a value with fewer parts: a key of all.
#[must_use]
pub fn split(value: &str, parts: usize) -> (&str, &str) {
    let Some(last) = parts.checked_sub(1) else { return ("", value) };
    let end = value.match_indices(SEPARATOR).nth(last).map_or(value.len(), |(at, _)| at + 1);
    value.split_at(end)
}

/// A value for people: its parts joined by commas.
#[must_use]
pub fn shown(value: &str) -> String {
    of_value(value).collect::<Vec<_>>().join(", ")
}

/// A part as it stands in a tuple.
#[must_use]
pub fn escaped(part: &str) -> Cow<'_, str> {
    if !part.contains([SEPARATOR, ESCAPE]) {
        return Cow::Borrowed(part);
    }
    let mut text = String::with_capacity(part.len() + 8);
    for character in part.chars() {
        match character {
            SEPARATOR => text.extend([ESCAPE, 's']),
            ESCAPE => text.extend([ESCAPE, 'e']),
            _ => text.push(character),
        }
    }
    Cow::Owned(text)
}

/// A part as it was before it was joined.
fn part(written: &str) -> Cow<'_, str> {
    if !written.contains(ESCAPE) {
        return Cow::Borrowed(written);
    }
    let mut part = String::with_capacity(written.len());
    let mut characters = written.chars();
    while let Some(character) = characters.next() {
        part.extend(match character {
            ESCAPE => characters.next().map(|which| if which == 's' { SEPARATOR } else { ESCAPE }),
            _ => Some(character),
        });
    }
    Cow::Owned(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parts in which everything that means something here is frequent.
    fn parts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[\u{1f}\u{1b}sea1]{0,5}", 1..5)
    }

    fn texts(parts: &[String]) -> impl Iterator<Item = &str> {
        parts.iter().map(String::as_str)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn what_is_joined_comes_apart_again(parts in parts(), first in 0_usize..5) {
            let (key, value) = (key(texts(&parts)), value(texts(&parts)));
            prop_assert!(of_key(&key).eq(parts.iter().cloned()));
            prop_assert!(of_value(&value).eq(parts.iter().cloned()));
            let (head, rest) = split(&value, first);
            if first < parts.len() {
                prop_assert!(of_key(head).eq(parts[..first].iter().cloned()));
                prop_assert!(of_value(rest).eq(parts[first..].iter().cloned()));
            }
        }

        #[test]
        fn different_tuples_are_different_texts(left in parts(), right in parts()) {
            prop_assert_eq!(left == right, key(texts(&left)) == key(texts(&right)));
            prop_assert_eq!(left == right, value(texts(&left)) == value(texts(&right)));
        }
    }

    #[test]
    fn ordinary_parts_stand_as_they_are() {
        assert_eq!(key(["7", "", "git/2.40 \\ \"é\""]), "7\u{1f}\u{1f}git/2.40 \\ \"é\"\u{1f}");
        assert_eq!(value(["7", "git"]), "7\u{1f}git");
        assert_eq!(value(["x\u{1f}1"]), "x\u{1b}s1");
        assert_eq!(split("7\u{1f}git\u{1f}2", 1), ("7\u{1f}", "git\u{1f}2"));
        assert_eq!((split("7", 1), split("7", 0)), (("7", ""), ("", "7")));
        assert_eq!(shown("7\u{1f}git"), "7, git");
    }
}
