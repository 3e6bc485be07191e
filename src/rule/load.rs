//! All files to all rules.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::ast::{Filter, Rule, ScriptSource};
use super::document::{self, Checked};
use super::list::Lists;
use super::read::Context;
use super::report::Report;
use super::resolve::{Read, Resolved, resolve};
use super::{Diagnostic, script_file, yaml};
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
    let mut read = Read { documents: Vec::new(), left_out: FxHashSet::default() };
    for (number, (file, report)) in files.iter().zip(&mut reports).enumerate() {
        for checked in read_file(file, report, lists, &mut read.left_out) {
            read.documents.push((number, checked));
        }
    }
    let resolved = resolve(read, &mut reports);
    let mut diagnostics = Vec::new();
    for report in reports {
        let mut found = report.into_diagnostics();
        found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        diagnostics.extend(found);
    }
    let Resolved { rules, filters, lookups } = resolved;
    Loaded { rules, filters, lookups, diagnostics }
}

fn read_file(
    file: &RuleFile,
    report: &mut Report,
    lists: &Lists,
    left_out: &mut FxHashSet<String>,
) -> Vec<Checked> {
    let is_script = file.path.to_ascii_lowercase().ends_with(".rhai");
    let parts = if is_script { script_file::split(&file.text, report).map(Some) } else { Some(None) };
    let Some(parts) = parts else { return Vec::new() };
    let (text, script): (&str, Option<ScriptSource>) = match &parts {
        Some(parts) => (&parts.header, Some(parts.script.clone())),
        None => (&file.text, None),
    };
    let documents = yaml::parse(text, report);
    if let (true, Some(second)) = (is_script, documents.get(1)) {
        report.error("two-kinds", second.root.place, "a script file holds one rule");
        return Vec::new();
    }
    let mut checked = Vec::new();
    for found in &documents {
        let mut context = Context { report, lists };
        match document::document(&found.root, &file.path, script.clone(), &mut context) {
            Some(document) => checked.push(document),
            None => left_out.extend(document::known_as(&found.root)),
        }
    }
    checked
}
