//! `vars`: values that a rule names once and uses as `${name}`.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{self, Entries};
use super::report::Report;
use super::yaml::{Content, Place, Scalar, ScalarKind, Yaml};
use super::{expression, suggest};

/// Most nodes that a document may have with its variables filled in.
const NODES_MAX: usize = 200_000;
/// Longest text with its variables filled in, in bytes.
const TEXT_MAX: usize = 64 * 1024;
/// The number of an event in its series, in tests.
const SERIES_NUMBER: &str = "n";

/// A variable.
#[derive(Debug, Clone)]
pub(super) struct Var {
    value: Yaml,
    /// Its own variables are filled in.
    is_filled: bool,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Rule,
    /// Where `script` is the path of a file.
    Behavior,
    /// Rhai has `${…}` in its texts as well: what is no variable stays.
    Script,
    /// `${…}` is an expression, in which variables are numbers.
    Tests,
}

/// The variables that a document declares itself, with their places.
pub(super) fn declared(entries: Entries<'_>, report: &mut Report) -> Vec<(String, Place)> {
    let Some(node) = read::value(entries, "vars").filter(|node| !node.is_null()) else { return Vec::new() };
    let Some(entries) = read::map(node, "`vars`", report) else { return Vec::new() };
    let mut found = Vec::new();
    for (key, _) in entries {
        if !is_name(&key.text) || key.text == SERIES_NUMBER {
            let message = format!("`{}` cannot be the name of a variable", key.text);
            let help = match key.text.as_str() {
                SERIES_NUMBER => "in tests `n` is the number of the event",
                _ => "use letters, digits and `_`, and begin with a letter",
            };
            report.error("bad-value", key.place, message).help(help);
        } else {
            found.push((key.text.clone(), key.place));
        }
    }
    found
}

/// Adds the variables of a part of a document beneath those that are known.
pub(super) fn add(entries: Entries<'_>, known: &mut BTreeMap<String, Var>) {
    let vars = read::value(entries, "vars").and_then(Yaml::entries).unwrap_or_default();
    for (key, value) in vars {
        known.entry(key.text.clone()).or_insert_with(|| Var { value: value.clone(), is_filled: false });
    }
}

/// Fills the variables in, and answers which were used.
pub(super) fn fill(root: &mut Yaml, vars: BTreeMap<String, Var>, report: &mut Report) -> BTreeSet<String> {
    let mut filler = Filler { vars, under_way: Vec::new(), used: BTreeSet::new(), nodes: 0, report };
    let errors = filler.report.errors();
    filler.node(root, Where::Rule);
    // One that is used nowhere may still be wrong in itself.
    let names: Vec<String> = filler.vars.keys().cloned().collect();
    let used = filler.used.clone();
    if filler.report.errors() == errors {
        for name in names {
            filler.value(&name, Place::FILE);
        }
    }
    let by_others = filler.used.difference(&used).cloned().collect::<Vec<_>>();
    used.into_iter().chain(by_others).collect()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The name, if the text is one variable and nothing else.
fn whole(text: &str) -> Option<&str> {
    text.trim().strip_prefix("${")?.strip_suffix('}').filter(|name| is_name(name))
}

struct Filler<'r> {
    vars: BTreeMap<String, Var>,
    /// The variables whose values are being filled in.
    under_way: Vec<String>,
    used: BTreeSet<String>,
    nodes: usize,
    report: &'r mut Report,
}

