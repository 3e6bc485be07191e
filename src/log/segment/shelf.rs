//! Which segments there are: found out from names and manifests, without opening any.
//!
//! * A database without manifest whose entries are still in the hot end is being made, and nothing yet.
//! * Where two overlap, the one that covers more counts: the other was merged into it, and a crash has left it.
//! * Where two have the same positions, the one that was written anew counts.
//! * What retention has removed is gone, whether its files still lie there or not: a signed record says so.
//! * Other positions up to the hot end's base that no whole segment has are damage, and listed as such.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{Manifest, SegmentInfo};
use super::name::{self, Name};
use super::{Positions, folder};
use crate::event::Position;
use crate::log::LogError;
use crate::log::deletion::{Gone, Range};
use crate::time::Timestamp;

/// While segments are merged, a listing may miss both the new one and an old one: it is made again.
const LISTINGS_MAX: usize = 4;

/// One segment.
#[derive(Debug)]
pub(in crate::log) struct Listed {
    pub info: SegmentInfo,
    /// None when it cannot be read or is not there.
    pub manifest: Option<Manifest>,
    /// The database.
    pub path: PathBuf,
    /// 0 unless it was written anew.
    pub edition: u64,
}

impl Listed {
    pub(in crate::log) const fn positions(&self) -> Positions {
        (self.info.first, self.info.last)
    }

    /// What it is called.
    pub(in crate::log) const fn name(&self) -> Name {
        Name { positions: self.positions(), edition: self.edition }
    }

    /// The manifest's file.
    pub(in crate::log) fn manifest_path(&self) -> PathBuf {
        self.path.with_extension("json")
    }
}

/// The segments of a data folder, in order of position and without overlap.
#[derive(Debug)]
pub(in crate::log) struct Shelf {
    dir: PathBuf,
    folder: PathBuf,
    listed: Vec<Arc<Listed>>,
    gone: Gone,
}

/// The names found in the folder.
#[derive(Default)]
struct Names {
    databases: BTreeSet<Name>,
    manifests: BTreeSet<Name>,
}

