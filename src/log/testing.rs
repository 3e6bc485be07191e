//! A log with sealed segments, without threads, for tests of those who read it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::appender::{Appender, Work};
use super::sealer::Worker;
use super::segment::folder;
use super::{Log, LogOptions, NewEvent, Retention, SealOptions, hot};
use crate::clock::Clock;
use crate::decode::decode;
use crate::event::{Catalogue, Event, Format};
use crate::retention::Policy;
use crate::time::{Span, Timestamp};

/// A data folder whose log is sealed and merged when the test says so.
pub(crate) struct SealedLog {
    dir: TempDir,
    appender: Appender,
    worker: Worker,
    now: Timestamp,
    count: u128,
}

impl SealedLog {
    /// An empty one; all that is appended arrives about `now`.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self::make(now, None)
    }

    /// One that is signed with the key of another data folder.
    pub(crate) fn with_key(now: Timestamp, other: &Path) -> Self {
        Self::make(now, Some(other))
    }

    fn make(now: Timestamp, other: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        hot::make_folder(dir.path()).unwrap();
        for name in ["key", "key.pub"] {
            if let Some(other) = other {
                std::fs::copy(other.join(name), dir.path().join(name)).unwrap();
            }
        }
        let appender = Appender::open(dir.path(), LogOptions::default(), Clock::fixed(now)).unwrap();
        let options = SealOptions { seal_entries: 1000, ..SealOptions::default() };
        let worker = Worker::open(dir.path(), options, Arc::new(Catalogue::built_in())).unwrap();
        Self { dir, appender, worker, now, count: 0 }
    }

    /// The data folder.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Appends events, and an entry that is none.
    pub(crate) fn append(&mut self, events: &[Event]) {
        let new = events.iter().cloned().map(|event| {
            self.count += 1;
            // Segments keep one half, the hot end both.
            NewEvent { event, dedupe: self.count << 64 | self.count }
        });
        let new = new.collect();
        self.append_new(new);
    }

    /// The same with keys of one's own.
    pub(crate) fn append_new(&mut self, new: Vec<NewEvent>) {
        let receipts = self.appender.commit(&[Work::Batch(new), Work::Tick(self.now)]).unwrap();
        assert_eq!(receipts[0].duplicates, 0);
    }

    /// Seals everything.
    pub(crate) fn seal(&mut self) {
        // All of it is old then.
        let upto = self.worker.seal(self.now.plus(Span::days(2)), &mut || Ok(())).unwrap().unwrap();
        while self.appender.forget(upto).unwrap() {}
    }

    /// Merges all segments into one, and removes those.
    pub(crate) fn merge(&mut self) {
        // The month is over then.
        let later = self.now.plus(Span::days(40));
        while self.worker.merge(later, &mut || Ok(())).unwrap() {}
        self.worker.remove_replaced(Timestamp::MIN).unwrap();
    }

    /// Deletes what this policy no longer keeps, at some time.
    pub(crate) fn retain(&mut self, policy: Policy, at: Timestamp) {
        let retention = Retention {
            policy: Arc::new(policy),
            to_judge: Span::hours(1),
            needs: None,
            lateness: Span(0),
            at_least: Span(0),
            settled: u64::MAX,
            holds: Vec::new(),
            catalogue: Arc::new(Catalogue::built_in()),
        };
        self.worker.ask(Some(Arc::new(move || Ok(retention.clone())))).unwrap();
        while self.worker.retain(at, &mut || Ok(())).unwrap() {}
        self.worker.remove_replaced(Timestamp::MAX).unwrap();
    }

    /// The files of the segments, in order.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(folder(self.path())).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<PathBuf> = files.filter(|path| path.extension().unwrap() == "db").collect();
        paths.sort();
        paths
    }
}

/// A data folder whose log has these GitLab events, from position 1 on, all of which arrived at one moment.
pub(crate) fn data_dir(events: &[String], at: Timestamp) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
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
