//! How each API that is asked is doing: for health, metrics and whoever looks.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::{Serialize, Serializer};

use super::trouble::Trouble;
use crate::time::Timestamp;

/// How asking goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PollState {
    /// Not asked yet.
    #[default]
    Starting,
    /// The last look had everything up to then.
    Good,
    /// The forge asked for patience.
    Limited,
    /// No answer, or none that makes sense; it is tried again.
    Failing,
    /// A person must do something: the token, its rights, the edition, the address.
    Refused,
}

/// How one API is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PollReport {
    /// In one word.
    pub state: PollState,
    /// Since when.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// What happened and what to do, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message: Option<String>,
    /// Everything that happened before is in the log, as far as the API has it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text_or_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub complete_until: Option<Timestamp>,
}

fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn as_text_or_none<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.to_string()).serialize(serializer)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabel {
    source: String,
    status: String,
}

/// All of them; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Board {
    reports: Arc<Mutex<BTreeMap<String, PollReport>>>,
    requests: Family<RequestLabel, Counter>,
    good: Family<SourceLabel, Gauge>,
    until: Family<SourceLabel, Gauge<f64, AtomicU64>>,
}

impl Board {
    /// Shows its figures among those of the sources.
    pub(in crate::source) fn register(&self, registry: &mut Registry) {
        let help = "Requests to a forge's API, by the status of the answer; none: no answer came";
        registry.register("poll_requests", help, self.requests.clone());
        registry.register("poll_good", "1 if the last look went well, else 0", self.good.clone());
        let help = "Up to when everything that the API has is in the log, in seconds since 1970";
        registry.register("poll_complete_until_timestamp_seconds", help, self.until.clone());
    }

    /// How each is doing, by the source's name.
    #[must_use]
    pub fn reports(&self) -> BTreeMap<String, PollReport> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn asked(&self, source: &str, status: Option<u16>) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.requests.get_or_create(&RequestLabel { source: source.to_owned(), status }).inc();
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double for ages")]
    pub(super) fn complete(&self, source: &str, until: Timestamp) {
        let label = SourceLabel { source: source.to_owned() };
        self.until.get_or_create(&label).set(until.0 as f64 / 1000.0);
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.entry(source.to_owned()).or_default().complete_until = Some(until);
    }

    /// Notes how a look ended, and tells the operator when that is news.
    pub(super) fn looked(&self, source: &str, trouble: Option<&Trouble>, now: Timestamp) {
        let state = match trouble {
            None => PollState::Good,
            Some(Trouble::Limited { .. }) => PollState::Limited,
            Some(Trouble::Failing { .. } | Trouble::Lying { .. }) => PollState::Failing,
            Some(Trouble::Refused { .. }) => PollState::Refused,
        };
        let label = SourceLabel { source: source.to_owned() };
        self.good.get_or_create(&label).set(i64::from(state == PollState::Good));
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let report = reports.entry(source.to_owned()).or_default();
        let before = report.state;
        report.message = trouble.map(ToString::to_string);
        if before == state {
            return;
        }
        (report.state, report.since) = (state, now);
        match trouble {
            Some(trouble) => tracing::warn!(%source, error = %trouble, "the API gives no events for now"),
            None if before != PollState::Starting => tracing::info!(%source, "the API gives events again"),
            None => {}
        }
    }
}
