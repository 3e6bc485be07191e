//! From a value to the tests that may have fired: a hash table for whole texts, one automaton for parts of them.

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use rustc_hash::FxHashMap;

/// The literal text a test needs, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Literal {
    Whole(Box<str>),
    Start(Box<str>),
    End(Box<str>),
    Part(Box<str>),
}

/// The tests of one field (or of all, for keywords), by the folded literals they need.
#[derive(Debug, Default)]
pub(super) struct FieldIndex {
    whole: FxHashMap<Box<str>, Vec<u32>>,
    automaton: Option<AhoCorasick>,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    at_start: bool,
    at_end: bool,
    tests: Vec<u32>,
}

impl FieldIndex {
    /// Builds the index of these literals; all are folded.
    pub(super) fn build(literals: &[(Literal, u32)]) -> Result<Self, BuildError> {
        let mut index = Self::default();
        let mut texts: Vec<&str> = Vec::new();
        let mut seen: FxHashMap<&Literal, usize> = FxHashMap::default();
        for (literal, test) in literals {
            let (text, at_start, at_end) = match literal {
                Literal::Whole(text) => {
                    index.whole.entry(text.clone()).or_default().push(*test);
                    continue;
                }
                Literal::Start(text) => (text, true, false),
                Literal::End(text) => (text, false, true),
                Literal::Part(text) => (text, false, false),
            };
            match seen.get(literal) {
                Some(place) => index.parts[*place].tests.push(*test),
                None => {
                    seen.insert(literal, texts.len());
                    texts.push(text);
                    index.parts.push(Part { at_start, at_end, tests: vec![*test] });
                }
            }
        }
        if !texts.is_empty() {
            index.automaton = Some(AhoCorasick::builder().match_kind(MatchKind::Standard).build(&texts)?);
        }
        Ok(index)
    }

    /// Calls `fired` with every test whose literal stands in this folded text, possibly more than once.
    pub(super) fn look_up(&self, folded: &str, fired: &mut dyn FnMut(u32)) {
        if !self.whole.is_empty()
            && let Some(tests) = self.whole.get(folded)
        {
            tests.iter().copied().for_each(&mut *fired);
        }
        let Some(automaton) = &self.automaton else { return };
        for found in automaton.find_overlapping_iter(folded) {
            let part = &self.parts[found.pattern().as_usize()];
            if (!part.at_start || found.start() == 0) && (!part.at_end || found.end() == folded.len()) {
                part.tests.iter().copied().for_each(&mut *fired);
            }
        }
    }
}
