//! The content of one window, summed up so that events may come and go in any order.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::measure::{Entry, Measure, UNIT, is_true};
use super::sorted::Sorted;

/// What a window's content measures.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Reading {
    /// None where there is nothing to say: an empty window, or too few events for a ratio.
    pub(super) value: Option<f64>,
    /// How many events of role 0 and 1, for a ratio.
    pub(super) parts: (u64, u64),
}

impl Reading {
    pub(super) const fn of(value: f64) -> Self {
        Self { value: Some(value), parts: (0, 0) }
    }

    fn ratio(of: u64, to: u64, min_events: u64) -> Self {
        let value = (to >= min_events.max(1)).then(|| of as f64 / to as f64);
        Self { value, parts: (of, to) }
    }
}

/// Millionths, divided once, so that 0.1 is the same 0.1 a rule says.
pub(super) fn wholes(millionths: i128, parts: u64) -> f64 {
    millionths as f64 / (UNIT as f64 * parts as f64)
}

/// The rank of a percentile, from 1: nearest rank, ceil(p / 100 × n).
pub(super) fn rank(percent: f64, count: usize) -> usize {
    // What a decimal such as 99.9 lacks in exactness must not lift the rank.
    let exact = percent * count as f64 / 100.0;
    let near = exact.round();
    let rank = if (exact - near).abs() < 1e-9 { near } else { exact.ceil() };
    (rank as usize).clamp(1, count.max(1))
}

/// The content of one window, summed up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    count: u64,
    sum: i128,
    /// How often each value or role stands in the window.
    values: FxHashMap<i64, u32>,
    amounts: Sorted<i64>,
}

impl Tally {
    pub(super) fn add(&mut self, measure: &Measure, entry: &Entry) {
        self.count += 1;
        match measure {
            Measure::Count => {}
            Measure::Sum | Measure::Avg => self.sum += i128::from(entry.value),
            Measure::Min | Measure::Max | Measure::Percentile(_) => self.amounts.insert(entry.value),
            Measure::Distinct | Measure::Ratio { .. } | Measure::Roles | Measure::Rules(_) => {
                *self.values.entry(entry.value).or_default() += 1;
            }
        }
    }

    pub(super) fn remove(&mut self, measure: &Measure, entry: &Entry) {
        self.count -= 1;
        match measure {
            Measure::Count => {}
            Measure::Sum | Measure::Avg => self.sum -= i128::from(entry.value),
            Measure::Min | Measure::Max | Measure::Percentile(_) => {
                self.amounts.remove(&entry.value);
            }
            Measure::Distinct | Measure::Ratio { .. } | Measure::Roles | Measure::Rules(_) => {
                if let Some(count) = self.values.get_mut(&entry.value) {
                    *count -= 1;
                    if *count == 0 {
                        self.values.remove(&entry.value);
                    }
                }
            }
        }
    }

    pub(super) fn reading(&self, measure: &Measure) -> Reading {
        if self.count == 0 {
            return Reading::default();
        }
        let whole = |amount: Option<i64>| Reading {
            value: amount.map(|amount| wholes(i128::from(amount), 1)),
            ..Reading::default()
        };
        let role = |role: i64| self.values.get(&role).copied().unwrap_or_default().into();
        match measure {
            Measure::Count => Reading::of(self.count as f64),
            Measure::Distinct | Measure::Roles => Reading::of(self.values.len() as f64),
            Measure::Sum => Reading::of(wholes(self.sum, 1)),
            Measure::Avg => Reading::of(wholes(self.sum, self.count)),
            Measure::Min => whole(self.amounts.first()),
            Measure::Max => whole(self.amounts.last()),
            Measure::Percentile(percent) => whole(self.amounts.nth(rank(*percent, self.amounts.len()) - 1)),
            Measure::Ratio { min_events } => Reading::ratio(role(0), role(1), *min_events),
            Measure::Rules(condition) => {
                let occurs = |role: usize| self.values.contains_key(&(role as i64));
                Reading::of(f64::from(u8::from(is_true(condition, &occurs))))
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.amounts.bytes() + self.values.capacity() * (size_of::<(i64, u32)>() + 1)
    }
}

/// Reads a short window without keeping anything.
pub(super) fn read(measure: &Measure, window: &[Entry]) -> Reading {
    if window.is_empty() {
        return Reading::default();
    }
    let sum = || window.iter().map(|entry| i128::from(entry.value)).sum();
    let sorted = || {
        let mut values: SmallVec<[i64; 64]> = window.iter().map(|entry| entry.value).collect();
        values.sort_unstable();
        values
    };
    let whole = |value: Option<i64>| {
        let value = value.map(|amount| wholes(i128::from(amount), 1));
        Reading { value, ..Reading::default() }
    };
    let count = window.len() as u64;
    let of_role = |role: u16| window.iter().filter(|entry| entry.role() == role).count() as u64;
    match measure {
        Measure::Count => Reading::of(count as f64),
        Measure::Distinct | Measure::Roles => {
            let mut values = sorted();
            values.dedup();
            Reading::of(values.len() as f64)
        }
        Measure::Sum => Reading::of(wholes(sum(), 1)),
        Measure::Avg => Reading::of(wholes(sum(), count)),
        Measure::Min => whole(window.iter().map(|entry| entry.value).min()),
        Measure::Max => whole(window.iter().map(|entry| entry.value).max()),
        Measure::Percentile(percent) => whole(sorted().get(rank(*percent, window.len()) - 1).copied()),
        Measure::Ratio { min_events } => Reading::ratio(of_role(0), of_role(1), *min_events),
        Measure::Rules(condition) => {
            let occurs = |role: usize| window.iter().any(|entry| usize::from(entry.role()) == role);
            Reading::of(f64::from(u8::from(is_true(condition, &occurs))))
        }
    }
}
