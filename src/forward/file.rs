//! `type: file`: NDJSON appended, synced before the position moves, rotated by size.
//!
//! The checkpoint holds the position and the file's length at that position. What a crash left behind that length
//! was not yet counted; it is cut off at the start and written again, so that no line stands twice.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::event::Position;
use crate::log::fault;

use super::config::Rotate;

/// Where an append-only file stood at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FileMark {
    pub(super) position: Position,
    pub(super) length: u64,
}

impl FileMark {
    /// Two little-endian numbers of 64 bits.
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (position, length) = bytes.split_at_mut(8);
        position.copy_from_slice(&self.position.to_le_bytes());
        length.copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (position, length) = bytes.split_at_checked(8)?;
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
        Some(Self { position: number(position)?, length: number(length)? })
    }
}

/// The file being written.
#[derive(Debug)]
pub(super) struct FileOutput {
    path: PathBuf,
    rotate: Rotate,
    file: File,
    length: u64,
    /// Whether the disk may not yet know of a rotation.
    is_unsettled: bool,
}

impl FileOutput {
    /// Opens the file and cuts off what lies behind the mark. A file shorter than the mark was put aside before
    /// the mark could follow (or by somebody else): it is taken as it is.
    pub(super) fn open(path: &Path, rotate: Rotate, mark: FileMark) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let file = create(path)?;
        let mut length = file.metadata()?.len();
        if length > mark.length {
            file.set_len(mark.length)?;
            file.sync_all()?;
            length = mark.length;
        }
        Ok(Self { path: path.to_owned(), rotate, file, length, is_unsettled: true })
    }

    /// Whether the next batch belongs into a new file.
    pub(super) fn is_full(&self) -> bool {
        self.length > 0 && self.length >= self.rotate.size.0
    }

    /// Puts the file aside as `.1`, the older ones one further, and begins an empty one. The caller records the
    /// length 0 before anything is appended. After an error it goes on where it was.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        if self.rotate.keep == 0 {
            self.file.set_len(0)?;
            self.file.sync_all()?;
            self.length = 0;
            return Ok(());
        }
        // Without it all were renamed before, and only the new file is missing: renaming again would push the
        // oldest out, each time that it is tried.
        if is_there(&self.path)? {
            for number in (1..self.rotate.keep).rev() {
                rename_if_there(&self.numbered(number), &self.numbered(number + 1))?;
            }
            fault::point("forward.older_files_renamed");
            rename_if_there(&self.path, &self.numbered(1))?;
        }
        self.is_unsettled = true;
        self.file = create(&self.path)?;
        self.length = 0;
        self.settle()
    }

    /// Lets the disk know of the new names, before anything relies on them.
    fn settle(&mut self) -> io::Result<()> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        self.is_unsettled = false;
        Ok(())
    }

    /// Appends and syncs; the new length. What a failed append left behind is cut off again.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        if self.is_unsettled {
            self.settle()?;
        }
        let written = self.file.write_all(bytes).and_then(|()| {
            fault::point("forward.file_written");
            self.file.sync_data()
        });
        match written {
            Ok(()) => {
                self.length += bytes.len() as u64;
                Ok(self.length)
            }
            Err(error) => {
                self.file.set_len(self.length)?;
                Err(error)
            }
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn path(&self) -> String {
        self.path.display().to_string()
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Readable by the daemon's group at most: audit events are nobody else's business.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

fn is_there(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        looked => looked.map(|_| true),
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::ByteSize;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_else(|_| "(none)".into())
    }

    #[test]
    fn what_a_crash_left_behind_the_mark_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/archive.ndjson");
        let mut output = FileOutput::open(&path, Rotate::default(), FileMark::default()).unwrap();
        let length = output.append(b"one\n").unwrap();
        let mark = FileMark { position: 1, length };
        output.append(b"two\nthr").unwrap();
        drop(output);
        let mut output = FileOutput::open(&path, Rotate::default(), mark).unwrap();
        assert_eq!(output.append(b"two\n").unwrap(), 8);
        assert_eq!(read(&path), "one\ntwo\n");
        assert_eq!(FileMark::from_bytes(&mark.to_bytes()), Some(mark));
        assert_eq!(FileMark::from_bytes(b"short"), None);
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let rotate = Rotate { size: ByteSize(4), keep: 2 };
        let mut output = FileOutput::open(&path, rotate, FileMark::default()).unwrap();
        for line in ["1111\n", "2222\n", "3333\n", "4\n"] {
            if output.is_full() {
                output.rotate().unwrap();
            }
            output.append(line.as_bytes()).unwrap();
        }
        let numbered = |n: u32| read(&dir.path().join(format!("a.{n}")));
        assert_eq!(
            (read(&path), numbered(1), numbered(2), numbered(3)),
            ("4\n".into(), "3333\n".into(), "2222\n".into(), "(none)".into())
        );
        assert!(!output.is_full());
    }

    #[test]
    fn a_crash_between_rotation_and_mark_loses_and_doubles_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut output = FileOutput::open(&path, Rotate::default(), FileMark::default()).unwrap();
        let mark = FileMark { position: 9, length: output.append(b"one\ntwo\n").unwrap() };
        output.rotate().unwrap();
        drop(output);
        // The mark still tells of the old file's length.
        let mut output = FileOutput::open(&path, Rotate::default(), mark).unwrap();
        assert_eq!(output.length(), 0);
        output.append(b"three\n").unwrap();
        assert_eq!((read(&path), read(&dir.path().join("a.1"))), ("three\n".into(), "one\ntwo\n".into()));
    }

    #[test]
    fn a_rotation_that_stopped_half_way_goes_on_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let numbered = |n: u32| dir.path().join(format!("a.{n}"));
        let rotate = Rotate { size: ByteSize(4), keep: 2 };
        let mut output = FileOutput::open(&path, rotate, FileMark::default()).unwrap();
        output.append(b"1111\n").unwrap();
        output.rotate().unwrap();
        output.append(b"2222\n").unwrap();
        // All is renamed, but no new file could be made; that is tried again and again.
        std::fs::rename(numbered(1), numbered(2)).unwrap();
        std::fs::rename(&path, numbered(1)).unwrap();
        for _ in 0..2 {
            output.rotate().unwrap();
            std::fs::remove_file(&path).unwrap();
        }
        output.rotate().unwrap();
        output.append(b"3\n").unwrap();
        assert_eq!(
            (read(&path), read(&numbered(1)), read(&numbered(2))),
            ("3\n".into(), "2222\n".into(), "1111\n".into())
        );
    }
}
