//! A compiled set of rules: matchers per format, and what each match means to which detector.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;
use smallvec::SmallVec;

use crate::alert::LedgerReason;
use crate::decode::{DecodeError, Origin, Strength, decode_from, finish, id, utf8};
use crate::detect::{Detector, Hit};
use crate::event::{Catalogue, Entry, Event, Format, Position, canonical, millionths, number};
use crate::matcher::{Matcher, Scratch};
use crate::rule::ast::Rule;
use crate::time::Timestamp;
use crate::tuple;

/// One rule, ready to run. Its place in the set is its detector's number.
#[derive(Debug)]
pub struct Unit {
    /// The rule as written.
    pub rule: Rule,
    /// What it measures.
    pub detector: Detector,
    /// The names of its key fields.
    pub key_names: Vec<String>,
    /// Changes when the meaning of the rule does; state is kept only while it stays the same.
    pub fingerprint: [u8; 16],
    /// Whether it only feeds correlations and alerts nobody by itself.
    pub is_silent: bool,
    /// 0 for a rule over events; one more than the highest rank of the rules whose alerts it counts.
    pub rank: u16,
    /// The rules that count its alerts.
    pub(super) followers: Vec<Follower>,
    /// Whether it judges what Watchfire did itself: it does if it asks for the field `self`.
    pub(super) asks_self: bool,
}

/// A rule that counts the alerts of another one.
#[derive(Debug, Clone)]
pub(super) struct Follower {
    pub(super) detector: u32,
    pub(super) role: u16,
    /// Which fields of the other one's key make its key.
    pub(super) keys: SmallVec<[usize; 2]>,
    pub(super) value: Told,
}

/// The value that an alert carries to a follower.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// These fields of its key; none: no value.
    Fields(SmallVec<[usize; 1]>),
    /// Its score, and the rule's id.
    Score,
}

/// What a target's match is to a detector.
#[derive(Debug, Clone)]
pub(super) struct Emit {
    pub(super) detector: u32,
    pub(super) role: u16,
    /// Field numbers of the key, in the order of the unit's names.
    pub(super) keys: SmallVec<[usize; 2]>,
    /// Field numbers of the value the detector looks at.
    pub(super) values: SmallVec<[usize; 1]>,
    /// Which of the values may be missing; they are empty then.
    pub(super) optional: Range<usize>,
    /// Whether the value must be a number.
    pub(super) number: Number,
    /// A fixed value in place of fields, for risk.
    pub(super) fixed: Option<Box<str>>,
    /// What a missing key field does.
    pub(super) missing: Missing,
}

/// Which texts a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// Any.
    No,
    /// A number that has room: see [`millionths`].
    Any,
    /// Such a number that is not negative.
    NotNegative,
}

/// What an event without a key field is to a detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Not counted; the ledger says so.
    Ledger,
    /// A group of its own.
    Group,
}

/// The matcher of one format and what its targets mean.
#[derive(Debug)]
pub(super) struct Lane {
    /// Its place among the lanes, and of its scratch space.
    pub(super) number: usize,
    pub(super) matcher: Matcher,
    pub(super) emits: Vec<Vec<Emit>>,
}

/// A compiled set of rules, immutable; threads share it.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) units: Vec<Unit>,
    pub(super) lanes: Vec<Lane>,
    pub(super) numbers: FxHashMap<Arc<str>, usize>,
    pub(super) catalogue: Arc<Catalogue>,
}

/// What one event means to the detectors, and the scratch space for finding out. Reused from event to event.
#[derive(Debug, Default)]
pub struct Hits {
    /// In the order of the rules.
    pub hits: Vec<Hit>,
    /// Detectors that could not take the event: number, reason, detail.
    pub misses: Vec<(u32, LedgerReason, Option<String>)>,
    scratch: Vec<Scratch>,
    /// The lane of the last event.
    lane: Option<usize>,
    /// The event's id, if it was found by others.
    id: Option<Box<str>>,
}

/// What one event means, without the scratch space: it goes from the thread that found it to the one that judges.
#[derive(Debug)]
pub struct Meaning {
    hits: Vec<Hit>,
    misses: Vec<(u32, LedgerReason, Option<String>)>,
    id: Option<Box<str>>,
}

impl RuleSet {
    /// The rules, in the order of their detector numbers.
    #[must_use]
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// What the rules see of events beyond their bytes; who shows an event to people does it with the same.
    #[must_use]
    pub const fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// One rule by its id.
    #[must_use]
    pub fn unit(&self, id: &str) -> Option<&Unit> {
        self.number(id).and_then(|number| self.units.get(number))
    }

