//! Rule files, lists and GeoIP databases: reads them, compiles them, and keeps the last good version of a broken one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::accounts::Learnt;
use super::files::{FILES_MAX, Texts, files_below, read_text, unreadable};
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
    /// Watchfire's own accounts, as configured.
    pub own: Option<Arc<Own>>,
    /// And as its tokens told; read anew at each reading.
    pub learnt: Learnt,
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
    /// Files that are broken, or cannot be read, and go on in their last good version.
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
    last_good: Texts,
    last_good_lists: Texts,
    geo: GeoFiles,
}

/// A larger file is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A larger list is refused.
const LIST_BYTES_MAX: u64 = 64 << 20;
/// How often files go back to their last good version because others did. What is broken then is left out.
const ROUNDS_MAX: usize = 8;

impl Rulebook {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(config: RulebookConfig, catalogue: Arc<Catalogue>) -> Self {
        Self {
            config,
            catalogue,
            last_good: Texts::new(),
            last_good_lists: Texts::new(),
            geo: GeoFiles::default(),
        }
    }

    /// The folders and files to watch.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let files = self.config.rules.iter().chain(&self.config.lists).chain(&self.config.geo);
        files.map(PathBuf::as_path)
    }

    /// Reads everything. A file with errors, or that cannot be read, runs in its last good version, if it ever had
    /// one; `today` decides which exceptions have expired.
    pub fn read(&mut self, today: Timestamp) -> Reading {
        let mut notes = Notes::default();
        let (lists, deleted) = self.read_lists(&mut notes);
        let geo = self.geo.read(&self.config.geo, &mut notes.diagnostics);
        let own = Own::joined(self.config.own.as_ref(), &self.config.learnt.get());
        let enrichment = Enrichment::new(geo, own, Vec::new());
        let mut files = self.read_rules(&mut notes);
        self.add_imports(&mut files, &mut notes);
        let texts: BTreeMap<Arc<str>, String> =
            files.iter().map(|file| (Arc::clone(&file.path), file.text.clone())).collect();
        let (built, lacks_lists) = self.settle(&mut files, (lists, &deleted), &mut notes, |lists| {
            self.environment(lists, enrichment.clone(), today)
        });
        if !lacks_lists {
            self.last_good_lists.retain(|path, _| !deleted.contains(path));
        }
        self.last_good.retain(|path, _| texts.contains_key(path));
        for file in files.into_iter().filter(|file| !notes.broken.contains(&file.path)) {
            if !notes.kept.contains(&file.path) {
                self.last_good.insert(file.path, file.text);
            }
        }
        Reading {
            rules: Arc::new(built.rules),
            filters: built.filters,
            environment: built.environment,
            diagnostics: notes.diagnostics,
            texts,
            kept: notes.kept.into_iter().collect(),
        }
    }

    /// Compiles until every broken file has gone back to its last good version, or has none. Also whether any lacked
    /// a list.
    fn settle(
        &self,
        files: &mut [RuleFile],
        (mut lists, deleted): (Lists, &BTreeSet<Arc<str>>),
        notes: &mut Notes,
        environment: impl Fn(&Lists) -> Environment,
    ) -> (Built, bool) {
        let order: FxHashMap<Arc<str>, usize> =
            files.iter().enumerate().map(|(number, file)| (Arc::clone(&file.path), number)).collect();
        let (mut rounds, mut lacks_lists) = (0, false);
        loop {
            // Of two files with one id the one that ran before goes on.
            files.sort_by_key(|file| (!self.is_as_it_ran(file), order.get(&file.path).copied()));
            let built = build(files, &order, &lists, &environment(&lists));
            let errors = broken_files(&built.diagnostics);
            notes.tell(&built.diagnostics, rounds == 0);
            rounds += 1;
            let lacked_lists = lacks_lists;
            lacks_lists |= built.diagnostics.iter().any(|found| found.code == "unknown-list");
            let brings_lists = lacks_lists && !lacked_lists && self.bring_back(deleted, &mut lists);
            let goes_back = self.go_back(files, &errors);
            if rounds < ROUNDS_MAX && (goes_back || brings_lists) {
                continue;
            }
            notes.kept.retain(|path| !errors.contains(path));
            notes.kept.extend(notes.broken.difference(&errors).filter(|path| self.ran(path)).cloned());
            return (built, lacks_lists);
        }
    }

    fn ran(&self, path: &str) -> bool {
        self.last_good.contains_key(path)
    }

    fn is_as_it_ran(&self, file: &RuleFile) -> bool {
        self.last_good.get(&file.path) == Some(&file.text)
    }

    /// Takes the last good version of these files; whether any of them differed.
    fn go_back(&self, files: &mut [RuleFile], broken: &BTreeSet<Arc<str>>) -> bool {
        let mut differed = false;
        for file in files.iter_mut().filter(|file| broken.contains(&file.path)) {
            if let Some(good) = self.last_good.get(&file.path).filter(|good| **good != file.text) {
                file.text.clone_from(good);
                differed = true;
            }
        }
        differed
    }

    /// Adds lists that were deleted though rules name them; whether there were any.
    fn bring_back(&self, deleted: &BTreeSet<Arc<str>>, lists: &mut Lists) -> bool {
        let texts = deleted.iter().filter_map(|path| Some((path, self.last_good_lists.get(path)?)));
        // Its name may have been taken by another file since, which is then the one that is meant.
        let added = texts.filter_map(|(path, text)| lists.add_file(path, text).ok());
        added.count() > 0
    }

    fn read_rules(&self, notes: &mut Notes) -> Vec<RuleFile> {
        let (mut files, mut seen) = (Vec::new(), FxHashSet::default());
        for path in &self.config.rules {
            let endings = ["yml", "yaml", "rhai"];
            let found = files_below(path, &endings, &self.last_good, &mut notes.diagnostics);
            for path in found.files.iter().filter(|path| seen.insert((*path).clone())) {
                let is_held = found.held.contains(path);
                files.extend(self.read_rule(path, is_held, notes));
            }
        }
        files
    }

    /// A file as it is, or as it was where nobody can look.
    fn read_rule(&self, path: &Path, is_held: bool, notes: &mut Notes) -> Option<RuleFile> {
        let name: Arc<str> = path.to_string_lossy().into();
        if !is_held {
            match read_text(path, FILE_BYTES_MAX) {
                Ok(text) => return Some(RuleFile { path: name, text }),
                Err(reason) => notes.unreadable(path, reason),
            }
        }
        let text = self.last_good.get(&name)?.clone();
        notes.kept.insert(Arc::clone(&name));
        Some(RuleFile { path: name, text })
    }

    /// Adds what rules import and nobody named: a rule that is looked at alone needs it too. Only what lies in the
    /// folders of the rules is read. What was deleted though it is imported is told, and stays as it was.
    fn add_imports(&self, files: &mut Vec<RuleFile>, notes: &mut Notes) {
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
                let Some(found) = whole(&path).filter(|path| path.is_file()) else {
                    let is_read = files.iter().any(|file| Path::new(&*file.path) == path);
                    if !is_read && self.ran(&path.to_string_lossy()) {
                        notes.unreadable(&path, "it is gone, but rules import it".to_owned());
                        files.extend(self.read_rule(&path, true, notes));
                    }
                    continue;
                };
                let is_ours = folders.iter().any(|folder| found.starts_with(folder));
                let seen = seen.get_or_insert_with(|| {
                    files.iter().filter_map(|file| whole(Path::new(&*file.path))).collect()
                });
                if is_ours && files.len() < FILES_MAX && seen.insert(found) {
                    files.extend(self.read_rule(&path, false, notes));
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

    /// Reads the lists; one that is broken, or cannot be read, keeps its last good version. Also those that were
    /// deleted.
    fn read_lists(&mut self, notes: &mut Notes) -> (Lists, BTreeSet<Arc<str>>) {
        let mut lists = Lists::default();
        let Some(folder) = &self.config.lists else { return (lists, BTreeSet::new()) };
        let endings = ["txt", "csv", "yaml", "yml"];
        let mut found = files_below(folder, &endings, &self.last_good_lists, &mut notes.diagnostics);
        let name = |path: &Path| -> Arc<str> { path.to_string_lossy().into() };
        let mut deleted: BTreeSet<Arc<str>> = self.last_good_lists.keys().cloned().collect();
        // Of two files with one name the one that was read before goes on.
        found.files.sort_by_cached_key(|path| !self.last_good_lists.contains_key(&name(path)));
        for path in found.files {
            let file = name(&path);
            deleted.remove(&file);
            if !found.held.contains(&path) {
                let added = read_text(&path, LIST_BYTES_MAX).and_then(|text| {
                    lists.add_file(&file, &text).map_err(|error| error.to_string()).map(|()| text)
                });
                match added {
                    Ok(text) => {
                        self.last_good_lists.insert(file, text);
                        continue;
                    }
                    Err(reason) => notes.unreadable(&path, reason),
                }
            }
            let good = self.last_good_lists.get(&file);
            // It was accepted before, so it is accepted again, unless its name is now taken twice.
            if good.is_some_and(|good| lists.add_file(&file, good).is_ok()) {
                notes.kept.insert(file);
            }
        }
        (lists, deleted)
    }
}

/// What is to be told of a reading.
#[derive(Default)]
struct Notes {
    diagnostics: Vec<Diagnostic>,
    /// The rule files with errors, in whichever version.
    broken: BTreeSet<Arc<str>>,
    /// What goes on in its last good version.
    kept: BTreeSet<Arc<str>>,
}

impl Notes {
    fn unreadable(&mut self, path: &Path, reason: String) {
        self.diagnostics.push(unreadable(path, reason));
    }

    /// Of files as they are, everything; after some have gone back, only what is broken because of that.
    fn tell(&mut self, found: &[Diagnostic], is_first: bool) {
        let new = |found: &&Diagnostic| {
            is_first || found.severity == Severity::Error && !self.broken.contains(&found.path)
        };
        let told: Vec<Diagnostic> = found.iter().filter(new).cloned().collect();
        self.diagnostics.extend(told);
        self.broken.extend(broken_files(found));
    }
}

/// What was made of the files.
struct Built {
    rules: RuleSet,
    filters: Vec<Filter>,
    environment: Environment,
    diagnostics: Vec<Diagnostic>,
}

/// What the files say, compiled, and the environment with their lookups. Rules stand in the `order` of their files,
/// whichever came first.
fn build(files: &[RuleFile], order: &FxHashMap<Arc<str>, usize>, lists: &Lists, base: &Environment) -> Built {
    let mut loaded = load(files, lists);
    loaded.rules.sort_by_key(|rule| order.get(&rule.origin.path));
    loaded.filters.sort_by_key(|filter| order.get(&filter.origin.path));
    let mut diagnostics = loaded.diagnostics;
    let enrichment = base.catalogue.enrichment().with_tables(loaded.lookups);
    let catalogue = Arc::new(base.catalogue.with(enrichment));
    let environment = Environment { catalogue, ..base.clone() };
    let compiled = compile(loaded.rules, &loaded.filters, &environment);
    diagnostics.extend(compiled.diagnostics);
    Built { rules: compiled.rules, filters: loaded.filters, environment, diagnostics }
}

fn broken_files(diagnostics: &[Diagnostic]) -> BTreeSet<Arc<str>> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    errors.map(|error| Arc::clone(&error.path)).collect()
}

#[cfg(test)]
mod tests;
