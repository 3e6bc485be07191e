//! Hearing of changes to rules, lists and databases, also when their whole folder is replaced.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Files with other names may lie in a rules folder, and be written all the time.
const ENDINGS: [&str; 6] = ["yml", "yaml", "rhai", "txt", "csv", "mmdb"];

/// Asks for a reading when files change.
pub(super) struct Watching {
    wanted: mpsc::Sender<()>,
    watcher: Option<RecommendedWatcher>,
}

/// What there is to watch, and which changes matter.
#[derive(Debug, Default)]
struct Places {
    /// Watched with everything below.
    folders: BTreeSet<PathBuf>,
    /// Folders above those and above files: in them only the names on the way count, since whoever replaces a folder,
    /// or the link to it, changes the folder above.
    above: BTreeSet<PathBuf>,
    names: BTreeSet<OsString>,
}

impl Watching {
    /// Nothing is watched yet.
    pub(super) const fn new(wanted: mpsc::Sender<()>) -> Self {
        Self { wanted, watcher: None }
    }

    /// Watches what is now under these paths. A folder that was replaced is another one, of which the old watch
    /// knows nothing. Without a watcher (no more inotify handles) SIGHUP still works, and the operator is told.
    pub(super) fn renew<'a>(&mut self, paths: impl Iterator<Item = &'a Path>) {
        let places = Places::of(paths);
        match watch(places, self.wanted.clone()) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "rule files cannot be watched; send SIGHUP after a change");
            }
        }
    }
}

fn watch(places: Places, wanted: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let (folders, above) = (places.folders.clone(), places.above.clone());
    let on_change = move |change: notify::Result<notify::Event>| {
        // Of an error it is not known what was missed.
        if change.is_ok_and(|event| !places.matters(&event)) {
            return;
        }
        // A full queue has a request waiting already.
        wanted.try_send(()).ok();
    };
    let mut watcher = notify::recommended_watcher(on_change)?;
    // A folder above may be closed to us, and gone is told by the one above it.
    for folder in above {
        if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
            let folder = folder.display();
            tracing::debug!(%folder, %error, "not watched: a rules folder replaced there may go unnoticed");
        }
    }
    // The wider watch last: on one folder it takes over.
    for folder in folders {
        if let Err(error) = watcher.watch(&folder, RecursiveMode::Recursive) {
            tracing::warn!(folder = %folder.display(), %error, "cannot be watched; send SIGHUP after a change");
        }
    }
    Ok(watcher)
}

