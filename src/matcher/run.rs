//! Building a matcher from targets, and running an event through it.

use std::sync::Arc;

use regex_syntax::hir::literal::Extractor;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::expr::Expr;
use super::fold::{FoldCache, fold};
use super::index::{FieldIndex, Literal};
use super::predicate::{Check, Predicate, refers};
use crate::decode;
use crate::event::{Catalogue, Event, ExtractError, Extracted, Format, Plan, Scalar, canonical};
use crate::rule::ast::{Condition, Detection, Glob, Node, Op, ScriptSource, Test};
use crate::script::{Cage, EventValue, Predicate as ScriptPredicate, ScriptError};

/// A target's number, in the order they were added.
pub type TargetId = u32;

/// Collects fields, tests and targets; see [`Builder::build`].
#[derive(Debug)]
pub struct Builder {
    format: Format,
    cage: Arc<Cage>,
    catalogue: Arc<Catalogue>,
    fields: Vec<String>,
    field_numbers: FxHashMap<String, usize>,
    tests: Vec<(Test, Predicate)>,
    test_numbers: FxHashMap<String, u32>,
    scripts: Vec<ScriptPredicate>,
    targets: Vec<Expr>,
}

/// Why a rule does not compile.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A pattern.
    #[error("the pattern does not compile: {0}")]
    Regex(#[from] regex::Error),
    /// A script.
    #[error("{0}")]
    Script(#[from] ScriptError),
    /// More literals than the automaton can hold.
    #[error("too many patterns for one index: {0}")]
    Index(#[from] aho_corasick::BuildError),
}

impl Builder {
    /// A builder for events of one format.
    #[must_use]
    pub fn new(format: Format, cage: Arc<Cage>, catalogue: Arc<Catalogue>) -> Self {
        // First the fields a decoder needs, so that history is decoded and matched in one pass.
        let fields = decode::FIELDS.map(str::to_owned).to_vec();
        let field_numbers = fields.iter().cloned().zip(0..).collect();
        Self {
            format,
            cage,
            catalogue,
            fields,
            field_numbers,
            tests: Vec::new(),
            test_numbers: FxHashMap::default(),
            scripts: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// The number of a field, by which [`Scratch::text`] gives its value.
    pub fn field(&mut self, name: &str) -> usize {
        if let Some(number) = self.field_numbers.get(name) {
            return *number;
        }
        self.fields.push(name.to_owned());
        self.field_numbers.insert(name.to_owned(), self.fields.len() - 1);
        self.fields.len() - 1
    }

    /// Adds a target: something that matches when its expression holds.
    pub fn target(&mut self, expr: Expr) -> TargetId {
        self.targets.push(expr.tidy());
        u32::try_from(self.targets.len() - 1).unwrap_or(u32::MAX)
    }

    /// Compiles a condition over a detection's selections.
    pub fn condition(&mut self, detection: &Detection, condition: &Condition) -> Result<Expr, BuildError> {
        self.condition_or_not(detection, condition, false)
    }

    fn condition_or_not(
        &mut self,
        detection: &Detection,
        condition: &Condition,
        negated: bool,
    ) -> Result<Expr, BuildError> {
        let all = |builder: &mut Self, children: &[Condition]| -> Result<Vec<Expr>, BuildError> {
            children.iter().map(|child| builder.condition_or_not(detection, child, negated)).collect()
        };
        Ok(match condition {
            Condition::And(children) => junction(all(self, children)?, !negated),
            Condition::Or(children) => junction(all(self, children)?, negated),
            Condition::Not(child) => self.condition_or_not(detection, child, !negated)?,
            Condition::Selection(index) => match detection.selections.get(*index) {
                Some(selection) => self.node_or_not(&selection.node, negated)?,
                None => junction(Vec::new(), false),
            },
        })
    }

    /// Compiles the inside of a selection.
    pub fn node(&mut self, node: &Node) -> Result<Expr, BuildError> {
        self.node_or_not(node, false)
    }

    fn node_or_not(&mut self, node: &Node, negated: bool) -> Result<Expr, BuildError> {
        let all = |builder: &mut Self, children: &[Node]| -> Result<Vec<Expr>, BuildError> {
            children.iter().map(|child| builder.node_or_not(child, negated)).collect()
        };
        Ok(match node {
            Node::And(children) => junction(all(self, children)?, !negated),
            Node::Or(children) => junction(all(self, children)?, negated),
            Node::Not(child) => self.node_or_not(child, !negated)?,
            Node::Test(test) => Expr::Test(self.test(test)?, negated),
            Node::Script(script) => Expr::Script(self.script(script)?, negated),
        })
    }

    fn test(&mut self, test: &Test) -> Result<u32, BuildError> {
        let renamed = self.renamed(test);
        let test = renamed.as_ref().unwrap_or(test);
        // Equal tests are one: their printed form is their identity.
        let identity = format!("{test:?}");
        if let Some(number) = self.test_numbers.get(&identity) {
            return Ok(*number);
        }
        let predicate = Predicate::compile(test, |name| self.field(name))?;
        let number = u32::try_from(self.tests.len()).unwrap_or(u32::MAX);
        self.tests.push((test.clone(), predicate));
        self.test_numbers.insert(identity, number);
        Ok(number)
    }

    /// Events show their type by its current name; a rule may know it by a former one.
    fn renamed(&self, test: &Test) -> Option<Test> {
        let Op::Exact(name) = &test.op else { return None };
        let known = self.catalogue.get(self.format, name).filter(|known| known.name != *name)?;
        let is_type = test.field.as_deref() == Some("event_type");
        is_type.then(|| Test { op: Op::Exact(known.name.clone()), ..test.clone() })
    }

    fn script(&mut self, script: &ScriptSource) -> Result<u32, BuildError> {
        let number = u32::try_from(self.scripts.len()).unwrap_or(u32::MAX);
        self.scripts.push(ScriptPredicate::compile(&self.cage, &script.source, script.line)?);
        Ok(number)
    }

    /// The finished matcher.
    pub fn build(self) -> Result<Matcher, BuildError> {
        let literals: Vec<Vec<Literal>> = self.tests.iter().map(|(test, _)| literals(test)).collect();
        let shares = shares(&self.targets, self.tests.len());
        let cost = |test: u32| price(&literals[test as usize], shares[test as usize]);
        let mut watchers: Vec<SmallVec<[TargetId; 2]>> = vec![SmallVec::new(); self.tests.len()];
        let mut always = Vec::new();
        for (number, target) in (0..).zip(&self.targets) {
            match target.witness(&cost) {
                Some(witness) => witness.tests.iter().for_each(|test| watchers[*test as usize].push(number)),
                None => always.push(number),
            }
        }
        let mut by_field: FxHashMap<Option<usize>, Vec<(Literal, u32)>> = FxHashMap::default();
        for (number, ((_, predicate), literals)) in (0..).zip(self.tests.iter().zip(literals)) {
            if watchers[number as usize].is_empty() {
                continue;
            }
            let entries = by_field.entry(predicate.field).or_default();
            entries.extend(literals.into_iter().map(|literal| (literal, number)));
        }
        let mut indexes = Vec::new();
        for (field, literals) in by_field {
            indexes.push((field, FieldIndex::build(&literals)?));
        }
        indexes.sort_by_key(|(field, _)| *field);
        let predicates: Vec<Predicate> = self.tests.into_iter().map(|(_, predicate)| predicate).collect();
        let has_keywords = predicates.iter().any(|predicate| predicate.field.is_none());
        let folded = folded_fields(&predicates, &indexes, self.fields.len());
        let plan = Plan::new(self.format, &self.fields, has_keywords);
        Ok(Matcher {
            format: self.format,
            catalogue: self.catalogue,
            cage: self.cage,
            plan,
            folded,
            indexes,
            watchers,
            always,
            predicates,
            scripts: self.scripts,
            targets: self.targets,
        })
    }
}

/// A conjunction or disjunction of children.
fn junction(children: Vec<Expr>, is_and: bool) -> Expr {
    if is_and { Expr::And(children) } else { Expr::Or(children) }
}

/// How many targets use each test.
fn shares(targets: &[Expr], tests: usize) -> Vec<u64> {
    let mut shares = vec![0; tests];
    for target in targets {
        target.each_test(&mut |test| shares[test as usize] += 1);
    }
    shares
}

/// The guessed cost of waking up for a test: how many targets look, weighed by how common such literals are.
fn price(literals: &[Literal], share: u64) -> Option<u64> {
    let weigh = |literal: &Literal| match literal {
        Literal::Whole(_) => 2,
        Literal::Start(text) | Literal::End(text) | Literal::Part(text) => match text.len() {
            0 => 1000,
            1 | 2 => 40,
            3 => 10,
            _ => 4,
        },
    };
    let worst = literals.iter().map(weigh).sum::<u64>();
    (!literals.is_empty()).then(|| worst.saturating_mul(share.max(1)))
}

/// The folded literals of which at least one must stand in a value for the test to pass; empty: cannot tell.
fn literals(test: &Test) -> Vec<Literal> {
    let one = |make: fn(Box<str>) -> Literal, text: &str| vec![make(fold(text).into())];
    match &test.op {
        Op::Exact(text) => one(Literal::Whole, text),
        Op::StartsWith(text) if !text.is_empty() => one(Literal::Start, text),
        Op::EndsWith(text) if !text.is_empty() => one(Literal::End, text),
        Op::Contains(text) if !text.is_empty() => one(Literal::Part, text),
        Op::Wildcard(globs) => {
            let texts = globs.iter().filter_map(|glob| match glob {
                Glob::Literal(text) => Some(text),
                Glob::One | Glob::Many => None,
            });
            texts.max_by_key(|text| text.len()).map_or_else(Vec::new, |text| one(Literal::Part, text))
        }
        Op::Regex(pattern) => regex_literals(pattern),
        _ => Vec::new(),
    }
}

/// The literals every match of a regular expression starts with, if it has few and long ones.
fn regex_literals(pattern: &str) -> Vec<Literal> {
    let Ok(hir) = regex_syntax::parse(pattern) else { return Vec::new() };
    let prefixes = Extractor::new().limit_total(32).extract(&hir);
    let Some(found) = prefixes.literals() else { return Vec::new() };
    let texts: Vec<&str> =
        found.iter().filter_map(|literal| std::str::from_utf8(literal.as_bytes()).ok()).collect();
    if texts.len() != found.len() || texts.iter().any(|text| text.len() < 3) {
        return Vec::new();
    }
    let mut literals: Vec<Literal> = texts.iter().map(|text| Literal::Part(fold(text).into())).collect();
    literals.sort_by_key(|literal| format!("{literal:?}"));
    literals.dedup();
    literals
}

/// Which fields' values are needed in folded form.
fn folded_fields(
    predicates: &[Predicate],
    indexes: &[(Option<usize>, FieldIndex)],
    fields: usize,
) -> Vec<bool> {
    let mut folded = vec![false; fields];
    let indexed = indexes.iter().filter_map(|(field, _)| *field);
    let compared = predicates.iter().filter(|predicate| predicate.wants_folded());
    let referred = compared.clone().filter_map(|predicate| match predicate.check {
        Check::FieldRef(other, _) => Some(other),
        _ => None,
    });
    for field in indexed.chain(compared.filter_map(|predicate| predicate.field)).chain(referred) {
        folded[field] = true;
    }
    folded
}

/// All targets of one format, ready to run. Shared by threads; each brings its own [`Scratch`].
#[derive(Debug)]
pub struct Matcher {
    format: Format,
    catalogue: Arc<Catalogue>,
    cage: Arc<Cage>,
    plan: Plan,
    folded: Vec<bool>,
    indexes: Vec<(Option<usize>, FieldIndex)>,
    watchers: Vec<SmallVec<[TargetId; 2]>>,
    always: Vec<TargetId>,
    predicates: Vec<Predicate>,
    scripts: Vec<ScriptPredicate>,
    targets: Vec<Expr>,
}

/// What one thread needs to run events through matchers; reused, so that it allocates nothing in the long run.
#[derive(Debug, Default)]
pub struct Scratch {
    extracted: Extracted,
    folds: FoldCache,
    /// One entry per value of a folded field; none where the value is its own folded form.
    pieces: Vec<Option<std::ops::Range<u32>>>,
    /// Where each field's pieces start.
    starts: Vec<u32>,
    keyword_pieces: Vec<Option<std::ops::Range<u32>>>,
    memo: Vec<(u32, bool)>,
    seen: Vec<u32>,
    stamp: u32,
    candidates: Vec<TargetId>,
    matched: Vec<TargetId>,
    failures: Vec<ScriptFailure>,
    event_value: Option<rhai::Dynamic>,
}

/// A script predicate that failed; it counts as not matched.
#[derive(Debug, Clone)]
pub struct ScriptFailure {
    /// The target that asked.
    pub target: TargetId,
    /// What went wrong, with the line.
    pub error: ScriptError,
}

impl Scratch {
    /// The targets that the last event matched, ascending.
    #[must_use]
    pub fn matched(&self) -> &[TargetId] {
        &self.matched
    }

    /// The scripts that failed on the last event.
    #[must_use]
    pub fn failures(&self) -> &[ScriptFailure] {
        &self.failures
    }

    /// The fields of the last event; the first ones are those a decoder needs.
    #[must_use]
    pub const fn extracted(&self) -> &Extracted {
        &self.extracted
    }

    /// The last event's value of a field, by the builder's number: the first one with a text.
    #[must_use]
    pub fn text<'a>(&'a self, field: usize, raw: &'a str) -> Option<&'a str> {
        self.extracted.text(field, raw)
    }

    fn begin(&mut self, matcher: &Matcher) {
        if self.memo.len() < matcher.predicates.len() {
            self.memo.resize(matcher.predicates.len(), (0, false));
        }
        if self.seen.len() < matcher.targets.len() {
            self.seen.resize(matcher.targets.len(), 0);
        }
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.memo.fill((0, false));
            self.seen.fill(0);
            self.stamp = 1;
        }
        self.folds.clear();
        self.pieces.clear();
        self.starts.clear();
        self.keyword_pieces.clear();
        self.candidates.clear();
        self.matched.clear();
        self.failures.clear();
        self.event_value = None;
    }
}

impl Matcher {
    /// Which format's events it is for.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Takes the fields out of an event, the first step; [`Matcher::run`] is the second. `raw` is the event's
    /// bytes as text. A scratch belongs to one matcher at a time: give it a new one when the matcher changes.
    pub fn extract(&self, event: &Event, raw: &str, scratch: &mut Scratch) -> Result<(), ExtractError> {
        self.plan.extract(event, raw, &self.catalogue, &mut scratch.extracted)
    }

    /// Runs the event whose fields were just extracted; the answer is in [`Scratch::matched`].
    pub fn run(&self, event: &Event, raw: &str, scratch: &mut Scratch) {
        scratch.begin(self);
        self.fold_values(raw, scratch);
        self.propose(raw, scratch);
        let mut candidates = std::mem::take(&mut scratch.candidates);
        candidates.extend_from_slice(&self.always);
        candidates.sort_unstable();
        for target in &candidates {
            let mut ask = Ask { matcher: self, event, raw, scratch, target: *target };
            if ask.holds(&self.targets[*target as usize]) {
                scratch.matched.push(*target);
            }
        }
        scratch.candidates = candidates;
    }

    fn fold_values(&self, raw: &str, scratch: &mut Scratch) {
        let Scratch { extracted, folds, pieces, starts, keyword_pieces, .. } = scratch;
        for (field, is_folded) in self.folded.iter().enumerate() {
            starts.push(u32::try_from(pieces.len()).unwrap_or(u32::MAX));
            if *is_folded {
                let values = extracted.values(field, raw);
                pieces.extend(values.map(|value| value.text().and_then(|text| folds.add(text))));
            }
        }
        let values = extracted.all(raw);
        keyword_pieces.extend(values.map(|value| value.text().and_then(|text| folds.add(text))));
    }

    fn propose(&self, raw: &str, scratch: &mut Scratch) {
        let Scratch { extracted, folds, pieces, starts, keyword_pieces, seen, stamp, candidates, .. } =
            scratch;
        let mut fired = |test: u32| {
            for target in &self.watchers[test as usize] {
                let mark = &mut seen[*target as usize];
                if *mark != *stamp {
                    *mark = *stamp;
                    candidates.push(*target);
                }
            }
        };
        for (field, index) in &self.indexes {
            match field {
                Some(field) => {
                    let pieces = &pieces[starts[*field] as usize..];
                    for (value, piece) in extracted.values(*field, raw).zip(pieces) {
                        if let Some(text) = piece.as_ref().map(|range| folds.text(range)).or(value.text()) {
                            index.look_up(text, &mut fired);
                        }
                    }
                }
                None => {
                    for (value, piece) in extracted.all(raw).zip(keyword_pieces.iter()) {
                        if let Some(text) = piece.as_ref().map(|range| folds.text(range)).or(value.text()) {
                            index.look_up(text, &mut fired);
                        }
                    }
                }
            }
        }
    }

    /// Whether one target's expression holds for the event, and the truth of each of its tests, without the
    /// index: for `explain`.
    pub fn target(&self, target: TargetId) -> Option<&Expr> {
        self.targets.get(target as usize)
    }
}

/// One question about one event.
struct Ask<'a> {
    matcher: &'a Matcher,
    event: &'a Event,
    raw: &'a str,
    scratch: &'a mut Scratch,
    target: TargetId,
}

impl Ask<'_> {
    fn holds(&mut self, expr: &Expr) -> bool {
        match expr {
            Expr::And(children) => children.iter().all(|child| self.holds(child)),
            Expr::Or(children) => children.iter().any(|child| self.holds(child)),
            Expr::Test(number, negated) => self.test(*number) != *negated,
            // A script that fails neither holds nor fails to hold: the rule does not fire.
            Expr::Script(number, negated) => self.script(*number).is_some_and(|holds| holds != *negated),
        }
    }

    fn test(&mut self, number: u32) -> bool {
        let (stamp, known) = self.scratch.memo[number as usize];
        if stamp == self.scratch.stamp {
            return known;
        }
        let holds = self.evaluate(&self.matcher.predicates[number as usize]);
        self.scratch.memo[number as usize] = (self.scratch.stamp, holds);
        holds
    }

    fn evaluate(&self, predicate: &Predicate) -> bool {
        let Some(field) = predicate.field else { return self.keyword(predicate) };
        let mut values = self.scratch.extracted.values(field, self.raw);
        match &predicate.check {
            Check::Exists(wanted) => values.next().is_some() == *wanted,
            Check::Null => values.all(|value| value == Scalar::Null),
            Check::FieldRef(other, kind) => self.pairs(field, predicate).any(|(_, left)| {
                left.is_some_and(|left| {
                    self.pairs(*other, predicate)
                        .any(|(_, right)| right.is_some_and(|right| refers(*kind, left, right)))
                })
            }),
            check => self.pairs(field, predicate).any(|(value, text)| check.passes(value, text)),
        }
    }

    /// The values of a field with their texts, folded if the predicate wants them folded.
    fn pairs<'s>(
        &'s self,
        field: usize,
        predicate: &Predicate,
    ) -> impl Iterator<Item = (Scalar<'s>, Option<&'s str>)> + use<'s> {
        let scratch = &*self.scratch;
        let start = scratch.starts.get(field).map_or(0, |start| *start as usize);
        let pieces = if predicate.wants_folded() { scratch.pieces.get(start..) } else { None };
        let mut pieces = pieces.unwrap_or_default().iter();
        scratch.extracted.values(field, self.raw).map(move |value| {
            let folded = pieces.next().and_then(Option::as_ref).map(|range| scratch.folds.text(range));
            (value, folded.or(value.text()))
        })
    }

    fn keyword(&self, predicate: &Predicate) -> bool {
        let scratch = &*self.scratch;
        let wants_folded = predicate.wants_folded();
        scratch.extracted.all(self.raw).zip(&scratch.keyword_pieces).any(|(value, piece)| {
            let folded = piece.as_ref().filter(|_| wants_folded).map(|range| scratch.folds.text(range));
            predicate.check.passes(value, folded.or(value.text()))
        })
    }

    fn script(&mut self, number: u32) -> Option<bool> {
        let event = self
            .scratch
            .event_value
            .get_or_insert_with(|| EventValue::from_json(&canonical(self.event, &self.matcher.catalogue)));
        match self.matcher.scripts[number as usize].eval(&self.matcher.cage, event) {
            Ok(holds) => Some(holds),
            Err(error) => {
                self.scratch.failures.push(ScriptFailure { target: self.target, error });
                None
            }
        }
    }
}
