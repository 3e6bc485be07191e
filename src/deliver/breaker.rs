//! Leaving a receiver alone that is away: after several failures in a row it is only probed, with one delivery at a time and
//! ever longer rests, and everything else waits without being tried. The first success lets all of it go.

use std::collections::HashMap;

use crate::time::{Span, Timestamp};

/// Failures that may pass, one after another, after which an action is only probed.
pub(super) const FAILURES_MAX: u32 = 5;
/// The first rest between probes; each is twice as long as the one before.
const REST_FIRST: Span = Span::seconds(5);
/// No rest is longer, and so nothing waits longer for a receiver that is back.
const REST_MAX: Span = Span::seconds(60);
const DOUBLINGS_MAX: u32 = 8;

/// How a delivery ended, as far as its receiver is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answered, be it to refuse.
    There,
    /// It did not, or was not able to.
    Away(String),
    /// Nothing is known of it.
    Silent,
}

/// What has changed with an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// It is only probed from now on.
    Opened,
    /// Its receiver is back.
    Closed,
}

/// The failures in a row, by action; bounded by the number of configured actions.
#[derive(Debug, Default)]
pub(super) struct Breakers(HashMap<String, u32>);

impl Breakers {
    /// Takes note of how a delivery ended: what has changed, and until when the action rests.
    pub(super) fn heard(
        &mut self,
        action: &str,
        sign: &Sign,
        now: Timestamp,
    ) -> (Option<Change>, Option<Timestamp>) {
        match sign {
            Sign::Silent => (None, None),
            Sign::There => {
                let was_open = self.0.remove(action).is_some_and(|failures| failures >= FAILURES_MAX);
                (was_open.then_some(Change::Closed), None)
            }
            Sign::Away(_) => {
                let failures = self.0.entry(action.to_owned()).or_default();
                *failures = failures.saturating_add(1);
                let Some(probes) = failures.checked_sub(FAILURES_MAX) else { return (None, None) };
                let rest = Span(REST_FIRST.0 << probes.min(DOUBLINGS_MAX)).min(REST_MAX);
                ((probes == 0).then_some(Change::Opened), Some(now.plus(rest)))
            }
        }
    }

    /// Whether it is only probed.
    pub(super) fn is_open(&self, action: &str) -> bool {
        self.0.get(action).is_some_and(|failures| *failures >= FAILURES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_rests_ever_longer_and_closes_with_the_first_answer() {
        let mut breakers = Breakers::default();
        let now = Timestamp(0);
        let fail = |breakers: &mut Breakers| breakers.heard("chat", &Sign::Away("away".into()), now);
        for _ in 1..FAILURES_MAX {
            assert_eq!(fail(&mut breakers), (None, None));
        }
        assert!(!breakers.is_open("chat"));
        assert_eq!(fail(&mut breakers), (Some(Change::Opened), Some(Timestamp(5_000))));
        assert!(breakers.is_open("chat") && !breakers.is_open("mail"));
        let rests: Vec<_> = (0..6).map(|_| fail(&mut breakers).1.unwrap().0 / 1000).collect();
        assert_eq!(rests, [10, 20, 40, 60, 60, 60]);
        assert_eq!(breakers.heard("chat", &Sign::Silent, now), (None, None));
        assert!(breakers.is_open("chat"));
        assert_eq!(breakers.heard("chat", &Sign::There, now), (Some(Change::Closed), None));
        assert_eq!(breakers.heard("chat", &Sign::There, now), (None, None));
        assert!(!breakers.is_open("chat"));
    }
}
