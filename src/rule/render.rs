//! Diagnostics as a compiler shows them: the line, a caret, what to do.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Diagnostic, Severity};

/// Widest line shown in full, in characters; longer ones are cut around the mistake.
const WIDTH: usize = 140;

/// All diagnostics one after the other. `source_of` gives a file's text by its path; without it only the place
/// is named.
#[must_use]
pub fn render<'a>(
    diagnostics: &'a [Diagnostic],
    source_of: &dyn Fn(&str) -> Option<&'a str>,
    color: bool,
) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(WIDTH);
    let mut shown = String::new();
    for diagnostic in diagnostics {
        shown.push_str(&renderer.render(&[group(diagnostic, source_of)]));
        shown.push_str("\n\n");
    }
    shown
}

fn group<'a>(diagnostic: &'a Diagnostic, source_of: &dyn Fn(&str) -> Option<&'a str>) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let number = usize::try_from(diagnostic.line).unwrap_or(usize::MAX);
    let column = usize::try_from(diagnostic.column).unwrap_or(usize::MAX);
    let path = diagnostic.path.as_ref();
    let line = source_of(path).and_then(|text| text.lines().nth(number.checked_sub(1)?));
    let group = match line {
        Some(line) => {
            let span = span_of(line, column, usize::try_from(diagnostic.width).unwrap_or(1));
            let snippet = Snippet::source(line).line_start(number).path(path);
            title.element(snippet.annotation(AnnotationKind::Primary.span(span)))
        }
        None if number == 0 => title.element(Origin::path(path)),
        None => title.element(Origin::path(path).line(number).char_column(column)),
    };
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

/// The bytes of a stretch of characters, cut to the line. A place behind the last character is that character's end.
fn span_of(line: &str, column: usize, width: usize) -> std::ops::Range<usize> {
    let byte = |chars: usize| line.char_indices().nth(chars).map_or(line.len(), |(byte, _)| byte);
    let start = column.saturating_sub(1);
    byte(start)..byte(start.saturating_add(width.max(1)))
}
