//! One body, many events: NDJSON, a JSON array, or one object over one line or several.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One event's bytes within a body, without the white space around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The line it begins on, from 1.
    pub line: usize,
    /// The column it begins at, in bytes from 1.
    pub column: usize,
    /// Shares the body's memory.
    pub bytes: Bytes,
}

/// A place in a body where there is no event although there should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// From 1.
    pub line: usize,
    /// In bytes from 1.
    pub column: usize,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// Why a body cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitError {
    /// It is not JSON as a whole.
    Bad(Bad),
    /// It holds more than the allowed number of events.
    TooMany,
}

/// Takes a body apart; at most `max` events. Whether a line is JSON is left to the decoder, so that one bad line
/// spoils no other; a body that begins with `[` is one JSON document and good or bad as a whole.
pub fn split(body: &Bytes, max: usize) -> Result<Vec<Piece>, SplitError> {
    let text = body.trim_ascii_start();
    let pieces = match text.first() {
        Some(b'[') => elements(body, max)?,
        Some(b'{') if is_spread_over_lines(text) => vec![whole(body)],
        _ => lines(body, max),
    };
    if pieces.len() > max { Err(SplitError::TooMany) } else { Ok(pieces) }
}

/// The non-blank lines, up to one more than `max`.
pub fn lines(body: &Bytes, max: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', body).chain(std::iter::once(body.len()));
    for (index, end) in ends.enumerate() {
        if let Some(piece) = piece(body, start..end, index + 1) {
            pieces.push(piece);
        }
        if pieces.len() > max {
            break;
        }
        start = end + 1;
    }
    pieces
}

fn piece(body: &Bytes, range: std::ops::Range<usize>, line: usize) -> Option<Piece> {
    let untrimmed = body.get(range.clone())?;
    let from_start = untrimmed.trim_ascii_start();
    let trimmed = from_start.trim_ascii_end();
    let column = untrimmed.len() - from_start.len() + 1;
    (!trimmed.is_empty()).then(|| Piece { line, column, bytes: body.slice_ref(trimmed) })
}

/// The whole body as one event.
fn whole(body: &Bytes) -> Piece {
    let text = body.trim_ascii();
    let mut places = Places::new(body);
    let (line, column) = places.at(body.len() - body.trim_ascii_start().len());
    Piece { line, column, bytes: body.slice_ref(text) }
}

/// Whether this is one object in several lines, rather than one object per line. Settled by the first line: if it
/// is complete, the body is NDJSON; if neither it nor the body is, it is NDJSON with a bad first line.
fn is_spread_over_lines(text: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b'\n', text) else { return false };
    let complete = |text: &[u8]| serde_json::from_slice::<&RawValue>(text).is_ok();
    !complete(text.get(..end).unwrap_or_default()) && complete(text)
}

/// The elements of an array; reading ends with the one that is too many, so that no more than `max` are ever held.
fn elements(body: &Bytes, max: usize) -> Result<Vec<Piece>, SplitError> {
    let mut elements =
        Elements { body, places: Places::new(body), max, pieces: Vec::new(), is_too_many: false };
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = elements.deserialize(&mut json).and_then(|()| json.end());
    match read {
        Ok(()) => Ok(elements.pieces),
        Err(_) if elements.is_too_many => Err(SplitError::TooMany),
        Err(error) => {
            let reason = format!("the body is no JSON array: {error}");
            Err(SplitError::Bad(Bad { line: error.line().max(1), column: error.column().max(1), reason }))
        }
    }
}

struct Elements<'a> {
    body: &'a Bytes,
    places: Places<'a>,
    max: usize,
    pieces: Vec<Piece>,
    is_too_many: bool,
}

impl<'de> DeserializeSeed<'de> for &mut Elements<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Elements<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let base = self.body.as_ptr() as usize;
        while let Some(element) = sequence.next_element::<&RawValue>()? {
            if self.pieces.len() >= self.max {
                self.is_too_many = true;
                return Err(A::Error::custom("too many"));
            }
            let bytes = element.get().as_bytes();
            let (line, column) = self.places.at(bytes.as_ptr() as usize - base);
            self.pieces.push(Piece { line, column, bytes: self.body.slice_ref(bytes) });
        }
        Ok(())
    }
}

/// Lines and columns of ascending offsets; reads the body once.
struct Places<'a> {
    body: &'a [u8],
    line: usize,
    line_start: usize,
}

