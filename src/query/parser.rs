//! From text to [`Node`]: a recursive descent over the characters, never more than [`DEPTH_MAX`] deep.

use ipnet::IpNet;

use super::QueryError;
use super::ast::{Cmp, Node, Operand, OperandKind, Pattern, Term, Test, fields, fold, is_time};
use super::moment;
use super::words::Phrase;
use crate::time::Timestamp;

/// How long a query may be, in bytes.
const LENGTH_MAX: usize = 16 << 10;
/// How deep brackets and negations may nest.
const DEPTH_MAX: usize = 64;

pub(super) fn parse(text: &str, now: Timestamp) -> Result<Node, QueryError> {
    let mut parser = Parser { text, at: 0, depth: 0, now };
    if text.len() > LENGTH_MAX {
        return parser.fail(0, 1, format!("a query may have at most {LENGTH_MAX} bytes"), None);
    }
    parser.skip_space();
    if parser.is_done() {
        return Ok(Node::And(Vec::new()));
    }
    let root = parser.any_of()?;
    if parser.is_done() {
        return Ok(root);
    }
    let help = "take it away, or write \"…\" around text with brackets in it";
    parser.fail(parser.at, 1, "this bracket closes nothing", Some(help))
}

struct Parser<'a> {
    text: &'a str,
    /// Byte offset of the next character.
    at: usize,
    depth: usize,
    now: Timestamp,
}

