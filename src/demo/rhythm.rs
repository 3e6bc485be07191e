//! When people work: their own days and hours in their own time zone, with a pause at noon.

use super::dice::Dice;
use super::organisation::{Person, Team};
use crate::time::{Span, Timestamp};

/// One person's working day in UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// Midnight UTC of the day in which `at` lies.
pub(super) fn midnight(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0.rem_euclid(Span::days(1).0))
}

/// The shift of the local day that begins near this UTC midnight; none on a free day.
pub(super) fn shift(person: &Person, team: &Team, midnight: Timestamp, dice: &mut Dice) -> Option<Shift> {
    let weekday = usize::try_from(midnight.civil().weekday().to_monday_zero_offset()).unwrap_or(0);
    if !person.days[weekday] {
        return None;
    }
    let local = midnight.minus(team.offset).plus(Span::hours(person.begins));
    let from = local.plus(Span::seconds(dice.between(-1200, 2400)));
    let to = from.plus(Span::minutes(dice.between(450, 570)));
    Some(Shift { from, to })
}

/// So many moments of the shift in the order of time, few of them at noon.
pub(super) fn moments(shift: Shift, count: i64, dice: &mut Dice) -> Vec<Timestamp> {
    let length = shift.to.since(shift.from).0;
    let noon = (shift.from.0 + length * 2 / 5)..(shift.from.0 + length / 2);
    let mut moments: Vec<Timestamp> = (0..count.max(0))
        .map(|_| {
            let at = shift.from.0 + dice.between(0, length);
            // Most of what would fall into the pause is done right after it.
            if noon.contains(&at) && dice.chance(800) { at + length / 10 } else { at }
        })
        .map(Timestamp)
        .collect();
    moments.sort_unstable();
    moments
}
