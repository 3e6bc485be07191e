//! The retry ladder: when to try again, and when to give up.

use crate::time::Span;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// Seconds to wait after the first, second, … failure; after the last rung the delivery is a dead letter.
const LADDER: [i64; 10] =
    [1, 5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR];

/// How often a delivery is tried at most: once, and once after every rung.
pub const ATTEMPTS_MAX: u32 = LADDER.len() as u32 + 1;

/// No wait is longer: the last rung, or a receiver's wish, and its spread.
pub(super) const WAIT_MAX: Span = Span::seconds(10 * HOUR);

/// The longest wait that a receiver's `Retry-After` can ask for.
const ASKED_MAX: Span = Span::seconds(8 * HOUR);

/// How long to wait after the failure of the `attempt`-th try (from 1), or that it was the last one.
///
/// `unit_random` in `0.0..1.0` spreads the wait by a quarter to either side, so that what failed together
/// does not come back together.
#[must_use]
pub fn delay(attempt: u32, unit_random: f64) -> Option<Span> {
    let rung = usize::try_from(attempt.max(1)).ok()?.checked_sub(1)?;
    LADDER.get(rung).map(|seconds| spread(Span::seconds(*seconds), unit_random))
}

/// The same for what is never given up: 1 s, doubling up to 1 min.
#[must_use]
pub fn delay_forever(attempt: u32, unit_random: f64) -> Span {
    let doublings = attempt.saturating_sub(1).min(6);
    spread(Span::seconds((1_i64 << doublings).min(MINUTE)), unit_random)
}

/// The longer of our own wait and the receiver's wish, which counts up to 8 h.
#[must_use]
pub fn with_wish(own: Span, asked: Option<Span>) -> Span {
    asked.map_or(own, |asked| own.max(asked.min(ASKED_MAX)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "waits are below 2^53 ms")]
fn spread(span: Span, unit_random: f64) -> Span {
    let factor = 0.75 + 0.5 * unit_random.clamp(0.0, 1.0);
    Span::millis((span.0 as f64 * factor) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ladder_climbs_and_ends() {
        let middle: Vec<_> = (1..=10).map(|attempt| delay(attempt, 0.5).unwrap().to_string()).collect();
        assert_eq!(middle, ["1s", "5s", "30s", "2m", "10m", "30m", "1h", "2h", "4h", "8h"]);
        assert_eq!(delay(ATTEMPTS_MAX, 0.5), None);
        assert_eq!(delay(u32::MAX, 0.5), None);
        assert_eq!(delay(0, 0.5), Some(Span::seconds(1)), "an attempt that was not counted waits too");
    }

    #[test]
    fn a_receivers_wish_is_heard_within_bounds() {
        let own = Span::seconds(30);
        assert_eq!(with_wish(own, None), own);
        assert_eq!(with_wish(own, Some(Span::seconds(5))), own);
        assert_eq!(with_wish(own, Some(Span::minutes(5))), Span::minutes(5));
        assert_eq!(with_wish(own, Some(Span::days(900))), Span::seconds(8 * HOUR));
    }

    proptest! {
        #[test]
        fn the_spread_is_a_quarter_to_either_side(attempt in 1_u32..=10, random in 0.0_f64..1.0) {
            let (low, high) = (delay(attempt, 0.0).unwrap(), delay(attempt, 1.0).unwrap());
            let found = delay(attempt, random).unwrap();
            prop_assert!(low <= found && found <= high);
            prop_assert_eq!(low.0 * 5, high.0 * 3);
            let forever = delay_forever(attempt, random);
            prop_assert!(forever >= Span::millis(750) && forever <= Span::seconds(75));
        }
    }
}
