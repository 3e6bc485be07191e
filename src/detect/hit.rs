//! What goes into a detector and what comes out.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::alert::Finding;
use crate::event::Position;
use crate::time::Timestamp;
use crate::tuple;

/// One event that touches one detector: the only thing that crosses from matching to detection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The detector's number in the rule set.
    pub detector: u32,
    /// What the event is to the detector: the step of a sequence, the rule of a correlation; else 0.
    pub role: u16,
    /// The group: the values of the key fields, as a key of [`crate::tuple`].
    pub key: Box<str>,
    /// The value the detector looks at, if it looks at one, as a value of [`crate::tuple`].
    pub value: Option<Box<str>>,
    /// When, in event time.
    pub time: Timestamp,
    /// Which event.
    pub position: Position,
}

impl Hit {
    /// The value as 8 bytes of a BLAKE3 hash: windows keep this, not the text. (A fast hash would let somebody
    /// choose names that count as one.)
    #[must_use]
    pub fn value_hash(&self) -> u64 {
        hash(self.value.as_deref().unwrap_or_default())
    }
}

/// A value for people: its parts joined by commas, cut where it gets long.
pub(super) fn shown(value: &str) -> String {
    let mut text = tuple::shown(value);
    if let Some((end, _)) = text.char_indices().nth(SHOWN_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// How many characters of a value people are shown, and states keep.
const SHOWN_MAX: usize = 200;

/// 8 bytes of a text's BLAKE3 hash.
pub(super) fn hash(text: &str) -> u64 {
    let digest = blake3::hash(text.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(digest.as_bytes().get(..8).unwrap_or(&[0; 8]));
    u64::from_le_bytes(bytes)
}

/// A stretch of event time, both ends included, over which a behaviour is known to have held.
pub type Held = (Timestamp, Timestamp);

/// The behaviour held.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// When.
    pub time: Timestamp,
    /// The event that completed it.
    pub position: Position,
    /// What was measured.
    pub value: f64,
    /// One sentence for people.
    pub reason: String,
    /// The events that count.
    pub evidence: Evidence,
    /// Over which stretches; several when a late event changed more than one.
    pub held: SmallVec<[Held; 1]>,
    /// What it adds to `risk`, where a script says so; else the rule's own `score`.
    pub score: Option<f64>,
    /// The alert's key, in the form of [`Hit::key`], where it is not the key of the state.
    pub key: Option<Box<str>>,
}

impl Completion {
    /// The behaviour held at one moment, which one event completed.
    #[must_use]
    pub fn at(hit: &Hit, value: f64, reason: String, evidence: Evidence) -> Self {
        Self {
            time: hit.time,
            position: hit.position,
            value,
            reason,
            evidence,
            held: smallvec::smallvec![(hit.time, hit.time)],
            score: None,
            key: None,
        }
    }
}

/// The events that count: a bounded sample of positions, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The first and the last ones, oldest first.
    pub positions: Vec<Position>,
    /// All of them.
    pub count: u64,
}

impl Evidence {
    /// The first and last halves of what an iterator of known length gives.
    pub fn sample(positions: impl ExactSizeIterator<Item = Position>) -> Self {
        let count = positions.len();
        let half = Finding::EVIDENCE_MAX / 2;
        let is_kept = |index: usize| count <= Finding::EVIDENCE_MAX || index < half || index >= count - half;
        let positions =
            positions.enumerate().filter(|(index, _)| is_kept(*index)).map(|(_, position)| position);
        Self { positions: positions.collect(), count: count as u64 }
    }
}

/// What a detector answers to a hit or a timer.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The behaviour held.
    pub completion: Option<Completion>,
    /// Come back once the watermark has passed this time.
    pub timer: Option<Timestamp>,
    /// The key had more events in its window than are kept; the oldest was given up.
    pub overflowed: bool,
}

impl Outcome {
    pub(super) fn completed(completion: Option<Completion>) -> Self {
        Self { completion, ..Self::default() }
    }

    pub(super) fn timer(at: Timestamp) -> Self {
        Self { timer: Some(at), ..Self::default() }
    }
}
