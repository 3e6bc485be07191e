//! Words, which free text is made of: runs of letters and digits, in the folded form that is compared.

use super::ast::Pattern;

/// The words of a folded text, in order. Writing systems that put no spaces between words give long ones; `*part*`
/// finds what is inside.
#[derive(Debug, Clone)]
pub(crate) struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// Of a text that is folded already.
    pub(crate) const fn of(folded: &'a str) -> Self {
        Self { rest: folded }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let start = skip(self.rest, false);
        let from = self.rest.get(start..)?;
        let length = skip(from, true);
        if length == 0 {
            return None;
        }
        let (word, rest) = from.split_at_checked(length)?;
        self.rest = rest;
        Some(word)
    }
}

/// How many bytes from the start are parts of words, or are not.
fn skip(text: &str, are_parts: bool) -> usize {
    let plain = text.bytes().position(|byte| !byte.is_ascii() || byte.is_ascii_alphanumeric() != are_parts);
    let Some(plain) = plain else { return text.len() };
    if text.as_bytes().get(plain).is_some_and(u8::is_ascii) {
        return plain;
    }
    let rest = text.get(plain..).unwrap_or_default();
    plain + rest.find(|letter: char| letter.is_alphanumeric() != are_parts).unwrap_or(rest.len())
}

/// Free text as the parser leaves it: words that must follow each other in one value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Phrase {
    /// As it was written.
    pub pattern: Pattern,
    /// The words, split at their wildcards; one part: no wildcard. None at all: every event will do.
    pub words: Vec<WordPattern>,
}

/// One word; a wildcard stands between its folded parts and for letters and digits only.
pub(crate) type WordPattern = Vec<String>;

impl Phrase {
    /// The words of a pattern; none if there is no letter, no digit and nothing but a lone wildcard in it.
    pub(crate) fn new(pattern: Pattern) -> Option<Self> {
        let mut words = split(&pattern.folded);
        let is_lone = |word: &WordPattern| word.iter().all(String::is_empty);
        while words.last().is_some_and(is_lone) {
            words.pop();
        }
        let first = words.iter().position(|word| !is_lone(word)).unwrap_or(words.len());
        words.drain(..first);
        (!words.is_empty() || pattern.is_anything()).then_some(Self { pattern, words })
    }

    /// Whether the words stand next to each other in a folded text.
    pub(crate) fn occurs_in(&self, text: &str) -> bool {
        let Some((first, rest)) = self.words.split_first() else { return true };
        let mut words = Words::of(text);
        while let Some(word) = words.next() {
            let fits = |pattern: &WordPattern, word: Option<&str>| word.is_some_and(|w| fits(pattern, w));
            if fits(first, Some(word)) {
                let mut behind = words.clone();
                if rest.iter().all(|pattern| fits(pattern, behind.next())) {
                    return true;
                }
            }
        }
        false
    }
}

/// Whether the whole of a folded text looks like these parts with wildcards between them.
pub(crate) fn fits(parts: &[String], text: &str) -> bool {
    match parts {
        [] => false,
        [literal] => literal == text,
        [first, middle @ .., last] => text
            .strip_prefix(first.as_str())
            .and_then(|rest| rest.strip_suffix(last.as_str()))
            .is_some_and(|rest| occur_in_order(middle, rest)),
    }
}

/// Taking each part at its first place leaves the most room for those after it.
fn occur_in_order(parts: &[String], text: &str) -> bool {
    let mut rest = text;
    parts.iter().all(|part| match rest.find(part.as_str()) {
        Some(at) => {
            rest = rest.get(at + part.len()..).unwrap_or_default();
            true
        }
        None => false,
    })
}

fn split(parts: &[String]) -> Vec<WordPattern> {
    let mut words = Vec::new();
    let mut word: WordPattern = vec![String::new()];
    let mut end = |word: &mut WordPattern| {
        let done = std::mem::replace(word, vec![String::new()]);
        if done.len() > 1 || done.iter().any(|part| !part.is_empty()) {
            words.push(done);
        }
    };
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            word.push(String::new());
        }
        for letter in part.chars() {
            match word.last_mut().filter(|_| letter.is_alphanumeric()) {
                Some(last) => last.push(letter),
                None => end(&mut word),
            }
        }
    }
    end(&mut word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        let words = |text| Words::of(text).collect::<Vec<_>>();
        assert_eq!(words("a_b  c-12.5/x"), ["a", "b", "c", "12", "5", "x"]);
        assert_eq!(words("änderung: größe, 部署中。x"), ["änderung", "größe", "部署中", "x"]);
        assert_eq!(words("aä1 ä"), ["aä1", "ä"]);
        assert!(words("  -…- ").is_empty() && words("").is_empty());
    }

    #[test]
    fn wildcards_stay_within_a_word() {
        let phrase = |parts: &[&str]| {
            let parts = parts.iter().map(|part| (*part).to_owned()).collect();
            Phrase::new(Pattern::new(parts)).map(|phrase| phrase.words.concat().join("*"))
        };
        assert_eq!(phrase(&["wor", ""]).as_deref(), Some("wor*"));
        assert_eq!(phrase(&["", "a-b", ""]).as_deref(), Some("*a*b*"));
        assert_eq!(phrase(&["", "/a/", ""]).as_deref(), Some("a"));
        assert_eq!(phrase(&["", ""]).as_deref(), Some(""));
        assert_eq!(phrase(&["-- "]), None);
        assert_eq!(phrase(&["", "-", ""]), None);
    }
}
