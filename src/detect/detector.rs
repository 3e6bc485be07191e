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

/// What is remembered of one key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum KeyState {
    /// Of a window.
    Window(WindowState),
    /// Of a sequence.
    Sequence(SequenceState),
    /// Of an absence.
    Absence(AbsenceState),
    /// Of a first-seen.
    FirstSeen(FirstSeenState),
    /// Of a dormant.
    Dormant(DormantState),
    /// Of a script.
    Script(ScriptKeyState),
    /// Of a change.
    Change(ChangeState),
    /// Of a bucket.
    Bucket(BucketState),
    /// Of a group of peers.
    Rare(RareState),
    /// Of a traveller.
    Travel(TravelState),
    /// Of a risk.
    Risk(RiskState),
    /// Of a spike.
    Spike(SpikeState),
    /// Of an unusual hour.
    UnusualHour(UnusualHourState),
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
            Self::Sequence(_) => Some(KeyState::Sequence(SequenceState::default())),
            Self::Absence(_) => Some(KeyState::Absence(AbsenceState::default())),
            Self::FirstSeen(_) => Some(KeyState::FirstSeen(FirstSeenState::default())),
            Self::Dormant(_) => Some(KeyState::Dormant(DormantState::default())),
            Self::Script(_) => Some(KeyState::Script(ScriptKeyState::default())),
            Self::Change(_) => Some(KeyState::Change(ChangeState::default())),
            Self::Bucket(_) => Some(KeyState::Bucket(BucketState::default())),
            Self::Rare(_) => Some(KeyState::Rare(RareState::default())),
            Self::Travel(_) => Some(KeyState::Travel(TravelState::default())),
            Self::Risk(_) => Some(KeyState::Risk(RiskState::default())),
            Self::Spike(_) => Some(KeyState::Spike(SpikeState::default())),
            Self::UnusualHour(_) => Some(KeyState::UnusualHour(UnusualHourState::default())),
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

    /// What a key knows at a moment, in sentences for people; nothing where its events say it all.
    #[must_use]
    pub fn known(&self, state: &KeyState, at: Timestamp) -> Vec<String> {
        let _ = at;
        let (events, last) = (state.positions(self.within()).len(), state.last());
        vec![format!("{events} events are remembered, the last one of {last}")]
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

    /// What it takes in memory, in bytes, without its key.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Window(state) => state.bytes(),
                Self::Sequence(state) => state.bytes(),
                Self::Absence(state) => state.bytes(),
                Self::FirstSeen(state) => state.bytes(),
                Self::Dormant(state) => state.bytes(),
                Self::Script(state) => state.bytes(),
                Self::Change(state) => state.bytes(),
                Self::Bucket(state) => state.bytes(),
                Self::Rare(state) => state.bytes(),
                Self::Travel(state) => state.bytes(),
                Self::Risk(state) => state.bytes(),
                Self::Spike(state) => state.bytes(),
                Self::UnusualHour(state) => state.bytes(),
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
