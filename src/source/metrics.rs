//! What each source brought. For every source: received = stored + duplicate + rejected, at any moment.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::heard::Heard;
use super::poll::Board;
use crate::time::Timestamp;

/// Why an event that arrived was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It could not be decoded.
    Undecodable,
    /// Another event of the same request could not be decoded, and a request is stored whole or not at all.
    Batch,
    /// The log had too much to do; the sender was told to try again.
    Overloaded,
    /// The log could not be written; the sender was told to try again.
    Unavailable,
}

impl Reason {
    const fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::Batch => "batch",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectedLabel {
    source: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabel {
    source: String,
    code: &'static str,
}

type LastTime = Gauge<f64, AtomicU64>;

/// The counters of all sources.
#[derive(Debug, Clone, Default)]
pub struct SourceMetrics {
    received: Family<SourceLabel, Counter>,
    stored: Family<SourceLabel, Counter>,
    duplicate: Family<SourceLabel, Counter>,
    rejected: Family<RejectedLabel, Counter>,
    refused: Family<RefusedLabel, Counter>,
    last: Family<SourceLabel, LastTime>,
    polls: Board,
    heard: Heard,
}

impl SourceMetrics {
    /// Makes the counters and shows them in `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("source");
        registry.register("received_events", "Events that arrived", metrics.received.clone());
        registry.register("stored_events", "Events on disk", metrics.stored.clone());
        registry.register("duplicate_events", "Events known already", metrics.duplicate.clone());
        registry.register("rejected_events", "Events not stored, by reason", metrics.rejected.clone());
        let help = "Requests turned away before their events were looked at, by error code";
        registry.register("refused_requests", help, metrics.refused.clone());
        let help = "When the last event arrived, in seconds since 1970";
        registry.register("last_event_timestamp_seconds", help, metrics.last.clone());
        metrics.polls.register(registry);
        metrics
    }

    /// How the APIs that are asked are doing.
    #[must_use]
    pub const fn polls(&self) -> &Board {
        &self.polls
    }

    /// When each source was heard.
    #[must_use]
    pub const fn heard(&self) -> &Heard {
        &self.heard
    }

    /// The counters of one source.
    #[must_use]
    pub fn of(&self, source: &str) -> SourceCounters {
        let label = SourceLabel { source: source.to_owned() };
        SourceCounters(Arc::new(Counters {
            received: self.received.get_or_create_owned(&label),
            stored: self.stored.get_or_create_owned(&label),
            duplicate: self.duplicate.get_or_create_owned(&label),
            last: self.last.get_or_create_owned(&label),
            rejected: self.rejected.clone(),
            refused: self.refused.clone(),
            heard: self.heard.clone(),
            source: source.to_owned(),
        }))
    }
}

/// The counters of one source, looked up once.
#[derive(Debug, Clone)]
pub struct SourceCounters(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    received: Counter,
    stored: Counter,
    duplicate: Counter,
    last: LastTime,
    rejected: Family<RejectedLabel, Counter>,
    refused: Family<RefusedLabel, Counter>,
    heard: Heard,
    source: String,
}

impl SourceCounters {
    /// Events that the log took. What arrives is only counted with what became of it, so the sum always holds.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double for ages")]
    pub fn appended(&self, stored: u64, duplicates: u64, now: Timestamp) {
        self.0.received.inc_by(stored + duplicates);
        self.0.stored.inc_by(stored);
        self.0.duplicate.inc_by(duplicates);
        self.0.last.set(now.0 as f64 / 1000.0);
        if stored + duplicates > 0 {
            self.0.heard.note(&self.0.source, now);
        }
    }

    /// Events that were not stored.
    pub fn rejected(&self, reason: Reason, count: u64) {
        if count > 0 {
            let label = RejectedLabel { source: self.0.source.clone(), reason: reason.name() };
            self.0.received.inc_by(count);
            self.0.rejected.get_or_create(&label).inc_by(count);
        }
    }

    /// A request that was turned away before anybody knew how many events it has.
    pub fn refused(&self, code: &'static str) {
        let label = RefusedLabel { source: self.0.source.clone(), code };
        self.0.refused.get_or_create(&label).inc();
    }

    /// Received, stored, duplicate.
    #[must_use]
    pub fn totals(&self) -> (u64, u64, u64) {
        (self.0.received.get(), self.0.stored.get(), self.0.duplicate.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_is_what_became_of_it() {
        let mut registry = Registry::default();
        let counters = SourceMetrics::register(&mut registry).of("gitlab");
        counters.appended(3, 1, Timestamp(1_500));
        counters.rejected(Reason::Undecodable, 1);
        counters.rejected(Reason::Batch, 4);
        counters.rejected(Reason::Overloaded, 0);
        counters.refused("unauthorized");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"source_received_events_total{source="gitlab"} 9"#,
            r#"source_stored_events_total{source="gitlab"} 3"#,
            r#"source_duplicate_events_total{source="gitlab"} 1"#,
            r#"source_rejected_events_total{source="gitlab",reason="undecodable"} 1"#,
            r#"source_rejected_events_total{source="gitlab",reason="batch"} 4"#,
            r#"source_refused_requests_total{source="gitlab",code="unauthorized"} 1"#,
            r#"source_last_event_timestamp_seconds{source="gitlab"} 1.5"#,
        ] {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
        assert!(!text.contains("overloaded"));
    }
}
