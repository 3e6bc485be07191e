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
    /// How many of the fields that follow are inside of it; [`UNREAD`] for an object that was passed over.
    pub inside: u32,
    /// Whether the value is a text without escapes.
    pub is_plain: bool,
}

/// Of an object with an odd name in it, or too deep within others.
pub(super) const UNREAD: u32 = u32::MAX;

/// Objects deeper than this are passed over.
const DEPTH_MAX: u32 = 8;

/// The fields of the object that is the whole of `json`, in the order of the text, each followed by those of the
/// object that it holds; what is in arrays is passed over. Nothing for other texts, and where a name has an escape.
pub(super) fn fields(json: &[u8]) -> Option<Vec<Field>> {
    MARKS.with_borrow_mut(|marks| {
        marks.set(json);
        let mut cursor = Cursor { json, marks, at: 0 };
        let mut found = Vec::with_capacity((json.len() / 24).clamp(4, 32));
        if cursor.token()? != b'{' {
            return None;
        }
        cursor.object(&mut found, DEPTH_MAX)?;
        cursor.token().is_none().then_some(found)
    })
}

/// The last field of this name among those in `span`, not counting what is inside of them.
pub(super) fn named(json: &[u8], fields: &[Field], span: Range<usize>, name: &[u8]) -> Option<usize> {
    let (mut at, mut found) = (span.start, None);
    while at < span.end {
        let field = fields.get(at)?;
        if json.get(field.name.start as usize..field.name.end as usize) == Some(name) {
            found = Some(at);
        }
        at += 1 + field.within();
    }
    found
}

impl Field {
    /// How many of the fields that follow are inside of it.
    fn within(&self) -> usize {
        if self.inside == UNREAD { 0 } else { self.inside as usize }
    }
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

    /// From behind an opening brace to behind the closing one.
    fn object(&mut self, found: &mut Vec<Field>, depth: u32) -> Option<()> {
        let mut token = self.token()?;
        while token == b'"' {
            let (name, is_plain) = self.text()?;
            if !is_plain || self.token()? != b':' {
                return None;
            }
            let place = found.len();
            found.push(Field { name: narrow(&name)?, value: 0..0, inside: 0, is_plain: false });
            let (value, inside, is_plain) = self.value(found, depth)?;
            let value = narrow(&value)?;
            if let Some(field) = found.get_mut(place) {
                *field = Field { value, inside, is_plain, name: field.name.clone() };
            }
            token = match self.token()? {
                b',' => self.token()?,
                end => end,
            };
        }
        (token == b'}').then_some(())
    }

    /// The next value's place, how many fields were found inside, and whether it is a text without escapes.
    fn value(&mut self, found: &mut Vec<Field>, depth: u32) -> Option<(Range<usize>, u32, bool)> {
        let first = self.token()?;
        let start = self.at - 1;
        let (mut inside, mut is_plain) = (0, false);
        match first {
            b'"' => is_plain = self.text()?.1,
            b'{' => inside = self.nested(found, depth)?,
            b'[' => self.skip_nested()?,
            _ => {
                let rest = self.json.get(self.at..)?;
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
                self.at += rest.iter().position(is_end)?;
            }
        }
        Some((start..self.at, inside, is_plain))
    }

    /// An object within another: its fields, or else over it.
    fn nested(&mut self, found: &mut Vec<Field>, depth: u32) -> Option<u32> {
        let (place, start) = (found.len(), self.at);
        if let Some(depth) = depth.checked_sub(1)
            && self.object(found, depth).is_some()
        {
            return u32::try_from(found.len() - place).ok();
        }
        found.truncate(place);
        self.at = start;
        self.skip_nested().map(|()| UNREAD)
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
        Some(fields(json.as_bytes())?.iter().map(|field| (text(&field.name), text(&field.value))).collect())
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

    #[test]
    fn what_is_inside_stands_behind() {
        let json = r#"{"a":{"b":{"x":1},"c":2,"c":{}},"d":{"\u0061":1,"e":{"f":1}},"c":3,"g":[{"h":1}]}"#;
        let found = fields(json.as_bytes()).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|field| (&json[field.name.start as usize..field.name.end as usize], field.inside))
            .collect();
        assert_eq!(
            shown,
            [("a", 4), ("b", 1), ("x", 0), ("c", 0), ("c", 0), ("d", UNREAD), ("c", 0), ("g", 0)]
        );
        let named = |span, name: &str| named(json.as_bytes(), &found, span, name.as_bytes());
        assert_eq!(
            (named(0..8, "c"), named(1..5, "c"), named(0..8, "x"), named(2..3, "x")),
            (Some(6), Some(4), None, Some(2))
        );
        let deep = |levels: usize| format!("{}{{}}{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        let inside = |levels| {
            fields(deep(levels).as_bytes()).unwrap().iter().map(|field| field.inside).collect::<Vec<_>>()
        };
        assert_eq!(inside(3), [2, 1, 0]);
        assert_eq!((inside(5000).len(), inside(5000).last()), (9, Some(&UNREAD)));
    }

    proptest! {
        #[test]
        fn no_bytes_harm_it(bytes in prop::collection::vec(prop::sample::select(&b"{}[]\",:\\ 1a\xff"[..]), 0..40)) {
            if let Some(found) = fields(&bytes) {
                for field in found {
                    prop_assert!(field.name.end < field.value.start && field.value.end as usize <= bytes.len());
                }
            }
        }
    }
}
