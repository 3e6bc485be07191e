//! Where the fields of a JSON object stand in its text, found without reading their values.
//!
//! The text was read whole when the event was decoded, so this does not check it again; it only never reads
//! beyond it. At what it does not know it gives up, and the caller asks the complete parser.

use std::cell::RefCell;
use std::ops::Range;

use crate::event::Marks;

/// One field of an object, as places in its text.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// The name, without quotes.
    pub name: Range<u32>,
    /// The value, quotes and brackets included.
    pub value: Range<u32>,
    /// Whether the value is a text without escapes.
    pub is_plain: bool,
}

/// The fields of the object that is the whole of `json`, in the order of the text. Nothing for other texts, and
/// where a name has an escape.
pub(super) fn fields<T: From<Field>>(json: &[u8]) -> Option<Vec<T>> {
    MARKS.with_borrow_mut(|marks| {
        marks.set(json);
        read(Cursor { json, marks, at: 0 })
    })
}

fn read<T: From<Field>>(mut cursor: Cursor<'_>) -> Option<Vec<T>> {
    let mut found = Vec::with_capacity((cursor.json.len() / 32).clamp(4, 32));
    if cursor.token()? != b'{' {
        return None;
    }
    let mut token = cursor.token()?;
    while token == b'"' {
        let (name, is_plain) = cursor.text()?;
        if !is_plain || cursor.token()? != b':' {
            return None;
        }
        let (value, is_plain) = cursor.value()?;
        found.push(Field { name: narrow(&name)?, value: narrow(&value)?, is_plain }.into());
        token = match cursor.token()? {
            b',' => cursor.token()?,
            end => end,
        };
    }
    (token == b'}' && cursor.token().is_none()).then_some(found)
}

fn narrow(range: &Range<usize>) -> Option<Range<u32>> {
    Some(u32::try_from(range.start).ok()?..u32::try_from(range.end).ok()?)
}

thread_local! {
    /// Room for the marks of one text after the other.
    static MARKS: RefCell<Marks> = RefCell::default();
}

struct Cursor<'a> {
    json: &'a [u8],
    /// Where texts may end.
    marks: &'a Marks,
    at: usize,
}

impl Cursor<'_> {
    /// The next byte that is no white space, and steps over it.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.json.get(self.at)?;
            self.at += 1;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
        }
    }

    /// From behind a quote to behind the closing one: the place between them, and whether it has no escape.
    #[inline]
    fn text(&mut self) -> Option<(Range<usize>, bool)> {
        let start = self.at;
        let mut is_plain = true;
        loop {
            let found = self.marks.next(self.at);
            match self.json.get(found)? {
                b'"' => {
                    self.at = found + 1;
                    return Some((start..found, is_plain));
                }
                b'\\' => {
                    is_plain = false;
                    self.at = found + 2;
                }
                _ => self.at = found + 1,
            }
        }
    }

    /// The next value's place, and whether it is a text without escapes.
    fn value(&mut self) -> Option<(Range<usize>, bool)> {
        let first = self.token()?;
        let start = self.at - 1;
        let mut is_plain = false;
        match first {
            b'"' => is_plain = self.text()?.1,
            b'{' | b'[' => self.skip_nested()?,
            _ => {
                let rest = self.json.get(self.at..)?;
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
                self.at += rest.iter().position(is_end)?;
            }
        }
        Some((start..self.at, is_plain))
    }

    /// From behind an opening bracket to behind the one that closes it. Counts instead of recursing: no text
    /// is too deep for it.
    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 1_usize;
        while depth > 0 {
            let byte = *self.json.get(self.at)?;
            self.at += 1;
            match byte {
                b'"' => {
                    self.text()?;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(json: &str) -> Option<Vec<(String, String)>> {
        let text = |range: &Range<u32>| json[range.start as usize..range.end as usize].to_owned();
        Some(
            fields::<Field>(json.as_bytes())?
                .iter()
                .map(|field| (text(&field.name), text(&field.value)))
                .collect(),
        )
    }

    #[test]
    fn values_stand_where_they_stand() {
        let pairs = |pairs: &[(&str, &str)]| {
            Some(
                pairs
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(texts("{}"), pairs(&[]));
        assert_eq!(
            texts(r#" { "a" : [1, {"b": "]}\""}] , "c":"x\\","d":-1.5e3,"":null }"#),
            pairs(&[("a", r#"[1, {"b": "]}\""}]"#), ("c", r#""x\\""#), ("d", "-1.5e3"), ("", "null")])
        );
        for odd in ["", "{", "[]", "{\"a\"}", "{\"a\":1", "{\"a\":\"", "{\"\\u0061\":1}", "{} x", "1"] {
            assert_eq!(texts(odd), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_harm_it(bytes in prop::collection::vec(prop::sample::select(&b"{}[]\",:\\ 1a\xff"[..]), 0..40)) {
            if let Some(found) = fields::<Field>(&bytes) {
                for field in found {
                    prop_assert!(field.name.end < field.value.start && field.value.end as usize <= bytes.len());
                }
            }
        }
    }
}
