//! Shows what waits in the control store; read when somebody asks.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use crate::store::Store;

/// How many deliveries stand where, and how many rejected bodies wait to be looked at.
#[derive(Debug)]
pub(super) struct OutboxMetrics(pub(super) Store);

impl Collector for OutboxMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // A store that cannot be read is reported by detection; here it only has no figures.
        let (Ok(outbox), Ok(rejected)) = (self.0.outbox_counts(), self.0.rejected_count()) else {
            return Ok(());
        };
        let open = self.0.breakers().unwrap_or_default();
        let breakers = u64::try_from(open.len()).unwrap_or(u64::MAX);
        let figures = [
            ("outbox_pending", "Deliveries still to be made", outbox.pending),
            ("outbox_dead", "Deliveries given up", outbox.dead),
            ("outbox_done", "Deliveries made", outbox.done),
            (
                "outbox_breakers_open",
                "Actions that are only probed, since their receivers are away",
                breakers,
            ),
            ("rejected_kept", "Rejected bodies not yet replayed", rejected),
        ];
        for (name, help, figure) in figures {
            let gauge = ConstGauge::new(figure);
            let descriptor = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(descriptor)?;
        }
        let (gauge, help) = (ConstGauge::<u64>::new(1), "The action is only probed");
        let mut descriptor =
            encoder.encode_descriptor("outbox_breaker_open", help, None, gauge.metric_type())?;
        for breaker in &open {
            gauge.encode(descriptor.encode_family(&[("action", breaker.action.as_str())])?)?;
        }
        Ok(())
    }
}
