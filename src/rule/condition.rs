//! The condition over selections: `or` binds weakest, then `and`, `not`, `1 of`, parentheses.

use super::ast::Condition;
use super::report::Report;
use super::yaml::Yaml;

/// Deepest nesting of parentheses and `not`.
const DEPTH_MAX: usize = 50;

/// What a condition is over.
#[derive(Clone, Copy)]
pub(super) struct Over<'n> {
    /// The names, which become indexes.
    pub(super) names: &'n [String],
    /// What they are names of, for messages: `selection` or `rule`.
    pub(super) noun: &'static str,
}

/// Reads one condition and marks the names it uses. Nothing after a mistake, which is reported.
pub(super) fn parse(
    node: &Yaml,
    over: Over<'_>,
    used: &mut [bool],
    report: &mut Report,
) -> Option<Condition> {
    let text = super::read::name(node, "`condition`", report)?;
    let mut parser = Parser { node, tokens: tokens(&text), at: 0, depth: 0, over, used, report };
    let condition = parser.any()?;
    match parser.peek() {
        None => Some(condition),
        Some(Token { kind: Kind::Pipe, .. }) => parser.legacy(),
        Some(Token { kind: Kind::Close, .. }) => parser.fail("this `)` closes nothing", "remove it"),
        Some(Token { kind: Kind::Open | Kind::Word(_), .. }) => {
            parser.fail("two expressions stand side by side", "write `and` or `or` between them")
        }
    }
}

/// Whether a condition speaks of this name, so that it can be resolved before the condition is read.
pub(super) fn has_word(text: &str, name: &str) -> bool {
    tokens(text).iter().any(|token| token.kind == Kind::Word(name))
}

/// The condition in the notation it is read from.
#[must_use]
pub fn print(condition: &Condition, names: &[&str]) -> String {
    let join = |parts: &[Condition], word: &str, empty: &str| match parts {
        [] => empty.to_owned(),
        parts => parts.iter().map(|part| print_part(part, names)).collect::<Vec<_>>().join(word),
    };
    match condition {
        Condition::And(parts) => join(parts, " and ", "any event"),
        Condition::Or(parts) => join(parts, " or ", "no event"),
        Condition::Not(part) => format!("not {}", print_part(part, names)),
        Condition::Selection(index) => (*names.get(*index).unwrap_or(&"?")).to_owned(),
    }
}

fn print_part(condition: &Condition, names: &[&str]) -> String {
    match condition {
        Condition::And(_) | Condition::Or(_) => format!("({})", print(condition, names)),
        Condition::Not(_) | Condition::Selection(_) => print(condition, names),
    }
}

#[derive(Debug, Clone, Copy)]
struct Token<'t> {
    kind: Kind<'t>,
    /// In characters from the start of the condition.
    offset: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind<'t> {
    Word(&'t str),
    Open,
    Close,
    Pipe,
}

