//! The results of all tests: for people, as JSON, as JUnit's XML.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::alike::{Expected, text};
use super::run::{Failure, Raised, Runner, Verdict};
use crate::cli::report::counted;
use crate::cli::terminal::{Paint, clean};
use crate::engine::Unit;

/// One test and how it ended.
struct Outcome<'a> {
    unit: &'a Unit,
    name: &'a str,
    line: u32,
    verdict: Verdict,
}

/// All tests and how they ended.
pub(super) struct Report<'a> {
    outcomes: Vec<Outcome<'a>>,
    untested: Vec<&'a Unit>,
    rules: usize,
    evicted: u64,
}

impl<'a> Report<'a> {
    /// Runs everything.
    pub(super) fn new(runner: &Runner<'a>) -> Self {
        let mut report = Self { outcomes: Vec::new(), untested: Vec::new(), rules: 0, evicted: 0 };
        for (number, unit) in runner.rules.units().iter().enumerate() {
            if unit.rule.tests.is_empty() {
                report.untested.push(unit);
                continue;
            }
            report.rules += 1;
            for test in &unit.rule.tests {
                let verdict = runner.run(number, unit, test);
                report.outcomes.push(Outcome { unit, name: &test.name, line: test.line, verdict });
            }
        }
        report.evicted = runner.evicted();
        report
    }

    /// How many failed.
    pub(super) fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| !outcome.has_passed()).count()
    }

    /// What failed and how; one line when nothing did.
    pub(super) fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for outcome in self.outcomes.iter().filter(|outcome| !outcome.has_passed()) {
            let _ = writeln!(
                text,
                "{} {}: {}",
                paint.red("FAILED"),
                paint.bold(&format!("{}:{}", outcome.unit.rule.origin.path, outcome.line)),
                clean(outcome.name)
            );
            text.push_str(&outcome.explanation(paint));
            text.push('\n');
        }
        if !self.untested.is_empty() {
            let names: Vec<&str> = self.untested.iter().map(|unit| &*unit.rule.id).collect();
            let shown = names.iter().take(20).copied().collect::<Vec<_>>().join(", ");
            let more = if names.len() > 20 { ", …" } else { "" };
            let have = if names.len() == 1 { "rule has" } else { "rules have" };
            let _ =
                writeln!(text, "{} {} {have} no tests: {shown}{more}", paint.yellow("note:"), names.len());
        }
        if self.evicted > 0 {
            let keys = counted(self.evicted, "key");
            let _ = writeln!(text, "{} {keys} were forgotten at the memory limits", paint.yellow("note:"));
        }
        let failed = self.failed();
        let passed = self.outcomes.len() - failed;
        let rules = if self.rules == 1 { "rule" } else { "rules" };
        let summary = format!("{passed} passed, {failed} failed in {} {rules}", self.rules);
        let summary = if failed == 0 { paint.green(&summary) } else { paint.red(&summary) };
        let _ = writeln!(text, "{summary}");
        text
    }

    /// `{"passed", "failed", "tests": [{"rule", "title", "name", "file", "line", "passed", "explanation"}], "untested"}`.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let test = |outcome: &Outcome<'_>| {
            let rule = &outcome.unit.rule;
            let explanation = match outcome.has_passed() {
                true => Value::Null,
                false => outcome.explanation(Paint::default()).into(),
            };
            json!({
                "rule": rule.id, "title": rule.title, "name": outcome.name, "file": rule.origin.path,
                "line": outcome.line, "passed": outcome.has_passed(), "explanation": explanation,
            })
        };
        let failed = self.failed();
        let whole = json!({
            "passed": self.outcomes.len() - failed,
            "failed": failed,
            "tests": self.outcomes.iter().map(test).collect::<Vec<_>>(),
            "untested": self.untested.iter().map(|unit| &*unit.rule.id).collect::<Vec<_>>(),
        });
        serde_json::to_string_pretty(&whole).map(|text| text + "\n")
    }

    /// One suite per rule.
    pub(super) fn junit(&self) -> String {
        let (tests, failed) = (self.outcomes.len(), self.failed());
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(text, "<testsuites name=\"watchfire\" tests=\"{tests}\" failures=\"{failed}\">");
        for suite in self.outcomes.chunk_by(|a, b| std::ptr::eq(a.unit, b.unit)) {
            let Some(first) = suite.first() else { continue };
            let failures = suite.iter().filter(|outcome| !outcome.has_passed()).count();
            let (id, file) = (xml(&first.unit.rule.id), xml(&first.unit.rule.origin.path));
            let count = suite.len();
            let _ = writeln!(
                text,
                "  <testsuite name=\"{id}\" tests=\"{count}\" failures=\"{failures}\" file=\"{file}\">"
            );
            for outcome in suite {
                let (name, line) = (xml(outcome.name), outcome.line);
                let case = format!(
                    "    <testcase classname=\"{id}\" name=\"{name}\" file=\"{file}\" line=\"{line}\""
                );
                if outcome.has_passed() {
                    let _ = writeln!(text, "{case}/>");
                } else {
                    let why = xml(&outcome.explanation(Paint::default()));
                    let _ = writeln!(
                        text,
                        "{case}>\n      <failure message=\"{}\">{why}</failure>",
                        outcome.summary()
                    );
                    text.push_str("    </testcase>\n");
                }
            }
            text.push_str("  </testsuite>\n");
        }
        text.push_str("</testsuites>\n");
        text
    }
}

