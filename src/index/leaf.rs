//! The single tests of a query, each answered from the dictionary of its field.

use std::net::IpAddr;
use std::ops::ControlFlow;

use ipnet::IpNet;
use roaring::RoaringBitmap;
use serde_json::Value as Json;

use super::Timed;
use super::answer::Answer;
use super::evaluate::{Evaluation, Read};
use super::field::{CANONICAL, Field, Value, bytes_of, encode_address};
use super::postings::Damaged;
use crate::enrich::{Fact, GeoField, Wanted};
use crate::event::{EventType, Format};
use crate::query::{
    Cmp, NOT_FREE_TEXT, Operand, OperandKind, Pattern, Phrase, Test, WordPattern, fits, test_holds,
};
use crate::time::{Span, Timestamp};

/// What a value of a dictionary is to a test.
enum Fit {
    Yes,
    No,
    /// Its end, which is not there, would tell.
    Perhaps,
}

impl<S: Timed + ?Sized> Evaluation<'_, S> {
    /// The events whose field passes a test.
    pub fn field(&mut self, field: &str, test: &Test) -> Read<Answer, S> {
        let enrichment = self.catalogue.enrichment();
        if enrichment.wanted(field) == Some(Wanted::Geo(GeoField::Country)) {
            return self.country(test);
        }
        if enrichment.lays_over(field) {
            return Ok(self.unknown());
        }
        match field {
            "created_at" => self.time(test),
            "position" => self.position(test),
            "event_type" => self.event_type(test),
            "ip_address" => self.address(test),
            "source" => self.values(Field::Source, test),
            "forge" => self.values(Field::Forge, test),
            "category" => self.listed((Field::SentCategory, |known| &known.category), test),
            "tier" => self.listed((Field::SentTier, |known| known.tier.name()), test),
            "geo.country" => self.values(Field::SentCountry, test),
            _ => match CANONICAL.iter().find(|(name, _)| *name == field) {
                Some((_, indexed)) => self.values(*indexed, test),
                None => self.not_indexed(field, test),
            },
        }
    }

    /// The events that have a word.
    pub fn word(&mut self, word: &WordPattern) -> Read<Answer, S> {
        let [literal] = word.as_slice() else {
            let first = word.first().map_or("", String::as_str);
            return self.scan(Field::Word, first, &|value| fit(value, &|text| fits(word, text)));
        };
        self.literal(Field::Word, literal)
    }

    /// The events with a folded text in a field.
    fn literal(&mut self, field: Field, folded: &str) -> Read<Answer, S> {
        let (value, is_whole) = field.encode(folded);
        let found = self.dictionary().lookup(field, &value)?;
        Ok(if is_whole { Answer::exactly(found) } else { Answer::at_most(found) })
    }

    /// The events whose value begins so, as far as it is kept, and fits.
    fn scan(&mut self, field: Field, beginning: &str, fits: &dyn Fn(&Value<'_>) -> Fit) -> Read<Answer, S> {
        let from = field.scan_from(beginning);
        self.scan_while(field, from, &|value| value.starts_with(from), fits)
    }

    /// The events with values from one on, as long as their bytes are such, that fit.
    fn scan_while(
        &mut self,
        field: Field,
        from: &[u8],
        is_in: &dyn Fn(&[u8]) -> bool,
        fits: &dyn Fn(&Value<'_>) -> Fit,
    ) -> Read<Answer, S> {
        let (mut sure, mut perhaps) = (RoaringBitmap::new(), RoaringBitmap::new());
        let mut done: Result<(), Damaged> = Ok(());
        self.dictionary().visit(field, from, &mut |bytes, numbers| {
            if !is_in(bytes) {
                return ControlFlow::Break(());
            }
            let added = match field.decode(bytes).map_or(Fit::No, |value| fits(&value)) {
                Fit::Yes => numbers.add_to(&mut sure),
                Fit::Perhaps => numbers.add_to(&mut perhaps),
                Fit::No => Ok(()),
            };
            if let Err(damage) = added {
                done = Err(damage);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        done?;
        Ok(Answer { possible: &sure | &perhaps, sure })
    }

    /// The events whose value in a field with a dictionary passes a test.
    fn values(&mut self, field: Field, test: &Test) -> Read<Answer, S> {
        match test {
            Test::Like(pattern) if pattern.is_anything() => {
                Ok(Answer::exactly(self.dictionary().present(field)?))
            }
            Test::Like(pattern) => match pattern.folded.as_slice() {
                [literal] => self.literal(field, literal),
                parts => {
                    let first = parts.first().map_or("", String::as_str);
                    self.scan(field, first, &|value| fit(value, &|text| pattern.is_whole(text)))
                }
            },
            // The dictionary does not tell the number 1767603600000, which is a time, from the text.
            _ if names_times(test) => Ok(Answer::at_most(self.dictionary().present(field)?)),
            _ => self.scan(field, "", &|value| fit(value, &|text| holds(test, text))),
        }
    }

    fn event_type(&mut self, test: &Test) -> Read<Answer, S> {
        if matches!(test, Test::Like(pattern) if pattern.is_anything()) {
            return self.values(Field::EventType, test);
        }
        let mut answer = self.values(Field::OtherType, test)?;
        let catalogue = self.catalogue;
        let current = |name: &str| {
            catalogue.get(Format::Gitlab, name).map_or_else(|| name.to_owned(), |known| known.name.clone())
        };
        match test {
            Test::Like(Pattern { folded, .. }) if folded.len() == 1 => {
                let literal = folded.first().map_or("", String::as_str);
                let former = catalogue.aliases().filter(|(_, new)| *new == literal).map(|(old, _)| old);
                for name in former.chain([literal]).filter(|name| current(name) == literal) {
                    answer.or(&self.literal(Field::EventType, name)?);
                }
            }
            _ if names_times(test) => answer.or(&self.values(Field::EventType, test)?),
            _ => {
                let fits = |value: &Value<'_>| fit(value, &|text| holds(test, &current(text)));
                answer.or(&self.scan(Field::EventType, "", &fits)?);
            }
        }
        Ok(answer)
    }

    /// Category and tier: of the types that the catalogue knows, it tells; of others, what was sent counts.
    fn listed(&mut self, (sent, told): (Field, fn(&EventType) -> &str), test: &Test) -> Read<Answer, S> {
        let catalogue = self.catalogue;
        let mut answer = Answer::default();
        for known in catalogue.types().iter().filter(|known| holds(test, told(known))) {
            let former = catalogue.aliases().filter(|(_, new)| *new == known.name).map(|(old, _)| old);
            for name in former.chain([known.name.as_str()]) {
                answer.or(&self.literal(Field::EventType, name)?);
            }
        }
        let mut of_others = self.values(sent, test)?;
        if !of_others.possible.is_empty() {
            // Whoever sealed the segment may not have known a type that is known now.
            let names = catalogue.types().iter().map(|known| known.name.as_str());
            for name in names.chain(catalogue.aliases().map(|(old, _)| old)) {
                let known = self.literal(Field::EventType, name)?;
                of_others.sure -= &known.possible;
                of_others.possible -= &known.sure;
            }
            answer.or(&of_others);
        }
        Ok(answer)
    }

    fn address(&mut self, test: &Test) -> Read<Answer, S> {
        let mut answer = self.values(Field::AddressText, test)?;
        let more = match test {
            Test::Like(pattern) if pattern.is_anything() => self.values(Field::Address, test)?,
            Test::Like(Pattern { folded, .. }) if folded.len() == 1 => {
                match folded.first().and_then(|literal| encode_address(literal)) {
                    Some(bytes) => Answer::exactly(self.dictionary().lookup(Field::Address, &bytes)?),
                    None => Answer::default(),
                }
            }
            Test::Network(network, _) => self.network(network, test)?,
            _ if names_times(test) => self.unknown(),
            _ => self.scan(Field::Address, "", &|value| fit(value, &|text| holds(test, text)))?,
        };
        answer.or(&more);
        Ok(answer)
    }

    /// The addresses of a network are neighbours; IPv4 ones may lie between those of an IPv6 network.
    fn network(&mut self, network: &IpNet, test: &Test) -> Read<Answer, S> {
        let (first, last) = (bytes_of(network.network()), bytes_of(network.broadcast()));
        let is_in = |bytes: &[u8]| bytes <= &last[..];
        self.scan_while(Field::Address, &first, &is_in, &|value| fit(value, &|text| holds(test, text)))
    }

    /// Each address of the segment is looked up as it is for people; where nothing is known of it, what was sent
    /// counts.
    fn country(&mut self, test: &Test) -> Read<Answer, S> {
        let Some(geo) = self.catalogue.enrichment().geo() else { return Ok(self.unknown()) };
        let mut unsettled = self.values(Field::SentCountry, test)?;
        unsettled = Answer::at_most(unsettled.possible);
        let is_there = |text: &str| match geo.answer(text).get(GeoField::Country) {
            Some(Fact::Text(country)) => holds(test, country),
            Some(Fact::Number(_)) | None => false,
        };
        let mut answer = self.scan(Field::Address, "", &|value| fit(value, &is_there))?;
        // An event may have several addresses, of which the first counts.
        let texts = self.scan(Field::AddressText, "", &|value| fit(value, &is_there))?;
        answer.or(&Answer::at_most(texts.possible));
        answer.or(&unsettled);
        Ok(answer)
    }

    fn time(&mut self, test: &Test) -> Read<Answer, S> {
        if let Some((from, to)) = stretch(test) {
            let found = if from > to {
                RoaringBitmap::new()
            } else {
                self.segment.between(from, to).map_err(super::ReadError::Terms)?
            };
            return Ok(Answer::exactly(found & &self.all));
        }
        let mut found = RoaringBitmap::new();
        let mut visit = |number: u32, time: Timestamp| {
            if holds(test, &time.to_string()) {
                found.insert(number);
            }
        };
        self.segment.times(&mut visit).map_err(super::ReadError::Terms)?;
        Ok(Answer::exactly(found & &self.all))
    }

    fn position(&self, test: &Test) -> Read<Answer, S> {
        let first = self.segment.first();
        let is_found = |number: &u32| test_holds(test, &Json::from(first + u64::from(*number)));
        Ok(Answer::exactly(self.all.iter().filter(is_found).collect()))
    }

    /// A field without a dictionary has at least the words of the value that it is to have.
    fn not_indexed(&mut self, field: &str, test: &Test) -> Read<Answer, S> {
        let outer = field.split('.').next().unwrap_or(field);
        let Test::Like(pattern) = test else { return Ok(self.unknown()) };
        let may_be_flag = pattern.is_whole("true") || pattern.is_whole("false");
        if NOT_FREE_TEXT.contains(&outer) || pattern.is_anything() || may_be_flag {
            return Ok(self.unknown());
        }
        let Some(phrase) = Phrase::new(pattern.clone()) else { return Ok(self.unknown()) };
        let mut answer = self.unknown();
        for word in &phrase.words {
            match word.as_slice() {
                [_] => answer.and(&self.word(word)?),
                // In a field a wildcard stands for anything, so that only the beginning is known.
                [first, ..] if !first.is_empty() => {
                    answer.and(&self.word(&vec![first.clone(), String::new()])?);
                }
                _ => {}
            }
        }
        Ok(Answer::at_most(answer.possible))
    }
}

/// Whether a value passes a test of folded texts.
fn fit(value: &Value<'_>, test: &dyn Fn(&str) -> bool) -> Fit {
    let yes = |is_found: bool| if is_found { Fit::Yes } else { Fit::No };
    match value {
        Value::Text(text) => yes(test(text)),
        Value::Beginning(_) => Fit::Perhaps,
        Value::Address(address) => yes(test(&text_of(*address))),
    }
}

fn text_of(address: IpAddr) -> String {
    address.to_string()
}

fn holds(test: &Test, text: &str) -> bool {
    test_holds(test, &Json::from(text))
}

fn operands(test: &Test) -> impl Iterator<Item = &Operand> {
    let (first, second) = match test {
        Test::Within(operand) | Test::Compare(_, operand) => (Some(operand), None),
        Test::Range(low, high) => (low.as_ref(), high.as_ref()),
        Test::Like(_) | Test::Network(..) => (None, None),
    };
    first.into_iter().chain(second)
}

fn names_times(test: &Test) -> bool {
    operands(test).any(|operand| matches!(operand.kind, OperandKind::Time(..)))
}

/// The first and the last moment that pass a test of times.
fn stretch(test: &Test) -> Option<(Timestamp, Timestamp)> {
    let before = |time: Timestamp| time.minus(Span::millis(1));
    let bounds = |cmp: Cmp, operand: &Operand| match (&operand.kind, cmp) {
        (OperandKind::Time(from, _), Cmp::Gte) => Some((*from, Timestamp::MAX)),
        (OperandKind::Time(_, to), Cmp::Gt) => Some((*to, Timestamp::MAX)),
        (OperandKind::Time(from, _), Cmp::Lt) => Some((Timestamp::MIN, before(*from))),
        (OperandKind::Time(_, to), Cmp::Lte) => Some((Timestamp::MIN, before(*to))),
        (OperandKind::Number(_) | OperandKind::Text(_), _) => None,
    };
    match test {
        Test::Compare(cmp, operand) => bounds(*cmp, operand),
        Test::Within(operand) => Some((bounds(Cmp::Gte, operand)?.0, bounds(Cmp::Lte, operand)?.1)),
        Test::Range(low, high) => {
            let from = low.as_ref().map_or(Some(Timestamp::MIN), |low| Some(bounds(Cmp::Gte, low)?.0));
            let to = high.as_ref().map_or(Some(Timestamp::MAX), |high| Some(bounds(Cmp::Lte, high)?.1));
            from.zip(to)
        }
        Test::Like(_) | Test::Network(..) => None,
    }
}
