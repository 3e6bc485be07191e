//! The decaying sum of the scores of a key's alerts. A hit's value is the score and the rule's id, joined by a unit
//! separator.
//!
//! At time t a score s of time u counts `s * 2^-((t - u) / half_life)`, up to twenty half-lives. More scores can only
//! make the sum larger, so it is judged at once. Each score's share is a whole number (thousandths, with 32 more bits)
//! before it is added: the sum depends neither on the order of arrival nor on the machine.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::hit::{Completion, Evidence, Held, Hit, Outcome};
use super::size;
use super::window::number;
use crate::event::Position;
use crate::rule::ast::Compare;
use crate::time::{Span, Timestamp};

/// The decaying sum of the scores of a key's alerts.
#[derive(Debug, Clone)]
pub struct RiskSpec {
    /// After how long a score counts half.
    pub half_life: Span,
    /// When the sum is worth a finding.
    pub compare: Compare,
    /// How late an event may still count.
    pub lateness: Span,
}

/// How many scores a key keeps one by one; older ones are one sum that decays from the time of the youngest of them.
const SCORES_MAX: usize = 512;

/// The highest score that counts, in thousandths.
const SCORE_MAX: f64 = 1e9;

/// How many rules a reason names.
const RULES_NAMED: usize = 5;

/// One alert's score.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Score {
    time: Timestamp,
    position: Position,
    rule: Box<str>,
    thousandths: u32,
}

/// One key's scores.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RiskState {
    /// By time, position and rule.
    scores: VecDeque<Score>,
    /// What older scores came to at this time, in thousandths.
    rest: Option<(Timestamp, u64)>,
}

impl RiskSpec {
    /// After twenty half-lives, when a millionth of a score is left, it is forgotten.
    pub(super) const fn memory(&self) -> Span {
        Span(self.half_life.0.saturating_mul(20))
    }

    /// Takes in a score, and judges every moment from it on. One that is not more than nothing changes nothing.
    pub(super) fn on_hit(&self, state: &mut RiskState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let Some(score) = score(hit) else { return Outcome::default() };
        let place = state.scores.partition_point(|known| *known < score);
        let same = |known: &Score| {
            (known.time, known.position, &known.rule) == (hit.time, hit.position, &score.rule)
        };
        if state.scores.range(..place).next_back().is_some_and(same)
            || state.scores.get(place).is_some_and(same)
        {
            return Outcome::default();
        }
        state.scores.insert(place, score);
        let completion = self.judge(state, hit);
        let overflowed = self.trim(state, watermark);
        Outcome { completion, overflowed, timer: None }
    }

    /// The stretches over which the line was passed, from the moment of a score on. Between two scores the sum falls,
    /// so it was passed all the time if it still was right before the second.
    fn judge(&self, state: &RiskState, hit: &Hit) -> Option<Completion> {
        let holds = |at, until| self.compare.holds(amount(self.sum(state, at, until)));
        let place = state.scores.partition_point(|score| score.time < hit.time);
        let before = place.checked_sub(1).and_then(|before| state.scores.get(before)).map(|score| score.time);
        let mut before = before.filter(|before| holds(*before, *before));
        let mut held: SmallVec<[Held; 1]> = SmallVec::new();
        let mut index = place;
        while let Some(at) = state.scores.get(index).map(|score| score.time) {
            let was_held = before.filter(|_| holds(at, Timestamp(at.0 - 1)));
            before = holds(at, at).then_some(at);
            if before.is_some() {
                match held.last_mut() {
                    Some(stretch) if was_held == Some(stretch.1) => stretch.1 = at,
                    _ => held.push((was_held.unwrap_or(at), at)),
                }
            }
            index = state.scores.partition_point(|score| score.time <= at);
        }
        let time = held.last()?.1;
        let counted = state.scores.iter().filter(|score| score.time <= time && self.share(score, time) > 0);
        let positions: Vec<Position> = counted.map(|score| score.position).collect();
        let value = amount(self.sum(state, time, time));
        let reason = self.reason(state, time);
        Some(Completion {
            time,
            held,
            ..Completion::at(hit, value, reason, Evidence::sample(positions.into_iter()))
        })
    }

    /// What the scores up to `until` come to at `at`.
    fn sum(&self, state: &RiskState, at: Timestamp, until: Timestamp) -> u128 {
        let known = state.scores.iter().take_while(|score| score.time <= until);
        let sum: u128 = known.map(|score| u128::from(self.share(score, at))).sum();
        let rest = state.rest.filter(|(time, _)| *time <= until);
        sum + rest.map_or(0, |(time, rest)| u128::from(rest) * u128::from(self.factor(time, at)))
    }

    fn share(&self, score: &Score, at: Timestamp) -> u64 {
        u64::from(score.thousandths) * self.factor(score.time, at)
    }

