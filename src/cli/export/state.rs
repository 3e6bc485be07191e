//! How far an export came: a small file beside it, so that an interrupted one goes on.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::cli::Usage;
use crate::event::Position;
use crate::reporting::{ExportFormat, extension};
use crate::time::Timestamp;

/// What an export writes, and how far it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// As it was written.
    pub query: String,
    /// What the query's times are relative to.
    pub now: Timestamp,
    pub format: ExportFormat,
    /// For CSV.
    pub columns: Vec<String>,
    /// The last event of the log when the export began: later ones are left out.
    pub until: Position,
    /// Where it goes on; none at the beginning.
    pub cursor: Option<String>,
    /// How long the file is up to there.
    pub bytes: u64,
    /// How many events are in it.
    pub events: u64,
}

/// The file beside the export.
pub(super) fn path(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".state");
    name.into()
}

impl State {
    /// What an interrupted export left behind; none if there is nothing.
    pub(super) fn read(output: &Path) -> anyhow::Result<Option<Self>> {
        let path = path(output);
        match fs::read(&path) {
            Ok(bytes) => {
                let state = serde_json::from_slice(&bytes);
                state.map(Some).with_context(|| format!("{} cannot be read", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Refuses a file that does not have what was written so far: it was removed, cut, or exchanged.
    pub(super) fn check_file(&self, output: &Path) -> anyhow::Result<()> {
        let length = match fs::metadata(output) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error).with_context(|| output.display().to_string()),
        };
        if length >= self.bytes {
            return Ok(());
        }
        let (written, output, state) = (self.bytes, output.display(), path(output));
        let message = format!(
            "{output} has {length} bytes, though {written} were written: it was removed or cut. Put it back, or begin anew: \
             remove {}, and {output} if it is there",
            state.display()
        );
        Err(Usage(message).into())
    }

    /// Puts this in place of what was written before: all of it or nothing.
    pub(super) fn write(&self, output: &Path) -> anyhow::Result<()> {
        let path = path(output);
        let temporary = path.with_extension("state.new");
        let place = || path.display().to_string();
        let mut file = fs::File::create(&temporary).with_context(place)?;
        file.write_all(&serde_json::to_vec(self)?).and_then(|()| file.sync_data()).with_context(place)?;
        fs::rename(&temporary, &path).with_context(place)
    }

    /// Fails if the interrupted export was another one.
    pub(super) fn check(&self, asked: &Self, output: &Path) -> anyhow::Result<()> {
        let is_same =
            (&self.query, self.format, &self.columns) == (&asked.query, asked.format, &asked.columns);
        if is_same {
            return Ok(());
        }
        let message = format!(
            "{} was begun for the query `{}` as {}; go on with the same, or choose another file",
            output.display(),
            self.query,
            extension(self.format),
        );
        Err(Usage(message).into())
    }
}
