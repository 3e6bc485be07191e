//! From a value to the targets that may match it: hash tables for whole texts, beginnings, ends and networks, sorted
//! limits for numbers, one automaton for parts.

use std::net::IpAddr;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, MatchKind};
use ipnet::IpNet;
use rustc_hash::FxHashMap;

use super::TargetId;
use crate::rule::ast::Cmp;

/// What a test needs of a value: as a rule a literal text, and where.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Whole(Box<str>),
    Start(Box<str>),
    End(Box<str>),
    Part(Box<str>),
    /// An address in this network.
    Network(IpNet),
    /// A number in this relation to another one.
    Number(Cmp, f64),
}

/// The targets that wait for a text in one field (or in any, for keywords), by the folded literals they need.
#[derive(Debug, Default)]
pub(super) struct FieldIndex {
    whole: Texts,
    starts: Affixes,
    ends: Affixes,
    automaton: Option<AhoCorasick>,
    parts: Vec<Vec<TargetId>>,
    networks: Networks,
    numbers: Numbers,
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

/// Networks: one look-up per length of their prefixes that occurs, instead of a comparison with each.
#[derive(Debug, Default)]
struct Networks {
    /// For IPv4, then for IPv6; ascending.
    lengths: [Vec<u8>; 2],
    targets: FxHashMap<IpNet, Vec<TargetId>>,
}

impl Networks {
    fn add(&mut self, network: IpNet, target: TargetId) {
        let network = network.trunc();
        let lengths = &mut self.lengths[usize::from(network.addr().is_ipv6())];
        if let Err(place) = lengths.binary_search(&network.prefix_len()) {
            lengths.insert(place, network.prefix_len());
        }
        self.targets.entry(network).or_default().push(target);
    }

    fn look_up(&self, text: &str, fired: &mut dyn FnMut(TargetId)) {
        let Ok(address) = text.parse::<IpAddr>() else { return };
        // An IPv4 address written as IPv6 is in networks of both kinds.
        let plain = Some(address.to_canonical()).filter(|plain| *plain != address);
        for address in [Some(address), plain].into_iter().flatten() {
            for length in &self.lengths[usize::from(address.is_ipv6())] {
                let network = IpNet::new(address, *length).ok();
                let targets = network.and_then(|network| self.targets.get(&network.trunc()));
                targets.into_iter().flatten().copied().for_each(&mut *fired);
            }
        }
    }
}

/// Limits of numbers: those that a number passes stand together.
#[derive(Debug, Default)]
struct Numbers {
    /// Ascending: targets that want at least (or more than) this.
    from: Vec<(f64, TargetId)>,
    /// Descending: those that want at most (or less than) this.
    to: Vec<(f64, TargetId)>,
    /// Ascending: those that want this.
    at: Vec<(f64, TargetId)>,
}

/// Equal numbers may differ by this; see [`Cmp::holds`].
const SLACK: f64 = f64::EPSILON;

impl Numbers {
    fn add(&mut self, cmp: Cmp, number: f64, target: TargetId) {
        match cmp {
            Cmp::Gt | Cmp::Gte => self.from.push((number, target)),
            Cmp::Lt | Cmp::Lte => self.to.push((number, target)),
            Cmp::Eq => self.at.push((number, target)),
        }
    }

    fn sort(&mut self) {
        self.from.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.to.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.at.sort_by(|a, b| a.0.total_cmp(&b.0));
    }

    fn is_empty(&self) -> bool {
        self.from.is_empty() && self.to.is_empty() && self.at.is_empty()
    }

    fn look_up(&self, text: &str, fired: &mut dyn FnMut(TargetId)) {
        let Ok(number) = text.parse::<f64>() else { return };
        let first = self.at.partition_point(|(limit, _)| *limit < number - SLACK);
        let equal = self.at.get(first..).unwrap_or_default().iter();
        let passed = (self.from.iter().take_while(|(limit, _)| *limit <= number))
            .chain(self.to.iter().take_while(|(limit, _)| *limit >= number))
            .chain(equal.take_while(|(limit, _)| *limit <= number + SLACK));
        passed.for_each(|(_, target)| fired(*target));
    }
}

/// Up to so many bytes of parts a full table is made: a few times as fast, at some hundred bytes for each byte.
const TABLE_BYTES_MAX: usize = 16_384;

/// Finds all of these texts, also where they overlap.
fn automaton(parts: &[(&str, Vec<TargetId>)]) -> Result<AhoCorasick, BuildError> {
    let bytes: usize = parts.iter().map(|(text, _)| text.len()).sum();
    let kind = (bytes <= TABLE_BYTES_MAX).then_some(AhoCorasickKind::DFA);
    let texts = parts.iter().map(|(text, _)| text);
    AhoCorasick::builder().match_kind(MatchKind::Standard).kind(kind).build(texts)
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
                Literal::Network(network) => index.networks.add(*network, *target),
                Literal::Number(cmp, number) => index.numbers.add(*cmp, *number, *target),
            }
        }
        index.numbers.sort();
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
            index.automaton = Some(automaton(&parts)?);
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
        if !self.networks.targets.is_empty() {
            self.networks.look_up(folded, fired);
        }
        if !self.numbers.is_empty() {
            self.numbers.look_up(folded, fired);
        }
        let Some(automaton) = &self.automaton else { return };
        for found in automaton.find_overlapping_iter(folded) {
            let targets = self.parts.get(found.pattern().as_usize());
            targets.into_iter().flatten().copied().for_each(&mut *fired);
        }
    }
}
