//! A log file, followed line by line through rotation (renamed and created anew) and truncation (copied and emptied).
//!
//! The position moves on only when the lines before it are on disk in the log. Files are known by inode and by the
//! bytes before the position, so a restart finds its place even if the file was renamed meanwhile.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use notify::Watcher;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::follow::{Followed, Next, Place, Sibling, siblings};
use super::intake::{Context, Intake};
use super::lines::Lines;
use crate::time::{Span, Timestamp};

/// How often the file is looked at even if nothing was heard: not every file system tells of changes.
const POLL: Span = Span::seconds(1);
/// How long a renamed file is still read after its last line: its writer may not have opened the new one yet.
const RETIRE_AFTER: Span = Span::seconds(60);
/// How many renamed files are read at once; the oldest gives way.
const RETIRED_MAX: usize = 8;

/// Follows one file.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    intake: Intake,
    line_max: u64,
    /// Renamed files, oldest first, and when something last came out of each.
    retired: VecDeque<(Followed, Timestamp)>,
    current: Option<Followed>,
    /// The last trouble that was logged, so that it is logged once and not every second.
    trouble: Option<String>,
}

/// Saved under `source/NAME`: the renamed files that are still read, then the current one.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Checkpoint {
    files: Vec<Place>,
}

impl FileSource {
    /// Follows the file at `path`, from where it was left.
    #[must_use]
    pub fn new(path: &Path, intake: Intake, context: &Context) -> Self {
        Self {
            path: path.to_owned(),
            intake,
            line_max: context.limits.body,
            retired: VecDeque::new(),
            current: None,
            trouble: None,
        }
    }

