//! The flat list of detectors: one variant per behaviour.

use serde::{Deserialize, Serialize};

use super::absence::{AbsenceSpec, AbsenceState};
use super::bucket::{BucketSpec, BucketState};
use super::change::{ChangeSpec, ChangeState};
use super::dormant::{DormantSpec, DormantState};
use super::first_seen::{FirstSeenSpec, FirstSeenState};
use super::hit::{Completion, Evidence, Hit, Outcome};
use super::rare::{RareSpec, RareState};
use super::risk::{RiskSpec, RiskState};
use super::script::{ScriptKeyState, ScriptSpec};
use super::sequence::{SequenceSpec, SequenceState};
use super::size::boxed;
use super::spike::{SpikeSpec, SpikeState};
use super::travel::{TravelSpec, TravelState};
use super::unusual_hour::{UnusualHourSpec, UnusualHourState};
use super::window::{WindowSpec, WindowState};
use crate::event::Position;
use crate::script::{EventValue, ScriptError};
use crate::time::{Span, Timestamp};

/// What a rule measures.
#[derive(Debug, Clone)]
pub enum Detector {
    /// Each matching event is a finding.
    Single,
    /// A count of events or different values.
    Window(WindowSpec),
    /// Steps.
    Sequence(SequenceSpec),
    /// Something that does not come.
    Absence(AbsenceSpec),
    /// A new value.
    FirstSeen(FirstSeenSpec),
    /// A long silence.
    Dormant(DormantSpec),
    /// A script.
    Script(ScriptSpec),
    /// A changed value.
    Change(ChangeSpec),
    /// A leaky bucket.
    Bucket(BucketSpec),
    /// A rare value.
    Rare(RareSpec),
    /// Two places too far apart.
    Travel(TravelSpec),
    /// A decaying sum of scores.
    Risk(RiskSpec),
    /// A stretch unlike the past.
    Spike(SpikeSpec),
    /// An hour unlike the past.
    UnusualHour(UnusualHourSpec),
}

/// What is remembered of one key. There may be millions: what most rules have, a window, is inline, and kept small
/// ([`INLINE_MAX`](Self::INLINE_MAX)); all else stands in a box.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum KeyState {
    /// Of a window.
    Window(WindowState),
    /// Of a sequence.
    Sequence(Box<SequenceState>),
    /// Of an absence.
    Absence(Box<AbsenceState>),
    /// Of a first-seen.
    FirstSeen(Box<FirstSeenState>),
    /// Of a dormant.
    Dormant(Box<DormantState>),
    /// Of a script.
    Script(Box<ScriptKeyState>),
    /// Of a change.
    Change(Box<ChangeState>),
    /// Of a bucket.
    Bucket(Box<BucketState>),
    /// Of a group of peers.
    Rare(Box<RareState>),
    /// Of a traveller.
    Travel(Box<TravelState>),
    /// Of a risk.
    Risk(Box<RiskState>),
    /// Of a spike.
    Spike(Box<SpikeState>),
    /// Of an unusual hour.
    UnusualHour(Box<UnusualHourState>),
}

impl Detector {
    /// Whether it remembers anything; one that does not is judged without windows, lateness or keys.
    #[must_use]
    pub const fn is_stateful(&self) -> bool {
        !matches!(self, Self::Single)
    }

    /// The state of a key that was not seen before.
    #[must_use]
    pub fn fresh(&self) -> Option<KeyState> {
        match self {
            Self::Single => None,
            Self::Window(_) => Some(KeyState::Window(WindowState::default())),
            Self::Sequence(_) => Some(KeyState::Sequence(Box::default())),
            Self::Absence(_) => Some(KeyState::Absence(Box::default())),
            Self::FirstSeen(_) => Some(KeyState::FirstSeen(Box::default())),
            Self::Dormant(_) => Some(KeyState::Dormant(Box::default())),
            Self::Script(_) => Some(KeyState::Script(Box::default())),
            Self::Change(_) => Some(KeyState::Change(Box::default())),
            Self::Bucket(_) => Some(KeyState::Bucket(Box::default())),
            Self::Rare(_) => Some(KeyState::Rare(Box::default())),
            Self::Travel(_) => Some(KeyState::Travel(Box::default())),
            Self::Risk(_) => Some(KeyState::Risk(Box::default())),
            Self::Spike(_) => Some(KeyState::Spike(Box::default())),
            Self::UnusualHour(_) => Some(KeyState::UnusualHour(Box::default())),
        }
    }

