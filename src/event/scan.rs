//! The quick way through an event's JSON, for the shapes that events have nearly always.
//!
//! It knows all of JSON's structure, texts without escapes and whole numbers. A text with escapes or another
//! number goes, alone, through the complete parser; at anything stranger the scanner gives up, and the
//! complete parser reads the event as a whole. So both accept the same events and find the same values, and
//! every error message is the parser's.

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny};

use super::extract::{Extracted, Held, narrow};
use super::plan::Plan;
use super::walk::{ValueAt, Walk};

/// Not a wanted path.
const NOWHERE: u32 = u32::MAX;
/// Deeper events are left to the parser, which knows where to stop.
const DEPTH_MAX: u32 = 64;
/// Whole numbers of this many digits fit an `i64`, whatever the digits.
const DIGITS_MAX: usize = 18;

/// Takes the planned fields out of an event; false if the complete parser must be asked, whatever is in `out`.
pub(super) fn scan(plan: &Plan, raw: &str, out: &mut Extracted) -> bool {
    let mut scanner = Scanner { plan, out, raw, at: 0 };
    scanner.event().is_some()
}

struct Scanner<'p, 'o, 'r> {
    plan: &'p Plan,
    out: &'o mut Extracted,
    raw: &'r str,
    at: usize,
}