impl Filler<'_> {
    fn node(&mut self, node: &mut Yaml, stands: Where) {
        if let Some(filled) = self.replaced(node, stands) {
            *node = filled;
            return;
        }
        match &mut node.content {
            Content::Map(entries) => {
                for (key, value) in entries {
                    let stands = match (stands, key.text.as_str()) {
                        (Where::Rule, "script") => Where::Script,
                        (Where::Rule, "behavior") => Where::Behavior,
                        (Where::Rule, "tests") => Where::Tests,
                        (stands, _) => stands,
                    };
                    self.node(value, stands);
                }
            }
            Content::List(items) => {
                let mut filled = Vec::with_capacity(items.len());
                for mut item in std::mem::take(items) {
                    let is_whole = item.scalar().is_some_and(|scalar| whole(&scalar.text).is_some());
                    self.node(&mut item, stands);
                    match item.content {
                        // A list in a list is more of its items.
                        Content::List(more) if is_whole => filled.extend(more),
                        _ => filled.push(item),
                    }
                }
                *items = filled;
            }
            Content::Scalar(scalar) => {
                if scalar.kind == ScalarKind::Str && scalar.text.contains("${") {
                    let before = scalar.clone();
                    let at = Yaml { content: Content::Scalar(before.clone()), place: node.place };
                    *scalar = match stands {
                        Where::Tests => self.expressions(before),
                        Where::Rule | Where::Behavior | Where::Script => self.text(&at, before, stands),
                    };
                }
            }
        }
    }

    /// What stands for a text that is one variable and nothing else: its value, whatever its type.
    fn replaced(&mut self, node: &Yaml, stands: Where) -> Option<Yaml> {
        let scalar = node.scalar().filter(|scalar| scalar.kind == ScalarKind::Str)?;
        let name = whole(&scalar.text)?.to_owned();
        if !self.vars.contains_key(&name) {
            return None;
        }
        if stands == Where::Script {
            return None;
        }
        let value = self.value(&name, node.place)?;
        self.nodes = self.nodes.saturating_add(value.size());
        if self.nodes > NODES_MAX {
            let message = format!("with its variables this has more than {NODES_MAX} values");
            self.report.error("yaml-limit", node.place, message).help("use smaller lists");
            self.vars.clear();
            return None;
        }
        let content = match value.content {
            // A mistake in it is one of this place: there may be other places where it would be right.
            Content::Scalar(scalar) => Content::Scalar(Scalar { column: None, ..scalar }),
            other => other,
        };
        Some(Yaml { content, place: node.place })
    }

    /// A variable's value, with the variables in it filled in.
    fn value(&mut self, name: &str, place: Place) -> Option<Yaml> {
        if place != Place::FILE {
            self.used.insert(name.to_owned());
        }
        let var = self.vars.get(name)?;
        let mut value = var.value.clone();
        if var.is_filled {
            return Some(value);
        }
        if self.under_way.iter().any(|known| known == name) {
            let message = format!("the variable `{name}` is made of itself");
            let place = var.value.place;
            // Once is enough.
            if let Some(var) = self.vars.get_mut(name) {
                var.is_filled = true;
            }
            self.report.error("unknown-variable", place, message).help("write its value out");
            return None;
        }
        self.under_way.push(name.to_owned());
        self.node(&mut value, Where::Rule);
        self.under_way.pop();
        if let Some(var) = self.vars.get_mut(name) {
            *var = Var { value: value.clone(), is_filled: true };
        }
        Some(value)
    }

    /// A text with variables in it.
    fn text(&mut self, node: &Yaml, scalar: Scalar, stands: Where) -> Scalar {
        let mut filled = String::new();
        let mut rest = scalar.text.as_str();
        while let Some(at) = rest.find("${") {
            let (before, here) = rest.split_at(at);
            let inside = here.get(2..).unwrap_or_default();
            let name = inside.split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
            let Some(name) = name else {
                filled.push_str(before);
                filled.push_str("${");
                rest = inside;
                continue;
            };
            rest = inside.get(name.len() + 1..).unwrap_or_default();
            // `$${name}` is the text `${name}`.
            if let Some(before) = before.strip_suffix('$') {
                filled.push_str(before);
                filled.push_str(&format!("${{{name}}}"));
                continue;
            }
            filled.push_str(before);
            let offset = scalar.text.chars().count() - inside.chars().count() - 2;
            match self.in_text(name, node.part(offset, name.len() + 3), stands) {
                Some(text) => filled.push_str(&text),
                None => filled.push_str(&format!("${{{name}}}")),
            }
            if filled.len() > TEXT_MAX {
                let message = format!("with its variables this text has more than {TEXT_MAX} bytes");
                self.report.error("yaml-limit", node.place, message);
                break;
            }
        }
        filled.push_str(rest);
        Scalar { text: filled, column: None, ..scalar }
    }

    /// What stands for a variable inside a text; none if it stays as it is.
    fn in_text(&mut self, name: &str, place: Place, stands: Where) -> Option<String> {
        if !self.vars.contains_key(name) {
            if stands != Where::Script {
                self.unknown(name, place);
            }
            return None;
        }
        let value = self.value(name, place)?;
        match value.scalar().filter(|scalar| scalar.kind != ScalarKind::Null) {
            Some(scalar) => Some(scalar.text.clone()),
            None => {
                let message =
                    format!("`${{{name}}}` is {}, which cannot stand inside a text", value.describe());
                self.report.error("wrong-type", place, message).help("let it be the whole value");
                None
            }
        }
    }

    fn unknown(&mut self, name: &str, place: Place) {
        let message = format!("there is no variable `{name}`");
        let near = suggest::closest(name, self.vars.keys().map(String::as_str));
        let help = match near {
            Some(near) => format!("did you mean `${{{near}}}`?"),
            None => format!("add it under `vars`; to mean the text itself, write `$${{{name}}}`"),
        };
        self.report.error("unknown-variable", place, message).help(help);
    }

    /// The expressions of a test: variables become their numbers. One that needs no `n` becomes its value.
    fn expressions(&mut self, scalar: Scalar) -> Scalar {
        let mut filled = String::new();
        let mut rest = scalar.text.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let Some((expression, tail)) = after.split_once('}') else { break };
            let (written, found) = self.numbers(expression);
            filled.push_str(before);
            let has_n = written.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "n");
            let value = if found && !has_n { expression::evaluate(&written, 0).ok() } else { None };
            match value {
                Some(value) if before.is_empty() && tail.is_empty() && filled.is_empty() => {
                    return Scalar { text: value.to_string(), kind: ScalarKind::Int, column: None };
                }
                Some(value) => filled.push_str(&value.to_string()),
                None => filled.push_str(&format!("${{{written}}}")),
            }
            rest = tail;
        }
        filled.push_str(rest);
        let column = scalar.column.filter(|_| filled == scalar.text);
        Scalar { text: filled, column, ..scalar }
    }

    /// An expression with numbers for its variables, and whether there were any.
    fn numbers(&mut self, expression: &str) -> (String, bool) {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (mut written, mut found, mut rest) = (String::new(), false, expression);
        while let Some(first) = rest.chars().next() {
            let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len()).max(first.len_utf8());
            let (word, after) = rest.split_at(length);
            let number = if is_name(word) && self.vars.contains_key(word) { self.number(word) } else { None };
            found |= number.is_some();
            written.push_str(number.as_deref().unwrap_or(word));
            rest = after;
        }
        (written, found)
    }

    fn number(&mut self, name: &str) -> Option<String> {
        let value = self.value(name, Place { line: 1, ..Place::FILE })?;
        let number = read::integer_of(&value.scalar()?.text)?;
        Some(if number < 0 { format!("({number})") } else { number.to_string() })
    }
}