    /// How much is left at `at` of what was 1 at `from`, in units of 2^-32.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^32")]
    fn factor(&self, from: Timestamp, at: Timestamp) -> u64 {
        let age = at.since(from);
        if age > self.memory() {
            return 0;
        }
        let halvings = age.0.max(0) as f64 / self.half_life.0.max(1) as f64;
        (libm::exp2(-halvings) * UNIT).round() as u64
    }

    /// `risk 120 (at least 100): 40 from a, 80 from b (2 times)`.
    fn reason(&self, state: &RiskState, at: Timestamp) -> String {
        let mut rules: Vec<(u128, &str, usize)> = Vec::new();
        for score in state.scores.iter().filter(|score| score.time <= at) {
            let share = u128::from(self.share(score, at));
            match rules.iter_mut().find(|(_, rule, _)| *rule == &*score.rule) {
                Some((sum, _, count)) => (*sum, *count) = (*sum + share, *count + 1),
                None => rules.push((share, &score.rule, 1)),
            }
        }
        rules.retain(|(sum, ..)| *sum > 0);
        rules.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(right.1)));
        let named = rules.iter().take(RULES_NAMED).map(|(sum, rule, count)| {
            let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
            format!("{} from {rule}{times}", figure(*sum))
        });
        let mut parts: Vec<String> = named.collect();
        let others: u128 = rules.iter().skip(RULES_NAMED).map(|(sum, ..)| sum).sum();
        if others > 0 {
            parts.push(format!("{} from {} other rules", figure(others), rules.len() - RULES_NAMED));
        }
        let all = self.sum(state, at, at);
        let older = all - rules.iter().map(|(sum, ..)| sum).sum::<u128>();
        if older > 0 {
            parts.push(format!("{} from earlier alerts", figure(older)));
        }
        format!("risk {} ({}): {}", figure(all), self.compare.words(), parts.join(", "))
    }

    /// What the scores come to at a moment, and what is missing.
    pub(super) fn known(&self, state: &RiskState, at: Timestamp) -> Vec<String> {
        let sum = amount(self.sum(state, at, at));
        let reason = self.reason(state, at);
        let mut known = vec![reason.trim_end_matches(": ").to_owned()];
        if let Compare::AtLeast(limit) | Compare::MoreThan(limit) = self.compare
            && !self.compare.holds(sum)
        {
            known.push(format!("{} more are missing", number(((limit - sum) * 10.0).ceil() / 10.0)));
        }
        known.push(format!("each score counts half after {}", self.half_life));
        known
    }

    /// Lets go of what no longer counts, and adds up the oldest where there are too many; true if a late score may
    /// now be judged without them.
    fn trim(&self, state: &mut RiskState, watermark: Timestamp) -> bool {
        let horizon = state.last().minus(self.lateness).min(watermark);
        while state.scores.front().is_some_and(|oldest| oldest.time.plus(self.memory()) < horizon) {
            state.scores.pop_front();
        }
        let mut overflowed = false;
        while state.scores.len() > SCORES_MAX {
            let Some(oldest) = state.scores.pop_front() else { break };
            overflowed |= oldest.time >= horizon;
            let sum = |(time, rest): (Timestamp, u64)| {
                u64::try_from((u128::from(rest) * u128::from(self.factor(time, oldest.time))) >> 32)
            };
            let rest = state.rest.map_or(0, |rest| sum(rest).unwrap_or(u64::from(u32::MAX)));
            let time = state.rest.map_or(oldest.time, |(time, _)| time.max(oldest.time));
            state.rest = Some((time, rest + u64::from(oldest.thousandths)));
        }
        overflowed
    }
}

/// 2^32.
const UNIT: f64 = 4_294_967_296.0;

/// A sum of shares as a score.
fn amount(sum: u128) -> f64 {
    sum as f64 / UNIT / 1000.0
}

/// A sum of shares for people: at most one digit after the point.
fn figure(sum: u128) -> String {
    number((amount(sum) * 10.0).round() / 10.0)
}

/// What a hit says.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn score(hit: &Hit) -> Option<Score> {
    let (number, rule) = hit.value.as_deref()?.split_once(Hit::SEPARATOR)?;
    let thousandths = (number.parse::<f64>().ok()? * 1000.0).round().clamp(0.0, SCORE_MAX) as u32;
    let score = Score { time: hit.time, position: hit.position, rule: rule.into(), thousandths };
    (thousandths > 0).then_some(score)
}

impl RiskState {
    pub(super) fn last(&self) -> Timestamp {
        let rest = self.rest.map_or(Timestamp::MIN, |(time, _)| time);
        self.scores.back().map_or(rest, |score| score.time)
    }

    pub(super) fn bytes(&self) -> usize {
        let rules = self.scores.iter().map(|score| size::block(score.rule.len()));
        size::queue(&self.scores) + rules.sum::<usize>()
    }

    /// The events that opened the alerts, for `explain`.
    pub(super) fn positions(&self) -> Vec<Position> {
        self.scores.iter().map(|score| score.position).collect()
    }
}

#[cfg(test)]
mod tests;
