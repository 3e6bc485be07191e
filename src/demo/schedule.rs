//! How a simulated week becomes a minute and a half: ordinary hours rush by, the attacks are told slowly.

use std::time::Duration;

use super::attacks::Planted;
use crate::time::{Span, Timestamp};

/// The ordinary rest of the week takes so long altogether.
const ORDINARY: Duration = Duration::from_secs(48);
/// Each attack is shown over so long, from its first event to its last,
const ATTACK: Duration = Duration::from_secs(3);
/// and then nothing comes for so long, so that a person can read what was found.
const READING: Duration = Duration::from_secs(4);

/// Maps simulated time to the time since the start of the showing.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Corner points: from this simulated time on, so much after the start; straight lines between them.
    corners: Vec<(Timestamp, Duration)>,
}

impl Schedule {
    /// For the week from `week` to `end` with these attacks. What lies before the week is shown at once.
    #[must_use]
    pub fn new(week: Timestamp, end: Timestamp, planted: &[Planted]) -> Self {
        let mut attacks: Vec<(Timestamp, Timestamp)> = planted.iter().map(|p| (p.from, p.to)).collect();
        attacks.sort_unstable();
        let slow: i64 = attacks.iter().map(|(from, to)| to.since(*from).0).sum();
        let ordinary = (end.since(week).0 - slow).max(1);
        let mut corners = vec![(week, Duration::ZERO)];
        let (mut at, mut shown) = (week, Duration::ZERO);
        for (from, to) in attacks {
            shown += share(from.since(at), ordinary);
            corners.push((from, shown));
            shown += ATTACK;
            corners.push((to, shown));
            // The moment after the attack lies a pause later.
            shown += READING;
            at = to.plus(Span(1));
            corners.push((at, shown));
        }
        corners.push((end, shown + share(end.since(at), ordinary)));
        Self { corners }
    }

    /// When an event of this simulated time is to be sent, counted from the start of the showing.
    #[must_use]
    pub fn offset(&self, at: Timestamp) -> Duration {
        let after = self.corners.partition_point(|(corner, _)| *corner <= at);
        let Some((from, shown)) = after.checked_sub(1).and_then(|index| self.corners.get(index)) else {
            return Duration::ZERO;
        };
        let Some((to, until)) = self.corners.get(after) else { return *shown };
        let length = to.since(*from).0.max(1) as f64;
        *shown + (*until - *shown).mul_f64(at.since(*from).0 as f64 / length)
    }

    /// How long the showing takes.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.corners.last().map_or(Duration::ZERO, |(_, shown)| *shown)
    }
}

fn share(part: Span, whole: i64) -> Duration {
    ORDINARY.mul_f64((part.0.max(0) as f64 / whole as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::super::traffic::STORY;
    use super::*;

    #[test]
    fn a_week_is_told_in_order_in_a_minute_and_a_half_with_a_pause_after_each_attack() {
        let simulation = &*STORY;
        let end = simulation.week.plus(Span::days(7));
        let schedule = Schedule::new(simulation.week, end, &simulation.planted);
        assert!((60..=95).contains(&schedule.length().as_secs()), "{:?}", schedule.length());
        assert!(simulation.events.is_sorted_by_key(|event| schedule.offset(event.at)));
        assert_eq!(schedule.offset(simulation.week.minus(Span::days(1))), Duration::ZERO);
        for planted in &simulation.planted {
            let pause = schedule.offset(planted.to.plus(Span(1))) - schedule.offset(planted.to);
            assert!(pause >= READING, "{}: {pause:?}", planted.name);
        }
        assert_eq!(schedule.offset(end), schedule.length());
    }
}
