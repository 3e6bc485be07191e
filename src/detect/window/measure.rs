//! What a window measures, in whole numbers: events come and go in any order and the result is the same.

use serde::{Deserialize, Serialize};

use super::super::hit::Hit;
use crate::event::{Position, millionths};
use crate::rule::ast::{Compare, Condition};
use crate::time::Timestamp;

/// What a window measures. An event counts once in each of its roles.
///
/// Numbers are kept as whole millionths ([`millionths`]) and summed in 128 bits, so that the order in which events
/// come and go changes nothing. An amount that has no room in them is none: the engine puts it on the ledger.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// How many events.
    Count,
    /// How many different values.
    Distinct,
    /// The sum of the amounts that hits carry. A negative amount counts as nothing: a sum only grows.
    Sum,
    /// The mean of the amounts.
    Avg,
    /// The smallest amount.
    Min,
    /// The largest amount.
    Max,
    /// The amount at this percentile (0 to 100) by nearest rank: of n amounts in ascending order the one at rank
    /// ceil(p / 100 × n), at least 1. The median is percentile 50: of an even number of amounts the lower of the
    /// two in the middle, always an amount that occurred.
    Percentile(f64),
    /// The number of events with role 0 for each event with role 1, which may be the same events: a share of 1
    /// is 100 %.
    Ratio {
        /// With fewer events of role 1 nothing is said; at least 1.
        min_events: u64,
    },
    /// How many different roles.
    Roles,
    /// 1 if the condition holds of the roles that occur in the window (its indexes are roles), else 0.
    Rules(Condition),
}

/// One event in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) time: Timestamp,
    /// Position and role; see [`tag`].
    pub(super) tag: u64,
    /// An amount in millionths, the hash of a value, or a role: what the measure looks at.
    pub(super) value: i64,
}

/// How many low bits of a tag are the role. Positions beyond 2^48 would need 9,000 years at a thousand events a
/// second.
const ROLE_BITS: u32 = 16;

/// Position and role in one number, in the order of the log.
pub(super) const fn tag(position: Position, role: u16) -> u64 {
    (position << ROLE_BITS) | role as u64
}

impl Entry {
    pub(super) const fn position(&self) -> Position {
        self.tag >> ROLE_BITS
    }

    pub(super) const fn role(&self) -> u16 {
        (self.tag & ((1 << ROLE_BITS) - 1)) as u16
    }
}

/// Millionths of a whole.
pub(super) const UNIT: i64 = 1_000_000;

impl Measure {
    /// Whether entries carry something of their own to look at.
    pub(super) const fn has_values(&self) -> bool {
        matches!(
            self,
            Self::Distinct
                | Self::Roles
                | Self::Sum
                | Self::Avg
                | Self::Min
                | Self::Max
                | Self::Percentile(_)
        )
    }

    /// A hit as an entry; none if it carries no number where one is needed.
    pub(super) fn entry(&self, hit: &Hit) -> Option<Entry> {
        let number = || millionths(hit.value.as_deref().unwrap_or_default());
        let value = match self {
            Self::Distinct => hit.value_hash().cast_signed(),
            Self::Sum => number()?.max(0),
            Self::Avg | Self::Min | Self::Max | Self::Percentile(_) => number()?,
            Self::Count | Self::Ratio { .. } | Self::Roles | Self::Rules(_) => i64::from(hit.role),
        };
        Some(Entry { time: hit.time, tag: tag(hit.position, hit.role), value })
    }
}

/// A measure that more events can only push towards its threshold, as what each event adds to a level, and the
/// level that is worth a finding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gauge<'a> {
    pub(super) adds: Adds<'a>,
    pub(super) limit: i128,
}

/// What an event adds to a level.
#[derive(Debug, Clone, Copy)]
pub(super) enum Adds<'a> {
    /// One.
    One,
    /// Its amount.
    Amount,
    /// One, if its amount is at least this.
    AtLeast(i64),
    /// One, if its amount is at most this.
    AtMost(i64),
    /// One, if no other event in the window has its value or role.
    Distinct,
    /// The level is 1 if the condition holds of the roles in the window.
    Rules(&'a Condition),
}

