//! All files to all rules.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::ast::{Filter, Rule, ScriptSource};
use super::document::{self, Checked};
use super::import::Packs;
use super::list::Lists;
use super::read::{self, Context};
use super::report::Report;
use super::resolve::{Read, Resolved, resolve};
use super::script_link::{Scripts, is_script};
use super::yaml::{self, Document, Yaml};
use super::{Diagnostic, script_file};
use crate::enrich::Table;

/// A rule file: `.rhai` for a script, anything else is YAML.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// As it shall be shown.
    pub path: Arc<str>,
    /// Its content.
    pub text: String,
}

/// What the files say.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The rules without mistakes, in the order of the files. Correlations and filters name the rules they are
    /// over by id; an unknown rule in a filter stays as it was written.
    pub rules: Vec<Rule>,
    /// The filters without mistakes.
    pub filters: Vec<Filter>,
    /// The lookups without mistakes, each name once.
    pub lookups: Vec<Arc<Table>>,
    /// Every mistake of every file, by file, then by place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether something was left out.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == super::Severity::Error)
    }
}

/// Reads all rule files together. A document with an error is left out, and so is a correlation over one that
/// is; all others stay.
#[must_use]
pub fn load(files: &[RuleFile], lists: &Lists) -> Loaded {
    let mut reports: Vec<Report> = files.iter().map(|file| Report::new(Arc::clone(&file.path))).collect();
    let parsed: Vec<Parsed> =
        files.iter().zip(&mut reports).map(|(file, report)| parse(file, report)).collect();
    let packs = Packs::new(files.iter().zip(&parsed).map(|(file, parsed)| (&file.path, &*parsed.documents)));
    let mut read = Read { documents: Vec::new(), left_out: FxHashSet::default() };
    let mut served = Vec::new();
    let scripts = Scripts::new(
        files
            .iter()
            .zip(&parsed)
            .map(|(file, parsed)| (&file.path, file.text.as_str(), parsed.documents.as_slice())),
    );
    // The YAML files first: what they name as their script is no rule.
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|number| files.get(*number).is_some_and(|file| is_script(&file.path)));
    for number in order {
        let (Some(file), Some(parsed), Some(report)) =
            (files.get(number), parsed.get(number), reports.get_mut(number))
        else {
            continue;
        };
        if scripts.only_serves(&file.path) {
            *report = Report::new(Arc::clone(&file.path));
            continue;
        }
        for found in &parsed.documents {
            if packs.is_pack(&file.path, &found.root) {
                served.push((number, &found.root));
                continue;
            }
            let mut context = Context { report, lists, scripts: &scripts };
            match one(&found.root, &file.path, parsed.script.as_ref(), &packs, &mut context) {
                Some(document) => read.documents.push((number, document)),
                None => read.left_out.extend(document::known_as(&found.root)),
            }
        }
    }
    // Only now is it known what was used of them.
    for (number, root) in served {
        if let (Some(file), Some(report)) = (files.get(number), reports.get_mut(number)) {
            packs.check(&file.path, root, report);
        }
    }
    read.documents.sort_by_key(|(number, _)| *number);
    let Resolved { rules, filters, lookups } = resolve(read, &mut reports);
    Loaded { rules, filters, lookups, diagnostics: sorted(reports) }
}

/// A file's documents, and the script behind the only one of a script file.
struct Parsed {
    documents: Vec<Document>,
    script: Option<ScriptSource>,
}

fn parse(file: &RuleFile, report: &mut Report) -> Parsed {
    let nothing = || Parsed { documents: Vec::new(), script: None };
    if !is_script(&file.path) {
        return Parsed { documents: yaml::parse(&file.text, report), script: None };
    }
    let Some(parts) = script_file::split(&file.text, report) else { return nothing() };
    let documents = yaml::parse(&parts.header, report);
    if let Some(second) = documents.get(1) {
        report.error("two-kinds", second.root.place, "a script file holds one rule");
        return nothing();
    }
    Parsed { documents, script: Some(parts.script) }
}

/// One document with what it imports. A mistake in an imported file is told there, and where it is imported.
fn one(
    root: &Yaml,
    path: &Arc<str>,
    script: Option<&ScriptSource>,
    packs: &Packs<'_>,
    context: &mut Context<'_>,
) -> Option<Checked> {
    let before = context.report.len();
    let import = read::value(root.entries().unwrap_or_default(), "import").map(|node| node.place);
    let expanded = packs.expand(path, root, context.report);
    let checked = expanded.and_then(|root| document::document(&root, path, script.cloned(), context));
    if let (None, Some(place), true) = (&checked, import, context.report.blames_import(before)) {
        let message = "this rule is left out because of what it imports";
        context.report.error("bad-import", place, message).help("correct the imported file first");
    }
    checked
}

/// Every mistake once, by file, then by place. Rules that import a file all find the same mistakes in it.
fn sorted(reports: Vec<Report>) -> Vec<Diagnostic> {
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    let mut imported = Vec::new();
    for report in reports {
        let path = Arc::from(report.path());
        let (mut own, others): (Vec<_>, Vec<_>) =
            report.into_diagnostics().into_iter().partition(|diagnostic| diagnostic.path == path);
        own.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        diagnostics.extend(own);
        imported.extend(others);
    }
    let mut seen = FxHashSet::default();
    for found in imported {
        let place = (Arc::clone(&found.path), found.line, found.column, found.message.clone());
        if seen.insert(place) {
            diagnostics.push(found);
        }
    }
    diagnostics
}
