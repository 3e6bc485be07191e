//! A place in a file that survives renaming, truncation and restart. Synchronous: run it where blocking is allowed.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How far one file was read. Saved as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Which file, whatever its name is by now.
    pub inode: u64,
    /// The beginning of the first line that was not taken.
    pub offset: u64,
    /// What stood before it.
    pub mark: Mark,
}

/// The last bytes before a place. They tell a file that only grew from one that was emptied and written anew, and
/// from another file that was given the inode of a deleted one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    length: usize,
    hash: String,
}

const MARK_MAX: usize = 64;

impl Mark {
    fn of(before: &[u8]) -> Self {
        let tail = before.get(before.len().saturating_sub(MARK_MAX)..).unwrap_or(before);
        let hash = blake3::hash(tail).to_hex().get(..16).unwrap_or_default().to_owned();
        Self { length: tail.len(), hash }
    }
}

/// What stands at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Complete lines, up to the place after them.
    Lines(Bytes, Place),
    /// A line that is longer than the limit: its beginning, and the place after it.
    TooLong(Bytes, Place),
    /// No complete line; perhaps the beginning of one.
    Nothing(Bytes),
    /// The file was emptied since: read it again from the start.
    Restarted(Place),
}

/// An open file and how far it was read.
#[derive(Debug, Clone)]
pub(super) struct Followed {
    pub file: Arc<File>,
    pub place: Place,
}

const CHUNK: usize = 512 * 1024;

impl Followed {
    /// Opens a file at its beginning.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let inode = file.metadata()?.ino();
        let place = Place { inode, offset: 0, mark: Mark::of(b"") };
        Ok(Self { file: Arc::new(file), place })
    }

    /// Opens a file where it was left; from the start if it is not the same file any more.
    pub fn resume(path: &Path, place: &Place) -> io::Result<Self> {
        let opened = Self::open(path)?;
        let left = Self { file: Arc::clone(&opened.file), place: place.clone() };
        if opened.place.inode == place.inode && left.is_where_it_was()? { Ok(left) } else { Ok(opened) }
    }

    fn is_where_it_was(&self) -> io::Result<bool> {
        let Place { offset, mark, .. } = &self.place;
        if self.file.metadata()?.len() < *offset {
            return Ok(false);
        }
        let mut before = vec![0; mark.length];
        match self.file.read_exact_at(&mut before, offset.saturating_sub(mark.length as u64)) {
            Ok(()) => Ok(Mark::of(&before) == *mark),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Looks at what comes next, without moving on; a line may have `line_max` bytes.
    pub fn next(&self, line_max: usize) -> io::Result<Next> {
        if !self.is_where_it_was()? {
            return Ok(Next::Restarted(Place { offset: 0, mark: Mark::of(b""), ..self.place.clone() }));
        }
        let mut size = CHUNK.min(line_max.max(1));
        loop {
            let bytes = self.read_at(self.place.offset, size)?;
            if let Some(end) = memchr::memrchr(b'\n', &bytes) {
                let after = self.after(bytes.get(..=end).unwrap_or_default());
                return Ok(Next::Lines(bytes.slice(..=end), after));
            }
            if bytes.len() < size {
                return Ok(Next::Nothing(bytes));
            }
            if size >= line_max {
                return self.skip_line(bytes);
            }
            size = size.saturating_mul(4).min(line_max);
        }
    }

    /// The place after `taken`, which begins at this place.
    pub fn after(&self, taken: &[u8]) -> Place {
        let offset = self.place.offset + taken.len() as u64;
        Place { inode: self.place.inode, offset, mark: Mark::of(taken) }
    }

    /// Skips to the end of a line, or of the file if the line is still being written.
    fn skip_line(&self, beginning: Bytes) -> io::Result<Next> {
        let mut offset = self.place.offset + beginning.len() as u64;
        let mut mark = Mark::of(&beginning);
        loop {
            let bytes = self.read_at(offset, CHUNK)?;
            let end = memchr::memchr(b'\n', &bytes).map(|end| end + 1);
            let skipped = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            if !skipped.is_empty() {
                mark = Mark::of(skipped);
            }
            offset += skipped.len() as u64;
            if end.is_some() || bytes.is_empty() {
                return Ok(Next::TooLong(beginning, Place { inode: self.place.inode, offset, mark }));
            }
        }
    }

    fn read_at(&self, offset: u64, size: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; size];
        let mut filled = 0;
        while let Some(space) = bytes.get_mut(filled..).filter(|space| !space.is_empty()) {
            match self.file.read_at(space, offset + filled as u64) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes.into())
    }
}

