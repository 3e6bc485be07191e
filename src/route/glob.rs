//! Texts with wildcards: `*` stands for anything, `?` for one character. Letters are compared without regard to case, as
//! forges compare paths and names.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::de::{Deserialize, Deserializer};

use super::text::parsed;

/// Longer ones are refused.
const LENGTH_MAX: usize = 500;
/// What a compiled one may take.
pub(super) const REGEX_BYTES_MAX: usize = 1 << 20;

/// A text with wildcards.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    regex: Regex,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// Nothing would match it.
    #[error("it is empty; `*` stands for anything")]
    Empty,
    /// It is long.
    #[error("it has more than {LENGTH_MAX} characters")]
    Long,
}

impl Glob {
    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the whole of a text looks like it.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.chars().count() > LENGTH_MAX {
            return Err(GlobError::Long);
        }
        let mut pattern = String::from("^");
        let mut plain = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            let wild = match letter {
                '*' => ".*",
                '?' => ".",
                '\\' => {
                    plain.push(letters.next().unwrap_or('\\'));
                    continue;
                }
                other => {
                    plain.push(other);
                    continue;
                }
            };
            pattern.push_str(&regex::escape(&std::mem::take(&mut plain)));
            pattern.push_str(wild);
        }
        pattern.push_str(&regex::escape(&plain));
        pattern.push('$');
        let regex = compiled(&pattern).map_err(|_| GlobError::Long)?;
        Ok(Self { text: text.to_owned(), regex })
    }
}

/// A regular expression as conditions use it: bounded, over all lines, without regard to case.
pub(super) fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    let mut builder = RegexBuilder::new(pattern);
    builder.case_insensitive(true).dot_matches_new_line(true);
    builder.size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build()
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_what_they_should() {
        for (pattern, text, fits) in [
            ("shop/*", "shop/a/b", true),
            ("shop/*", "SHOP/", true),
            ("shop/*", "my/shop/a", false),
            ("*secret*", "a/SECRETS", true),
            ("user?", "user7", true),
            ("user?", "user", false),
            ("a.c", "abc", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("é*", "École", true),
            ("*", "", true),
            ("a*", "a\nb", true),
        ] {
            assert_eq!(pattern.parse::<Glob>().unwrap().matches(text), fits, "{pattern} {text}");
        }
        assert_eq!("".parse::<Glob>(), Err(GlobError::Empty));
        assert_eq!("x".repeat(501).parse::<Glob>(), Err(GlobError::Long));
    }
}
