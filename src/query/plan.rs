//! What a query lets a reader leave out without looking inside events. Every answer errs on the side of reading
//! too much.

use std::sync::LazyLock;

use super::ast::{Cmp, DERIVED, Node, Operand, OperandKind, Query, Term, Test, fields};
use crate::event::{Catalogue, Event};
use crate::time::{Span, Timestamp};

impl Query {
    /// The first and the last `created_at` that an event found by this query can have. The first lies after the
    /// last if no time will do.
    #[must_use]
    pub fn time_range(&self) -> (Timestamp, Timestamp) {
        range_of(&self.root)
    }

    /// Text without which no sender's bytes can belong to a found event, unless they spell it with `\u` escapes or
    /// their type came with the request: see [`is_ruled_out`](Self::is_ruled_out). ASCII, in lower case; the bytes may
    /// have it in any case.
    #[must_use]
    pub fn raw_needle(&self) -> Option<&str> {
        needle_of(&self.root, true)
    }

    /// What rules out most events by their bytes alone.
    #[must_use]
    pub fn sieve(&self) -> Sieve<'_> {
        let needle = |is_type_sent| needle_of(&self.root, is_type_sent).map(Needle::new);
        Sieve { needle: needle(true), hinted: needle(false) }
    }

    /// Whether an event cannot be found, as far as its bytes alone tell. For many events make a [`Sieve`].
    #[must_use]
    pub fn is_ruled_out(&self, event: &Event) -> bool {
        self.sieve().rules_out(event)
    }
}

/// Tells of many events quickly that a query cannot find them.
#[derive(Debug, Clone)]
pub struct Sieve<'a> {
    needle: Option<Needle<'a>>,
    /// For events whose type came with the request.
    hinted: Option<Needle<'a>>,
}

#[derive(Debug, Clone)]
struct Needle<'a> {
    text: &'a str,
    is_number: bool,
}

impl<'a> Needle<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, is_number: text.bytes().all(|byte| byte.is_ascii_digit()) }
    }
}

impl Sieve<'_> {
    /// Whether an event cannot be found, as far as its bytes alone tell.
    #[must_use]
    pub fn rules_out(&self, event: &Event) -> bool {
        let raw = &*event.raw;
        let needle = if event.type_hint.is_some() { &self.hinted } else { &self.needle };
        needle.as_ref().is_some_and(|needle| {
            // JSON may spell any ASCII character as \u00XX, and 1000 as 1e3.
            !occurs_ignoring_case(needle.text.as_bytes(), raw)
                && memchr::memmem::find(raw, b"\\u00").is_none()
                && !(needle.is_number && has_exponent(raw))
        })
    }
}

/// Current names of types that were once called otherwise: they stand in events under those names.
static RENAMED: LazyLock<Vec<String>> =
    LazyLock::new(|| Catalogue::built_in().aliases().map(|(_, current)| current.to_owned()).collect());

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

/// The longest part of a query's text that must stand in the bytes. A type may be worked out of them only where
/// `is_type_sent` says so.
fn needle_of(node: &Node, is_type_sent: bool) -> Option<&str> {
    let may_be_type = |needle: &&str| is_type_sent && !RENAMED.iter().any(|name| name.contains(*needle));
    match node {
        Node::And(nodes) => {
            nodes.iter().filter_map(|node| needle_of(node, is_type_sent)).max_by_key(|needle| needle.len())
        }
        Node::Term(Term::Anywhere(phrase)) => phrase
            .words
            .iter()
            .filter_map(|word| longest_safe_part(word))
            .filter(may_be_type)
            .max_by_key(|needle| needle.len()),
        Node::Term(Term::Field(name, Test::Like(pattern))) => {
            let is_derived = |field: &str| DERIVED.contains(&field.split('.').next().unwrap_or(field));
            let needle = longest_safe_part(&pattern.folded);
            match fields(name).any(is_derived) {
                false => needle,
                true if fields(name).eq(["event_type"]) => needle.filter(may_be_type),
                true => None,
            }
        }
        Node::Or(_) | Node::Not(_) | Node::Term(_) => None,
    }
}

/// Whether a number in the bytes may be written with an exponent.
fn has_exponent(raw: &[u8]) -> bool {
    memchr::memchr2_iter(b'e', b'E', raw).any(|at| {
        let digits = raw.get(..at).unwrap_or_default();
        let start = digits.iter().rposition(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'-'));
        let before = digits.get(..start.map_or(0, |start| start + 1)).unwrap_or_default();
        before.len() < digits.len()
            && matches!(before.trim_ascii_end().last(), Some(b':' | b',' | b'['))
            && matches!(raw.get(at + 1), Some(b'0'..=b'9' | b'+' | b'-'))
    })
}

/// Characters that every encoder writes as they are. `/`, quotes and control characters have escapes of their
/// own; text outside ASCII has several spellings.
fn is_safe(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-. @:".contains(&byte))
}

fn longest_safe_part(parts: &[String]) -> Option<&str> {
    // A fraction or an exponent can be written in other ways than the one it is compared by: 1e3 is 1000.0.
    let is_like_a_fraction = |part: &str| {
        part.contains(|c: char| c.is_ascii_digit())
            && part.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
            && !part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_usable = |part: &&str| !part.is_empty() && is_safe(part) && !is_like_a_fraction(part);
    let has_wildcard = parts.len() > 1;
    // A part of a number, such as the `0` in `*.0`, need not be in its other spelling.
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || b".e-".contains(&byte));
    let parts = parts.iter().map(String::as_str);
    parts.filter(is_usable).filter(|part| !(has_wildcard && is_digits(part))).max_by_key(|part| part.len())
}

fn occurs_ignoring_case(needle: &[u8], haystack: &[u8]) -> bool {
    let Some(first) = needle.first() else { return true };
    let mut places = memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), haystack);
    places
        .any(|at| haystack.get(at..at + needle.len()).is_some_and(|found| found.eq_ignore_ascii_case(needle)))
}
