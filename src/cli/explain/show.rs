//! Explained rules for the terminal.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::case::Case;
use super::tree::Tree;
use crate::cli::terminal::{Paint, clean, cut, labelled};

/// The event, then each rule.
pub(super) fn text(
    event: &Map<String, Value>,
    cases: &[Case<'_>],
    all: usize,
    (paint, width): (Paint, usize),
) -> String {
    let mut text = format!("{}\n", cut(&clean(&headline(event)), width));
    for case in cases {
        text.push('\n');
        rule(case, &mut text, paint, width);
    }
    let fired = cases.iter().filter(|case| case.fires).count();
    let others = all - cases.len();
    let near = cases.len() - fired;
    let told = match others {
        _ if cases.is_empty() => format!("none of {all} rules comes near: no selection of any matches"),
        0 => format!("rules that fire: {fired}, that do not: {near}"),
        _ => format!(
            "rules that fire: {fired}, that do not: {near}, not shown: {others} (--rule ID shows one)"
        ),
    };
    let _ = writeln!(text, "\n{told}");
    text
}

fn headline(event: &Map<String, Value>) -> String {
    let field = |name: &str| match event.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let mut line = format!("{}  {}", field("created_at"), field("event_type"));
    let author = match (field("author_name"), field("author_id")) {
        (name, id) if name.is_empty() => id,
        (name, id) if id.is_empty() => name,
        (name, id) => format!("{name} ({id})"),
    };
    for (word, value) in [("by", author), ("on", field("entity_path")), ("from", field("ip_address"))] {
        if !value.is_empty() {
            let _ = write!(line, "  {word} {value}");
        }
    }
    line
}

fn rule(case: &Case<'_>, text: &mut String, paint: Paint, width: usize) {
    let rule = &case.unit.rule;
    let (mark, word) = if case.fires { (paint.green("✓"), "FIRES") } else { (paint.red("✗"), "no") };
    let title = paint.bold(&clean(&rule.title));
    let _ = writeln!(text, "{mark} {title}  {}  {}", paint.dim(&rule.id), paint.level(rule.level));
    text.push_str(&labelled(word, &case.verdict, width));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {:<8} {}", name, cut(&clean(value), width.saturating_sub(11)));
    };
    line("rule", &format!("{}:{}", rule.origin.path, rule.origin.line));
    for key in &case.keys {
        line("key", key);
    }
    if case.fires && rule.dry_run {
        line("dry_run", "responses to its alerts only rehearse");
    }
    for (index, held) in case.window.iter().enumerate() {
        line(if index == 0 { "window" } else { "" }, held);
    }
    for (index, said) in case.knew.iter().enumerate() {
        text.push_str(&labelled(if index == 0 { "knows" } else { "" }, said, width));
    }
    let print = Print { paint, width };
    if let Some((written, tree)) = &case.condition {
        let _ = writeln!(text, "  {} {}", print.mark(tree), cut(&clean(written), width.saturating_sub(4)));
        // The line above says how the parts are joined.
        match tree.parts.as_slice() {
            parts if tree.label == *written || tree.label == "all of" || tree.label == "one of" => {
                print.parts(parts, "  ", text);
            }
            _ => print.parts(std::slice::from_ref(tree), "  ", text),
        }
    }
    for tree in &case.others {
        let _ = writeln!(text, "  {} {}", print.mark(tree), clean(&tree.label));
        print.parts(&tree.parts, "  ", text);
    }
    for (title, place, tree) in &case.filters {
        let (mark, outcome) = if tree.holds {
            (paint.yellow("✗"), "excepted by")
        } else {
            (paint.dim("·"), "not excepted by")
        };
        let _ = writeln!(text, "  {mark} {outcome} {}  {}", clean(title), paint.dim(place));
        print.parts(std::slice::from_ref(tree), "  ", text);
    }
}

#[derive(Clone, Copy)]
struct Print {
    paint: Paint,
    width: usize,
}

impl Print {
    fn mark(self, tree: &Tree) -> String {
        if tree.holds { self.paint.green("✓") } else { self.paint.red("✗") }
    }

    fn parts(self, parts: &[Tree], indent: &str, text: &mut String) {
        for (index, part) in parts.iter().enumerate() {
            let is_last = index + 1 == parts.len();
            let (branch, below) = if is_last { ("└─", "   ") } else { ("├─", "│  ") };
            let (label, inner) = folded(part);
            let room = self.width.saturating_sub(indent.chars().count() + 5);
            let found = inner.found.as_ref().map(|found| clean(found)).unwrap_or_default();
            let label = clean(&label);
            let wanted = found.chars().count() + 8;
            // A short value leaves the label its room; a long one gets two fifths.
            let label = match found.is_empty() {
                true => cut(&label, room),
                false => cut(&label, room.saturating_sub(wanted).max(room * 3 / 5)),
            };
            let left = room.saturating_sub(label.chars().count() + 8);
            let found = match found.as_str() {
                "" => String::new(),
                "missing" => self.paint.dim("   (missing)"),
                found if found.starts_with("failed: ") => {
                    self.paint.yellow(&format!("   ({})", cut(found, left)))
                }
                found => self.paint.dim(&format!("   (is {})", cut(found, left))),
            };
            let _ = writeln!(text, "{indent}{branch} {} {label}{found}", self.mark(part));
            self.parts(&inner.parts, &format!("{indent}{below}"), text);
        }
    }
}

/// `not` and its part on one line.
fn folded(tree: &Tree) -> (String, &Tree) {
    match tree.parts.as_slice() {
        [only] if tree.label == "not" => {
            let (label, inner) = folded(only);
            (format!("not {label}"), inner)
        }
        _ => (tree.label.clone(), tree),
    }
}
