//! Rule files, lists and GeoIP databases: reads them, compiles them, and keeps the last good version of a broken one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::geo_files::GeoFiles;
use crate::engine::{Environment, RuleSet, compile};
use crate::enrich::{Enrichment, Own};
use crate::event::Catalogue;
use crate::rule::ast::Filter;
use crate::rule::{Diagnostic, Lists, RuleFile, Severity, imported_path, imports, load};
use crate::script::{Cage, ListTable};
use crate::time::{Span, Timestamp};

/// Where rules and lists are, and what they are compiled with.
#[derive(Debug, Clone, Default)]
pub struct RulebookConfig {
    /// Files and folders.
    pub rules: Vec<PathBuf>,
    /// A folder.
    pub lists: Option<PathBuf>,
    /// GeoIP databases.
    pub geo: Vec<PathBuf>,
    /// Watchfire's own accounts.
    pub own: Option<Arc<Own>>,
    /// How late an event may come.
    pub lateness: Span,
}

/// What one reading of the files gave.
#[derive(Debug)]
pub struct Reading {
    /// The rules that run.
    pub rules: Arc<RuleSet>,
    /// The exceptions, also those that have expired.
    pub filters: Vec<Filter>,
    /// What the rules were compiled with.
    pub environment: Environment,
    /// All that is wrong with the files as they now are.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts, for showing the lines.
    pub texts: BTreeMap<Arc<str>, String>,
    /// Files that are broken and run in their last good version.
    pub kept: Vec<Arc<str>>,
}

impl Reading {
    /// Whether any file has an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The diagnostics as people read them.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        crate::rule::render(&self.diagnostics, &|path| self.texts.get(path).map(String::as_str), color)
    }
}

/// Reads rule and list files again and again.
#[derive(Debug)]
pub struct Rulebook {
    config: RulebookConfig,
    catalogue: Arc<Catalogue>,
    last_good: BTreeMap<Arc<str>, String>,
    last_good_lists: BTreeMap<PathBuf, String>,
    geo: GeoFiles,
}

/// A larger file is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A larger list is refused.
const LIST_BYTES_MAX: u64 = 64 << 20;
/// How many files are read at most, over all folders.
const FILES_MAX: usize = 100_000;

impl Rulebook {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(config: RulebookConfig, catalogue: Arc<Catalogue>) -> Self {
        Self {
            config,
            catalogue,
            last_good: BTreeMap::new(),
            last_good_lists: BTreeMap::new(),
            geo: GeoFiles::default(),
        }
    }

    /// The folders and files to watch.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let files = self.config.rules.iter().chain(&self.config.lists).chain(&self.config.geo);
        files.map(PathBuf::as_path)
    }

    /// Reads everything. A file with errors runs in its last good version, if it ever had one; `today` decides
    /// which exceptions have expired.
    pub fn read(&mut self, today: Timestamp) -> Reading {
        let mut diagnostics = Vec::new();
        let lists = self.read_lists(&mut diagnostics);
        let geo = self.geo.read(&self.config.geo, &mut diagnostics);
        let enrichment = Enrichment::new(geo, self.config.own.clone(), Vec::new());
        let mut files = Vec::new();
        for path in rule_files(&self.config.rules, &mut diagnostics) {
            match read_text(&path, FILE_BYTES_MAX) {
                Ok(text) => files.push(RuleFile { path: path.to_string_lossy().into(), text }),
                Err(reason) => diagnostics.push(unreadable(&path, reason)),
            }
        }
        self.add_imports(&mut files, &mut diagnostics);
        let texts: BTreeMap<Arc<str>, String> =
            files.iter().map(|file| (Arc::clone(&file.path), file.text.clone())).collect();
        let base = self.environment(&lists, enrichment, today);
        let (mut rules, mut filters, mut environment, found) = build(&files, &lists, &base);
        diagnostics.extend(found);
        let broken: Vec<Arc<str>> = broken_files(&diagnostics);
        let kept: Vec<Arc<str>> =
            broken.iter().filter(|path| self.last_good.contains_key(*path)).cloned().collect();
        if !kept.is_empty() {
            for file in &mut files {
                if let Some(good) = self.last_good.get(&file.path).filter(|_| kept.contains(&file.path)) {
                    file.text.clone_from(good);
                }
            }
            (rules, filters, environment, _) = build(&files, &lists, &base);
        }
        self.last_good.retain(|path, _| texts.contains_key(path));
        for file in files.iter().filter(|file| !broken.contains(&file.path)) {
            self.last_good.insert(Arc::clone(&file.path), file.text.clone());
        }
        Reading { rules: Arc::new(rules), filters, environment, diagnostics, texts, kept }
    }

    /// Adds what rules import and nobody named: a rule that is looked at alone needs it too. Only what lies in the
    /// folders of the rules is read.
    fn add_imports(&self, files: &mut Vec<RuleFile>, diagnostics: &mut Vec<Diagnostic>) {
        let whole = |path: &Path| path.canonicalize().ok();
        let folder = |path: &PathBuf| {
            if path.is_dir() { whole(path) } else { whole(path.parent()?.join(".").as_path()) }
        };
        let folders: Vec<PathBuf> = self.config.rules.iter().filter_map(folder).collect();
        // Most folders import nothing, and asking where ten thousand files really lie takes a while.
        let mut seen: Option<BTreeSet<PathBuf>> = None;
        let mut next = 0;
        while let Some(file) = files.get(next) {
            next += 1;
            let meant = imports(&file.path, &file.text).into_iter();
            let meant: Vec<PathBuf> =
                meant.filter_map(|import| imported_path(&file.path, &import)).map(PathBuf::from).collect();
            for path in meant {
                let Some(found) = whole(&path).filter(|path| path.is_file()) else { continue };
                let is_ours = folders.iter().any(|folder| found.starts_with(folder));
                let seen = seen.get_or_insert_with(|| {
                    files.iter().filter_map(|file| whole(Path::new(&*file.path))).collect()
                });
                if !is_ours || files.len() >= FILES_MAX || !seen.insert(found) {
                    continue;
                }
                match read_text(&path, FILE_BYTES_MAX) {
                    Ok(text) => files.push(RuleFile { path: path.to_string_lossy().into(), text }),
                    Err(reason) => diagnostics.push(unreadable(&path, reason)),
                }
            }
        }
    }

    fn environment(&self, lists: &Lists, enrichment: Enrichment, today: Timestamp) -> Environment {
        Environment {
            catalogue: Arc::new(self.catalogue.with(enrichment)),
            cage: Arc::new(Cage::new(Arc::new(ListTable::shared(lists.all())))),
            lateness: self.config.lateness,
            today,
        }
    }

    /// Reads the lists; a broken one keeps its last good version.
    fn read_lists(&mut self, diagnostics: &mut Vec<Diagnostic>) -> Lists {
        let mut lists = Lists::default();
        let Some(folder) = &self.config.lists else { return lists };
        for path in files_below(folder, &["txt", "csv", "yaml", "yml"], diagnostics) {
            let name = path.to_string_lossy().into_owned();
            let read = read_text(&path, LIST_BYTES_MAX);
            let added = read.and_then(|text| {
                lists.add_file(&name, &text).map_err(|error| error.to_string()).map(|()| text)
            });
            match added {
                Ok(text) => {
                    self.last_good_lists.insert(path, text);
                }
                Err(reason) => {
                    diagnostics.push(unreadable(&path, reason));
                    if let Some(good) = self.last_good_lists.get(&path) {
                        // It was accepted before, so it is accepted again, unless its name is now taken twice.
                        drop(lists.add_file(&name, good));
                    }
                }
            }
        }
        lists
    }
}

