//! The key by which two deliveries of one event are known to be one.
//!
//! A forge that keeps an event gives it a lasting id. Ids alone do not tell events apart (GitLab's own
//! documentation reuses the id 1), so time, author, entity and type go in too. Events that GitLab only streams
//! get a fresh random id on every delivery; for those the content without the id decides.

use crate::event::{Catalogue, Event, Extracted, Format};

use super::field;

/// 16 bytes of BLAKE3 over what stays the same when an event is delivered again.
pub(super) fn key(
    event: &Event,
    has_own_time: bool,
    extracted: &Extracted,
    raw: &str,
    catalogue: &Catalogue,
) -> u128 {
    let mut hasher = blake3::Hasher::new();
    let mut add = |part: &str| {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    };
    add(event.format.name());
    let id = extracted.text(field::ID, raw);
    let event_type = extracted.text(field::EVENT_TYPE, raw).unwrap_or_default();
    match id {
        Some(id) if !has_fleeting_id(event.format, event_type, id, catalogue) => {
            add("id");
            add(id);
            let fields = [field::AUTHOR_ID, field::ENTITY_ID, field::TARGET_ID, field::EVENT_TYPE];
            for index in fields {
                add(extracted.text(index, raw).unwrap_or_default());
            }
            add(&if has_own_time { event.time.0 } else { 0 }.to_string());
        }
        Some(id) => {
            let (before, after) = around(raw, id);
            add("content");
            add(before);
            add(after);
        }
        None => {
            add("content");
            add(raw);
            // Without id and time nothing tells a repeated delivery from a repeated deed: count both.
            add(&if has_own_time { 0 } else { event.received_at.0 }.to_string());
        }
    }
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    u128::from_le_bytes(bytes)
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

/// The text around the first `"id":` value; the whole text if it is not found.
fn around<'a>(raw: &'a str, id: &str) -> (&'a str, &'a str) {
    let found = raw.find("\"id\"").and_then(|key| {
        let value = key + 4 + raw.get(key + 4..)?.find(id)?;
        Some((raw.get(..value)?, raw.get(value + id.len()..)?))
    });
    found.unwrap_or((raw, ""))
}