impl Shelf {
    /// Nothing listed yet.
    pub(in crate::log) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), folder: folder(dir), listed: Vec::new(), gone: Gone::default() }
    }

    /// The segments, as of the last refresh.
    pub(in crate::log) fn all(&self) -> &[Arc<Listed>] {
        &self.listed
    }

    /// The segment that has a position.
    pub(in crate::log) fn with(&self, position: Position) -> Option<&Arc<Listed>> {
        let index = self.listed.partition_point(|listed| listed.info.last < position);
        self.listed.get(index).filter(|listed| listed.info.first <= position)
    }

    /// The removed segment that had a position.
    pub(in crate::log) fn gone(&self, position: Position) -> Option<&Range> {
        self.gone.with(position)
    }

    /// The last position that any segment has or had.
    pub(in crate::log) fn last(&self) -> Position {
        let gone = self.gone.ranges().last().map_or(0, |range| range.positions.1);
        self.listed.last().map_or(0, |listed| listed.info.last).max(gone)
    }

    /// The path of a segment's database.
    pub(in crate::log) fn path(&self, positions: Positions) -> PathBuf {
        self.path_of(Name { positions, edition: 0 })
    }

    /// The same for one that is written anew.
    pub(in crate::log) fn path_of(&self, name: Name) -> PathBuf {
        self.folder.join(format!("{}.db", name.stem()))
    }

    /// Lists anew. `base` is the last position that the hot end has no more.
    pub(in crate::log) fn refresh(&mut self, base: Position) -> Result<(), LogError> {
        for attempt in 1.. {
            let names = self.names()?;
            // After the names: the record of what is not there any more was written before.
            self.gone.refresh(&self.dir)?;
            let known: BTreeMap<Name, Arc<Listed>> =
                self.listed.drain(..).map(|listed| (listed.name(), listed)).collect();
            let mut found = self.read(&names, &known)?;
            found.retain(|listed| self.gone.with(listed.info.first).is_none());
            let (whole, damaged) = found.into_iter().partition(|listed| listed.info.damage.is_none());
            self.listed = outermost(whole);
            let is_whole = self.fill_gaps(base, damaged);
            if is_whole || attempt >= LISTINGS_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Every pair of files in the folder, overlapping or not, for those who clean up.
    pub(in crate::log) fn everything(&self) -> Result<Vec<Arc<Listed>>, LogError> {
        self.read(&self.names()?, &BTreeMap::new())
    }

    fn names(&self) -> Result<Names, LogError> {
        let mut names = Names::default();
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
            entries => entries.map_err(LogError::file(&self.folder))?,
        };
        for entry in entries {
            let entry = entry.map_err(LogError::file(&self.folder))?;
            match entry.file_name().to_str().and_then(name::parse) {
                Some((name, "db")) => names.databases.insert(name),
                Some((name, _)) => names.manifests.insert(name),
                None => false,
            };
        }
        Ok(names)
    }

    fn read(&self, names: &Names, known: &BTreeMap<Name, Arc<Listed>>) -> Result<Vec<Arc<Listed>>, LogError> {
        let mut found = Vec::new();
        for name in names.databases.union(&names.manifests) {
            let is_pair = names.databases.contains(name) && names.manifests.contains(name);
            match known.get(name).filter(|listed| is_pair && listed.info.damage.is_none()) {
                Some(listed) => found.push(Arc::clone(listed)),
                None => found.extend(self.read_one(*name, names)?.map(Arc::new)),
            }
        }
        Ok(found)
    }

    /// None when it was removed meanwhile.
    fn read_one(&self, name: Name, names: &Names) -> Result<Option<Listed>, LogError> {
        let path = self.path_of(name);
        let damaged = |reason: String| Some(damaged(name, path.clone(), reason));
        if !names.manifests.contains(&name) {
            return Ok(damaged("its manifest is missing".to_owned()));
        }
        let manifest = match Manifest::read(&path.with_extension("json"), name.positions) {
            Err(LogError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Ok(damaged(error.to_string())),
            Ok(manifest) => manifest,
        };
        let damage = match std::fs::metadata(&path) {
            Err(error) => Some(format!("{}: {error}", path.display())),
            Ok(file) if file.len() != manifest.bytes => {
                Some(format!("{} has {} bytes instead of {}", path.display(), file.len(), manifest.bytes))
            }
            Ok(_) => None,
        };
        let info = SegmentInfo { damage, ..manifest.info() };
        Ok(Some(Listed { info, manifest: Some(manifest), path, edition: name.edition }))
    }

    /// Puts what is damaged where nothing whole is; true if nothing up to the base is missing.
    fn fill_gaps(&mut self, base: Position, damaged_ones: Vec<Arc<Listed>>) -> bool {
        let mut gaps = Vec::new();
        let mut next = 1;
        let gone = self.gone.ranges().iter().map(|range| range.positions);
        let mut taken: Vec<Positions> =
            self.listed.iter().map(|listed| listed.positions()).chain(gone).collect();
        taken.sort_unstable();
        for (first, last) in taken {
            if first > next {
                gaps.push((next, first - 1));
            }
            next = next.max(last + 1);
        }
        if next <= base {
            gaps.push((next, base));
        }
        let damaged_ones = outermost(damaged_ones);
        for (first, last) in &gaps {
            let mut next = *first;
            for listed in
                damaged_ones.iter().filter(|listed| listed.info.first >= *first && listed.info.last <= *last)
            {
                if listed.info.first > next {
                    self.listed.push(Arc::new(self.missing((next, listed.info.first - 1))));
                }
                next = listed.info.last + 1;
                self.listed.push(Arc::clone(listed));
            }
            if next <= *last {
                self.listed.push(Arc::new(self.missing((next, *last))));
            }
        }
        self.listed.sort_by_key(|listed| listed.info.first);
        gaps.is_empty()
    }

    fn missing(&self, positions: Positions) -> Listed {
        let name = Name { positions, edition: 0 };
        damaged(name, self.path_of(name), "no segment has these entries".to_owned())
    }
}

fn damaged(name: Name, path: PathBuf, reason: String) -> Listed {
    let Name { positions: (first, last), edition } = name;
    let info = SegmentInfo {
        first,
        last,
        events: 0,
        deleted: 0,
        bytes: 0,
        times: None,
        received: None,
        sealed_at: Timestamp(0),
        format: 0,
        damage: Some(reason),
    };
    Listed { info, manifest: None, path, edition }
}

/// Without those that lie within another one, or were written anew.
fn outermost(mut all: Vec<Arc<Listed>>) -> Vec<Arc<Listed>> {
    use std::cmp::Reverse;
    all.sort_by_key(|listed| (listed.info.first, Reverse(listed.info.last), Reverse(listed.edition)));
    let mut end = 0;
    all.retain(|listed| {
        let is_new = listed.info.first > end;
        if is_new {
            end = listed.info.last;
        }
        is_new
    });
    all
}
