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
        let text = redact(self.text, &diagnostics);
        ConfigError::Invalid(Invalid { diagnostics, text })
    }
}

/// The code of a secret that is written out.
pub(super) const PLAIN_SECRET: &str = "plain-secret";

/// Keys whose values are secrets, and may therefore only be references.
pub(super) const SECRET_KEYS: [&str; 4] = ["token", "tokens", "secret", "password"];

/// Covers what looks like a secret written out in a text that is about to be shown: on the lines of a key of secrets and
/// those below that belong to its value, because a file with a mistake may not be YAML; and, where it is, all that was
/// found to be one. Keeps every character's place.
fn redact(text: &str, diagnostics: &[Diagnostic]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut below: Option<Below> = None;
    for line in text.split_inclusive('\n') {
        match below.filter(|below| below.has(line)) {
            Some(below) => shown.push_str(&below.cover(line)),
            None => {
                below = Below::after(line);
                shown.push_str(&redact_line(line));
            }
        }
    }
    let secrets = diagnostics.iter().filter(|diagnostic| diagnostic.code == PLAIN_SECRET);
    secrets.fold(shown, |shown, diagnostic| cover_span(&shown, diagnostic))
}

/// What stands below a key of secrets.
#[derive(Clone, Copy)]
struct Below {
    /// The key's column, in bytes.
    column: usize,
    /// Whether it may be a reference, `env: NAME`: nothing stands behind the key itself.
    is_open: bool,
}

impl Below {
    /// What belongs to the value of the last key of secrets on this line.
    fn after(line: &str) -> Option<Self> {
        let found = SECRET_KEYS.iter().filter_map(|key| {
            let at = line.rfind(key)?;
            let value = line.get(at + key.len()..)?.trim_start_matches(['"', '\'']).trim_start();
            let value = value.strip_prefix(':')?.trim();
            let quoted = usize::from(line.get(..at).is_some_and(|before| before.ends_with(['"', '\''])));
            let is_open = value.is_empty() || value.starts_with('#');
            (!value.starts_with('{')).then_some(Self { column: at - quoted, is_open })
        });
        found.max_by_key(|below| below.column)
    }

    fn has(self, line: &str) -> bool {
        let text = line.trim_start();
        let column = line.len() - text.len();
        let is_item = text.starts_with('-');
        text.is_empty() || column > self.column || (column == self.column && is_item)
    }

    fn cover(self, line: &str) -> String {
        let value = line.trim_start().trim_start_matches('-').trim_start();
        let is_reference = ["env:", "file:", "{", "#"].iter().any(|start| value.starts_with(start));
        if self.is_open && is_reference {
            return line.to_owned();
        }
        let start = line.len() - value.len();
        let (before, value) = line.split_at(start);
        before.chars().chain(value.chars().map(covered)).collect()
    }
}

const fn covered(c: char) -> char {
    if c == '\n' || c == '\r' { c } else { '*' }
}

/// Covers the place of a finding, over as many lines as it has.
fn cover_span(text: &str, diagnostic: &Diagnostic) -> String {
    let (mut line, mut column, mut left) = (1, 1, diagnostic.width);
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let is_within = (line, column) >= (diagnostic.line, diagnostic.column) && left > 0;
        left -= u32::from(is_within);
        shown.push(if is_within { covered(c) } else { c });
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    shown
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
            let covered: String = value.chars().map(covered).collect();
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
    fn a_secret_below_its_key_is_covered() {
        for text in [
            "token: |\n  s3cret\n  s3cret\nname: a\n",
            "- token: >-\n    s3cret\n\n    s3cret\n  name: a\n",
            "token:\n  s3cret\nname: a\n",
            "tokens:\n- s3cret\n- {env: X}\nname: a\n",
            "tokens:\n  - s3cret\n  - s3cret\nname: a\n",
            "\"token\": \"begun\n  s3cret\"\nname: a\n",
            "token: # the old one\n  s3cret\nname: a\n",
            "tokens: [begun,\n  s3cret]\nname: a\n",
            "token: |\n  s3cret\n broken: [",
        ] {
            let shown = redact(text, &[]);
            assert!(!shown.contains("s3cret"), "{shown}");
            assert_eq!(shown.chars().count(), text.chars().count());
            assert_eq!(shown.contains("name: a"), text.contains("name: a"), "{shown}");
        }
        for text in [
            "token:\n  env: NAME\n",
            "token:\n  {file: PATH}\n",
            "tokens:\n  - env: A\n  # b\n  - {env: B}\nname: a\n",
        ] {
            assert_eq!(redact(text, &[]), text);
        }
    }

    #[test]
    fn what_was_found_to_be_a_secret_is_covered_wherever_it_stands() {
        let text = "a: {token:\ns3cret,\n  b: 1}\n";
        let mut findings = Findings::new(std::path::Path::new("c.yaml"), text);
        let place = Place { line: 2, column: 1, width: 6 };
        findings.add(PLAIN_SECRET, Some(place), "a secret".to_owned(), None);
        findings.add("other", Some(Place { line: 2, column: 2, width: 1 }), "another".to_owned(), None);
        let shown = findings.into_error().to_string();
        assert!(shown.contains("******,") && !shown.contains("s3cret"), "{shown}");
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
