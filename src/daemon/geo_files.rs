//! GeoIP databases: read when their files change, and kept as they were when a file turns out broken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::files::unreadable;
use crate::enrich::{Database, Geo};
use crate::rule::Diagnostic;

/// A larger file is refused; the largest that are sold have less.
const BYTES_MAX: u64 = 1 << 30;
/// Most databases.
const FILES_MAX: usize = 8;

/// When a file was changed, and its length: if both stay, so does its content.
type Stamp = (SystemTime, u64);

/// Databases as they were last read.
#[derive(Debug, Default)]
pub(super) struct GeoFiles {
    known: BTreeMap<PathBuf, (Stamp, Arc<Database>)>,
    /// Of several databases together, made anew only when one of them is.
    joined: Option<Arc<Geo>>,
}

impl GeoFiles {
    /// Reads the files that changed. One that cannot be read is told, and goes on in its last good version.
    pub(super) fn read(&mut self, paths: &[PathBuf], diagnostics: &mut Vec<Diagnostic>) -> Option<Arc<Geo>> {
        if let Some(extra) = paths.get(FILES_MAX) {
            diagnostics.push(unreadable(extra, format!("at most {FILES_MAX} GeoIP databases are read")));
        }
        let paths = paths.get(..FILES_MAX).unwrap_or(paths);
        let mut is_new = false;
        for path in paths {
            match self.changed(path) {
                Ok(None) => {}
                Ok(Some((stamp, database))) => {
                    self.known.insert(path.clone(), (stamp, Arc::new(database)));
                    is_new = true;
                }
                Err(reason) => diagnostics.push(unreadable(path, reason)),
            }
        }
        if is_new {
            let databases = paths.iter().filter_map(|path| self.known.get(path));
            self.joined =
                Geo::new(databases.map(|(_, database)| Arc::clone(database)).collect()).map(Arc::new);
        }
        self.joined.clone()
    }

    fn changed(&self, path: &Path) -> Result<Option<(Stamp, Database)>, String> {
        let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
        if about.len() > BYTES_MAX {
            return Err(format!("{} bytes; the limit is {BYTES_MAX}", about.len()));
        }
        let stamp = (about.modified().map_err(|error| error.to_string())?, about.len());
        if self.known.get(path).is_some_and(|(known, _)| *known == stamp) {
            return Ok(None);
        }
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        let database = Database::read(bytes).map_err(|error| error.to_string())?;
        Ok(Some((stamp, database)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::testing::{asn, city};
    use crate::enrich::{Fact, GeoField};

    #[test]
    fn a_broken_file_goes_on_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mmdb");
        let paths = [path.clone()];
        let mut files = GeoFiles::default();
        let mut read = || {
            let mut told = Vec::new();
            let geo = files.read(&paths, &mut told);
            (geo, told.into_iter().map(|diagnostic| diagnostic.message).collect::<Vec<_>>())
        };
        let (geo, told) = read();
        assert!(geo.is_none() && told[0].starts_with("cannot be read"), "{told:?}");
        std::fs::write(&path, city()).unwrap();
        let (first, told) = read();
        let first = first.unwrap();
        assert_eq!(told, Vec::<String>::new());
        assert!(Arc::ptr_eq(&first, &read().0.unwrap()), "an unchanged file is not read again");
        std::fs::write(&path, "half a fi").unwrap();
        let (kept, told) = read();
        assert!(Arc::ptr_eq(&first, &kept.unwrap()) && told[0].contains("MaxMind"), "{told:?}");
        std::fs::write(&path, asn()).unwrap();
        let (second, told) = read();
        let answer = second.as_ref().unwrap().answer("192.0.2.1").get(GeoField::Asn);
        assert_eq!((answer, told.len()), (Some(Fact::Number(64511.0)), 0));
    }
}