/// What the files say, compiled, and the environment with their lookups.
fn build(
    files: &[RuleFile],
    lists: &Lists,
    base: &Environment,
) -> (RuleSet, Vec<Filter>, Environment, Vec<Diagnostic>) {
    let loaded = load(files, lists);
    let mut diagnostics = loaded.diagnostics;
    let enrichment = base.catalogue.enrichment().with_tables(loaded.lookups);
    let catalogue = Arc::new(base.catalogue.with(enrichment));
    let environment = Environment { catalogue, ..base.clone() };
    let compiled = compile(loaded.rules, &loaded.filters, &environment);
    diagnostics.extend(compiled.diagnostics);
    (compiled.rules, loaded.filters, environment, diagnostics)
}

fn broken_files(diagnostics: &[Diagnostic]) -> Vec<Arc<str>> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let mut broken: Vec<Arc<str>> = errors.map(|error| Arc::clone(&error.path)).collect();
    broken.sort_unstable();
    broken.dedup();
    broken
}

/// The rule files below these paths, each once, in a stable order.
fn rule_files(paths: &[PathBuf], diagnostics: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(files_below(path, &["yml", "yaml", "rhai"], diagnostics));
    }
    if paths.len() > 1 {
        let mut seen = FxHashSet::default();
        files.retain(|file| seen.insert(file.clone()));
    }
    files
}

/// The files with these endings below a folder, by name; a file that is named itself is taken as it is. Hidden
/// files, such as an editor's, are passed over.
fn files_below(path: &Path, endings: &[&str], diagnostics: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![path.to_path_buf()];
    while let Some(path_here) = open.pop() {
        if !path_here.is_dir() {
            let has_ending =
                path_here.extension().is_some_and(|found| endings.iter().any(|ending| found == *ending));
            if has_ending || path_here == path {
                files.push(path_here);
            }
            continue;
        }
        let entries = match std::fs::read_dir(&path_here) {
            Ok(entries) => entries,
            Err(error) => {
                diagnostics.push(unreadable(&path_here, error.to_string()));
                continue;
            }
        };
        let visible = entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
        open.extend(visible.map(|entry| entry.path()));
        if files.len() + open.len() > FILES_MAX {
            diagnostics.push(unreadable(path, format!("more than {FILES_MAX} files")));
            break;
        }
    }
    // By folder, then by name; comparing paths part by part would take longer than reading the files.
    let order = |path: &PathBuf| -> Vec<u8> {
        let bytes = path.as_os_str().as_encoded_bytes().iter();
        bytes.map(|byte| if std::path::is_separator(char::from(*byte)) { 0 } else { *byte }).collect()
    };
    files.sort_by_cached_key(order);
    files
}

fn read_text(path: &Path, bytes_max: u64) -> Result<String, String> {
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

#[cfg(test)]
mod tests;
