//! `behavior: {script: FILE}`: the script of a YAML rule stands in a `.rhai` file that several rules may share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::ast::ScriptSource;
use super::import::{imported_path, straight};
use super::read;
use super::report::Report;
use super::suggest;
use super::yaml::{Document, ScalarKind, Yaml};

/// All `.rhai` files, for the rules that name them.
#[derive(Default)]
pub(super) struct Scripts<'f> {
    by_path: BTreeMap<String, Script<'f>>,
    named: RefCell<FxHashSet<String>>,
}

struct Script<'f> {
    path: &'f Arc<str>,
    text: &'f str,
    /// Whether its header has a title.
    is_rule: bool,
}

/// Whether a file is Rhai, by its name.
pub(super) fn is_script(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".rhai")
}

impl<'f> Scripts<'f> {
    /// From all files: path, text and documents; those of a script file are of its header.
    pub(super) fn new(files: impl Iterator<Item = (&'f Arc<str>, &'f str, &'f [Document])>) -> Self {
        let mut own = Self::default();
        for (path, text, documents) in files {
            if is_script(path) {
                let is_titled = |document: &Document| {
                    read::get(document.root.entries().unwrap_or_default(), "title").is_some()
                };
                let is_rule = documents.iter().any(is_titled);
                own.by_path.insert(straight(path), Script { path, text, is_rule });
            } else {
                // Also those of rules that have mistakes: it is the rule that needs to be corrected then.
                let targets =
                    documents.iter().filter_map(|document| imported_path(path, &script(&document.root)?));
                own.named.get_mut().extend(targets);
            }
        }
        own
    }

    /// Whether a file only serves the rules that name it.
    pub(super) fn only_serves(&self, path: &str) -> bool {
        let path = straight(path);
        self.named.borrow().contains(&path) && self.by_path.get(&path).is_some_and(|script| !script.is_rule)
    }

    /// The script that a rule names, by its path from the folder of the file that says so.
    pub(super) fn find(&self, node: &Yaml, report: &mut Report) -> Option<ScriptSource> {
        let written = read::name(node, "`script`", report)?;
        let importer = Arc::clone(report.path_of(node.place));
        let Some(target) = imported_path(&importer, &written).filter(|target| is_script(target)) else {
            let message = format!("`{written}` is no `.rhai` file, by its path from this file's folder");
            let help = "write the script into a file, and its path here, as `NAME.rhai` or `../NAME.rhai`";
            report.error("bad-script", node.place, message).help(help);
            return None;
        };
        let Some(script) = self.by_path.get(&target) else {
            let message = format!("there is no file `{target}` in the rules folders");
            let names = self.by_path.keys().filter_map(|known| known.rsplit('/').next());
            let file = written.rsplit('/').next().unwrap_or(&written);
            let help = suggest::closest(file, names).map(|near| format!("did you mean `{near}`?"));
            report.error("bad-script", node.place, message).maybe_help(help);
            return None;
        };
        if script.is_rule {
            let message = format!("`{written}` is a rule of its own: its header has a `title`");
            report.error("bad-script", node.place, message).help("remove its header, or this rule");
            return None;
        }
        self.named.borrow_mut().insert(target);
        let source = script.text.strip_prefix('\u{feff}').unwrap_or(script.text).to_owned();
        Some(ScriptSource { source, line: 1, column: 1, path: Some(Arc::clone(script.path)) })
    }
}

/// What stands behind `script` in the behaviour of a document.
pub(super) fn script(root: &Yaml) -> Option<String> {
    let behavior = read::value(root.entries()?, "behavior")?;
    let scalar = read::value(behavior.entries()?, "script")?.scalar()?;
    (scalar.kind != ScalarKind::Null).then(|| scalar.text.clone())
}

#[cfg(test)]
mod tests {
    use crate::rule::ast::{Body, Kind};
    use crate::rule::{Lists, Loaded, RuleFile, imports, load};
    use crate::time::Span;

    const SCRIPT: &str = "fn on_event(event, state, window) { true }";

    fn loaded(files: &[(&str, &str)]) -> Loaded {
        let file = |(path, text): &(&str, &str)| RuleFile { path: (*path).into(), text: (*text).to_owned() };
        load(&files.iter().map(file).collect::<Vec<_>>(), &Lists::new())
    }

    fn told(files: &[(&str, &str)]) -> Vec<String> {
        let told = loaded(files).diagnostics;
        told.iter()
            .map(|found| {
                let help = found.help.as_deref().unwrap_or_default();
                format!("{}:{}:{} {} {help}", found.path, found.line, found.column, found.message)
            })
            .collect()
    }

    fn rule(behavior: &str) -> String {
        format!("title: {}\nlogsource: {{product: gitlab}}\nbehavior: {behavior}\n", behavior.len())
    }