/// A run of characters between spaces, its escapes resolved.
struct Word {
    /// Split at wildcards.
    parts: Vec<String>,
    is_quoted: bool,
    /// Where it began.
    from: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn is_done(&self) -> bool {
        self.rest().is_empty()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.take();
        }
    }

    fn fail<T>(
        &self,
        at: usize,
        width: usize,
        message: impl Into<String>,
        help: Option<&str>,
    ) -> Result<T, QueryError> {
        Err(QueryError {
            message: message.into(),
            at,
            width: width.max(1),
            help: help.map(str::to_owned),
            query: self.text.to_owned(),
        })
    }

    /// Fails at what was read since `from`.
    fn fail_since<T>(&self, from: usize, message: String, help: &str) -> Result<T, QueryError> {
        let width = self.text.get(from..self.at).map_or(1, |read| read.chars().count());
        self.fail(from, width, message, Some(help))
    }

    /// Whether this word in capitals comes next; takes it if so.
    fn keyword(&mut self, word: &str) -> bool {
        let Some(after) = self.rest().strip_prefix(word) else { return false };
        let ends =
            after.chars().next().is_none_or(|next| next.is_whitespace() || matches!(next, '(' | ')' | '"'));
        if ends {
            self.at += word.len();
        }
        ends
    }

    fn is_at_keyword(&mut self, word: &str) -> bool {
        let at = self.at;
        let is_there = self.keyword(word);
        self.at = at;
        is_there
    }

    fn any_of(&mut self) -> Result<Node, QueryError> {
        let mut nodes = Vec::new();
        loop {
            match self.all_of()? {
                Node::Or(inner) => nodes.extend(inner),
                node => nodes.push(node),
            }
            if !self.keyword("OR") {
                break;
            }
        }
        Ok(single_or(nodes, Node::Or))
    }

    fn all_of(&mut self) -> Result<Node, QueryError> {
        let mut nodes = Vec::new();
        loop {
            self.skip_space();
            if !nodes.is_empty() {
                if self.is_done() || self.peek() == Some(')') || self.is_at_keyword("OR") {
                    return Ok(single_or(nodes, Node::And));
                }
                if self.keyword("AND") {
                    self.skip_space();
                }
            }
            match self.unary()? {
                Node::And(inner) => nodes.extend(inner),
                node => nodes.push(node),
            }
        }
    }

    fn unary(&mut self) -> Result<Node, QueryError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fail(self.at, 1, format!("brackets nest deeper than {DEPTH_MAX} levels"), None);
        }
        let node = self.unary_inside();
        self.depth -= 1;
        node
    }

    fn unary_inside(&mut self) -> Result<Node, QueryError> {
        let from = self.at;
        for word in ["AND", "OR"] {
            if self.keyword(word) {
                let help = format!("write \"{word}\" in quotes to search for the word");
                return self.fail_since(from, format!("{word} needs a term on both sides"), &help);
            }
        }
        if self.peek() == Some('-') || self.keyword("NOT") {
            if self.at == from {
                self.take();
            } else {
                self.skip_space();
            }
            if self.peek().is_none_or(|next| next.is_whitespace() || next == ')') {
                return self.fail_since(from, "there is nothing to negate here".to_owned(), "write -term");
            }
            return Ok(Node::Not(Box::new(self.unary()?)));
        }
        match self.peek() {
            Some('(') => self.brackets(),
            None | Some(')') => {
                self.fail(self.at, 1, "a term is missing here", Some("such as author_id:7, or some \"text\""))
            }
            Some(_) => self.term().map(Node::Term),
        }
    }

    fn brackets(&mut self) -> Result<Node, QueryError> {
        let from = self.at;
        self.take();
        let node = self.any_of()?;
        if self.take() == Some(')') {
            return Ok(node);
        }
        self.fail(from, 1, "this bracket is not closed", Some("add `)`"))
    }

    fn term(&mut self) -> Result<Term, QueryError> {
        let Some(name) = self.field_name() else {
            return self.phrase().map(Term::Anywhere);
        };
        let test = self.test(&name)?;
        Ok(Term::Field(name, test))
    }

    fn phrase(&mut self) -> Result<Phrase, QueryError> {
        let word = self.word(false)?;
        let from = word.from;
        if let Some(phrase) = Phrase::new(Pattern::new(word.parts)) {
            return Ok(phrase);
        }
        let help = "words are made of letters and digits; a field's value may be anything: field:\"…\"";
        self.fail_since(from, "there is no word to look for in this".to_owned(), help)
    }

    /// A name and its colon, if they come next. `fe80::1` and `https://…` are words.
    fn field_name(&mut self) -> Option<String> {
        let (name, value) = self.rest().split_once(':')?;
        let is_inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '@' | '-');
        let is_name = name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '@'))
            && name.chars().all(is_inside);
        if !is_name || value.starts_with(':') || value.starts_with("//") {
            return None;
        }
        let name = name.to_owned();
        self.at += name.len() + 1;
        Some(name)
    }

    fn test(&mut self, name: &str) -> Result<Test, QueryError> {
        const SIGNS: [(&str, Cmp); 4] = [(">=", Cmp::Gte), ("<=", Cmp::Lte), (">", Cmp::Gt), ("<", Cmp::Lt)];
        let from = self.at;
        if let Some((sign, cmp)) = SIGNS.into_iter().find(|(sign, _)| self.rest().starts_with(sign)) {
            self.at += sign.len();
            let word = self.word(false)?;
            if is_empty(&word) {
                return self.fail_since(
                    from,
                    format!("`{sign}` compares with nothing"),
                    "write a value after it",
                );
            }
            return Ok(Test::Compare(cmp, self.operand(name, word)?));
        }
        let word = self.word(true)?;
        if self.rest().starts_with("..") {
            return self.range(name, word);
        }
        if is_empty(&word) {
            let help = format!("write {name}:* for any value, {name}:\"\" for the empty one");
            return self.fail_since(from, format!("`{name}` has no value here"), &help);
        }
        self.plain(name, word)
    }

    fn range(&mut self, name: &str, first: Word) -> Result<Test, QueryError> {
        let from = first.from;
        self.at += 2;
        let second = self.word(false)?;
        let low = if is_open(&first) { None } else { Some(self.operand(name, first)?) };
        let high = if is_open(&second) { None } else { Some(self.operand(name, second)?) };
        if low.is_none() && high.is_none() {
            let message = "a range needs at least one end".to_owned();
            return self.fail_since(from, message, "write 5..9, 5.. or ..9");
        }
        Ok(Test::Range(low, high))
    }

    fn plain(&self, name: &str, word: Word) -> Result<Test, QueryError> {
        let literal = match word.parts.as_slice() {
            [literal] => literal.clone(),
            _ => return Ok(Test::Like(Pattern::new(word.parts))),
        };
        if is_time(name) {
            let operand = self.operand(name, word)?;
            let is_since = moment::is_relative(&literal) && literal != "now";
            return Ok(if is_since { Test::Range(Some(operand), None) } else { Test::Within(operand) });
        }
        let is_network = literal.contains('/') && literal.contains(['.', ':']);
        if let Some(network) = literal.parse::<IpNet>().ok().filter(|_| is_network) {
            return Ok(Test::Network(network, literal));
        }
        let looks_like_network = literal.starts_with(|c: char| c.is_ascii_digit()) && literal.contains('/');
        if looks_like_network && fields(name).any(|field| field == "ip_address") {
            let message = format!("`{literal}` is no network");
            return self.fail_since(word.from, message, "write an address and a length, such as 10.0.0.0/8");
        }
        Ok(Test::Like(Pattern::new(vec![literal])))
    }

    fn operand(&self, name: &str, word: Word) -> Result<Operand, QueryError> {
        let [written] = word.parts.as_slice() else {
            let help = "compare with a whole value, or leave one end of a range away";
            return self.fail_since(word.from, "there can be no wildcard in a comparison".to_owned(), help);
        };
        let written = written.clone();
        let time = moment::parse(&written, self.now);
        let number = crate::event::number(&written);
        let kind = match (time, number) {
            (Some((from, to)), _) if is_time(name) => OperandKind::Time(from, to),
            _ if is_time(name) => {
                let help = "write 2026-01-31, 2026-01-31T09:00, 2026-01, today, or -7d for seven days ago";
                return self.fail_since(word.from, format!("`{written}` is no time"), help);
            }
            (_, Some(number)) => OperandKind::Number(number),
            (Some((from, to)), None) => OperandKind::Time(from, to),
            (None, None) => OperandKind::Text(fold(&written)),
        };
        Ok(Operand { written, kind })
    }

    /// What comes next up to a space, a bracket or a quote; `..` ends it too if it may begin a range.
    fn word(&mut self, ends_at_range: bool) -> Result<Word, QueryError> {
        let from = self.at;
        if self.peek() == Some('"') {
            let text = self.quoted()?;
            return Ok(Word { parts: vec![text], is_quoted: true, from });
        }
        let mut parts = vec![String::new()];
        while let Some(next) = self.peek() {
            let is_end = next.is_whitespace() || matches!(next, '(' | ')' | '"');
            if is_end || (ends_at_range && self.rest().starts_with("..")) {
                break;
            }
            self.take();
            if next == '*' {
                parts.push(String::new());
                continue;
            }
            let letter = if next == '\\' { self.take() } else { Some(next) };
            let Some(letter) = letter else {
                let help = "write \\\\ for a backslash itself";
                return self.fail(self.at - 1, 1, "nothing follows this backslash", Some(help));
            };
            if let Some(part) = parts.last_mut() {
                part.push(letter);
            }
        }
        Ok(Word { parts, is_quoted: false, from })
    }

    fn quoted(&mut self) -> Result<String, QueryError> {
        let from = self.at;
        self.take();
        let mut text = String::new();
        loop {
            match self.take() {
                Some('"') => return Ok(text),
                Some('\\') if matches!(self.peek(), Some('"' | '\\')) => text.extend(self.take()),
                Some(letter) => text.push(letter),
                None => return self.fail(from, 1, "this quote is not closed", Some("add `\"`")),
            }
        }
    }
}

fn is_empty(word: &Word) -> bool {
    !word.is_quoted && word.parts.len() == 1 && word.parts.iter().all(String::is_empty)
}

/// An end of a range that is left away, or written as `*`.
fn is_open(word: &Word) -> bool {
    !word.is_quoted && word.parts.iter().all(String::is_empty)
}

fn single_or(mut nodes: Vec<Node>, several: impl Fn(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        Some(last) => {
            nodes.push(last);
            several(nodes)
        }
        None => several(nodes),
    }
}