impl Token<'_> {
    fn width(&self) -> usize {
        match self.kind {
            Kind::Word(word) => word.chars().count(),
            Kind::Open | Kind::Close | Kind::Pipe => 1,
        }
    }

    fn is(&self, keyword: &str) -> bool {
        matches!(self.kind, Kind::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut word: Option<(usize, usize)> = None;
    let end = text.len();
    let chars = text.char_indices().chain([(end, ' ')]);
    for (offset, (byte, c)) in chars.enumerate() {
        let kind = match c {
            '(' => Some(Kind::Open),
            ')' => Some(Kind::Close),
            '|' => Some(Kind::Pipe),
            _ => None,
        };
        if kind.is_none() && !c.is_whitespace() {
            word.get_or_insert((byte, offset));
            continue;
        }
        if let Some((start, offset)) = word.take() {
            found.extend(text.get(start..byte).map(|word| Token { kind: Kind::Word(word), offset }));
        }
        found.extend(kind.map(|kind| Token { kind, offset }));
    }
    found
}

struct Parser<'t, 'r> {
    node: &'r Yaml,
    tokens: Vec<Token<'t>>,
    at: usize,
    depth: usize,
    over: Over<'r>,
    used: &'r mut [bool],
    report: &'r mut Report,
}

impl<'t> Parser<'t, '_> {
    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.at).copied()
    }

    fn take(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(keyword));
        self.at += usize::from(found);
        found
    }

    /// Reports at the current token, or behind the last one.
    fn fail<T>(&mut self, message: impl Into<String>, help: impl Into<String>) -> Option<T> {
        let last = self.tokens.last().map_or((0, 1), |token| (token.offset, token.width()));
        let (offset, width) = self.peek().map_or(last, |token| (token.offset, token.width()));
        self.report.error("bad-condition", self.node.part(offset, width), message).help(help);
        None
    }

    fn legacy<T>(&mut self) -> Option<T> {
        self.fail(
            "aggregations behind a `|` are no longer part of Sigma",
            "use `behavior:` beside `detection`, as `by: author_id`, `within: 10m`, `at_least: 5`, or a `correlation`",
        )
    }

    fn any(&mut self) -> Option<Condition> {
        let mut parts = vec![self.all()?];
        while self.take("or") {
            parts.push(self.all()?);
        }
        Some(single(parts, Condition::Or))
    }

    fn all(&mut self) -> Option<Condition> {
        let mut parts = vec![self.negation()?];
        while self.take("and") {
            parts.push(self.negation()?);
        }
        Some(single(parts, Condition::And))
    }

    fn negation(&mut self) -> Option<Condition> {
        if self.take("not") {
            self.deeper()?;
            let inner = self.negation()?;
            self.depth -= 1;
            return Some(Condition::Not(Box::new(inner)));
        }
        self.primary()
    }

    fn deeper(&mut self) -> Option<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fail(format!("nested deeper than {DEPTH_MAX}"), "write it with fewer parentheses");
        }
        Some(())
    }

    fn name_one(&self) -> String {
        format!("name a {}", self.over.noun)
    }

    fn primary(&mut self) -> Option<Condition> {
        let noun = self.over.noun;
        let Some(token) = self.peek() else {
            return self.fail(format!("the condition ends where a {noun} is expected"), self.name_one());
        };
        match token.kind {
            Kind::Open => {
                self.at += 1;
                self.deeper()?;
                let inner = self.any()?;
                match self.peek() {
                    Some(Token { kind: Kind::Close, .. }) => self.at += 1,
                    Some(Token { kind: Kind::Pipe, .. }) => return self.legacy(),
                    None => return self.fail("a `(` is not closed", "add `)`"),
                    _ => return self.fail("expected `and`, `or` or `)` here", "write `and` or `or` between"),
                }
                self.depth -= 1;
                Some(inner)
            }
            Kind::Close => self.fail(format!("a {noun} is expected before this `)`"), self.name_one()),
            Kind::Pipe => self.legacy(),
            Kind::Word(word) => self.word(word),
        }
    }

    fn word(&mut self, word: &'t str) -> Option<Condition> {
        let is_quantifier = self.tokens.get(self.at + 1).is_some_and(|next| next.is("of"));
        if is_quantifier {
            return self.quantifier(word);
        }
        if let Some(index) = self.over.names.iter().position(|name| name == word) {
            self.at += 1;
            self.mark(index);
            return Some(Condition::Selection(index));
        }
        if ["and", "or", "not", "of"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) {
            return self.fail(format!("expected a {}, found `{word}`", self.over.noun), self.name_one());
        }
        let message = if word.eq_ignore_ascii_case("them") || word.contains('*') {
            format!("`{word}` needs `1 of` or `all of` before it")
        } else {
            format!("there is no {} `{word}`", self.over.noun)
        };
        let names = self.over.names;
        let help = super::suggest::help(word, names.iter().map(String::as_str));
        let place = self.peek().map_or(self.node.place, |token| self.node.part(token.offset, token.width()));
        self.report.error("unknown-selection", place, message).maybe_help(help);
        None
    }

    fn quantifier(&mut self, word: &str) -> Option<Condition> {
        let join = match word.to_ascii_lowercase().as_str() {
            "1" | "any" => Condition::Or,
            "all" => Condition::And,
            _ => {
                let message = format!("`{word} of` is not part of Sigma");
                return self.fail(message, "write `1 of` or `all of`");
            }
        };
        self.at += 2;
        let Some(Token { kind: Kind::Word(pattern), .. }) = self.peek() else {
            return self.fail(format!("`{word} of` what?"), "write `them`, or a name with `*`");
        };
        let is_all = pattern.eq_ignore_ascii_case("them") || pattern == "*";
        let fits = |name: &String| if is_all { !name.starts_with('_') } else { matches_glob(pattern, name) };
        let found: Vec<usize> = self
            .over
            .names
            .iter()
            .enumerate()
            .filter(|(_, name)| fits(name))
            .map(|(index, _)| index)
            .collect();
        if found.is_empty() {
            let known: Vec<&str> = self.over.names.iter().map(String::as_str).collect();
            let help =
                super::suggest::help(pattern.trim_end_matches('*'), known).unwrap_or_else(|| self.name_one());
            return self.fail(format!("no {} matches `{pattern}`", self.over.noun), help);
        }
        self.at += 1;
        for index in &found {
            self.mark(*index);
        }
        Some(single(found.into_iter().map(Condition::Selection).collect(), join))
    }

    fn mark(&mut self, index: usize) {
        if let Some(used) = self.used.get_mut(index) {
            *used = true;
        }
    }
}

