//! Where the events of new alerts happened, read from the log.

use std::collections::BTreeMap;

use crate::engine::{Effects, OpenedAlert};
use crate::event::{Catalogue, Position, canonical};
use crate::log::{LogError, Reader};
use crate::route::{self, Glimpse, Scene};

/// What is known of each event.
type Known = BTreeMap<Position, Option<Glimpse>>;

/// The new alerts of a step with where their events happened, in order. An event that cannot be read is left out, and the
/// log says so: the alert is told all the same.
pub(super) fn scenes<'e>(
    effects: &'e Effects,
    reader: &mut Reader,
    catalogue: &Catalogue,
) -> Vec<(&'e OpenedAlert, Scene)> {
    let mut known: Known = route::cited(effects).into_iter().map(|position| (position, None)).collect();
    if let Err(error) = read(&mut known, reader, catalogue) {
        tracing::warn!(%error, "where new alerts happened is not known in full: the log cannot be read");
    }
    route::scenes(effects, &|position| known.get(&position)?.as_ref())
}

/// In the order of the log: each of its blocks is decoded once.
fn read(known: &mut Known, reader: &mut Reader, catalogue: &Catalogue) -> Result<(), LogError> {
    for (position, glimpse) in known {
        let event = reader.get(*position)?;
        *glimpse = event.map(|event| Glimpse::of(&event, &canonical(&event, catalogue)));
    }
    Ok(())
}