impl Outcome<'_> {
    const fn has_passed(&self) -> bool {
        matches!(self.verdict, Verdict::Passed)
    }

    fn summary(&self) -> String {
        match &self.verdict {
            Verdict::Passed => "passed".to_owned(),
            Verdict::BadEvent(number, _) => format!("event {number} is no event"),
            Verdict::Failed(failure) => {
                let (missing, surplus) = (failure.unmatched.missing.len(), failure.unmatched.surplus.len());
                format!("{missing} alerts missing, {surplus} not expected")
            }
        }
    }

    fn explanation(&self, paint: Paint) -> String {
        match &self.verdict {
            Verdict::Passed => String::new(),
            Verdict::BadEvent(number, reason) => format!("  event {number} is no event: {}\n", clean(reason)),
            Verdict::Failed(failure) => explain(self.unit, failure, paint),
        }
    }
}

fn explain(unit: &Unit, failure: &Failure, paint: Paint) -> String {
    let mut text = format!("  {} ({})\n", clean(&unit.rule.title), unit.rule.id);
    if !failure.unmatched.missing.is_empty() {
        text.push_str("  expected, but not raised:\n");
    }
    for (expected, differences) in &failure.unmatched.missing {
        let _ = writeln!(text, "{}", paint.red(&format!("    - {}", clean(&flow(expected)))));
        for difference in differences {
            let line = format!("{} is {}, not {}", difference.field, difference.actual, difference.expected);
            let _ = writeln!(text, "        {}", clean(&line));
        }
    }
    if !failure.unmatched.surplus.is_empty() {
        text.push_str("  raised, but not expected:\n");
    }
    for raised in &failure.unmatched.surplus {
        let other = if raised.rule == *unit.rule.id { String::new() } else { format!(" by {}", raised.rule) };
        let line = format!("    + {}{other}", clean(&raised_flow(raised)));
        let _ = writeln!(text, "{}", paint.green(&line));
        let findings = if raised.findings == 1 { "finding" } else { "findings" };
        let _ = writeln!(text, "        {} {findings}: {}", raised.findings, clean(&raised.reason));
    }
    text.push_str("  how close it came:\n");
    for line in &failure.close {
        let _ = writeln!(text, "    {}", clean(line));
    }
    text
}

/// As it stands in a rule file: `{author_id: 7}`.
fn flow(alert: &Expected) -> String {
    let fields: Vec<String> =
        alert.iter().map(|(field, value)| format!("{field}: {}", text(value))).collect();
    if fields.is_empty() { "{} (any alert)".to_owned() } else { format!("{{{}}}", fields.join(", ")) }
}

fn raised_flow(raised: &Raised) -> String {
    let fields: Vec<String> = raised.key.0.iter().map(|(field, value)| format!("{field}: {value}")).collect();
    format!("{{{}}}", fields.join(", "))
}

fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
