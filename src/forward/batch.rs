//! From log entries to the bytes of one request or append.

use std::sync::Arc;

use serde_json::Value;

use crate::event::{Catalogue, Entry, Event, Position, canonical};
use crate::time::Timestamp;

/// Which events are forwarded.
pub type EventFilter = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

/// Some events in log order, as NDJSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Batch {
    /// One canonical event per line, each line ended.
    pub(super) bytes: Vec<u8>,
    /// How many lines.
    pub(super) events: u64,
    /// The first event's position; 0 without events.
    pub(super) first: Position,
    /// With this batch everything up to here has arrived.
    pub(super) upto: Position,
    /// It is no events but a line of Watchfire's own: when that was made.
    pub(super) line: Option<Timestamp>,
}

/// What a batch may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchLimits {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// Takes entries from the front until a limit would be passed; always at least one, so that no event is too long
/// to be forwarded. Entries that are no events, or not selected, only move the position.
pub(super) fn fill(
    entries: &[Entry],
    filter: Option<&EventFilter>,
    catalogue: &Catalogue,
    limits: BatchLimits,
) -> Batch {
    let mut batch = Batch::default();
    for entry in entries {
        if let Entry::Event(event) = entry
            && filter.is_none_or(|filter| filter(event))
        {
            let mut line = Value::Object(canonical(event, catalogue)).to_string().into_bytes();
            line.push(b'\n');
            let is_full =
                batch.events as usize >= limits.events || batch.bytes.len() + line.len() > limits.bytes;
            if batch.events > 0 && is_full {
                return batch;
            }
            if batch.events == 0 {
                batch.first = event.position;
            }
            batch.bytes.append(&mut line);
            batch.events += 1;
        }
        batch.upto = entry.position();
    }
    batch
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::Format;

    pub(in crate::forward) fn entry(position: Position) -> Entry {
        let raw = format!(r#"{{"id":{position},"author_id":7,"event_type":"user_created","entity_id":1}}"#);
        Entry::Event(Event {
            position,
            received_at: Timestamp(1_769_850_000_000),
            time: Timestamp(1_769_850_000_000),
            source: "gitlab".into(),
            forge: "gitlab".into(),
            format: Format::Gitlab,
            type_hint: None,
            raw: raw.into(),
        })
    }

    fn ids(batch: &Batch) -> Vec<u64> {
        let text = std::str::from_utf8(&batch.bytes).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["position"].as_u64().unwrap())
            .collect()
    }

    #[test]
    fn batches_keep_order_and_limits() {
        let catalogue = Catalogue::built_in();
        let tick = Entry::Tick { position: 4, at: Timestamp(0) };
        let entries = [entry(1), entry(2), entry(3), tick, entry(5)];
        let wide = BatchLimits { events: 10, bytes: 1 << 20 };
        let all = fill(&entries, None, &catalogue, wide);
        assert_eq!((ids(&all), all.first, all.upto, all.events), (vec![1, 2, 3, 5], 1, 5, 4));
        let two = fill(&entries, None, &catalogue, BatchLimits { events: 2, ..wide });
        assert_eq!((ids(&two), two.upto), (vec![1, 2], 2));
        let short = fill(&entries, None, &catalogue, BatchLimits { bytes: 1, ..wide });
        assert_eq!((ids(&short), short.upto), (vec![1], 1), "a long event goes alone");
        let three = fill(&entries, None, &catalogue, BatchLimits { events: 3, ..wide });
        assert_eq!((ids(&three), three.upto), (vec![1, 2, 3], 4), "the tick behind them is passed too");
        let odd: EventFilter = Arc::new(|event| event.position == 5);
        let one = fill(&entries, Some(&odd), &catalogue, wide);
        assert_eq!((ids(&one), one.first, one.upto), (vec![5], 5, 5));
        let none: EventFilter = Arc::new(|_| false);
        let nothing = fill(&entries, Some(&none), &catalogue, wide);
        assert_eq!((nothing.bytes.len(), nothing.events, nothing.upto), (0, 0, 5));
    }
}