/// A file beside the followed one that carries its name and more: `audit_json.log.1`, `audit_json.log-20260101`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sibling {
    pub path: PathBuf,
    pub inode: u64,
    pub modified: SystemTime,
    pub compressed: bool,
}

/// The followed file, if it is there, and its rotated siblings, oldest first.
pub(super) fn siblings(path: &Path) -> io::Result<Vec<Sibling>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let entry_name = entry.file_name();
        let rest = entry_name.as_encoded_bytes().strip_prefix(name);
        if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b".") || rest.starts_with(b"-")) {
            continue;
        }
        // Gone between listing and looking: no longer a sibling.
        let Ok(metadata) = entry.metadata() else { continue };
        let Ok(modified) = metadata.modified() else { continue };
        if metadata.is_file() {
            let packed = ["gz", "xz", "zst", "bz2"];
            let compressed = entry.path().extension().is_some_and(|e| packed.iter().any(|p| e == *p));
            found.push(Sibling { path: entry.path(), inode: metadata.ino(), modified, compressed });
        }
    }
    found.sort_by_key(|sibling| sibling.modified);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn lines(followed: &mut Followed) -> Option<String> {
        match followed.next(1_000).unwrap() {
            Next::Lines(bytes, place) => {
                followed.place = place;
                Some(String::from_utf8(bytes.to_vec()).unwrap())
            }
            _ => None,
        }
    }

    #[test]
    fn only_complete_lines_come_out() {
        let (_folder, path) = written("one\ntwo\nthr");
        let mut followed = Followed::open(&path).unwrap();
        assert_eq!(lines(&mut followed).unwrap(), "one\ntwo\n");
        assert_eq!(followed.next(1_000).unwrap(), Next::Nothing("thr".into()));
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"ee\n").unwrap();
        assert_eq!(lines(&mut followed).unwrap(), "three\n");
        assert_eq!(lines(&mut followed), None);
    }

    #[test]
    fn a_truncated_file_is_noticed_even_when_it_has_grown_past_the_place() {
        let (_folder, path) = written("first\n");
        let mut followed = Followed::open(&path).unwrap();
        lines(&mut followed).unwrap();
        std::fs::write(&path, "anew, and much longer\n").unwrap();
        let Next::Restarted(place) = followed.next(1_000).unwrap() else { panic!("not noticed") };
        followed.place = place;
        assert_eq!(lines(&mut followed).unwrap(), "anew, and much longer\n");
    }

    #[test]
    fn a_file_resumes_only_if_it_is_the_same() {
        let (_folder, path) = written("one\ntwo\n");
        let mut followed = Followed::open(&path).unwrap();
        let start = followed.place.clone();
        lines(&mut followed).unwrap();
        assert_eq!(Followed::resume(&path, &followed.place).unwrap().place, followed.place);
        std::fs::write(&path, "ONE\nTWO\n").unwrap();
        assert_eq!(Followed::resume(&path, &followed.place).unwrap().place, start);
    }

    #[test]
    fn a_line_beyond_the_limit_is_skipped_whole() {
        let long = "y".repeat(CHUNK * 2);
        let (_folder, path) = written(&format!("{long}\nshort\n"));
        let mut followed = Followed::open(&path).unwrap();
        let Next::TooLong(beginning, place) = followed.next(1_000).unwrap() else { panic!("not noticed") };
        assert_eq!(beginning.len(), 1_000);
        followed.place = place;
        assert_eq!(lines(&mut followed).unwrap(), "short\n");
    }

    #[test]
    fn a_line_longer_than_a_chunk_is_read_whole() {
        let long = "y".repeat(CHUNK + 10);
        let (_folder, path) = written(&format!("{long}\n"));
        let followed = Followed::open(&path).unwrap();
        let Next::Lines(bytes, _) = followed.next(CHUNK * 3).unwrap() else { panic!("not read") };
        assert_eq!(bytes.len(), CHUNK + 11);
    }

    #[test]
    fn siblings_carry_the_name() {
        let (folder, path) = written("");
        for name in ["log.1", "log-20260101", "log.2.gz", "logs", "other", "log.d/x"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let mut names: Vec<_> = siblings(&path)
            .unwrap()
            .into_iter()
            .map(|s| (s.path.file_name().unwrap().to_str().unwrap().to_owned(), s.compressed))
            .collect();
        names.sort();
        let expected = [("log", false), ("log-20260101", false), ("log.1", false), ("log.2.gz", true)];
        assert_eq!(names, expected.map(|(name, compressed)| (name.to_owned(), compressed)));
    }
}
