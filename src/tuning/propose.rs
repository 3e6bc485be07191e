//! From verdicts to a proposed exception, and the proof that it does what it says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::case::{Case, Cases};
use super::condition::{Condition, combinations, common};
use super::document;
use super::trial::{Found, rule_set, run, touches};
use crate::engine::RuleSet;
use crate::event::Catalogue;
use crate::log::{LogError, Reader};
use crate::rule::ast::{Body, Rule};
use crate::store::{Store, StoreError};
use crate::time::Timestamp;

/// Exceptions that are tried on the log at once.
const TRIALS: usize = 4;

/// Why nothing could be looked for.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No rule of this id runs.
    #[error("no rule has the id `{0}`")]
    Unknown(String),
}

/// What came of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposed {
    /// An exception that holds what it promises.
    Filter(Box<Proposal>),
    /// Why there is none.
    Nothing(String),
}

/// An exception, and what it was held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The Sigma filter.
    pub yaml: String,
    /// Its conditions in words.
    pub conditions: Vec<String>,
    /// What it was held against.
    pub proof: Proof,
}

/// What an exception was held against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proof {
    /// Alerts that were resolved as false positives or benign.
    pub wrong: u64,
    /// Those of them that the rule raises again over the log as it is, and no more with the exception.
    pub gone: u64,
    /// Those whose events it takes, but that the rule does not raise again over their stretch of the log by itself.
    pub untried: u64,
    /// Known true positives.
    pub right: u64,
    /// Those of them that the rule raises again, with the exception too.
    pub kept: u64,
    /// Those whose events it leaves alone, but that the rule does not raise again by itself.
    pub untouched: u64,
    /// Those whose events are not all in the log any more, or not all known: whether it takes them cannot be said.
    pub unseen: u64,
    /// Alerts nobody has judged whose events it takes: they would not have been raised either.
    pub open: u64,
}

impl Proof {
    /// For people, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let Self { wrong, gone, untried, right, kept, untouched, unseen, open } = self;
        let mut lines = vec![
            format!(
                "tried on the log: of {wrong} alerts that were false or benign, {gone} are no longer raised"
            ),
            match right {
                0 => "no true positive of this rule is known: nothing speaks against it, and nothing for it"
                    .to_owned(),
                _ => format!("of {right} known true positives, {kept} are still raised"),
            },
        ];
        let more = [
            (
                *untried,
                "more false ones lose their events, but the rule needs more of the past to raise them again",
            ),
            (
                *untouched,
                "more true positives keep all their events, but the rule needs more of the past to raise them again",
            ),
            (
                *unseen,
                "more true positives no longer have all their events in the log: whether it would hide them is not known",
            ),
            (*open, "alerts that nobody has judged would not have been raised either: look at them first"),
        ];
        lines.extend(
            more.iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{count} {words}")),
        );
        lines
    }
}

/// Looks for the smallest exception of a rule that takes the events of its false positives and of none of its true ones,
/// and tries it. `owner` will stand in it.
pub fn propose(
    (store, reader): (&Store, &mut Reader),
    rules: &RuleSet,
    id: &str,
    (owner, now): (&str, Timestamp),
) -> Result<Proposed, TuneError> {
    let unit = rules.unit(id).ok_or_else(|| TuneError::Unknown(id.to_owned()))?;
    let rule = &unit.rule;
    if let Body::Correlation(correlation) = &rule.body {
        let over = correlation.rules.join("`, `");
        return nothing(format!(
            "it is a correlation, which sees no events: tune the rules it is over (`{over}`)"
        ));
    }
    let catalogue = rules.catalogue();
    let cases = Cases::read(store, reader, (id, catalogue))?;
    let wrong: Vec<&Case> = cases.wrong.iter().filter(|case| !case.events.is_empty()).collect();
    if cases.wrong.is_empty() {
        return nothing(
            "none of its alerts was resolved as false_positive or benign: there is nothing to learn from",
        );
    }
    if wrong.is_empty() {
        return nothing("the events of its false positives are no longer in the log");
    }
    let search = Search { rule, cases: &cases, catalogue, signed: (owner, now) };
    if let Some(proposal) = search.among(&wrong, reader)? {
        return Ok(Proposed::Filter(Box::new(proposal)));
    }
    // Nothing is true of all of them; perhaps of those of one author, or of one address.
    for field in ["author_id", "ip_address"] {
        if let Some(part) = largest(&wrong, field).filter(|part| part.len() < wrong.len())
            && let Some(proposal) = search.among(&part, reader)?
        {
            return Ok(Proposed::Filter(Box::new(proposal)));
        }
    }
    if !cases.right.is_empty() && cases.right.iter().all(Case::is_unseen) {
        return nothing(
            "its true positives no longer have all their events in the log: no exception can be held against them",
        );
    }
    let count = wrong.len();
    nothing(format!(
        "of {count} false positives, no one to three properties (author, address, path, user agent, types) take their \
         events away, spare every known true positive, and pass when the rule is run over the log with them"
    ))
}