impl<'a> Places<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self { body, line: 1, line_start: 0 }
    }

    fn at(&mut self, offset: usize) -> (usize, usize) {
        while let Some(end) = self.body.get(self.line_start..offset).and_then(|t| memchr::memchr(b'\n', t)) {
            self.line += 1;
            self.line_start += end + 1;
        }
        (self.line, offset - self.line_start + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(body: &str) -> Vec<(usize, usize, String)> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let pieces = split(&body, usize::MAX).unwrap();
        pieces.into_iter().map(|p| (p.line, p.column, String::from_utf8(p.bytes.to_vec()).unwrap())).collect()
    }

    #[test]
    fn every_form_is_taken_apart_with_its_places() {
        let one = |line, column, text: &str| (line, column, text.to_owned());
        assert_eq!(parts(""), []);
        assert_eq!(parts(" \n\r\n"), []);
        assert_eq!(parts(r#"{"a":1}"#), [one(1, 1, r#"{"a":1}"#)]);
        assert_eq!(
            parts("{\"a\":1}\r\n\n  {\"b\":2} \n"),
            [one(1, 1, r#"{"a":1}"#), one(3, 3, r#"{"b":2}"#)]
        );
        assert_eq!(parts("\n{\n  \"a\": 1\n}\n"), [one(2, 1, "{\n  \"a\": 1\n}")]);
        assert_eq!(
            parts("[{\"a\":\"],[\"},\n {\"b\":2}]"),
            [one(1, 2, r#"{"a":"],["}"#), one(2, 2, r#"{"b":2}"#)]
        );
        assert_eq!(parts("[]"), []);
    }

    #[test]
    fn a_bad_first_line_is_a_line_and_not_a_document() {
        assert_eq!(parts("{\"a\":\n{\"b\":2}\n").len(), 2);
        assert_eq!(parts("oops\n{\"b\":2}\n").len(), 2);
    }

    #[test]
    fn a_broken_array_says_where() {
        let error = split(&Bytes::from_static(b"[{\"a\":1},\n{\"b\" 2}]"), 10).unwrap_err();
        let SplitError::Bad(bad) = error else { panic!("{error:?}") };
        assert_eq!(bad.line, 2);
        assert!(bad.column >= 5, "{bad:?}");
        assert!(split(&Bytes::from_static(b"[{},]"), 10).is_err());
        assert!(split(&Bytes::from_static(b"[{}] {}"), 10).is_err());
    }

    #[test]
    fn more_than_the_limit_is_refused() {
        let body = Bytes::from("{}\n".repeat(11));
        assert_eq!(split(&body, 10), Err(SplitError::TooMany));
        assert_eq!(split(&body, 11).map(|p| p.len()), Ok(11));
        assert_eq!(split(&Bytes::from_static(b"[{},{},{}]"), 2), Err(SplitError::TooMany));
        assert_eq!(split(&Bytes::from_static(b"[{},{}]"), 2).map(|p| p.len()), Ok(2));
        // Reading ends there: what comes after it was not even looked at.
        assert_eq!(split(&Bytes::from_static(b"[0,0,0,oops"), 2), Err(SplitError::TooMany));
    }

    fn object() -> impl Strategy<Value = serde_json::Value> {
        prop::collection::btree_map("[a-c\"\\\\]{1,3}", "[ -~\n\u{e9}]{0,12}", 0..4)
            .prop_map(|map| serde_json::to_value(map).unwrap())
    }

    proptest! {
        #[test]
        fn objects_come_out_as_they_went_in(objects in prop::collection::vec(object(), 0..8), form in 0..4) {
            let body = match form {
                0 => objects.iter().map(|o| format!("{o}\n")).collect::<String>(),
                1 => objects.iter().map(|o| format!(" {o}\t\r\n\n")).collect(),
                2 => serde_json::to_string(&objects).unwrap(),
                _ => serde_json::to_string_pretty(&objects).unwrap(),
            };
            let back: Vec<serde_json::Value> =
                parts(&body).iter().map(|(_, _, text)| serde_json::from_str(text).unwrap()).collect();
            prop_assert_eq!(back, objects);
        }

        #[test]
        fn lines_are_those_of_the_standard_library(text in "[a-z{ \r\n]{0,40}") {
            prop_assume!(!text.trim_ascii_start().starts_with('{'));
            let naive: Vec<(usize, String)> = text.split('\n').enumerate()
                .map(|(index, line)| (index + 1, line.trim_ascii().to_owned()))
                .filter(|(_, line)| !line.is_empty()).collect();
            let ours: Vec<(usize, String)> = parts(&text).into_iter().map(|(line, _, text)| (line, text)).collect();
            prop_assert_eq!(ours, naive);
        }

        #[test]
        fn places_point_at_the_pieces(text in "[\\[\\]{},\"a \n]{0,30}") {
            let body = Bytes::from(text.clone());
            if let Ok(pieces) = split(&body, usize::MAX) {
                for piece in pieces {
                    let line = text.split('\n').nth(piece.line - 1).unwrap();
                    let rest = &line.as_bytes()[piece.column - 1..];
                    let shared = rest.len().min(piece.bytes.len());
                    prop_assert_eq!(&rest[..shared], &piece.bytes[..shared]);
                }
            }
        }
    }
}
