//! Where the mistakes of one file are collected.

use std::sync::Arc;

use super::yaml::Place;
use super::{Diagnostic, Severity};

/// More diagnostics than this from one file help nobody; the rest is counted, not kept.
const DIAGNOSTICS_MAX: usize = 1000;

/// The mistakes of one file, in the order they were found.
#[derive(Debug)]
pub(super) struct Report {
    path: Arc<str>,
    /// The files it imports, by number from 1.
    sources: Vec<Arc<str>>,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    /// Takes what is over the limit.
    spare: Option<Diagnostic>,
}

/// A diagnostic just reported, to which a help may be added.
pub(super) struct Noted<'a>(&'a mut Diagnostic);

impl Noted<'_> {
    /// What to do about it.
    pub(super) fn help(self, text: impl Into<String>) {
        self.0.help = Some(text.into());
    }

    /// What to do about it, where something is known.
    pub(super) fn maybe_help(self, text: Option<String>) {
        self.0.help = text;
    }

    /// `did you mean …`, or else the alternatives.
    pub(super) fn suggest<'s>(self, word: &str, known: impl IntoIterator<Item = &'s str>) {
        self.0.help = super::suggest::help(word, known);
    }
}

impl Report {
    pub(super) fn new(path: Arc<str>) -> Self {
        Self { path, sources: Vec::new(), diagnostics: Vec::new(), errors: 0, spare: None }
    }

    /// The file.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The number of an imported file, for [`Place::file`].
    pub(super) fn source(&mut self, path: &Arc<str>) -> u16 {
        let known = self.sources.iter().position(|known| known == path);
        let index = known.unwrap_or_else(|| {
            self.sources.push(Arc::clone(path));
            self.sources.len() - 1
        });
        u16::try_from(index + 1).unwrap_or(0)
    }

    /// Whether one of the diagnostics from this number on is about an imported file.
    pub(super) fn blames_import(&self, from: usize) -> bool {
        let found = self.diagnostics.get(from..).unwrap_or_default();
        found.iter().any(|found| found.severity == Severity::Error && found.path != self.path)
    }

    /// How many diagnostics there are so far.
    pub(super) fn len(&self) -> usize {
        self.diagnostics.len()
    }

    /// The document is left out because of this.
    pub(super) fn error(
        &mut self,
        code: &'static str,
        place: Place,
        message: impl Into<String>,
    ) -> Noted<'_> {
        self.errors += 1;
        self.note(Severity::Error, code, place, message.into())
    }

    /// Works, but is probably not what was meant.
    pub(super) fn warning(
        &mut self,
        code: &'static str,
        place: Place,
        message: impl Into<String>,
    ) -> Noted<'_> {
        self.note(Severity::Warning, code, place, message.into())
    }

    /// How many errors there were so far, kept or not.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    /// The file a place is in: the report's own, or one it imports.
    pub(super) fn path_of(&self, place: Place) -> &Arc<str> {
        let index = usize::from(place.file).checked_sub(1);
        index.and_then(|index| self.sources.get(index)).unwrap_or(&self.path)
    }

    fn note(&mut self, severity: Severity, code: &'static str, place: Place, message: String) -> Noted<'_> {
        let diagnostic = Diagnostic {
            severity,
            code,
            message,
            help: None,
            path: Arc::clone(self.path_of(place)),
            line: place.line,
            column: place.column,
            width: place.width,
        };
        if self.diagnostics.len() < DIAGNOSTICS_MAX {
            let index = self.diagnostics.len();
            self.diagnostics.push(diagnostic);
            return Noted(&mut self.diagnostics[index]);
        }
        Noted(self.spare.insert(diagnostic))
    }
}
