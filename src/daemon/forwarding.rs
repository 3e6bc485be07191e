//! Builds forwarders: compiles the condition of each into a filter.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use serde_json::{Value, json};

use crate::engine::{Environment, Hits, compile};
use crate::event::Event;
use crate::forward::{EventFilter, ForwardStatus};
use crate::rule::{Lists, RuleFile, Severity, load};

/// Why a condition is none.
#[derive(Debug, thiserror::Error)]
#[error("forward {name}: the condition is wrong:\n{reason}")]
pub struct ConditionError {
    name: String,
    reason: String,
}

/// Compiles a condition: a Sigma detection (selections and `condition`), or one selection alone.
pub(super) fn filter(
    name: &str,
    condition: &Value,
    environment: &Environment,
) -> Result<EventFilter, ConditionError> {
    let detection = match condition.get("condition") {
        Some(_) => condition.clone(),
        None => json!({"selection": condition, "condition": "selection"}),
    };
    // JSON is YAML: the rule parser reads it, and its messages say what is wrong.
    let text = json!({"title": name, "logsource": {}, "detection": detection}).to_string();
    let path: Arc<str> = format!("forward/{name}").into();
    let loaded = load(&[RuleFile { path, text: text.clone() }], &Lists::default());
    let compiled = compile(loaded.rules, &loaded.filters, environment);
    let all = loaded.diagnostics.into_iter().chain(compiled.diagnostics);
    let errors: Vec<_> = all.filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
    if !errors.is_empty() || compiled.rules.units().len() != 1 {
        let reason = errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("\n");
        return Err(ConditionError { name: name.to_owned(), reason });
    }
    let rules = compiled.rules;
    let scratch = Mutex::new(Hits::default());
    Ok(Arc::new(move |event: &Event| {
        let mut hits = scratch.lock().unwrap_or_else(PoisonError::into_inner);
        rules.hits(event, &mut hits);
        !hits.hits.is_empty()
    }))
}

/// One figure of a forwarder.
type Figure = fn(&ForwardStatus) -> u64;

/// Shows how far each forwarder is behind.
#[derive(Debug)]
pub(super) struct ForwardMetrics(pub(super) Vec<(String, Arc<ForwardStatus>)>);

impl Collector for ForwardMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let figures: [(&str, &str, Figure); 3] = [
            ("forward_lag", "Log entries not yet forwarded", ForwardStatus::lag),
            ("forward_position", "Last log entry that was forwarded", ForwardStatus::position),
            ("forward_failures", "Attempts that failed", ForwardStatus::failures),
        ];
        for (name, help, figure) in figures {
            let gauge = ConstGauge::<u64>::new(0);
            let mut descriptor = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            for (forwarder, status) in &self.0 {
                let labels = [("forward", forwarder.as_str())];
                ConstGauge::new(figure(status)).encode(descriptor.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
