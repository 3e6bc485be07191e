//! Records of what retention deleted: signed lines of JSON in `log/deletions.ndjson`, each with the digest of the line
//! before it.
//!
//! A record is durable before anything of what it tells is deleted, so that nothing is ever missing without one. Where
//! a crash comes between the two, the next start carries it out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::hex::Hex;
use super::signing::{PublicKey, SigningKey};
use super::{LogError, durable};
use crate::event::Position;

/// What is signed begins with this, so that no other signed thing can pass for it.
const PURPOSE: &str = "watchfire deletion\n";

/// What was deleted at a moment; as text, one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deletion {
    /// 1, 2, 3 and so on, none left out.
    pub number: u64,
    /// When, milliseconds since 1970, UTC.
    pub at: i64,
    /// The first entry of the segment.
    pub first: Position,
    /// The last one.
    pub last: Position,
    /// Whether the whole segment was removed. Else it was written anew, and of each deleted event its digest is left.
    pub removed: bool,
    /// How many events were deleted.
    pub events: u64,
    /// By which parts of the policy.
    pub rules: Vec<DeletedBy>,
    /// How many of each event type; those without one under the empty name.
    pub types: BTreeMap<String, u64>,
    /// The length of the files before; 0 for events that had never been sealed.
    pub bytes_before: u64,
    /// The length of the file that has taken their place.
    pub bytes_after: u64,
    /// The chain before the first entry.
    pub head_before: Hex<32>,
    /// The chain after the last one.
    pub head_after: Hex<32>,
    /// The digests of the manifests before; none for events that had never been sealed.
    pub manifests: Vec<Hex<32>>,
    /// To which manifest the removed one was linked.
    pub link_before: Option<Hex<32>>,
    /// What the manifest after the removed one is linked to.
    pub link_after: Option<Hex<32>>,
    /// The digest of the manifest that has taken their place; none where all was removed.
    pub replaced_by: Option<Hex<32>>,
    /// The digest of the line before; none for the first.
    pub before: Option<Hex<32>>,
    /// Who signed it.
    pub public_key: Hex<32>,
    /// Over this line with an empty signature.
    pub signature: Option<Hex<64>>,
}

/// What one part of the policy had deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeletedBy {
    /// The rule's name, `coverage`, or `default`.
    pub name: String,
    /// What it said: how long events are kept, or `store: no`.
    pub said: String,
    /// How many events.
    pub events: u64,
    /// The earliest arrival among them, milliseconds since 1970, UTC.
    pub received_min: i64,
    /// The latest.
    pub received_max: i64,
}

/// The file to which records are appended.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("log").join("deletions.ndjson")
}

/// All records of a data folder, oldest first; none where there is no file.
pub fn read_deletions(dir: &Path) -> Result<Vec<Deletion>, LogError> {
    Ok(read(&path(dir))?.into_iter().map(|(record, _)| record).collect())
}

impl Deletion {
    /// The one line of JSON.
    #[must_use]
    pub fn line(&self) -> String {
        // Numbers, texts and lists of them: nothing in it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a line; it must be exactly what [`Deletion::line`] writes, and signed by the key it names.
    fn parse(line: &str) -> Result<Self, String> {
        let own: Self = serde_json::from_str(line).map_err(|error| format!("no record: {error}"))?;
        if own.line() != line {
            return Err("not written as records are".to_owned());
        }
        let signed = own.signature.as_ref().is_some_and(|signature| {
            PublicKey(own.public_key).has_signed(own.message().as_bytes(), signature)
        });
        if signed { Ok(own) } else { Err("its signature does not fit".to_owned()) }
    }

    fn message(&self) -> String {
        format!("{PURPOSE}{}", Self { signature: None, ..self.clone() }.line())
    }

    /// How many bytes it gave free.
    #[must_use]
    pub const fn freed(&self) -> u64 {
        self.bytes_before.saturating_sub(self.bytes_after)
    }

    /// The entries it tells of.
    pub(super) const fn positions(&self) -> (Position, Position) {
        (self.first, self.last)
    }
}

/// Gives a record its number, its place and its signature, and appends it; it is durable when this returns. Refused
/// where the records before it are not what was written.
pub(super) fn append(dir: &Path, mut record: Deletion, key: &SigningKey) -> Result<(), LogError> {
    let path = path(dir);
    let before = read(&path)?;
    record.number = before.len() as u64 + 1;
    record.before = before.last().map(|(_, digest)| *digest);
    record.public_key = key.public().0;
    record.signature = None;
    record.signature = Some(key.sign(record.message().as_bytes()));
    durable::append_line(&path, &record.line())
}

/// The records in a file with the digests of their lines. Their numbers and links must be in order. A line without an
/// end was not written: a crash came.
fn read(path: &Path) -> Result<Vec<(Deletion, Hex<32>)>, LogError> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(LogError::file(path))?,
    };
    let mut records: Vec<(Deletion, Hex<32>)> = Vec::new();
    for (number, line) in (1_u64..).zip(text.split_inclusive('\n')) {
        let Some(line) = line.strip_suffix('\n') else { break };
        let broken = |reason: String| LogError::broken(path, format!("line {number}: {reason}"));
        let record = Deletion::parse(line).map_err(broken)?;
        let before = records.last().map(|(_, digest)| *digest);
        if (record.number, record.before) != (number, before) {
            return Err(broken("it does not follow the line before: one was put in or taken out".to_owned()));
        }
        records.push((record, Hex(*blake3::hash(line.as_bytes()).as_bytes())));
    }
    Ok(records)
}