impl<'a> Gauge<'a> {
    /// None: what the measure says, a late event could refute.
    pub(super) fn of(measure: &'a Measure, compare: Compare) -> Option<Self> {
        let rises = matches!(compare, Compare::AtLeast(_) | Compare::MoreThan(_));
        let falls = matches!(compare, Compare::AtMost(_) | Compare::FewerThan(_));
        let whole = |scale| threshold(compare, scale).max(0);
        let amount = |compare| clamp(threshold(compare, UNIT));
        let (adds, limit) = match measure {
            Measure::Count if rises => (Adds::One, whole(1)),
            Measure::Distinct | Measure::Roles if rises => (Adds::Distinct, whole(1)),
            // A sum of nothing is reached by any event.
            Measure::Sum if rises && whole(UNIT) == 0 => (Adds::One, 1),
            Measure::Sum if rises => (Adds::Amount, whole(UNIT)),
            Measure::Max if rises => (Adds::AtLeast(amount(compare)), 1),
            Measure::Min if falls => (Adds::AtMost(amount(compare)), 1),
            Measure::Rules(condition) if rises && whole(1) <= 1 && !has_not(condition) => {
                (Adds::Rules(condition), 1)
            }
            _ => return None,
        };
        Some(Self { adds, limit: limit.max(1) })
    }

    /// What an event adds, whatever else is in the window.
    pub(super) fn weight(&self, entry: &Entry) -> i64 {
        match self.adds {
            Adds::One | Adds::Distinct | Adds::Rules(_) => 1,
            Adds::Amount => entry.value,
            Adds::AtLeast(line) => i64::from(entry.value >= line),
            Adds::AtMost(line) => i64::from(entry.value <= line),
        }
    }
}

/// The first whole number of `1 / scale` parts that a one-sided comparison accepts.
fn threshold(compare: Compare, scale: i64) -> i128 {
    let (limit, is_open) = match compare {
        Compare::AtLeast(limit) | Compare::AtMost(limit) => (limit, false),
        Compare::MoreThan(limit) | Compare::FewerThan(limit) => (limit, true),
        Compare::Between(..) | Compare::Exactly(_) | Compare::NotEqual(_) => return i128::MAX,
    };
    let exact = limit * scale as f64;
    // A decimal such as 1.1 has no exact double; what is meant is the millionth next to it.
    let near = exact.round();
    let is_whole = (exact - near).abs() <= near.abs() * 1e-15;
    let is_upper = matches!(compare, Compare::AtLeast(_) | Compare::MoreThan(_));
    match (is_whole, is_upper, is_open) {
        (true, _, false) => near as i128,
        (true, true, true) => (near as i128).saturating_add(1),
        (true, false, true) => (near as i128).saturating_sub(1),
        (false, true, _) => exact.ceil() as i128,
        (false, false, _) => exact.floor() as i128,
    }
}

fn clamp(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number > 0 { i64::MAX } else { i64::MIN })
}

fn has_not(condition: &Condition) -> bool {
    match condition {
        Condition::And(all) | Condition::Or(all) => all.iter().any(has_not),
        Condition::Not(_) => true,
        Condition::Selection(_) => false,
    }
}

/// Whether a condition holds, given which roles occur.
pub(super) fn is_true(condition: &Condition, occurs: &dyn Fn(usize) -> bool) -> bool {
    match condition {
        Condition::And(all) => all.iter().all(|one| is_true(one, occurs)),
        Condition::Or(any) => any.iter().any(|one| is_true(one, occurs)),
        Condition::Not(one) => !is_true(one, occurs),
        Condition::Selection(role) => occurs(*role),
    }
}

impl Compare {
    /// Whether a measure is worth a finding.
    #[must_use]
    pub fn holds(self, measure: f64) -> bool {
        match self {
            Self::AtLeast(limit) => measure >= limit,
            Self::MoreThan(limit) => measure > limit,
            Self::AtMost(limit) => measure <= limit,
            Self::FewerThan(limit) => measure < limit,
            Self::Between(low, high) => (low..=high).contains(&measure),
            Self::Exactly(limit) => (measure - limit).abs() < f64::EPSILON,
            Self::NotEqual(limit) => (measure - limit).abs() >= f64::EPSILON,
        }
    }

    /// Whether more events can only make a count truer, so that it may be judged at once.
    #[must_use]
    pub const fn is_monotone(self) -> bool {
        matches!(self, Self::AtLeast(_) | Self::MoreThan(_))
    }
}