    #[test]
    fn rules_share_a_script_by_its_path_from_their_folder() {
        let (one, two) =
            (rule("{by: a, script: ../s/burst.RHAI, within: 1h}"), rule("{script: s/burst.RHAI}"));
        let two = format!("{two}detection: {{x: {{f: 1}}, condition: x}}\n");
        let own = "/*\ntitle: Own\nlogsource: {product: gitlab}\n*/\nfn on_event(e, s, w) { }";
        let all = loaded(&[
            ("r/own.rhai", own),
            ("r/s/burst.RHAI", SCRIPT),
            ("r/x/one.yml", &one),
            ("r/two.yml", &two),
        ]);
        assert_eq!(all.diagnostics, []);
        let shown: Vec<_> = all
            .rules
            .iter()
            .map(|rule| {
                let Body::Script(detection, behavior, script) = &rule.body else { panic!("{:?}", rule.body) };
                assert!(matches!(behavior.kind, Kind::Script));
                let path = script.path.as_deref().unwrap_or_default();
                (behavior.within, detection.selections.len(), path.to_owned(), script.line)
            })
            .collect();
        let path = "r/s/burst.RHAI".to_owned();
        assert_eq!(
            shown,
            [(Span(0), 0, String::new(), 5), (Span::hours(1), 0, path.clone(), 1), (Span(0), 1, path, 1)],
            "in the order of the files"
        );
    }

    #[test]
    fn a_comment_at_the_top_of_a_shared_script_is_no_header() {
        let commented = format!("\u{feff}/* who: everybody\n   what: {{ */\n{SCRIPT}");
        let all = loaded(&[("burst.rhai", &commented), ("a.yml", &rule("{script: burst.rhai}"))]);
        assert_eq!(all.diagnostics, []);
        let Body::Script(_, _, script) = &all.rules[0].body else { panic!() };
        assert!(script.source.starts_with("/* who"));
    }

    #[test]
    fn mistakes_are_told_where_the_script_is_named() {
        let own = format!("/*\ntitle: Own\nlogsource: {{}}\n*/\n{SCRIPT}");
        let files = |behavior: &str| {
            told(&[("r/a.yml", &rule(behavior)), ("r/burst.rhai", SCRIPT), ("r/own.rhai", &own)])
        };
        assert_eq!(files("{script: burst.rhai}"), Vec::<String>::new());
        for (behavior, expected) in [
            (
                "{script: bursts.rhai}",
                "r/a.yml:3:20 there is no file `r/bursts.rhai` in the rules folders did you mean `burst.rhai`?",
            ),
            ("{script: own.rhai}", "r/a.yml:3:20 `own.rhai` is a rule of its own: its header has a `title`"),
            ("{script: /r/burst.rhai}", "r/a.yml:3:20 `/r/burst.rhai` is no `.rhai` file, by its path from"),
            ("{script: a.yml}", "r/a.yml:3:20 `a.yml` is no `.rhai` file"),
            ("{script: [burst.rhai]}", "r/a.yml:3:20 `script` must be a text"),
            ("{script: burst.rhai, at_least: 5}", "r/a.yml:3:32 `at_least` means nothing with `script`"),
            ("{script: burst.rhai, count: true}", "one thing; `count` is one too many"),
            ("{scripts: burst.rhai}\ndetection: {a: {b: 1}, condition: a}", "did you mean `script`?"),
        ] {
            let found = files(behavior);
            assert!(found.iter().any(|told| told.contains(expected)), "{behavior}: {found:?}");
        }
        // A script that nobody names is a rule file without its header, but a mistake elsewhere in the rule is not
        // one of its script.
        let alone = told(&[("burst.rhai", SCRIPT)]);
        assert!(alone.len() == 1 && alone[0].contains("behavior: {script: FILE}"), "{alone:?}");
        let named = told(&[
            ("burst.rhai", SCRIPT),
            ("a.yml", "title: T\nbehavior: {script: burst.rhai}\ndetection: 5\n"),
        ]);
        assert!(!named.is_empty() && named.iter().all(|told| told.starts_with("a.yml")), "{named:?}");
    }

    #[test]
    fn a_path_may_come_from_a_variable_or_an_imported_file() {
        let varied = format!("vars: {{which: burst}}\n{}", rule("{script: '${which}.rhai'}"));
        let importing = "title: T\nlogsource: {}\nimport: packs/p.yml\n";
        let pack = "behavior: {by: author_id, script: burst.rhai}\n";
        let all = loaded(&[
            ("v.yml", &varied),
            ("burst.rhai", SCRIPT),
            ("i.yml", importing),
            ("packs/p.yml", pack),
            ("packs/burst.rhai", "fn on_event(a, b, c) { false }"),
        ]);
        assert_eq!(all.diagnostics, []);
        let paths: Vec<_> = all
            .rules
            .iter()
            .filter_map(|rule| match &rule.body {
                Body::Script(_, _, script) => script.path.as_deref(),
                _ => None,
            })
            .collect();
        assert_eq!(paths, ["burst.rhai", "packs/burst.rhai"]);
    }

    #[test]
    fn a_file_read_alone_says_which_script_it_needs() {
        assert_eq!(imports("a.yml", &rule("{script: ../burst.rhai}")), ["../burst.rhai"]);
        assert_eq!(imports("a.yml", "detection: {a: {script: event.behavior == 1}}"), Vec::<String>::new());
        assert_eq!(imports("a.rhai", "// script behavior"), Vec::<String>::new());
    }
}
