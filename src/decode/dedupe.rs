//! The key by which two deliveries of one event are known to be one.
//!
//! A forge that keeps an event gives it a lasting id. Ids alone do not tell events apart (GitLab's own
//! documentation reuses the id 1), so more goes in: of what every form of the event has, in which it is streamed,
//! fetched, logged or exported. Events that GitLab only streams get a fresh random id on every delivery; for those
//! the content without the id decides.
//!
//! The forge goes in always: whoever may send events of one system cannot write what passes for an event of another,
//! and so keep it out.

use std::hash::Hasher;
use std::ops::Range;

use rustc_hash::FxHasher;
use xxhash_rust::xxh3::xxh3_64;

use crate::event::{Catalogue, Event, Extracted, Format};

use super::decoded::field;

/// How hard a key is to forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// BLAKE3: nobody can make an event that passes for another one. For the log.
    Lasting,
    /// 8 bytes by FxHash and XXH3: many times faster, for history that was accepted before.
    Quick,
}

enum Digest {
    Lasting(Box<blake3::Hasher>),
    Quick(u64),
}

/// FxHash reads a short text in half the time that XXH3 needs to begin.
#[inline]
fn quick_hash(text: &[u8]) -> u64 {
    if text.len() > 48 {
        return xxh3_64(text);
    }
    let mut hasher = FxHasher::default();
    hasher.write(text);
    hasher.finish()
}

impl Digest {
    fn new(strength: Strength) -> Self {
        match strength {
            Strength::Lasting => Self::Lasting(Box::default()),
            Strength::Quick => Self::Quick(0),
        }
    }

    fn add(&mut self, part: &str) {
        match self {
            Self::Lasting(hasher) => {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
            }
            // One to one in the part's hash; the rotation makes the order count.
            Self::Quick(state) => {
                let mixed = state.rotate_left(23) ^ quick_hash(part.as_bytes());
                *state = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
    }

    fn add_number(&mut self, number: i64) {
        match self {
            Self::Lasting(_) => self.add(itoa::Buffer::new().format(number)),
            Self::Quick(state) => {
                let mixed = state.rotate_left(23) ^ number.cast_unsigned();
                *state = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
    }

    fn finish(self) -> u128 {
        match self {
            Self::Lasting(hasher) => {
                let mut bytes = [0; 16];
                bytes.copy_from_slice(hasher.finalize().as_bytes().get(..16).unwrap_or(&[0; 16]));
                u128::from_le_bytes(bytes)
            }
            Self::Quick(state) => u128::from(state),
        }
    }
}

/// 16 bytes of a hash over what stays the same when an event is delivered again.
pub(super) fn key(
    event: &Event,
    has_own_time: bool,
    (extracted, raw): (&Extracted, &str),
    catalogue: &Catalogue,
    strength: Strength,
) -> u128 {
    let mut digest = Digest::new(strength);
    digest.add(event.format.name());
    digest.add(&event.forge);
    let id = extracted.text(field::ID, raw);
    let event_type = extracted.text(field::EVENT_TYPE, raw).unwrap_or_default();
    match id {
        Some(id) if !has_fleeting_id(event.format, event_type, id, catalogue) => {
            digest.add("id");
            digest.add(id);
            let (fields, unit) = common(event.format);
            for index in fields {
                digest.add(extracted.text(*index, raw).unwrap_or_default());
            }
            digest.add_number(if has_own_time { event.time.0.div_euclid(unit) } else { 0 });
        }
        Some(id) => {
            let (before, after) = around(raw, extracted.place(field::ID), id);
            digest.add("content");
            digest.add(before);
            digest.add(after);
        }
        None => {
            digest.add("content");
            digest.add(raw);
            // Without id and time nothing tells a repeated delivery from a repeated deed: count both.
            digest.add_number(if has_own_time { 0 } else { event.received_at.0 });
        }
    }
    digest.finish()
}

/// Which fields beside the id every form of an event has, and how many milliseconds its time is exact to.
///
/// GitLab (doc/api/audit_events.md, `ExportCsvService`): only the stream tells the type at the top; the REST API of
/// older versions and the CSV export do not have it at all. The target is a number in one and a path in another. The
/// CSV export has whole seconds. GitHub: the document's id is a random one, and exports leave out ids of people.
const fn common(format: Format) -> (&'static [usize], i64) {
    match format {
        Format::Gitlab => (&[field::AUTHOR_ID, field::ENTITY_ID], 1000),
        Format::Github => (&[field::EVENT_TYPE], 1000),
        Format::AzureDevops | Format::Bitbucket | Format::Generic => {
            (&[field::AUTHOR_ID, field::ENTITY_ID, field::TARGET_ID, field::EVENT_TYPE], 1)
        }
    }
}

/// Whether the sender makes up a new id for each delivery.
fn has_fleeting_id(format: Format, event_type: &str, id: &str, catalogue: &Catalogue) -> bool {
    let is_uuid = || {
        id.len() == 36
            && id.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
    };
    format == Format::Gitlab
        && (catalogue.get(format, event_type).is_some_and(|known| !known.is_stored_by_forge) || is_uuid())
}

/// The text around the id: around its place in the text; if that is not known, around the first `"id":` with it;
/// failing that, the whole text.
fn around<'a>(raw: &'a str, place: Option<Range<usize>>, id: &str) -> (&'a str, &'a str) {
    let found = || {
        let key = memchr::memmem::find(raw.as_bytes(), b"\"id\"")?;
        let start = key + 4 + memchr::memmem::find(raw.as_bytes().get(key + 4..)?, id.as_bytes())?;
        Some(start..start + id.len())
    };
    let place = place.or_else(found);
    let around = place.and_then(|place| Some((raw.get(..place.start)?, raw.get(place.end..)?)));
    around.unwrap_or((raw, ""))
}
