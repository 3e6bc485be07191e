//! From a value to the targets that may match it: hash tables for whole texts, beginnings and ends, one
//! automaton for parts.

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use rustc_hash::FxHashMap;

use super::TargetId;

/// The literal text a test needs, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Literal {
    Whole(Box<str>),
    Start(Box<str>),
    End(Box<str>),
    Part(Box<str>),
}

/// The targets that wait for a text in one field (or in any, for keywords), by the folded literals they need.
#[derive(Debug, Default)]
pub(super) struct FieldIndex {
    whole: Texts,
    starts: Affixes,
    ends: Affixes,
    automaton: Option<AhoCorasick>,
    parts: Vec<Vec<TargetId>>,
}

type Texts = FxHashMap<Box<str>, Vec<TargetId>>;

/// Beginnings or ends: one look-up per length that occurs.
#[derive(Debug, Default)]
struct Affixes {
    /// Ascending.
    lengths: Vec<usize>,
    texts: Texts,
}

/// With more lengths than this the automaton is faster than the look-ups.
const LENGTHS_MAX: usize = 16;

impl Affixes {
    fn add(&mut self, text: &str, target: TargetId) {
        if let Err(place) = self.lengths.binary_search(&text.len()) {
            self.lengths.insert(place, text.len());
        }
        self.texts.entry(text.into()).or_default().push(target);
    }

    /// The lengths that fit into a text of this length.
    fn lengths(&self, longest: usize) -> impl Iterator<Item = usize> {
        self.lengths.iter().copied().take_while(move |length| *length <= longest)
    }

    fn look_up(&self, affix: Option<&str>, fired: &mut dyn FnMut(TargetId)) {
        let targets = affix.and_then(|affix| self.texts.get(affix));
        targets.into_iter().flatten().copied().for_each(fired);
    }
}

impl FieldIndex {
    /// Builds the index of these literals; all are folded.
    pub(super) fn build(literals: &[(Literal, TargetId)]) -> Result<Self, BuildError> {
        let mut index = Self::default();
        let mut parts: FxHashMap<&str, Vec<TargetId>> = FxHashMap::default();
        for (literal, target) in literals {
            match literal {
                Literal::Whole(text) => index.whole.entry(text.clone()).or_default().push(*target),
                Literal::Start(text) => index.starts.add(text, *target),
                Literal::End(text) => index.ends.add(text, *target),
                Literal::Part(text) => parts.entry(text).or_default().push(*target),
            }
        }
        let mut affixes = Vec::new();
        for found in [&mut index.starts, &mut index.ends] {
            if found.lengths.len() > LENGTHS_MAX {
                affixes.extend(std::mem::take(found).texts);
            }
        }
        // A beginning is also a part: what the automaton proposes is checked anyway.
        for (text, targets) in &affixes {
            parts.entry(text).or_default().extend(targets);
        }
        if !parts.is_empty() {
            let mut parts: Vec<(&str, Vec<TargetId>)> = parts.into_iter().collect();
            parts.sort_unstable();
            let texts = parts.iter().map(|(text, _)| text);
            index.automaton = Some(AhoCorasick::builder().match_kind(MatchKind::Standard).build(texts)?);
            index.parts = parts.into_iter().map(|(_, targets)| targets).collect();
        }
        Ok(index)
    }

    /// Calls `fired` with every target whose literal stands in this folded text, possibly more than once.
    pub(super) fn look_up(&self, folded: &str, fired: &mut dyn FnMut(TargetId)) {
        if !self.whole.is_empty()
            && let Some(targets) = self.whole.get(folded)
        {
            targets.iter().copied().for_each(&mut *fired);
        }
        for length in self.starts.lengths(folded.len()) {
            self.starts.look_up(folded.get(..length), fired);
        }
        for length in self.ends.lengths(folded.len()) {
            self.ends.look_up(folded.get(folded.len() - length..), fired);
        }
        let Some(automaton) = &self.automaton else { return };
        for found in automaton.find_overlapping_iter(folded) {
            let targets = self.parts.get(found.pattern().as_usize());
            targets.into_iter().flatten().copied().for_each(&mut *fired);
        }
    }
}
