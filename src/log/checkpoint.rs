//! Signed checkpoints: where the chain stood at a moment. Kept somewhere else, one proves later that nothing before it
//! was changed, even against who owns the machine and its key.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::hex::Hex;
use super::row::Head;
use super::signing::{PublicKey, SigningKey};
use super::{LogError, durable};
use crate::event::Position;
use crate::time::Timestamp;

/// What is signed begins with this, so that no other signed thing can pass for it.
const PURPOSE: &str = "watchfire checkpoint\n";

/// Where the chain stood after an entry; as text, one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The entry.
    pub position: Position,
    /// The chain after it.
    pub head: Hex<32>,
    /// When this was written, milliseconds since 1970, UTC.
    pub at: i64,
    /// Who signed it.
    pub public_key: Hex<32>,
    /// Over this line with an empty signature.
    pub signature: Option<Hex<64>>,
}

impl Checkpoint {
    /// Signs where the chain stands.
    pub(super) fn sign((position, head): (Position, Head), at: Timestamp, key: &SigningKey) -> Self {
        let mut own =
            Self { position, head: Hex(head), at: at.0, public_key: key.public().0, signature: None };
        own.signature = Some(key.sign(own.message().as_bytes()));
        own
    }

    /// The one line of JSON.
    #[must_use]
    pub fn line(&self) -> String {
        // Numbers and digits only: nothing in it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a line; it must be exactly what [`Checkpoint::line`] writes, and signed by the key it names.
    pub fn parse(line: &str) -> Result<Self, String> {
        let own: Self = serde_json::from_str(line).map_err(|error| format!("no checkpoint: {error}"))?;
        if own.line() != line {
            return Err("not written as checkpoints are".to_owned());
        }
        let signed = own.signature.as_ref().is_some_and(|signature| {
            PublicKey(own.public_key).has_signed(own.message().as_bytes(), signature)
        });
        if signed { Ok(own) } else { Err("its signature does not fit".to_owned()) }
    }

    fn message(&self) -> String {
        format!("{PURPOSE}{}", Self { signature: None, ..self.clone() }.line())
    }
}

/// The file to which one is appended at each seal.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("log").join("checkpoints.ndjson")
}

/// Appends one to the folder's own file.
pub(super) fn append(dir: &Path, checkpoint: &Checkpoint) -> Result<(), LogError> {
    durable::append_line(&path(dir), &checkpoint.line())
}

/// Cuts off the unfinished line that a crash has left of the folder's own file.
pub(super) fn mend(dir: &Path) -> Result<(), LogError> {
    let path = path(dir);
    if path.exists() { durable::cut_unfinished(&path) } else { Ok(()) }
}

/// The entry of the last checkpoint in the folder's own file; 0 where there is none, or none that can be read.
pub(super) fn last_noted(dir: &Path) -> Result<Position, LogError> {
    let path = path(dir);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        text => text.map_err(LogError::file(&path))?,
    };
    let last = String::from_utf8_lossy(&text).lines().last().map(Checkpoint::parse);
    Ok(last.and_then(Result::ok).map_or(0, |checkpoint| checkpoint.position))
}

/// The lines of a file of checkpoints, each signed by the key it names.
pub fn read_checkpoints(path: &Path) -> Result<Vec<Checkpoint>, LogError> {
    let text = std::fs::read_to_string(path).map_err(LogError::file(path))?;
    let parse = |(index, line): (usize, &str)| {
        let line = line.strip_suffix('\n').unwrap_or(line);
        Checkpoint::parse(line)
            .map_err(|reason| LogError::broken(path, format!("line {}: {reason}", index + 1)))
    };
    text.split_inclusive('\n').enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_only_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::load_or_make(dir.path()).unwrap();
        let checkpoint = Checkpoint::sign((7, [3; 32]), Timestamp(1000), &key);
        let line = checkpoint.line();
        assert_eq!(Checkpoint::parse(&line), Ok(checkpoint));
        for index in 0..line.len() {
            for bit in 0..7 {
                let mut bytes = line.clone().into_bytes();
                bytes[index] ^= 1 << bit;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(Checkpoint::parse(&changed).is_err(), "{changed}");
            }
        }
    }
}
