//! `.rhai` rule files: the rule's YAML in a leading block comment, the script after it.

use super::ast::ScriptSource;
use super::report::Report;
use super::yaml::Place;

/// A `.rhai` file in its two parts.
pub(super) struct ScriptFile {
    /// The YAML, with a blank line for each line before it, so that its places are those of the file.
    pub(super) header: String,
    pub(super) script: ScriptSource,
}

/// Splits a file. The comment ends at the first `*/` that begins a line, so that the YAML may have `*/` in its
/// values, or else at the first one. Nothing after a mistake, which is reported.
pub(super) fn split(text: &str, report: &mut Report) -> Option<ScriptFile> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let before = text.len() - text.trim_start().len();
    let Some(body) = text.get(before..).and_then(|rest| rest.strip_prefix("/*")) else {
        let place = Place { line: 1, column: 1, width: 1, file: 0 };
        let message = "a script file starts with a block comment that holds the rule's YAML";
        report
            .error("missing-header", place, message)
            .help("put `/*`, `title: …` and so on, and `*/` before it, or name the file in `behavior: {script: FILE}`");
        return None;
    };
    let start = text.len() - body.len();
    let Some(end) = closing(body) else {
        let place = place_of(text, before, 2);
        report.error("missing-header", place, "this comment is not closed").help("add a line with `*/`");
        return None;
    };
    let yaml = body.get(..end).unwrap_or_default();
    let (first, rest) = yaml.split_once('\n').unwrap_or((yaml, ""));
    if !first.trim().is_empty() && !rest.trim().is_empty() {
        let place = place_of(text, start, first.trim_end().chars().count());
        report.error("missing-header", place, "the YAML must start on the line after `/*`");
        return None;
    }
    let lines_before = text.get(..start).unwrap_or_default().matches('\n').count();
    let after = body.get(end + 2..).unwrap_or_default();
    let lines_through = text.get(..start + end).unwrap_or_default().matches('\n').count();
    let (source, skipped) = match after.split_once('\n') {
        Some((rest, next)) if rest.trim().is_empty() => (next, 1),
        _ => (after, 0),
    };
    if source.trim().is_empty() {
        let place = place_of(text, start + end, 2);
        report.error("missing-script", place, "there is no script after the header");
        return None;
    }
    let line = u32::try_from(lines_through + skipped + 1).unwrap_or(u32::MAX);
    Some(ScriptFile {
        header: format!("{}{yaml}", "\n".repeat(lines_before)),
        script: ScriptSource { source: source.to_owned(), line, column: 1, path: None },
    })
}

fn closing(body: &str) -> Option<usize> {
    let mut offset = 0;
    for line in body.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if offset > 0 && line.trim_start().starts_with("*/") {
            return Some(offset + indent);
        }
        offset += line.len();
    }
    body.find("*/")
}

fn place_of(text: &str, byte: usize, width: usize) -> Place {
    let before = text.get(..byte).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place {
        line: small(before.matches('\n').count() + 1),
        column: small(before.get(line_start..).unwrap_or_default().chars().count() + 1),
        width: small(width.max(1)),
        file: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(String, String, u32), String> {
        let mut report = Report::new("a.rhai".into());
        let file = split(text, &mut report);
        match report.into_diagnostics().first() {
            Some(first) => Err(format!("{}:{} {}", first.line, first.column, first.message)),
            None => file.map(|file| (file.header, file.script.source, file.script.line)).ok_or(String::new()),
        }
    }

    #[test]
    fn the_parts_keep_their_line_numbers() {
        assert_eq!(
            check("\n/*\ntitle: a\nx: 'b*/c'\n*/\n\nfn f() {}\n"),
            Ok(("\n\ntitle: a\nx: 'b*/c'\n".into(), "\nfn f() {}\n".into(), 6))
        );
        assert_eq!(check("/*\ntitle: a */ fn f() {}"), Ok(("\ntitle: a ".into(), " fn f() {}".into(), 2)));
        assert_eq!(check("/* title: a */\nfn f() {}"), Ok((" title: a ".into(), "fn f() {}".into(), 2)));
    }

    #[test]
    fn files_without_their_parts_are_refused() {
        assert!(check("fn f() {}").unwrap_err().starts_with("1:1 a script file starts with"));
        assert!(check("").unwrap_err().starts_with("1:1 a script file starts with"));
        assert!(check("\n/*\ntitle: a\n").unwrap_err().starts_with("2:1 this comment is not closed"));
        assert!(check("/*\ntitle: a\n*/\n  \n").unwrap_err().starts_with("3:1 there is no script"));
        assert!(check("/* title: a\nid: b\n*/\nx").unwrap_err().starts_with("1:3 the YAML must start"));
    }
}