    /// Follows until told to stop. Trouble with the file is logged and waited out.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), SourceError> {
        let wake = Arc::new(Notify::new());
        let _watcher = self.watch(&wake);
        self.resume().await?;
        while !shutdown.is_cancelled() {
            match self.poll(&shutdown).await {
                Ok(()) => self.recovered(),
                Err(SourceError::Stopped) => break,
                Err(SourceError::Closed) => return Err(SourceError::Closed),
                Err(error) => self.report(&error),
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = wake.notified() => {}
                () = self.intake.clock.sleep(POLL) => {}
            }
        }
        Ok(())
    }

    /// Wakes on changes in the file's folder; without it, the file is only polled.
    fn watch(&self, wake: &Arc<Notify>) -> Option<notify::RecommendedWatcher> {
        let wake = Arc::clone(wake);
        let heard = move |event: notify::Result<notify::Event>| {
            // Reading is an event too, and our own: it must not wake us.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                wake.notify_one();
            }
        };
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let watching = notify::recommended_watcher(heard).and_then(|mut watcher| {
            watcher.watch(folder.unwrap_or(Path::new(".")), notify::RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let source = &self.intake.name;
        watching
            .inspect_err(|error| tracing::warn!(%source, %error, "cannot be told of changes; polls instead"))
            .ok()
    }

    fn report(&mut self, error: &SourceError) {
        let text = error.to_string();
        if self.trouble.as_ref() != Some(&text) {
            tracing::warn!(source = %self.intake.name, error = %text, "the file cannot be followed for now");
            self.trouble = Some(text);
        }
    }

    fn recovered(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!(source = %self.intake.name, "the file is followed again");
        }
    }

    /// Finds the files of the checkpoint under their present names, and rotated ones that were never seen.
    async fn resume(&mut self) -> Result<(), SourceError> {
        let saved = self.intake.sink.checkpoint(self.checkpoint_name()).await?;
        let Some(saved) = saved else { return Ok(()) };
        let Ok(checkpoint) = serde_json::from_slice::<Checkpoint>(&saved) else {
            tracing::warn!(source = %self.intake.name, "the saved position is unreadable; reads the file again");
            return Ok(());
        };
        let path = self.path.clone();
        let found = self.blocking(move || siblings(&path)).await?;
        let now = self.intake.clock.now();
        for sibling in self.left_over(&checkpoint, &found) {
            let place = checkpoint.files.iter().find(|place| place.inode == sibling.inode).cloned();
            let path = sibling.path.clone();
            let followed = self
                .blocking(move || match place {
                    Some(place) => Followed::resume(&path, &place),
                    None => Followed::open(&path),
                })
                .await?;
            if sibling.path == self.path {
                self.current = Some(followed);
            } else {
                self.retired.push_back((followed, now));
            }
        }
        Ok(())
    }

    /// The files to read on, oldest first: those of the checkpoint, and uncompressed rotated ones that are younger.
    /// What cannot be read any more is reported.
    fn left_over(&self, checkpoint: &Checkpoint, found: &[Sibling]) -> Vec<Sibling> {
        let source = &self.intake.name;
        let known = |sibling: &Sibling| checkpoint.files.iter().any(|place| place.inode == sibling.inode);
        for place in &checkpoint.files {
            if !found.iter().any(|sibling| sibling.inode == place.inode) {
                let (file, offset) = (self.path.display(), place.offset);
                tracing::warn!(%source, %file, offset, "a file was rotated away and compressed or deleted \
                    before it was read to its end; if it still exists, post the rest of it by hand");
            }
        }
        // Without any known file there is no telling which of the others are new.
        let Some(oldest) = found.iter().filter(|s| known(s)).map(|s| s.modified).min() else {
            return Vec::new();
        };
        let unseen = self.unseen(found, oldest, known);
        found.iter().filter(|sibling| known(sibling) || unseen.contains(sibling)).cloned().collect()
    }

    /// The rotated files that nobody has read, not older than `oldest`, oldest first. Compressed ones are reported.
    fn unseen(
        &self,
        found: &[Sibling],
        oldest: SystemTime,
        known: impl Fn(&Sibling) -> bool,
    ) -> Vec<Sibling> {
        let is_new =
            |sibling: &&Sibling| !known(sibling) && sibling.path != self.path && sibling.modified >= oldest;
        let (lost, unseen): (Vec<&Sibling>, Vec<&Sibling>) =
            found.iter().filter(is_new).partition(|sibling| sibling.compressed);
        for sibling in lost {
            let (source, file) = (&self.intake.name, sibling.path.display());
            tracing::warn!(%source, %file, "this rotated file is compressed and was not read; \
                unpack it and post it by hand");
        }
        unseen.into_iter().cloned().collect()
    }

    /// Takes everything that is complete by now.
    async fn poll(&mut self, shutdown: &CancellationToken) -> Result<(), SourceError> {
        self.turn().await?;
        for index in 0..self.retired.len() {
            let Some((mut followed, _)) = self.retired.get(index).cloned() else { continue };
            if self.drain(&mut followed, Slot::Retired(index), shutdown).await? {
                let now = self.intake.clock.now();
                self.retired.iter_mut().skip(index).take(1).for_each(|(_, last)| *last = now);
            }
        }
        if let Some(mut followed) = self.current.clone() {
            self.drain(&mut followed, Slot::Current, shutdown).await?;
        }
        self.retire(shutdown).await
    }

    /// Sees whether another file has taken the name.
    async fn turn(&mut self) -> Result<(), SourceError> {
        let path = self.path.clone();
        let inode = self.current.as_ref().map(|followed| followed.place.inode);
        let opened = self
            .blocking(move || {
                use std::os::unix::fs::MetadataExt;
                match std::fs::metadata(&path) {
                    Ok(metadata) if Some(metadata.ino()) == inode => Ok(None),
                    Ok(_) => Followed::open(&path).map(Some),
                    // Between renaming and creating there is no file; that is no trouble once there was one.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && inode.is_some() => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await?;
        let Some(new) = opened else { return Ok(()) };
        // A renamed file may come back under its old name; then it is read on, not again.
        let returned = self.retired.iter().position(|(followed, _)| followed.place.inode == new.place.inode);
        let new = returned.and_then(|index| self.retired.remove(index)).map_or(new, |(followed, _)| followed);
        if let Some(old) = self.current.take() {
            tracing::info!(source = %self.intake.name, file = %self.path.display(), "the file was rotated");
            let between = self.rotated_since(&old, new.place.inode).await;
            let now = self.intake.clock.now();
            self.retired.push_back((old, now));
            self.retired.extend(between.into_iter().map(|followed| (followed, now)));
        }
        self.current = Some(new);
        Ok(())
    }

    /// Files that had the name after `old` and lost it again before anybody looked: nobody looks while the log takes
    /// nothing. What cannot be opened is reported.
    async fn rotated_since(&self, old: &Followed, newest: u64) -> Vec<Followed> {
        let (path, file) = (self.path.clone(), Arc::clone(&old.file));
        let found = self.blocking(move || Ok((siblings(&path)?, file.metadata()?.modified()?))).await;
        let (source, file) = (&self.intake.name, self.path.display());
        let (found, since) = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%source, %file, %error, "whether it was rotated more than once is not known");
                return Vec::new();
            }
        };
        let retired = self.retired.iter().map(|(followed, _)| followed.place.inode);
        let known: Vec<u64> = retired.chain([old.place.inode, newest]).collect();
        let mut between = Vec::new();
        for sibling in self.unseen(&found, since, |sibling| known.contains(&sibling.inode)) {
            let shown = sibling.path.display().to_string();
            match self.blocking(move || Followed::open(&sibling.path)).await {
                Ok(followed) => between.push(followed),
                Err(error) => {
                    tracing::warn!(%source, file = shown, %error, "a rotated file was not read; post it by hand");
                }
            }
        }
        between
    }

    /// Reads one file to its last complete line; whether anything came.
    async fn drain(
        &mut self,
        followed: &mut Followed,
        slot: Slot,
        shutdown: &CancellationToken,
    ) -> Result<bool, SourceError> {
        let mut came = false;
        loop {
            let (reading, line_max) =
                (followed.clone(), usize::try_from(self.line_max).unwrap_or(usize::MAX));
            let next = self.blocking(move || reading.next(line_max)).await?;
            let lines = Lines { intake: &self.intake, shutdown };
            followed.place = match next {
                Next::Nothing(_) => return Ok(came),
                Next::Lines(chunk, after) => {
                    lines.take(&chunk).await?;
                    after
                }
                Next::TooLong(beginning, after) => {
                    lines.too_long(&beginning, self.line_max).await?;
                    after
                }
                Next::Restarted(start) => {
                    let source = &self.intake.name;
                    tracing::info!(%source, file = %self.path.display(), "the file was truncated");
                    start
                }
            };
            came = true;
            match slot {
                Slot::Current => self.current = Some(followed.clone()),
                Slot::Retired(index) => {
                    self.retired.iter_mut().skip(index).take(1).for_each(|(old, _)| *old = followed.clone());
                }
            }
            self.save().await;
        }
    }

    /// Lets go of renamed files that have long been silent. Their last line is taken even without a line end.
    async fn retire(&mut self, shutdown: &CancellationToken) -> Result<(), SourceError> {
        let now = self.intake.clock.now();
        while let Some((followed, last)) = self.retired.front().cloned() {
            if now.since(last) < RETIRE_AFTER && self.retired.len() <= RETIRED_MAX {
                break;
            }
            let line_max = usize::try_from(self.line_max).unwrap_or(usize::MAX);
            let Next::Nothing(rest) = self.blocking(move || followed.next(line_max)).await? else {
                // Something came just now: the next look takes it.
                break;
            };
            Lines { intake: &self.intake, shutdown }.take(&rest).await?;
            self.retired.pop_front();
            self.save().await;
        }
        Ok(())
    }

    fn checkpoint_name(&self) -> String {
        format!("source/{}", self.intake.name)
    }

    /// An unsaved position costs duplicates after a restart, which are recognised; so trouble here stops nothing.
    async fn save(&mut self) {
        let retired = self.retired.iter().map(|(followed, _)| followed);
        let files = retired.chain(&self.current).map(|followed| followed.place.clone()).collect();
        let bytes = serde_json::to_vec(&Checkpoint { files }).unwrap_or_default();
        if let Err(error) = self.intake.sink.set_checkpoint(self.checkpoint_name(), bytes).await {
            self.report(&error);
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, SourceError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result.map_err(|error| SourceError::Read { path: self.path.clone(), error }),
            Err(join) => Err(SourceError::Task(join.to_string())),
        }
    }
}

/// Which of the open files is meant.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Retired(usize),
    Current,
}

#[cfg(test)]
mod tests;
