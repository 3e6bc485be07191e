//! What a query lets a reader leave out without looking inside events. Every answer errs on the side of reading
//! too much.

use super::ast::{Cmp, DERIVED, Node, Operand, OperandKind, Pattern, Query, Term, Test, fields};
use crate::time::{Span, Timestamp};

impl Query {
    /// The first and the last `created_at` that an event found by this query can have. The first lies after the
    /// last if no time will do.
    #[must_use]
    pub fn time_range(&self) -> (Timestamp, Timestamp) {
        range_of(&self.root)
    }

    /// Text without which no sender's bytes can belong to a found event, unless they spell it with `\u` escapes:
    /// see [`is_ruled_out`](Self::is_ruled_out). ASCII, in lower case; the bytes may have it in any case.
    #[must_use]
    pub fn raw_needle(&self) -> Option<&str> {
        needle_of(&self.root)
    }

    /// Whether an event with these bytes cannot be found, as far as the bytes alone tell.
    #[must_use]
    pub fn is_ruled_out(&self, raw: &[u8]) -> bool {
        // JSON may spell any ASCII character as \u00XX.
        self.raw_needle().is_some_and(|needle| {
            !occurs_ignoring_case(needle.as_bytes(), raw) && memchr::memmem::find(raw, b"\\u00").is_none()
        })
    }
}

const EVERYTHING: (Timestamp, Timestamp) = (Timestamp::MIN, Timestamp::MAX);
/// First after last: no time at all.
const NOTHING: (Timestamp, Timestamp) = (Timestamp::MAX, Timestamp::MIN);

fn range_of(node: &Node) -> (Timestamp, Timestamp) {
    match node {
        Node::And(nodes) => nodes
            .iter()
            .map(range_of)
            .fold(EVERYTHING, |(from, to), (other_from, other_to)| (from.max(other_from), to.min(other_to))),
        Node::Or(nodes) => nodes
            .iter()
            .map(range_of)
            .fold(NOTHING, |(from, to), (other_from, other_to)| (from.min(other_from), to.max(other_to))),
        Node::Term(Term::Field(name, test)) if fields(name).eq(["created_at"]) => range_of_test(test),
        Node::Not(_) | Node::Term(_) => EVERYTHING,
    }
}

fn range_of_test(test: &Test) -> (Timestamp, Timestamp) {
    let last_before = |to: Timestamp| to.minus(Span::millis(1));
    let stretch = |operand: &Operand| match operand.kind {
        OperandKind::Time(from, to) => (from, last_before(to)),
        OperandKind::Number(_) | OperandKind::Text(_) => EVERYTHING,
    };
    match test {
        Test::Within(operand) => stretch(operand),
        Test::Compare(cmp, operand) => {
            let (from, to) = stretch(operand);
            match cmp {
                Cmp::Gt | Cmp::Gte => (from, Timestamp::MAX),
                Cmp::Lt | Cmp::Lte => (Timestamp::MIN, to),
            }
        }
        Test::Range(low, high) => (
            low.as_ref().map_or(Timestamp::MIN, |low| stretch(low).0),
            high.as_ref().map_or(Timestamp::MAX, |high| stretch(high).1),
        ),
        Test::Like(_) | Test::Network(..) => EVERYTHING,
    }
}

fn needle_of(node: &Node) -> Option<&str> {
    match node {
        Node::And(nodes) => nodes.iter().filter_map(needle_of).max_by_key(|needle| needle.len()),
        // Text anywhere may stand in a value that Watchfire worked out.
        Node::Term(Term::Field(name, Test::Like(pattern))) => {
            let is_derived = |field: &str| DERIVED.contains(&field.split('.').next().unwrap_or(field));
            if !fields(name).any(is_derived) { longest_safe_part(pattern) } else { None }
        }
        Node::Or(_) | Node::Not(_) | Node::Term(_) => None,
    }
}

/// Characters that every encoder writes as they are. `/`, quotes and control characters have escapes of their
/// own; text outside ASCII has several spellings.
fn is_safe(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-. @:".contains(&byte))
}

fn longest_safe_part(pattern: &Pattern) -> Option<&str> {
    // A fraction or an exponent can be written in other ways than the one it is compared by: 1e3 is 1000.0.
    let is_like_a_fraction = |part: &str| {
        part.contains(|c: char| c.is_ascii_digit())
            && part.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
            && !part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_usable = |part: &&str| !part.is_empty() && is_safe(part) && !is_like_a_fraction(part);
    let has_wildcard = pattern.folded.len() > 1;
    // A part of a number, such as the `0` in `*.0`, need not be in its other spelling.
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || b".e-".contains(&byte));
    let parts = pattern.folded.iter().map(String::as_str);
    parts.filter(is_usable).filter(|part| !(has_wildcard && is_digits(part))).max_by_key(|part| part.len())
}

fn occurs_ignoring_case(needle: &[u8], haystack: &[u8]) -> bool {
    let Some(first) = needle.first() else { return true };
    let mut places = memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), haystack);
    places
        .any(|at| haystack.get(at..at + needle.len()).is_some_and(|found| found.eq_ignore_ascii_case(needle)))
}
