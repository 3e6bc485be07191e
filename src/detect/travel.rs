//! Two places too far apart for the time between. A hit's value is address, latitude, longitude and accuracy in
//! kilometres (may be empty), joined by unit separators.
//!
//! An event is a finding if *any* earlier one of its key, from another address, was too far away; so A, B, A, B is
//! found too. More events can only add to that, so it is judged at once, in any order of arrival. A stay at the second
//! place goes on contradicting the first until one could have got there: findings no further apart than
//! half a day are one stretch.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::hit::{Completion, Evidence, Held, Hit, Outcome};
use super::size;
use super::window::number;
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// Two places too far apart for the time between.
#[derive(Debug, Clone)]
pub struct TravelSpec {
    /// Faster than this nobody travels, in kilometres an hour.
    pub max_kmh: f64,
    /// Places nearer than this are one place, in kilometres.
    pub min_km: f64,
    /// How late an event may still count.
    pub lateness: Span,
}

/// The mean radius of the Earth, (2a + b) / 3 of WGS 84, in kilometres (Moritz, "Geodetic Reference System 1980").
const EARTH_KM: f64 = 6_371.008_8;
/// Where the database does not say how sure it is, a place may be this far off, in kilometres.
const RADIUS_KM: f64 = 50.0;
/// How many places of one key are kept; beyond it the one not seen for longest is forgotten, and the ledger says so.
const PLACES_MAX: usize = 128;
/// How many events at one place are kept, likewise.
const EVENTS_MAX: usize = 4096;
/// Two events of one second may have any order: no time between them counts as less.
const SHORTEST: Span = Span::seconds(1);
/// No event is compared with one from longer ago.
const LONGEST: Span = Span::days(31);

/// How many places are told of.
const NAMED_MAX: usize = 5;
/// No place is farther away than half around the Earth, in kilometres.
const MOST_KM: f64 = 20_015.0;

/// An address, where it is, and when it was seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    address: Box<str>,
    latitude: f64,
    longitude: f64,
    radius_km: f64,
    /// By time, then position: the last event before any that may still come, and those after it.
    events: VecDeque<(Timestamp, Position)>,
}

/// Where one key was.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TravelState {
    places: Vec<Place>,
    /// When something was found, oldest first; of the time before any event that may still come, only the last.
    found: VecDeque<Timestamp>,
    last: Option<Timestamp>,
}

