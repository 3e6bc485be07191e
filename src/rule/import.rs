//! `import`: what several rules share stands in one file. What that file says lies beneath what the rule says itself.
//!
//! Works on trees, before anything is read out of them. Each node knows the file it comes from, so a mistake is
//! told where it is written.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::read::{self, Entries};
use super::report::Report;
use super::script_link::{is_script, script};
use super::vars::{self, Var};
use super::yaml::{self, Content, Document, Key, Place, ScalarKind, Yaml};
use super::{script_file, suggest};

/// Most files one after another.
const DEPTH_MAX: usize = 8;
/// Most files that one document takes in.
const LAYERS_MAX: usize = 32;
/// What makes a document a rule, a filter or a lookup.
const BODIES: [&str; 4] = ["detection", "correlation", "filter", "lookup"];
/// What only a rule of its own has.
const OF_RULES: [&str; 3] = ["title", "id", "name"];

/// All files, for those that import others.
pub(super) struct Packs<'f> {
    by_path: FxHashMap<String, (&'f Arc<str>, &'f [Document])>,
    imported: FxHashSet<String>,
    /// The variables that some rule used, by path and name.
    used: RefCell<FxHashSet<(String, String)>>,
}

/// One file's part of a document, the document itself first.
struct Layer {
    path: String,
    entries: Vec<(Key, Yaml)>,
}

impl<'f> Packs<'f> {
    /// From all files and their documents.
    pub(super) fn new(files: impl Iterator<Item = (&'f Arc<str>, &'f [Document])>) -> Self {
        let mut own =
            Self { by_path: FxHashMap::default(), imported: FxHashSet::default(), used: RefCell::default() };
        for (path, documents) in files {
            for import in documents.iter().flat_map(|document| written(&document.root)) {
                own.imported.extend(imported_path(path, &import.0));
            }
            own.by_path.insert(straight(path), (path, documents));
        }
        own
    }

    /// Whether a document only serves others: it has no title and is imported, or has variables and no body.
    pub(super) fn is_pack(&self, path: &str, root: &Yaml) -> bool {
        let entries = root.entries().unwrap_or_default();
        let has = |keys: &[&str]| keys.iter().any(|key| read::get(entries, key).is_some());
        let is_imported = self.imported.contains(&straight(path));
        !has(&["title"]) && (is_imported || (has(&["vars", "import"]) && !has(&BODIES)))
    }

    /// Looks at a pack by itself.
    pub(super) fn check(&self, path: &str, root: &Yaml, report: &mut Report) {
        let Some(entries) = read::map(root, "a file to import", report) else { return };
        for (key, _) in entries.iter().filter(|(key, _)| OF_RULES.contains(&key.text.as_str())) {
            let message = format!("`{}` belongs into a rule, not into what rules import", key.text);
            report.error("misplaced-key", key.place, message).help("remove it");
        }
        super::header::check_keys(entries, report);
        let is_whole = self.gather(path, entries, report).is_some();
        let known = vars::declared(entries, report);
        if !self.imported.contains(&straight(path)) {
            let place = entries.first().map_or(root.place, |(key, _)| key.place);
            let message = "no rule imports this file";
            report.warning("unused-import", place, message).help("write `import:` with its path into a rule");
            return;
        }
        let used = self.used.borrow();
        for (name, place) in known.into_iter().filter(|_| is_whole) {
            if !used.contains(&(straight(path), name.clone())) {
                let message = format!("no rule that imports this file uses the variable `{name}`");
                report.warning("unused-variable", place, message).help(format!("write it as `${{{name}}}`"));
            }
        }
    }

    /// The document with what it imports and its variables filled in. Nothing after a mistake, which is reported.
    pub(super) fn expand(&self, path: &str, root: &Yaml, report: &mut Report) -> Option<Yaml> {
        let entries = root.entries().unwrap_or_default();
        if read::get(entries, "vars").is_none() && read::get(entries, "import").is_none() {
            return Some(root.clone());
        }
        let errors = report.errors();
        let layers = self.gather(path, entries, report)?;
        let mut known: BTreeMap<String, Var> = BTreeMap::new();
        for layer in &layers {
            vars::add(&layer.entries, &mut known);
        }
        let own = vars::declared(entries, report);
        let mut merged = Vec::new();
        for layer in &layers {
            merge(&mut merged, &layer.entries);
        }
        merged.retain(|(key, _)| key.text != "vars" && key.text != "import");
        let mut root = Yaml { content: Content::Map(merged), place: root.place };
        let used = vars::fill(&mut root, known, report);
        for (name, place) in own.iter().filter(|(name, _)| !used.contains(name)) {
            let message = format!("the variable `{name}` is not used");
            report.warning("unused-variable", *place, message).help(format!("write it as `${{{name}}}`"));
        }
        let mut all = self.used.borrow_mut();
        for layer in &layers {
            all.extend(used.iter().map(|name| (layer.path.clone(), name.clone())));
        }
        (report.errors() == errors).then_some(root)
    }

    fn gather(&self, path: &str, entries: Entries<'_>, report: &mut Report) -> Option<Vec<Layer>> {
        let errors = report.errors();
        let mut layers = Vec::new();
        self.layer(path, entries, &mut vec![straight(path)], &mut layers, report);
        (report.errors() == errors).then_some(layers)
    }