    /// The detector number of the rule with this id.
    #[must_use]
    pub fn number(&self, id: &str) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    fn lane<'s>(&self, format: Format, scratch: &'s mut Vec<Scratch>) -> Option<(&Lane, &'s mut Scratch)> {
        let lane = self.lanes.iter().find(|lane| lane.matcher.format() == format)?;
        scratch.resize_with(self.lanes.len().max(scratch.len()), Scratch::default);
        Some((lane, scratch.get_mut(lane.number)?))
    }

    /// Finds out what one event means to the detectors. An event that is no JSON object means nothing; the
    /// decoder never lets one through.
    pub fn hits(&self, event: &Event, out: &mut Hits) {
        out.hits.clear();
        out.misses.clear();
        let Some((lane, scratch)) = self.lane(event.format, &mut out.scratch) else { return };
        let Ok(raw) = std::str::from_utf8(&event.raw) else { return };
        if lane.matcher.extract(event, raw, scratch).is_ok() {
            self.collect(lane, event, raw, out);
        }
    }

    /// What each of these entries means; ticks mean nothing.
    pub fn meanings(&self, entries: &[Entry], scratch: &mut Hits) -> Vec<Option<Box<Meaning>>> {
        let meaning = |entry: &Entry| match entry {
            Entry::Event(event) => {
                self.hits(event, scratch);
                scratch.take(&event.raw)
            }
            Entry::Tick { .. } => None,
        };
        entries.iter().map(meaning).collect()
    }

    /// Decodes an event of the past and finds out what it means in one pass over its bytes. The arrival time of
    /// history is unknown: the event's own time stands for it, and where it has none the one that stands in
    /// `received_at`. Sets both times, and answers the key by which repeated events are known.
    pub fn read(&self, event: &mut Event, out: &mut Hits) -> Result<u128, DecodeError> {
        out.hits.clear();
        out.misses.clear();
        let bytes = event.raw.clone();
        let text = utf8(&bytes)?;
        let Some((lane, scratch)) = self.lane(event.format, &mut out.scratch) else {
            let origin = Origin { source: &event.source, forge: &event.forge };
            let decoded = decode_from(event.format, origin, bytes, None, event.received_at)?;
            (event.time, event.received_at) = (decoded.event.time, decoded.event.time);
            return Ok(decoded.dedupe);
        };
        lane.matcher.extract(event, text, scratch).map_err(|error| DecodeError::json(&error, text))?;
        let dedupe = finish(event, text, scratch.extracted(), Strength::Quick)?;
        event.received_at = event.time;
        lane.matcher.arrived(event, text, scratch);
        self.collect(lane, event, text, out);
        Ok(dedupe)
    }

    /// What the event whose fields were just extracted means to the detectors.
    fn collect(&self, lane: &Lane, event: &Event, raw: &str, out: &mut Hits) {
        (out.lane, out.id) = (Some(lane.number), None);
        let Some(scratch) = out.scratch.get_mut(lane.number) else { return };
        lane.matcher.run(event, raw, scratch);
        let time = event.judged_at();
        for target in scratch.matched() {
            for emit in lane.emits.get(*target as usize).into_iter().flatten() {
                match hit(emit, event, raw, scratch, time) {
                    Ok(hit) => out.hits.push(hit),
                    Err(reason) => out.misses.push((emit.detector, reason, None)),
                }
            }
        }
        for failure in scratch.failures() {
            for emit in lane.emits.get(failure.target as usize).into_iter().flatten() {
                let detail = Some(failure.error.to_string());
                out.misses.push((emit.detector, LedgerReason::ScriptFailed, detail));
            }
        }
        if !(out.hits.is_empty() && out.misses.is_empty()) && self.is_own(event) {
            let asks = |detector: u32| self.units.get(detector as usize).is_some_and(|unit| unit.asks_self);
            out.hits.retain(|hit| asks(hit.detector));
            out.misses.retain(|(detector, ..)| asks(*detector));
        }
        out.hits.sort_by_key(|hit| (hit.detector, hit.role));
    }

    /// Whether Watchfire did this itself: then it leads to nothing but for rules that ask for `self`, lest a response
    /// lead to the next one.
    fn is_own(&self, event: &Event) -> bool {
        if *event.source == *OWN_SOURCE {
            return true;
        }
        let Some(own) = self.catalogue.enrichment().own() else { return false };
        let shown = canonical(event, &self.catalogue);
        let text = |field: &str| match shown.get(field) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        own.is(&event.forge, text("author_id").as_deref(), text("author_name").as_deref())
    }
}

