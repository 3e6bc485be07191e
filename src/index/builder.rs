//! From events to terms.

use xxhash_rust::xxh3::xxh3_64;

use super::field::{CANONICAL, Field, PRESENT, encode_address};
use super::gather::{Finished, Gather};
use super::glance::Glance;
use super::known::Known;
use crate::enrich::Enrichment;
use crate::event::{Catalogue, Event, Format, canonical};
use crate::query::{Words, any_at, each_text, fold_into, text};

/// Gathers the terms of one segment. Takes some 250 bytes of memory per event until it is finished, and never more
/// than it may, 768 MiB by default (and some 8 MiB for texts that come again): events beyond that are noted as not
/// indexed, and every search looks at them.
#[derive(Debug)]
pub struct Builder {
    memory_max: usize,
    is_full: bool,
    sink: Sink,
    /// How to read events of each format.
    glances: Vec<(Format, Glance)>,
    /// The catalogue without what it enriches events with, which is looked up when somebody searches.
    plain: Option<Catalogue>,
}

/// Where values go.
#[derive(Debug, Default)]
struct Sink {
    gather: Gather,
    /// Texts that came before, and their terms.
    known: Known,
    /// Room for a folded text.
    folded: String,
}

/// About the most memory that the terms of one segment take while they are gathered, in bytes.
pub const MEMORY_MAX: usize = 768 << 20;

impl Default for Builder {
    fn default() -> Self {
        Self::with_memory(MEMORY_MAX)
    }
}

impl Builder {
    /// One that takes about so many bytes at most.
    #[must_use]
    pub fn with_memory(memory_max: usize) -> Self {
        Self { memory_max, is_full: false, sink: Sink::default(), glances: Vec::new(), plain: None }
    }

    /// Adds an event under its number in the segment; numbers ascend.
    pub fn add(&mut self, number: u32, event: &Event, catalogue: &Catalogue) {
        let gather = &mut self.sink.gather;
        gather.note();
        if gather.is_empty() {
            // Whoever sends events does not know when the first one of a segment arrives.
            let seed = xxh3_64(&event.raw) ^ event.received_at.0.cast_unsigned();
            gather.seed(seed);
            self.sink.known.seed(seed);
        }
        if gather.bytes() > self.memory_max {
            gather.add(Field::Unindexed, PRESENT, number);
            self.is_full = true;
            return;
        }
        self.sink.value(Field::Source, &event.source, number);
        self.sink.value(Field::Forge, &event.forge, number);
        let known = self.glances.iter().position(|(format, _)| *format == event.format);
        let index = known.unwrap_or_else(|| {
            self.glances.push((event.format, Glance::new(event.format)));
            self.glances.len() - 1
        });
        let seen = self.glances.get_mut(index).and_then(|(_, glance)| glance.look(event, catalogue));
        let Some(seen) = seen else { return self.add_slowly(number, event, catalogue) };
        for (index, (_, field)) in CANONICAL.iter().enumerate() {
            if let Some(text) = seen.field(index) {
                self.sink.canonical(*field, text, (event.format, number));
            }
        }
        for text in seen.texts() {
            self.sink.words(text, number);
        }
    }

    /// Whether there was no room left for some events. Merged indexes have these where each of theirs ended.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// The terms in order of field and value.
    #[must_use]
    pub fn finish(self) -> Finished {
        self.sink.gather.finish()
    }

