//! Tells when a source has fallen silent: in the log, and as metrics.

use std::collections::BTreeSet;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::reach::Silence;
use crate::source::Heard;
use crate::store::Store;
use crate::time::Span;

/// How often silences are looked at, and arrivals kept. What a crash forgets is in the log all the same.
const EVERY: Span = Span::minutes(5);

/// Keeps arrivals and tells of silences, until it is to stop.
pub(super) async fn listen(heard: Heard, store: Store, clock: Clock, stop: CancellationToken) {
    let mut silent = BTreeSet::new();
    loop {
        tokio::select! {
            () = clock.sleep(EVERY) => {}
            () = stop.cancelled() => break,
        }
        tell(&heard, &clock, &mut silent);
        keep(&heard, &store).await;
    }
    keep(&heard, &store).await;
}

async fn keep(heard: &Heard, store: &Store) {
    let (heard, store) = (heard.clone(), store.clone());
    let kept = tokio::task::spawn_blocking(move || heard.keep(&store)).await;
    if let Ok(Err(error)) = kept {
        tracing::warn!(%error, "when sources were heard could not be kept");
    }
}

/// Each silence is told once, and its end.
fn tell(heard: &Heard, clock: &Clock, silent: &mut BTreeSet<String>) {
    for (name, arrivals) in heard.all() {
        match Silence::of(&arrivals, clock.now()) {
            Silence::Unusual(span, rhythm) => {
                if silent.insert(name.clone()) {
                    let minutes = Span(span.0 / 60_000 * 60_000);
                    tracing::warn!(source = %name, silent = %minutes, usual = %rhythm.longest_now, "the source has fallen silent: at this time of the week it never is for so long");
                }
            }
            _ => {
                if silent.remove(&name) {
                    tracing::info!(source = %name, "the source is heard again");
                }
            }
        }
    }
}

/// How long each source was not heard; read when somebody asks.
#[derive(Debug)]
pub(super) struct SilenceMetrics(pub(super) Heard, pub(super) Clock);

/// One figure of a silence; none where it says nothing.
type Figure = fn(&Silence) -> Option<u64>;

impl Collector for SilenceMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let all = self.0.all();
        let now = self.1.now();
        let figures: [(&str, &str, Figure); 2] = [
            ("source_silent_seconds", "How long ago something came from the source", |silence| {
                silence.span().and_then(|span| u64::try_from(span.0 / 1_000).ok())
            }),
            (
                "source_unusually_silent",
                "1 if the source is silent for longer than it ever was at this time of the week",
                |silence| match silence {
                    Silence::Unusual(..) => Some(1),
                    Silence::Usual(..) => Some(0),
                    Silence::Never | Silence::Unknown(_) => None,
                },
            ),
        ];
        for (name, help, figure) in figures {
            let kind = ConstGauge::new(0_u64).metric_type();
            let mut descriptor = encoder.encode_descriptor(name, help, None, kind)?;
            for (source, arrivals) in &all {
                if let Some(figure) = figure(&Silence::of(arrivals, now)) {
                    let labels = [("source", source.as_str())];
                    ConstGauge::new(figure).encode(descriptor.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::source::SourceMetrics;
    use crate::time::Timestamp;

    #[test]
    fn a_silent_source_is_told_once_and_shown() {
        let clock = Clock::fixed(Timestamp(1_767_571_200_000));
        let metrics = SourceMetrics::default();
        let counters = metrics.of("gitlab");
        for _ in 0..14 * 24 * 6 {
            counters.appended(1, 0, clock.now());
            clock.set(clock.now().plus(Span::minutes(10)));
        }
        let mut silent = BTreeSet::new();
        tell(metrics.heard(), &clock, &mut silent);
        assert!(silent.is_empty());
        clock.set(clock.now().plus(Span::hours(5)));
        tell(metrics.heard(), &clock, &mut silent);
        assert_eq!(silent.len(), 1);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(SilenceMetrics(metrics.heard().clone(), clock.clone())));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("source_silent_seconds{source=\"gitlab\"} 18600"), "{text}");
        assert!(text.contains("source_unusually_silent{source=\"gitlab\"} 1"), "{text}");
        counters.appended(0, 1, clock.now());
        tell(metrics.heard(), &clock, &mut silent);
        assert!(silent.is_empty());
    }
}