impl Places {
    fn of<'a>(paths: impl Iterator<Item = &'a Path>) -> Self {
        let mut own = Self::default();
        for path in paths {
            // As it is written, where links on the way may change, and as it is, where its folders may.
            let written = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
            let meant = written.canonicalize();
            for path in [Some(written), meant.ok()].into_iter().flatten() {
                own.add(path);
            }
        }
        own
    }

    fn add(&mut self, path: PathBuf) {
        for step in path.ancestors() {
            if let (Some(above), Some(name)) = (step.parent(), step.file_name()) {
                if above.is_dir() {
                    self.above.insert(above.to_path_buf());
                }
                self.names.insert(name.to_os_string());
            }
        }
        if path.is_dir() {
            self.folders.insert(path);
        }
    }

    /// Whether what is read may have changed.
    fn matters(&self, event: &notify::Event) -> bool {
        if event.kind.is_access() {
            return false;
        }
        event.need_rescan()
            || event.paths.iter().any(|path| self.is_on_the_way(path) || self.is_below(path, event.kind))
    }

    fn is_on_the_way(&self, path: &Path) -> bool {
        let is_named = path.file_name().is_some_and(|name| self.names.contains(name));
        is_named && path.parent().is_some_and(|above| self.above.contains(above))
    }

    fn is_below(&self, path: &Path, kind: EventKind) -> bool {
        let is_read = path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        let is_content = matches!(kind, EventKind::Modify(ModifyKind::Data(_)));
        (is_read || !is_content) && path.ancestors().any(|above| self.folders.contains(above))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    /// The longest that the system may take to tell.
    const PATIENCE: Duration = Duration::from_secs(30);

    struct Watched {
        dir: tempfile::TempDir,
        watching: Watching,
        wanted: mpsc::Receiver<()>,
    }

    impl Watched {
        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// As before each reading.
        fn renew(&mut self) {
            let paths = [self.path("rules"), self.path("geo.mmdb")];
            self.watching.renew(paths.iter().map(PathBuf::as_path));
            while self.wanted.try_recv().is_ok() {}
        }

        async fn hears(&mut self, what: &str) {
            let heard = tokio::time::timeout(PATIENCE, self.wanted.recv()).await;
            assert!(matches!(heard, Ok(Some(()))), "{what} was not heard of");
        }
    }

    fn watched() -> Watched {
        let (sender, wanted) = mpsc::channel(1);
        let mut own = Watched { dir: tempfile::tempdir().unwrap(), watching: Watching::new(sender), wanted };
        fs::create_dir_all(own.path("rules/sub")).unwrap();
        own.renew();
        own
    }

    #[tokio::test]
    async fn a_folder_that_is_replaced_is_watched_again() {
        let mut own = watched();
        fs::write(own.path("rules/sub/a.yml"), "").unwrap();
        own.hears("a rule").await;
        own.renew();
        // Deleted, and copied a while later.
        fs::remove_dir_all(own.path("rules")).unwrap();
        own.hears("the folder's end").await;
        own.renew();
        fs::create_dir_all(own.path("rules")).unwrap();
        own.hears("the new folder").await;
        own.renew();
        fs::write(own.path("rules/b.yml"), "").unwrap();
        own.hears("a rule in it").await;
        own.renew();
        // Another one put in its place.
        fs::create_dir_all(own.path("next")).unwrap();
        fs::rename(own.path("rules"), own.path("before")).unwrap();
        own.hears("the folder's new name").await;
        own.renew();
        fs::rename(own.path("next"), own.path("rules")).unwrap();
        own.hears("the folder in its place").await;
        own.renew();
        fs::write(own.path("rules/c.yml"), "").unwrap();
        own.hears("a rule in that").await;
    }

    #[tokio::test]
    async fn a_link_that_is_changed_is_followed() {
        let mut own = watched();
        fs::remove_dir_all(own.path("rules")).unwrap();
        for release in ["one", "two"] {
            fs::create_dir_all(own.path(release).join("deep")).unwrap();
        }
        let link = |own: &Watched, to: &str| {
            std::os::unix::fs::symlink(own.path(to), own.path("link")).unwrap();
            fs::rename(own.path("link"), own.path("current")).unwrap();
        };
        link(&own, "one");
        let renew = |own: &mut Watched| {
            let path = own.path("current/deep");
            own.watching.renew(std::iter::once(path.as_path()));
            while own.wanted.try_recv().is_ok() {}
        };
        renew(&mut own);
        link(&own, "two");
        own.hears("the link").await;
        renew(&mut own);
        fs::write(own.path("two/deep/a.yml"), "").unwrap();
        own.hears("a rule behind it").await;
    }

    #[test]
    fn only_what_is_read_matters() {
        let own = watched();
        let places = Places::of([own.path("rules"), own.path("geo.mmdb")].iter().map(PathBuf::as_path));
        let written = EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any));
        let matters =
            |kind: EventKind, name: &str| places.matters(&notify::Event::new(kind).add_path(own.path(name)));
        assert!(matters(written, "geo.mmdb") && matters(written, "rules/sub/a.yml"));
        assert!(!matters(written, "control.db-wal"), "a database may lie in the data folder");
        assert!(!matters(written, "rules/data/control.db-wal"), "and the data folder among the rules");
        let created = EventKind::Create(notify::event::CreateKind::Any);
        assert!(!matters(created, "control.db-wal") && !matters(created, "other/rules"));
        assert!(matters(created, "rules") && matters(created, "rules/sub") && matters(created, "geo.mmdb"));
        assert!(!matters(EventKind::Access(notify::event::AccessKind::Any), "rules/sub/a.yml"));
    }
}
