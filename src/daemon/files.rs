//! Which files lie in the folders of rules and lists, and what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::rule::{Diagnostic, Severity};

/// How many files are read at most, over all folders.
pub(super) const FILES_MAX: usize = 100_000;

/// Texts by the path of their file.
pub(super) type Texts = BTreeMap<Arc<str>, String>;

/// The files of a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By folder, then by name.
    pub(super) files: Vec<PathBuf>,
    /// Those of them that lie where nobody can look now. They were there before.
    pub(super) held: BTreeSet<PathBuf>,
}

/// The files with these endings below a folder, by name; a file that is named itself is taken as it is. Hidden
/// files, such as an editor's, are passed over. A folder that cannot be listed, and a named one that is not there,
/// are told; what is known from below them counts as still there.
pub(super) fn files_below(
    path: &Path,
    endings: &[&str],
    known: &Texts,
    diagnostics: &mut Vec<Diagnostic>,
) -> Found {
    let mut found = Found::default();
    let mut open = vec![path.to_path_buf()];
    while let Some(here) = open.pop() {
        let has_ending = here.extension().is_some_and(|ending| endings.iter().any(|known| ending == *known));
        match std::fs::metadata(&here) {
            Ok(about) if about.is_dir() => match visible(&here) {
                Ok(entries) => open.extend(entries),
                Err(error) => found.lose(&here, &error, known, diagnostics),
            },
            Err(error) if here == path && below(path, known).next().is_some() => {
                found.lose(path, &error, known, diagnostics);
            }
            // What cannot be looked at fails when it is read, which says why.
            Ok(_) | Err(_) if has_ending || here == path => found.files.push(here),
            // A link to nothing, or gone since.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Ok(_) => {}
            Err(error) => found.lose(&here, &error, known, diagnostics),
        }
        if found.files.len() + open.len() > FILES_MAX {
            diagnostics.push(unreadable(path, format!("more than {FILES_MAX} files")));
            break;
        }
    }
    // By folder, then by name; comparing paths part by part would take longer than reading the files.
    let order = |path: &PathBuf| -> Vec<u8> {
        let bytes = path.as_os_str().as_encoded_bytes().iter();
        bytes.map(|byte| if std::path::is_separator(char::from(*byte)) { 0 } else { *byte }).collect()
    };
    found.files.sort_by_cached_key(order);
    found
}

impl Found {
    /// Nobody can look into this folder.
    fn lose(
        &mut self,
        folder: &Path,
        error: &std::io::Error,
        known: &Texts,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let lost: Vec<PathBuf> = below(folder, known).map(Path::to_path_buf).collect();
        let goes_on = if lost.is_empty() { "" } else { "; the last good version of what lay there goes on" };
        diagnostics.push(unreadable(folder, format!("{error}{goes_on}")));
        self.held.extend(lost.iter().cloned());
        self.files.extend(lost);
    }
}

fn visible(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let visible = entries.iter().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    Ok(visible.map(std::fs::DirEntry::path).collect())
}

/// What is known of a folder that may be gone.
fn below<'a>(folder: &'a Path, known: &'a Texts) -> impl Iterator<Item = &'a Path> {
    let known = known.keys().map(|path| Path::new(&**path));
    known.filter(move |path| *path != folder && path.starts_with(folder))
}

/// A file's text; why there is none.
pub(super) fn read_text(path: &Path, bytes_max: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("it has more than {bytes_max} bytes, which is the limit"));
    }
    String::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {}", error.utf8_error()))
}

pub(super) fn unreadable(path: &Path, reason: String) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: "unreadable",
        message: format!("cannot be read: {reason}"),
        help: None,
        path: path.to_string_lossy().into(),
        line: 0,
        column: 1,
        width: 1,
    }
}
