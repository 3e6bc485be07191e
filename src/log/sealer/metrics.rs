//! What the sealer counts for `/metrics`.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Gauges and counters of sealing.
#[derive(Debug, Clone, Default)]
pub struct SealerMetrics {
    pub(super) segments: Gauge<u64, AtomicU64>,
    pub(super) damaged: Gauge<u64, AtomicU64>,
    pub(super) sealed_entries: Gauge<u64, AtomicU64>,
    pub(super) sealed_bytes: Gauge<u64, AtomicU64>,
    pub(super) hot_entries: Gauge<u64, AtomicU64>,
    pub(super) seals: Counter,
    pub(super) merges: Counter,
    pub(super) failures: Counter,
    pub(super) seconds: Counter<f64, AtomicU64>,
    pub(super) deleted: Counter,
    pub(super) freed: Counter,
    pub(super) held: Gauge<u64, AtomicU64>,
    pub(super) refusals: Counter,
}

impl SealerMetrics {
    /// Registers them all.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register("log_segments", "Sealed segments", own.segments.clone());
        registry.register("log_segments_damaged", "Sealed segments that are set aside", own.damaged.clone());
        registry.register("log_sealed_entries", "Log entries in sealed segments", own.sealed_entries.clone());
        registry.register("log_sealed_bytes", "Bytes of sealed segments", own.sealed_bytes.clone());
        registry.register("log_hot_entries", "Log entries that are not yet sealed", own.hot_entries.clone());
        registry.register("log_seals", "Times that entries were sealed", own.seals.clone());
        registry.register("log_merges", "Times that segments were merged", own.merges.clone());
        registry.register("log_seal_failures", "Times that sealing or merging failed", own.failures.clone());
        registry.register("log_seal_seconds", "Time spent sealing and merging", own.seconds.clone());
        registry.register("retention_deleted_events", "Events that retention deleted", own.deleted.clone());
        registry.register("retention_freed_bytes", "Bytes that deleting events gave free", own.freed.clone());
        registry.register("retention_held_events", "Due events that a legal hold keeps", own.held.clone());
        registry.register(
            "retention_refusals",
            "Times that nothing was deleted, since nobody could say what may be",
            own.refusals.clone(),
        );
        own
    }
}
