//! Signed checkpoints: where the chain stood at a moment. Kept somewhere else, one proves later that nothing before it
//! was changed, even against who owns the machine and its key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use super::hex::Hex;
use super::row::Head;
use super::signing::{PublicKey, SigningKey};
use super::{LogError, Reader, durable};
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
    /// How many rows the audit log had; none where it was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_rows: Option<u64>,
    /// The audit log's chain after them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_head: Option<Hex<32>>,
    /// Who signed it.
    pub public_key: Hex<32>,
    /// Over this line with an empty signature.
    pub signature: Option<Hex<64>>,
}

/// Where the audit log's chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditMark {
    /// How many rows there are.
    pub rows: u64,
    /// The chain after them.
    pub head: [u8; 32],
}

/// Answers where the audit log stands; none while that cannot be read.
pub type AskAudit = dyn Fn() -> Option<AuditMark> + Send + Sync;

/// Who knows the audit log, once somebody said so: it lies in the store, which the log knows nothing of.
#[derive(Clone, Default)]
pub(super) struct Auditor(Arc<OnceLock<Box<AskAudit>>>);

impl Auditor {
    /// Says it; the first one stays.
    pub(super) fn set(&self, ask: Box<AskAudit>) {
        self.0.get_or_init(|| ask);
    }

    pub(super) fn mark(&self) -> Option<AuditMark> {
        self.0.get().and_then(|ask| ask())
    }
}

impl fmt::Debug for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auditor")
    }
}

impl Checkpoint {
    /// Signs where the chains stand.
    pub(super) fn sign(
        (position, head): (Position, Head),
        audit: Option<AuditMark>,
        at: Timestamp,
        key: &SigningKey,
    ) -> Self {
        let mut own = Self {
            position,
            head: Hex(head),
            at: at.0,
            audit_rows: audit.map(|mark| mark.rows),
            audit_head: audit.map(|mark| Hex(mark.head)),
            public_key: key.public().0,
            signature: None,
        };
        own.signature = Some(key.sign(own.message().as_bytes()));
        own
    }

    /// Where the audit log stood, if that was known.
    #[must_use]
    pub fn audit(&self) -> Option<AuditMark> {
        let (rows, head) = self.audit_rows.zip(self.audit_head)?;
        Some(AuditMark { rows, head: head.0 })
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

/// The sealer and the daemon's clock both append.
static APPENDING: Mutex<()> = Mutex::new(());

/// The file to which one is appended at each seal, and as often as the configuration says.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("log").join("checkpoints.ndjson")
}

/// Appends one to the folder's own file.
pub(super) fn append(dir: &Path, checkpoint: &Checkpoint) -> Result<(), LogError> {
    let _turn = APPENDING.lock().unwrap_or_else(PoisonError::into_inner);
    durable::append_line(&path(dir), &checkpoint.line())
}

/// The line of one of the folder's own checkpoints, as it is written.
fn line_of(dir: &Path, position: Position, at: Timestamp) -> Result<Option<String>, LogError> {
    let path = path(dir);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(LogError::file(&path))?,
    };
    let (start, time) = (format!("{BEGINNING}{position},"), format!("\"at\":{},", at.0));
    Ok(text.lines().rev().find(|line| line.starts_with(&start) && line.contains(&time)).map(str::to_owned))
}

/// The checkpoints of a data folder, the oldest first; none where there is no file yet.
pub fn own_checkpoints(dir: &Path) -> Result<Vec<Checkpoint>, LogError> {
    let path = path(dir);
    let is_there = path.try_exists().map_err(LogError::file(&path))?;
    if is_there { read_checkpoints(&path) } else { Ok(Vec::new()) }
}

/// The checkpoints in a text that others kept: lines, or mails with such lines in them, quoted (`> `) and broken at any
/// place. What is no checkpoint is passed over; what begins like one and is none is an error that names its line.
pub fn find_checkpoints(text: &str) -> Result<Vec<Checkpoint>, String> {
    let mut found = Vec::new();
    // No checkpoint has `=`, with which quoted-printable ends a line that goes on.
    let bare =
        |line: &str| line.trim_start_matches(['>', ' ', '\t']).trim_end().trim_end_matches('=').to_owned();
    let lines: Vec<String> = text.lines().map(bare).collect();
    let mut next = 0;
    while let Some(line) = lines.get(next) {
        let number = next + 1;
        next += 1;
        let Some(start) = line.find(BEGINNING) else { continue };
        let mut joined = line.get(start..).unwrap_or_default().to_owned();
        // No value has a brace, so the first one ends it.
        while !joined.contains('}')
            && joined.len() < LINE_MAX
            && let Some(more) = lines.get(next)
        {
            joined.push_str(more);
            next += 1;
        }
        let end = joined.find('}').map_or(joined.len(), |end| end + 1);
        let whole = joined.get(..end).unwrap_or_default();
        if !is_begun(whole) {
            continue;
        }
        found.push(Checkpoint::parse(whole).map_err(|reason| format!("line {number}: {reason}"))?);
    }
    Ok(found)
}

