//! From bytes to an event, its time and its key.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use super::dedupe::{self, Strength};
use super::error::DecodeError;
use crate::event::{Catalogue, Event, Extracted, Format, Plan};
use crate::time::Timestamp;

/// An event and the key by which its duplicates are known.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The event, without a place in the log yet.
    pub event: Event,
    /// Equal for deliveries of the same event; 16 bytes of a BLAKE3 hash.
    pub dedupe: u128,
}

/// The fields a decoder needs; [`finish`] expects them as the first ones of the plan.
pub const FIELDS: [&str; 6] = ["id", "created_at", "event_type", "author_id", "entity_id", "target_id"];

pub(super) mod field {
    pub(in super::super) const ID: usize = 0;
    pub(in super::super) const CREATED_AT: usize = 1;
    pub(in super::super) const EVENT_TYPE: usize = 2;
    pub(in super::super) const AUTHOR_ID: usize = 3;
    pub(in super::super) const ENTITY_ID: usize = 4;
    pub(in super::super) const TARGET_ID: usize = 5;
}

/// Immutable tables, made on first use.
struct Tables {
    plans: Vec<(Format, Plan)>,
    catalogue: Catalogue,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let fields = FIELDS.map(str::to_owned);
    Tables {
        plans: Format::ALL.into_iter().map(|format| (format, Plan::new(format, &fields, false))).collect(),
        catalogue: Catalogue::built_in(),
    }
});

/// Where an event comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The name of the source it came through.
    pub source: &'a Arc<str>,
    /// The system it happened in.
    pub forge: &'a Arc<str>,
}

/// As [`decode_from`], for a source that stands for a system of its own name.
pub fn decode(
    format: Format,
    source: &Arc<str>,
    raw: Bytes,
    type_hint: Option<&str>,
    received_at: Timestamp,
) -> Result<Decoded, DecodeError> {
    decode_from(format, Origin { source, forge: source }, raw, type_hint, received_at)
}

/// Reads one event. `type_hint` is the type from a request header, used where the body has none.
///
/// An event without a time of its own gets the arrival time; one whose time does not parse is refused, since
/// a window can do nothing with it and a person must see it.
pub fn decode_from(
    format: Format,
    origin: Origin<'_>,
    raw: Bytes,
    type_hint: Option<&str>,
    received_at: Timestamp,
) -> Result<Decoded, DecodeError> {
    let tables = &*TABLES;
    let text = utf8(&raw)?;
    let type_hint = type_hint.filter(|hint| !hint.is_empty()).map(Into::into);
    let forge = Arc::clone(origin.forge);
    let mut event = Event { type_hint, forge, ..blank(format, origin.source, received_at) };
    let mut extracted = Extracted::default();
    let Some((_, plan)) = tables.plans.iter().find(|(planned, _)| *planned == format) else {
        return Err(DecodeError::unknown_format(format.name()));
    };
    plan.extract(&event, text, &tables.catalogue, &mut extracted)
        .map_err(|error| DecodeError::json(&error, text))?;
    let dedupe = finish(&mut event, text, &extracted, Strength::Lasting)?;
    event.raw = raw;
    Ok(Decoded { event, dedupe })
}

/// An event without bytes, of which only the arrival is known; its forge is called as its source.
#[must_use]
pub fn blank(format: Format, source: &Arc<str>, received_at: Timestamp) -> Event {
    Event {
        position: 0,
        received_at,
        time: received_at,
        source: Arc::clone(source),
        forge: Arc::clone(source),
        format,
        type_hint: None,
        raw: Bytes::new(),
    }
}

/// Bytes as text; JSON is always UTF-8.
pub fn utf8(raw: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(raw).map_err(|error| DecodeError::not_utf8(&error))
}