/// A journey that nobody makes.
#[derive(Debug, Clone, Copy)]
struct Journey<'p> {
    from: (&'p Place, Timestamp, Position),
    to: (&'p Place, Timestamp, Position),
    /// Less what both places may be off.
    km: f64,
    kmh: f64,
}

impl TravelSpec {
    /// Findings no further apart are one stretch.
    pub(super) const JOURNEY: Span = Span::hours(12);

    /// Half around the Earth is the longest way: after the time that takes, every place can be reached.
    #[expect(clippy::cast_possible_truncation, reason = "a float becomes the nearest whole number")]
    fn reach(&self) -> Span {
        let hours = std::f64::consts::PI * EARTH_KM / self.max_kmh;
        Span((hours * 3_600_000.0).ceil() as i64).min(LONGEST)
    }

    pub(super) fn memory(&self) -> Span {
        self.reach().max(Self::JOURNEY)
    }

    /// Takes in an event. One without a place changes nothing.
    pub(super) fn on_hit(&self, state: &mut TravelState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let Some(place) = hit.value.as_deref().and_then(place) else { return Outcome::default() };
        let event = (hit.time, hit.position);
        let (number, mut overflowed) = state.enter(place);
        let Some(place) = state.places.get_mut(number) else { return Outcome::default() };
        let at = place.events.partition_point(|known| *known < event);
        if place.events.get(at) == Some(&event) {
            return Outcome::default();
        }
        place.events.insert(at, event);
        overflowed |= place.events.len() > EVENTS_MAX && place.events.pop_front().is_some();
        state.last = Some(state.last.map_or(hit.time, |last| last.max(hit.time)));
        let completion = self.judge(state, number, hit);
        if let Some(completion) = &completion {
            completion.held.iter().for_each(|(_, at)| state.find(*at));
        }
        let completion = completion.map(|found| Completion { held: state.joined(&found.held), ..found });
        self.trim(state, watermark);
        Outcome { completion, overflowed, timer: None }
    }

    /// What a new event shows: that it cannot be after others, or that later ones cannot be after it. The stretches
    /// are the moments of the later events.
    fn judge(&self, state: &TravelState, number: usize, hit: &Hit) -> Option<Completion> {
        let own = state.places.get(number)?;
        let mut held: SmallVec<[Held; 1]> = SmallVec::new();
        let mut fastest: Option<Journey<'_>> = None;
        for other in state.places.iter().filter(|other| other.address != own.address) {
            let km = (distance_km(own, other) - own.radius_km - other.radius_km).max(0.0);
            if km <= self.min_km {
                continue;
            }
            let after = other.events.partition_point(|(time, _)| *time <= hit.time);
            let before = after.checked_sub(1).and_then(|before| other.events.get(before));
            let here = (own, hit.time, hit.position);
            let there = |(time, position): &(Timestamp, Position)| (other, *time, *position);
            let arrivals = before.map(|event| (there(event), here)).into_iter();
            let departures = other.events.range(after..).map(|event| (here, there(event)));
            for (from, to) in arrivals.chain(departures) {
                let kmh = speed(km, to.1.since(from.1));
                let is_known = to.1 != hit.time && state.found.binary_search(&to.1).is_ok();
                if kmh <= self.max_kmh || is_known {
                    continue;
                }
                held.push((to.1, to.1));
                if fastest.is_none_or(|known| known.kmh < kmh) {
                    fastest = Some(Journey { from, to, km, kmh });
                }
            }
        }
        held.sort_unstable();
        held.dedup();
        let journey = fastest?;
        let evidence = Evidence::sample([journey.from.2, journey.to.2].into_iter());
        let found = Completion::at(hit, journey.kmh.round(), self.reason(&journey), evidence);
        Some(Completion { time: journey.to.1, held, ..found })
    }

    fn reason(&self, journey: &Journey<'_>) -> String {
        let time = journey.to.1.since(journey.from.1);
        let time = if time < SHORTEST { SHORTEST } else { Span(time.0 / 1000 * 1000) };
        format!(
            "at least {} km in {time} ({} km/h; at most {}) from {} to {}",
            number((journey.km / 10.0).floor() * 10.0),
            number(journey.kmh.round()),
            number(self.max_kmh),
            journey.from.0.address,
            journey.to.0.address
        )
    }

    /// From where it was seen lately, and how far that lets it be elsewhere.
    pub(super) fn known(&self, state: &TravelState, at: Timestamp) -> Vec<String> {
        let mut places: Vec<&Place> = state.places.iter().filter(|place| place.last() <= at).collect();
        places.sort_by_key(|place| std::cmp::Reverse(place.last()));
        let mut known: Vec<String> = places
            .iter()
            .take(NAMED_MAX)
            .map(|place| {
                let hours = at.since(place.last()).max(SHORTEST).0 as f64 / 3_600_000.0;
                let reach = (hours * self.max_kmh).max(self.min_km).round();
                format!(
                    "{} ({:.1}, {:.1}, give or take {} km), last at {}; by now up to {} km from there is possible",
                    place.address,
                    place.latitude,
                    place.longitude,
                    number(place.radius_km),
                    place.last(),
                    number(reach.min(MOST_KM))
                )
            })
            .collect();
        if places.len() > NAMED_MAX {
            known.push(format!("and {} earlier places", places.len() - NAMED_MAX));
        }
        if known.is_empty() {
            known.push(String::from("no place is known"));
        }
        known.push(format!(
            "it fires for an event from farther away than that, at {} km/h",
            number(self.max_kmh)
        ));
        known
    }

    /// Lets go of what no event that may still come can be compared with.
    fn trim(&self, state: &mut TravelState, watermark: Timestamp) {
        let horizon = state.last().minus(self.lateness).min(watermark);
        for place in &mut state.places {
            while place.events.get(1).is_some_and(|(time, _)| *time < horizon) {
                place.events.pop_front();
            }
        }
        let reach = self.reach();
        state.places.retain(|place| place.last().plus(reach) >= horizon);
        while state.found.get(1).is_some_and(|time| *time < horizon) {
            state.found.pop_front();
        }
    }
}

/// What a hit says.
fn place(value: &str) -> Option<Place> {
    let mut parts = value.split(Hit::SEPARATOR);
    let address = parts.next()?.into();
    let mut figure = || parts.next()?.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let (latitude, longitude) = (figure()?, figure()?);
    let radius_km = figure().filter(|radius| *radius >= 0.0).unwrap_or(RADIUS_KM);
    Some(Place { address, latitude, longitude, radius_km, events: VecDeque::new() })
}

/// The length of the great circle between two places, in kilometres: the haversine formula (Sinnott, "Virtues of the
/// Haversine", Sky and Telescope 68, 1984). Of a sphere: up to half a per cent off. From `libm`, so that it is the
/// same on every machine.
fn distance_km(left: &Place, right: &Place) -> f64 {
    let half_sine = |from: f64, to: f64| libm::sin((to - from).to_radians() / 2.0);
    let (north, east) =
        (half_sine(left.latitude, right.latitude), half_sine(left.longitude, right.longitude));
    let cosines = libm::cos(left.latitude.to_radians()) * libm::cos(right.latitude.to_radians());
    let haversine = north * north + cosines * east * east;
    2.0 * EARTH_KM * libm::asin(haversine.sqrt().min(1.0))
}

/// In kilometres an hour.
fn speed(km: f64, time: Span) -> f64 {
    km * 3_600_000.0 / time.max(SHORTEST).0 as f64
}

impl Place {
    fn last(&self) -> Timestamp {
        self.events.back().map_or(Timestamp::MIN, |(time, _)| *time)
    }

    /// Whether it is the same address, and the database still puts it there.
    fn is(&self, other: &Self) -> bool {
        let place = |place: &Self| [place.latitude, place.longitude, place.radius_km].map(f64::to_bits);
        self.address == other.address && place(self) == place(other)
    }
}

impl TravelState {
    /// The number of a place, and whether another one had to go for it.
    fn enter(&mut self, place: Place) -> (usize, bool) {
        if let Some(number) = self.places.iter().position(|known| known.is(&place)) {
            return (number, false);
        }
        let mut overflowed = false;
        if self.places.len() >= PLACES_MAX {
            let ages = self.places.iter().enumerate().map(|(number, place)| (place.last(), number));
            if let Some((_, oldest)) = ages.min() {
                self.places.remove(oldest);
                overflowed = true;
            }
        }
        self.places.push(place);
        (self.places.len() - 1, overflowed)
    }

    /// Remembers that something was found.
    fn find(&mut self, at: Timestamp) {
        if let Err(place) = self.found.binary_search(&at) {
            self.found.insert(place, at);
        }
    }

    /// From the finding before each moment to the one after it, where those are near enough.
    fn joined(&self, moments: &[Held]) -> SmallVec<[Held; 1]> {
        let is_near = |from: Timestamp, to: Timestamp| to.since(from) <= TravelSpec::JOURNEY;
        let join = |(at, _): &Held| {
            let place = self.found.partition_point(|known| known < at);
            let before = place.checked_sub(1).and_then(|before| self.found.get(before));
            let after = self.found.get(place + 1);
            let from = before.copied().filter(|before| is_near(*before, *at)).unwrap_or(*at);
            (from, after.copied().filter(|after| is_near(*at, *after)).unwrap_or(*at))
        };
        moments.iter().map(join).collect()
    }

    pub(super) fn last(&self) -> Timestamp {
        self.last.unwrap_or(Timestamp::MIN)
    }

    pub(super) fn bytes(&self) -> usize {
        let place = |place: &Place| size::block(place.address.len()) + size::queue(&place.events);
        let places = size::list::<Place>(self.places.len()) + self.places.iter().map(place).sum::<usize>();
        places + size::queue(&self.found)
    }

    /// The last events of each place, for `explain`.
    pub(super) fn positions(&self) -> Vec<Position> {
        let mut events: Vec<_> = self.places.iter().flat_map(|place| place.events.iter().copied()).collect();
        events.sort_unstable();
        events.into_iter().map(|(_, position)| position).collect()
    }
}

#[cfg(test)]
mod tests;