impl Scanner<'_, '_, '_> {
    fn event(&mut self) -> Option<()> {
        if self.token()? != b'{' {
            return None;
        }
        self.object(0, 0)?;
        (self.token().is_none() && self.at == self.raw.len()).then_some(())
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.raw.as_bytes().get(at).copied()
    }

    /// The next byte that is no white space, and steps over it; none at the end.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = self.byte(self.at)?;
            self.at += 1;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
        }
    }

    /// From behind `{` to behind `}`.
    fn object(&mut self, node: u32, depth: u32) -> Option<()> {
        match self.token()? {
            b'}' => return Some(()),
            b'"' => {}
            _ => return None,
        }
        let mut before = self.out.shape.start(node);
        loop {
            let rest = self.raw.as_bytes().get(self.at..)?;
            let child = match self.out.shape.expected(before, rest) {
                Some(expected) => {
                    self.at += expected.length;
                    before = expected.id;
                    expected.child
                }
                None => self.key(node, &mut before)?,
            };
            let byte = self.token()?;
            self.value(byte, child, depth)?;
            match self.token()? {
                b',' if self.token()? == b'"' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// From behind the quote of an unexpected key to behind its colon; answers the node it leads to.
    fn key(&mut self, node: u32, before: &mut u32) -> Option<u32> {
        let start = self.at;
        let (first, is_plain) = self.text()?;
        let key = self.raw.get(start..self.at - 1)?;
        if !is_plain || self.token()? != b':' {
            return None;
        }
        let branch = self.plan.nodes.get(node as usize);
        let child = branch.and_then(|branch| branch.keys.find(first, key)).unwrap_or(NOWHERE);
        // Only a colon right behind the key is expected.
        let is_tight = self.at == start + key.len() + 2;
        let text = self.raw.as_bytes().get(start..).filter(|_| is_tight).unwrap_or_default();
        *before = self.out.shape.learn(*before, (node, child), text, key.len() + 2);
        Some(child)
    }

    /// A value whose first byte was just stepped over.
    #[inline]
    fn value(&mut self, byte: u8, node: u32, depth: u32) -> Option<()> {
        let start = self.at - 1;
        match byte {
            b'"' => {
                let (_, is_plain) = self.text()?;
                if !is_plain {
                    return self.parse(start, node);
                }
                self.take(node, Held::Raw(narrow(start + 1), narrow(self.at - 1)));
                Some(())
            }
            b'0'..=b'9' | b'-' => self.number(start, node),
            b'{' if depth < DEPTH_MAX => {
                if let Some(branch) = self.plan.nodes.get(node as usize) {
                    self.out.push(&branch.slots, Held::Composite);
                }
                self.object(node, depth + 1)
            }
            b'[' if depth < DEPTH_MAX => self.array(node, depth + 1),
            b't' => self.word(start, "true", node, Held::Bool(true)),
            b'f' => self.word(start, "false", node, Held::Bool(false)),
            b'n' => self.word(start, "null", node, Held::Null),
            _ => None,
        }
    }

    /// From behind `[` to behind `]`; the elements belong to the array's own path.
    fn array(&mut self, node: u32, depth: u32) -> Option<()> {
        let mut byte = self.token()?;
        if byte == b']' {
            self.take(node, Held::Composite);
            return Some(());
        }
        loop {
            self.value(byte, node, depth)?;
            match self.token()? {
                b',' => byte = self.token()?,
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    fn word(&mut self, start: usize, word: &str, node: u32, held: Held) -> Option<()> {
        self.at = start + word.len();
        (self.raw.get(start..self.at)? == word).then(|| self.take(node, held))
    }

    fn number(&mut self, start: usize, node: u32) -> Option<()> {
        let digits = if self.byte(start)? == b'-' { start + 1 } else { start };
        let rest = self.raw.as_bytes().get(digits..)?;
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_more = rest.get(count).is_some_and(|byte| matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
        // `-0` is no whole number, `01` is none at all.
        let is_plain = match rest.first()? {
            b'0' => count == 1 && digits == start,
            _ => (1..=DIGITS_MAX).contains(&count),
        };
        self.at = digits + count;
        if is_plain && !is_more {
            self.take(node, Held::RawNumber(narrow(start), narrow(self.at)));
            return Some(());
        }
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
        self.at = digits + rest.iter().take_while(is_part).count();
        self.parse(start, node)
    }

    /// Lets the complete parser read one text or number, from `start` to here.
    fn parse(&mut self, start: usize, node: u32) -> Option<()> {
        let mut json = serde_json::Deserializer::from_str(self.raw.get(start..self.at)?);
        if node == NOWHERE && !self.plan.takes_all {
            IgnoredAny::deserialize(&mut json).ok()?;
        } else {
            let base = self.raw.as_ptr() as usize;
            let mut walk = Walk { plan: self.plan, out: &mut *self.out, base };
            ValueAt { walk: &mut walk, node }.deserialize(&mut json).ok()?;
        }
        json.end().ok()
    }

    #[inline]
    fn take(&mut self, node: u32, held: Held) {
        if let Some(branch) = self.plan.nodes.get(node as usize) {
            self.out.push(&branch.slots, held);
        }
        if self.plan.takes_all && !matches!(held, Held::Null | Held::Composite) {
            self.out.all.push(held);
        }
    }

    /// From behind the opening quote to behind the closing one. Answers the text's first eight bytes (zeros
    /// behind a shorter one) and whether it has no escapes; control characters are not allowed in a text.
    #[inline]
    fn text(&mut self) -> Option<(u64, bool)> {
        let bytes = self.raw.as_bytes();
        let word = self.word_at(self.at)?;
        let marks = stops(word);
        if marks != 0 {
            let length = marks.trailing_zeros() / 8;
            let end = self.at + length as usize;
            if *bytes.get(end)? == b'"' {
                self.at = end + 1;
                return Some((word & !(u64::MAX << (8 * length)), true));
            }
        }
        let mut is_plain = true;
        let mut at = self.at;
        loop {
            let marks = stops(self.word_at(at)?);
            if marks == 0 {
                at += 8;
                continue;
            }
            at += marks.trailing_zeros() as usize / 8;
            match *bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    is_plain = false;
                    at += 2;
                }
                _ => return None,
            }
        }
        self.at = at + 1;
        Some((word, is_plain))
    }

    /// Eight bytes, little-endian; zeros behind the end, none far behind it.
    #[inline]
    fn word_at(&self, at: usize) -> Option<u64> {
        let rest = self.raw.as_bytes().get(at..)?;
        if let Some(chunk) = rest.first_chunk::<8>() {
            return Some(u64::from_le_bytes(*chunk));
        }
        let mut word = [0; 8];
        word.get_mut(..rest.len())?.copy_from_slice(rest);
        Some(u64::from_le_bytes(word))
    }
}

/// Marks the first byte of a word that is a quote, a backslash or a control character with its highest bit;
/// bytes behind it may be marked wrongly. ("Determine if a word has a byte less than n", Bit Twiddling Hacks.)
#[inline]
const fn stops(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let is_quote = quote.wrapping_sub(ONES) & !quote;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    (is_quote | is_backslash | is_control) & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::event::{Catalogue, Event, Format, Scalar};
    use crate::time::Timestamp;

    const FIELDS: [&str; 6] = ["id", "a", "a.b", "c.d", "long_name_of_a_field_beyond_words", "event_type"];

    fn event() -> Event {
        Event {
            position: 0,
            received_at: Timestamp(0),
            time: Timestamp(0),
            source: "test".into(),
            format: Format::Gitlab,
            type_hint: None,
            raw: bytes::Bytes::new(),
        }
    }

    fn values(out: &mut Extracted, plan: &Plan, raw: &str) -> Vec<String> {
        out.resolve(plan, &event(), raw, &Catalogue::default());
        let fields =
            (0..FIELDS.len()).flat_map(|field| out.values(field, raw).map(move |value| (field, value)));
        let all = out.all(raw).map(|value: Scalar<'_>| (99, value));
        fields.chain(all).map(|(field, value)| format!("{field} {value:?}")).collect()
    }

    /// What the scanner and the parser find; none where they refuse.
    fn both(plan: &Plan, raw: &str, scanned: &mut Extracted) -> (Option<Vec<String>>, Option<Vec<String>>) {
        scanned.shape.begin(plan.fingerprint, plan.nodes.len());
        scanned.clear(plan.slots);
        let by_scanner = scan(plan, raw, scanned).then(|| values(scanned, plan, raw));
        let mut parsed = Extracted::default();
        parsed.clear(plan.slots);
        let by_parser = plan.parse(raw, &mut parsed).is_ok().then(|| values(&mut parsed, plan, raw));
        (by_scanner, by_parser)
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-100..100i64).prop_map(Value::from),
            any::<f64>().prop_filter_map("finite", |number| number.is_finite().then(|| Value::from(number))),
            "[a-zäσ\"\\\\\n\u{1}/ ]{0,20}".prop_map(Value::from),
        ];
        let key = prop_oneof![
            prop::sample::select(&["id", "a", "b", "c", "d", "a.b", "event_type", FIELDS[4]][..])
                .prop_map(str::to_owned),
            "[a-f\"ä]{0,30}",
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..6)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_the_parser_finds(
            events in prop::collection::vec((json(), any::<bool>()), 1..6),
            takes_all: bool,
        ) {
            let plan = Plan::new(Format::Gitlab, &FIELDS.map(str::to_owned), takes_all);
            let mut scanned = Extracted::default();
            for (value, is_pretty) in events {
                let value = serde_json::json!({ "a": value, "c": 1, "id": "x" });
                let raw = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
                let raw = raw.unwrap();
                // Twice: the second time the keys are where they are expected.
                for _ in 0..2 {
                    let (by_scanner, by_parser) = both(&plan, &raw, &mut scanned);
                    prop_assert!(by_parser.is_some());
                    if by_scanner.is_some() {
                        prop_assert_eq!(by_scanner, by_parser, "{}", raw);
                    }
                }
            }
        }

        #[test]
        fn it_accepts_nothing_that_the_parser_refuses(
            value in json(),
            at in any::<prop::sample::Index>(),
            change in prop_oneof![
                Just(None),
                prop::sample::select(&b"{}[],:\"\\ \n\x01-+.eE0u1tfn"[..]).prop_map(Some),
            ],
            takes_all: bool,
        ) {
            let plan = Plan::new(Format::Gitlab, &FIELDS.map(str::to_owned), takes_all);
            let mut bytes = serde_json::json!({ "a": value, "n": 1.5 }).to_string().into_bytes();
            let at = at.index(bytes.len());
            match change {
                Some(byte) => bytes[at] = byte,
                None => drop(bytes.remove(at)),
            }
            if let Ok(raw) = std::str::from_utf8(&bytes) {
                let mut scanned = Extracted::default();
                for _ in 0..2 {
                    let (by_scanner, by_parser) = both(&plan, raw, &mut scanned);
                    if by_scanner.is_some() {
                        prop_assert_eq!(by_scanner, by_parser, "{}", raw);
                    }
                }
            }
        }
    }

    #[test]
    fn it_reads_the_usual_events_alone() {
        let plan = Plan::new(Format::Gitlab, &FIELDS.map(str::to_owned), false);
        let mut scanned = Extracted::default();
        for raw in [
            r#"{"id":"x","a":{"b":[1,-2,"y"],"q":null},"event_type":"a \"quoted\" \u00e4","f":1.5e3,"t":true}"#,
            " { \"id\" : 0 , \"a\" : [ ] , \"c\" : { } } ",
            "{}",
        ] {
            let (by_scanner, by_parser) = both(&plan, raw, &mut scanned);
            assert!(by_scanner.is_some(), "{raw}");
            assert_eq!(by_scanner, by_parser, "{raw}");
        }
        for raw in [
            "",
            "{",
            "[]",
            "{}x",
            "{\"a\":01}",
            "{\"a\":-}",
            "{\"a\":tru}",
            "{\"a\":\"\n\"}",
            "{\"a\":1,}",
            "{,}",
        ] {
            assert_eq!(both(&plan, raw, &mut scanned), (None, None), "{raw}");
        }
    }
}
