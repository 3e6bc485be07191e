//! The quick way through an event's JSON, for the shapes that events have nearly always.
//!
//! As long as an event goes on as events before it did, its scanner steps from value to value over what is known
//! to stand between them (see `shape`). Otherwise it reads the event: it knows all of JSON's structure, texts
//! without escapes and whole numbers. A text with escapes or another number goes, alone, through the complete
//! parser; at anything stranger the scanner gives up, and the complete parser reads the event as a whole. So both
//! accept the same events and find the same values, but for whole numbers beyond 64 bits, which the parser rounds; and
//! every error message is the parser's.

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny};

use super::extract::{Extracted, Held};
use super::plan::{NO_SLOT, Plan};
use super::shape::{Kind, Step};
use super::walk::{ValueAt, Walk};

/// Not a wanted path.
const NOWHERE: u32 = u32::MAX;
/// Deeper events are left to the parser, which knows where to stop.
const DEPTH_MAX: u32 = 64;
/// Whole numbers of so many digits are taken as they are written, also those beyond 64 bits: two that differ must not
/// become one. (The complete parser rounds these; it only reads what is nested deeper than [`DEPTH_MAX`].) No number
/// this long is beyond a double.
const DIGITS_MAX: usize = 300;

/// Takes the planned fields out of an event; false if the complete parser must be asked, whatever is in `out`.
pub(super) fn scan(plan: &Plan, raw: &str, out: &mut Extracted) -> bool {
    if u32::try_from(raw.len()).is_err() {
        return false;
    }
    out.marks.set(raw.as_bytes());
    let mut scanner = Scanner { plan, out, raw: raw.as_bytes(), text: raw, at: 0 };
    if scanner.out.shape.is_known() {
        if scanner.follow().is_some() {
            return true;
        }
        scanner.out.clear();
        scanner.at = 0;
    }
    scanner.out.shape.attend();
    let is_read = scanner.event().is_some();
    if is_read {
        scanner.out.shape.learn(raw.as_bytes());
    }
    is_read
}

struct Scanner<'p, 'o, 'r> {
    plan: &'p Plan,
    out: &'o mut Extracted,
    raw: &'r [u8],
    text: &'r str,
    at: usize,
}

