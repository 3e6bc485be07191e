//! The daemon's data folder, as the commands that look into it open it.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use crate::log::Reader;
use crate::store::Store;

/// Where the daemon keeps its log and store.
#[derive(Debug, Args)]
pub(super) struct DataDir {
    /// The daemon's data folder; the daemon may be running
    #[arg(long, value_name = "DIR", env = "WATCHFIRE_DATA_DIR", default_value = "/var/lib/watchfire")]
    data_dir: PathBuf,
}

impl DataDir {
    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.data_dir
    }

    /// The log, to read only.
    pub(super) fn reader(&self) -> anyhow::Result<Reader> {
        reader(&self.data_dir)
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