    fn layer(
        &self,
        path: &str,
        entries: Entries<'_>,
        under_way: &mut Vec<String>,
        layers: &mut Vec<Layer>,
        report: &mut Report,
    ) {
        layers.push(Layer { path: straight(path), entries: entries.to_vec() });
        let Some((_, node)) = read::get(entries, "import") else { return };
        for item in read::items(node) {
            let Some(written) = read::name(item, "`import`", report) else { continue };
            let Some((target, path, root)) = self.target(path, &written, item, report) else { continue };
            if under_way.contains(&target) || under_way.len() > DEPTH_MAX {
                let message = match under_way.contains(&target) {
                    true => format!("`{written}` imports itself, by way of {}", under_way.join(" and ")),
                    false => format!("more than {DEPTH_MAX} files import one another in a row"),
                };
                report.error("bad-import", item.place, message).help("remove one of the imports");
                continue;
            }
            if layers.len() >= LAYERS_MAX {
                let message = format!("more than {LAYERS_MAX} files are imported");
                report.error("bad-import", item.place, message).help("join some of them");
                return;
            }
            let mut root = root.clone();
            root.set_file(report.source(path));
            under_way.push(target);
            self.layer(path, root.entries().unwrap_or_default(), under_way, layers, report);
            under_way.pop();
        }
    }

    /// The one document of a file that is imported.
    fn target(
        &self,
        importer: &str,
        written: &str,
        node: &Yaml,
        report: &mut Report,
    ) -> Option<(String, &'f Arc<str>, &'f Yaml)> {
        let Some(target) = imported_path(importer, written) else {
            let message = format!("`{written}` is no path from this file's folder");
            report.error("bad-import", node.place, message).help("write it as `pack.yaml` or `../pack.yaml`");
            return None;
        };
        let Some((path, documents)) = self.by_path.get(&target) else {
            let message = format!("there is no file `{target}` in the rules folders");
            let names = self.by_path.keys().filter_map(|known| known.rsplit('/').next());
            let mut names: Vec<&str> = names.collect();
            names.sort_unstable();
            let file = written.rsplit('/').next().unwrap_or(written);
            let help = suggest::closest(file, names).map(|near| format!("did you mean `{near}`?"));
            report.error("bad-import", node.place, message).maybe_help(help);
            return None;
        };
        let fault = match documents {
            [only] if only.root.entries().is_none() => "is no map of keys",
            [only] if read::get(only.root.entries().unwrap_or_default(), "title").is_some() => {
                "is a rule of its own: only a file without `title` can be imported"
            }
            [only] => return Some((target, path, &only.root)),
            [] => "is empty, or cannot be read: correct it first",
            _ => "has several documents, but one is needed",
        };
        report.error("bad-import", node.place, format!("`{written}` {fault}"));
        None
    }
}

/// What stands under `import`.
fn written(root: &Yaml) -> Vec<(String, Place)> {
    let node = read::value(root.entries().unwrap_or_default(), "import");
    let items = node.map(read::items).unwrap_or_default().into_iter();
    let texts = items.filter_map(|item| Some((item.scalar()?, item.place)));
    texts
        .filter(|(scalar, _)| scalar.kind != ScalarKind::Null)
        .map(|(s, place)| (s.text.clone(), place))
        .collect()
}

/// What a rule file imports, and the scripts that it names, as it is written there, so that files beside it can be
/// read too.
#[must_use]
pub fn imports(path: &str, text: &str) -> Vec<String> {
    let names_script = text.contains("script") && text.contains("behavior");
    if !names_script && !text.lines().any(|line| line.starts_with("import")) {
        return Vec::new();
    }
    let mut report = Report::new(path.into());
    let header = match is_script(path) {
        true => script_file::split(text, &mut report).map_or_else(String::new, |parts| parts.header),
        false => text.to_owned(),
    };
    let documents = yaml::parse(&header, &mut report);
    let imports = documents.iter().flat_map(|document| written(&document.root)).map(|(import, _)| import);
    let scripts = documents.iter().filter_map(|document| script(&document.root));
    imports.chain(scripts.filter(|script| is_script(script))).collect()
}

/// The path that an import means, without detours. None for an absolute one.
#[must_use]
pub fn imported_path(importer: &str, import: &str) -> Option<String> {
    if import.starts_with('/') || import.trim().is_empty() {
        return None;
    }
    let folder = importer.rsplit_once('/').map_or("", |(folder, _)| folder);
    let root = if importer.starts_with('/') && folder.is_empty() { "/" } else { "" };
    Some(straight(&format!("{root}{folder}{}{import}", if folder.is_empty() { "" } else { "/" })))
}

/// `a/c` for `./a/b/../c`.
pub(super) fn straight(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("{}{}", if path.starts_with('/') { "/" } else { "" }, parts.join("/"))
}

/// Puts what is missing from `beneath` into a map: maps are merged, all else stays as it is.
fn merge(map: &mut Vec<(Key, Yaml)>, beneath: &[(Key, Yaml)]) {
    for (key, value) in beneath {
        match map.iter_mut().find(|(known, _)| known.text == key.text) {
            None => map.push((key.clone(), value.clone())),
            Some((_, own)) => {
                if let (Content::Map(own), Content::Map(more)) = (&mut own.content, &value.content) {
                    merge(own, more);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
