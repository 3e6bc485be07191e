//! A query as the parser leaves it, and how it is written.

use std::fmt;

use ipnet::IpNet;

use super::words::{Phrase, fits};
use super::{QueryError, parser};
use crate::event::Format;
use crate::time::{Span, Timestamp};

/// A search over canonical events. Prints as a query that parses back to the same one.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub(crate) root: Node,
}

/// A boolean expression over terms. `And` and `Or` have at least two members, none of their own kind, except
/// that the empty query is an empty `And`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Term(Term),
}

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Term {
    /// These words, one after the other, anywhere in any value.
    Anywhere(Phrase),
    /// A test on one field, under the name that was written.
    Field(String, Test),
}

/// What a field's value must be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    /// The whole value looks like this.
    Like(Pattern),
    /// An address in the network; or this very text, should the field hold networks.
    Network(IpNet, String),
    /// Within the stretch of time that the operand names.
    Within(Operand),
    /// Before or after the operand.
    Compare(Cmp, Operand),
    /// Between two operands, both included.
    Range(Option<Operand>, Option<Operand>),
}

/// A comparison as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cmp {
    Lt,
    Lte,
    Gt,
    Gte,
}

/// Text with `*` between its parts; the parts are folded for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// As written, escapes resolved. One part: no wildcard. Only the first and the last may be empty.
    pub written: Vec<String>,
    /// The same, folded.
    pub folded: Vec<String>,
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operand {
    /// As written, escapes resolved.
    pub written: String,
    pub kind: OperandKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OperandKind {
    Number(f64),
    /// The first millisecond of the named stretch, and the first one after it.
    Time(Timestamp, Timestamp),
    /// Folded text.
    Text(String),
}

/// Short names of fields; the first field that a name stands for is the main one.
pub(super) const ALIASES: [(&str, &[&str]); 7] = [
    ("author", &["author_id", "author_name"]),
    ("type", &["event_type"]),
    ("entity", &["entity_path"]),
    ("target", &["target_details"]),
    ("ip", &["ip_address"]),
    ("created", &["created_at"]),
    ("country", &["geo.country"]),
];

/// Fields that Watchfire works out, with all that is inside them; their text need not occur in what the sender
/// wrote.
pub(super) const DERIVED: [&str; 10] = [
    "event_type",
    "category",
    "tier",
    "created_at",
    "received_at",
    "source",
    "forge",
    "position",
    "self",
    "geo",
];

/// The fields that a written name stands for.
pub(crate) fn fields(name: &str) -> impl Iterator<Item = &str> {
    let alias = ALIASES.iter().find(|(short, _)| *short == name).map(|(_, fields)| *fields);
    alias.unwrap_or_default().iter().copied().chain(alias.is_none().then_some(name))
}

/// Whether the name stands for a field that always holds a time.
pub(super) fn is_time(name: &str) -> bool {
    fields(name).any(|field| matches!(field, "created_at" | "received_at"))
}

impl Query {
    /// Reads a query; times are relative to `now`. The empty text finds everything.
    ///
    /// # Errors
    ///
    /// Where the text is no query, and why.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, QueryError> {
        parser::parse(text, now).map(|root| Self { root })
    }

    /// What finds the events whose fields have all these values.
    #[must_use]
    pub fn all_of(values: &[(&str, &str)]) -> Self {
        let term = |(field, value): &(&str, &str)| {
            Node::Term(Term::Field((*field).to_owned(), Test::Like(Pattern::new(vec![(*value).to_owned()]))))
        };
        match values {
            [one] => Self { root: term(one) },
            several => Self { root: Node::And(several.iter().map(term).collect()) },
        }
    }

    /// The same between two times of the event's own, both included.
    #[must_use]
    pub fn between(self, from: Timestamp, to: Timestamp) -> Self {
        let operand = |time: Timestamp| Operand {
            written: time.to_string(),
            kind: OperandKind::Time(time, time.plus(Span::millis(1))),
        };
        let test = Test::Range(Some(operand(from)), Some(operand(to)));
        let term = Node::Term(Term::Field("created_at".to_owned(), test));
        let mut nodes = match self.root {
            Node::And(nodes) => nodes,
            node => vec![node],
        };
        nodes.push(term);
        Self { root: if nodes.len() == 1 { nodes.remove(0) } else { Node::And(nodes) } }
    }

    /// For each field that is one slip away from a canonical one, a sentence that says so. Fields may have any
    /// name, so this is worth showing only when a search found nothing.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect_fields(&self.root, &mut names);
        names.into_iter().filter_map(hint).collect()
    }
}

fn collect_fields<'a>(node: &'a Node, names: &mut Vec<&'a str>) {
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().for_each(|node| collect_fields(node, names)),
        Node::Not(node) => collect_fields(node, names),
        Node::Term(Term::Field(name, _)) if !names.contains(&name.as_str()) => names.push(name),
        Node::Term(_) => {}
    }
}

