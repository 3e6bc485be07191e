//! Mistakes as text for people, as JSON and as SARIF for programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::rule::{Diagnostic, Severity};

/// How mistakes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// As a compiler shows them.
    Text,
    /// One array of objects.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// Texts of files by path, for showing their lines.
pub(super) type Texts = BTreeMap<Arc<str>, String>;

/// By file, then by place; each once.
pub(super) fn sort(diagnostics: &mut Vec<Diagnostic>) {
    let key = |d: &Diagnostic| (Arc::clone(&d.path), d.line, d.column, d.code, d.message.clone());
    diagnostics.sort_by_key(key);
    diagnostics.dedup();
}

/// How many of this severity.
pub(super) fn count(diagnostics: &[Diagnostic], severity: Severity) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
}

/// As a compiler shows them.
pub(super) fn text(diagnostics: &[Diagnostic], texts: &Texts, color: bool) -> String {
    crate::rule::render(diagnostics, &|path| texts.get(path).map(String::as_str), color)
}

/// One array of objects with the keys severity, code, message, help, path, line, column, width.
pub(super) fn json(diagnostics: &[Diagnostic]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(diagnostics).map(|text| text + "\n")
}

/// SARIF 2.1.0 (OASIS): one run, a rule for each code.
pub(super) fn sarif(diagnostics: &[Diagnostic]) -> serde_json::Result<String> {
    let mut codes: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| json!({"id": code})).collect();
    let results: Vec<Value> = diagnostics.iter().map(result).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "watchfire", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&log).map(|text| text + "\n")
}

fn result(diagnostic: &Diagnostic) -> Value {
    let level = match diagnostic.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let text = match &diagnostic.help {
        Some(help) => format!("{}\n{help}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let mut place = json!({"artifactLocation": {"uri": uri(&diagnostic.path)}});
    if diagnostic.line > 0 {
        place["region"] = json!({
            "startLine": diagnostic.line,
            "startColumn": diagnostic.column,
            "endColumn": diagnostic.column.saturating_add(diagnostic.width),
        });
    }
    json!({
        "ruleId": diagnostic.code,
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    })
}

/// A path as a relative or `file:` reference.
fn uri(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let escape =
        |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let escaped: String = path.bytes().map(escape).collect();
    if path.starts_with('/') { format!("file://{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Diagnostic> {
        let one = |line, severity, help: Option<&str>| Diagnostic {
            severity,
            code: "unknown-key",
            message: "unknown key `x`".to_owned(),
            help: help.map(str::to_owned),
            path: "a b/c.yml".into(),
            line,
            column: 3,
            width: 1,
        };
        let (second, whole) =
            (one(2, Severity::Error, Some("did you mean `y`?")), one(0, Severity::Warning, None));
        let mut found = vec![second.clone(), whole, second];
        sort(&mut found);
        found
    }

    #[test]
    fn each_once_in_order_and_counted() {
        let found = some();
        assert_eq!(found.iter().map(|d| d.line).collect::<Vec<_>>(), [0, 2]);
        assert_eq!((count(&found, Severity::Error), count(&found, Severity::Warning)), (1, 1));
    }

    #[test]
    fn sarif_says_what_and_where() {
        let log: Value = serde_json::from_str(&sarif(&some()).unwrap()).unwrap();
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["rules"], json!([{"id": "unknown-key"}]));
        assert_eq!(run["results"][0]["locations"][0]["physicalLocation"]["region"], Value::Null);
        assert_eq!(
            run["results"][1],
            json!({
                "ruleId": "unknown-key", "level": "error",
                "message": {"text": "unknown key `x`\ndid you mean `y`?"},
                "locations": [{"physicalLocation": {
                    "artifactLocation": {"uri": "a%20b/c.yml"},
                    "region": {"startLine": 2, "startColumn": 3, "endColumn": 4},
                }}],
            })
        );
        assert_eq!(uri("/a/ä"), "file:///a/%C3%A4");
    }
}
