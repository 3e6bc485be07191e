//! What detection counts for `/metrics`.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::alert::LedgerReason;

/// Counters and gauges of detection.
#[derive(Debug, Clone, Default)]
pub(super) struct DetectionMetrics {
    pub(super) position: Gauge<u64, AtomicU64>,
    pub(super) findings: Counter,
    pub(super) alerts: Family<LevelLabel, Counter>,
    pub(super) unjudged: Family<ReasonLabel, Counter>,
    pub(super) state_bytes: Gauge<u64, AtomicU64>,
    pub(super) keys: Gauge<u64, AtomicU64>,
    pub(super) commit_failures: Counter,
    pub(super) read_failures: Counter,
    pub(super) rules: Gauge<u64, AtomicU64>,
    pub(super) broken_files: Gauge<u64, AtomicU64>,
    pub(super) reloads: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LevelLabel {
    pub(super) level: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabel {
    pub(super) reason: &'static str,
}

impl DetectionMetrics {
    /// Registers them all.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        let names = "detection_position";
        registry.register(names, "Last log entry that was judged", own.position.clone());
        registry.register("findings", "Findings of all rules", own.findings.clone());
        registry.register("alerts_opened", "Alerts opened, by level", own.alerts.clone());
        registry.register("unjudged", "Events a rule could not judge, by reason", own.unjudged.clone());
        registry.register("state_bytes", "Memory of the detection state", own.state_bytes.clone());
        registry.register("state_keys", "Keys that are remembered", own.keys.clone());
        registry.register("commit_failures", "Commits of detection that failed", own.commit_failures.clone());
        registry.register(
            "log_read_failures",
            "Readings of the log by detection that failed",
            own.read_failures.clone(),
        );
        registry.register("rules", "Rules that run", own.rules.clone());
        registry.register("rule_files_broken", "Rule files with errors", own.broken_files.clone());
        registry.register("rule_reloads", "Times the rules were read anew", own.reloads.clone());
        own
    }
}

/// A reason as metrics name it.
pub(super) const fn reason(reason: LedgerReason) -> &'static str {
    match reason {
        LedgerReason::TooLate => "too_late",
        LedgerReason::Evicted => "evicted",
        LedgerReason::MissingKey => "missing_key",
        LedgerReason::ScriptFailed => "script_failed",
        LedgerReason::WindowFull => "window_full",
        LedgerReason::NotANumber => "not_a_number",
        LedgerReason::OutOfRange => "out_of_range",
    }
}
