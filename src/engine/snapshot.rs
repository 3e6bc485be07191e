//! Detection state as bytes, so that a restart goes on where it stopped. Versioned; rules whose meaning changed
//! since start with nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ghosts::Ghosts;
use super::ruleset::RuleSet;
use super::state::{Memory, Source, State, Timer};
use crate::event::Position;
use crate::time::Timestamp;

/// Changes whenever the layout of any state does; an older snapshot is not read, and the log is replayed.
const VERSION: u32 = 4;

/// A rule's id and the fingerprint of its meaning.
type Identity<'a> = (std::borrow::Cow<'a, str>, [u8; 16]);

/// Why bytes are no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Of another program version.
    #[error("the snapshot has layout {0}, this program reads {VERSION}")]
    Version(u32),
    /// Cut off or changed.
    #[error("the snapshot cannot be read: {0}")]
    Broken(#[from] postcard::Error),
}

#[derive(Serialize)]
struct Out<'a> {
    version: u32,
    position: Position,
    sweep_at: Timestamp,
    purge_at: u64,
    ghosts: &'a Ghosts,
    sources: &'a BTreeMap<String, Source>,
    known: Vec<Identity<'a>>,
    rules: Vec<(&'a str, [u8; 16], u32, &'a Memory)>,
}

#[derive(Deserialize)]
struct In {
    position: Position,
    sweep_at: Timestamp,
    purge_at: u64,
    ghosts: Ghosts,
    sources: BTreeMap<String, Source>,
    known: Vec<Identity<'static>>,
    rules: Vec<(String, [u8; 16], u32, Memory)>,
}

/// Writes the state of all rules that remember something.
pub(super) fn write(state: &State, rules: &RuleSet) -> Result<Vec<u8>, SnapshotError> {
    let known = rules.units().iter().map(|unit| ((&**unit.id()).into(), unit.fingerprint)).collect();
    let units = (0..).zip(rules.units());
    let remembering = units.zip(&state.memories).filter(|(_, memory)| !memory.is_untouched());
    let rules = remembering
        .map(|((number, unit), memory)| (&**unit.id(), unit.fingerprint, number, memory))
        .collect();
    let out = Out {
        version: VERSION,
        position: state.position,
        sweep_at: state.sweep_at,
        purge_at: state.purge_at,
        ghosts: &state.ghosts,
        sources: &state.sources,
        known,
        rules,
    };
    // About a fifth of what it takes in memory; growing in steps would copy it again and again.
    let room = state.bytes / 4 + state.ghosts.bytes();
    Ok(postcard::to_extend(&out, Vec::with_capacity(room))?)
}

/// Reads a state back for a rule set; rules are known by id and fingerprint, whatever their order now. Also
/// answers which rules that remember things are not in it.
pub(super) fn read(bytes: &[u8], rules: &RuleSet) -> Result<(State, Vec<u32>), SnapshotError> {
    let (version, rest) = postcard::take_from_bytes::<u32>(bytes)?;
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let found: In = postcard::from_bytes(rest)?;
    let mut state = State::new(rules);
    (state.position, state.sources) = (found.position, found.sources);
    (state.sweep_at, state.purge_at, state.ghosts) = (found.sweep_at, found.purge_at, found.ghosts);
    let mut numbers = BTreeMap::new();
    for (id, fingerprint, number, memory) in found.rules {
        let unit = rules.number(&id).and_then(|place| Some((place, rules.units().get(place)?)));
        let place = unit.filter(|(_, unit)| unit.fingerprint == fingerprint).map(|(place, _)| place);
        if let Some((place, kept)) = place.and_then(|place| Some((place, state.memories.get_mut(place)?))) {
            *kept = Memory { keys: memory.keys.seeded(fingerprint), ..memory };
            numbers.insert(number, u32::try_from(place).unwrap_or(u32::MAX));
        }
    }
    for source in state.sources.values_mut() {
        let timers = std::mem::take(&mut source.timers).into_iter();
        let renumbered = timers.filter_map(|timer| {
            let detector = *numbers.get(&timer.detector)?;
            let rank = rules.units().get(detector as usize)?.rank;
            Some(Timer { detector, rank, ..timer })
        });
        source.timers = renumbered.collect();
    }
    state.count_all();
    let known: rustc_hash::FxHashSet<Identity<'_>> = found.known.into_iter().collect();
    let units = (0..).zip(rules.units()).filter(|(_, unit)| unit.detector.is_stateful());
    let is_new = |unit: &super::ruleset::Unit| !known.contains(&((&**unit.id()).into(), unit.fingerprint));
    let newcomers = units.filter(|(_, unit)| is_new(unit)).map(|(number, _)| number).collect();
    Ok((state, newcomers))
}
