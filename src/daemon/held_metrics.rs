//! How often something was held back, and by what; read when somebody asks.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;

use crate::store::Store;

/// How often something was held back.
#[derive(Debug)]
pub(super) struct HeldMetrics(pub(super) Store);

impl Collector for HeldMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // A store that cannot be read is reported by detection; here it only has no figures.
        let Ok(totals) = self.0.held_totals() else { return Ok(()) };
        let help = "Messages and responses that were held back, by what";
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut family = encoder.encode_descriptor("held", help, None, kind)?;
        for (by, count) in totals {
            let labels = [("by", by)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
