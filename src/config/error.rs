//! What is wrong with a configuration, shown with the line that is meant.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::rule::{Diagnostic, Severity};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read: {error}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file says something that cannot be meant.
    #[error("{0}")]
    Invalid(Invalid),
}

/// Everything that is wrong with a file; prints like a compiler's errors, without secrets.
#[derive(Debug)]
pub struct Invalid {
    /// At least one.
    pub diagnostics: Vec<Diagnostic>,
    text: String,
}

impl ConfigError {
    /// Everything that is wrong, for programs.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid(invalid) => &invalid.diagnostics,
        }
    }

    /// The file's text as it may be shown, with secrets covered; empty if it could not be read.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Read { .. } => "",
            Self::Invalid(invalid) => &invalid.text,
        }
    }

    /// As [`Display`](fmt::Display), in colours.
    #[must_use]
    pub fn to_ansi(&self) -> String {
        match self {
            Self::Read { .. } => self.to_string(),
            Self::Invalid(invalid) => invalid.render(&Renderer::styled()),
        }
    }
}

/// Where in the file something stands: line and column from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub line: u32,
    pub column: u32,
    pub width: u32,
}

impl Place {
    pub(super) fn of(location: &serde_yaml::Location) -> Self {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            line: small(location.line()),
            column: small(location.column()),
            width: small(location.span().len()).max(1),
        }
    }

    /// Whether this is the same beginning.
    pub(super) fn begins_at(self, other: Self) -> bool {
        (self.line, self.column) == (other.line, other.column)
    }
}

/// Gathers what is wrong with one file.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    path: Arc<str>,
    text: &'a str,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Findings<'a> {
    pub fn new(path: &std::path::Path, text: &'a str) -> Self {
        Self { path: path.display().to_string().into(), text, diagnostics: Vec::new() }
    }

    /// Something is wrong at `place`; the whole file is meant without one.
    pub fn add(&mut self, code: &'static str, place: Option<Place>, message: String, help: Option<String>) {
        let Place { line, column, width } = place.unwrap_or(Place { line: 0, column: 0, width: 1 });
        let path = Arc::clone(&self.path);
        let severity = Severity::Error;
        self.diagnostics.push(Diagnostic { severity, code, message, help, path, line, column, width });
    }

    /// An error if anything was wrong.
    pub fn result(&mut self) -> Result<(), ConfigError> {
        if self.diagnostics.is_empty() { Ok(()) } else { Err(self.take_error()) }
    }

    /// The error, when something is known to be wrong.
    pub fn into_error(mut self) -> ConfigError {
        self.take_error()
    }

    fn take_error(&mut self) -> ConfigError {
        let mut diagnostics = std::mem::take(&mut self.diagnostics);
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        ConfigError::Invalid(Invalid { diagnostics, text: redact(self.text) })
    }
}

/// Keys whose values are secrets, and may therefore only be references.
pub(super) const SECRET_KEYS: [&str; 4] = ["token", "tokens", "secret", "password"];

/// Covers what looks like a secret written out in a text that is about to be shown. Works on lines, not on YAML,
/// because a file with a mistake may not be YAML. Keeps every character's place.
fn redact(text: &str) -> String {
    text.split_inclusive('\n').map(redact_line).collect()
}

fn redact_line(line: &str) -> String {
    let mut shown = line.to_owned();
    for key in SECRET_KEYS {
        let mut from = 0;
        while let Some(found) = shown.get(from..).and_then(|rest| rest.find(key)) {
            let after = from + found + key.len();
            from = after;
            let rest = shown.get(after..).unwrap_or_default();
            let value = rest.trim_start_matches(['"', '\'']).trim_start();
            let Some(value) = value.strip_prefix(':').map(str::trim_start) else { continue };
            if value.is_empty() || value.starts_with(['{', '#', '\n']) {
                continue;
            }
            let start = shown.len() - value.len();
            let covered: String =
                value.chars().map(|c| if c == '\n' || c == '\r' { c } else { '*' }).collect();
            shown.replace_range(start.., &covered);
        }
    }
    shown
}

impl Invalid {
    fn render(&self, renderer: &Renderer) -> String {
        let renderer = renderer.clone().decor_style(DecorStyle::Ascii);
        let one = |diagnostic: &Diagnostic| renderer.render(&self.report(diagnostic));
        self.diagnostics.iter().map(one).collect::<Vec<_>>().join("\n\n")
    }

    fn report<'a>(&'a self, diagnostic: &'a Diagnostic) -> Vec<annotate_snippets::Group<'a>> {
        let title = Level::ERROR.primary_title(&*diagnostic.message).id(diagnostic.code);
        let group = match self.span(diagnostic) {
            Some(span) => {
                let annotation = AnnotationKind::Primary.span(span).label(diagnostic.help.as_deref());
                let snippet = Snippet::source(&*self.text).path(&*diagnostic.path).annotation(annotation);
                return vec![title.element(snippet)];
            }
            None => title.element(annotate_snippets::Origin::path(&*diagnostic.path)),
        };
        let help = diagnostic.help.as_deref();
        vec![group.elements(help.map(|help| Level::HELP.message(help)))]
    }

    /// The bytes of the shown text that are meant; never beyond the line's end.
    fn span(&self, diagnostic: &Diagnostic) -> Option<std::ops::Range<usize>> {
        let index = usize::try_from(diagnostic.line.checked_sub(1)?).ok()?;
        let start: usize = self.text.split_inclusive('\n').take(index).map(str::len).sum();
        let line = self.text.get(start..)?.lines().next().unwrap_or_default();
        let byte_of = |column: usize| line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte);
        let column = usize::try_from(diagnostic.column.saturating_sub(1)).ok()?;
        let width = usize::try_from(diagnostic.width).ok()?;
        Some(start + byte_of(column)..start + byte_of(column.saturating_add(width)))
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_like_a_compiler_error() {
        let text = "# ä\nsources:\n  - {name: a, typ: stdin} # é\n";
        let mut findings = Findings::new(std::path::Path::new("dir/config.yaml"), text);
        let place = Place { line: 3, column: 15, width: 3 };
        let help = Some("did you mean `type`?".to_owned());
        findings.add("unknown-key", Some(place), "unknown key `typ`".to_owned(), help);
        findings.add("syntax", None, "the whole is wrong".to_owned(), Some("begin anew".to_owned()));
        insta::assert_snapshot!(findings.into_error(), @r"
        error[syntax]: the whole is wrong
        --> dir/config.yaml
         = help: begin anew

        error[unknown-key]: unknown key `typ`
         --> dir/config.yaml:3:15
          |
        3 |   - {name: a, typ: stdin} # é
          |               ^^^ did you mean `type`?
        ");
    }

    #[test]
    fn secrets_are_covered_and_nothing_moves() {
        for (line, shown) in [
            ("token: abc\n", "token: ***\n"),
            ("  - {name: a, token: s3cret, path: /x}", "  - {name: a, token: *****************"),
            ("\"password\" : 'x y'", "\"password\" : *****"),
            ("token: {env: X}", "token: {env: X}"),
            ("tokens: [a, b]", "tokens: ******"),
            ("token:", "token:"),
            ("# a token is needed", "# a token is needed"),
            ("secret: ä, token: b", "secret: ***********"),
        ] {
            assert_eq!(redact_line(line), shown);
            assert_eq!(line.chars().count(), shown.chars().count());
        }
    }
}