/// All records, which must be signed by this key, and end with a whole line.
pub(super) fn verify(dir: &Path, key: Option<PublicKey>) -> Result<Vec<Deletion>, LogError> {
    let path = path(dir);
    let records = read_deletions(dir)?;
    if let Some(other) = records.iter().find(|record| Some(PublicKey(record.public_key)) != key) {
        let reason = format!("line {}: it is not signed by the expected key", other.number);
        return Err(LogError::broken(&path, reason));
    }
    durable::check_end(&path)?;
    Ok(records)
}

/// The segments that are gone for good, as readers need them: read anew when the file has grown. What cannot be read is
/// passed over here; the check of the log says what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// How much of the file was read.
    read: u64,
    /// In order of position, without overlap.
    ranges: Vec<Range>,
}

/// A removed segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub positions: (Position, Position),
    pub head_after: Hex<32>,
    /// What the manifest after it is linked to.
    pub link_after: Option<Hex<32>>,
}

impl Gone {
    /// Reads what was added to the file.
    pub(super) fn refresh(&mut self, dir: &Path) -> Result<(), LogError> {
        use std::os::unix::fs::FileExt as _;
        let path = path(dir);
        let file = match std::fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                *self = Self::default();
                return Ok(());
            }
            file => file.map_err(LogError::file(&path))?,
        };
        let length = file.metadata().map_err(LogError::file(&path))?.len();
        if length < self.read {
            *self = Self::default();
        }
        let mut bytes = vec![0; usize::try_from(length - self.read).unwrap_or_default()];
        file.read_exact_at(&mut bytes, self.read).map_err(LogError::file(&path))?;
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1);
        self.read += whole as u64;
        for line in bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n') {
            if let Ok(record) = serde_json::from_slice::<Deletion>(line)
                && record.removed
            {
                let Deletion { head_after, link_after, .. } = record;
                self.ranges.push(Range { positions: record.positions(), head_after, link_after });
            }
        }
        self.ranges.sort_by_key(|range| range.positions);
        Ok(())
    }

    /// The removed segment that had a position.
    pub(super) fn with(&self, position: Position) -> Option<&Range> {
        let index = self.ranges.partition_point(|range| range.positions.1 < position);
        self.ranges.get(index).filter(|range| range.positions.0 <= position)
    }

    /// The removed segments, in order of position.
    pub(super) fn ranges(&self) -> &[Range] {
        &self.ranges
    }
}

#[cfg(test)]
pub(super) fn example(first: Position, last: Position) -> Deletion {
    let by = DeletedBy {
        name: "clones".into(),
        said: "90d".into(),
        events: last - first + 1,
        received_min: 5,
        received_max: 6,
    };
    Deletion {
        number: 0,
        at: 1000,
        first,
        last,
        removed: true,
        events: last - first + 1,
        rules: vec![by],
        types: [("user_\"created".to_owned(), last - first + 1)].into(),
        bytes_before: 100,
        bytes_after: 0,
        head_before: Hex([1; 32]),
        head_after: Hex([2; 32]),
        manifests: vec![Hex([3; 32])],
        link_before: None,
        link_after: Some(Hex([3; 32])),
        replaced_by: None,
        before: None,
        public_key: Hex([0; 32]),
        signature: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, SigningKey) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("log")).unwrap();
        let key = SigningKey::load_or_make(dir.path()).unwrap();
        (dir, key)
    }

    #[test]
    fn records_are_chained_and_each_changed_byte_is_found() {
        let (dir, key) = folder();
        for first in [1, 11, 31] {
            append(dir.path(), example(first, first + 9), &key).unwrap();
        }
        let expected = Some(key.public());
        let records = verify(dir.path(), expected).unwrap();
        assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3]);
        let path = path(dir.path());
        let whole = std::fs::read(&path).unwrap();
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 1 << (index % 7);
            std::fs::write(&path, bytes).unwrap();
            assert!(verify(dir.path(), expected).is_err(), "byte {index}");
        }
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        for kept in [[0, 2].as_slice(), &[1, 2], &[1, 0, 2], &[0, 0, 1, 2]] {
            let bytes: Vec<u8> = kept.iter().flat_map(|index| lines[*index].to_vec()).collect();
            std::fs::write(&path, bytes).unwrap();
            assert!(verify(dir.path(), expected).is_err(), "{kept:?}");
        }
        std::fs::write(&path, &whole).unwrap();
        let (_other, other) = folder();
        assert!(verify(dir.path(), Some(other.public())).is_err());
    }

    #[test]
    fn an_unfinished_line_was_never_written() {
        let (dir, key) = folder();
        append(dir.path(), example(1, 10), &key).unwrap();
        let path = path(dir.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"number\":2,");
        std::fs::write(&path, bytes).unwrap();
        let mut gone = Gone::default();
        gone.refresh(dir.path()).unwrap();
        assert_eq!(read_deletions(dir.path()).unwrap().len(), 1);
        append(dir.path(), example(21, 30), &key).unwrap();
        assert_eq!(verify(dir.path(), Some(key.public())).unwrap().len(), 2);
        gone.refresh(dir.path()).unwrap();
        let found: Vec<bool> =
            [0, 1, 10, 11, 21, 30, 31].map(|position| gone.with(position).is_some()).into();
        assert_eq!(found, [false, true, true, false, true, true, false]);
    }
}
