//! Reload: a change in a rules or lists folder, or SIGHUP. All that can fail is done first; then it is swapped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::inbox::Teller;
use super::metrics::DetectionMetrics;
use super::rulebook::{Reading, Rulebook};
use super::watching::Watching;
use crate::api::RulesStatus;
use crate::clock::Clock;
use crate::engine::RuleSet;
use crate::time::Timestamp;

/// How long a folder must be quiet before it is read: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(150);
/// A folder that is never quiet is read all the same after this time.
const QUIET_MAX: Duration = Duration::from_secs(2);

/// Reads rules anew when their files change.
pub(super) struct Reloader {
    pub(super) rulebook: Rulebook,
    pub(super) clock: Clock,
    pub(super) detection: Teller,
    pub(super) rules: watch::Sender<Arc<RuleSet>>,
    /// What the API shows of the files.
    pub(super) told: watch::Sender<Arc<RulesStatus>>,
    pub(super) metrics: DetectionMetrics,
    /// Asks for a reading: something changed, or somebody wants it.
    pub(super) wanted: mpsc::Receiver<()>,
    pub(super) watching: Watching,
}

impl Reloader {
    /// Runs until told to stop. The watcher lives as long.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                wanted = self.wanted.recv() => if wanted.is_none() { break },
                () = shutdown.cancelled() => break,
            }
            tokio::select! {
                () = quiet(&mut self.wanted) => {}
                () = shutdown.cancelled() => break,
            }
            self = match tokio::task::spawn_blocking(move || self.reload()).await {
                Ok(own) => own,
                Err(error) => {
                    tracing::error!(%error, "reading the rules ended early; the old ones stay");
                    break;
                }
            };
        }
    }

    fn reload(mut self) -> Self {
        // Watched first: what changes while it is read is read again.
        self.watching.renew(self.rulebook.paths());
        let reading = self.rulebook.read(self.clock.now());
        tell(&reading, &self.metrics);
        self.told.send_replace(Arc::new(status(&reading, self.clock.now())));
        self.rules.send_replace(Arc::clone(&reading.rules));
        self.detection.rules(reading.rules);
        // Whoever waits for it may count on the rules being the next thing that detection sees.
        self.metrics.reloads.inc();
        self
    }
}

/// Waits until nothing has changed for a moment, but not for ever.
async fn quiet(wanted: &mut mpsc::Receiver<()>) {
    // A change on the change: the folder is not quiet yet.
    let calm = async { while let Ok(Some(())) = tokio::time::timeout(QUIET, wanted.recv()).await {} };
    drop(tokio::time::timeout(QUIET_MAX, calm).await);
}

/// What the API shows of a reading.
pub(super) fn status(reading: &Reading, read_at: Timestamp) -> RulesStatus {
    RulesStatus {
        rules: Arc::clone(&reading.rules),
        diagnostics: reading.diagnostics.clone(),
        kept: reading.kept.clone(),
        read_at,
    }
}

/// Tells the operator what is wrong with the files, and which run in an older version.
pub(super) fn tell(reading: &Reading, metrics: &DetectionMetrics) {
    let broken: std::collections::BTreeSet<&str> = reading
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == crate::rule::Severity::Error)
        .map(|diagnostic| &*diagnostic.path)
        .collect();
    metrics.broken_files.set(broken.len() as u64);
    if reading.has_errors() {
        tracing::error!(files = broken.len(), "rules with errors were left out:\n{}", reading.render(false));
    }
    for path in &reading.kept {
        tracing::warn!(file = %path, "the last good version of this file goes on");
    }
    tracing::info!(rules = reading.rules.units().len(), "rules are ready");
}

#[cfg(test)]
mod tests;
