//! One daemon per data folder: `DIR/watchfire.pid`, locked for as long as the daemon lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;

use super::LogError;

const NAME: &str = "watchfire.pid";

/// The held lock; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct PidFile {
    _locked: File,
}

impl PidFile {
    /// Takes the lock and writes this process' id; refused while another daemon holds it.
    ///
    /// The file stays when the daemon ends: removing it could take the lock from under the next one.
    pub(super) fn take(dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(NAME);
        let failed = || LogError::file(&path);
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.take(32).read_to_string(&mut text).map_err(failed())?;
                let pid = text.trim().parse().unwrap_or(0);
                return Err(LogError::Locked { pid, dir: dir.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed()(error)),
        }
        file.set_len(0).map_err(failed())?;
        writeln!(file, "{}", std::process::id()).map_err(failed())?;
        Ok(Self { _locked: file })
    }
}