impl Scanner<'_, '_, '_> {
    /// From value to value, over known stretches.
    fn follow(&mut self) -> Option<()> {
        let (mut before, mut at) = (0, 0);
        loop {
            let Extracted { shape, marks, slots, all, .. } = &mut *self.out;
            before = shape.find(before, self.raw.get(at..)?)?;
            let step = *shape.step(before)?;
            at += step.length as usize;
            if step.says {
                for (slot, held) in shape.said(&step) {
                    slots.push(*slot, *held);
                    if self.plan.takes_all && !matches!(held, Held::Null | Held::Composite) {
                        all.push(*held);
                    }
                }
            }
            let end = if step.kind == Kind::Text { marks.next(at) } else { at };
            if step.kind == Kind::Text && *self.raw.get(end)? == b'"' {
                let held = Held::Raw(at as u32, end as u32);
                if step.slot != NO_SLOT {
                    slots.push(step.slot, held);
                }
                if self.plan.takes_all {
                    all.push(held);
                }
                at = end;
            } else if step.kind == Kind::End {
                return Some(());
            } else {
                at = self.other_value(at, step)?;
            }
        }
    }

    /// A number, or a text with escapes; answers where the stretch behind it begins.
    fn other_value(&mut self, at: usize, step: Step) -> Option<usize> {
        self.at = at;
        if step.kind == Kind::Number {
            self.number(at, step.node, step.slot)?;
            return Some(self.at);
        }
        self.text(step.node, step.slot)?;
        Some(self.at - 1)
    }

    fn event(&mut self) -> Option<()> {
        if self.token()? != b'{' {
            return None;
        }
        self.object(0, 0)?;
        let is_over = self.token().is_none() && self.at == self.raw.len();
        self.out.shape.note(Kind::End, (NOWHERE, NO_SLOT), self.at, self.at);
        is_over.then_some(())
    }

    /// The next byte that is no white space, and steps over it; none at the end.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.raw.get(self.at)?;
            self.at += 1;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
        }
    }

    /// From behind `{` to behind `}`.
    fn object(&mut self, node: u32, depth: u32) -> Option<()> {
        self.out.shape.open(node, false);
        let mut byte = self.token()?;
        while byte != b'}' {
            if byte != b'"' {
                return None;
            }
            let target = self.key(node)?;
            byte = self.token()?;
            self.value(byte, target, depth)?;
            byte = match self.token()? {
                b',' => self.token().filter(|byte| *byte == b'"')?,
                b'}' => break,
                _ => return None,
            };
        }
        self.out.shape.close();
        Some(())
    }

    /// From behind a key's quote to behind its colon; answers the node and the slot it leads to.
    fn key(&mut self, node: u32) -> Option<(u32, u16)> {
        let start = self.at;
        let is_plain = self.skip_text()?;
        let key = self.text.get(start..self.at - 1)?;
        if !is_plain || self.token()? != b':' {
            return None;
        }
        let branch = self.plan.nodes.get(node as usize);
        let child = branch.and_then(|branch| branch.keys.get(key)).unwrap_or(NOWHERE);
        Some((child, self.slot(child)))
    }

    fn slot(&self, node: u32) -> u16 {
        self.plan.nodes.get(node as usize).map_or(NO_SLOT, |branch| branch.slot)
    }

    /// A value whose first byte was just stepped over.
    fn value(&mut self, byte: u8, (node, slot): (u32, u16), depth: u32) -> Option<()> {
        let start = self.at - 1;
        match byte {
            b'"' => {
                self.text(node, slot)?;
                self.out.shape.note(Kind::Text, (node, slot), start + 1, self.at - 1);
                Some(())
            }
            b'0'..=b'9' | b'-' => {
                self.number(start, node, slot)?;
                self.out.shape.note(Kind::Number, (node, slot), start, self.at);
                Some(())
            }
            b'{' if depth < DEPTH_MAX => {
                self.say(slot, Held::Composite);
                self.object(node, depth + 1)
            }
            b'[' if depth < DEPTH_MAX => self.array((node, slot), depth + 1),
            b't' => self.word(start, "true", slot, Held::Bool(true)),
            b'f' => self.word(start, "false", slot, Held::Bool(false)),
            b'n' => self.word(start, "null", slot, Held::Null),
            _ => None,
        }
    }

    /// From behind `[` to behind `]`; the elements belong to the array's own path.
    fn array(&mut self, (node, slot): (u32, u16), depth: u32) -> Option<()> {
        let mut byte = self.token()?;
        if byte == b']' {
            self.say(slot, Held::Composite);
            return Some(());
        }
        self.out.shape.open(node, true);
        loop {
            self.value(byte, (node, slot), depth)?;
            match self.token()? {
                b',' => byte = self.token()?,
                b']' => break,
                _ => return None,
            }
        }
        self.out.shape.close();
        Some(())
    }

    fn word(&mut self, start: usize, word: &str, slot: u16, held: Held) -> Option<()> {
        self.at = start + word.len();
        (self.raw.get(start..self.at)? == word.as_bytes()).then(|| self.say(slot, held))
    }

    /// Takes a value that is part of a stretch.
    fn say(&mut self, slot: u16, held: Held) {
        self.out.shape.say(slot, held);
        self.take(slot, held);
    }

    fn number(&mut self, start: usize, node: u32, slot: u16) -> Option<()> {
        let digits = if *self.raw.get(start)? == b'-' { start + 1 } else { start };
        let rest = self.raw.get(digits..)?;
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_more = rest.get(count).is_some_and(|byte| matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
        // `-0` is no whole number, `01` is none at all.
        let is_plain = match rest.first()? {
            b'0' => count == 1 && digits == start,
            _ => (1..=DIGITS_MAX).contains(&count),
        };
        self.at = digits + count;
        if is_plain && !is_more {
            self.take(slot, Held::RawNumber(start as u32, self.at as u32));
            return Some(());
        }
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
        self.at = digits + rest.iter().take_while(is_part).count();
        self.parse(start, node)
    }

    /// Lets the complete parser read one text or number, from `start` to here.
    fn parse(&mut self, start: usize, node: u32) -> Option<()> {
        let mut json = serde_json::Deserializer::from_str(self.text.get(start..self.at)?);
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
    fn take(&mut self, slot: u16, held: Held) {
        if slot != NO_SLOT {
            self.out.slots.push(slot, held);
        }
        if self.plan.takes_all && !matches!(held, Held::Null | Held::Composite) {
            self.out.all.push(held);
        }
    }

    /// A text, from behind its opening quote to behind the closing one. (Places fit 32 bits: see `scan`.)
    #[inline]
    fn text(&mut self, node: u32, slot: u16) -> Option<()> {
        let start = self.at;
        if !self.skip_text()? {
            return self.parse(start - 1, node);
        }
        self.take(slot, Held::Raw(start as u32, self.at as u32 - 1));
        Some(())
    }

    /// From behind the opening quote to behind the closing one. Answers whether the text has no escapes; control
    /// characters are not allowed in it.
    #[inline]
    fn skip_text(&mut self) -> Option<bool> {
        let mut is_plain = true;
        let mut at = self.out.marks.next(self.at);
        while *self.raw.get(at)? != b'"' {
            if *self.raw.get(at)? != b'\\' {
                return None;
            }
            is_plain = false;
            at = self.out.marks.next(at + 2);
        }
        self.at = at + 1;
        Some(is_plain)
    }
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
            forge: "test".into(),
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
        scanned.begin(plan);
        let by_scanner = scan(plan, raw, scanned).then(|| values(scanned, plan, raw));
        let mut parsed = Extracted::default();
        parsed.begin(plan);
        let by_parser = plan.parse(raw, &mut parsed).is_ok().then(|| values(&mut parsed, plan, raw));
        (by_scanner, by_parser)
    }

    /// Whether two findings are one, apart from the digits of whole numbers that only the scanner keeps.
    fn same(found: &[String], expected: &[String]) -> bool {
        let is_same = |(own, other): (&String, &String)| {
            let digits = |text: &str| {
                text.split("Number(\"").nth(1).map(|text| text.trim_end_matches("\")").to_owned())
            };
            let (Some(left), Some(right)) = (digits(own), digits(other)) else { return own == other };
            let is_long = left.len() > 18 && !left.contains(['.', 'e']);
            left == right || (is_long && left.parse::<f64>() == right.parse::<f64>())
        };
        found.len() == expected.len() && found.iter().zip(expected).all(is_same)
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
                // Thrice: the second time it learns, the third time it knows.
                for _ in 0..3 {
                    let (by_scanner, by_parser) = both(&plan, &raw, &mut scanned);
                    prop_assert!(by_parser.is_some());
                    if let Some(found) = by_scanner {
                        let expected = by_parser.unwrap_or_default();
                        prop_assert!(same(&found, &expected), "{} {:?} {:?}", raw, found, expected);
                    }
                }
            }
        }

        #[test]
        fn it_accepts_nothing_that_the_parser_refuses(
            value in json(),
            damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..8),
            is_known: bool,
            takes_all: bool,
        ) {
            let plan = Plan::new(Format::Gitlab, &FIELDS.map(str::to_owned), takes_all);
            let whole = serde_json::json!({ "a": value, "n": 1.5, "m": [1, "x"], "o": 7, "p": "y" }).to_string();
            let mut scanned = Extracted::default();
            for _ in 0..if is_known { 3 } else { 0 } {
                both(&plan, &whole, &mut scanned);
            }
            for (at, change) in damages {
                let mut bytes = whole.clone().into_bytes();
                let at = at.index(bytes.len());
                match change {
                    Some((byte, true)) => bytes.insert(at, byte),
                    Some((byte, false)) => bytes[at] = byte,
                    None => drop(bytes.remove(at)),
                }
                let Ok(raw) = std::str::from_utf8(&bytes) else { continue };
                for _ in 0..3 {
                    let (by_scanner, by_parser) = both(&plan, raw, &mut scanned);
                    if let Some(found) = by_scanner {
                        let expected = by_parser.unwrap_or_default();
                        prop_assert!(same(&found, &expected), "{} {:?} {:?}", raw, found, expected);
                    }
                }
            }
        }
    }

    /// A byte to put there or in between; none takes one away.
    fn damage() -> impl Strategy<Value = Option<(u8, bool)>> {
        prop::option::weighted(
            0.8,
            (prop::sample::select(&b"{}[],:\"\\ \n\x01-+.eE0u1tfn"[..]), any::<bool>()),
        )
    }

    #[test]
    fn what_it_knows_it_steps_over() {
        let plan = Plan::new(Format::Gitlab, &FIELDS.map(str::to_owned), false);
        let mut out = Extracted::default();
        for number in 0..3 {
            let raw = format!(
                r#"{{"id":{number},"a":{{"b":["x\n",true],"a_key_beyond_three_words":1.5}},"t":"z"}}"#
            );
            out.begin(&plan);
            out.marks.set(raw.as_bytes());
            let mut scanner = Scanner { plan: &plan, out: &mut out, raw: raw.as_bytes(), text: &raw, at: 0 };
            assert_eq!(scanner.follow().is_some(), number == 2, "the first is forgotten, the second learnt");
            out.clear();
            assert!(scan(&plan, &raw, &mut out));
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
