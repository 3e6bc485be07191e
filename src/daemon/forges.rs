//! Which forge the events of the stretch that is being judged happened in: alerts about the same number at two forges are
//! about two people.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alert::AlertId;
use crate::engine::OpenedAlert;
use crate::event::{Entry, Position};
use crate::log::Reader;

/// The forges of a stretch of the log, as runs: most of the time there is one.
#[derive(Debug, Default)]
pub(super) struct Forges(Vec<(Position, Arc<str>)>);

impl Forges {
    /// Forgets the last stretch and takes this one.
    pub(super) fn note(&mut self, entries: &[Entry]) {
        self.0.clear();
        for entry in entries {
            let Entry::Event(event) = entry else { continue };
            if self.0.last().is_none_or(|(_, forge)| *forge != event.forge) {
                self.0.push((event.position, Arc::clone(&event.forge)));
            }
        }
    }

    /// Where the new ones of these alerts were completed. One whose event lies before the stretch is looked up in the log.
    pub(super) fn of_new(&self, alerts: &[OpenedAlert], reader: &mut Reader) -> BTreeMap<AlertId, Arc<str>> {
        let mut forges = BTreeMap::new();
        for alert in alerts.iter().filter(|opened| opened.is_new).map(|opened| &opened.alert) {
            let stored = || match reader.get(alert.position) {
                Ok(event) => event.map(|event| event.forge),
                Err(error) => {
                    tracing::warn!(%error, alert.id = %alert.id, "an alert gathers without its forge");
                    None
                }
            };
            let forge = self.at(alert.position).or_else(stored);
            forges.extend(forge.map(|forge| (alert.id.clone(), forge)));
        }
        forges
    }

    /// Where the event at this position happened; none if it is of before this stretch.
    pub(super) fn at(&self, position: Position) -> Option<Arc<str>> {
        let next = self.0.partition_point(|(begins, _)| *begins <= position);
        self.0.get(next.checked_sub(1)?).map(|(_, forge)| Arc::clone(forge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Format};
    use crate::time::Timestamp;

    #[test]
    fn runs_say_where_an_event_happened() {
        let event = |position, forge: &str| {
            Entry::Event(Event {
                position,
                received_at: Timestamp(0),
                time: Timestamp(0),
                source: "s".into(),
                forge: forge.into(),
                format: Format::Gitlab,
                type_hint: None,
                raw: "{}".into(),
            })
        };
        let mut forges = Forges::default();
        let tick = Entry::Tick { position: 12, at: Timestamp(0) };
        forges.note(&[event(10, "a"), event(11, "a"), tick, event(13, "b"), event(14, "a")]);
        let found: Vec<_> = (9..16).map(|position| forges.at(position)).collect();
        let found: Vec<_> = found.iter().map(|forge| forge.as_deref().unwrap_or("-")).collect();
        assert_eq!(found, ["-", "a", "a", "a", "b", "a", "a"]);
        assert_eq!(forges.0.len(), 3);
        forges.note(&[]);
        assert_eq!(forges.at(14), None);
    }
}