fn nothing(why: impl Into<String>) -> Result<Proposed, TuneError> {
    Ok(Proposed::Nothing(why.into()))
}

/// The cases that share the most frequent value of a field in all their events.
fn largest<'a>(cases: &[&'a Case], field: &str) -> Option<Vec<&'a Case>> {
    let mut groups: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        let values: Vec<String> =
            case.shown.iter().filter_map(|event| event.get(field).map(ToString::to_string)).collect();
        let is_one = values.len() == case.shown.len() && values.windows(2).all(|pair| pair[0] == pair[1]);
        if let Some(value) = values.into_iter().next().filter(|_| is_one) {
            groups.entry(value).or_default().push(case);
        }
    }
    groups.into_values().max_by_key(Vec::len)
}

/// What does not change while an exception is looked for.
struct Search<'a> {
    rule: &'a Rule,
    cases: &'a Cases,
    catalogue: &'a Arc<Catalogue>,
    signed: (&'a str, Timestamp),
}

/// An exception that is to be tried.
struct Candidate {
    conditions: Vec<Condition>,
    yaml: String,
    set: Arc<RuleSet>,
}

impl Search<'_> {
    /// The best exception for these false positives.
    fn among(&self, wrong: &[&Case], reader: &mut Reader) -> Result<Option<Proposal>, TuneError> {
        let events: Vec<&Map<String, Value>> = wrong.iter().flat_map(|case| &case.shown).collect();
        let Some(plain) = rule_set(self.rule.clone(), None, self.catalogue) else { return Ok(None) };
        let candidates: Vec<Candidate> = combinations(&common(&events))
            .into_iter()
            .filter(|conditions| self.spares(conditions))
            .filter_map(|conditions| self.candidate(conditions))
            .take(TRIALS)
            .collect();
        if candidates.is_empty() {
            return Ok(None);
        }
        let sets: Vec<Arc<RuleSet>> =
            std::iter::once(plain).chain(candidates.iter().map(|one| Arc::clone(&one.set))).collect();
        let known: Vec<&Case> = wrong.iter().copied().chain(&self.cases.right).collect();
        let mut found = run(&sets, reader, &known, self.catalogue)?.into_iter();
        let Some(before) = found.next() else { return Ok(None) };
        for (candidate, after) in candidates.into_iter().zip(found) {
            if let Some(proof) = self.proof(wrong, &candidate.conditions, (&before, &after)) {
                let Candidate { conditions, yaml, .. } = candidate;
                let conditions = conditions.iter().map(ToString::to_string).collect();
                return Ok(Some(Proposal { yaml, conditions, proof }));
            }
        }
        Ok(None)
    }

    /// Whether no event of a true positive meets all conditions. Cheap; the engine is asked before one is tried.
    fn spares(&self, conditions: &[Condition]) -> bool {
        let takes = |event: &Map<String, Value>| conditions.iter().all(|condition| condition.holds(event));
        !self.cases.right.iter().flat_map(|case| &case.shown).any(takes)
    }

    fn candidate(&self, conditions: Vec<Condition>) -> Option<Candidate> {
        let yaml = document::filter(self.rule, &conditions, self.signed);
        let filter = document::read_filter(&yaml)?;
        let probe = document::read_rule(&document::probe(self.rule, &conditions))?;
        let probe = rule_set(probe, None, self.catalogue)?;
        if self.cases.right.iter().any(|case| touches(&probe, &case.events)) {
            return None;
        }
        let set = rule_set(self.rule.clone(), Some(&filter), self.catalogue)?;
        Some(Candidate { conditions, yaml, set })
    }

    /// What was found with the exception and without; nothing if it does not hold what it promises.
    fn proof(
        &self,
        wrong: &[&Case],
        conditions: &[Condition],
        (before, after): (&Found, &Found),
    ) -> Option<Proof> {
        let count = |cases: usize| cases as u64;
        let mut proof = Proof {
            wrong: count(self.cases.wrong.len()),
            right: count(self.cases.right.len()),
            ..Proof::default()
        };
        for case in wrong {
            match (before.has(&case.alert), after.has(&case.alert)) {
                (true, false) => proof.gone += 1,
                (true, true) => return None,
                (false, _) => proof.untried += 1,
            }
        }
        for case in &self.cases.right {
            match (before.has(&case.alert), after.has(&case.alert)) {
                (true, true) => proof.kept += 1,
                (true, false) => return None,
                (false, _) if case.is_unseen() => proof.unseen += 1,
                (false, _) => proof.untouched += 1,
            }
        }
        if proof.right > 0 && proof.unseen == proof.right {
            return None;
        }
        let takes = |event: &Map<String, Value>| conditions.iter().all(|condition| condition.holds(event));
        let is_taken = |case: &&Case| !case.shown.is_empty() && case.shown.iter().all(takes);
        proof.open = count(self.cases.open.iter().filter(is_taken).count());
        (proof.gone > 0).then_some(proof)
    }
}