    /// Takes in an event that is not before the watermark; `event` gives what a script sees of it.
    pub fn on_hit(
        &self,
        state: &mut KeyState,
        hit: &Hit,
        watermark: Timestamp,
        event: &dyn Fn() -> EventValue,
    ) -> Result<Outcome, ScriptError> {
        Ok(match (self, state) {
            (Self::Window(spec), KeyState::Window(state)) => spec.on_hit(state, hit, watermark),
            (Self::Sequence(spec), KeyState::Sequence(state)) => spec.on_hit(state, hit, watermark),
            (Self::Absence(spec), KeyState::Absence(state)) => spec.on_hit(state, hit),
            (Self::FirstSeen(spec), KeyState::FirstSeen(state)) => spec.on_hit(state, hit, watermark),
            (Self::Dormant(spec), KeyState::Dormant(state)) => spec.on_hit(state, hit, watermark),
            (Self::Script(spec), KeyState::Script(state)) => spec.on_hit(state, hit, &event())?,
            (Self::Change(spec), KeyState::Change(state)) => spec.on_hit(state, hit, watermark),
            (Self::Bucket(spec), KeyState::Bucket(state)) => spec.on_hit(state, hit, watermark),
            (Self::Rare(spec), KeyState::Rare(state)) => spec.on_hit(state, hit, watermark),
            (Self::Travel(spec), KeyState::Travel(state)) => spec.on_hit(state, hit, watermark),
            (Self::Risk(spec), KeyState::Risk(state)) => spec.on_hit(state, hit, watermark),
            (Self::Spike(spec), KeyState::Spike(state)) => spec.on_hit(state, hit, watermark),
            (Self::UnusualHour(spec), KeyState::UnusualHour(state)) => spec.on_hit(state, hit, watermark),
            _ => Outcome::default(),
        })
    }

    /// The watermark has passed a time the detector asked for.
    pub fn on_timer(&self, state: &mut KeyState, at: Timestamp) -> Outcome {
        match (self, state) {
            (Self::Window(spec), KeyState::Window(state)) => spec.on_timer(state, at),
            (Self::Sequence(spec), KeyState::Sequence(state)) => spec.on_timer(state, at),
            (Self::Absence(spec), KeyState::Absence(state)) => spec.on_timer(state, at),
            (Self::FirstSeen(spec), KeyState::FirstSeen(state)) => spec.on_timer(state, at),
            (Self::Dormant(spec), KeyState::Dormant(state)) => spec.on_timer(state, at),
            (Self::Change(spec), KeyState::Change(state)) => spec.on_timer(state, at),
            (Self::Rare(spec), KeyState::Rare(state)) => spec.on_timer(state, at),
            (Self::Spike(spec), KeyState::Spike(state)) => spec.on_timer(state, at),
            (Self::UnusualHour(spec), KeyState::UnusualHour(state)) => spec.on_timer(state, at),
            _ => Outcome::default(),
        }
    }

    /// The finding of a rule without behaviour.
    #[must_use]
    pub fn single(hit: &Hit) -> Completion {
        let evidence = Evidence::sample([hit.position].into_iter());
        Completion::at(hit, 1.0, String::from("one matching event"), evidence)
    }

    /// What a key knows at a moment, in sentences for people: what its window holds or its past has taught, and what is
    /// missing until it fires. The watermark must have passed the moment.
    #[must_use]
    pub fn known(&self, state: &KeyState, at: Timestamp) -> Vec<String> {
        match (self, state) {
            (Self::Window(spec), KeyState::Window(state)) => spec.known(state, at),
            (Self::Sequence(spec), KeyState::Sequence(state)) => spec.known(state, at),
            (Self::Absence(spec), KeyState::Absence(state)) => spec.known(state),
            (Self::FirstSeen(spec), KeyState::FirstSeen(state)) => spec.known(state, at),
            (Self::Dormant(spec), KeyState::Dormant(state)) => spec.known(state, at),
            (Self::Script(spec), KeyState::Script(state)) => spec.known(state),
            (Self::Change(spec), KeyState::Change(state)) => spec.known(state, at),
            (Self::Bucket(spec), KeyState::Bucket(state)) => spec.known(state, at),
            (Self::Rare(spec), KeyState::Rare(state)) => spec.known(state),
            (Self::Travel(spec), KeyState::Travel(state)) => spec.known(state, at),
            (Self::Risk(spec), KeyState::Risk(state)) => spec.known(state, at),
            (Self::Spike(spec), KeyState::Spike(state)) => spec.known(state, at),
            (Self::UnusualHour(spec), KeyState::UnusualHour(state)) => spec.known(state, at),
            _ => Vec::new(),
        }
    }

