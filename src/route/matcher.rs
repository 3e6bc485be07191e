//! Matchers of silences: `rule=gitlab-*`, `level!=critical`, `entity=~"shop/(a|b)"`, `author_id=7`.

use std::fmt;
use std::str::FromStr;

use regex::Regex;

use super::case::{Case, Field};
use super::glob::{Glob, compiled};

/// More of them are refused.
pub const MATCHERS_MAX: usize = 20;
/// A longer one is refused.
const LENGTH_MAX: usize = 500;

/// One condition on one field.
#[derive(Debug, Clone)]
pub struct Matcher {
    field: Field,
    is_not: bool,
    test: Test,
    text: String,
}

#[derive(Debug, Clone)]
enum Test {
    /// With wildcards.
    Like(Glob),
    /// Over the whole text.
    Regex(Regex),
}

/// Why a text is no matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// No operator, or nothing before it.
    #[error(
        "`{0}` is no matcher: write FIELD=VALUE, FIELD!=VALUE (`*` and `?` stand for other characters), FIELD=~REGEX or FIELD!~REGEX; fields are rule, level, tag, source, forge, entity, author and those of keys, such as author_id"
    )]
    Form(String),
    /// A field that is nearly one that is known.
    #[error("there is no field `{name}`: did you mean `{near}`?")]
    Field {
        /// What was written.
        name: String,
        /// What is known.
        near: &'static str,
    },
    /// The value.
    #[error("`{matcher}`: {reason}")]
    Value {
        /// The matcher.
        matcher: String,
        /// What is wrong.
        reason: String,
    },
    /// None, or too many.
    #[error("a silence has 1 to {MATCHERS_MAX} matchers; {0} were given")]
    Count(usize),
    /// They match everything.
    #[error("these matchers would silence everything: at least one must ask for something, such as rule=ID")]
    Everything,
}

impl Matcher {
    /// What it asks about.
    #[must_use]
    pub const fn field(&self) -> &Field {
        &self.field
    }

    fn fits(&self, text: &str) -> bool {
        match &self.test {
            Test::Like(glob) => glob.matches(text),
            Test::Regex(regex) => regex.is_match(text),
        }
    }

    /// Whether the case is as it asks. What stands in events must be so in all of them, and something must be known of
    /// them: what nobody knows silences nothing. Of an alert's own fields, one that asks for what is not so also holds
    /// where there is nothing.
    #[must_use]
    pub fn holds(&self, case: &Case<'_>) -> bool {
        let values = self.field.values(case);
        let fits = |names: &[&str; 2]| names.iter().any(|name| !name.is_empty() && self.fits(name));
        match (self.is_not, self.field.is_of_events()) {
            (true, is_of_events) => !(values.iter().any(fits) || is_of_events && values.is_empty()),
            (false, true) => !values.is_empty() && values.iter().all(fits),
            (false, false) => values.iter().any(fits),
        }
    }

    /// Whether it also holds for a field that is empty.
    fn asks_nothing(&self) -> bool {
        self.fits("") != self.is_not
    }
}

impl FromStr for Matcher {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Self, MatcherError> {
        let form = || MatcherError::Form(text.chars().take(100).collect());
        let at = text.find(['=', '!']).ok_or_else(form)?;
        let (name, rest) = text.split_at(at);
        let operators = [("=~", false, true), ("!~", true, true), ("!=", true, false), ("=", false, false)];
        let found = operators.iter().find_map(|(operator, is_not, is_regex)| {
            rest.strip_prefix(operator).map(|value| (*is_not, *is_regex, value))
        });
        let (is_not, is_regex, value) = found.ok_or_else(form)?;
        let name = name.trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(form());
        }
        let near = Field::NAMES.iter().find(|known| **known != name && strsim::levenshtein(known, name) <= 1);
        if let Some(near) = near {
            return Err(MatcherError::Field { name: name.to_owned(), near });
        }
        let wrong =
            |reason: String| MatcherError::Value { matcher: text.chars().take(100).collect(), reason };
        if text.chars().count() > LENGTH_MAX {
            return Err(wrong(format!("it has more than {LENGTH_MAX} characters")));
        }
        let value = value.trim();
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = quoted.unwrap_or(value);
        let test = if is_regex {
            Test::Regex(compiled(&format!("^(?:{value})$")).map_err(|error| wrong(error.to_string()))?)
        } else {
            Test::Like(value.parse().map_err(|error: super::glob::GlobError| wrong(error.to_string()))?)
        };
        let field = Field::named(name);
        if let (Field::Level, Test::Like(glob)) = (&field, &test)
            && !crate::alert::Level::ALL.iter().any(|level| glob.matches(level.name()))
        {
            return Err(wrong("there is no such level".to_owned()));
        }
        Ok(Self { field, is_not, test, text: text.trim().to_owned() })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Matcher {}

/// All of which must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// Reads them.
    ///
    /// # Errors
    /// When one is none, when there are none or too many, and when they ask for nothing together.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, MatcherError> {
        if texts.is_empty() || texts.len() > MATCHERS_MAX {
            return Err(MatcherError::Count(texts.len()));
        }
        let matchers = texts.iter().map(|text| text.as_ref().parse()).collect::<Result<Vec<Matcher>, _>>()?;
        if matchers.iter().all(Matcher::asks_nothing) {
            return Err(MatcherError::Everything);
        }
        Ok(Self(matchers))
    }

    /// As they were written.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// Whether the case is as they ask.
    #[must_use]
    pub fn hold(&self, case: &Case<'_>) -> bool {
        self.0.iter().all(|matcher| matcher.holds(case))
    }
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join(" "))
    }
}