/// Whether it begins as no other object does: events may have positions too.
fn is_begun(text: &str) -> bool {
    let rest = text.strip_prefix(BEGINNING).unwrap_or_default();
    rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(r#","head":"#)
}

/// The folder's own checkpoints from the newest on, at most so many, each with its number; only those before a number.
pub fn newest_checkpoints(
    dir: &Path,
    before: Option<usize>,
    max: usize,
) -> Result<Vec<(usize, Checkpoint)>, LogError> {
    let path = path(dir);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(LogError::file(&path))?,
    };
    // One that is being written has no end yet.
    let lines: Vec<&str> = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).collect();
    let wanted =
        lines.iter().enumerate().rev().filter(|(number, _)| before.is_none_or(|before| *number < before));
    let parse = |(number, line): (usize, &&str)| {
        let parsed = Checkpoint::parse(line);
        let named = |reason| LogError::broken(&path, format!("line {}: {reason}", number + 1));
        Ok((number, parsed.map_err(named)?))
    };
    wanted.take(max).map(parse).collect()
}

/// How every checkpoint begins.
const BEGINNING: &str = r#"{"position":"#;
/// No checkpoint is longer.
const LINE_MAX: usize = 1_024;

/// Cuts off the unfinished line that a crash has left of the folder's own file.
pub(super) fn mend(dir: &Path) -> Result<(), LogError> {
    let _turn = APPENDING.lock().unwrap_or_else(PoisonError::into_inner);
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

impl Reader {
    /// Where the chain stands now, and where the audit log does, signed with the folder's key.
    pub fn checkpoint(&mut self, at: Timestamp, audit: Option<AuditMark>) -> Result<Checkpoint, LogError> {
        let key = SigningKey::load(&self.dir)?;
        Ok(Checkpoint::sign(self.end()?, audit, at, &key))
    }

    /// The line of a checkpoint that the folder keeps; none if it has no such one.
    pub fn kept_checkpoint(&self, position: Position, at: Timestamp) -> Result<Option<String>, LogError> {
        line_of(&self.dir, position, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_only_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::load_or_make(dir.path()).unwrap();
        for audit in [None, Some(AuditMark { rows: 12, head: [5; 32] })] {
            let checkpoint = Checkpoint::sign((7, [3; 32]), audit, Timestamp(1000), &key);
            assert_eq!(checkpoint.audit(), audit);
            let line = checkpoint.line();
            assert_eq!(Checkpoint::parse(&line), Ok(checkpoint));
            assert!(line.len() < LINE_MAX);
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

    #[test]
    fn a_line_of_before_the_audit_log_was_in_it_is_still_one() {
        let line = concat!(
            r#"{"position":7,"head":"0303030303030303030303030303030303030303030303030303030303030303","at":1000,"#,
            r#""public_key":"ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c","#,
            r#""signature":"b704c070f0a4daf45705f18091c8c11b0d1e563831d2f8bf415611116d347141dbadc0d03fb872caa36666a556b4989c7efc784fb28a6e4c56a3b5d6115d3601"}"#,
        );
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(super::super::signing::path(dir.path()), "07".repeat(32) + "\n").unwrap();
        let key = SigningKey::load(dir.path()).unwrap();
        assert_eq!(Checkpoint::sign((7, [3; 32]), None, Timestamp(1000), &key).line(), line);
        assert_eq!(Checkpoint::parse(line).unwrap().audit(), None);
    }

    #[test]
    fn checkpoints_are_found_in_what_people_keep() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::load_or_make(dir.path()).unwrap();
        let mark = Some(AuditMark { rows: 12, head: [5; 32] });
        let made = [7, 9].map(|position| Checkpoint::sign((position, [3; 32]), mark, Timestamp(1000), &key));
        let [first, second] = made.clone().map(|checkpoint| checkpoint.line());
        let (left, right) = second.split_at(200);
        let mail = format!(
            "Subject: [Watchfire] checkpoint\r\n\r\nKeep this:\r\n\r\n{first}\r\n\r\n> > {left}\r\n> > {right}\r\n-- \r\nbye {{}}\r\n"
        );
        assert_eq!(find_checkpoints(&mail).unwrap(), made);
        let printable = mail.replace(left, &format!("{left}="));
        assert_eq!(find_checkpoints(&printable).unwrap(), made);
        assert_eq!(find_checkpoints("nothing\n{\"x\":{\"position\":7,\"y\":1}}\n").unwrap(), []);
        let error = find_checkpoints(&mail.replace("\"at\":1000", "\"at\":1001")).unwrap_err();
        assert!(error.starts_with("line 5: its signature"), "{error}");
        assert!(find_checkpoints(&first[..300]).is_err(), "cut off");
    }
}
