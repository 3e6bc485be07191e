//! Where new alerts happened: the events that count are those that an alert's first finding cites, and the one that
//! completed it; the same whatever else was judged in the same step.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Glimpse, Scene};
use crate::alert::AlertId;
use crate::engine::{Effects, OpenedAlert};
use crate::event::Position;

/// The new alerts of a step, with the positions of the events that count.
fn new(effects: &Effects) -> Vec<(&OpenedAlert, Vec<Position>)> {
    let is_new = |opened: &&OpenedAlert| opened.is_new && opened.alert.merged_into.is_none();
    let mut first: BTreeMap<&AlertId, &[Position]> = BTreeMap::new();
    for finding in &effects.findings {
        if let Some(alert) = &finding.alert {
            first.entry(alert).or_insert(&finding.evidence);
        }
    }
    let places = |opened: &OpenedAlert| {
        let alert = &opened.alert;
        let cited = first.get(&alert.id).copied().unwrap_or(&alert.evidence);
        cited.iter().copied().chain([alert.position]).collect()
    };
    effects.alerts.iter().filter(is_new).map(|opened| (opened, places(opened))).collect()
}

/// The positions of all events that count for the new alerts of a step, in the order of the log.
#[must_use]
pub fn cited(effects: &Effects) -> BTreeSet<Position> {
    new(effects).into_iter().flat_map(|(_, positions)| positions).collect()
}

/// The new alerts of a step with where they happened, in order. An event of which nothing is seen is left out.
#[must_use]
pub fn scenes<'e, 's>(
    effects: &'e Effects,
    seen: &dyn Fn(Position) -> Option<&'s Glimpse>,
) -> Vec<(&'e OpenedAlert, Scene)> {
    let scene = |(opened, positions): (&'e OpenedAlert, Vec<Position>)| {
        let mut scene = Scene::default();
        for (position, glimpse) in positions.iter().filter_map(|at| Some((*at, seen(*at)?))) {
            scene.see(glimpse);
            if position == opened.alert.position {
                [scene.source, scene.forge] = glimpse.origin();
            }
        }
        scene.complete(&opened.alert.key);
        (opened, scene)
    };
    new(effects).into_iter().map(scene).collect()
}