/// The source of the events that Watchfire writes itself; no other source has that name.
pub const OWN_SOURCE: &str = "watchfire";

impl Hits {
    /// The sender's id of the event these are the hits of; `raw` is the event's bytes.
    #[must_use]
    pub fn event_id<'a>(&'a self, raw: &'a [u8]) -> Option<&'a str> {
        if let Some(id) = &self.id {
            return Some(id);
        }
        let scratch = self.scratch.get(self.lane?)?;
        id(scratch.extracted(), std::str::from_utf8(raw).ok()?)
    }

    /// Takes out what was found for an event, for another thread; none if it means nothing.
    pub fn take(&mut self, raw: &[u8]) -> Option<Box<Meaning>> {
        if self.hits.is_empty() && self.misses.is_empty() {
            return None;
        }
        let id = self.event_id(raw).map(Into::into);
        let (hits, misses) = (std::mem::take(&mut self.hits), std::mem::take(&mut self.misses));
        Some(Box::new(Meaning { hits, misses, id }))
    }

    /// Puts in what another thread found for the event that has this place.
    pub fn put(&mut self, meaning: Option<Box<Meaning>>, position: Position) {
        self.hits.clear();
        self.misses.clear();
        (self.lane, self.id) = (None, None);
        if let Some(meaning) = meaning {
            (self.hits, self.misses, self.id) = (meaning.hits, meaning.misses, meaning.id);
            self.hits.iter_mut().for_each(|hit| hit.position = position);
        }
    }

    /// Forgets the scratch space; needed when the rule set changes.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

fn hit(
    emit: &Emit,
    event: &Event,
    raw: &str,
    scratch: &Scratch,
    time: Timestamp,
) -> Result<Hit, LedgerReason> {
    let mut key = String::with_capacity(16);
    for field in &emit.keys {
        match (scratch.text(*field, raw), emit.missing) {
            (Some(text), _) => tuple::end(text, &mut key),
            (None, Missing::Group) => tuple::end("", &mut key),
            (None, Missing::Ledger) => return Err(LedgerReason::MissingKey),
        }
    }
    let value = match &emit.fixed {
        Some(fixed) => Some(fixed.clone()),
        None => value(emit, raw, scratch)?,
    };
    Ok(Hit {
        detector: emit.detector,
        role: emit.role,
        key: key.into(),
        value,
        time,
        position: event.position,
    })
}

/// The value the detector looks at, of several fields a tuple.
fn value(emit: &Emit, raw: &str, scratch: &Scratch) -> Result<Option<Box<str>>, LedgerReason> {
    let mut parts: SmallVec<[&str; 4]> = SmallVec::new();
    for (index, field) in emit.values.iter().enumerate() {
        parts.push(match scratch.text(*field, raw) {
            Some(text) => text,
            None if emit.optional.contains(&index) => "",
            None => return Err(LedgerReason::MissingKey),
        });
    }
    if let [text] = *parts {
        emit.number.check(text)?;
    }
    Ok((!parts.is_empty()).then(|| tuple::value(parts).into()))
}

impl Number {
    fn check(self, text: &str) -> Result<(), LedgerReason> {
        if self == Self::No {
            return Ok(());
        }
        let number = number(text).ok_or(LedgerReason::NotANumber)?;
        if self == Self::NotNegative && number < 0.0 {
            return Err(LedgerReason::NotANumber);
        }
        millionths(text).map(drop).ok_or(LedgerReason::OutOfRange)
    }
}

impl Unit {
    /// The key of alerts, of a state's key: that one also tells apart what `same` names.
    pub(super) fn own_key<'k>(&self, key: &'k str) -> &'k str {
        tuple::split(key, self.key_names.len()).0
    }

    /// The key a hit's text stands for, with the names of its fields.
    #[must_use]
    pub fn key(&self, text: &str) -> crate::alert::Key {
        let values = tuple::of_key(text);
        let pairs = self.key_names.iter().zip(values).filter(|(_, value)| !value.is_empty());
        crate::alert::Key(pairs.map(|(name, value)| (name.clone(), value.into_owned())).collect())
    }

    /// Its id, shared.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.rule.id
    }
}