fn hint(name: &str) -> Option<String> {
    let canonical = Format::Generic.mappings().iter().map(|mapping| mapping.field);
    let known: Vec<&str> = canonical.chain(DERIVED).chain(ALIASES.map(|(short, _)| short)).collect();
    if known.contains(&name) {
        return None;
    }
    let distance = |known: &&&str| strsim::damerau_levenshtein(known, name);
    let nearest = known.iter().filter(|known| known.len() > 3).min_by_key(distance)?;
    (distance(&nearest) <= 2)
        .then(|| format!("no canonical field is called `{name}`; did you mean `{nearest}`?"))
}

/// Fields that free text is not looked for in, with all that is inside them: Watchfire works them out.
pub(crate) const NOT_FREE_TEXT: [&str; 9] =
    ["category", "tier", "created_at", "received_at", "source", "forge", "position", "self", "geo"];

/// Lower case for comparison. Two letters outside ASCII whose lower case is ASCII stay as they are, so that
/// ASCII text equals only text that is ASCII in the sender's bytes too.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

/// As [`fold`], behind what is in `folded` already.
pub(crate) fn fold_into(text: &str, folded: &mut String) {
    if text.is_ascii() {
        let from = folded.len();
        folded.push_str(text);
        if let Some(added) = folded.get_mut(from..) {
            added.make_ascii_lowercase();
        }
        return;
    }
    let is_kept = |letter: char| matches!(letter, '\u{212a}' | '\u{130}');
    for letter in text.chars() {
        if is_kept(letter) {
            folded.push(letter);
        } else {
            folded.extend(letter.to_lowercase());
        }
    }
}

impl Pattern {
    pub(super) fn new(mut parts: Vec<String>) -> Self {
        let last = parts.len().saturating_sub(1);
        let mut index = 0;
        parts.retain(|part| {
            index += 1;
            !part.is_empty() || index == 1 || index == last + 1
        });
        let folded = parts.iter().map(|part| fold(part)).collect();
        Self { written: parts, folded }
    }

    /// `*` alone.
    pub(crate) fn is_anything(&self) -> bool {
        self.folded.len() > 1 && self.folded.iter().all(String::is_empty)
    }

    /// Whether the whole of a folded text looks like this.
    pub(crate) fn is_whole(&self, text: &str) -> bool {
        fits(&self.folded, text)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.root, f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(nodes) => join(nodes, " ", |node| matches!(node, Self::Or(_)), f),
            Self::Or(nodes) => join(nodes, " OR ", |_| false, f),
            Self::Not(node) if matches!(**node, Self::Term(_) | Self::Not(_)) => write!(f, "-{node}"),
            Self::Not(node) => write!(f, "-({node})"),
            Self::Term(term) => fmt::Display::fmt(term, f),
        }
    }
}

fn join(
    nodes: &[Node],
    separator: &str,
    needs_brackets: impl Fn(&Node) -> bool,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        if needs_brackets(node) {
            write!(f, "({node})")?;
        } else {
            fmt::Display::fmt(node, f)?;
        }
    }
    Ok(())
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anywhere(phrase) => fmt::Display::fmt(&phrase.pattern, f),
            Self::Field(name, test) => write!(f, "{name}:{test}"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Like(pattern) => fmt::Display::fmt(pattern, f),
            Self::Network(_, written) => write_text(written, f),
            Self::Within(operand) => fmt::Display::fmt(operand, f),
            Self::Compare(cmp, operand) => write!(f, "{}{operand}", cmp.sign()),
            Self::Range(from, to) => {
                from.iter().try_for_each(|operand| fmt::Display::fmt(operand, f))?;
                f.write_str("..")?;
                to.iter().try_for_each(|operand| fmt::Display::fmt(operand, f))
            }
        }
    }
}

impl Cmp {
    const fn sign(self) -> &'static str {
        match self {
            Self::Lt => "<",
            Self::Lte => "<=",
            Self::Gt => ">",
            Self::Gte => ">=",
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(&self.written, f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [literal] = self.written.as_slice() {
            return write_text(literal, f);
        }
        for (index, part) in self.written.iter().enumerate() {
            if index > 0 {
                f.write_str("*")?;
            }
            for letter in part.chars() {
                let is_plain = letter.is_alphanumeric() || matches!(letter, '_' | '/');
                f.write_str(if is_plain { "" } else { "\\" })?;
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// Bare where nothing in it could be read otherwise, else between quotes.
fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '/' | '-' | '@');
    let starts_plain = text.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    let is_word = !matches!(text, "AND" | "OR" | "NOT") && !text.contains("..") && !text.ends_with('.');
    if starts_plain && is_word && text.chars().all(is_plain) {
        return f.write_str(text);
    }
    f.write_str("\"")?;
    for letter in text.chars() {
        f.write_str(if matches!(letter, '"' | '\\') { "\\" } else { "" })?;
        write!(f, "{letter}")?;
    }
    f.write_str("\"")
}