    /// For how long after its last event a key must be remembered; none: as long as there is room.
    #[must_use]
    pub fn memory(&self) -> Option<Span> {
        match self {
            Self::Single | Self::FirstSeen(_) | Self::Dormant(_) | Self::Script(_) => None,
            Self::Spike(_) | Self::UnusualHour(_) => None,
            Self::Change(spec) => spec.memory(),
            Self::Rare(spec) => Some(spec.memory()),
            Self::Travel(spec) => Some(spec.memory()),
            Self::Bucket(spec) => Some(spec.memory()),
            Self::Risk(spec) => Some(spec.memory()),
            Self::Window(spec) => Some(spec.within),
            Self::Sequence(spec) => Some(spec.within),
            Self::Absence(spec) => Some(Span(spec.within.0.saturating_mul(2))),
        }
    }

    /// For how long events may still change what was concluded about a moment.
    #[must_use]
    pub fn within(&self) -> Span {
        match self {
            Self::Rare(_) | Self::Change(_) => Span::default(),
            Self::Travel(_) => TravelSpec::JOURNEY,
            _ => self.memory().unwrap_or_default(),
        }
    }

    /// Whether what it finds are moments that a late event may move back to its own; a finding's stretch is then
    /// the moment, and the one that it takes the place of.
    #[must_use]
    pub const fn is_movable(&self) -> bool {
        matches!(self, Self::FirstSeen(_) | Self::Dormant(_))
    }
}

impl KeyState {
    /// Event time of the newest event.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        match self {
            Self::Window(state) => state.last(),
            Self::Sequence(state) => state.last(),
            Self::Absence(state) => state.last(),
            Self::FirstSeen(state) => state.last(),
            Self::Dormant(state) => state.last(),
            Self::Script(state) => state.last(),
            Self::Change(state) => state.last(),
            Self::Bucket(state) => state.last(),
            Self::Rare(state) => state.last(),
            Self::Travel(state) => state.last(),
            Self::Risk(state) => state.last(),
            Self::Spike(state) => state.last(),
            Self::UnusualHour(state) => state.last(),
        }
    }

    /// What a state may take inline, in bytes: every key of every rule pays for it.
    pub const INLINE_MAX: usize = 48;

    /// What it takes on the heap, in bytes, beside its own size. Depends on the content alone.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Window(state) => state.bytes(),
            Self::Sequence(state) => boxed::<SequenceState>() + state.bytes(),
            Self::Absence(state) => boxed::<AbsenceState>() + state.bytes(),
            Self::FirstSeen(state) => boxed::<FirstSeenState>() + state.bytes(),
            Self::Dormant(state) => boxed::<DormantState>() + state.bytes(),
            Self::Script(state) => boxed::<ScriptKeyState>() + state.bytes(),
            Self::Change(state) => boxed::<ChangeState>() + state.bytes(),
            Self::Bucket(state) => boxed::<BucketState>() + state.bytes(),
            Self::Rare(state) => boxed::<RareState>() + state.bytes(),
            Self::Travel(state) => boxed::<TravelState>() + state.bytes(),
            Self::Risk(state) => boxed::<RiskState>() + state.bytes(),
            Self::Spike(state) => boxed::<SpikeState>() + state.bytes(),
            Self::UnusualHour(state) => boxed::<UnusualHourState>() + state.bytes(),
        }
    }

    /// The events it remembers, for `explain`; of a window, those in the newest one of this length.
    #[must_use]
    pub fn positions(&self, within: Span) -> Vec<Position> {
        match self {
            Self::Window(state) => state.positions(within),
            Self::Sequence(state) => state.positions(),
            Self::Absence(state) => state.positions(),
            Self::Script(state) => state.positions(),
            Self::Change(state) => state.positions(),
            Self::Bucket(state) => state.positions(),
            Self::Rare(state) => state.positions(),
            Self::Travel(state) => state.positions(),
            Self::Risk(state) => state.positions(),
            Self::Spike(state) => state.positions(),
            Self::UnusualHour(state) => state.positions(),
            Self::FirstSeen(state) => state.positions(),
            Self::Dormant(state) => state.positions(),
        }
    }
}

const _: () = assert!(size_of::<KeyState>() <= KeyState::INLINE_MAX);