fn single(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => join(parts.into_iter().chain(last).collect()),
    }
}

/// Whether a name fits a pattern in which `*` stands for any run of characters.
fn matches_glob(pattern: &str, name: &str) -> bool {
    let Some((first, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some((middle, last)) = after.rsplit_once('*') else { return rest.ends_with(after) };
    for part in middle.split('*') {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::yaml::{self, Place, Scalar, ScalarKind};
    use super::*;

    const NAMES: [&str; 6] = ["sel", "sel_a", "sel_b", "filter", "_hidden", "and-more"];

    fn check(text: &str) -> Result<Condition, String> {
        let scalar = Scalar { text: text.to_owned(), kind: ScalarKind::Str, column: Some(1) };
        let place = Place { line: 1, column: 1, width: 1, file: 0 };
        let node = Yaml { content: yaml::Content::Scalar(scalar), place };
        let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
        let mut report = Report::new("a.yml".into());
        let over = Over { names: &names, noun: "selection" };
        let parsed = parse(&node, over, &mut [false; 6], &mut report);
        let diagnostics = report.into_diagnostics();
        match diagnostics.first() {
            None => Ok(parsed.unwrap()),
            Some(first) => Err(format!("{}+{} {}", first.column, first.width, first.message)),
        }
    }

    #[test]
    fn conditions_bind_as_sigma_says() {
        for (text, expected) in [
            ("sel", "sel"),
            ("sel and not filter", "sel and not filter"),
            ("sel or sel_a and sel_b", "sel or (sel_a and sel_b)"),
            ("(sel or sel_a) and sel_b", "(sel or sel_a) and sel_b"),
            ("not sel and filter", "not sel and filter"),
            ("not not sel", "not not sel"),
            ("not (sel or filter)", "not (sel or filter)"),
            ("1 of sel_*", "sel_a or sel_b"),
            ("all of sel*", "sel and sel_a and sel_b"),
            ("any of sel_*", "sel_a or sel_b"),
            ("1 of *_b", "sel_b"),
            ("all of them", "sel and sel_a and sel_b and filter and and-more"),
            ("1 of _*", "_hidden"),
            ("sel and not 1 of filter*", "sel and not filter"),
            ("SEL_A OR sel", "!"),
            ("sel AND NOT filter", "sel and not filter"),
            ("and-more or(sel)", "and-more or sel"),
            ("not 1 of sel_* or filter", "not (sel_a or sel_b) or filter"),
        ] {
            let names: Vec<&str> = NAMES.to_vec();
            let printed = check(text).map_or_else(|_| "!".to_owned(), |condition| print(&condition, &names));
            assert_eq!(printed, expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_reported_where_they_stand() {
        for (text, expected) in [
            ("selx", "1+4 there is no selection `selx`"),
            ("sel and", "5+3 the condition ends where"),
            ("sel sel_a", "5+5 two expressions stand side by side"),
            ("sel)", "4+1 this `)` closes nothing"),
            ("(sel", "2+3 a `(` is not closed"),
            ("sel and ()", "10+1 a selection is expected before"),
            ("sel | count() > 5", "5+1 aggregations behind a `|`"),
            ("2 of sel*", "1+1 `2 of` is not part of Sigma"),
            ("1 of nope*", "6+5 no selection matches `nope*`"),
            ("1 of", "3+2 `1 of` what?"),
            ("sel*", "1+4 `sel*` needs `1 of` or `all of`"),
            ("or sel", "1+2 expected a selection, found `or`"),
            ("", "1+1 `condition` is empty"),
        ] {
            let message = check(text).expect_err(text);
            assert!(message.starts_with(expected), "{text}: {message}");
        }
        assert!(check(&"(".repeat(1000)).unwrap_err().contains("nested deeper"));
        assert!(check(&"not ".repeat(1000)).unwrap_err().contains("nested deeper"));
    }

    #[test]
    fn names_fit_patterns_with_stars_anywhere() {
        for (pattern, name, fits) in [
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("a**c", "ac", true),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("ab*bc", "abc", false),
        ] {
            assert_eq!(matches_glob(pattern, name), fits, "{pattern} {name}");
        }
    }

    fn conditions() -> impl Strategy<Value = Condition> {
        let leaf = (0..NAMES.len()).prop_map(Condition::Selection);
        leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::And),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::Or),
                inner.prop_map(|inner| Condition::Not(Box::new(inner))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(condition in conditions()) {
            prop_assert_eq!(check(&print(&condition, &NAMES)), Ok(condition));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z1()|* ]{0,40}") {
            let _ = check(&text);
        }
    }
}
