//! Reload: a change in a rules or lists folder, or SIGHUP. All that can fail is done first; then it is swapped.

use std::path::Path;
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::inbox::Teller;
use super::metrics::DetectionMetrics;
use super::rulebook::{Reading, Rulebook};
use crate::api::RulesStatus;
use crate::clock::Clock;
use crate::engine::RuleSet;
use crate::time::{Span, Timestamp};

/// How long a folder must be quiet before it is read: editors write a file in several steps.
const QUIET: Span = Span::millis(150);

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
}

impl Reloader {
    /// Runs until told to stop. The watcher lives as long.
    pub(super) async fn run(mut self, watcher: Option<RecommendedWatcher>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                wanted = self.wanted.recv() => if wanted.is_none() { break },
                () = shutdown.cancelled() => break,
            }
            loop {
                // A change on the change: the folder is not quiet yet.
                tokio::select! {
                    Some(()) = self.wanted.recv() => {}
                    () = tokio::time::sleep(QUIET.to_std()) => break,
                }
            }
            self = match tokio::task::spawn_blocking(move || self.reload()).await {
                Ok(own) => own,
                Err(error) => {
                    tracing::error!(%error, "reading the rules ended early; the old ones stay");
                    break;
                }
            };
        }
        drop(watcher);
    }

    fn reload(mut self) -> Self {
        let reading = self.rulebook.read(self.clock.now());
        tell(&reading, &self.metrics);
        self.metrics.reloads.inc();
        self.told.send_replace(Arc::new(status(&reading, self.clock.now())));
        self.rules.send_replace(Arc::clone(&reading.rules));
        self.detection.rules(reading.rules);
        self
    }
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

/// Watches files and folders; each change asks for a reading. Without a watcher (no more inotify handles),
/// SIGHUP still works, and the operator is told.
pub(super) fn watch_files<'a>(
    paths: impl Iterator<Item = &'a Path>,
    wanted: mpsc::Sender<()>,
) -> Option<RecommendedWatcher> {
    let on_change = move |change: notify::Result<notify::Event>| {
        let is_change = change.is_ok_and(|event| !event.kind.is_access());
        if is_change {
            // A full queue has a request waiting already.
            wanted.try_send(()).ok();
        }
    };
    let started = notify::recommended_watcher(on_change).and_then(|mut watcher| {
        for path in paths {
            // An editor puts a new file in place of the old one; a watch on the file itself would miss that, and
            // one that is missing may come.
            match path.parent().filter(|_| !path.is_dir()) {
                Some(folder) => watcher.watch(folder, RecursiveMode::NonRecursive)?,
                None => watcher.watch(path, RecursiveMode::Recursive)?,
            }
        }
        Ok(watcher)
    });
    match started {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "rule files cannot be watched; send SIGHUP after a change");
            None
        }
    }
}
