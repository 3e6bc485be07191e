//! How often somebody may do something: a generic cell rate for each key, one number kept for each.

use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};

use dashmap::DashMap;

use crate::time::Timestamp;

/// One call each `cost_ms`, and `burst` at once for who has not called for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) cost_ms: i64,
    pub(super) burst: i64,
}

/// When each key will have paid for its calls. At most `max` keys: those that have paid are forgotten first; when all
/// still owe something, what comes new shares one account.
#[derive(Debug)]
pub(super) struct Accounts<K: Eq + Hash> {
    /// `None` is the shared one.
    paid_at: DashMap<Option<K>, i64>,
    max: usize,
    swept_at: AtomicI64,
}

impl<K: Eq + Hash + Clone> Accounts<K> {
    pub(super) fn new(max: usize) -> Self {
        Self { paid_at: DashMap::new(), max, swept_at: AtomicI64::new(i64::MIN) }
    }

    /// Lets a call through and charges it, or tells after how many milliseconds one would be let through.
    pub(super) fn take(&self, key: &K, now: Timestamp, pace: Pace) -> Result<(), i64> {
        let mut paid_at = self.paid_at.entry(self.account(key, now)).or_insert(now.0);
        let paid = within(*paid_at, now, pace);
        // Kept also when it refuses: it may have been far ahead, from before the clock was set back.
        *paid_at = paid;
        let wait = wait(paid, now, pace);
        if wait > 0 {
            return Err(wait);
        }
        *paid_at = paid + pace.cost_ms;
        Ok(())
    }

    /// Whether a call would be let through; nothing is charged.
    pub(super) fn ask(&self, key: &K, now: Timestamp, pace: Pace) -> Result<(), i64> {
        let key = Some(key.clone());
        let found = self.paid_at.get_mut(&key).or_else(|| self.paid_at.get_mut(&None));
        let wait = found.map_or(0, |mut paid_at| {
            *paid_at = within(*paid_at, now, pace);
            wait(*paid_at, now, pace)
        });
        if wait > 0 { Err(wait) } else { Ok(()) }
    }

    /// Which account a key has, making room for a new one if that can be done.
    fn account(&self, key: &K, now: Timestamp) -> Option<K> {
        let key = Some(key.clone());
        if self.paid_at.len() < self.max || self.paid_at.contains_key(&key) {
            return key;
        }
        // Looking through all of them at every call would be a way to keep the server busy.
        let swept_at = self.swept_at.load(Ordering::Relaxed);
        if (now.0.saturating_sub(1_000)..=now.0).contains(&swept_at) {
            return None;
        }
        self.swept_at.store(now.0, Ordering::Relaxed);
        self.paid_at.retain(|_, paid_at| *paid_at > now.0);
        if self.paid_at.len() < self.max { key } else { None }
    }
}

/// Nobody owes more than a whole burst, not even after the clock was set back.
fn within(paid_at: i64, now: Timestamp, pace: Pace) -> i64 {
    paid_at.clamp(now.0, now.0.saturating_add(pace.burst * pace.cost_ms))
}

fn wait(paid_at: i64, now: Timestamp, pace: Pace) -> i64 {
    paid_at - now.0 - (pace.burst - 1) * pace.cost_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { cost_ms: 100, burst: 3 };

    fn taken(accounts: &Accounts<u32>, key: u32, now: i64) -> Result<(), i64> {
        accounts.take(&key, Timestamp(now), PACE)
    }

    #[test]
    fn a_burst_then_one_at_a_time() {
        let accounts = Accounts::new(10);
        for _ in 0..3 {
            assert_eq!(taken(&accounts, 1, 1_000), Ok(()));
        }
        assert_eq!(taken(&accounts, 1, 1_000), Err(100));
        assert_eq!(accounts.ask(&1, Timestamp(1_040), PACE), Err(60));
        assert_eq!(taken(&accounts, 1, 1_099), Err(1));
        assert_eq!(taken(&accounts, 1, 1_100), Ok(()));
        assert_eq!(taken(&accounts, 1, 1_100), Err(100));
        assert_eq!(taken(&accounts, 2, 1_100), Ok(()), "others have an account of their own");
        for _ in 0..3 {
            assert_eq!(taken(&accounts, 1, 9_000), Ok(()), "who waits may have a burst again");
        }
        assert_eq!(taken(&accounts, 1, 9_000), Err(100));
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_out_for_long() {
        let accounts = Accounts::new(10);
        assert_eq!(taken(&accounts, 1, 1_000_000), Ok(()));
        let wait = taken(&accounts, 1, 1_000).unwrap_err();
        assert!(wait <= 100, "{wait}");
        assert_eq!(taken(&accounts, 1, 1_000 + wait), Ok(()));
    }

    #[test]
    fn there_are_only_so_many_accounts() {
        let accounts = Accounts::new(2);
        for key in [1, 2, 3, 4, 5] {
            assert_eq!(taken(&accounts, key, 1_000), Ok(()));
        }
        // 3, 4 and 5 shared one.
        assert_eq!(taken(&accounts, 6, 1_000), Err(100));
        assert_eq!(accounts.paid_at.len(), 3);
        assert_eq!(taken(&accounts, 1, 1_000), Ok(()));
        assert_eq!(taken(&accounts, 7, 5_000), Ok(()));
        assert_eq!(accounts.paid_at.len(), 1, "who owes nothing is forgotten");
    }
}
