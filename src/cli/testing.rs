//! A data folder as a daemon leaves it, for tests.

use tempfile::TempDir;

use crate::clock::Clock;
use crate::decode::decode;
use crate::event::Format;
use crate::log::{Log, LogOptions, NewEvent};
use crate::time::Timestamp;

/// A folder whose log has these GitLab events, from position 1 on.
pub(super) fn data_dir(events: &[String]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = Timestamp::parse("2026-03-02T12:00:00Z").unwrap();
    let log = Log::open(dir.path(), LogOptions::default(), Clock::fixed(at)).unwrap();
    let batch = events.iter().map(|text| {
        let decoded = decode(Format::Gitlab, &"gitlab".into(), text.clone().into(), None, at).unwrap();
        NewEvent { event: decoded.event, dedupe: decoded.dedupe }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        log.append(batch.collect()).await.unwrap();
        log.close().await;
    });
    dir
}