    /// By way of what people see.
    fn add_slowly(&mut self, number: u32, event: &Event, catalogue: &Catalogue) {
        let plain = self.plain.take().unwrap_or_else(|| catalogue.with(Enrichment::default()));
        let shown = canonical(event, &plain);
        // Of several addresses only the first one is looked up, so they are kept apart from single ones.
        let mut addresses = 0;
        any_at(&shown, "ip_address", &mut |value| {
            addresses += usize::from(text(value).is_some());
            false
        });
        for (name, field) in CANONICAL {
            any_at(&shown, name, &mut |value| {
                match text(value) {
                    Some(text) if field == Field::Address && addresses > 1 => {
                        self.sink.gather.add(field, PRESENT, number);
                        self.sink.value(Field::AddressText, &text, number);
                    }
                    Some(text) => self.sink.canonical(field, &text, (event.format, number)),
                    None if value.is_null() => {}
                    None => self.sink.gather.add(field, PRESENT, number),
                }
                false
            });
        }
        let name = shown.get("event_type").and_then(|name| name.as_str());
        let is_known = name.is_some_and(|name| plain.get(event.format, name).is_some());
        let sent: &[(&str, Field)] = match is_known {
            true => &[("geo.country", Field::SentCountry)],
            false => &[
                ("geo.country", Field::SentCountry),
                ("category", Field::SentCategory),
                ("tier", Field::SentTier),
            ],
        };
        for (name, field) in sent {
            any_at(&shown, name, &mut |value| {
                match text(value) {
                    Some(text) => self.sink.value(*field, &text, number),
                    None if value.is_null() => {}
                    None => self.sink.gather.add(*field, PRESENT, number),
                }
                false
            });
        }
        each_text(&shown, &Enrichment::default(), &mut |text| {
            self.sink.words(text, number);
            false
        });
        self.plain = Some(plain);
    }
}

/// A text has a role, which is a field's number: of a canonical field, or of the words. What an event type is filed
/// under depends on the format too.
const OTHER_FORMAT: u8 = 0x40;
/// The role of a value that is filed under the field as it is.
const VALUE: u8 = 0x20;

impl Sink {
    /// Adds a text's terms: those that it had before, or else those that `find` adds.
    #[inline]
    fn text(&mut self, role: u8, text: &str, number: u32, find: impl FnOnce(&mut Self)) {
        let hash = self.known.hash(role, text);
        if let Some(entries) = self.known.find(hash, role, text) {
            self.gather.add_again(entries, number);
            return;
        }
        let is_second = self.known.is_second(hash);
        self.gather.note();
        find(self);
        if is_second {
            self.known.remember(hash, role, text, self.gather.noted());
        }
    }

    fn canonical(&mut self, field: Field, text: &str, (format, number): (Format, u32)) {
        let role = field.number() | if format == Format::Gitlab { 0 } else { OTHER_FORMAT };
        self.text(role, text, number, |own| own.find_canonical(field, text, (format, number)));
    }

    fn find_canonical(&mut self, field: Field, text: &str, (format, number): (Format, u32)) {
        match field {
            Field::EventType => {
                self.gather.add(field, PRESENT, number);
                // The catalogue knows no name with capitals, so this one it does not know.
                let has_capitals =
                    text.chars().any(|letter| !letter.is_ascii_lowercase() && letter.is_alphabetic());
                let is_listed = format == Format::Gitlab && !has_capitals;
                self.find_value(if is_listed { field } else { Field::OtherType }, text, number);
            }
            Field::Address => {
                self.gather.add(field, PRESENT, number);
                match encode_address(text) {
                    Some(bytes) => self.gather.add(field, &bytes, number),
                    None => self.address_text(text, number),
                }
            }
            _ => self.find_value(field, text, number),
        }
    }

    /// What may still be an address once it is folded.
    fn address_text(&mut self, text: &str, number: u32) {
        match encode_address(&text.to_ascii_lowercase()) {
            Some(bytes) => self.gather.add(Field::Address, &bytes, number),
            None => self.find_value(Field::AddressText, text, number),
        }
    }

    fn value(&mut self, field: Field, text: &str, number: u32) {
        self.text(field.number() | VALUE, text, number, |own| own.find_value(field, text, number));
    }

    fn find_value(&mut self, field: Field, text: &str, number: u32) {
        self.folded.clear();
        fold_into(text, &mut self.folded);
        let (value, _) = field.encode(&self.folded);
        self.gather.add(field, PRESENT, number);
        self.gather.add(field, &value, number);
    }

    fn words(&mut self, text: &str, number: u32) {
        self.text(Field::Word.number(), text, number, |own| own.find_words(text, number));
    }

    fn find_words(&mut self, text: &str, number: u32) {
        self.folded.clear();
        fold_into(text, &mut self.folded);
        for word in Words::of(&self.folded) {
            let (value, _) = Field::Word.encode(word);
            self.gather.add(Field::Word, &value, number);
        }
    }
}
