//! The daemon's data folder, as the commands that look into it open it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use crate::event::Catalogue;
use crate::log::Reader;
use crate::search::Searcher;
use crate::store::Store;

/// Where the daemon keeps its log and store.
#[derive(Debug, Args)]
pub(super) struct DataDir {
    /// The daemon's data folder; the daemon may be running
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "WATCHFIRE_DATA_DIR",
        default_value = "/var/lib/watchfire"
    )]
    data_dir: PathBuf,
}

impl DataDir {
    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.data_dir
    }

    /// This folder.
    #[cfg(test)]
    pub(super) fn of(dir: &Path) -> Self {
        Self { data_dir: dir.to_owned() }
    }

    /// The log, to read only.
    pub(super) fn reader(&self) -> anyhow::Result<Reader> {
        reader(&self.data_dir)
    }

    /// What searches the log.
    pub(super) fn searcher(&self, catalogue: Arc<Catalogue>) -> anyhow::Result<Searcher> {
        searcher(&self.data_dir, catalogue)
    }

    /// The store, to read only.
    pub(super) fn store(&self) -> anyhow::Result<Store> {
        self.check("control.db")?;
        Ok(Store::open_read_only(&self.data_dir)?)
    }

    /// The store, to change it.
    pub(super) fn store_to_write(&self) -> anyhow::Result<Store> {
        self.check("control.db")?;
        Ok(Store::open(&self.data_dir)?)
    }

    fn check(&self, file: &str) -> anyhow::Result<()> {
        check(&self.data_dir, file)
    }
}

/// The log in this folder, to read only.
pub(super) fn reader(dir: &Path) -> anyhow::Result<Reader> {
    check(dir, "log/hot.db")?;
    Ok(Reader::open(dir)?)
}

/// What searches the log in this folder.
pub(super) fn searcher(dir: &Path, catalogue: Arc<Catalogue>) -> anyhow::Result<Searcher> {
    check(dir, "log/hot.db")?;
    Ok(Searcher::open(dir, catalogue)?)
}

/// A wrong folder shall not look like an empty one.
fn check(dir: &Path, file: &str) -> anyhow::Result<()> {
    if !dir.is_dir() {
        return Err(super::Usage(format!("{} is no folder", dir.display())).into());
    }
    if !dir.join(file).exists() {
        bail!("{} has no {file}: no daemon ever ran with this data folder", dir.display());
    }
    Ok(())
}
