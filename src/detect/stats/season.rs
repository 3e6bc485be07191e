//! The season: how much more or less each slot has than the level, drawn towards what is simpler.

use super::calendar::Calendar;
use super::shrink::{Factor, Group, factors};

/// One bucket of the past that something is learnt from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    /// Its number.
    pub(super) bucket: i64,
    /// Its count, clipped where it was out of line.
    pub(super) seen: f64,
    /// The level then.
    pub(super) expected: f64,
}

/// The factor of every slot.
///
/// A week of hours is first the product of an hour of the day and a day of the week, each drawn towards 1, and then
/// each hour of the week on its own, drawn towards that product: four values tell little, 28 more. Multiplicative
/// factors as in Holt and Winters; the hierarchy is that of empirical Bayes (Efron and Morris 1973).
pub(super) fn season(cells: &[Cell], calendar: &Calendar, dispersion: f64) -> Vec<Factor> {
    let slots = usize::try_from(calendar.slots).unwrap_or(1);
    if slots < 2 {
        return vec![Factor::NONE];
    }
    let days = calendar.days();
    if days < 2 {
        return factors(&sums(cells, slots, |cell| (calendar.slot_of(cell.bucket), 1.0)), dispersion);
    }
    let a_day = slots / days;
    let slot = |cell: &Cell| calendar.slot_of(cell.bucket);
    let mean = |factors: &[Factor], index: usize| factors.get(index).map_or(1.0, |factor| factor.mean);
    let mut hours = vec![Factor::NONE; a_day];
    let mut weekdays = vec![Factor::NONE; days];
    // Each is fitted to what the other leaves (iterative proportional fitting, Deming and Stephan 1940).
    for _ in 0..2 {
        let by_hour = sums(cells, a_day, |cell| (slot(cell) % a_day, mean(&weekdays, slot(cell) / a_day)));
        hours = factors(&by_hour, dispersion);
        let by_day = sums(cells, days, |cell| (slot(cell) / a_day, mean(&hours, slot(cell) % a_day)));
        weekdays = factors(&by_day, dispersion);
    }
    let product = |slot: usize| mean(&hours, slot % a_day) * mean(&weekdays, slot / a_day);
    let own = factors(&sums(cells, slots, |cell| (slot(cell), product(slot(cell)))), dispersion);
    let variance = |factors: &[Factor], index: usize| factors.get(index).map_or(0.0, |f| f.variance);
    let combined = own.iter().enumerate().map(|(slot, factor)| {
        let shared = variance(&hours, slot % a_day) + variance(&weekdays, slot / a_day);
        Factor {
            mean: factor.mean * product(slot),
            // What a slot tells of itself need not be taken from the product.
            variance: factor.variance + (1.0 - factor.own) * (1.0 - factor.own) * shared,
            own: factor.own,
        }
    });
    combined.collect()
}

/// The sums of groups; `place` gives a cell's group and by how much more than the level it is expected to have.
fn sums(cells: &[Cell], groups: usize, place: impl Fn(&Cell) -> (usize, f64)) -> Vec<Group> {
    let mut sums = vec![Group::default(); groups];
    for cell in cells {
        let (group, factor) = place(cell);
        if let Some(sum) = sums.get_mut(group) {
            let expected = cell.expected * factor;
            sum.seen += cell.seen;
            sum.expected += expected;
            sum.squares += expected * expected;
        }
    }
    sums
}
