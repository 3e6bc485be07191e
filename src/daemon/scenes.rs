//! Where the events of new alerts happened, read from the log.
//!
//! Of an alert the events count that its first finding cites, and the one that completed it: the same whatever else
//! was judged in the same step.

use std::collections::BTreeMap;

use crate::alert::AlertId;
use crate::engine::{Effects, OpenedAlert};
use crate::event::{Catalogue, Event, Position, canonical};
use crate::log::{LogError, Reader};
use crate::route::Scene;

/// What one event says, ready for many alerts.
type Known = BTreeMap<Position, Option<(Event, serde_json::Map<String, serde_json::Value>)>>;

/// The new alerts of a step with where their events happened, in order. An event that cannot be read is left out, and the
/// log says so: the alert is told all the same.
pub(super) fn scenes<'e>(
    effects: &'e Effects,
    reader: &mut Reader,
    catalogue: &Catalogue,
) -> Vec<(&'e OpenedAlert, Scene)> {
    let new: Vec<&OpenedAlert> =
        effects.alerts.iter().filter(|opened| opened.is_new && opened.alert.merged_into.is_none()).collect();
    if new.is_empty() {
        return Vec::new();
    }
    let mut cited: BTreeMap<&AlertId, &[Position]> = BTreeMap::new();
    for finding in &effects.findings {
        if let Some(alert) = &finding.alert {
            cited.entry(alert).or_insert(&finding.evidence);
        }
    }
    let positions = |opened: &OpenedAlert| {
        let alert = &opened.alert;
        let cited = cited.get(&alert.id).copied().unwrap_or(&alert.evidence);
        cited.iter().copied().chain([alert.position]).collect::<Vec<_>>()
    };
    let mut known: Known =
        new.iter().flat_map(|opened| positions(opened)).map(|position| (position, None)).collect();
    if let Err(error) = read(&mut known, reader, catalogue) {
        tracing::warn!(%error, "where new alerts happened is not known in full: the log cannot be read");
    }
    let scene = |opened: &&'e OpenedAlert| {
        let mut scene = Scene::default();
        for (event, fields) in positions(opened).iter().filter_map(|position| known.get(position)?.as_ref()) {
            scene.note(event, fields);
            if event.position == opened.alert.position {
                scene.source = Some(event.source.to_string());
            }
        }
        scene.complete(&opened.alert.key);
        (*opened, scene)
    };
    new.iter().map(scene).collect()
}

/// In the order of the log: each of its blocks is decoded once.
fn read(known: &mut Known, reader: &mut Reader, catalogue: &Catalogue) -> Result<(), LogError> {
    for (position, event) in known {
        *event = reader.get(*position)?.map(|event| {
            let mut fields = canonical(&event, catalogue);
            fields.retain(|name, _| matches!(name.as_str(), "entity_path" | "author_id" | "author_name"));
            // The bytes have done their work, and there may be many events.
            (Event { raw: bytes::Bytes::new(), ..event }, fields)
        });
    }
    Ok(())
}