/// Sets the event's time from its fields, and answers the key by which duplicates are known.
pub fn finish(
    event: &mut Event,
    raw: &str,
    extracted: &Extracted,
    strength: Strength,
) -> Result<u128, DecodeError> {
    let own_time = event_time(event.format, extracted, raw)?;
    event.time = own_time.unwrap_or(event.received_at);
    Ok(dedupe::key(event, own_time.is_some(), (extracted, raw), &TABLES.catalogue, strength))
}

/// The sender's own id of an event, from its fields.
#[must_use]
pub fn id<'a>(extracted: &'a Extracted, raw: &'a str) -> Option<&'a str> {
    extracted.text(field::ID, raw)
}

/// The event's own time: text, epoch seconds or milliseconds, or Bitbucket's `{epochSecond, nano}`.
fn event_time(format: Format, extracted: &Extracted, raw: &str) -> Result<Option<Timestamp>, DecodeError> {
    if let Some(text) = extracted.text(field::CREATED_AT, raw) {
        let found = parse_time(text).filter(|time| time.is_in_calendar());
        return found.map(Some).ok_or_else(|| DecodeError::time(text));
    }
    if format == Format::Bitbucket {
        return bitbucket_time(raw);
    }
    Ok(None)
}

/// A time as events carry it: what [`Timestamp::parse`] reads, or seconds, milliseconds, microseconds or nanoseconds
/// since 1970, told apart by their size. Numbers below 10^11 are seconds (until the year 5138); of the larger ones those
/// that are no time before the year 2200 in their unit are none at all.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    // What looks like a date is no number.
    let is_dated = matches!(text.as_bytes(), [_, _, _, _, b'-', _, _, b'-', ..]);
    if let Some(time) = is_dated.then(|| Timestamp::parse(text).ok()).flatten() {
        return Some(time);
    }
    if let Ok(number) = text.parse::<i64>() {
        return epoch(number);
    }
    if let Ok(number) = text.parse::<f64>() {
        let is_seconds = number.abs() < SECONDS_END as f64;
        return if is_seconds { Some(Timestamp((number * 1000.0) as i64)) } else { epoch(number as i64) };
    }
    Timestamp::parse(text).ok()
}

/// Smaller numbers are seconds, then every thousandfold another unit.
const SECONDS_END: i64 = 100_000_000_000;
/// The year 2200, in milliseconds: later than anybody's clock.
const PLAUSIBLE_END: i64 = 7_258_118_400_000;

/// Whatever unit it is in.
fn epoch(number: i64) -> Option<Timestamp> {
    if number.saturating_abs() < SECONDS_END {
        return Some(Timestamp(number * 1000));
    }
    // Milliseconds, microseconds, nanoseconds.
    let fits = |divisor: &u64| number.unsigned_abs() / divisor < SECONDS_END.unsigned_abs() * 1000;
    let divisor = [1, 1_000, 1_000_000].into_iter().find(fits)?;
    let millis = number / divisor.cast_signed();
    (millis.saturating_abs() < PLAUSIBLE_END).then_some(Timestamp(millis))
}

/// `timestamp: {"epochSecond": …, "nano": …}`, the log file's form of Bitbucket Data Center.
fn bitbucket_time(raw: &str) -> Result<Option<Timestamp>, DecodeError> {
    #[derive(serde::Deserialize)]
    struct Stamped {
        timestamp: Epoch,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Epoch {
        epoch_second: i64,
        #[serde(default)]
        nano: i64,
    }
    let Ok(stamped) = serde_json::from_str::<Stamped>(raw) else { return Ok(None) };
    let Epoch { epoch_second, nano } = stamped.timestamp;
    let seconds = Some(epoch_second).filter(|seconds| seconds.saturating_abs() < SECONDS_END);
    let time = seconds.and_then(|seconds| (seconds * 1000).checked_add(nano / 1_000_000));
    match time.map(Timestamp).filter(|time| time.is_in_calendar()) {
        Some(time) => Ok(Some(time)),
        None => Err(DecodeError::time(&epoch_second.to_string())),
    }
}
